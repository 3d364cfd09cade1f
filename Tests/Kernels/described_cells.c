// The code of the described cells of the tests, forward and backward, as a compiler would lay it out: slots hold a gate's
// activation after forward and the gradient of its sum after backward.
#include "described.h"

#define SLOT(i) PLACE(SLOT, i)
#define IN(i) PLACE(STATE_IN, i)
#define OUT(i) PLACE(STATE_OUT, i)
#define VECTOR(i) PLACE(VECTOR, i)
#define MASK_HERE PLACE(MASK, 0)
#define TEMP(i) PLACE(TEMPORARY, i)
#define D_STATE(i) PLACE(D_STATE, i)
#define D_SEEN PLACE(D_SEEN, 0)
#define CARRY(i) PLACE(CARRY, i)
#define NUMBER(i) PLACE(NUMBER, i)
#define D_NUMBER(i) PLACE(D_NUMBER, i)
#define D_VECTOR(i) PLACE(D_VECTOR, i)
#define ZERO PLACE(CONSTANT, 0)
#define ONE PLACE(CONSTANT, 1)
#define OWN PLACE(CONSTANT, 2)
#define LAST TEMP(LETHE_CODE_TEMPORARIES - 1)

#define DO1(c, o, to, x) put(c, LETHE_OP_##o, to, x, x, x)
#define DO2(c, o, to, x, y) put(c, LETHE_OP_##o, to, x, y, x)
#define DO3(c, o, to, x, y, z) put(c, LETHE_OP_##o, to, x, y, z)

// to = d y (1 - y), the way back through y = sigmoid; and d (1 - y y), through y = tanh. `to` may be d or y.
static void through_sigmoid(lethe_code *c, lethe_place to, lethe_place d, lethe_place y) {
  DO2(c, SUBTRACT, LAST, ONE, y);
  DO2(c, MULTIPLY, LAST, LAST, y);
  DO2(c, MULTIPLY, to, LAST, d);
}
static void through_tanh(lethe_code *c, lethe_place to, lethe_place d, lethe_place y) {
  DO2(c, MULTIPLY, LAST, y, y);
  DO2(c, SUBTRACT, LAST, ONE, LAST);
  DO2(c, MULTIPLY, to, LAST, d);
}
// sum += value, where padding counts as 0.
static void tally(lethe_code *c, lethe_place sum, lethe_place value) {
  DO3(c, SELECT, LAST, PLACE(UNITS, 0), value, ZERO);
  DO2(c, ADD, sum, sum, LAST);
}

static lethe_stage new_stage(int source) {
  return (lethe_stage){.source = source, .forward = new_code(), .backward = new_code(), .numbers = new_code(),
                       .d_numbers = new_code()};
}
static void sees(lethe_stage *s, int first, int count) {
  s->group[s->groups].first = first;
  s->group[s->groups++].count = count;
}

// i = sigmoid(. + p_i c), f = sigmoid(. + p_f c), u = tanh(.), o = sigmoid(. + p_o c'), c' = f c + i u, h' = o tanh(c').
// Panels of four gates, and vectors.
static void peephole_lstm(described *d) {
  d->program.slots = d->fed = 4;
  d->states = 2;
  d->vectors = 3;
  lethe_stage *s = &d->program.stage[0];
  sees(s, 0, 4);
  lethe_code *c = &s->forward;
  for (int i = 0; i < 2; i++) {
    DO3(c, MULTIPLY_ADD, SLOT(i), VECTOR(i), IN(1), SLOT(i));
    DO1(c, SIGMOID, SLOT(i), SLOT(i));
  }
  DO1(c, TANH, SLOT(2), SLOT(2));
  DO2(c, MULTIPLY, TEMP(0), SLOT(0), SLOT(2));
  DO3(c, MULTIPLY_ADD, OUT(1), SLOT(1), IN(1), TEMP(0));
  DO3(c, MULTIPLY_ADD, SLOT(3), VECTOR(2), OUT(1), SLOT(3));
  DO1(c, SIGMOID, SLOT(3), SLOT(3));
  DO1(c, TANH, TEMP(0), OUT(1));
  DO2(c, MULTIPLY, OUT(0), SLOT(3), TEMP(0));

  c = &s->backward;
  DO1(c, TANH, TEMP(0), OUT(1));
  DO2(c, MULTIPLY, TEMP(2), D_STATE(0), SLOT(3));
  through_tanh(c, TEMP(2), TEMP(2), TEMP(0));
  DO2(c, MULTIPLY, TEMP(1), D_STATE(0), TEMP(0));
  through_sigmoid(c, SLOT(3), TEMP(1), SLOT(3));
  DO3(c, MULTIPLY_ADD, D_VECTOR(2), SLOT(3), OUT(1), D_VECTOR(2));
  DO2(c, ADD, TEMP(2), TEMP(2), D_STATE(1));
  DO3(c, MULTIPLY_ADD, TEMP(2), SLOT(3), VECTOR(2), TEMP(2));  // the gradient of c'
  DO2(c, MULTIPLY, CARRY(1), TEMP(2), SLOT(1));
  DO2(c, MULTIPLY, TEMP(3), TEMP(2), SLOT(2));
  DO2(c, MULTIPLY, TEMP(4), TEMP(2), SLOT(0));
  DO2(c, MULTIPLY, TEMP(5), TEMP(2), IN(1));
  through_sigmoid(c, SLOT(0), TEMP(3), SLOT(0));
  through_sigmoid(c, SLOT(1), TEMP(5), SLOT(1));
  through_tanh(c, SLOT(2), TEMP(4), SLOT(2));
  for (int i = 0; i < 2; i++) {
    DO3(c, MULTIPLY_ADD, CARRY(1), SLOT(i), VECTOR(i), CARRY(1));
    DO3(c, MULTIPLY_ADD, D_VECTOR(i), SLOT(i), IN(1), D_VECTOR(i));
  }
  DO1(c, COPY, CARRY(0), ZERO);
}

// i, f, u see input and h; o and e see h and a bias: c' = f c + i u, h' = o tanh(c') + e h. Two groups of gates, panels of
// three and two; a stage that starts from biases.
static void two_groups(described *d) {
  d->program.slots = 5;
  d->fed = 3;
  d->states = 2;
  lethe_stage *s = &d->program.stage[0];
  s->fill_first = 3;
  s->fill_count = 2;
  sees(s, 0, 3);
  sees(s, 3, 2);
  lethe_code *c = &s->forward;
  for (int i = 0; i < 5; i++) put(c, i == 2 ? LETHE_OP_TANH : LETHE_OP_SIGMOID, SLOT(i), SLOT(i), SLOT(i), SLOT(i));
  DO2(c, MULTIPLY, TEMP(0), SLOT(0), SLOT(2));
  DO3(c, MULTIPLY_ADD, OUT(1), SLOT(1), IN(1), TEMP(0));
  DO1(c, TANH, TEMP(0), OUT(1));
  DO2(c, MULTIPLY, TEMP(1), SLOT(4), IN(0));
  DO3(c, MULTIPLY_ADD, OUT(0), SLOT(3), TEMP(0), TEMP(1));

  c = &s->backward;
  DO1(c, TANH, TEMP(0), OUT(1));
  DO2(c, MULTIPLY, TEMP(1), D_STATE(0), SLOT(3));
  through_tanh(c, TEMP(1), TEMP(1), TEMP(0));
  DO2(c, ADD, TEMP(1), TEMP(1), D_STATE(1));  // the gradient of c'
  DO2(c, MULTIPLY, CARRY(0), D_STATE(0), SLOT(4));
  DO2(c, MULTIPLY, CARRY(1), TEMP(1), SLOT(1));
  DO2(c, MULTIPLY, TEMP(2), D_STATE(0), TEMP(0));
  through_sigmoid(c, SLOT(3), TEMP(2), SLOT(3));
  DO2(c, MULTIPLY, TEMP(2), D_STATE(0), IN(0));
  through_sigmoid(c, SLOT(4), TEMP(2), SLOT(4));
  DO2(c, MULTIPLY, TEMP(2), TEMP(1), IN(1));
  through_sigmoid(c, SLOT(1), TEMP(2), SLOT(1));
  DO2(c, MULTIPLY, TEMP(2), TEMP(1), SLOT(2));
  DO2(c, MULTIPLY, TEMP(3), TEMP(1), SLOT(0));
  through_sigmoid(c, SLOT(0), TEMP(2), SLOT(0));
  through_tanh(c, SLOT(2), TEMP(3), SLOT(2));
}

// h' = u + a (h - u), u = tanh(.), a = sigmoid(v). One gate: panels of up to four blocks.
static void leaky(described *d) {
  d->program.slots = d->fed = d->vectors = d->states = 1;
  lethe_stage *s = &d->program.stage[0];
  sees(s, 0, 1);
  lethe_code *c = &s->forward;
  DO1(c, SIGMOID, TEMP(0), VECTOR(0));
  DO1(c, TANH, SLOT(0), SLOT(0));
  DO2(c, SUBTRACT, TEMP(1), IN(0), SLOT(0));
  DO3(c, MULTIPLY_ADD, OUT(0), TEMP(0), TEMP(1), SLOT(0));

  c = &s->backward;
  DO1(c, SIGMOID, TEMP(0), VECTOR(0));
  DO2(c, SUBTRACT, TEMP(1), IN(0), SLOT(0));
  DO2(c, MULTIPLY, TEMP(1), TEMP(1), D_STATE(0));
  through_sigmoid(c, TEMP(1), TEMP(1), TEMP(0));
  DO2(c, ADD, D_VECTOR(0), D_VECTOR(0), TEMP(1));
  DO2(c, MULTIPLY, CARRY(0), D_STATE(0), TEMP(0));
  DO2(c, SUBTRACT, TEMP(1), D_STATE(0), CARRY(0));
  through_tanh(c, SLOT(0), TEMP(1), SLOT(0));
}

// z = sigmoid(x), i = exp(x), u = x: c' = z c + i u, n' = z n + i, h' = c' / max(n', 1). Nothing sees h: no products.
static void no_products(described *d) {
  d->program.slots = d->fed = d->states = 3;
  d->fills_padding = true;
  lethe_stage *s = &d->program.stage[0];
  lethe_code *c = &s->forward;
  DO1(c, SIGMOID, SLOT(0), SLOT(0));
  DO1(c, EXP, SLOT(1), SLOT(1));
  DO2(c, MULTIPLY, TEMP(0), SLOT(1), SLOT(2));
  DO3(c, MULTIPLY_ADD, OUT(1), SLOT(0), IN(1), TEMP(0));
  DO3(c, MULTIPLY_ADD, OUT(2), SLOT(0), IN(2), SLOT(1));
  DO2(c, MAX, TEMP(0), OUT(2), ONE);
  DO2(c, DIVIDE, OUT(0), OUT(1), TEMP(0));

  c = &s->backward;
  DO2(c, MAX, TEMP(0), OUT(2), ONE);
  DO2(c, DIVIDE, TEMP(0), D_STATE(0), TEMP(0));
  DO2(c, ADD, TEMP(1), TEMP(0), D_STATE(1));  // the gradient of c'
  DO2(c, MULTIPLY, TEMP(0), TEMP(0), OUT(0));
  DO1(c, NEGATE, TEMP(0), TEMP(0));
  DO2(c, SUBTRACT, TEMP(2), OUT(2), ONE);
  DO3(c, SELECT, TEMP(0), TEMP(2), TEMP(0), ZERO);
  DO2(c, ADD, TEMP(0), TEMP(0), D_STATE(2));  // of n'
  DO1(c, COPY, CARRY(0), ZERO);
  DO2(c, MULTIPLY, CARRY(1), TEMP(1), SLOT(0));
  DO2(c, MULTIPLY, CARRY(2), TEMP(0), SLOT(0));
  DO2(c, MULTIPLY, TEMP(2), TEMP(0), IN(2));
  DO3(c, MULTIPLY_ADD, TEMP(2), TEMP(1), IN(1), TEMP(2));
  through_sigmoid(c, SLOT(0), TEMP(2), SLOT(0));
  DO3(c, MULTIPLY_ADD, TEMP(2), TEMP(1), SLOT(2), TEMP(0));
  DO2(c, MULTIPLY, SLOT(2), TEMP(1), SLOT(1));
  DO2(c, MULTIPLY, SLOT(1), TEMP(2), SLOT(1));
}

// GRU with reset before: r, z = sigmoid(.), u = tanh(x + U (r h)), h' = z h + (1 - z) u. The second stage sees a slot.
static void reset_before(described *d) {
  d->program.slots = 4;
  d->program.stages = 2;
  d->fed = 3;
  d->states = 1;
  lethe_stage *s = d->program.stage;
  s[1] = new_stage(LETHE_SOURCE_SLOT + 3);
  sees(&s[0], 1, 2);
  sees(&s[1], 0, 1);
  lethe_code *c = &s[0].forward;
  DO1(c, SIGMOID, SLOT(1), SLOT(1));
  DO1(c, SIGMOID, SLOT(2), SLOT(2));
  DO2(c, MULTIPLY, TEMP(0), IN(0), MASK_HERE);
  DO2(c, MULTIPLY, SLOT(3), SLOT(1), TEMP(0));
  c = &s[1].forward;
  DO1(c, TANH, SLOT(0), SLOT(0));
  DO2(c, SUBTRACT, TEMP(0), IN(0), SLOT(0));
  DO3(c, MULTIPLY_ADD, OUT(0), SLOT(2), TEMP(0), SLOT(0));

  c = &s[1].backward;
  DO2(c, SUBTRACT, TEMP(0), IN(0), SLOT(0));
  DO2(c, MULTIPLY, TEMP(0), TEMP(0), D_STATE(0));
  DO2(c, MULTIPLY, CARRY(0), D_STATE(0), SLOT(2));
  DO2(c, SUBTRACT, TEMP(1), D_STATE(0), CARRY(0));
  through_sigmoid(c, SLOT(2), TEMP(0), SLOT(2));
  through_tanh(c, SLOT(0), TEMP(1), SLOT(0));
  c = &s[0].backward;
  DO2(c, MULTIPLY, TEMP(0), D_SEEN, MASK_HERE);
  DO3(c, MULTIPLY_ADD, CARRY(0), TEMP(0), SLOT(1), CARRY(0));
  DO2(c, MULTIPLY, TEMP(0), TEMP(0), IN(0));
  through_sigmoid(c, SLOT(1), TEMP(0), SLOT(1));
}

// f = sigmoid(. of h and again of h), i and u = sigmoid and tanh(. of h and of c), c' = f c + i u, h' = tanh(c'). Stages that
// see h, c and h.
static void sees_two_states(described *d) {
  d->program.slots = d->fed = 3;
  d->program.stages = 3;
  d->program.seen = 3;
  d->states = 2;
  lethe_stage *s = d->program.stage;
  s[1] = new_stage(1);
  s[2] = new_stage(0);
  sees(&s[0], 0, 3);
  sees(&s[1], 1, 2);
  sees(&s[2], 0, 1);
  lethe_code *c = &s[2].forward;
  DO1(c, SIGMOID, SLOT(0), SLOT(0));
  DO1(c, SIGMOID, SLOT(1), SLOT(1));
  DO1(c, TANH, SLOT(2), SLOT(2));
  DO2(c, MULTIPLY, TEMP(0), SLOT(1), SLOT(2));
  DO3(c, MULTIPLY_ADD, OUT(1), SLOT(0), IN(1), TEMP(0));
  DO1(c, TANH, OUT(0), OUT(1));

  c = &s[2].backward;
  through_tanh(c, TEMP(0), D_STATE(0), OUT(0));
  DO2(c, ADD, TEMP(0), TEMP(0), D_STATE(1));
  DO1(c, COPY, CARRY(0), ZERO);
  DO2(c, MULTIPLY, CARRY(1), TEMP(0), SLOT(0));
  DO2(c, MULTIPLY, TEMP(1), TEMP(0), IN(1));
  through_sigmoid(c, SLOT(0), TEMP(1), SLOT(0));
  DO2(c, MULTIPLY, TEMP(1), TEMP(0), SLOT(2));
  DO2(c, MULTIPLY, TEMP(2), TEMP(0), SLOT(1));
  through_sigmoid(c, SLOT(1), TEMP(1), SLOT(1));
  through_tanh(c, SLOT(2), TEMP(2), SLOT(2));
}

// h' = tanh(v (s - m) / sqrt(variance + 1/8)), s = W h + x, m and the variance over the units of a row. Means, a number made
// of them, and a stage without products behind one that has them. Slot 1 holds what slot 0 owes to the second stage.
static void normed(described *d) {
  d->program.slots = 2;
  d->program.stages = 2;
  d->program.numbers = 3;
  d->fed = d->states = d->vectors = 1;
  d->constants = 4;
  d->constant[2] = 0.125f;
  d->constant[3] = -0.5f;
  d->fills_padding = true;
  lethe_stage *s = d->program.stage;
  s[1] = new_stage(0);
  s[1].number_first = s[0].number_count = 3;
  s[0].mean_count = 2;
  sees(&s[0], 0, 1);
  lethe_code *c = &s[0].forward;
  tally(c, NUMBER(0), SLOT(0));
  DO2(c, MULTIPLY, TEMP(0), SLOT(0), SLOT(0));
  tally(c, NUMBER(1), TEMP(0));
  c = &s[0].numbers;
  DO2(c, MULTIPLY, TEMP(0), NUMBER(0), NUMBER(0));
  DO2(c, SUBTRACT, TEMP(0), NUMBER(1), TEMP(0));
  DO2(c, ADD, TEMP(0), TEMP(0), OWN);
  DO1(c, SQRT, TEMP(0), TEMP(0));
  DO2(c, DIVIDE, NUMBER(2), ONE, TEMP(0));
  c = &s[1].forward;
  DO2(c, SUBTRACT, TEMP(0), SLOT(0), NUMBER(0));
  DO2(c, MULTIPLY, TEMP(0), TEMP(0), NUMBER(2));
  DO2(c, MULTIPLY, TEMP(0), TEMP(0), VECTOR(0));
  DO1(c, TANH, OUT(0), TEMP(0));

  c = &s[1].backward;
  through_tanh(c, TEMP(0), D_STATE(0), OUT(0));
  DO2(c, SUBTRACT, TEMP(1), SLOT(0), NUMBER(0));
  DO2(c, MULTIPLY, TEMP(2), TEMP(1), NUMBER(2));
  DO3(c, MULTIPLY_ADD, D_VECTOR(0), TEMP(0), TEMP(2), D_VECTOR(0));
  DO2(c, MULTIPLY, TEMP(0), TEMP(0), VECTOR(0));
  DO2(c, MULTIPLY, SLOT(1), TEMP(0), NUMBER(2));
  DO1(c, NEGATE, TEMP(2), SLOT(1));
  tally(c, D_NUMBER(0), TEMP(2));
  DO2(c, MULTIPLY, TEMP(0), TEMP(0), TEMP(1));
  tally(c, D_NUMBER(2), TEMP(0));
  DO1(c, COPY, CARRY(0), ZERO);
  c = &s[0].d_numbers;
  DO2(c, MULTIPLY, TEMP(0), NUMBER(2), NUMBER(2));
  DO2(c, MULTIPLY, TEMP(0), TEMP(0), NUMBER(2));
  DO2(c, MULTIPLY, TEMP(0), TEMP(0), D_NUMBER(2));
  DO3(c, MULTIPLY_ADD, D_NUMBER(0), TEMP(0), NUMBER(0), D_NUMBER(0));
  DO3(c, MULTIPLY_ADD, D_NUMBER(1), TEMP(0), PLACE(CONSTANT, 3), D_NUMBER(1));
  c = &s[0].backward;
  DO2(c, MULTIPLY, TEMP(0), SLOT(0), D_NUMBER(1));
  DO2(c, ADD, TEMP(0), TEMP(0), TEMP(0));
  DO2(c, ADD, SLOT(0), SLOT(1), D_NUMBER(0));
  DO2(c, ADD, SLOT(0), SLOT(0), TEMP(0));
}

// An LSTM whose h is P (o tanh(c')), narrower than c. Slot 4 is what P sees, slot 5 its sum, slot 6 c's gradient on its way
// to the first stage.
static void projected(described *d) {
  d->program.slots = 7;
  d->program.stages = 2;
  d->fed = 4;
  d->states = 2;
  d->is_projected = true;
  lethe_stage *s = d->program.stage;
  s[1] = new_stage(LETHE_SOURCE_SLOT + 4);
  s[1].fill_first = 5;
  s[1].fill_count = 1;
  sees(&s[0], 0, 4);
  sees(&s[1], 5, 1);
  lethe_code *c = &s[0].forward;
  for (int i = 0; i < 4; i++) put(c, i == 2 ? LETHE_OP_TANH : LETHE_OP_SIGMOID, SLOT(i), SLOT(i), SLOT(i), SLOT(i));
  DO2(c, MULTIPLY, TEMP(0), SLOT(0), SLOT(2));
  DO3(c, MULTIPLY_ADD, OUT(1), SLOT(1), IN(1), TEMP(0));
  DO1(c, TANH, TEMP(0), OUT(1));
  DO2(c, MULTIPLY, SLOT(4), SLOT(3), TEMP(0));
  DO1(&s[1].forward, COPY, OUT(0), SLOT(5));

  c = &s[1].backward;
  DO1(c, COPY, SLOT(5), D_STATE(0));
  DO1(c, COPY, SLOT(6), D_STATE(1));
  DO1(c, COPY, CARRY(0), ZERO);
  DO1(c, COPY, CARRY(1), ZERO);
  c = &s[0].backward;
  DO1(c, TANH, TEMP(0), OUT(1));
  DO2(c, MULTIPLY, TEMP(1), D_SEEN, SLOT(3));
  through_tanh(c, TEMP(1), TEMP(1), TEMP(0));
  DO2(c, ADD, TEMP(1), TEMP(1), SLOT(6));
  DO2(c, MULTIPLY, TEMP(2), D_SEEN, TEMP(0));
  through_sigmoid(c, SLOT(3), TEMP(2), SLOT(3));
  DO3(c, MULTIPLY_ADD, CARRY(1), TEMP(1), SLOT(1), CARRY(1));
  DO2(c, MULTIPLY, TEMP(2), TEMP(1), IN(1));
  through_sigmoid(c, SLOT(1), TEMP(2), SLOT(1));
  DO2(c, MULTIPLY, TEMP(2), TEMP(1), SLOT(2));
  DO2(c, MULTIPLY, TEMP(3), TEMP(1), SLOT(0));
  through_sigmoid(c, SLOT(0), TEMP(2), SLOT(0));
  through_tanh(c, SLOT(2), TEMP(3), SLOT(2));
}

described described_cell(int number) {
  static const struct {
    const char *name;
    void (*write)(described *);
  } cells[DESCRIBED] = {{"peephole LSTM", peephole_lstm}, {"two groups", two_groups},
                        {"leaky", leaky},                 {"no products", no_products},
                        {"reset before", reset_before},   {"sees two states", sees_two_states},
                        {"normed", normed},               {"projected", projected}};
  described d = {.name = cells[number].name, .program = {.stages = 1, .seen = 1}, .constants = 2, .constant = {0, 1}};
  d.program.stage[0] = new_stage(0);
  cells[number].write(&d);
  if (d.program.stage[0].groups == 0) d.program.seen = 0;
  return d;
}

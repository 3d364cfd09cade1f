// The interpreter of described cells: each operation alone, then random code, both by stages without products, in bits.
#include <string.h>

#include "program_twin.h"

// ---- a pass and its twin ----

typedef struct machine {
  lethe_recurrent r, want;  // the same numbers in, each its own out
  int64_t gates, state, carry, numbers, d_vectors;  // floats of gates, of one state, of one state of the batch …
} machine;

// Another buffer for the twin, with the same numbers in it.
static float *own(float *p, int64_t n) { return p ? copy_of(p, n) : NULL; }

// Buffers around a program. Slots and states hold numbers from [-2, 2).
static machine make_machine(lethe_program *p, int states, int vectors, int constants, int variant, bool copies,
                            int64_t units, int64_t batch, int64_t steps) {
  int64_t blocks = blocks_of(units), gap = 16 * next_below(3);
  machine m = {.r = {.cell = LETHE_CELL_PROGRAM, .program = p, .steps = steps, .units = units, .batch = batch,
                     .states = states, .copies = copies, .keep_gates = true}};
  lethe_recurrent *r = &m.r;
  r->first_row = first_rows(variant, batch, steps);
  int64_t rows = r->first_row[steps], state_rows = copies ? rows : rows + batch;
  r->gates_block = rows * p->slots * 16 + gap;
  r->state_block = state_rows * 16;
  r->state_plane = blocks * r->state_block;
  r->carry_plane = blocks * batch * 16;
  m.gates = blocks * r->gates_block;
  m.state = r->state_plane;
  m.carry = states * r->carry_plane;
  m.numbers = rows * p->numbers * 16;
  m.d_vectors = vectors * blocks * batch * 16;
  p->vectors = scaled(vectors * blocks * 16, 2);
  float *constant = output(constants * 16);
  for (int i = 0; i < constants * 16; i++) constant[i] = i % 16 ? constant[i - i % 16] : 3 * next_float();
  p->constants = constant;
  r->gates = copy_of(scaled(m.gates, 2), m.gates);
  r->numbers = output(m.numbers);
  r->d_numbers = output(batch * p->numbers * 16);
  r->d_vectors = copy_of(input(m.d_vectors), m.d_vectors);
  r->dcarry = copy_of(input(m.carry), m.carry);
  r->dh_final = input(r->carry_plane);
  r->dh0 = output(r->carry_plane);
  if (next_below(2)) r->dh_out = input(blocks * rows * 16);
  r->dh_out_block = rows * 16;
  if (variant & RESETS) {
    uint8_t *resets = bytes((size_t)rows);
    for (int64_t i = 0; i < rows; i++) resets[i] = next_below(3) == 0;
    r->resets = resets;
  }
  if (variant & MASK) {
    float *mask = output(r->carry_plane);
    for (int64_t i = 0; i < r->carry_plane; i++) mask[i] = next_below(4) ? 4.0f / 3 : 0;
    r->h_mask = mask;
  }
  int64_t others = (states - 1) * m.state;
  r->h_in = r->h_prev = copies ? output(m.state) : copy_of(input(m.state), m.state);
  r->c_in = copies ? output(others) : copy_of(input(others), others);
  if (copies) {
    if (variant & MASK) r->h_prev = output(m.state);
    r->h_out = output(m.state);
    r->c_out = output(others);
    r->h0 = input(r->carry_plane);
    r->c0 = input(m.carry);
  }
  m.want = m.r;
  lethe_recurrent *w = &m.want;
  w->gates = own(r->gates, m.gates);
  w->numbers = own(r->numbers, m.numbers);
  w->d_numbers = own(r->d_numbers, batch * p->numbers * 16);
  w->d_vectors = own(r->d_vectors, m.d_vectors);
  w->dcarry = own(r->dcarry, m.carry);
  w->dh0 = own(r->dh0, r->carry_plane);
  w->h_in = own(r->h_in, m.state);
  w->h_prev = r->h_prev == r->h_in ? w->h_in : own(r->h_prev, m.state);
  w->c_in = own(r->c_in, others);
  w->h_out = copies ? own(r->h_out, m.state) : w->h_in + batch * 16;
  w->c_out = copies ? own(r->c_out, others) : w->c_in + batch * 16;
  if (!copies) {
    r->h_out = r->h_in + batch * 16;
    r->c_out = r->c_in + batch * 16;
  }
  return m;
}

// Whether r holds what the twin wants, all of it.
static void compare(const machine *m, bool is_forward) {
  const lethe_recurrent *r = &m->r, *w = &m->want;
  equal_bits("slots", r->gates, w->gates, m->gates);
  equal_bits("h_in", r->h_in, w->h_in, m->state);
  equal_bits("h_prev", r->h_prev, w->h_prev, m->state);
  equal_bits("c_in", r->c_in, w->c_in, (r->states - 1) * m->state);
  if (r->copies) {
    equal_bits("h_out", r->h_out, w->h_out, m->state);
    equal_bits("c_out", r->c_out, w->c_out, (r->states - 1) * m->state);
  }
  equal_bits("numbers", r->numbers, w->numbers, m->numbers);
  if (is_forward) return;
  equal_bits("dcarry", r->dcarry, w->dcarry, m->carry);
  equal_bits("d_vectors", r->d_vectors, w->d_vectors, m->d_vectors);
  equal_bits("d_numbers", r->d_numbers, w->d_numbers, r->batch * r->program->numbers * 16);
  equal_bits("dh0", r->dh0, w->dh0, r->carry_plane);
}

// ---- one operation ----

static float of_bits(uint32_t b) {
  float x;
  memcpy(&x, &b, sizeof x);
  return x;
}

// Both zeros; the smallest and largest denormals and normals; what sums, roots and powers round at; infinities and NaN.
static const uint32_t special[] = {
    0x00000000, 0x80000000, 0x00000001, 0x80000001, 0x007fffff, 0x00800000, 0x80800000, 0x3f800000, 0xbf800000,
    0x3f800001, 0x3f7fffff, 0x40490fdb, 0xc2ae0000, 0x7f7fffff, 0xff7fffff, 0x7f800000, 0xff800000, 0x7fc00000,
};
enum { SPECIALS = sizeof special / sizeof *special, OPERANDS = 3 };

static int64_t most_units(void) { return is_small ? 96 : 400; }

// `to` = o(slots 0, 1, 2) on `height` rows at a time; to may be one of them. All combinations of special numbers from
// number `from` on, or random ones (from < 0).
static void operation_case(const operation_row *o, int64_t height, int to, int64_t from) {
  label("%s to slot %d on %lld rows", o->name, to, (long long)height);
  const int64_t units = most_units(), blocks = blocks_of(units);
  lethe_program p = {.slots = OPERANDS + 1, .stages = 1};
  p.stage[0].forward = new_code();
  put(&p.stage[0].forward, o->operation, PLACE(SLOT, to), PLACE(SLOT, 0), PLACE(SLOT, o->operands > 1 ? 1 : 0),
      PLACE(SLOT, o->operands > 2 ? 2 : 0));
  machine m = make_machine(&p, 1, 0, 0, 0, false, units, height, 1);
  for (int64_t i = 0; i < blocks * height * 16; i++) {
    float *at = m.r.gates + i / 16 / height * m.r.gates_block + i / 16 % height * p.slots * 16 + i % 16;
    for (int64_t k = 0, n = from + i; k < OPERANDS; k++, n /= SPECIALS)
      at[k * 16] = of_bits(from < 0 ? (uint32_t)next_bits() : special[n % SPECIALS]);
  }
  memcpy(m.want.gates, m.r.gates, (size_t)m.gates * sizeof(float));
  float_forward(&m.want);
  kernels->forward(&m.r, -1, 1, 0, height);
  compare(&m, true);
  same(o->name, m.r.gates, m.gates);
  release();
}

static void operations_alone(void) {
  for (int i = 0; i < OPERATIONS; i++)
    for (int64_t height = 1; height <= LETHE_CODE_ROWS; height++) {
      int64_t combinations = 1, at_once = most_units() * height;
      for (int k = 0; k < operations[i].operands; k++) combinations *= SPECIALS;
      for (int64_t from = 0; from < combinations; from += at_once)
        operation_case(&operations[i], height, OPERANDS, from);
      for (int to = 0; to <= OPERANDS; to++) operation_case(&operations[i], height, to, -1);
    }
}

// ---- random code ----

// The places that code may read and write so far.
typedef struct reach {
  lethe_place read[LETHE_CODE_PLACES], write[LETHE_CODE_PLACES];
  int reads, writes;
} reach;

#define READABLE(count, kind) \
  for (int i = 0; i < (count); i++) at.read[at.reads++] = PLACE(kind, i)
#define WRITABLE(count, kind) \
  for (int i = 0; i < (count); i++) at.write[at.writes++] = PLACE(kind, i)

static void put_random(lethe_code *code, const reach *at, lethe_place to) {
  lethe_operation o = operations[next_below(OPERATIONS)].operation;
  lethe_place x = at->read[next_below(at->reads)], y = at->read[next_below(at->reads)];
  lethe_place z = at->read[next_below(at->reads)];
  // Most numbers stay numbers.
  bool is_bare = next_below(4) == 0;
  if (!is_bare && (o == LETHE_OP_LOG || o == LETHE_OP_SQRT)) put(code, LETHE_OP_ABS, to, x, x, x), x = to;
  if (!is_bare && o == LETHE_OP_EXP) put(code, LETHE_OP_TANH, to, x, x, x), x = to;
  put(code, o, to, x, y, z);
}

// Some writes to any place that may be written, after one to each of `fresh` and to each temporary, which hold nothing yet.
static lethe_code random_code(reach at, const lethe_place *fresh, int fresh_count) {
  lethe_code code = new_code();
  int temporaries = 1 + (int)next_below(next_below(8) ? 4 : LETHE_CODE_TEMPORARIES);
  int length = 1 + (int)next_below(24);
  for (int i = 0; i < fresh_count + temporaries; i++) {
    lethe_place to = i < fresh_count ? fresh[i] : PLACE(TEMPORARY, i - fresh_count);
    put_random(&code, &at, to);
    at.read[at.reads++] = at.write[at.writes++] = to;
  }
  for (int i = 0; i < length; i++) put_random(&code, &at, at.write[next_below(at.writes)]);
  return code;
}

typedef struct sizes { int states, vectors, constants; } sizes;

static void random_stage(lethe_program *p, int number, sizes n) {
  lethe_stage *s = &p->stage[number];
  s->number_first = number ? p->stage[number - 1].number_first + p->stage[number - 1].number_count : 0;
  s->number_count = (int32_t)(p->numbers * (number + 1) / p->stages) - s->number_first;
  s->mean_count = (int32_t)next_below(s->number_count + 1);
  int known = s->number_first + s->mean_count;
  reach at = {0};
  READABLE(p->slots, SLOT);
  READABLE(n.states, STATE_IN);
  READABLE(n.vectors, VECTOR);
  READABLE(n.constants, CONSTANT);
  READABLE(1, MASK);
  READABLE(1, UNITS);
  READABLE(known, NUMBER);
  WRITABLE(p->slots, SLOT);
  for (int i = s->number_first; i < known; i++) at.write[at.writes++] = PLACE(NUMBER, i);
  lethe_place fresh[LETHE_CODE_PLACES];
  int fresh_count = 0;
  // The first stage writes the states, later ones may write them again.
  for (int i = 0; i < n.states; i++)
    if (number == 0) fresh[fresh_count++] = PLACE(STATE_OUT, i);
    else at.read[at.reads++] = at.write[at.writes++] = PLACE(STATE_OUT, i);
  s->forward = random_code(at, fresh, fresh_count);

  at = (reach){0};
  READABLE(n.constants, CONSTANT);
  READABLE(known, NUMBER);
  for (fresh_count = 0; known + fresh_count < s->number_first + s->number_count; fresh_count++)
    fresh[fresh_count] = PLACE(NUMBER, known + fresh_count);
  s->numbers = random_code(at, fresh, fresh_count);
  at = (reach){0};
  READABLE(p->numbers, NUMBER);
  READABLE(p->numbers, D_NUMBER);
  READABLE(n.constants, CONSTANT);
  WRITABLE(p->numbers, D_NUMBER);
  s->d_numbers = random_code(at, NULL, 0);

  at = (reach){0};
  READABLE(p->slots, SLOT);
  READABLE(n.states, STATE_IN);
  READABLE(n.states, STATE_OUT);
  READABLE(n.vectors, VECTOR);
  READABLE(n.vectors, D_VECTOR);
  READABLE(n.constants, CONSTANT);
  READABLE(1, MASK);
  READABLE(1, UNITS);
  READABLE(n.states, CARRY);
  READABLE(p->numbers, NUMBER);
  READABLE(p->numbers, D_NUMBER);
  // Twice, as they matter most; only the last stage is told.
  if (number == p->stages - 1) {
    READABLE(n.states, D_STATE);
    READABLE(n.states, D_STATE);
  }
  WRITABLE(p->slots, SLOT);
  WRITABLE(n.states, CARRY);
  WRITABLE(n.states, CARRY);
  WRITABLE(n.vectors, D_VECTOR);
  WRITABLE(p->numbers, D_NUMBER);
  s->backward = random_code(at, NULL, 0);
}

static double share_of_numbers(const float *p, int64_t n) {
  int64_t count = 0;
  for (int64_t i = 0; i < n; i++) count += isfinite(p[i]) != 0;
  return n ? (double)count / (double)n : 1;
}

// Draws a program and runs both. Code whose results are mostly no numbers says little: false, and nothing is checked.
static bool random_case(int64_t number, int64_t attempt) {
  seed((uint64_t)(number * 64 + attempt + 1000));
  lethe_program p = {.slots = 1 + (int32_t)next_below(6), .stages = 1 + (int32_t)next_below(3),
                     .numbers = (int32_t)next_below(5)};
  sizes n = {1 + (int)next_below(3), (int)next_below(3), 1 + (int)next_below(3)};
  int variant = (int)next_below(VARIANTS);
  bool copies = variant & (RAGGED | RESETS | MASK) || next_below(2);
  int64_t units = 1 + next_below(next_below(4) ? 40 : 150), batch = 1 + next_below(20), steps = 1 + next_below(3);
  for (int i = 0; i < p.stages; i++) random_stage(&p, i, n);
  label("code %lld: %d stages, %d slots, %d states, %d numbers, variant %d, units %lld batch %lld steps %lld",
        (long long)number, p.stages, p.slots, n.states, p.numbers, variant, (long long)units, (long long)batch,
        (long long)steps);
  machine m = make_machine(&p, n.states, n.vectors, n.constants, variant, copies, units, batch, steps);
  float_forward(&m.want);
  double share = share_of_numbers(m.want.gates, m.gates);
  if (share < 0.5 && attempt < 8) return release(), false;

  // Stages meet in between, and blocks in a row's numbers: others may be cut by units too.
  way w = (way)next_below(p.stages == 1 && p.numbers == 0 ? BY_UNITS + 1 : BY_UNITS);
  go(&m.r, w, true);
  compare(&m, true);
  same("slots", m.r.gates, m.gates);
  same("h", m.r.h_in, m.state);
  same("c", m.r.c_in, (n.states - 1) * m.state);
  float_backward(&m.want);
  go(&m.r, w, false);
  compare(&m, false);
  same("gradients", m.r.gates, m.gates);
  same("dcarry", m.r.dcarry, m.carry);
  same("d_vectors", m.r.d_vectors, m.d_vectors);
  release();
  return true;
}

void test_program(void) {
  seed(91);
  operations_alone();
  for (int64_t i = 0; i < (is_small ? 60 : 600); i++)
    for (int64_t attempt = 0; !random_case(i, attempt); attempt++) {}
}

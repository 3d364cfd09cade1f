#include "described.h"

#include <string.h>

int64_t stage_width(const described_layer *l, int stage) {
  return l->cell.is_projected && stage == l->cell.program.stages - 1 ? l->hidden : l->units;
}

int64_t stage_seen(const described_layer *l, int stage) {
  return l->cell.program.stage[stage].source == 0 ? l->hidden : l->units;
}

described_layer make_described(int number, int variant, int64_t units, int64_t batch, int64_t steps) {
  described_layer l = {.cell = described_cell(number), .variant = variant, .units = units, .hidden = units,
                       .batch = batch, .steps = steps};
  if (l.cell.is_projected) l.hidden = (units * 3 + 4) / 5;
  l.first_row = first_rows(variant, batch, steps);
  int64_t rows = l.rows = l.first_row[steps];
  for (int i = 0; i < l.cell.program.stages; i++) {
    const lethe_stage *s = &l.cell.program.stage[i];
    int64_t matrix = stage_width(&l, i) * stage_seen(&l, i);
    for (int q = 0; q < s->groups; q++)
      l.w[i][q] = scaled(s->group[q].count * matrix, 1.5f / sqrtf((float)stage_seen(&l, i)));
    if (!s->fill_count) continue;
    l.fill[i] = input(s->fill_count * units);
    // A projection has no bias.
    if (stage_width(&l, i) < units) memset(l.fill[i], 0, (size_t)(s->fill_count * units) * sizeof(float));
  }
  l.vectors = input(l.cell.vectors * units);
  l.x = scaled(rows * l.cell.fed * units, 2);
  for (int k = 0; k < l.cell.states; k++) {
    l.start[k] = input(batch * width_of(&l, k));
    l.d_final[k] = input(batch * width_of(&l, k));
  }
  if (variant & RESETS) {
    l.resets = bytes((size_t)rows);
    for (int64_t i = 0; i < rows; i++) l.resets[i] = next_below(3) == 0;
  }
  if (variant & MASK) {
    l.mask = input(batch * l.hidden);
    for (int64_t i = 0; i < batch * l.hidden; i++) l.mask[i] = next_below(4) == 0 ? 0 : 4.0f / 3;
  }
  if (variant & EXTRA) l.dh_out = input(rows * l.hidden);
  return l;
}

described_layer described_row_alone(const described_layer *l, int64_t b) {
  described_layer a = *l;
  a.batch = 1;
  a.variant &= ~RAGGED;
  a.steps = 0;
  while (a.steps < l->steps && b < l->first_row[a.steps + 1] - l->first_row[a.steps]) a.steps++;
  a.rows = a.steps;
  a.first_row = bytes((size_t)(a.steps + 1) * sizeof(int64_t));
  int64_t fed = l->cell.fed * l->units;
  a.x = input(a.rows * fed);
  if (l->dh_out) a.dh_out = input(a.rows * l->hidden);
  if (l->resets) a.resets = bytes((size_t)a.rows);
  for (int64_t t = 0; t < a.steps; t++) {
    int64_t row = l->first_row[t] + b;
    a.first_row[t + 1] = t + 1;
    memcpy(a.x + t * fed, l->x + row * fed, (size_t)fed * sizeof(float));
    if (a.dh_out) memcpy(a.dh_out + t * l->hidden, l->dh_out + row * l->hidden, (size_t)l->hidden * sizeof(float));
    if (a.resets) a.resets[t] = l->resets[row];
  }
  if (l->mask) a.mask = l->mask + b * l->hidden;
  for (int k = 0; k < l->cell.states; k++) {
    a.start[k] = l->start[k] + b * width_of(l, k);
    a.d_final[k] = l->d_final[k] + b * width_of(l, k);
  }
  return a;
}

// [rows][width] in blocks as wide as the cell, zero past the width.
static float *widely_blocked(const described_layer *l, const float *from, int64_t rows, int64_t width) {
  float *to = output(blocks_of(l->units) * rows * 16);
  memset(to, 0, (size_t)(blocks_of(l->units) * rows * 16) * sizeof(float));
  to_blocks(to, rows, 0, from, rows, width);
  return to;
}

static void pack_stage(const described_layer *l, int number, lethe_stage *s) {
  int64_t width = stage_width(l, number), seen = stage_seen(l, number), blocks = blocks_of(width);
  for (int q = 0; q < s->groups; q++) {
    int64_t count = s->group[q].count;
    lethe_gates g = {.units = width, .k = seen, .slots = count, .order = {0, 1, 2, 3}};
    float *w = output(blocks * seen * count * 16), *t = output(blocks_of(seen) * 16 * blocks * count * 16);
    if (s->groups == 1 && count == 1) kernels->pack(w, l->w[number][q], 1, seen, seen, width, 4, 0, (blocks + 3) / 4);
    else kernels->pack_gates(w, l->w[number][q], &g, 0, blocks);
    kernels->pack_gates_transposed(t, l->w[number][q], &g, 0, (blocks_of(seen) + 3) / 4);
    s->group[q].w = w;
    s->group[q].w_t = t;
  }
  if (width < l->units) s->width = width;
  if (!s->fill_count) return;
  float *fill = output(blocks_of(l->units) * s->fill_count * 16);
  for (int64_t u = 0; u < blocks_of(l->units) * 16; u++)
    for (int64_t f = 0; f < s->fill_count; f++)
      fill[(u / 16 * s->fill_count + f) * 16 + u % 16] = u < l->units ? l->fill[number][f * l->units + u] : 0;
  s->fill = fill;
}

pass prepare_described(const described_layer *l, bool copies) {
  int64_t rows = l->rows, n = l->units, blocks = blocks_of(n), batch = l->batch, slots = l->cell.program.slots;
  copies |= (l->variant & (RAGGED | RESETS | MASK)) != 0;
  int64_t gap = 32, state_rows = copies ? rows : rows + batch, others = l->cell.states - 1;
  lethe_program *program = bytes(sizeof *program);
  *program = l->cell.program;
  program->hidden = l->hidden < n ? l->hidden : 0;
  for (int i = 0; i < program->stages; i++) pack_stage(l, i, &program->stage[i]);
  float *constants = output(l->cell.constants * 16);
  for (int i = 0; i < l->cell.constants * 16; i++) constants[i] = l->cell.constant[i / 16];
  program->constants = constants;
  program->vectors = output(l->cell.vectors * blocks * 16);
  for (int i = 0; i < l->cell.vectors; i++)
    to_blocks((float *)program->vectors + i * blocks * 16, 1, 0, l->vectors + i * n, 1, n);

  pass p = {.r = {.cell = LETHE_CELL_PROGRAM, .program = program, .steps = l->steps, .units = n, .batch = batch,
                  .states = l->cell.states, .first_row = l->first_row, .resets = l->resets, .copies = copies,
                  .keep_gates = true, .gates_block = rows * slots * 16 + gap, .state_block = state_rows * 16,
                  .state_plane = blocks * state_rows * 16, .carry_plane = blocks * batch * 16,
                  .dh_out_block = rows * 16},
            .gates_size = blocks * (rows * slots * 16 + gap) - gap, .state_size = blocks * state_rows * 16,
            .batch_size = blocks * batch * 16};
  lethe_recurrent *r = &p.r;
  r->gates = output(p.gates_size);
  for (int64_t row = 0; row < rows; row++)
    for (int64_t s = 0; s < l->cell.fed; s++)
      for (int64_t u = 0; u < blocks * 16; u++)
        r->gates[u / 16 * r->gates_block + (row * slots + s) * 16 + u % 16] =
            u < n ? l->x[(row * l->cell.fed + s) * n + u] : 0;
  r->numbers = output(rows * program->numbers * 16);
  r->d_numbers = output(batch * program->numbers * 16);
  r->d_vectors = output(l->cell.vectors * p.batch_size);
  memset(r->d_vectors, 0, (size_t)(l->cell.vectors * p.batch_size) * sizeof(float));
  if (l->mask) r->h_mask = widely_blocked(l, l->mask, batch, l->hidden);

  float *h0 = widely_blocked(l, l->start[0], batch, l->hidden), *c0 = output(others * p.batch_size);
  r->dcarry = output((others + 1) * p.batch_size);
  memset(r->dcarry, 0, (size_t)p.batch_size * sizeof(float));
  for (int k = 1; k <= others; k++) {
    to_blocks(c0 + (k - 1) * p.batch_size, batch, 0, l->start[k], batch, n);
    to_blocks(r->dcarry + k * p.batch_size, batch, 0, l->d_final[k], batch, n);
  }
  r->h_in = r->h_prev = output(p.state_size);
  r->c_in = output(others * p.state_size);
  r->h_out = copies ? output(p.state_size) : r->h_in + batch * 16;
  r->c_out = copies ? output(others * p.state_size) : r->c_in + batch * 16;
  if (copies) {
    if (l->mask) r->h_prev = output(p.state_size);
    r->h0 = h0;
    r->c0 = c0;
  }
  for (int64_t j = 0; !copies && j < blocks; j++) {
    size_t size = (size_t)batch * 16 * sizeof(float);
    memcpy(r->h_in + j * r->state_block, h0 + j * batch * 16, size);
    for (int64_t k = 0; k < others; k++)
      memcpy(r->c_in + k * r->state_plane + j * r->state_block, c0 + k * p.batch_size + j * batch * 16, size);
  }
  r->dh_out = blocked(l->dh_out, rows, l->hidden);
  r->dh_final = widely_blocked(l, l->d_final[0], batch, l->hidden);
  r->dh0 = output(p.batch_size);
  return p;
}

// ---- in double ----

described_twin described_twin_of(const described_layer *l) {
  int64_t n = l->units;
  described_twin t = {.l = l, .mask = widened(l->mask, l->batch * l->hidden),
                      .x = widened(l->x, l->rows * l->cell.fed * n), .vectors = widened(l->vectors, l->cell.vectors * n),
                      .w_out = widened(l->dh_out, l->rows * l->hidden)};
  for (int i = 0; i < l->cell.program.stages; i++) {
    const lethe_stage *s = &l->cell.program.stage[i];
    for (int q = 0; q < s->groups; q++)
      t.w[i][q] = widened(l->w[i][q], s->group[q].count * stage_width(l, i) * stage_seen(l, i));
    t.fill[i] = widened(l->fill[i], s->fill_count * n);
  }
  for (int k = 0; k < l->cell.states; k++) {
    t.start[k] = widened(l->start[k], l->batch * width_of(l, k));
    t.w_final[k] = widened(l->d_final[k], l->batch * width_of(l, k));
  }
  return t;
}

enum { MOST_UNITS = 320, MOST_SLOTS = 8, MOST_NUMBERS = 4 };

// One step of one row: values by unit.
typedef struct step {
  const described_twin *t;
  int64_t b;
  double slot[MOST_SLOTS][MOST_UNITS], before[LETHE_STATES][MOST_UNITS], after[LETHE_STATES][MOST_UNITS];
  double number[MOST_NUMBERS], temporary[LETHE_CODE_TEMPORARIES];
} step;

static double read_place(step *s, lethe_place p, int64_t unit) {
  const described_layer *l = s->t->l;
  switch ((lethe_place_kind)p.kind) {
    case LETHE_PLACE_SLOT: return s->slot[p.index][unit];
    case LETHE_PLACE_STATE_IN: return s->before[p.index][unit];
    case LETHE_PLACE_STATE_OUT: return s->after[p.index][unit];
    case LETHE_PLACE_VECTOR: return s->t->vectors[p.index * l->units + unit];
    case LETHE_PLACE_CONSTANT: return (double)l->cell.constant[p.index];
    case LETHE_PLACE_MASK: return s->t->mask ? s->t->mask[s->b * l->hidden + unit] : 1;
    case LETHE_PLACE_TEMPORARY: return s->temporary[p.index];
    case LETHE_PLACE_NUMBER: return s->number[p.index];
    case LETHE_PLACE_UNITS: return 1;
    default: return NAN;  // places of the way back
  }
}

static void write_place(step *s, lethe_place p, int64_t unit, double value) {
  switch ((lethe_place_kind)p.kind) {
    case LETHE_PLACE_SLOT: s->slot[p.index][unit] = value; break;
    case LETHE_PLACE_STATE_OUT: s->after[p.index][unit] = value; break;
    case LETHE_PLACE_TEMPORARY: s->temporary[p.index] = value; break;
    case LETHE_PLACE_NUMBER: s->number[p.index] = value; break;
    default: check(false, "forward code writes to a place of kind %d", p.kind);
  }
}

static void run_unit(step *s, const lethe_code *code, int64_t unit) {
  for (int i = 0; i < code->count; i++) {
    lethe_instruction n = code->instructions[i];
    write_place(s, code->places[n.to], unit,
                double_operation((lethe_operation)n.operation, read_place(s, code->places[n.a], unit),
                                 read_place(s, code->places[n.b], unit), read_place(s, code->places[n.c], unit)));
  }
}

static void run_stage(step *s, int number) {
  const described_layer *l = s->t->l;
  const lethe_stage *stage = &l->cell.program.stage[number];
  int64_t n = l->units, width = stage_width(l, number), seen = stage_seen(l, number);
  for (int f = 0; f < stage->fill_count; f++)
    memcpy(s->slot[stage->fill_first + f], s->t->fill[number] + f * n, (size_t)n * sizeof(double));
  double from[MOST_UNITS];
  for (int64_t k = 0; k < seen; k++)
    from[k] = stage->source >= LETHE_SOURCE_SLOT ? s->slot[stage->source - LETHE_SOURCE_SLOT][k]
              : stage->source == 0 && s->t->mask ? s->before[0][k] * s->t->mask[s->b * l->hidden + k]
                                                 : s->before[stage->source][k];
  for (int q = 0; q < stage->groups; q++)
    for (int g = 0; g < stage->group[q].count; g++)
      for (int64_t u = 0; u < width; u++)
        for (int64_t k = 0; k < seen; k++)
          s->slot[stage->group[q].first + g][u] += s->t->w[number][q][(g * width + u) * seen + k] * from[k];
  double *means = s->number + stage->number_first;
  for (int i = 0; i < stage->mean_count; i++) means[i] = 0;
  for (int64_t u = 0; u < n; u++) run_unit(s, &stage->forward, u);
  for (int i = 0; i < stage->mean_count; i++) means[i] /= (double)n;
  if (stage->number_count) run_unit(s, &stage->numbers, 0);
}

double described_row(const described_twin *t, int64_t b, double *states, double *slots) {
  const described_layer *l = t->l;
  int64_t n = l->units, own = l->cell.program.slots;
  step s = {.t = t, .b = b};
  double total = 0;
  for (int k = 0; k < l->cell.states; k++)
    memcpy(s.after[k], t->start[k] + b * width_of(l, k), (size_t)width_of(l, k) * sizeof(double));
  for (int64_t i = 0; i < l->steps && b < l->first_row[i + 1] - l->first_row[i]; i++) {
    int64_t row = l->first_row[i] + b;
    if (l->resets && l->resets[row]) memset(s.after, 0, sizeof s.after);
    memcpy(s.before, s.after, sizeof s.before);
    for (int64_t k = 0; k < l->cell.fed; k++)
      memcpy(s.slot[k], t->x + (row * l->cell.fed + k) * n, (size_t)n * sizeof(double));
    for (int k = 0; k < l->cell.program.stages; k++) run_stage(&s, k);
    for (int64_t u = 0; t->w_out && u < l->hidden; u++) total += t->w_out[row * l->hidden + u] * s.after[0][u];
    for (int64_t k = 0; states && k < l->cell.states; k++)
      memcpy(states + (k * l->rows + row) * n, s.after[k], (size_t)n * sizeof(double));
    for (int64_t k = 0; slots && k < own; k++)
      memcpy(slots + (row * own + k) * n, s.slot[k], (size_t)n * sizeof(double));
  }
  for (int k = 0; k < l->cell.states; k++)
    for (int64_t u = 0; u < width_of(l, k); u++) total += t->w_final[k][b * width_of(l, k) + u] * s.after[k][u];
  return total;
}

static double total(const described_twin *t, int64_t b) {
  if (b >= 0) return described_row(t, b, NULL, NULL);
  double sum = 0;
  for (b = 0; b < t->l->batch; b++) sum += described_row(t, b, NULL, NULL);
  return sum;
}

double described_slope(const described_twin *t, int64_t b, double *at) {
  const double kept = *at, little = 0x1p-17;
  *at = kept + little;
  double up = total(t, b);
  *at = kept - little;
  double down = total(t, b);
  *at = kept;
  return (up - down) / (2 * little);
}

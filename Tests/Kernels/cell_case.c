#include "cell_case.h"

#include <math.h>
#include <string.h>

float *scaled(int64_t n, float by) {
  float *p = input(n);
  for (int64_t i = 0; i < n; i++) p[i] *= by;
  return p;
}

int64_t *first_rows(int variant, int64_t batch, int64_t steps) {
  // Lengths fall; the last rows may have none.
  int64_t *lengths = bytes((size_t)batch * sizeof(int64_t));
  lengths[0] = steps;
  for (int64_t b = 1; b < batch; b++) lengths[b] = variant & RAGGED ? next_below(lengths[b - 1] + 1) : steps;
  if (variant & RAGGED && batch > 2 && lengths[1] == 0) lengths[1] = 1;
  int64_t *first = bytes((size_t)(steps + 1) * sizeof(int64_t));
  for (int64_t t = 0; t < steps; t++) {
    int64_t active = 0;
    while (active < batch && lengths[active] > t) active++;
    first[t + 1] = first[t] + active;
  }
  return first;
}

layer make_layer(lethe_cell cell, int variant, int64_t units, int64_t batch, int64_t steps) {
  layer l = {.cell = cell, .variant = variant, .units = units, .batch = batch, .steps = steps};
  l.first_row = first_rows(variant, batch, steps);
  int64_t rows = l.rows = l.first_row[steps], gates = twin_gates(cell);
  float size = 1.5f / sqrtf((float)units);
  l.u = scaled(gates * units * units, size);
  l.b_hidden = input(units);
  l.x = scaled(rows * twin_slots(cell) * units, 2);
  l.h0 = input(batch * units);
  l.c0 = input(batch * units);
  l.dh_final = input(batch * units);
  l.dc_final = input(batch * units);
  if (variant & RESETS) {
    l.resets = bytes((size_t)rows);
    for (int64_t i = 0; i < rows; i++) l.resets[i] = next_below(3) == 0;
  }
  if (variant & MASK) {
    l.mask = input(batch * units);
    for (int64_t i = 0; i < batch * units; i++) l.mask[i] = next_below(4) == 0 ? 0 : 4.0f / 3;
  }
  // Without the extra: gradients from the final state alone.
  if (variant & EXTRA) {
    l.dh_out = input(rows * units);
    if (cell == LETHE_CELL_LSTM) l.d_gate = input(rows * units);
  }
  return l;
}

int64_t length_of(const layer *l, int64_t b) {
  int64_t t = 0;
  while (t < l->steps && l->first_row[t + 1] - l->first_row[t] > b) t++;
  return t;
}

// The rows of batch row b out of [R][width].
static float *rows_of(const layer *l, const float *p, int64_t b, int64_t width) {
  if (!p) return NULL;
  int64_t n = length_of(l, b);
  float *q = input(n * width);
  for (int64_t t = 0; t < n; t++)
    memcpy(q + t * width, p + (l->first_row[t] + b) * width, (size_t)width * sizeof(float));
  return q;
}

layer row_alone(const layer *l, int64_t b) {
  layer a = *l;
  int64_t n = length_of(l, b), units = l->units, at = b * units;
  a.batch = 1;
  a.steps = a.rows = n;
  a.variant &= ~RAGGED;
  a.first_row = bytes((size_t)(n + 1) * sizeof(int64_t));
  for (int64_t t = 0; t <= n; t++) a.first_row[t] = t;
  if (l->resets) {
    a.resets = bytes((size_t)n);
    for (int64_t t = 0; t < n; t++) a.resets[t] = l->resets[l->first_row[t] + b];
  }
  a.x = rows_of(l, l->x, b, twin_slots(l->cell) * units);
  a.dh_out = rows_of(l, l->dh_out, b, units);
  a.d_gate = rows_of(l, l->d_gate, b, units);
  if (l->mask) a.mask = l->mask + at;
  a.h0 = l->h0 + at;
  a.c0 = l->c0 + at;
  a.dh_final = l->dh_final + at;
  a.dc_final = l->dc_final + at;
  return a;
}

double *widened(const float *p, int64_t n) {
  if (!p) return NULL;
  double *q = doubles(n);
  for (int64_t i = 0; i < n; i++) q[i] = (double)p[i];
  return q;
}

twin twin_of(const layer *l) {
  int64_t n = l->units, state = l->batch * n;
  return (twin){.cell = l->cell, .units = n, .batch = l->batch, .steps = l->steps, .first_row = l->first_row,
                .resets = l->resets, .mask = widened(l->mask, state), .hard = l->variant & HARD,
                .slope = (double)0.2f, .offset = 0.5, .u = widened(l->u, twin_gates(l->cell) * n * n),
                .b_hidden = widened(l->b_hidden, n), .x = widened(l->x, l->rows * twin_slots(l->cell) * n),
                .h0 = widened(l->h0, state), .c0 = widened(l->c0, state), .w_out = widened(l->dh_out, l->rows * n),
                .w_gate = widened(l->d_gate, l->rows * n), .w_h = widened(l->dh_final, state),
                .w_c = l->cell == LETHE_CELL_LSTM ? widened(l->dc_final, state) : NULL};
}

void to_blocks(float *to, int64_t stride, int64_t first, const float *from, int64_t rows, int64_t width) {
  for (int64_t j = 0; j < blocks_of(width); j++)
    for (int64_t r = 0; r < rows; r++)
      for (int64_t i = 0; i < 16; i++)
        to[(j * stride + first + r) * 16 + i] = j * 16 + i < width ? from[r * width + j * 16 + i] : 0;
}

float *blocked(const float *from, int64_t rows, int64_t width) {
  if (!from) return NULL;
  float *to = output(blocks_of(width) * rows * 16);
  to_blocks(to, rows, 0, from, rows, width);
  return to;
}

// The file's gates that stand in the slots h feeds: all, but for GRU with reset before its candidate.
static lethe_gates hidden_gates(const layer *l) {
  int64_t slots = l->cell == LETHE_CELL_GRU_BEFORE ? 2 : twin_gates(l->cell);
  return (lethe_gates){.units = l->units, .k = l->units, .slots = slots, .order = {0, 1, 2, 3}};
}

static void pack_weights(const layer *l, lethe_recurrent *r) {
  int64_t n = l->units, blocks = blocks_of(n);
  lethe_gates g = hidden_gates(l), candidate = {.units = n, .k = n, .slots = 1, .order = {2}};
  float *w = output(blocks * n * g.slots * 16), *t = output(blocks * 16 * blocks * g.slots * 16);
  if (g.slots == 1) kernels->pack(w, l->u, 1, n, n, n, 4, 0, (blocks + 3) / 4);
  else kernels->pack_gates(w, l->u, &g, 0, blocks);
  kernels->pack_gates_transposed(t, l->u, &g, 0, (blocks + 3) / 4);
  r->w_hidden = w;
  r->w_hidden_t = t;
  if (l->cell == LETHE_CELL_GRU_BEFORE) {
    float *cw = output(blocks * n * 16), *ct = output(blocks * 16 * blocks * 16);
    kernels->pack(cw, l->u + 2 * n * n, 1, n, n, n, 4, 0, (blocks + 3) / 4);
    kernels->pack_gates_transposed(ct, l->u, &candidate, 0, (blocks + 3) / 4);
    r->w_candidate = cw;
    r->w_candidate_t = ct;
  }
  if (l->cell == LETHE_CELL_GRU_AFTER) r->b_hidden = blocked(l->b_hidden, 1, n);
}

pass prepare(const layer *l, bool copies) {
  int64_t rows = l->rows, n = l->units, blocks = blocks_of(n), slots = twin_slots(l->cell), batch = l->batch;
  bool is_lstm = l->cell == LETHE_CELL_LSTM;
  copies |= (l->variant & (RAGGED | RESETS | MASK)) != 0;
  int64_t gap = 32, state_rows = copies ? rows : rows + batch;
  pass p = {.gates_size = blocks * (rows * slots * 16 + gap) - gap, .state_size = blocks * state_rows * 16,
            .batch_size = blocks * batch * 16};
  lethe_recurrent *r = &p.r;
  r->cell = l->cell;
  r->steps = l->steps;
  r->units = n;
  r->batch = batch;
  r->first_row = l->first_row;
  r->resets = l->resets;
  r->h_mask = blocked(l->mask, batch, n);
  r->copies = copies;
  r->hard_gates = l->variant & HARD;
  r->gate_slope = 0.2f;
  r->gate_offset = 0.5f;
  r->keep_gates = true;
  pack_weights(l, r);

  r->gates = output(p.gates_size);
  r->gates_block = rows * slots * 16 + gap;
  // The input feeds all slots of an LSTM and the first three of a GRU.
  int64_t fed = slots == 4 && !is_lstm ? 3 : slots;
  for (int64_t j = 0; j < blocks; j++)
    for (int64_t row = 0; row < rows; row++)
      for (int64_t s = 0; s < fed; s++)
        for (int64_t i = 0; i < 16; i++)
          r->gates[j * r->gates_block + (row * slots + s) * 16 + i] =
              j * 16 + i < n ? l->x[(row * slots + s) * n + j * 16 + i] : 0;

  r->state_block = state_rows * 16;
  r->states = is_lstm ? 2 : 1;
  r->h_in = r->h_prev = output(p.state_size);
  if (is_lstm) r->c_in = output(p.state_size);
  if (copies) {
    if (l->mask) r->h_prev = output(p.state_size);
    r->h_out = output(p.state_size);
    r->h0 = blocked(l->h0, batch, n);
    if (is_lstm) {
      r->c_out = output(p.state_size);
      r->c0 = blocked(l->c0, batch, n);
    }
  } else {
    r->h_out = r->h_in + batch * 16;
    to_blocks(r->h_in, state_rows, 0, l->h0, batch, n);
    if (is_lstm) {
      r->c_out = r->c_in + batch * 16;
      to_blocks(r->c_in, state_rows, 0, l->c0, batch, n);
    }
  }
  r->dh_out = blocked(l->dh_out, rows, n);
  r->d_output_gate = blocked(l->d_gate, rows, n);
  r->dh_out_block = rows * 16;
  r->dh_final = blocked(l->dh_final, batch, n);
  float *zeros = input(batch * n);
  memset(zeros, 0, (size_t)(batch * n) * sizeof(float));
  r->dcarry = blocked(is_lstm ? l->dc_final : zeros, batch, n);
  r->dh0 = output(p.batch_size);
  return p;
}

// One group of gates of the weight gradient: dW = left^T dG, from packed columns back to rows.
static void gradient_of(const lethe_gates *g, const layer *l, const pass *p, lethe_operand left, int64_t first,
                        float *dw) {
  int64_t blocks = blocks_of(l->units), slots = twin_slots(l->cell), n = l->units;
  float *columns = output(blocks * n * g->slots * 16);
  // One gate of four blocks, or all gates of one.
  int64_t panel = g->slots == 1 ? 4 : g->slots, block = p->r.gates_block;
  lethe_product q = {.left = left,
                     .right = {.w = p->r.gates + first * 16, .columns = blocks * g->slots * 16, .panel = panel,
                               .w_panel = block * (panel / g->slots), .w_k = slots * 16,
                               .w_vec = g->slots == 1 ? block : 0},
                     .out = columns, .out_row = g->slots * 16, .out_group = n * g->slots * 16, .group = g->slots};
  kernels->product(&q, 0, n, 0, (blocks * g->slots + panel - 1) / panel);
  kernels->unpack_gates(dw, columns, g, 0, blocks);
}

float *weight_gradient(const layer *l, const pass *p) {
  int64_t slots = twin_slots(l->cell), rows = l->rows;
  lethe_gates g = hidden_gates(l), candidate = {.units = l->units, .k = l->units, .slots = 1, .order = {2}};
  float *dw = output(twin_gates(l->cell) * l->units * l->units);
  lethe_operand left = {.a = p->r.h_in, .a_row = 1, .a_k = 16, .k_width = rows, .k_blocks = 1, .k_last = rows,
                        .row_width = 16, .row_block = p->r.state_block};
  bool is_gru = slots == 4 && l->cell != LETHE_CELL_LSTM;
  gradient_of(&g, l, p, left, is_gru ? 1 : 0, dw);
  if (l->cell == LETHE_CELL_GRU_BEFORE) {
    // The candidate saw r h, which forward left in the last slot.
    left.a = p->r.gates + 48;
    left.a_k = slots * 16;
    left.row_block = p->r.gates_block;
    gradient_of(&candidate, l, p, left, 0, dw);
  }
  return dw;
}

// ---- runs ----

float value_at(const float *p, ptrdiff_t block, int64_t width, int64_t row, int64_t slot, int64_t unit) {
  return p[unit / 16 * block + (row * width + slot) * 16 + unit % 16];
}

float *unblocked(const float *p, ptrdiff_t block, int64_t rows, int64_t slots, int64_t units) {
  float *q = output(rows * slots * units);
  for (int64_t row = 0; row < rows; row++)
    for (int64_t s = 0; s < slots; s++)
      for (int64_t u = 0; u < units; u++) q[(row * slots + s) * units + u] = value_at(p, block, slots, row, s, u);
  return q;
}

float *plain(const char *what, const float *p, ptrdiff_t block, int64_t rows, int64_t slots, int64_t units) {
  bool is_zero = true;
  for (int64_t row = 0; row < rows; row++)
    for (int64_t s = 0; s < slots; s++)
      for (int64_t u = units; u < blocks_of(units) * 16; u++) is_zero &= value_at(p, block, slots, row, s, u) == 0;
  check(is_zero, "%s: padded units are not zero", what);
  return unblocked(p, block, rows, slots, units);
}

const char *const way_names[WAYS] = {"whole",           "shares of rows", "chunks of steps", "shares and chunks",
                                     "shares of units", "copies"};

// Step by step, each in two shares of the units, last first; or all steps, where no unit sees another one.
static void go_by_units(const lethe_recurrent *r, bool forward) {
  int64_t panels = (blocks_of(r->units) + 3) / 4, cut = next_below(panels + 1);
  bool alone = r->cell == LETHE_CELL_PROGRAM && r->program->stage[0].groups == 0 && r->program->numbers == 0;
  int64_t count = alone && next_below(2) ? r->steps + 1 : 1;
  for (int64_t i = -1; i < r->steps; i += count) {
    int64_t t = forward ? i : r->steps - i - 1 - count;
    for (int part = 0; part < 2; part++) {
      lethe_recurrent own = *r;
      own.panel0 = part == 0 ? cut : 0;
      own.panel1 = part == 0 ? panels : cut;
      if (own.panel0 == own.panel1) continue;
      if (forward) kernels->forward(&own, t, t + count, 0, r->batch);
      else kernels->backward(&own, t, t + count, 0, r->batch);
    }
  }
}

void go(const lethe_recurrent *r, way w, bool forward) {
  bool one_stage = r->cell == LETHE_CELL_PROGRAM ? r->program->stages == 1 : r->cell != LETHE_CELL_GRU_BEFORE;
  // Stages of a step meet in between; only cells of one stage can share their units.
  if (w == BY_UNITS && one_stage) return go_by_units(r, forward);
  int64_t cut = next_below(r->batch + 1);
  int64_t chunk = w == BY_STEPS || w == BY_BOTH ? 2 : r->steps > 0 ? r->steps : 1;
  int64_t chunks = (r->steps + chunk - 1) / chunk;
  if (!forward && chunks == 0) kernels->backward(r, -1, 0, 0, r->batch);
  for (int64_t i = 0; i < chunks; i++) {
    int64_t t = (forward ? i : chunks - 1 - i) * chunk, end = smaller(t + chunk, r->steps);
    for (int part = 0; part < 2; part++) {
      int64_t b0 = part == 0 ? cut : 0, b1 = part == 0 ? r->batch : cut;
      if (w != BY_ROWS && w != BY_BOTH) {
        if (part == 1) break;
        b0 = 0;
      }
      if (forward) kernels->forward(r, t == 0 ? -1 : t, end, b0, b1);
      else kernels->backward(r, t == 0 ? -1 : t, end, b0, b1);
    }
  }
}

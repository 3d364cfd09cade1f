// Whole passes of described cells, forward and backward: against the twin in double and its differences, cut into chunks
// of steps and shares of rows and units, a row alone, with and without copies, lengths, resets and masks.
#include <stdio.h>
#include <string.h>

#include "described.h"

typedef struct results {
  float *states, *slots, *numbers;                 // [state][R][H], [R][slot][H], [R][number][16]
  float *gradients, *dcarry, *dh0, *d_vectors;     // [R][slot][H], [state][B][H], [B][P], [vector][B][H]
} results;

// One plane after the other out of blocks, from [plane][block][rows][16].
static float *planes(const float *p, int64_t plane, ptrdiff_t block, int64_t count, int64_t rows, int64_t units) {
  float *q = output(count * rows * units);
  for (int64_t k = 0; k < count; k++)
    memcpy(q + k * rows * units, unblocked(p + k * plane, block, rows, 1, units),
           (size_t)(rows * units) * sizeof(float));
  return q;
}

// Past a narrower h, and past the last unit where the cell leaves zeros there.
static void check_padding(const described_layer *l, const lethe_recurrent *r) {
  int64_t from = l->hidden < l->units ? l->hidden : l->cell.fills_padding ? blocks_of(l->units) * 16 : l->units;
  bool is_zero = true;
  for (int64_t row = 0; row < l->rows; row++)
    for (int64_t u = from; u < blocks_of(l->units) * 16; u++)
      is_zero &= value_at(r->h_out, r->state_block, 1, row, 0, u) == 0;
  check(is_zero, "h is not zero past its width");
}

static results run(const described_layer *l, way w) {
  pass p = prepare_described(l, w == WITH_COPIES);
  lethe_recurrent *r = &p.r;
  int64_t n = l->units, slots = l->cell.program.slots, numbers = l->rows * l->cell.program.numbers * 16;
  results a = {0};
  go(r, w, true);
  a.states = output(l->cell.states * l->rows * n);
  memcpy(a.states, unblocked(r->h_out, r->state_block, l->rows, 1, n), (size_t)(l->rows * n) * sizeof(float));
  float *others = planes(r->c_out, r->state_plane, r->state_block, l->cell.states - 1, l->rows, n);
  memcpy(a.states + l->rows * n, others, (size_t)((l->cell.states - 1) * l->rows * n) * sizeof(float));
  a.slots = unblocked(r->gates, r->gates_block, l->rows, slots, n);
  a.numbers = copy_of(r->numbers, numbers);
  check_padding(l, r);
  go(r, w, false);
  a.gradients = unblocked(r->gates, r->gates_block, l->rows, slots, n);
  a.dcarry = planes(r->dcarry, r->carry_plane, l->batch * 16, l->cell.states, l->batch, n);
  a.dh0 = unblocked(r->dh0, l->batch * 16, l->batch, 1, l->hidden);
  a.d_vectors = planes(r->d_vectors, r->carry_plane, l->batch * 16, l->cell.vectors, l->batch, n);
  equal_bits("numbers after backward", r->numbers, a.numbers, numbers);
  for (int64_t j = 0; j + 1 < blocks_of(n); j++)
    check(is_unwritten(r->gates + j * r->gates_block + l->rows * slots * 16, 32), "wrote between two blocks of gates");
  return a;
}

static void compare(const described_layer *l, const results *a, const results *b) {
  int64_t n = l->units, states = l->cell.states, slots = l->rows * l->cell.program.slots * n;
  equal_bits("states", a->states, b->states, states * l->rows * n);
  equal_bits("slots", a->slots, b->slots, slots);
  equal_bits("numbers", a->numbers, b->numbers, l->rows * l->cell.program.numbers * 16);
  equal_bits("gradients", a->gradients, b->gradients, slots);
  // That of h is in dh0, which a pass may leave in parts where it likes before.
  equal_bits("dcarry", a->dcarry + l->batch * n, b->dcarry + l->batch * n, (states - 1) * l->batch * n);
  equal_bits("dh0", a->dh0, b->dh0, l->batch * l->hidden);
  equal_bits("d_vectors", a->d_vectors, b->d_vectors, l->cell.vectors * l->batch * n);
}

// ---- against doubles ----

// Whether a stage's product or biases fill a slot: what it then holds after backward is the gradient of its sum.
static bool is_gate(const described *d, int64_t slot) {
  if (slot < d->fed) return true;
  for (int i = 0; i < d->program.stages; i++) {
    const lethe_stage *s = &d->program.stage[i];
    if (slot >= s->fill_first && slot < s->fill_first + s->fill_count) return true;
  }
  return false;
}

// All of [0, n) where that is little, else a few of them.
static int64_t pick(int64_t i, int64_t n, bool all) { return all ? i : next_below(n); }
static int64_t picks(int64_t n, bool all, int64_t few) { return all || n < few ? n : few; }

static void near_one(const char *what, double got, double want, double tolerance) {
  check(fabs(got - want) <= tolerance * fmax(1, fabs(want)), "%s is %.9g, not %.9g", what, got, want);
}

// What gates saw of unit k of a state at a step.
static double seen_state(const described_layer *l, const results *a, int32_t state, int64_t step, int64_t b, int64_t k) {
  if (l->resets && l->resets[l->first_row[step] + b]) return 0;
  double mask = state == 0 && l->mask ? (double)l->mask[b * l->hidden + k] : 1;
  if (step == 0) return mask * (double)l->start[state][b * width_of(l, state) + k];
  return mask * (double)a->states[(state * l->rows + l->first_row[step - 1] + b) * l->units + k];
}

// A stage's weights and biases: what their gradients are sums of, over all rows, in double.
static void against_weights(const described_layer *l, described_twin *t, const results *a, const double *slots,
                            bool all) {
  int64_t n = l->units, own = l->cell.program.slots;
  for (int i = 0; i < l->cell.program.stages; i++) {
    const lethe_stage *s = &l->cell.program.stage[i];
    int64_t width = stage_width(l, i), seen = stage_seen(l, i);
    for (int q = 0; q < s->groups; q++) {
      int64_t count = s->group[q].count * width * seen;
      for (int64_t c = 0; c < picks(count, all, 5); c++) {
        int64_t at = pick(c, count, all), u = at / seen % width, k = at % seen;
        int64_t slot = s->group[q].first + at / (width * seen);
        double sum = 0;
        for (int64_t b = 0; b < l->batch; b++)
          for (int64_t step = 0; step < l->steps && b < l->first_row[step + 1] - l->first_row[step]; step++) {
            int64_t row = l->first_row[step] + b;
            double from = s->source >= LETHE_SOURCE_SLOT ? slots[(row * own + s->source - LETHE_SOURCE_SLOT) * n + k]
                                                         : seen_state(l, a, s->source, step, b, k);
            sum += (double)a->gradients[(row * own + slot) * n + u] * from;
          }
        near_one("dW", sum, described_slope(t, -1, t->w[i][q] + at), 4e-5);
      }
    }
    if (width < n) continue;
    for (int64_t c = 0; c < picks(s->fill_count * n, all, 3) && s->fill_count; c++) {
      int64_t at = pick(c, s->fill_count * n, all);
      double sum = 0;
      for (int64_t row = 0; row < l->rows; row++)
        sum += (double)a->gradients[(row * own + s->fill_first + at / n) * n + at % n];
      near_one("the gradient of a bias", sum, described_slope(t, -1, t->fill[i] + at), 4e-5);
    }
  }
}

static void against_twin(const described_layer *l, const results *a) {
  int64_t n = l->units, own = l->cell.program.slots, rows = l->rows, states = l->cell.states;
  described_twin t = described_twin_of(l);
  double *want = doubles(states * rows * n), *slots = doubles(rows * own * n);
  for (int64_t b = 0; b < l->batch; b++) described_row(&t, b, want, slots);
  near("states", a->states, want, 1e-5, states * rows * n);
  for (int64_t row = 0; row < rows; row++)
    for (int64_t s = 0; s < own; s++)
      if (is_gate(&l->cell, s)) near("slots", a->slots + (row * own + s) * n, slots + (row * own + s) * n, 1e-5, n);

  // Differences: of everything where it is small, else of a few numbers.
  bool all = n <= 5 && !is_small;
  for (int64_t b = 0; b < l->batch; b++)
    for (int k = 0; k < states; k++) {
      int64_t width = width_of(l, k);
      for (int64_t i = 0; i < picks(width, all, 2); i++) {
        int64_t u = pick(i, width, all), at = b * width + u;
        float got = k ? a->dcarry[(k * l->batch + b) * n + u] : a->dh0[at];
        near_one(k ? "dcarry" : "dh0", (double)got, described_slope(&t, b, t.start[k] + at), 3e-5);
      }
    }
  int64_t fed = l->cell.fed * n;
  for (int64_t b = 0; b < l->batch; b++)
    for (int64_t step = 0; step < l->steps && b < l->first_row[step + 1] - l->first_row[step]; step++) {
      int64_t row = l->first_row[step] + b;
      for (int64_t i = 0; i < picks(fed, all, 2); i++) {
        int64_t at = pick(i, fed, all);
        near_one("a gate's gradient", (double)a->gradients[row * own * n + at],
                 described_slope(&t, b, t.x + row * fed + at), 3e-5);
      }
    }
  for (int64_t i = 0; i < picks(l->cell.vectors * n, all, 6); i++) {
    int64_t at = pick(i, l->cell.vectors * n, all);
    double sum = 0;
    for (int64_t b = 0; b < l->batch; b++) sum += (double)a->d_vectors[(at / n * l->batch + b) * n + at % n];
    near_one("a vector's gradient", sum, described_slope(&t, -1, t.vectors + at), 4e-5);
  }
  against_weights(l, &t, a, slots, all);
}

// ---- cases ----

// Row b in its batch and alone.
static void one_row(const described_layer *l, const results *a, int64_t b) {
  described_layer alone = described_row_alone(l, b);
  results r = run(&alone, BY_ROWS);
  int64_t n = l->units, size = l->cell.program.slots * n;
  bool ok = true;
  for (int64_t t = 0; t < alone.steps && ok; t++) {
    int64_t row = l->first_row[t] + b;
    for (int k = 0; k < l->cell.states; k++)
      ok &= equal_bits("states of a row alone", r.states + (k * alone.rows + t) * n,
                       a->states + (k * l->rows + row) * n, n);
    ok &= equal_bits("slots of a row alone", r.slots + t * size, a->slots + row * size, size);
    ok &= equal_bits("gradients of a row alone", r.gradients + t * size, a->gradients + row * size, size);
  }
  equal_bits("dh0 of a row alone", r.dh0, a->dh0 + b * l->hidden, l->hidden);
  for (int k = 1; k < l->cell.states; k++)
    equal_bits("dcarry of a row alone", r.dcarry + k * n, a->dcarry + (k * l->batch + b) * n, n);
  for (int k = 0; k < l->cell.vectors; k++)
    equal_bits("d_vectors of a row alone", r.d_vectors + k * n, a->d_vectors + (k * l->batch + b) * n, n);
}

static void case_of(int cell, int variant, int64_t units, int64_t batch, int64_t steps) {
  seed((uint64_t)(((variant * 8 + cell) * 512 + units) * 64 + batch) * 64 + (uint64_t)steps + 7);
  described_layer l = make_described(cell, variant, units, batch, steps);
  char name[200];
  snprintf(name, sizeof name, "%s, variant %d units %lld batch %lld steps %lld", l.cell.name, variant, (long long)units,
           (long long)batch, (long long)steps);
  label("%s", name);
  results a = run(&l, WHOLE);
  int64_t n = units, slots = l.cell.program.slots;
  same("states", a.states, l.cell.states * l.rows * n);
  same("slots", a.slots, l.rows * slots * n);
  same("numbers", a.numbers, l.rows * l.cell.program.numbers * 16);
  same("gradients", a.gradients, l.rows * slots * n);
  same("dcarry", a.dcarry + batch * n, (l.cell.states - 1) * batch * n);
  same("dh0", a.dh0, batch * l.hidden);
  same("d_vectors", a.d_vectors, l.cell.vectors * batch * n);
  if (is_oracle) against_twin(&l, &a);
  for (int w = BY_ROWS; w < WAYS; w++) {
    if (is_small && w != BY_BOTH && w != WITH_COPIES && w != BY_UNITS) continue;
    results b = run(&l, (way)w);
    label("%s: %s", way_names[w], name);
    compare(&l, &b, &a);
  }
  label("%s", name);
  one_row(&l, &a, batch / 2);
  if (batch > 1) one_row(&l, &a, batch - 1);
  release();
}

void test_described(void) {
  static const struct { int64_t units, batch, steps; } sizes[] = {
      {1, 1, 1}, {17, 6, 1}, {65, 7, 4}, {16, 1, 5}, {33, 19, 2}, {48, 2, 3}, {81, 9, 6}, {130, 3, 5},
  };
  for (int cell = 0; cell < DESCRIBED; cell++) {
    for (int variant = 0; variant < VARIANTS; variant += 2) case_of(cell, variant, 5, 4, 3);
    for (int i = 0; i < (is_small ? 3 : 8); i++)
      for (int variant = 0; variant < VARIANTS; variant += is_small ? 30 : 6)
        case_of(cell, variant, sizes[i].units, sizes[i].batch, sizes[i].steps);
    // So wide that products with the transposed weights are cut for the cache.
    if (!is_small || cell == 0 || cell == DESCRIBED - 1) case_of(cell, RAGGED | RESETS | MASK | EXTRA, 290, 4, 2);
  }
}

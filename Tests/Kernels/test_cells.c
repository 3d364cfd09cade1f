// Every cell forward and backward: against the twin in double, cut into chunks of steps and shares of rows, a row
// alone, with and without copies, lengths, resets, masks, hard gates.
#include <math.h>
#include <string.h>

#include "cell_case.h"

typedef struct {
  float *h, *c, *gates, *gradients, *dcarry, *dh0;
} results;

static results run(const layer *l, way w) {
  pass p = prepare(l, w == WITH_COPIES);
  int64_t n = l->units, slots = twin_slots(l->cell);
  results a = {0};
  go(&p.r, w, true);
  a.h = plain("h", p.r.h_out, p.r.state_block, l->rows, 1, n);
  if (l->cell == LETHE_CELL_LSTM) a.c = plain("c", p.r.c_out, p.r.state_block, l->rows, 1, n);
  a.gates = unblocked(p.r.gates, p.r.gates_block, l->rows, slots, n);
  go(&p.r, w, false);
  a.gradients = plain("gate gradients", p.r.gates, p.r.gates_block, l->rows, slots, n);
  a.dcarry = plain("dcarry", p.r.dcarry, l->batch * 16, l->batch, 1, n);
  a.dh0 = plain("dh0", p.r.dh0, l->batch * 16, l->batch, 1, n);
  for (int64_t j = 0; j + 1 < blocks_of(n); j++)
    check(is_unwritten(p.r.gates + j * p.r.gates_block + l->rows * slots * 16, 32),
          "wrote between two blocks of gates");
  if (w == WHOLE) {
    float *dw = weight_gradient(l, &p);
    same("dU", dw, twin_gates(l->cell) * n * n);
    if (is_oracle) {
      twin t = twin_of(l);
      int64_t weights = twin_gates(l->cell) * n * n;
      bool all = n <= 5 && !(is_small && l->variant & RAGGED);
      double *want = doubles(weights);
      for (int64_t i = 0; i < weights; i++) want[i] = (double)dw[i];
      for (int64_t i = 0; i < (all ? weights : 6); i++) {
        int64_t k = all ? i : next_below(weights);
        want[k] = twin_slope(&t, -1, t.u + k);
      }
      near("dU against differences", dw, want, 4e-5, weights);
    }
  }
  return a;
}

static void agree(const char *how, const layer *l, const results *a, const results *b) {
  int64_t n = l->units, slots = twin_slots(l->cell);
  label("%s: cell %d variant %d units %lld batch %lld steps %lld", how, (int)l->cell, l->variant, (long long)n,
        (long long)l->batch, (long long)l->steps);
  equal_bits("h", a->h, b->h, l->rows * n);
  if (a->c) equal_bits("c", a->c, b->c, l->rows * n);
  equal_bits("gates", a->gates, b->gates, l->rows * slots * n);
  equal_bits("gate gradients", a->gradients, b->gradients, l->rows * slots * n);
  if (a->c) equal_bits("dcarry", a->dcarry, b->dcarry, l->batch * n);
  equal_bits("dh0", a->dh0, b->dh0, l->batch * n);
}

static void against_twin(const layer *l, const results *a) {
  int64_t n = l->units, slots = twin_slots(l->cell), rows = l->rows;
  twin t = twin_of(l);
  double *h = doubles(rows * n), *c = doubles(rows * n), *gates = doubles(rows * slots * n);
  for (int64_t b = 0; b < l->batch; b++) twin_row(&t, b, h, c, gates);
  near("h", a->h, h, 1e-5, rows * n);
  if (a->c) near("c", a->c, c, 1e-5, rows * n);
  near("gates", a->gates, gates, 1e-5, rows * slots * n);

  // Differences: of everything where it is small, else of a few numbers.
  bool all = n <= 5;
  double *want = doubles(rows * slots * n), *want_h0 = doubles(l->batch * n), *want_c0 = doubles(l->batch * n);
  for (int64_t i = 0; i < rows * slots * n; i++) want[i] = (double)a->gradients[i];
  for (int64_t i = 0; i < l->batch * n; i++) { want_h0[i] = (double)a->dh0[i]; want_c0[i] = (double)a->dcarry[i]; }
  for (int64_t b = 0; b < l->batch; b++) {
    for (int64_t i = 0; i < (all ? n : 3); i++) {
      int64_t k = b * n + (all ? i : next_below(n));
      want_h0[k] = twin_slope(&t, b, t.h0 + k);
      if (a->c) want_c0[k] = twin_slope(&t, b, t.c0 + k);
    }
    int64_t length = length_of(l, b), size = slots * n;
    for (int64_t i = 0; i < (all ? length * size : length ? 12 : 0); i++) {
      int64_t k = all ? i : next_below(length * size), row = l->first_row[k / size] + b;
      // Slot 3 of a GRU is no input's: the gradient of U_n h + b in one form, r h kept in the other.
      if (slots == 4 && !a->c && k % size / n == 3) continue;
      want[row * size + k % size] = twin_slope(&t, b, t.x + row * size + k % size);
    }
  }
  near("gate gradients", a->gradients, want, 3e-5, rows * slots * n);
  near("dh0", a->dh0, want_h0, 3e-5, l->batch * n);
  if (a->c) near("dcarry", a->dcarry, want_c0, 3e-5, l->batch * n);
  if (l->cell == LETHE_CELL_GRU_AFTER)
    for (int64_t u = 0; u < n; u += all ? 1 : 7) {
      double sum = 0, slope = twin_slope(&t, -1, t.b_hidden + u);
      for (int64_t row = 0; row < rows; row++) sum += (double)a->gradients[(row * slots + 3) * n + u];
      check(fabs(sum - slope) <= 4e-5 * fmax(1, fabs(slope)), "gradient of b_hidden[%lld] is %g, not %g",
            (long long)u, sum, slope);
    }
}

// A forward pass that keeps no gates gives the same states.
static void without_gates(const layer *l, const results *a) {
  pass p = prepare(l, false);
  p.r.keep_gates = false;
  go(&p.r, BY_STEPS, true);
  equal_bits("h without kept gates", plain("h", p.r.h_out, p.r.state_block, l->rows, 1, l->units), a->h,
             l->rows * l->units);
}

// Row b in its batch and alone.
static void one_row(const layer *l, const results *a, int64_t b) {
  layer alone = row_alone(l, b);
  results r = run(&alone, BY_ROWS);
  int64_t n = l->units, size = twin_slots(l->cell) * n;
  label("row %lld alone: cell %d variant %d units %lld batch %lld steps %lld", (long long)b, (int)l->cell, l->variant,
        (long long)n, (long long)l->batch, (long long)l->steps);
  for (int64_t t = 0; t < alone.steps; t++) {
    int64_t row = l->first_row[t] + b;
    bool ok = equal_bits("h", r.h + t * n, a->h + row * n, n);
    ok &= !a->c || equal_bits("c", r.c + t * n, a->c + row * n, n);
    ok &= equal_bits("gates", r.gates + t * size, a->gates + row * size, size);
    ok &= equal_bits("gate gradients", r.gradients + t * size, a->gradients + row * size, size);
    if (!ok) return;
  }
  equal_bits("dh0", r.dh0, a->dh0 + b * n, n);
  if (a->c) equal_bits("dcarry", r.dcarry, a->dcarry + b * n, n);
}

static void case_of(lethe_cell cell, int variant, int64_t units, int64_t batch, int64_t steps) {
  label("cell %d variant %d units %lld batch %lld steps %lld", (int)cell, variant, (long long)units, (long long)batch,
        (long long)steps);
  // The same numbers on every instruction set, however many the checks between draw.
  seed((uint64_t)(((variant * 8 + (int)cell) * 256 + units) * 64 + batch) * 64 + (uint64_t)steps);
  layer l = make_layer(cell, variant, units, batch, steps);
  results a = run(&l, WHOLE);
  int64_t n = units, slots = twin_slots(cell);
  same("h", a.h, l.rows * n);
  if (a.c) same("c", a.c, l.rows * n);
  same("gates", a.gates, l.rows * slots * n);
  same("gate gradients", a.gradients, l.rows * slots * n);
  if (a.c) same("dcarry", a.dcarry, batch * n);
  same("dh0", a.dh0, batch * n);
  if (is_oracle) against_twin(&l, &a);
  for (int w = BY_ROWS; w < WAYS; w++) {
    if (is_small && w != BY_BOTH && w != WITH_COPIES) continue;
    results b = run(&l, (way)w);
    agree(way_names[w], &l, &b, &a);
  }
  without_gates(&l, &a);
  one_row(&l, &a, 0);
  one_row(&l, &a, batch / 2);
  if (batch > 1) one_row(&l, &a, batch - 1);
  release();
}

void test_cells(void) {
  static const int64_t units[] = {1, 5, 15, 16, 17, 33, 48, 64, 65, 130}, batches[] = {1, 2, 6, 7, 19};
  static const int64_t few_units[] = {1, 5, 16, 17, 65}, few_batches[] = {1, 7};
  int n_units = is_small ? 5 : 10, n_batches = is_small ? 2 : 5;
  for (int cell = 0; cell <= LETHE_CELL_GRU_BEFORE; cell++) {
    // All variants at one small size, where all gradients are taken by differences, and at one past two blocks.
    for (int variant = 0; variant < VARIANTS; variant++) {
      case_of((lethe_cell)cell, variant, 5, 4, 4);
      if (!is_small) case_of((lethe_cell)cell, variant, 81, 9, 6);
    }
    // So wide that products with the transposed weights are cut for the cache; with all that sums can wait for.
    case_of((lethe_cell)cell, RAGGED | RESETS, 290, 3, 3);
    if (!is_small) case_of((lethe_cell)cell, MASK | EXTRA, 530, 8, 2);
    for (int u = 0; u < n_units; u++)
      for (int b = 0; b < n_batches; b++)
        for (int64_t steps = 1; steps <= (is_small ? 3 : 7); steps += 2) {
          seed((uint64_t)(u * 100 + b * 10 + steps));
          int variant = (int)next_below(VARIANTS);
          case_of((lethe_cell)cell, variant, is_small ? few_units[u] : units[u],
                  is_small ? few_batches[b] : batches[b], steps);
        }
  }
}

// The recurrent cells in double, as slow and obvious as can be: the oracle of forward and, by differences, of backward.
#include <math.h>
#include <string.h>

#include "check.h"

enum { MOST_UNITS = 640 };

int64_t twin_gates(lethe_cell cell) {
  return cell == LETHE_CELL_LSTM ? 4 : cell == LETHE_CELL_GRU_AFTER || cell == LETHE_CELL_GRU_BEFORE ? 3 : 1;
}

int64_t twin_slots(lethe_cell cell) { return twin_gates(cell) == 1 ? 1 : 4; }

static double gate(const twin *t, double x) {
  if (!t->hard) return 1 / (1 + exp(-x));
  double y = t->slope * x + t->offset;
  return y < 0 ? 0 : y > 1 ? 1 : y;
}

// Row `unit` of gate g of the weight, times h.
static double dot(const twin *t, int64_t g, int64_t unit, const double *h) {
  const double *row = t->u + (g * t->units + unit) * t->units;
  double s = 0;
  for (int64_t k = 0; k < t->units; k++) s += row[k] * h[k];
  return s;
}

// One step: x and saved gates are [slots][units]. `seen` is the hidden state behind the mask.
static void step(const twin *t, const double *x, double *saved, const double *seen, double *h, double *c) {
  int64_t n = t->units;
  double after[MOST_UNITS];
  switch (t->cell) {
    case LETHE_CELL_LSTM:
      for (int64_t j = 0; j < n; j++) {
        double i = gate(t, x[j] + dot(t, 0, j, seen)), f = gate(t, x[n + j] + dot(t, 1, j, seen));
        double g = tanh(x[2 * n + j] + dot(t, 2, j, seen)), o = gate(t, x[3 * n + j] + dot(t, 3, j, seen));
        c[j] = f * c[j] + i * g;
        after[j] = o * tanh(c[j]);
        saved[j] = i; saved[n + j] = f; saved[2 * n + j] = g; saved[3 * n + j] = o;
      }
      break;
    case LETHE_CELL_GRU_AFTER:
      for (int64_t j = 0; j < n; j++) {
        double r = gate(t, x[n + j] + dot(t, 0, j, seen)), z = gate(t, x[2 * n + j] + dot(t, 1, j, seen));
        double hn = t->b_hidden[j] + dot(t, 2, j, seen), candidate = tanh(x[j] + r * hn);
        after[j] = z * h[j] + (1 - z) * candidate;
        saved[j] = candidate; saved[n + j] = r; saved[2 * n + j] = z; saved[3 * n + j] = hn;
      }
      break;
    case LETHE_CELL_GRU_BEFORE:
      for (int64_t j = 0; j < n; j++) {
        saved[n + j] = gate(t, x[n + j] + dot(t, 0, j, seen));
        saved[2 * n + j] = gate(t, x[2 * n + j] + dot(t, 1, j, seen));
        saved[3 * n + j] = saved[n + j] * seen[j];
      }
      for (int64_t j = 0; j < n; j++) {
        double z = saved[2 * n + j];
        saved[j] = tanh(x[j] + dot(t, 2, j, saved + 3 * n));
        after[j] = z * h[j] + (1 - z) * saved[j];
      }
      break;
    default:
      for (int64_t j = 0; j < n; j++) {
        saved[j] = x[j] + dot(t, 0, j, seen);
        after[j] = t->cell == LETHE_CELL_RNN_TANH ? tanh(saved[j]) : saved[j] > 0 ? saved[j] : 0;
      }
  }
  memcpy(h, after, (size_t)n * sizeof(double));
}

double twin_row(const twin *t, int64_t b, double *h_out, double *c_out, double *gates) {
  int64_t n = t->units, slots = twin_slots(t->cell);
  double h[MOST_UNITS], c[MOST_UNITS], seen[MOST_UNITS], saved[4 * MOST_UNITS], total = 0;
  for (int64_t j = 0; j < n; j++) {
    h[j] = t->h0[b * n + j];
    c[j] = t->c0[b * n + j];
  }
  for (int64_t s = 0; s < t->steps && b < t->first_row[s + 1] - t->first_row[s]; s++) {
    int64_t row = t->first_row[s] + b;
    if (t->resets && t->resets[row]) {
      memset(h, 0, sizeof h);
      memset(c, 0, sizeof c);
    }
    for (int64_t j = 0; j < n; j++) seen[j] = t->mask ? t->mask[b * n + j] * h[j] : h[j];
    step(t, t->x + row * slots * n, saved, seen, h, c);
    for (int64_t j = 0; j < n; j++) {
      if (t->w_out) total += t->w_out[row * n + j] * h[j];
      if (t->w_gate) total += t->w_gate[row * n + j] * saved[3 * n + j];
      if (h_out) h_out[row * n + j] = h[j];
      if (c_out) c_out[row * n + j] = c[j];
    }
    if (gates) memcpy(gates + row * slots * n, saved, (size_t)(slots * n) * sizeof(double));
  }
  for (int64_t j = 0; j < n; j++) {
    if (t->w_h) total += t->w_h[b * n + j] * h[j];
    if (t->w_c) total += t->w_c[b * n + j] * c[j];
  }
  return total;
}

static double total(const twin *t, int64_t b) {
  if (b >= 0) return twin_row(t, b, NULL, NULL, NULL);
  double sum = 0;
  for (b = 0; b < t->batch; b++) sum += twin_row(t, b, NULL, NULL, NULL);
  return sum;
}

double twin_slope(const twin *t, int64_t b, double *at) {
  const double kept = *at, little = 0x1p-17;
  *at = kept + little;
  double up = total(t, b);
  *at = kept - little;
  double down = total(t, b);
  *at = kept;
  return (up - down) / (2 * little);
}

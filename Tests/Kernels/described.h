// Described cells for the tests, their code written by hand, and layers of them in plain row-major arrays.
#ifndef LETHE_TESTS_DESCRIBED_H
#define LETHE_TESTS_DESCRIBED_H

#include "program_twin.h"

typedef struct described {
  const char *name;
  lethe_program program;  // without weights, vectors and constants
  int states, vectors, fed;  // slots [0, fed) see the input
  int constants;
  float constant[4];
  bool is_projected;     // h is narrower than the cell
  bool fills_padding;    // what lies past the last unit does not stay zero
} described;

enum { DESCRIBED = 8 };
described described_cell(int number);

// B batch, R packed rows, H units, P width of h.
typedef struct described_layer {
  described cell;
  int variant;
  int64_t units, hidden, batch, steps, rows;
  int64_t *first_row;             // [steps + 1]
  uint8_t *resets;                // [R] or NULL
  float *mask;                    // [B][P] or NULL
  float *x;                       // [R][fed][H]
  float *w[LETHE_STAGES][4];      // a group's gates, [count][width of the stage][width of what it sees]
  float *fill[LETHE_STAGES];      // [fill_count][H]
  float *vectors;                 // [vectors][H]
  float *start[LETHE_STATES];     // [B][P] for h, [B][H]
  float *d_final[LETHE_STATES];   // likewise
  float *dh_out;                  // [R][P] or NULL
} described_layer;

described_layer make_described(int number, int variant, int64_t units, int64_t batch, int64_t steps);
// Row b of a layer as a batch of its own.
described_layer described_row_alone(const described_layer *l, int64_t b);
static inline int64_t width_of(const described_layer *l, int state) { return state ? l->units : l->hidden; }
// Rows of a gate of a stage, and columns of what it sees.
int64_t stage_width(const described_layer *l, int stage);
int64_t stage_seen(const described_layer *l, int stage);

// All arguments, before forward. A layer of equal lengths without resets or mask shifts its states unless `copies`.
pass prepare_described(const described_layer *l, bool copies);

// ---- the same in double, by the forward code alone ----

typedef struct described_twin {
  const described_layer *l;
  double *mask, *x, *w[LETHE_STAGES][4], *fill[LETHE_STAGES], *vectors, *start[LETHE_STATES];
  double *w_out, *w_final[LETHE_STATES];  // what the gradient is taken of: the sum of these times h and the final states
} described_twin;

described_twin described_twin_of(const described_layer *l);
// Runs one row of the batch. Writes, where not NULL, states [state][row][H] and slots [row][slot][H]; returns the row's
// weighted sum.
double described_row(const described_twin *t, int64_t b, double *states, double *slots);
// The derivative of the sum over all rows, or of row b alone (b >= 0), by *at.
double described_slope(const described_twin *t, int64_t b, double *at);

#endif

// One recurrent layer for the tests, in plain row-major arrays, and its runs through the kernels.
#ifndef LETHE_TESTS_CELL_CASE_H
#define LETHE_TESTS_CELL_CASE_H

#include "check.h"

enum { HARD = 1, RAGGED = 2, RESETS = 4, MASK = 8, EXTRA = 16, VARIANTS = 32 };

// B batch, R packed rows, H units, S slots.
typedef struct layer {
  lethe_cell cell;
  int variant;
  int64_t units, batch, steps, rows;
  int64_t *first_row;          // [steps + 1]
  uint8_t *resets;             // [R] or NULL
  float *mask;                 // [B][H] or NULL
  float *u;                    // [gates][H][H]
  float *b_hidden;             // [H]
  float *x;                    // [R][S][H] pre-activations from the input
  float *h0, *c0;              // [B][H]
  float *dh_out, *d_gate;      // [R][H] or NULL
  float *dh_final, *dc_final;  // [B][H]
} layer;

// What the kernels were given and left behind; everything in blocks.
typedef struct pass {
  lethe_recurrent r;
  int64_t gates_size, state_size, batch_size;  // floats
} pass;

layer make_layer(lethe_cell cell, int variant, int64_t units, int64_t batch, int64_t steps);
// Row b of a layer as a batch of its own.
layer row_alone(const layer *l, int64_t b);
twin twin_of(const layer *l);

// All arguments, before forward. A layer of equal lengths without resets or mask shifts its states unless `copies`.
pass prepare(const layer *l, bool copies);
// The weight gradient by the products the package takes it with, as [gates][H][H].
float *weight_gradient(const layer *l, const pass *p);

int64_t length_of(const layer *l, int64_t b);

// ---- what described cells need too ----

float *scaled(int64_t n, float by);
double *widened(const float *p, int64_t n);
// [steps + 1]: where the rows of each step begin, for lengths that fall.
int64_t *first_rows(int variant, int64_t batch, int64_t steps);
// [rows][width] as blocks [block][stride rows][16] from row `first` on, the padding zero.
void to_blocks(float *to, int64_t stride, int64_t first, const float *from, int64_t rows, int64_t width);
float *blocked(const float *from, int64_t rows, int64_t width);
// A value out of blocks [block][rows][slots][16].
float value_at(const float *p, ptrdiff_t block, int64_t width, int64_t row, int64_t slot, int64_t unit);
// Copies such blocks to [rows][slots][units]; `plain` also checks that the padding is zero.
float *unblocked(const float *p, ptrdiff_t block, int64_t rows, int64_t slots, int64_t units);
float *plain(const char *what, const float *p, ptrdiff_t block, int64_t rows, int64_t slots, int64_t units);

typedef enum { WHOLE, BY_ROWS, BY_STEPS, BY_BOTH, BY_UNITS, WITH_COPIES, WAYS } way;
extern const char *const way_names[WAYS];
// All steps forward or backward, in one call or cut: steps into twos, rows into two shares, or both, or units.
void go(const lethe_recurrent *r, way w, bool forward);

#endif

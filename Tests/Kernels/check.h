// A small frame for the kernel tests: checks, numbers to feed kernels with, memory that notices strangers, and a log
// in which the portable kernels write what every other instruction set must repeat bit for bit.
#ifndef LETHE_TESTS_CHECK_H
#define LETHE_TESTS_CHECK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lethe_kernels.h"

// The tests compute what kernels are compared with: no multiply-add may be fused unless it says fma.
#pragma STDC FP_CONTRACT OFF

// ---- the run ----

// The table under test, whether it is the first (the oracle, which alone is compared with the slow twins), and whether
// sizes are to stay small.
extern const lethe_kernels *kernels;
extern bool is_oracle, is_small;

// Names the case that follows, for messages.
void label(const char *format, ...) __attribute__((format(printf, 1, 2)));

// ---- checks ----

bool check(bool ok, const char *format, ...) __attribute__((format(printf, 2, 3)));
// Equal bits; any NaN equals any NaN.
bool equal_bits(const char *what, const float *got, const float *want, int64_t n);
// |got - want| <= tolerance * max(1, |want|), and finite.
bool near(const char *what, const float *got, const double *want, double tolerance, int64_t n);
// Writes a result into the log: hashed into the digest of the instruction set, equal to the oracle's.
void same(const char *what, const float *p, int64_t n);
void same_bytes(const char *what, const void *p, int64_t n);

// ---- memory of one case ----

// Exactly n floats, filled from [-1, 1): nothing around them may be read (the address sanitizer sees it). Their
// alignment changes from call to call.
float *input(int64_t n);
// n floats with guards on both sides; all hold `unwritten` first.
float *output(int64_t n);
// A copy of another buffer, to be written to; guarded.
float *copy_of(const float *p, int64_t n);
void *bytes(size_t n);
double *doubles(int64_t n);  // zeros
bool is_unwritten(const float *p, int64_t n);
// Ends a case: checks all guards and frees everything.
void release(void);

// ---- numbers ----

void seed(uint64_t s);
uint64_t next_bits(void);
// A multiple of 2^-23 in [-1, 1).
float next_float(void);
int64_t next_below(int64_t n);
void fill(float *p, int64_t n, float scale);

static inline int64_t smaller(int64_t a, int64_t b) { return a < b ? a : b; }
static inline int64_t blocks_of(int64_t n) { return (n + 15) / 16; }

// ---- the recurrent cells again, in double, one row and one unit at a time ----

// Weights are [gates][units][units], row by unit; x is [row][slots][units] with the packed rows of lethe_recurrent.
typedef struct twin {
  lethe_cell cell;
  int64_t units, batch, steps;
  const int64_t *first_row;
  const uint8_t *resets;
  double *mask;  // [batch][units] or NULL
  bool hard;
  double slope, offset;
  double *u, *b_hidden, *x, *h0, *c0;
  // What the gradient is taken of: the sum of these times outputs, output gates, final h and final c. NULL: left out.
  double *w_out, *w_gate, *w_h, *w_c;
} twin;

// Gates of the cell's weight, and vectors of saved values a unit, as in lethe_recurrent.
int64_t twin_gates(lethe_cell cell);
int64_t twin_slots(lethe_cell cell);
// Runs one row of the batch. Writes, where not NULL, h and c [row][units] and gates [row][slots][units]; returns the
// row's weighted sum.
double twin_row(const twin *t, int64_t b, double *h, double *c, double *gates);
// The derivative of the sum over all rows, or of row b alone (b >= 0), by *at.
double twin_slope(const twin *t, int64_t b, double *at);

// ---- groups ----

void test_products(void);
void test_layouts(void);
void test_cells(void);
void test_program(void);
void test_described(void);
void test_functions(void);
void test_pointwise(void);
void test_rows(void);
void test_optimizers(void);
void test_matrix_memory(void);
// Once, whatever the instruction set.
void test_random(void);
void test_memory(void);
void test_threads(void);
void test_dispatch(void);

#endif

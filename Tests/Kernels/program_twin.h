// The arithmetic of described cells again, one number at a time.
#ifndef LETHE_TESTS_PROGRAM_TWIN_H
#define LETHE_TESTS_PROGRAM_TWIN_H

#include <math.h>

#include "cell_case.h"

// sigmoid, tanh, exp and log of a float have the bits of the portable kernels, which test_functions.c compares with doubles
// over all floats; those of a double are libm's.
float portable_value(lethe_unary f, float x);
#define FUNCTION(name, of_float, of_double)                    \
  static inline float float_##name(float x) { return of_float; } \
  static inline double double_##name(double x) { return of_double; }
FUNCTION(sigmoid, portable_value(LETHE_SIGMOID, x), 1 / (1 + exp(-x)))
FUNCTION(tanh, portable_value(LETHE_TANH, x), tanh(x))
FUNCTION(exp, portable_value(LETHE_EXP, x), exp(x))
FUNCTION(log, portable_value(LETHE_LOG, x), log(x))
FUNCTION(softplus, (x < 0 ? 0 : x) + float_log(1 + float_exp(-fabsf(x))), fmax(x, 0) + log1p(exp(-fabs(x))))
#undef FUNCTION
#define OF(x, f, d) _Generic((x), float: f, double: d)
#define OF_ONE(name, x) OF(x, float_##name, double_##name)(x)
#define FMA(x, y, z) OF(x, fmaf, fma)(x, y, z)

// Every operation: its name, its operands, and its value, in floats or doubles. What the kernels make of operands that are
// not numbers follows from the comparisons as they stand.
#define EACH_OPERATION(ROW)                                  \
  ROW(COPY, 1, x)                                            \
  ROW(NEGATE, 1, -x)                                         \
  ROW(SIGMOID, 1, OF_ONE(sigmoid, x))                        \
  ROW(TANH, 1, OF_ONE(tanh, x))                              \
  ROW(RELU, 1, x < 0 ? 0 : x)                                \
  ROW(EXP, 1, OF_ONE(exp, x))                                \
  ROW(LOG, 1, OF_ONE(log, x))                                \
  ROW(SQRT, 1, OF(x, sqrtf, sqrt)(x))                        \
  ROW(ABS, 1, OF(x, fabsf, fabs)(x))                         \
  ROW(SOFTPLUS, 1, OF_ONE(softplus, x))                      \
  ROW(POSITIVE, 1, x > 0 ? 1 : 0)                            \
  ROW(ADD, 2, x + y)                                         \
  ROW(SUBTRACT, 2, x - y)                                    \
  ROW(MULTIPLY, 2, x * y)                                    \
  ROW(DIVIDE, 2, x / y)                                      \
  ROW(MAX, 2, x >= y || isnan(x) ? x : y)                    \
  ROW(MIN, 2, x <= y || isnan(x) ? x : y)                    \
  ROW(MULTIPLY_ADD, 3, FMA(x, y, z))                         \
  ROW(SELECT, 3, x > 0 ? y : z)                              \
  ROW(MULTIPLY_SUBTRACT, 3, FMA(x, y, -z))                   \
  ROW(SUBTRACT_MULTIPLY, 3, (x - y) * z)                     \
  ROW(BLEND, 3, FMA(x, y, (1 - x) * z))                      \
  ROW(BLEND_REST, 3, FMA(1 - x, y, x * z))                   \
  ROW(SIGMOID_SLOPE, 2, x * (y * (1 - y)))                   \
  ROW(TANH_SLOPE, 2, x * (1 - y * y))

typedef struct operation_row {
  lethe_operation operation;
  int operands;
  const char *name;
} operation_row;
#define ROW(name, operands, value) {LETHE_OP_##name, operands, #name},
static const operation_row operations[] = {EACH_OPERATION(ROW)};
#undef ROW
enum { OPERATIONS = sizeof operations / sizeof *operations };

float float_operation(lethe_operation o, float x, float y, float z);
double double_operation(lethe_operation o, double x, double y, double z);

// ---- writing code ----

#define PLACE(kind, number) ((lethe_place){LETHE_PLACE_##kind, (uint8_t)(number)})
lethe_code new_code(void);
void put(lethe_code *code, lethe_operation o, lethe_place to, lethe_place x, lethe_place y, lethe_place z);

// ---- whole passes in floats ----

// What forward and backward have to leave behind, bit by bit, in all that r points to: a program whose stages have no
// products, over all steps, rows and blocks.
void float_forward(const lethe_recurrent *r);
void float_backward(const lethe_recurrent *r);

#endif

// exp, log, sigmoid and tanh against libm in double over a dense sweep of all floats, with the errors that functions.h
// states; special values; the derivatives; what stays exact.
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "check.h"

static float of_bits(uint32_t b) {
  float x;
  memcpy(&x, &b, sizeof x);
  return x;
}

// The spacing of floats at y.
static double spacing(double y) {
  y = fabs(y);
  if (y < 0x1p-126) return 0x1p-149;
  int e;
  frexp(y, &e);
  return ldexp(1, e - 24);
}

static double exact(lethe_unary f, double x) {
  switch (f) {
    case LETHE_EXP: return exp(x);
    case LETHE_LOG: return log(x);
    case LETHE_SIGMOID: return x < 0 ? exp(x) / (1 + exp(x)) : 1 / (1 + exp(-x));
    default: return tanh(x);
  }
}

typedef struct {
  double error;
  float at;
} worst;

static void sweep(lethe_unary f, const char *name, uint32_t stride, worst *below, worst *above) {
  enum { MANY = 4096 };
  float *x = input(MANY), *y = output(MANY);
  *below = *above = (worst){0, 0};
  label("sweep of %s", name);
  uint64_t i = 0;
  bool specials = true, in_range = true;
  while (i < 0x100000000u) {
    int64_t n = 0;
    for (; n < MANY && i < 0x100000000u; n++, i += stride) x[n] = of_bits((uint32_t)i);
    kernels->unary(f, y, x, 0, 0, n);
    same(name, y, n);
    if (!is_oracle) continue;
    for (int64_t j = 0; j < n; j++) {
      double v = (double)x[j], want = exact(f, v);
      if (isnan(want) || isinf((float)want)) {
        specials &= isnan(want) ? isnan(y[j]) : y[j] == (float)want;
        continue;
      }
      if (f == LETHE_SIGMOID) in_range &= y[j] >= 0 && y[j] <= 1;
      if (f == LETHE_TANH) in_range &= fabsf(y[j]) <= 1;
      if (f == LETHE_SIGMOID && v < -88.376) {
        specials &= (double)y[j] <= want + 0x1p-149 && want < 4.2e-39;
        continue;
      }
      double error = fabs((double)y[j] - want) / spacing(want);
      worst *w = v < 0 ? below : above;
      if (!(error <= w->error)) *w = (worst){error, x[j]};
    }
  }
  if (is_oracle) {
    check(specials, "a NaN, an infinity or the far tail is wrong");
    check(in_range, "leaves its range");
    printf("  %-8s largest error: x < 0 %.3f ulp at %.9g, x >= 0 %.3f ulp at %.9g\n", name, below->error,
           (double)below->at, above->error, (double)above->at);
  }
  release();
}

static void special(lethe_unary f, float x, float want) {
  float y;
  kernels->unary(f, &y, &x, 0, 0, 1);
  label("special value");
  check(isnan(want) ? isnan(y) : memcmp(&y, &want, sizeof y) == 0, "function %d of %g is %g, not %g", (int)f, (double)x,
        (double)y, (double)want);
}

static void specials(void) {
  const float inf = INFINITY, nan = NAN;
  const float zeros[] = {0.0f, -0.0f};
  for (int i = 0; i < 2; i++) {
    special(LETHE_EXP, zeros[i], 1);
    special(LETHE_LOG, zeros[i], -inf);
    special(LETHE_SIGMOID, zeros[i], 0.5f);
    special(LETHE_TANH, zeros[i], zeros[i]);
    special(LETHE_IDENTITY, zeros[i], zeros[i]);
  }
  special(LETHE_EXP, inf, inf);
  special(LETHE_EXP, -inf, 0);
  // exp of the first is past the largest float by more than half a step, exp of its neighbour is not.
  special(LETHE_EXP, 0x1.62e43p+6f, inf);
  special(LETHE_EXP, 89, inf);
  float largest = 0x1.62e42ep+6f;
  kernels->unary(LETHE_EXP, &largest, &largest, 0, 0, 1);
  check(isfinite(largest), "exp is infinite too early");
  special(LETHE_EXP, -104, 0);
  special(LETHE_EXP, -103, of_bits(1));
  special(LETHE_LOG, 1, 0);
  special(LETHE_LOG, inf, inf);
  special(LETHE_LOG, -1, nan);
  special(LETHE_LOG, -inf, nan);
  special(LETHE_LOG, of_bits(0x80000001), nan);
  special(LETHE_LOG, of_bits(1), (float)log(0x1p-149));
  special(LETHE_SIGMOID, inf, 1);
  special(LETHE_SIGMOID, -inf, 0);
  special(LETHE_SIGMOID, 16.983f, 1);
  special(LETHE_SIGMOID, -89, 0);
  special(LETHE_TANH, inf, 1);
  special(LETHE_TANH, -inf, -1);
  special(LETHE_TANH, 9.0110f, 1);
  special(LETHE_TANH, of_bits(1), of_bits(1));
  special(LETHE_TANH, of_bits(0x80000001), of_bits(0x80000001));
  special(LETHE_RELU, -inf, 0);
  special(LETHE_RELU, inf, inf);
  special(LETHE_RELU, -3, 0);
  special(LETHE_RELU, 3, 3);
  special(LETHE_IDENTITY, -inf, -inf);
  for (int f = 0; f <= LETHE_HARD_SIGMOID; f++) special((lethe_unary)f, nan, nan);
}

// f' at x and y = f(x), in double.
static double slope_at(lethe_unary f, double x, double y, double slope) {
  switch (f) {
    case LETHE_EXP: return y;
    case LETHE_LOG: return 1 / x;
    case LETHE_SIGMOID: return y * (1 - y);
    case LETHE_TANH: return 1 - y * y;
    case LETHE_RELU: return y > 0;
    case LETHE_HARD_SIGMOID: return y > 0 && y < 1 ? slope : 0;
    default: return 1;
  }
}

static void lengths(lethe_unary f, int64_t n) {
  label("function %d of %lld", (int)f, (long long)n);
  const float slope = 0.2f, offset = 0.5f;
  float *x = input(n), *y = output(n), *dy = input(n), *dx = output(n);
  for (int64_t i = 0; i < n; i++) x[i] = f == LETHE_LOG ? fabsf(x[i]) + 0.01f : x[i] * 4;
  double *want = doubles(n), *back = doubles(n);
  kernels->unary(f, y, x, slope, offset, n);
  kernels->unary_backward(f, dx, f == LETHE_LOG ? x : NULL, y, dy, slope, n);
  same("values", y, n);
  same("gradients", dx, n);
  for (int64_t i = 0; i < n; i++) {
    double v = (double)x[i], hard = (double)slope * v + (double)offset;
    want[i] = f == LETHE_IDENTITY       ? v
              : f == LETHE_RELU         ? (v > 0 ? v : 0)
              : f == LETHE_HARD_SIGMOID ? (hard < 0 ? 0 : hard > 1 ? 1 : hard)
                                        : exact(f, v);
    back[i] = (double)dy[i] * slope_at(f, v, (double)y[i], (double)slope);
  }
  near("values", y, want, 4e-7, n);
  near("gradients", dx, back, 4e-7, n);
  float *in_place = copy_of(x, n), *gradient = copy_of(dy, n);
  kernels->unary(f, in_place, in_place, slope, offset, n);
  kernels->unary_backward(f, gradient, f == LETHE_LOG ? x : NULL, y, gradient, slope, n);
  equal_bits("values in place", in_place, y, n);
  equal_bits("gradients in place", gradient, dx, n);
  // A number's result may not depend on where it stands.
  for (int64_t i = 0; i < smaller(n, 40); i++) {
    float one;
    kernels->unary(f, &one, x + i, slope, offset, 1);
    if (memcmp(&one, y + i, sizeof one) != 0) check(false, "the value at %lld depends on its place", (long long)i);
  }
  release();
}

void test_functions(void) {
  uint32_t stride = is_small ? 65521 : 251;
  worst below, above;
  sweep(LETHE_EXP, "exp", stride, &below, &above);
  check(below.error <= 0.90 && above.error <= 0.90, "exp is further off than 0.90 ulp");
  sweep(LETHE_LOG, "log", stride, &below, &above);
  check(above.error <= 0.94, "log is further off than 0.94 ulp");
  sweep(LETHE_SIGMOID, "sigmoid", stride, &below, &above);
  check(below.error <= 2.33 && above.error <= 1.52, "sigmoid is further off than 2.33 and 1.52 ulp");
  sweep(LETHE_TANH, "tanh", stride, &below, &above);
  check(below.error <= 2.14 && above.error <= 2.14, "tanh is further off than 2.14 ulp");
  specials();
  static const int64_t ns[] = {0, 1, 15, 16, 17, 31, 32, 33, 64, 130, 1000};
  seed(31);
  for (int f = 0; f <= LETHE_HARD_SIGMOID; f++)
    for (int i = 0; i < (int)(sizeof ns / sizeof *ns); i++) lengths((lethe_unary)f, ns[i]);
}

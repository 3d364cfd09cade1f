// Sums, differences and reductions.
#include <math.h>
#include <string.h>

#include "check.h"

static const int64_t sizes[] = {0, 1, 15, 16, 17, 63, 64, 65, 130, 4095, 4096, 4097, 12345};

static float plain(lethe_binary f, float a, float b) {
  return f == LETHE_ADD ? a + b : f == LETHE_SUB ? a - b : f == LETHE_MUL ? a * b : a / b;
}

static void binary_case(lethe_binary f, int64_t n) {
  label("binary %d of %lld", (int)f, (long long)n);
  float *a = input(n), *b = input(n), *y = output(n), *want = input(n), *scaled = output(n);
  if (n > 3) b[3] = 0;
  for (int64_t i = 0; i < n; i++) want[i] = plain(f, a[i], b[i]);
  kernels->binary(f, y, a, b, n);
  equal_bits("a, b", y, want, n);
  same("a, b", y, n);
  float *to_a = copy_of(a, n), *to_b = copy_of(b, n);
  kernels->binary(f, to_a, to_a, b, n);
  kernels->binary(f, to_b, a, to_b, n);
  equal_bits("over a", to_a, want, n);
  equal_bits("over b", to_b, want, n);
  float scalar = 0.3f;
  for (int64_t i = 0; i < n; i++) want[i] = plain(f, a[i], scalar);
  kernels->binary_scalar(f, scaled, a, scalar, n);
  equal_bits("with a scalar", scaled, want, n);
  same("with a scalar", scaled, n);
  release();
}

static void column_sums_case(int64_t rows, int64_t columns) {
  label("column_sums of %lld x %lld", (long long)rows, (long long)columns);
  float *x = input(rows * columns), *start = input(columns);
  float *y = copy_of(start, columns), *parts = copy_of(start, columns), *want = copy_of(start, columns);
  for (int64_t r = 0; r < rows; r++)
    for (int64_t c = 0; c < columns; c++) want[c] += x[r * columns + c];
  kernels->column_sums(y, x, rows, columns, 0, columns);
  equal_bits("sums", y, want, columns);
  same("sums", y, columns);
  // Any columns, any order.
  int64_t a = next_below(columns + 1), b = a + next_below(columns - a + 1);
  kernels->column_sums(parts, x, rows, columns, b, columns);
  kernels->column_sums(parts, x, rows, columns, a, b);
  equal_bits("columns outside the range", parts, start, a);
  kernels->column_sums(parts, x, rows, columns, 0, a);
  equal_bits("in three parts", parts, want, columns);
  release();
}

static void reductions(int64_t n) {
  label("reductions of %lld", (long long)n);
  float *x = input(n);
  double sum = 0, squares = 0, size = 0;
  for (int64_t i = 0; i < n; i++) {
    sum += (double)x[i];
    size += fabs((double)x[i]);
    squares += (double)x[i] * (double)x[i];
  }
  double got = kernels->sum(x, n), got_squares = kernels->sum_squares(x, n);
  // A lane of a block of 4,096 adds up to 65 numbers, then 7 rounds join them.
  check(fabs(got - sum) <= size * 80 * 0x1p-24, "sum is %.17g, not %.17g", got, sum);
  check(fabs(got_squares - squares) <= squares * 80 * 0x1p-24, "sum_squares is %.17g, not %.17g", got_squares, squares);
  same_bytes("sum", &got, sizeof got);
  same_bytes("sum_squares", &got_squares, sizeof got_squares);
  check(kernels->all_finite(x, n), "finite numbers are taken for others");
  static const float strange[] = {INFINITY, -INFINITY, NAN};
  for (int s = 0; s < 3 && n; s++)
    for (int64_t at = 0; at < n; at += 1 + n / 37) {
      float kept = x[at];
      x[at] = strange[s];
      check(!kernels->all_finite(x, n), "%g at %lld goes unseen", (double)strange[s], (long long)at);
      x[at] = kept;
    }
  if (n) x[n - 1] = 3.4e38f;
  check(kernels->all_finite(x, n), "the largest floats are taken for infinite");
  release();
}

void test_pointwise(void) {
  seed(41);
  for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
    for (int f = 0; f <= LETHE_DIV; f++) binary_case((lethe_binary)f, sizes[i]);
    reductions(sizes[i]);
  }
  static const int64_t columns[] = {1, 15, 16, 17, 63, 64, 65, 130, 200};
  for (int c = 0; c < 9; c++)
    for (int64_t rows = 0; rows < 40; rows += 13) column_sums_case(rows, columns[c]);

  label("peak_burst");
  double total = kernels->peak_burst(10);
  check(isfinite(total) && total > 0 && kernels->peak_burst_flops > 0, "gives %g", total);
}

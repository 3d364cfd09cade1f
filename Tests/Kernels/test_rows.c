// Softmax, losses, layer normalisation and max pooling.
#include <math.h>
#include <string.h>

#include "check.h"

static void softmax_double(double *y, const float *x, int64_t n) {
  double most = (double)x[0], total = 0;
  for (int64_t i = 1; i < n; i++) most = fmax(most, (double)x[i]);
  for (int64_t i = 0; i < n; i++) total += y[i] = exp((double)x[i] - most);
  for (int64_t i = 0; i < n; i++) y[i] /= total;
}

static void softmax_case(int64_t rows, int64_t columns, float scale) {
  label("softmax %lld x %lld, numbers up to %g", (long long)rows, (long long)columns, (double)scale);
  int64_t n = rows * columns;
  float part = 0.3f;
  float *x = input(n), *y = output(n), *losses = output(rows), *lonely = output(rows), *dx = output(n);
  int32_t *labels = bytes((size_t)rows * sizeof(int32_t));
  for (int64_t i = 0; i < n; i++) x[i] *= scale;
  if (columns > 2) x[columns - 2] = -INFINITY;
  for (int64_t r = 0; r < rows; r++) labels[r] = (int32_t)((r == 0 ? columns - 1 : next_below(columns)) % columns);
  if (columns > 2 && labels[0] == columns - 2) labels[0] = 0;
  double *want = doubles(n), *want_losses = doubles(rows), *want_dx = doubles(n);
  for (int64_t r = 0; r < rows; r++) {
    const float *row = x + r * columns;
    softmax_double(want + r * columns, row, columns);
    // log of the sum, without the loss of digits in log of a tiny share
    double most = (double)row[0], total = 0;
    for (int64_t i = 1; i < columns; i++) most = fmax(most, (double)row[i]);
    for (int64_t i = 0; i < columns; i++) total += exp((double)row[i] - most);
    want_losses[r] = log(total) - ((double)row[labels[r]] - most);
    for (int64_t i = 0; i < columns; i++) want_dx[r * columns + i] = (want[r * columns + i] - (i == labels[r])) * (double)part;
  }
  kernels->softmax(y, x, rows, columns);
  kernels->cross_entropy(losses, dx, x, labels, part, rows, columns);
  kernels->cross_entropy(lonely, NULL, x, labels, part, rows, columns);
  near("softmax", y, want, 1e-6, n);
  near("losses", losses, want_losses, 1e-6, rows);
  near("dx", dx, want_dx, 1e-6, n);
  equal_bits("losses without gradients", lonely, losses, rows);
  float *over = copy_of(x, n), *again = output(rows);
  kernels->cross_entropy(again, over, over, labels, part, rows, columns);
  equal_bits("dx over x", over, dx, n);
  equal_bits("losses with dx over x", again, losses, rows);
  float *in_place = copy_of(x, n);
  kernels->softmax(in_place, in_place, rows, columns);
  equal_bits("softmax over x", in_place, y, n);
  same("softmax", y, n);
  same("losses", losses, rows);
  same("dx", dx, n);
  // A row's bits may not depend on the others.
  float *one = output(columns);
  kernels->softmax(one, x + (rows - 1) * columns, 1, columns);
  equal_bits("last row alone", one, y + (rows - 1) * columns, columns);
  release();
}

static void loss_case(lethe_loss f, int64_t n, float scale) {
  label("loss %d of %lld, numbers up to %g", (int)f, (long long)n, (double)scale);
  float *x = input(n), *t = input(n), *dx = output(n), *over, delta = 0.7f, part = 0.3f;
  double *want = doubles(n), sum = 0, size = 0;
  for (int64_t i = 0; i < n; i++) {
    x[i] *= scale;
    if (f == LETHE_LOSS_BINARY) t[i] = i % 3 == 2 ? 0.5f * t[i] + 0.5f : (float)(i % 3);
    double v = (double)x[i], u = (double)t[i], d = v - u, loss, slope;
    if (f == LETHE_LOSS_SQUARED) loss = d * d, slope = 2 * d;
    else if (f == LETHE_LOSS_HUBER) {
      bool near_zero = fabs(d) <= (double)delta;
      loss = near_zero ? d * d / 2 : (double)delta * (fabs(d) - (double)delta / 2);
      slope = near_zero ? d : copysign((double)delta, d);
    } else loss = fmax(v, 0) - v * u + log1p(exp(-fabs(v))), slope = 1 / (1 + exp(-v)) - u;
    want[i] = slope * (double)part;
    sum += loss;
    size += fabs(loss) + fabs(v * u);
  }
  double got = kernels->elementwise_loss(f, dx, x, t, delta, part, n);
  double alone = kernels->elementwise_loss(f, NULL, x, t, delta, part, n);
  over = copy_of(x, n);
  double again = kernels->elementwise_loss(f, over, over, t, delta, part, n);
  // A lane of a block of 4,096 adds up to 256 numbers.
  check(fabs(got - sum) <= size * 280 * 0x1p-24, "is %.17g, not %.17g", got, sum);
  check(memcmp(&got, &alone, sizeof got) == 0 && memcmp(&got, &again, sizeof got) == 0, "depends on dx");
  near("dx", dx, want, 1e-6, n);
  equal_bits("dx over x", over, dx, n);
  same_bytes("loss", &got, sizeof got);
  same("dx", dx, n);
  release();
}

// What is not a number stays one, in the loss and in its own slope alone.
static void strange_losses(lethe_loss f) {
  label("loss %d of NaN", (int)f);
  float *x = input(21), *t = input(21), *dx = output(21);
  x[18] = NAN;
  check(isnan(kernels->elementwise_loss(f, dx, x, t, 0.7f, 1, 21)), "the loss is a number");
  for (int64_t i = 0; i < 21; i++) check(isnan(dx[i]) == (i == 18), "slope %lld is %g", (long long)i, (double)dx[i]);
  release();
}

static void layer_norm_case(int64_t rows, int64_t columns) {
  label("layer_norm %lld x %lld", (long long)rows, (long long)columns);
  int64_t n = rows * columns;
  float epsilon = 1e-3f;
  float *x = input(n), *weight = input(columns), *bias = input(columns), *dy = input(n);
  float *y = output(n), *mean = output(rows), *inverse = output(rows), *dx = output(n);
  float *start_w = input(columns), *start_b = input(columns);
  float *dweight = copy_of(start_w, columns), *dbias = copy_of(start_b, columns);
  for (int64_t i = 0; i < n; i++) x[i] = x[i] * 2 + 1.5f;
  kernels->layer_norm(y, mean, inverse, x, weight, bias, epsilon, rows, columns);
  kernels->layer_norm_backward(dx, dweight, dbias, x, mean, inverse, weight, dy, rows, columns);

  double *want = doubles(n), *means = doubles(rows), *inverses = doubles(rows);
  double *want_dx = doubles(n), *want_dw = doubles(columns), *want_db = doubles(columns);
  for (int64_t c = 0; c < columns; c++) { want_dw[c] = (double)start_w[c]; want_db[c] = (double)start_b[c]; }
  for (int64_t r = 0; r < rows; r++) {
    const float *v = x + r * columns, *g = dy + r * columns;
    double m = 0, q = 0, a = 0, b = 0;
    for (int64_t c = 0; c < columns; c++) m += (double)v[c] / (double)columns;
    for (int64_t c = 0; c < columns; c++) q += ((double)v[c] - m) * ((double)v[c] - m) / (double)columns;
    double s = 1 / sqrt(q + (double)epsilon);
    means[r] = m;
    inverses[r] = s;
    for (int64_t c = 0; c < columns; c++) {
      double h = ((double)v[c] - m) * s, w = (double)g[c] * (double)weight[c];
      want[r * columns + c] = h * (double)weight[c] + (double)bias[c];
      want_dw[c] += (double)g[c] * h;
      want_db[c] += (double)g[c];
      a += w / (double)columns;
      b += w * h / (double)columns;
    }
    for (int64_t c = 0; c < columns; c++) {
      double h = ((double)v[c] - m) * s;
      want_dx[r * columns + c] = ((double)g[c] * (double)weight[c] - a - h * b) * s;
    }
  }
  // One column has no variance: the inverse is 1 / sqrt(epsilon), which makes more of every rounding.
  double tolerance = columns == 1 ? 1e-4 : 4e-6;
  near("y", y, want, tolerance, n);
  near("mean", mean, means, 1e-6, rows);
  near("inverse", inverse, inverses, tolerance, rows);
  near("dx", dx, want_dx, tolerance * 4, n);
  near("dweight", dweight, want_dw, tolerance * 4, columns);
  near("dbias", dbias, want_db, 4e-6, columns);
  same("y", y, n);
  same("mean", mean, rows);
  same("inverse", inverse, rows);
  same("dx", dx, n);
  same("dweight", dweight, columns);
  same("dbias", dbias, columns);
  // Rows in two calls add to the same chain.
  float *dw2 = copy_of(start_w, columns), *db2 = copy_of(start_b, columns), *dx2 = output(n);
  int64_t cut = rows / 3, at = cut * columns;
  kernels->layer_norm_backward(dx2, dw2, db2, x, mean, inverse, weight, dy, cut, columns);
  kernels->layer_norm_backward(dx2 + at, dw2, db2, x + at, mean + cut, inverse + cut, weight, dy + at, rows - cut,
                               columns);
  equal_bits("dx in two parts", dx2, dx, n);
  equal_bits("dweight in two parts", dw2, dweight, columns);
  equal_bits("dbias in two parts", db2, dbias, columns);
  release();
}

static void pool_case(int64_t images, int64_t height, int64_t width, int64_t channels, int64_t size, bool strange) {
  label("max_pool %lldx%lldx%lldx%lld by %lld", (long long)images, (long long)height, (long long)width,
        (long long)channels, (long long)size);
  int64_t oh = height / size, ow = width / size;
  int64_t n = images * height * width * channels, m = images * oh * ow * channels;
  float *x = input(n), *y = output(m), *dy = input(m), *dx = output(n), *want = input(m), *back = input(n);
  uint8_t *choice = bytes((size_t)m), *chosen = bytes((size_t)m);
  // Few different numbers, so that places tie: the first wins.
  for (int64_t i = 0; i < n; i++) x[i] = floorf(x[i] * 4);
  if (strange)
    for (int64_t i = 0; i < n; i += 7) x[i] = i % 3 ? -INFINITY : NAN;
  memset(back, 0, (size_t)n * sizeof(float));
  for (int64_t p = 0; p < images * oh * ow; p++)
    for (int64_t c = 0; c < channels; c++) {
      int64_t image = p / (oh * ow), i = p / ow % oh, j = p % ow, best = 0, from = 0;
      for (int64_t k = 0; k < size * size; k++) {
        int64_t at = ((image * height + i * size + k / size) * width + j * size + k % size) * channels + c;
        if (k == 0 || x[at] > x[from] || isnan(x[at])) { best = k; from = at; }
      }
      want[p * channels + c] = x[from];
      chosen[p * channels + c] = (uint8_t)best;
      back[from] = dy[p * channels + c];
    }
  kernels->max_pool(y, choice, x, images, height, width, channels, size);
  kernels->max_pool_backward(dx, choice, dy, images, height, width, channels, size);
  equal_bits("y", y, want, m);
  check(memcmp(choice, chosen, (size_t)m) == 0, "choice");
  equal_bits("dx", dx, back, n);
  same("y", y, m);
  same_bytes("choice", choice, m);
  same("dx", dx, n);
  release();
}

void test_rows(void) {
  static const int64_t columns[] = {1, 2, 10, 15, 16, 17, 33, 64, 130, 1000};
  seed(51);
  for (int i = 0; i < 10; i++) {
    softmax_case(1, columns[i], 1);
    softmax_case(7, columns[i], 30);
    softmax_case(4, columns[i], 1000);
    layer_norm_case(1, columns[i]);
    layer_norm_case(9, columns[i]);
  }
  for (int64_t channels = 1; channels < 40; channels += 5)
    for (int64_t size = 1; size <= 3; size++) {
      pool_case(2, 6, 7, channels, size, false);
      pool_case(1, 9, 5, channels, size, true);
    }
  pool_case(1, 17, 16, 3, 16, false);
  static const int64_t sizes[] = {0, 1, 15, 16, 17, 4095, 4096, 4097, 9000};
  for (int f = 0; f <= LETHE_LOSS_BINARY; f++) {
    for (int i = 0; i < 9; i++) loss_case((lethe_loss)f, sizes[i], 1);
    loss_case((lethe_loss)f, 333, 30);
    strange_losses((lethe_loss)f);
  }
}

// Packing of weights and moving of rows: each element against its place in the contract, and back again.
#include <string.h>

#include "check.h"

static const int64_t columns_large[] = {1, 15, 16, 17, 63, 64, 65, 130}, columns_few[] = {1, 17, 64, 65};
static const int64_t k_large[] = {0, 1, 7, 15, 16, 17, 33, 64, 255}, k_few[] = {0, 1, 17, 33};
#define COUNT_OF(a) ((int)(sizeof(a) / sizeof *(a)))

static void pack_case(int64_t k, int64_t columns, int64_t panel, int order) {
  label("pack k %lld columns %lld panel %lld order %d", (long long)k, (long long)columns, (long long)panel, order);
  // 0: row-major; 1: transposed; 2: neither stride is 1.
  ptrdiff_t src_k = order == 0 ? columns + 3 : order == 1 ? 1 : 2;
  ptrdiff_t src_c = order == 0 ? 1 : order == 1 ? k + 1 : 2 * k + 1;
  int64_t size = k == 0 ? 0 : (k - 1) * src_k + (columns - 1) * src_c + 1;
  float *src = input(size);
  int64_t blocks = blocks_of(columns), panels = (blocks + panel - 1) / panel, all = blocks * 16 * k;
  float *got = output(all), *parts = output(all), *want = output(all);
  float *to = want;
  for (int64_t n = 0; n < panels; n++)
    for (int64_t i = 0; i < k; i++)
      for (int64_t b = blocks * n / panels; b < blocks * (n + 1) / panels; b++)
        for (int64_t c = b * 16; c < b * 16 + 16; c++) *to++ = c < columns ? src[i * src_k + c * src_c] : 0;
  kernels->pack(got, src, src_k, src_c, k, columns, panel, 0, panels);
  for (int64_t n = panels - 1; n >= 0; n--) kernels->pack(parts, src, src_k, src_c, k, columns, panel, n, n + 1);
  equal_bits("packed", got, want, all);
  equal_bits("packed panel by panel", parts, want, all);
  same("packed", got, all);
  release();
}

static void gates_case(int64_t units, int64_t k, int64_t file_gates, const int8_t *order, int64_t slots) {
  label("gates units %lld k %lld slots %lld order %d...", (long long)units, (long long)k, (long long)slots, order[0]);
  lethe_gates g = {.units = units, .k = k, .slots = slots};
  memcpy(g.order, order, (size_t)slots);
  int64_t blocks = blocks_of(units), size = blocks * k * slots * 16;
  float *src = input(file_gates * units * k);
  float *packed = output(size), *want = output(size);
  for (int64_t j = 0; j < blocks; j++)
    for (int64_t i = 0; i < k; i++)
      for (int64_t s = 0; s < slots; s++)
        for (int64_t l = 0; l < 16; l++) {
          int64_t unit = j * 16 + l;
          want[((j * k + i) * slots + s) * 16 + l] = unit < units ? src[(order[s] * units + unit) * k + i] : 0;
        }
  int64_t cut = next_below(blocks + 1);
  kernels->pack_gates(packed, src, &g, cut, blocks);
  kernels->pack_gates(packed, src, &g, 0, cut);
  equal_bits("pack_gates", packed, want, size);
  same("pack_gates", packed, size);

  // Back: the gates in the order return, others stay as they were, padding is dropped.
  for (int64_t j = 0; j < size; j++)
    if (want[j] == 0) packed[j] = 77;
  float *back = output(file_gates * units * k);
  kernels->unpack_gates(back, packed, &g, cut, blocks);
  kernels->unpack_gates(back, packed, &g, 0, cut);
  for (int64_t gate = 0; gate < file_gates; gate++) {
    bool is_there = false;
    for (int64_t s = 0; s < slots; s++) is_there |= order[s] == gate;
    float *at = back + gate * units * k;
    if (is_there) equal_bits("unpack_gates", at, src + gate * units * k, units * k);
    else check(is_unwritten(at, units * k), "unpack_gates wrote gate %lld, which is not in its order", (long long)gate);
  }

  int64_t rows = blocks * slots * 16, k_blocks = blocks_of(k), panels = (k_blocks + 3) / 4;
  float *turned = output(k_blocks * 16 * rows), *expected = output(k_blocks * 16 * rows), *to = expected;
  for (int64_t n = 0; n < panels; n++)
    for (int64_t row = 0; row < rows; row++)
      for (int64_t c = k_blocks * n / panels * 16; c < k_blocks * (n + 1) / panels * 16; c++) {
        int64_t unit = row / (slots * 16) * 16 + row % 16, s = row / 16 % slots;
        *to++ = c < k && unit < units ? src[(order[s] * units + unit) * k + c] : 0;
      }
  for (int64_t n = panels - 1; n >= 0; n--) kernels->pack_gates_transposed(turned, src, &g, n, n + 1);
  equal_bits("pack_gates_transposed", turned, expected, k_blocks * 16 * rows);
  same("pack_gates_transposed", turned, k_blocks * 16 * rows);
  release();
}

static void rows_case(int64_t rows, int64_t columns, int64_t past, int64_t gap) {
  label("rows %lld columns %lld of %lld", (long long)rows, (long long)columns, (long long)(columns + past));
  int64_t blocks = blocks_of(columns), block = rows * 16 + gap, sources = rows + 3, width = columns + past;
  float *src = input(sources * width);
  int32_t *map = bytes((size_t)rows * sizeof(int32_t));
  for (int64_t r = 0; r < rows; r++) map[r] = (int32_t)next_below(sources);
  float *got = output(blocks * block), *parts = output(blocks * block);
  kernels->gather_blocks(got, block, src, map, columns, width, 0, rows);
  kernels->gather_blocks(parts, block, src, map, columns, width, rows / 3, rows);
  kernels->gather_blocks(parts, block, src, map, columns, width, 0, rows / 3);
  equal_bits("gathered in two parts", parts, got, blocks * block);
  bool right = true;
  for (int64_t b = 0; b < blocks; b++) {
    for (int64_t r = 0; r < rows; r++)
      for (int64_t l = 0; l < 16; l++) {
        float want = b * 16 + l < columns ? src[map[r] * width + b * 16 + l] : 0;
        right &= got[b * block + r * 16 + l] == want;
      }
    right &= is_unwritten(got + b * block + rows * 16, gap);
  }
  check(right, "gather_blocks");
  same("gathered", got, blocks * block);

  // Each row to a place of its own, the other places untouched; what stands past the last column is dropped.
  for (int64_t r = 0; r < rows; r++) map[r] = (int32_t)(rows - 1 - r + r % 2 * 2);
  float *back = output((rows + 2) * width), *want = output((rows + 2) * width);
  for (int64_t i = 0; i < blocks * block; i++)
    if (got[i] == 0) got[i] = 77;
  for (int64_t r = 0; r < rows; r++)
    for (int64_t c = 0; c < columns; c++) want[map[r] * width + c] = got[c / 16 * block + r * 16 + c % 16];
  kernels->scatter_blocks(back, got, block, map, columns, width, rows / 2, rows);
  kernels->scatter_blocks(back, got, block, map, columns, width, 0, rows / 2);
  equal_bits("scattered", back, want, (rows + 2) * width);
  same("scattered", back, (rows + 2) * width);
  release();
}

void test_layouts(void) {
  const int64_t *columns = is_small ? columns_few : columns_large, *k = is_small ? k_few : k_large;
  int n_columns = is_small ? COUNT_OF(columns_few) : COUNT_OF(columns_large);
  int n_k = is_small ? COUNT_OF(k_few) : COUNT_OF(k_large);
  seed(11);
  for (int c = 0; c < n_columns; c++)
    for (int i = 0; i < n_k; i++)
      for (int64_t panel = 1; panel <= 4; panel++)
        for (int order = 0; order < 3; order++) pack_case(k[i], columns[c], panel, order);

  static const struct {
    int64_t file_gates, slots;
    int8_t order[4];
  } shapes[] = {
      {1, 1, {0}}, {4, 4, {0, 1, 2, 3}}, {4, 4, {3, 1, 0, 2}}, {3, 3, {2, 0, 1}}, {3, 2, {0, 1}}, {3, 1, {2}},
  };
  seed(12);
  for (int s = 0; s < COUNT_OF(shapes); s++)
    for (int c = 0; c < n_columns; c++)
      for (int i = 1; i < n_k; i++)
        gates_case(columns[c], k[i], shapes[s].file_gates, shapes[s].order, shapes[s].slots);

  seed(13);
  for (int c = 0; c < n_columns; c++)
    for (int64_t rows = 0; rows < 9; rows++) rows_case(rows, columns[c], rows % 3 * 5, rows % 2 * 16);
}

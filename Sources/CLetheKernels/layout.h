// Moving rows between the caller's row-major layout and block-major layout.

// The caller's rows lie a sequence apart, too far for the hardware to foresee.
enum { AHEAD = 4 };
LETHE_AI void prefetch_row(const float *rows, const int32_t *map, int64_t r, int64_t end, int64_t columns,
                           int64_t width) {
  if (r >= end) return;
  for (int64_t c = 0; c < columns; c += 16) __builtin_prefetch(rows + map[r] * width + c, 1, 3);
}

// dst[block][row][16] = the first columns of src row map[row], of `width` floats; columns past the last are zero. Blocks lie
// dst_block floats apart.
static void gather_blocks(float *dst, ptrdiff_t dst_block, const float *src, const int32_t *map, int64_t columns,
                          int64_t width, int64_t row0, int64_t row1) {
  int64_t whole = columns / 16, rest = columns % 16;
  for (int64_t r = row0; r < row1; r++) {
    const float *from = src + map[r] * width;
    float *to = dst + r * 16;
    prefetch_row(src, map, r + AHEAD, row1, columns, width);
    for (int64_t q = 0; q < whole; q++) v_store(to + q * dst_block, v_load(from + q * 16));
    if (rest) {
      vf v = v_set(0);
      memcpy(&v, from + whole * 16, (size_t)rest * sizeof(float));
      v_store(to + whole * dst_block, v);
    }
  }
}

// dst row map[row] = src[block][row][16]: the inverse.
static void scatter_blocks(float *dst, const float *src, ptrdiff_t src_block, const int32_t *map, int64_t columns,
                           int64_t width, int64_t row0, int64_t row1) {
  int64_t whole = columns / 16, rest = columns % 16;
  for (int64_t r = row0; r < row1; r++) {
    const float *from = src + r * 16;
    float *to = dst + map[r] * width;
    prefetch_row(dst, map, r + AHEAD, row1, columns, width);
    for (int64_t q = 0; q < whole; q++) v_store(to + q * 16, v_load(from + q * src_block));
    if (rest) memcpy(to + whole * 16, from + whole * src_block, (size_t)rest * sizeof(float));
  }
}

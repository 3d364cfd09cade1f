// Matrix products over any shape, from tiles; packing of right operands; their inverse.

static const float zeros_row[64] __attribute__((aligned(64))) = {0};

enum {
  K_CHUNK = 1024,        // rows of a panel that stay in L2 while the left operand passes
  K_CHUNK_APART = 256,   // where the left operand brings a cache line for each k: these stay in L1 for the next tile
  LEFT_CHUNK = 1 << 16,  // floats of the left operand that stay in L2 while the panels pass
};

// The panels of n blocks, and the first block of one of them.
LETHE_AI int64_t panel_count(int64_t blocks, int64_t panel) { return (blocks + panel - 1) / panel; }
LETHE_AI int64_t panel_start(int64_t blocks, int64_t panel, int64_t i) { return blocks * i / panel_count(blocks, panel); }

// One tile of rows of one panel, k range given by `left` and `w`; `first` and `last` of its k range and of its rows.
LETHE_AI void product_tile(const lethe_product *p, tile_args *t, int64_t row, int64_t m, int64_t block, int64_t vecs,
                           bool first, bool last) {
  int64_t column = block * 16, width = p->left.row_width;
  ptrdiff_t at = block / p->group * p->out_group + block % p->group * 16;
  at += p->out_row_block ? row / width * p->out_row_block + row % width * p->out_row : row * p->out_row;
  ptrdiff_t vec = p->group == 1 ? p->out_group : 16;
  const float *init = zeros_row;
  ptrdiff_t init_row = 0, init_vec = 0;
  if (!first || p->adds) { init = p->out + at; init_row = p->out_row; init_vec = vec; }
  else if (p->initial) {
    init = p->initial + (p->initial_row * row + block / p->group * p->initial_group + block % p->group * 16);
    init_row = p->initial_row; init_vec = p->group == 1 ? p->initial_group : 16;
  }
  int64_t valid = p->right.columns - column;
  if (!p->dense || valid >= vecs * 16) {
    t->init = init; t->init_row = init_row; t->init_vec = init_vec;
    t->out = p->out + at; t->out_row = p->out_row; t->out_vec = vec;
    // Rows past the last may be another thread's.
    t->next = last ? t->out : t->out + m * p->out_row;
    tile_run(t, m, vecs);
    return;
  }
  float edge[8 * 64] __attribute__((aligned(64)));
  for (int64_t i = 0; i < m; i++)
    for (int64_t c = 0; c < vecs * 16; c++)
      edge[i * 64 + c] = c < valid ? init[i * init_row + c / 16 * init_vec + c % 16] : 0;
  t->init = edge; t->init_row = 64; t->init_vec = 16;
  t->out = edge; t->out_row = 64; t->out_vec = 16;
  t->next = edge;
  tile_run(t, m, vecs);
  for (int64_t i = 0; i < m; i++)
    for (int64_t c = 0; c < valid; c++) p->out[at + i * p->out_row + c / 16 * vec + c % 16] = edge[i * 64 + c];
}

// Asks for the next lines of p's fetch, as many as are under way at a time without holding up the tiles.
enum { LINES_AT_ONCE = 24 };
LETHE_AI void fetch_some(const lethe_fetch *f, int64_t *done) {
  int64_t lines = (f->floats + 15) / 16;
  for (int64_t end = *done + LINES_AT_ONCE; *done < end && *done < lines * f->blocks; ++*done)
    __builtin_prefetch(f->at + *done / lines * f->apart + *done % lines * 16, 0, 2);
}

static void product(const lethe_product *p, int64_t row0, int64_t row1, int64_t panel0, int64_t panel1) {
  int64_t blocks = (p->right.columns + 15) / 16, panel = p->right.panel;
  // k is cut so that a panel stays in L2 while rows pass; the chain of sums goes on through memory unchanged.
  bool single = p->left.k_blocks == 1;
  int64_t k_all = single ? p->left.k_last : p->left.k_blocks, unit = single ? 1 : p->left.k_width;
  int64_t most_k = single && p->left.a_k > 16 ? K_CHUNK_APART : K_CHUNK;
  int64_t k_step = unit < 1 ? 1 : unit < most_k ? most_k / unit : 1;
  int64_t width = p->left.row_width ? p->left.row_width : INT64_MAX;
  int64_t depth = (k_step < k_all ? k_step : k_all) * unit;
  int64_t fetched = 0;
  int64_t rows = depth < 1 || LEFT_CHUNK / depth < 96 ? 96 : LEFT_CHUNK / depth / 48 * 48;
  for (int64_t k = 0; k == 0 || k < k_all; k += k_step) {
    int64_t count = k_all - k < k_step ? k_all - k : k_step;
    tile_args t = {.left = p->left};
    if (single) t.left.k_last = count;
    else {
      t.left.k_blocks = count;
      if (k + count < k_all) t.left.k_last = unit;
    }
    int64_t lines = single ? count : (count - 1) * unit + t.left.k_last;
    for (int64_t r0 = row0; r0 < row1; r0 += rows) {
      int64_t r1 = r0 + rows < row1 ? r0 + rows : row1;
      for (int64_t n = panel0; n < panel1; n++) {
        int64_t block = panel_start(blocks, panel, n), vecs = panel_start(blocks, panel, n + 1) - block;
        t.w_k = p->right.w_k ? p->right.w_k : vecs * 16;
        t.w_vec = p->right.w_vec;
        t.w = p->right.w + block / panel * p->right.w_panel + block % panel * (p->right.w_panel / panel) +
              k * unit * t.w_k;
        // Packed panels lie one behind the other; the first tiles of one fetch the next.
        const float *after = t.w + p->right.w_panel / panel * vecs;
        bool fetches = !p->right.w_k && n + 1 < panel1;
        int64_t most = tile_rows(vecs, p->right.w_vec), m, tile = 0;
        for (int64_t r = r0; r < r1; r += m, tile++) {
          int64_t in = r % width, left = r1 - r < width - in ? r1 - r : width - in;
          m = tile_height(left, most);
          t.left.a = p->left.a + r / width * p->left.row_block + in * p->left.a_row +
                     k * (single ? p->left.a_k : p->left.a_block);
          t.ahead = fetches ? tile_ahead(tile, vecs, lines, t.w, after) : t.w;
          if (p->fetch.at) fetch_some(&p->fetch, &fetched);
          product_tile(p, &t, r, m, block, vecs, k == 0, m == left);
        }
      }
    }
  }
}

// Columns of the 16 x 16 matrix become rows: four rounds of interleaving halves.
LETHE_AI void transpose16(vf x[16]) {
  for (int round = 0; round < 4; round++) {
    vf y[16];
    _Pragma("unroll") for (int i = 0; i < 8; i++) {
      y[2 * i] = __builtin_shufflevector(x[i], x[i + 8], 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
      y[2 * i + 1] =
          __builtin_shufflevector(x[i], x[i + 8], 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31);
    }
    _Pragma("unroll") for (int i = 0; i < 16; i++) x[i] = y[i];
  }
}

// `valid` columns of 16, k rows: to[i * to_k + c] = from[i * from_k + c * from_c], zero past `valid`.
LETHE_AI void pack_block(float *to, ptrdiff_t to_k, const float *from, ptrdiff_t from_k, ptrdiff_t from_c, int64_t k,
                         int64_t valid) {
  int64_t i = 0;
  if (valid == 16 && from_c == 1)
    for (; i < k; i++) v_store(to + i * to_k, v_load(from + i * from_k));
  else if (valid == 16 && from_k == 1)
    for (; i + 16 <= k; i += 16) {
      vf x[16];
      _Pragma("unroll") for (int c = 0; c < 16; c++) x[c] = v_load(from + c * from_c + i);
      transpose16(x);
      _Pragma("unroll") for (int c = 0; c < 16; c++) v_store(to + (i + c) * to_k, x[c]);
    }
  for (; i < k; i++)
    for (int64_t c = 0; c < 16; c++) to[i * to_k + c] = c < valid ? from[i * from_k + c * from_c] : 0;
}

static void pack(float *dst, const float *src, ptrdiff_t src_k, ptrdiff_t src_c, int64_t k, int64_t columns,
                 int64_t panel, int64_t panel0, int64_t panel1) {
  int64_t blocks = (columns + 15) / 16;
  for (int64_t n = panel0; n < panel1; n++) {
    int64_t block0 = panel_start(blocks, panel, n), vecs = panel_start(blocks, panel, n + 1) - block0;
    for (int64_t v = 0; v < vecs; v++) {
      int64_t c0 = (block0 + v) * 16, valid = columns - c0 < 16 ? columns - c0 : 16;
      pack_block(dst + block0 * 16 * k + v * 16, vecs * 16, src + c0 * src_c, src_k, src_c, k, valid);
    }
  }
}

static void pack_gates(float *dst, const float *src, const lethe_gates *g, int64_t first, int64_t last) {
  for (int64_t j = first; j < last; j++)
    for (int64_t s = 0; s < g->slots; s++) {
      int64_t valid = g->units - j * 16 < 16 ? g->units - j * 16 : 16;
      pack_block(dst + (j * g->k * g->slots + s) * 16, g->slots * 16,
                 src + (g->order[s] * g->units + j * 16) * g->k, 1, g->k, g->k, valid);
    }
}

static void pack_gates_transposed(float *dst, const float *src, const lethe_gates *g, int64_t first, int64_t last) {
  int64_t blocks = (g->k + 15) / 16, units = (g->units + 15) / 16 * 16, rows = units * g->slots;
  // Source rows are read once, from end to end.
  for (int64_t row = 0; row < rows; row++) {
    int64_t unit = row / (g->slots * 16) * 16 + row % 16, s = row / 16 % g->slots;
    const float *from = src + (g->order[s] * g->units + unit) * g->k;
    for (int64_t n = first; n < last; n++) {
      int64_t block0 = panel_start(blocks, 4, n), vecs = panel_start(blocks, 4, n + 1) - block0;
      float *to = dst + block0 * 16 * rows + row * vecs * 16;
      for (int64_t v = 0; v < vecs; v++) {
        int64_t c0 = (block0 + v) * 16;
        if (unit >= g->units) v_store(to + v * 16, v_set(0));
        else if (c0 + 16 <= g->k) v_store(to + v * 16, v_load(from + c0));
        else for (int64_t c = 0; c < 16; c++) to[v * 16 + c] = c0 + c < g->k ? from[c0 + c] : 0;
      }
    }
  }
}

static void unpack_gates(float *dst, const float *src, const lethe_gates *g, int64_t first, int64_t last) {
  for (int64_t j = first; j < last; j++)
    for (int64_t s = 0; s < g->slots; s++) {
      int64_t valid = g->units - j * 16 < 16 ? g->units - j * 16 : 16, i = 0;
      const float *from = src + (j * g->k * g->slots + s) * 16;
      float *to = dst + (g->order[s] * g->units + j * 16) * g->k;
      if (valid == 16)
        for (; i + 16 <= g->k; i += 16) {
          vf x[16];
          _Pragma("unroll") for (int c = 0; c < 16; c++) x[c] = v_load(from + (i + c) * g->slots * 16);
          transpose16(x);
          _Pragma("unroll") for (int c = 0; c < 16; c++) v_store(to + c * g->k + i, x[c]);
        }
      for (; i < g->k; i++)
        for (int64_t c = 0; c < valid; c++) to[c * g->k + i] = from[i * g->slots * 16 + c];
    }
}

// The one matrix kernel: m rows by v vectors of a product, held in registers while k runs.
//
// It stays a function of its own: with an epilogue in the same body the compiler kept the accumulators in memory,
// and everything ran at a third of the speed. Every product, convolution and recurrent step comes down to it.

typedef struct {
  lethe_operand left;
  const float *w;
  ptrdiff_t w_k, w_vec;  // w_vec 0: 16
  const float *init;
  ptrdiff_t init_row, init_vec;
  float *out;
  ptrdiff_t out_row, out_vec;
  const float *next;  // where the next tile's rows lie, like out; they are fetched meanwhile
  const float *ahead;  // a line for each k of what is read soon, weights of another panel mostly, is fetched into L2
} tile_args;

#define LETHE_TILE(M, V) LETHE_TILE_OF(tile_##M##_##V, M, V, 16)
// Vectors of the right operand that do not lie side by side: the one gate of several blocks of units.
#define LETHE_TILE_APART(M, V) LETHE_TILE_OF(tile_apart_##M##_##V, M, V, t->w_vec)
#define LETHE_TILE_OF(NAME, M, V, W_VEC)                                                                 \
  LETHE_NI void NAME(const tile_args *t) {                                                               \
    vf acc[M][V];                                                                                        \
    const ptrdiff_t w_vec = W_VEC;                                                                       \
    _Pragma("unroll") for (int m = 0; m < M; m++) _Pragma("unroll") for (int v = 0; v < V; v++)          \
        acc[m][v] = v_load(t->init + m * t->init_row + v * t->init_vec);                                 \
    const float *w = t->w, *ahead = t->ahead;                                                            \
    float *out = t->out;                                                                                 \
    const ptrdiff_t out_row = t->out_row, out_vec = t->out_vec;                                          \
    const ptrdiff_t w_k = t->w_k, a_row = t->left.a_row, a_k = t->left.a_k;                              \
    /* The next tile's rows, and the weights sixteen rows ahead: what the hardware does not foresee. */  \
    _Pragma("unroll") for (int m = 0; m < M; m++) _Pragma("unroll") for (int v = 0; v < V; v++)          \
        __builtin_prefetch(t->next + m * out_row + v * out_vec, 1, 3);                                   \
    for (int64_t q = 0; q < t->left.k_blocks; q++) {                                                     \
      /* A pointer for every three rows: offsets 0, 1 and 2 rows are addressing modes, so no chain of adds. */ \
      const float *a[(M + 2) / 3];                                                                       \
      _Pragma("unroll") for (int g = 0; g < (M + 2) / 3; g++)                                            \
          a[g] = t->left.a + q * t->left.a_block + 3 * g * a_row;                                        \
      int64_t n = q == t->left.k_blocks - 1 ? t->left.k_last : t->left.k_width;                          \
      for (int64_t k = 0; k < n; k++, w += w_k, ahead += 16) {                                           \
        __builtin_prefetch(ahead, 0, 2);                                                                 \
        _Pragma("unroll") for (int v = 0; v < V; v++) __builtin_prefetch(w + 16 * w_k + v * w_vec, 0, 3); \
        vf b[V];                                                                                         \
        _Pragma("unroll") for (int v = 0; v < V; v++) b[v] = v_load(w + v * w_vec);                      \
        _Pragma("unroll") for (int m = 0; m < M; m++) {                                                  \
          vf x = v_set(a[m / 3][m % 3 * a_row]);                                                         \
          _Pragma("unroll") for (int v = 0; v < V; v++) acc[m][v] = v_fma(x, b[v], acc[m][v]);           \
        }                                                                                                \
        _Pragma("unroll") for (int g = 0; g < (M + 2) / 3; g++) a[g] += a_k;                             \
      }                                                                                                  \
    }                                                                                                    \
    _Pragma("unroll") for (int m = 0; m < M; m++) _Pragma("unroll") for (int v = 0; v < V; v++)          \
        v_store(out + m * out_row + v * out_vec, acc[m][v]);                                             \
  }
#define LETHE_TILES6(V) \
  LETHE_TILE(1, V) LETHE_TILE(2, V) LETHE_TILE(3, V) LETHE_TILE(4, V) LETHE_TILE(5, V) LETHE_TILE(6, V)
#define LETHE_TILE_ROW6(V) tile_1_##V, tile_2_##V, tile_3_##V, tile_4_##V, tile_5_##V, tile_6_##V

typedef void (*tile_fn)(const tile_args *);

#if LETHE_TILE_VECS == 4
// 32 registers of 16 floats: 6 x 4 or 8 x 3 accumulators.
LETHE_TILES6(1) LETHE_TILES6(2) LETHE_TILES6(3) LETHE_TILES6(4)
LETHE_TILE(7, 1) LETHE_TILE(8, 1) LETHE_TILE(7, 2) LETHE_TILE(8, 2) LETHE_TILE(7, 3) LETHE_TILE(8, 3)
static const tile_fn tile_table[4][8] = {
    {LETHE_TILE_ROW6(1), tile_7_1, tile_8_1},
    {LETHE_TILE_ROW6(2), tile_7_2, tile_8_2},
    {LETHE_TILE_ROW6(3), tile_7_3, tile_8_3},
    {LETHE_TILE_ROW6(4), 0, 0},
};
#define LETHE_TILES_APART6(V)                                                                           \
  LETHE_TILE_APART(1, V) LETHE_TILE_APART(2, V) LETHE_TILE_APART(3, V) LETHE_TILE_APART(4, V)            \
  LETHE_TILE_APART(5, V) LETHE_TILE_APART(6, V)
#define LETHE_TILE_APART_ROW6(V) \
  tile_apart_1_##V, tile_apart_2_##V, tile_apart_3_##V, tile_apart_4_##V, tile_apart_5_##V, tile_apart_6_##V
LETHE_TILES_APART6(2) LETHE_TILES_APART6(3) LETHE_TILES_APART6(4)
static const tile_fn tile_apart_table[3][6] = {
    {LETHE_TILE_APART_ROW6(2)}, {LETHE_TILE_APART_ROW6(3)}, {LETHE_TILE_APART_ROW6(4)}};
LETHE_AI int64_t tile_rows(int64_t vecs, ptrdiff_t w_vec) { return vecs == 4 || w_vec ? 6 : 8; }
LETHE_AI void tile_run(tile_args *t, int64_t rows, int64_t vecs) {
  if (t->w_vec && vecs > 1) tile_apart_table[vecs - 2][rows - 1](t);
  else tile_table[vecs - 1][rows - 1](t);
}
#else
// 16 registers of 8 floats, or 32 of 4: tall tiles are one virtual vector of columns wide, as wider ones spill; one or
// two rows take more columns at a time, or each sum would wait for itself.
LETHE_TILES6(1)
LETHE_TILE(1, 2) LETHE_TILE(1, 3) LETHE_TILE(1, 4) LETHE_TILE(2, 2)
static const tile_fn tile_table[4][6] = {{LETHE_TILE_ROW6(1)}, {tile_1_2, tile_2_2}, {tile_1_3}, {tile_1_4}};
LETHE_AI int64_t tile_rows(int64_t vecs, ptrdiff_t w_vec) { (void)vecs; (void)w_vec; return 6; }
LETHE_AI void tile_run(tile_args *t, int64_t rows, int64_t vecs) {
  int64_t most = t->w_vec || rows > 2 ? 1 : rows == 1 ? 4 : 2, n;
  ptrdiff_t w_vec = t->w_vec ? t->w_vec : 16;
  for (int64_t v = 0; v < vecs; v += n) {
    n = vecs - v < most ? vecs - v : most;
    tile_table[n - 1][rows - 1](t);
    t->w += n * w_vec; t->init += n * t->init_vec; t->out += n * t->out_vec; t->next += n * t->out_vec;
  }
  t->w -= vecs * w_vec; t->init -= vecs * t->init_vec; t->out -= vecs * t->out_vec;
  t->next -= vecs * t->out_vec;
}
#endif

// What tile number `tile` of those that read `vecs` vectors by k of a panel at w fetches of the next one: its part of
// as many floats, or, when all is there, nothing new.
LETHE_AI const float *tile_ahead(int64_t tile, int64_t vecs, int64_t k, const float *w, const float *next) {
  return tile < vecs ? next + tile * k * 16 : w;
}

// The height of the next tile when `left` rows remain: even tiles, never a thin last one (32 = 6+6+5+5+5+5).
LETHE_AI int64_t tile_height(int64_t left, int64_t most) {
  int64_t tiles = (left + most - 1) / most;
  return (left + tiles - 1) / tiles;
}

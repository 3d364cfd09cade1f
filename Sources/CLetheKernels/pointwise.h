// Elementwise kernels, reductions, layer normalisation, pooling and optimizer steps.

// Up to 16 floats; lanes past `n` read as zero and are not written.
LETHE_AI vf v_load_n(const float *p, int64_t n) {
  if (n >= 16) return v_load(p);
  vf v = v_set(0);
  memcpy(&v, p, (size_t)n * sizeof(float));
  return v;
}
LETHE_AI void v_store_n(float *p, vf v, int64_t n) {
  if (n >= 16) v_store(p, v);
  else memcpy(p, &v, (size_t)n * sizeof(float));
}
// The totals of 16 vectors that lie one behind the other, the bits of v_total: every round adds the halves of what is
// left of two vectors and keeps both in one.
LETHE_AI vf v_totals(const float *x) {
  static const int8_t order[16] = {0, 2, 1, 3, 8, 10, 9, 11, 4, 6, 5, 7, 12, 14, 13, 15};
  vf v[16];
  _Pragma("unroll") for (int i = 0; i < 16; i++) v[i] = v_load(x + order[i] * 16);
#define LETHE_JOIN(a, b, ...) (__builtin_shufflevector(a, b, __VA_ARGS__))
  _Pragma("unroll") for (int i = 0; i < 8; i++)
      v[i] = LETHE_JOIN(v[i], v[i + 8], 0, 1, 2, 3, 4, 5, 6, 7, 16, 17, 18, 19, 20, 21, 22, 23) +
             LETHE_JOIN(v[i], v[i + 8], 8, 9, 10, 11, 12, 13, 14, 15, 24, 25, 26, 27, 28, 29, 30, 31);
  _Pragma("unroll") for (int i = 0; i < 4; i++)
      v[i] = LETHE_JOIN(v[i], v[i + 4], 0, 1, 2, 3, 8, 9, 10, 11, 16, 17, 18, 19, 24, 25, 26, 27) +
             LETHE_JOIN(v[i], v[i + 4], 4, 5, 6, 7, 12, 13, 14, 15, 20, 21, 22, 23, 28, 29, 30, 31);
  _Pragma("unroll") for (int i = 0; i < 2; i++)
      v[i] = LETHE_JOIN(v[i], v[i + 2], 0, 1, 16, 17, 4, 5, 20, 21, 8, 9, 24, 25, 12, 13, 28, 29) +
             LETHE_JOIN(v[i], v[i + 2], 2, 3, 18, 19, 6, 7, 22, 23, 10, 11, 26, 27, 14, 15, 30, 31);
  return LETHE_JOIN(v[0], v[1], 0, 2, 16, 18, 4, 6, 20, 22, 8, 10, 24, 26, 12, 14, 28, 30) +
         LETHE_JOIN(v[0], v[1], 1, 3, 17, 19, 5, 7, 21, 23, 9, 11, 25, 27, 13, 15, 29, 31);
#undef LETHE_JOIN
}
#define LETHE_EACH(i, n) for (int64_t i = 0; i < (n); i += 16)

LETHE_AI vf unary_of(lethe_unary f, vf x, float slope, float offset) {
  switch (f) {
    case LETHE_EXP: return v_exp(x);
    case LETHE_LOG: return v_log(x);
    case LETHE_SIGMOID: return v_sigmoid(x);
    case LETHE_TANH: return v_tanh(x);
    case LETHE_RELU: return v_select((vi)(x < v_set(0)), v_set(0), x);
    case LETHE_HARD_SIGMOID: return v_clamp(v_fma(x, v_set(slope), v_set(offset)), 0, 1);
    default: return x;
  }
}
LETHE_AI vf slope_of(lethe_unary f, vf x, vf y, float slope) {
  switch (f) {
    case LETHE_EXP: return y;
    case LETHE_LOG: return 1.0f / x;
    case LETHE_SIGMOID: return y * (1.0f - y);
    case LETHE_TANH: return 1.0f - y * y;
    case LETHE_RELU: return v_select((vi)(y > v_set(0)), v_set(1), v_set(0));
    case LETHE_HARD_SIGMOID:
      return v_select((vi)(y > v_set(0)) & (vi)(y < v_set(1)), v_set(slope), v_set(0));
    default: return v_set(1);
  }
}

#define LETHE_UNARY_CASE(F) \
  case F: LETHE_EACH(i, n) v_store_n(y + i, unary_of(F, v_load_n(x + i, n - i), slope, offset), n - i); break;
static void unary(lethe_unary f, float *y, const float *x, float slope, float offset, int64_t n) {
  switch (f) {
    LETHE_UNARY_CASE(LETHE_IDENTITY) LETHE_UNARY_CASE(LETHE_EXP) LETHE_UNARY_CASE(LETHE_LOG)
    LETHE_UNARY_CASE(LETHE_SIGMOID) LETHE_UNARY_CASE(LETHE_TANH) LETHE_UNARY_CASE(LETHE_RELU)
    LETHE_UNARY_CASE(LETHE_HARD_SIGMOID)
  }
}
#define LETHE_SLOPE_CASE(F)                                                                            \
  case F:                                                                                              \
    LETHE_EACH(i, n) {                                                                                 \
      vf s = slope_of(F, x ? v_load_n(x + i, n - i) : v_set(0), v_load_n(y + i, n - i), slope);        \
      v_store_n(dx + i, v_load_n(dy + i, n - i) * s, n - i);                                           \
    }                                                                                                  \
    break;
static void unary_backward(lethe_unary f, float *dx, const float *x, const float *y, const float *dy, float slope,
                           int64_t n) {
  switch (f) {
    LETHE_SLOPE_CASE(LETHE_IDENTITY) LETHE_SLOPE_CASE(LETHE_EXP) LETHE_SLOPE_CASE(LETHE_LOG)
    LETHE_SLOPE_CASE(LETHE_SIGMOID) LETHE_SLOPE_CASE(LETHE_TANH) LETHE_SLOPE_CASE(LETHE_RELU)
    LETHE_SLOPE_CASE(LETHE_HARD_SIGMOID)
  }
}

LETHE_AI vf binary_of(lethe_binary f, vf a, vf b) {
  switch (f) {
    case LETHE_ADD: return a + b;
    case LETHE_SUB: return a - b;
    case LETHE_MUL: return a * b;
    default: return a / b;
  }
}
static void binary(lethe_binary f, float *y, const float *a, const float *b, int64_t n) {
  LETHE_EACH(i, n) v_store_n(y + i, binary_of(f, v_load_n(a + i, n - i), v_load_n(b + i, n - i)), n - i);
}
static void binary_scalar(lethe_binary f, float *y, const float *a, float b, int64_t n) {
  LETHE_EACH(i, n) v_store_n(y + i, binary_of(f, v_load_n(a + i, n - i), v_set(b)), n - i);
}

static void column_sums(float *sums, const float *x, int64_t rows, int64_t columns, int64_t column0,
                        int64_t column1) {
  for (int64_t c = column0; c < column1; c += 64) {
    int64_t left = column1 - c;
    vf s[4];
    for (int v = 0; v < 4; v++) s[v] = left > v * 16 ? v_load_n(sums + c + v * 16, left - v * 16) : v_set(0);
    if (left >= 64)
      for (int64_t r = 0; r < rows; r++)
        _Pragma("unroll") for (int v = 0; v < 4; v++) s[v] = s[v] + v_load(x + r * columns + c + v * 16);
    else
      for (int64_t r = 0; r < rows; r++)
        for (int v = 0; v < 4 && left > v * 16; v++)
          s[v] = s[v] + v_load_n(x + r * columns + c + v * 16, left - v * 16);
    for (int v = 0; v < 4 && left > v * 16; v++) v_store_n(sums + c + v * 16, s[v], left - v * 16);
  }
}

// Blocks of 4,096 in lanes, then a chain of doubles over the blocks.
#define LETHE_REDUCE(NAME, STEP)                                                                       \
  static double NAME(const float *x, int64_t n) {                                                      \
    double all = 0;                                                                                    \
    for (int64_t b = 0; b < n; b += 4096) {                                                            \
      int64_t end = n - b < 4096 ? n - b : 4096;                                                       \
      vf s[4] = {v_set(0), v_set(0), v_set(0), v_set(0)};                                              \
      int64_t i = 0;                                                                                   \
      for (; i + 64 <= end; i += 64)                                                                   \
        _Pragma("unroll") for (int q = 0; q < 4; q++) { vf v = v_load(x + b + i + q * 16), a = s[q]; s[q] = STEP; } \
      for (; i < end; i += 16) { vf v = v_load_n(x + b + i, end - i), a = s[0]; s[0] = STEP; }         \
      all += (double)v_total((s[0] + s[1]) + (s[2] + s[3]));                                           \
    }                                                                                                  \
    return all;                                                                                        \
  }
LETHE_REDUCE(sum, a + v)
LETHE_REDUCE(sum_squares, v_fma(v, v, a))

static bool all_finite(const float *x, int64_t n) {
  // x - x is 0 for finite numbers and NaN for the rest, and NaN stays.
  vf bad = v_set(0);
  LETHE_EACH(i, n) { vf v = v_load_n(x + i, n - i); bad = bad + (v - v); }
  return v_total(bad) == 0;
}

// ---- layer normalisation --------------------------------------------------------------------------------

static void layer_norm(float *y, float *mean, float *inverse, const float *x, const float *weight, const float *bias,
                       float epsilon, int64_t rows, int64_t columns) {
  for (int64_t r = 0; r < rows; r++, x += columns, y += columns) {
    vf s = v_set(0);
    LETHE_EACH(i, columns) s = s + v_load_n(x + i, columns - i);
    float mu = v_total(s) / (float)columns;
    vf q = v_set(0);
    LETHE_EACH(i, columns) {
      vf d = v_load_n(x + i, columns - i) - mu;
      if (columns - i < 16) for (int64_t l = columns - i; l < 16; l++) d[l] = 0;
      q = v_fma(d, d, q);
    }
    float scale = 1.0f / __builtin_elementwise_sqrt(v_set(v_total(q) / (float)columns + epsilon))[0];
    mean[r] = mu; inverse[r] = scale;
    LETHE_EACH(i, columns) {
      int64_t n = columns - i;
      vf h = (v_load_n(x + i, n) - mu) * scale;
      v_store_n(y + i, v_fma(h, v_load_n(weight + i, n), v_load_n(bias + i, n)), n);
    }
  }
}

static void layer_norm_backward(float *dx, float *dweight, float *dbias, const float *x, const float *mean,
                                const float *inverse, const float *weight, const float *dy, int64_t rows,
                                int64_t columns) {
  for (int64_t r = 0; r < rows; r++, x += columns, dy += columns, dx += columns) {
    vf a = v_set(0), b = v_set(0);
    float mu = mean[r], scale = inverse[r];
    LETHE_EACH(i, columns) {
      int64_t n = columns - i;
      vf d = v_load_n(dy + i, n), h = (v_load_n(x + i, n) - mu) * scale, w = d * v_load_n(weight + i, n);
      a = a + w;
      b = v_fma(w, h, b);
      v_store_n(dweight + i, v_fma(d, h, v_load_n(dweight + i, n)), n);
      v_store_n(dbias + i, d + v_load_n(dbias + i, n), n);
    }
    float ma = v_total(a) / (float)columns, mb = v_total(b) / (float)columns;
    LETHE_EACH(i, columns) {
      int64_t n = columns - i;
      vf h = (v_load_n(x + i, n) - mu) * scale, w = v_load_n(dy + i, n) * v_load_n(weight + i, n);
      v_store_n(dx + i, (w - ma - h * mb) * scale, n);
    }
  }
}

// ---- pooling --------------------------------------------------------------------------------------------

static void max_pool(float *y, uint8_t *choice, const float *x, int64_t images, int64_t height, int64_t width,
                     int64_t channels, int64_t size) {
  int64_t out_h = height / size, out_w = width / size;
  for (int64_t p = 0; p < images * out_h * out_w; p++) {
    int64_t image = p / (out_h * out_w), oy = p / out_w % out_h, ox = p % out_w;
    const float *from = x + ((image * height + oy * size) * width + ox * size) * channels;
    LETHE_EACH(c, channels) {
      int64_t n = channels - c;
      vf best = v_load_n(from + c, n);
      vi at = vi_set(0);
      for (int64_t i = 1; i < size * size; i++) {
        vf v = v_load_n(from + (i / size * width + i % size) * channels + c, n);
        vi more = (vi)(v > best) | (vi)(v != v);
        best = v_select(more, v, best);
        at = (more & vi_set((int32_t)i)) | (~more & at);
      }
      v_store_n(y + p * channels + c, best, n);
      for (int64_t l = 0; l < 16 && l < n; l++) choice[p * channels + c + l] = (uint8_t)at[l];
    }
  }
}

static void max_pool_backward(float *dx, const uint8_t *choice, const float *dy, int64_t images, int64_t height,
                              int64_t width, int64_t channels, int64_t size) {
  int64_t out_h = height / size, out_w = width / size;
  memset(dx, 0, (size_t)(images * height * width * channels) * sizeof(float));
  for (int64_t p = 0; p < images * out_h * out_w; p++) {
    int64_t image = p / (out_h * out_w), oy = p / out_w % out_h, ox = p % out_w;
    float *to = dx + ((image * height + oy * size) * width + ox * size) * channels;
    for (int64_t c = 0; c < channels; c++) {
      int64_t i = choice[p * channels + c];
      to[(i / size * width + i % size) * channels + c] = dy[p * channels + c];
    }
  }
}

// ---- optimizer steps ------------------------------------------------------------------------------------

// Adam (Kingma & Ba 2015) with PyTorch's placing of epsilon; decoupled decay as in AdamW (Loshchilov & Hutter 2019).
static void adam(float *p, float *m, float *v, const float *g, const lethe_adam *a, int64_t n) {
  vf b1 = v_set(a->beta1), b2 = v_set(a->beta2), c1 = v_set(1 - a->beta1), c2 = v_set(1 - a->beta2);
  float step = a->rate / a->correction1, keep = 1 - a->rate * a->decoupled_decay;
  LETHE_EACH(i, n) {
    int64_t w = n - i;
    vf x = v_load_n(p + i, w), d = v_fma(v_set(a->decay), x, v_load_n(g + i, w));
    vf first = v_fma(b1, v_load_n(m + i, w), c1 * d), second = v_fma(b2, v_load_n(v + i, w), c2 * (d * d));
    vf scale = __builtin_elementwise_sqrt(second) / a->correction2 + a->epsilon;
    v_store_n(m + i, first, w);
    v_store_n(v + i, second, w);
    v_store_n(p + i, x * keep - step * (first / scale), w);
  }
}

static void descent(float *p, float *velocity, float *square, const float *g, const lethe_descent *o, int64_t n) {
  LETHE_EACH(i, n) {
    int64_t w = n - i;
    vf x = v_load_n(p + i, w), d = v_fma(v_set(o->decay), x, v_load_n(g + i, w));
    if (square) {
      vf s = v_fma(v_set(o->smoothing), v_load_n(square + i, w), (1 - o->smoothing) * (d * d));
      v_store_n(square + i, s, w);
      d = d / (__builtin_elementwise_sqrt(s) + o->epsilon);
    }
    if (o->momentum != 0) {
      vf u = v_fma(v_set(o->momentum), v_load_n(velocity + i, w), d);
      v_store_n(velocity + i, u, w);
      d = o->nesterov ? v_fma(v_set(o->momentum), u, d) : u;
    }
    v_store_n(p + i, x - o->rate * d, w);
  }
}

// ---- the machine's peak ---------------------------------------------------------------------------------

enum { LETHE_PEAK_CHAINS = LETHE_TILE_VECS == 4 ? 24 : 6 };
static double peak_burst(int64_t n) {
  vf x = v_set(0.999f), y = v_set(0.0001f), a[LETHE_PEAK_CHAINS];
  _Pragma("unroll") for (int i = 0; i < LETHE_PEAK_CHAINS; i++) a[i] = v_set(0.001f * (float)i);
  for (int64_t k = 0; k < n; k++)
    _Pragma("unroll") for (int i = 0; i < LETHE_PEAK_CHAINS; i++) a[i] = v_fma(a[i], x, y);
  for (int i = 1; i < LETHE_PEAK_CHAINS; i++) a[0] = a[0] + a[i];
  return (double)v_total(a[0]);
}

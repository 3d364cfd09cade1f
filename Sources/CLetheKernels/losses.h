// Softmax and the losses. A loss and its gradient come from one call, a row or a block of numbers at a time.

LETHE_AI float row_max(const float *x, int64_t n) {
  float most = x[0];
  vf m = v_set(x[0]);
  int64_t i = 0;
  for (; i + 16 <= n; i += 16) { vf v = v_load(x + i); m = v_select((vi)(v > m), v, m); }
  for (int l = 0; l < 16; l++) if (m[l] > most) most = m[l];
  for (; i < n; i++) if (x[i] > most) most = x[i];
  return most;
}
// y = exp(x - most), where y is wanted; returns the sum.
LETHE_AI float row_exp(float *y, const float *x, float most, int64_t n) {
  vf s = v_set(0);
  LETHE_EACH(i, n) {
    vf e = v_exp(v_load_n(x + i, n - i) - most);
    if (n - i < 16) for (int64_t l = n - i; l < 16; l++) e[l] = 0;
    if (y) v_store_n(y + i, e, n - i);
    s = s + e;
  }
  return v_total(s);
}

static void softmax(float *y, const float *x, int64_t rows, int64_t columns) {
  for (int64_t r = 0; r < rows; r++, x += columns, y += columns) {
    float total = row_exp(y, x, row_max(x, columns), columns);
    LETHE_EACH(i, columns) v_store_n(y + i, v_load_n(y + i, columns - i) / total, columns - i);
  }
}

static void cross_entropy(float *losses, float *dx, const float *x, const int32_t *labels, float scale,
                          int64_t rows, int64_t columns) {
  for (int64_t r = 0; r < rows; r++, x += columns) {
    float most = row_max(x, columns), own = x[labels[r]], total;
    if (dx) {
      float *d = dx + r * columns;
      total = row_exp(d, x, most, columns);
      float share = d[labels[r]] / total;
      LETHE_EACH(i, columns) v_store_n(d + i, v_load_n(d + i, columns - i) / total * scale, columns - i);
      d[labels[r]] = (share - 1) * scale;
    } else {
      total = row_exp(NULL, x, most, columns);
    }
    losses[r] = v_log(v_set(total))[0] - (own - most);
  }
}

typedef struct {
  vf loss, slope;
} scored;

LETHE_AI scored score(lethe_loss f, vf x, vf t, float delta) {
  vf d = x - t;
  switch (f) {
    case LETHE_LOSS_HUBER: {
      vf size = (vf)((vi)d & vi_set(INT32_MAX));
      vf loss = v_select((vi)(size <= v_set(delta)), 0.5f * d * d, delta * (size - 0.5f * delta));
      return (scored){v_select((vi)(d == d), loss, d), v_clamp(d, -delta, delta)};
    }
    case LETHE_LOSS_BINARY: {
      // log(1 + z), good for small z too: log(u) z / (u - 1), where u is 1 + z rounded (Kahan).
      vf z = v_exp((vf)((vi)x | vi_set(INT32_MIN))), u = 1.0f + z;
      vf log_term = v_select((vi)(u == v_set(1)), z, v_log(u) * (z / (u - 1.0f)));
      return (scored){v_select((vi)(x < v_set(0)), v_set(0), x) - x * t + log_term, v_sigmoid(x) - t};
    }
    default: return (scored){d * d, 2.0f * d};
  }
}

// Blocks of 4,096 in lanes, then a chain of doubles over the blocks, as in `sum`.
LETHE_AI double score_all(lethe_loss f, float *dx, const float *x, const float *t, float delta, float scale,
                          int64_t n) {
  double all = 0;
  for (int64_t b = 0; b < n; b += 4096) {
    int64_t end = n - b < 4096 ? n : b + 4096;
    vf total = v_set(0);
    for (int64_t i = b; i < end; i += 16) {
      scored s = score(f, v_load_n(x + i, end - i), v_load_n(t + i, end - i), delta);
      if (end - i < 16) for (int64_t l = end - i; l < 16; l++) s.loss[l] = 0;
      total = total + s.loss;
      if (dx) v_store_n(dx + i, s.slope * scale, end - i);
    }
    all += (double)v_total(total);
  }
  return all;
}

static double elementwise_loss(lethe_loss f, float *dx, const float *x, const float *t, float delta, float scale,
                               int64_t n) {
  switch (f) {
    case LETHE_LOSS_HUBER: return score_all(LETHE_LOSS_HUBER, dx, x, t, delta, scale, n);
    case LETHE_LOSS_BINARY: return score_all(LETHE_LOSS_BINARY, dx, x, t, delta, scale, n);
    default: return score_all(LETHE_LOSS_SQUARED, dx, x, t, delta, scale, n);
  }
}

// Matrix memories: cells whose state is a matrix for each head. One (batch row, head) is one task; tasks never meet.
//
// For every rule, with q, k, a (a number a key) and b (one number) made from the projections at the step:
//   S = diag(a) S' + k u^T      u = b v, with the delta rule b (v - (diag(a) S')^T k)      o = S^T q
// A state is S [key][value padded to 16], then n [key padded to 16], then 16 floats of which the first is m.
// Columns of S never meet in the forward pass, so a vector is 16 columns; sums over keys are one chain, j ascending.
// Sums over columns (backward) and inside the preparation (norms, n^T q) are 16 chains joined in a fixed tree.

enum { LETHE_MEMORY_CHUNK = 32 };  // steps between two states that are kept for the backward pass

typedef struct {
  int64_t kp, vp;  // padded
  int64_t state;   // floats of a state
  int64_t matrix;  // floats of S
} memory_sizes;
LETHE_AI memory_sizes memory_sizes_of(const lethe_memory *m) {
  int64_t kp = (m->key + 15) / 16 * 16, vp = (m->value + 15) / 16 * 16;
  return (memory_sizes){kp, vp, m->key * vp + kp + 16, m->key * vp};
}

// What a step leaves for its backward pass: vectors of keys, vectors of columns, and single numbers.
typedef struct {
  float *q, *k, *a, *u, *e, *o;
  float *number;
} memory_record;
enum {
  MEMORY_B, MEMORY_A,                                               // b; the decay where a head has one
  MEMORY_NQ, MEMORY_FLOOR, MEMORY_DEN, MEMORY_TOOK_INPUT,           // mLSTM
  MEMORY_Q_SCALE = MEMORY_NQ, MEMORY_K_SCALE, MEMORY_RATE,          // delta rule: 1 / |q|, 1 / |k|, exp(A)
};
LETHE_AI int64_t memory_record_floats(memory_sizes s) { return 3 * s.kp + 3 * s.vp + 16; }
LETHE_AI memory_record memory_record_at(float *p, memory_sizes s) {
  float *c = p + 3 * s.kp;
  return (memory_record){p, p + s.kp, p + 2 * s.kp, c, c + s.vp, c + 2 * s.vp, c + 3 * s.vp};
}

static int64_t memory_scratch(const lethe_memory *m, bool backward) {
  memory_sizes s = memory_sizes_of(m);
  int64_t record = memory_record_floats(s);
  if (!backward) return s.state + record;
  // States before, inside and after a chunk, zeros, the carried gradient; records; dq, dk, da; do, dr.
  return (LETHE_MEMORY_CHUNK + 3) * s.state + LETHE_MEMORY_CHUNK * record + 3 * s.kp + 2 * s.vp;
}

static int64_t memory_saved(const lethe_memory *m) {
  return (m->time + LETHE_MEMORY_CHUNK - 1) / LETHE_MEMORY_CHUNK * memory_sizes_of(m).state;
}

LETHE_AI float memory_exp(float x) { return v_exp(v_set(x))[0]; }
LETHE_AI float memory_sigmoid(float x) { return v_sigmoid(v_set(x))[0]; }
// log sigmoid(x) = min(x, 0) - log(1 + exp(-|x|)): finite for every finite x.
LETHE_AI vf v_log_sigmoid(vf x) {
  vf size = (vf)((vi)x & vi_set(0x7fffffff));
  vf low = v_select((vi)(x > v_set(0)), v_set(0), x);
  return low - v_log(v_set(1) + v_exp(-size));
}
LETHE_AI float memory_dot(const float *x, const float *y, int64_t n) {
  vf sum = v_set(0);
  LETHE_EACH(i, n) sum = v_fma(v_load(x + i), v_load(y + i), sum);
  return v_total(sum);
}

// ---- forward --------------------------------------------------------------------------------------------

// q, k, a and b of a step, and n and m where the rule has them.
LETHE_NI void memory_prepare(const lethe_memory *m, memory_sizes s, int64_t row, int64_t head, const float *from,
                             float *to, memory_record r) {
  int64_t key = m->key, at = (row * m->heads + head) * key;
  const float *q = m->q + at, *k = m->k ? m->k + at : NULL;
  const float *gate = m->gate + row * m->heads * 2 + head, *gates = m->gate + at;
  float scale = 1.0f / __builtin_elementwise_sqrt(v_set((float)key))[0];
  switch (m->rule) {
    case LETHE_MEMORY_MLSTM: {
      LETHE_EACH(j, key) {
        v_store(r.q + j, v_load_n(q + j, key - j));
        v_store(r.k + j, v_load_n(k + j, key - j) * scale);
      }
      const float *n = from + s.matrix;
      float input = gate[m->heads], kept = v_log_sigmoid(v_set(gate[0]))[0] + n[s.kp];
      bool empty = true;
      for (int64_t j = 0; j < key; j++) empty = empty && n[j] == 0;
      bool took = empty || input > kept;
      float top = took ? input : kept;
      // Above 0 only where the state is empty; bounded, so that nothing times nothing stays nothing.
      float down = kept - top, f = memory_exp(down > 80.0f ? 80.0f : down), i = memory_exp(input - top);
      LETHE_EACH(j, key) {
        v_store(r.a + j, v_set(f));
        v_store(to + s.matrix + j, v_fma(v_set(i), v_load(r.k + j), f * v_load(n + j)));
      }
      to[s.matrix + s.kp] = top;
      float nq = memory_dot(to + s.matrix, r.q, key), size = nq < 0 ? -nq : nq;
      float floor = memory_exp(top < -80.0f ? 80.0f : -top);
      r.number[MEMORY_B] = i;
      r.number[MEMORY_A] = f;
      r.number[MEMORY_NQ] = nq;
      r.number[MEMORY_FLOOR] = floor;
      r.number[MEMORY_DEN] = (size >= floor || size != size ? size : floor) + 1e-6f;
      r.number[MEMORY_TOOK_INPUT] = took;
      break;
    }
    case LETHE_MEMORY_GLA:
      LETHE_EACH(j, key) {
        v_store(r.q + j, v_load_n(q + j, key - j) * scale);
        v_store(r.k + j, v_load_n(k + j, key - j));
        v_store(r.a + j, v_exp(v_log_sigmoid(v_load_n(gates + j, key - j)) * 0.0625f));
      }
      r.number[MEMORY_B] = 1;
      break;
    case LETHE_MEMORY_HGRN2:
      LETHE_EACH(j, key) {
        vf x = v_load_n(q + j, key - j), f = v_load_n(gates + j, key - j);
        v_store(r.q + j, x * v_sigmoid(x));
        v_store(r.k + j, (1.0f - m->option) * v_sigmoid(-f));
        v_store(r.a + j, v_fma(v_set(1.0f - m->option), v_sigmoid(f), v_set(m->option)));
      }
      r.number[MEMORY_B] = 1;
      break;
    case LETHE_MEMORY_DELTA: {
      vf qq = v_set(0), kk = v_set(0);
      LETHE_EACH(j, key) {
        vf x = v_load_n(q + j, key - j), y = v_load_n(k + j, key - j);
        qq = v_fma(x, x, qq);
        kk = v_fma(y, y, kk);
      }
      float rate = memory_exp(m->rate[head]), decay = memory_exp(rate * v_log_sigmoid(v_set(-gate[0]))[0]);
      float q_scale = 1.0f / __builtin_elementwise_sqrt(v_set(v_total(qq) + 1e-6f))[0];
      float k_scale = 1.0f / __builtin_elementwise_sqrt(v_set(v_total(kk) + 1e-6f))[0];
      LETHE_EACH(j, key) {
        v_store(r.q + j, v_load_n(q + j, key - j) * q_scale * scale);
        v_store(r.k + j, v_load_n(k + j, key - j) * k_scale);
        v_store(r.a + j, v_set(decay));
      }
      r.number[MEMORY_B] = m->option * memory_sigmoid(gate[m->heads]);
      r.number[MEMORY_A] = decay;
      r.number[MEMORY_Q_SCALE] = q_scale;
      r.number[MEMORY_K_SCALE] = k_scale;
      r.number[MEMORY_RATE] = rate;
      break;
    }
  }
}

// `n` blocks of columns at once, so that their chains run side by side; `from` may be `to`.
LETHE_AI void memory_columns(int n, bool delta, int64_t key, ptrdiff_t row, const float *v, int64_t columns,
                             const float *from, float *to, memory_record r) {
  vf o[4], e[4], u[4], b = v_set(r.number[MEMORY_B]);
  _Pragma("unroll") for (int c = 0; c < n; c++) {
    o[c] = v_set(0);
    e[c] = v_load_n(v + c * 16, columns - c * 16);
  }
  if (delta) {
    vf read[4];
    _Pragma("unroll") for (int c = 0; c < n; c++) read[c] = v_set(0);
    for (int64_t j = 0; j < key; j++)
      _Pragma("unroll") for (int c = 0; c < n; c++) {
        vf x = r.a[j] * v_load(from + j * row + c * 16);
        v_store(to + j * row + c * 16, x);
        read[c] = v_fma(v_set(r.k[j]), x, read[c]);
      }
    _Pragma("unroll") for (int c = 0; c < n; c++) e[c] = e[c] - read[c];
  }
  _Pragma("unroll") for (int c = 0; c < n; c++) u[c] = b * e[c];
  for (int64_t j = 0; j < key; j++)
    _Pragma("unroll") for (int c = 0; c < n; c++) {
      vf x = delta ? v_load(to + j * row + c * 16) : r.a[j] * v_load(from + j * row + c * 16);
      x = v_fma(v_set(r.k[j]), u[c], x);
      v_store(to + j * row + c * 16, x);
      o[c] = v_fma(v_set(r.q[j]), x, o[c]);
    }
  _Pragma("unroll") for (int c = 0; c < n; c++) {
    v_store(r.e + c * 16, e[c]);
    v_store(r.u + c * 16, u[c]);
    v_store(r.o + c * 16, o[c]);
  }
}

LETHE_NI void memory_step(const lethe_memory *m, memory_sizes s, int64_t row, int64_t head, const float *from,
                          float *to, memory_record r) {
  memory_prepare(m, s, row, head, from, to, r);
  bool delta = m->rule == LETHE_MEMORY_DELTA;
  const float *v = m->v + (row * m->heads + head) * m->value;
  int64_t c = 0;
#define LETHE_MEMORY_COLUMNS(n, d)                                                                         \
  memory_columns(n, d, m->key, s.vp, v + c, m->value - c, from + c, to + c,                               \
                 (memory_record){r.q, r.k, r.a, r.u + c, r.e + c, r.o + c, r.number})
  for (; c + 64 <= s.vp; c += 64)
    if (delta) LETHE_MEMORY_COLUMNS(4, true); else LETHE_MEMORY_COLUMNS(4, false);
  for (; c < s.vp; c += 16)
    if (delta) LETHE_MEMORY_COLUMNS(1, true); else LETHE_MEMORY_COLUMNS(1, false);
#undef LETHE_MEMORY_COLUMNS
  if (m->rule == LETHE_MEMORY_MLSTM)
    LETHE_EACH(i, s.vp) v_store(r.o + i, v_load(r.o + i) / r.number[MEMORY_DEN]);
}

// A task's part of the caller's tensors, to or from one state; a missing tensor is zeros.
LETHE_AI void memory_load(const lethe_memory *m, memory_sizes s, int64_t task, const float *matrix, const float *n,
                          const float *top, float *state) {
  memset(state, 0, (size_t)s.state * sizeof(float));
  if (matrix)
    for (int64_t j = 0; j < m->key; j++)
      memcpy(state + j * s.vp, matrix + (task * m->key + j) * m->value, (size_t)m->value * sizeof(float));
  if (n) memcpy(state + s.matrix, n + task * m->key, (size_t)m->key * sizeof(float));
  if (top) state[s.matrix + s.kp] = top[task];
}
LETHE_AI void memory_unload(const lethe_memory *m, memory_sizes s, int64_t task, float *matrix, float *n, float *top,
                            const float *state) {
  if (matrix)
    for (int64_t j = 0; j < m->key; j++)
      memcpy(matrix + (task * m->key + j) * m->value, state + j * s.vp, (size_t)m->value * sizeof(float));
  if (n) memcpy(n + task * m->key, state + s.matrix, (size_t)m->key * sizeof(float));
  if (top) top[task] = state[s.matrix + s.kp];
}

static void memory_forward(const lethe_memory *m, int64_t first, int64_t last, float *scratch) {
  memory_sizes s = memory_sizes_of(m);
  float *state = scratch;
  memory_record r = memory_record_at(scratch + s.state, s);
  for (int64_t task = first; task < last; task++) {
    int64_t b = task / m->heads, head = task % m->heads, length = m->lengths ? m->lengths[b] : m->time;
    memory_load(m, s, task, m->s0, m->n0, m->m0, state);
    for (int64_t t = 0; t < m->time; t++) {
      int64_t row = b * m->time + t;
      float *out = m->out + (row * m->heads + head) * m->value;
      if (t >= length) {
        memset(out, 0, (size_t)m->value * sizeof(float));
        continue;
      }
      if (m->saved && t % LETHE_MEMORY_CHUNK == 0)
        memcpy(m->saved + task * memory_saved(m) + t / LETHE_MEMORY_CHUNK * s.state, state,
               (size_t)s.state * sizeof(float));
      if (m->resets && m->resets[row]) memset(state, 0, (size_t)s.state * sizeof(float));
      memory_step(m, s, row, head, state, state, r);
      memcpy(out, r.o, (size_t)m->value * sizeof(float));
    }
    memory_unload(m, s, task, m->s, m->n, m->m, state);
  }
}

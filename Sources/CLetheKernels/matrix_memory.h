// Matrix memories: cells whose state is a matrix for each head. One (batch row, head) is one task; tasks never meet.
//
// For every rule, with q, k, a (a number a key) and b (one number) made from the projections at the step:
//   S = diag(a) S' + k u^T      u = b e      e = v, with the delta rule v - (diag(a) S')^T k      o = S^T q
// A state is S [key][value padded to 16], then n [key padded to 16], then 16 floats of which the first is m.
// Columns of S never meet in the forward pass, so a vector is 16 columns; sums over keys are one chain, j ascending.
// Sums over columns (backward) and inside the preparation (norms, n^T q) are 16 chains joined in a fixed tree.
//
// A chunk of steps is prepared as a whole, so that the functions of its gates, which have one number a step, fill
// vectors and wait for nothing. S then takes its steps one by one: that is all that has to. Outputs follow as a whole.

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

// What a chunk's projections are made into.
typedef struct {
  float *q, *k, *a;    // [step][kp]
  float *n;            // MLSTM: [step][kp], after the step
  float *e;            // [step][vp], v until the step
  float *o;            // [step][vp], S^T q
  float *number;       // [kind][step]
  const float *zeros;  // a state
} memory_chunk;
enum {
  MEMORY_B,
  MEMORY_GATE, MEMORY_GATE_2, MEMORY_LOG_SIGMOID,  // gates as they come, where a head has two; of the first or its negative
  MEMORY_A,                                        // the decay where a head has one
  MEMORY_M, MEMORY_TOOK_INPUT, MEMORY_NQ, MEMORY_FLOOR, MEMORY_DEN,  // MLSTM
  MEMORY_Q_SCALE, MEMORY_K_SCALE, MEMORY_WRITE,    // delta rule: 1 / |q|, 1 / |k|, sigmoid of the second gate
  MEMORY_DB, MEMORY_D_NQ, MEMORY_D_M,              // gradients
  MEMORY_D_GATE, MEMORY_D_GATE_2,
  MEMORY_KINDS
};
LETHE_AI float *memory_number(memory_chunk c, int kind) { return c.number + kind * LETHE_MEMORY_CHUNK; }
LETHE_AI int64_t memory_chunk_floats(memory_sizes s) {
  return s.state + LETHE_MEMORY_CHUNK * (4 * s.kp + 2 * s.vp + MEMORY_KINDS);
}
// The chunk in its floats, cleared where no step writes what steps read.
LETHE_AI memory_chunk memory_chunk_at(float *p, memory_sizes s) {
  int64_t keys = LETHE_MEMORY_CHUNK * s.kp;
  float *number = p + s.state, *q = number + LETHE_MEMORY_CHUNK * MEMORY_KINDS, *e = q + 4 * keys;
  memset(p, 0, (size_t)(q - p) * sizeof(float));
  return (memory_chunk){q, q + keys, q + 2 * keys, q + 3 * keys, e, e + LETHE_MEMORY_CHUNK * s.vp, number, p};
}

static int64_t memory_scratch(const lethe_memory *m, bool backward) {
  memory_sizes s = memory_sizes_of(m);
  int64_t forward = memory_chunk_floats(s) + s.state;  // and the state, or the carried gradient
  if (!backward) return forward;
  // S before, inside and after a chunk; dq, dk and da, and the sums they come from.
  return forward + (LETHE_MEMORY_CHUNK + 1) * s.matrix + (LETHE_MEMORY_CHUNK + 16) * 3 * s.kp;
}

static int64_t memory_saved(const lethe_memory *m) {
  return (m->time + LETHE_MEMORY_CHUNK - 1) / LETHE_MEMORY_CHUNK * memory_sizes_of(m).state;
}

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
LETHE_AI bool memory_is_zero(const float *x, int64_t n) {
  vi any = vi_set(0);
  LETHE_EACH(i, n) any |= (vi)(v_load(x + i) != v_set(0));
  return __builtin_reduce_or(any) == 0;
}
LETHE_AI float memory_key_scale(const lethe_memory *m) {
  return 1.0f / __builtin_elementwise_sqrt(v_set((float)m->key))[0];
}
LETHE_AI bool memory_has_gates_of_keys(const lethe_memory *m) {
  return m->rule == LETHE_MEMORY_GLA || m->rule == LETHE_MEMORY_HGRN2;
}
// Brings a row near before it is read, or written: rows of a head lie apart, which the hardware does not foresee.
LETHE_AI void memory_fetch(const float *p, int64_t n) { LETHE_EACH(i, n) __builtin_prefetch(p + i, 0, 2); }
LETHE_AI void memory_fetch_out(const float *p, int64_t n) { LETHE_EACH(i, n) __builtin_prefetch(p + i, 1, 3); }
LETHE_AI bool memory_is_reset(const lethe_memory *m, int64_t row) { return m->resets && m->resets[row]; }

// ---- what projections are made into ---------------------------------------------------------------------

// A chunk's rows of n floats, padded. Those of the chunk that comes next, which starts `next` steps on, are fetched; 0:
// there is none.
LETHE_AI void memory_rows(float *to, int64_t padded, const float *from, int64_t apart, int64_t n, int64_t count,
                          int64_t next) {
  for (int64_t i = 0; i < count; i++)
    LETHE_EACH(j, n) v_store(to + i * padded + j, v_load_n(from + i * apart + j, n - j));
  if (next)
    for (int64_t i = next; i < next + LETHE_MEMORY_CHUNK; i++) memory_fetch(from + i * apart, n);
}

// The two gates of a head at every step of a chunk, one behind the other, and back.
LETHE_AI void memory_gates(const lethe_memory *m, memory_chunk c, int64_t row, int64_t head, int64_t count) {
  const float *gate = m->gate + row * m->heads * 2 + head;
  for (int64_t i = 0; i < count; i++, gate += m->heads * 2) {
    memory_number(c, MEMORY_GATE)[i] = gate[0];
    memory_number(c, MEMORY_GATE_2)[i] = gate[m->heads];
  }
}
LETHE_AI void memory_gates_back(const lethe_memory *m, memory_chunk c, int64_t row, int64_t head, int64_t count) {
  float *gate = m->dgate + row * m->heads * 2 + head;
  for (int64_t i = 0; i < count; i++, gate += m->heads * 2) {
    gate[0] = memory_number(c, MEMORY_D_GATE)[i];
    gate[m->heads] = memory_number(c, MEMORY_D_GATE_2)[i];
  }
}

// `state` is n before the chunk and behind it m.
LETHE_NI void memory_prepare_mlstm(const lethe_memory *m, memory_sizes s, memory_chunk c, int64_t row, int64_t head,
                                   int64_t count, const float *state) {
  int64_t key = m->key;
  float scale = memory_key_scale(m), *kept = memory_number(c, MEMORY_LOG_SIGMOID), top = state[s.kp];
  memory_gates(m, c, row, head, count);
  LETHE_EACH(i, count) v_store(kept + i, v_log_sigmoid(v_load(memory_number(c, MEMORY_GATE) + i)));
  for (int64_t i = 0; i < count; i++, row++) {
    float *q = c.q + i * s.kp, *k = c.k + i * s.kp, *a = c.a + i * s.kp, *now = c.n + i * s.kp;
    if (memory_is_reset(m, row)) { state = c.zeros; top = 0; }
    float input = memory_number(c, MEMORY_GATE_2)[i], before = kept[i] + top, bar = before;
    // A branch, seldom taken: the next step's m need not wait for this step's n.
    if (__builtin_expect(memory_is_zero(state, key), false)) bar = -__builtin_inff();
    bool took = input > bar;
    top = took ? input : before;
    // Above 0 only where the state is empty; bounded, so that nothing times nothing stays nothing.
    float down = before - top;
    vf e = v_exp((vf){down > 80.0f ? 80.0f : down, input - top, top < -80.0f ? 80.0f : -top});
    float f = e[0], in = e[1];
    vf nq = v_set(0);
    LETHE_EACH(j, key) {
      vf y = v_load(k + j) * scale, n = v_fma(v_set(in), y, f * v_load(state + j));
      v_store(k + j, y);
      v_store(a + j, v_set(f));
      v_store(now + j, n);
      nq = v_fma(n, v_load(q + j), nq);
    }
    state = now;
    memory_number(c, MEMORY_B)[i] = in;
    memory_number(c, MEMORY_A)[i] = f;
    memory_number(c, MEMORY_M)[i] = top;
    memory_number(c, MEMORY_TOOK_INPUT)[i] = took;
    memory_number(c, MEMORY_FLOOR)[i] = e[2];
    memory_number(c, MEMORY_NQ)[i] = v_total(nq);
  }
  LETHE_EACH(i, count) {
    vf floor = v_load(memory_number(c, MEMORY_FLOOR) + i);
    vf size = (vf)((vi)v_load(memory_number(c, MEMORY_NQ) + i) & vi_set(0x7fffffff));
    v_store(memory_number(c, MEMORY_DEN) + i, v_select((vi)(size < floor), floor, size) + 1e-6f);
  }
}

LETHE_NI void memory_prepare_delta(const lethe_memory *m, memory_sizes s, memory_chunk c, int64_t row, int64_t head,
                                   int64_t count) {
  int64_t key = m->key;
  float scale = memory_key_scale(m), rate = v_exp(v_set(m->rate[head]))[0];
  float *q_scale = memory_number(c, MEMORY_Q_SCALE), *k_scale = memory_number(c, MEMORY_K_SCALE);
  memory_gates(m, c, row, head, count);
  for (int64_t i = 0; i < count; i++) {
    q_scale[i] = memory_dot(c.q + i * s.kp, c.q + i * s.kp, key);
    k_scale[i] = memory_dot(c.k + i * s.kp, c.k + i * s.kp, key);
  }
  LETHE_EACH(i, count) {
    vf log = v_log_sigmoid(-v_load(memory_number(c, MEMORY_GATE) + i));
    vf write = v_sigmoid(v_load(memory_number(c, MEMORY_GATE_2) + i));
    v_store(q_scale + i, 1.0f / __builtin_elementwise_sqrt(v_load(q_scale + i) + 1e-6f));
    v_store(k_scale + i, 1.0f / __builtin_elementwise_sqrt(v_load(k_scale + i) + 1e-6f));
    v_store(memory_number(c, MEMORY_LOG_SIGMOID) + i, log);
    v_store(memory_number(c, MEMORY_A) + i, v_exp(rate * log));
    v_store(memory_number(c, MEMORY_WRITE) + i, write);
    v_store(memory_number(c, MEMORY_B) + i, m->option * write);
  }
  for (int64_t i = 0; i < count; i++)
    LETHE_EACH(j, key) {
      int64_t at = i * s.kp + j;
      v_store(c.q + at, v_load(c.q + at) * q_scale[i] * scale);
      v_store(c.k + at, v_load(c.k + at) * k_scale[i]);
      v_store(c.a + at, v_set(memory_number(c, MEMORY_A)[i]));
    }
}

// The rules with a gate for every key: GLA and HGRN2.
LETHE_NI void memory_prepare_keys(const lethe_memory *m, memory_sizes s, memory_chunk c, int64_t row, int64_t head,
                                  int64_t count, int64_t next) {
  int64_t keys = m->heads * m->key;
  float scale = memory_key_scale(m), free = 1.0f - m->option;
  memory_rows(c.a, s.kp, m->gate + row * keys + head * m->key, keys, m->key, count, next);
  LETHE_EACH(i, count) v_store(memory_number(c, MEMORY_B) + i, v_set(1));
  LETHE_EACH(at, count * s.kp) {
    vf q = v_load(c.q + at), gate = v_load(c.a + at);
    if (m->rule == LETHE_MEMORY_GLA) {
      v_store(c.q + at, q * scale);
      v_store(c.a + at, v_exp(v_log_sigmoid(gate) * 0.0625f));
    } else {
      v_store(c.q + at, q * v_sigmoid(q));
      v_store(c.k + at, free * v_sigmoid(-gate));
      v_store(c.a + at, v_fma(v_set(free), v_sigmoid(gate), v_set(m->option)));
    }
  }
}

LETHE_AI void memory_prepare(const lethe_memory *m, memory_sizes s, memory_chunk c, int64_t row, int64_t head,
                             int64_t count, int64_t next, const float *n) {
  int64_t keys = m->heads * m->key, values = m->heads * m->value, at = row * keys + head * m->key;
  memory_rows(c.q, s.kp, m->q + at, keys, m->key, count, next);
  if (m->k) memory_rows(c.k, s.kp, m->k + at, keys, m->key, count, next);
  memory_rows(c.e, s.vp, m->v + row * values + head * m->value, values, m->value, count, next);
  if (m->rule == LETHE_MEMORY_MLSTM) memory_prepare_mlstm(m, s, c, row, head, count, n);
  else if (m->rule == LETHE_MEMORY_DELTA) memory_prepare_delta(m, s, c, row, head, count);
  else memory_prepare_keys(m, s, c, row, head, count, next);
}

// ---- steps ----------------------------------------------------------------------------------------------

// Blocks of 16 columns that go through the keys side by side, as many as the registers hold.
enum { LETHE_MEMORY_WIDE = LETHE_TILE_VECS == 4 ? 4 : 2 };

// A step of some columns of S.
typedef struct {
  int64_t key;
  ptrdiff_t row;
  const float *q, *k, *a;
  float b;
  const float *from;
  float *to, *e, *o;
} memory_columns_args;

LETHE_AI void memory_columns(int n, bool delta, bool reads, memory_columns_args p) {
  vf o[4], e[4], u[4], read[4];
  _Pragma("unroll") for (int c = 0; c < n; c++) {
    o[c] = read[c] = v_set(0);
    e[c] = v_load(p.e + c * 16);
  }
  if (delta) {
    for (int64_t j = 0; j < p.key; j++) {
      vf a = v_set(p.a[j]), k = v_set(p.k[j]);
      _Pragma("unroll") for (int c = 0; c < n; c++) {
        vf x = a * v_load(p.from + j * p.row + c * 16);
        v_store(p.to + j * p.row + c * 16, x);
        read[c] = v_fma(k, x, read[c]);
      }
    }
    _Pragma("unroll") for (int c = 0; c < n; c++) v_store(p.e + c * 16, e[c] = e[c] - read[c]);
  }
  _Pragma("unroll") for (int c = 0; c < n; c++) u[c] = p.b * e[c];
  for (int64_t j = 0; j < p.key; j++) {
    vf a = v_set(p.a[j]), k = v_set(p.k[j]), q = v_set(p.q[j]);
    _Pragma("unroll") for (int c = 0; c < n; c++) {
      vf x = delta ? v_load(p.to + j * p.row + c * 16) : a * v_load(p.from + j * p.row + c * 16);
      x = v_fma(k, u[c], x);
      v_store(p.to + j * p.row + c * 16, x);
      if (reads) o[c] = v_fma(q, x, o[c]);
    }
  }
  if (reads) _Pragma("unroll") for (int c = 0; c < n; c++) v_store(p.o + c * 16, o[c]);
}

// Step i of a chunk: S, e and, where it is read, o. `from` may be `to`.
LETHE_NI void memory_step(const lethe_memory *m, memory_sizes s, memory_chunk c, int64_t i, bool reads,
                          const float *from, float *to) {
  memory_columns_args p = {m->key, s.vp, c.q + i * s.kp, c.k + i * s.kp, c.a + i * s.kp,
                           memory_number(c, MEMORY_B)[i], from, to, c.e + i * s.vp, c.o + i * s.vp};
  int kind = (m->rule == LETHE_MEMORY_DELTA ? 2 : 0) + reads;
  for (int64_t left = s.vp; left > 0;) {
    int64_t columns = left < 16 * LETHE_MEMORY_WIDE ? 16 : 16 * LETHE_MEMORY_WIDE;
    switch (kind + (columns > 16 ? 4 : 0)) {
      case 0: memory_columns(1, false, false, p); break;
      case 1: memory_columns(1, false, true, p); break;
      case 2: memory_columns(1, true, false, p); break;
      case 3: memory_columns(1, true, true, p); break;
      case 4: memory_columns(LETHE_MEMORY_WIDE, false, false, p); break;
      case 5: memory_columns(LETHE_MEMORY_WIDE, false, true, p); break;
      case 6: memory_columns(LETHE_MEMORY_WIDE, true, false, p); break;
      default: memory_columns(LETHE_MEMORY_WIDE, true, true, p); break;
    }
    left -= columns;
    p.from += columns; p.to += columns; p.e += columns; p.o += columns;
  }
}

LETHE_AI void memory_outputs(const lethe_memory *m, memory_sizes s, memory_chunk c, int64_t row, int64_t head,
                             int64_t count) {
  for (int64_t i = 0; i < count; i++) {
    float *out = m->out + ((row + i) * m->heads + head) * m->value;
    LETHE_EACH(j, m->value) {
      vf o = v_load(c.o + i * s.vp + j);
      if (m->rule == LETHE_MEMORY_MLSTM) o = o / memory_number(c, MEMORY_DEN)[i];
      v_store_n(out + j, o, m->value - j);
    }
  }
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
  float *state = scratch, *n = state + s.matrix;
  memory_chunk c = memory_chunk_at(state + s.state, s);
  for (int64_t task = first; task < last; task++) {
    int64_t b = task / m->heads, head = task % m->heads, length = m->lengths ? m->lengths[b] : m->time;
    memory_load(m, s, task, m->s0, m->n0, m->m0, state);
    for (int64_t t = 0; t < length; t += LETHE_MEMORY_CHUNK) {
      int64_t count = length - t < LETHE_MEMORY_CHUNK ? length - t : LETHE_MEMORY_CHUNK, row = b * m->time + t;
      if (m->saved)
        memcpy(m->saved + task * memory_saved(m) + t / LETHE_MEMORY_CHUNK * s.state, state,
               (size_t)s.state * sizeof(float));
      memory_prepare(m, s, c, row, head, count, t + count < length ? count : 0, n);
      for (int64_t i = 0; i < count; i++) {
        memory_fetch_out(m->out + ((row + i) * m->heads + head) * m->value, m->value);
        memory_step(m, s, c, i, true, memory_is_reset(m, row + i) ? c.zeros : state, state);
      }
      memory_outputs(m, s, c, row, head, count);
      if (m->rule == LETHE_MEMORY_MLSTM) {
        memcpy(n, c.n + (count - 1) * s.kp, (size_t)s.kp * sizeof(float));
        n[s.kp] = memory_number(c, MEMORY_M)[count - 1];
      }
    }
    for (int64_t t = length; t < m->time; t++)
      memset(m->out + ((b * m->time + t) * m->heads + head) * m->value, 0, (size_t)m->value * sizeof(float));
    memory_unload(m, s, task, m->s, m->n, m->m, state);
  }
}

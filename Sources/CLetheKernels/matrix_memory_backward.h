// The backward pass of matrix memories; see matrix_memory.h. S is kept at the start of every chunk of steps only: the
// chunk's states are made again, the same bits, and walked back. What does not hand on a matrix is done for the chunk
// as a whole before and after that.

// Gradients of a chunk.
typedef struct {
  float *q, *k, *a;  // [step][kp]
  float *sums;       // [3][kp][16], of which they are the totals
} memory_gradients;
LETHE_AI memory_gradients memory_gradients_at(float *p, memory_sizes s) {
  int64_t keys = LETHE_MEMORY_CHUNK * s.kp;
  memset(p + 3 * keys, 0, (size_t)(3 * s.kp * 16) * sizeof(float));  // those of padding keys stay zero
  return (memory_gradients){p, p + keys, p + 2 * keys, p + 3 * keys};
}

// One step back through some columns of S. On entry `carry` is the gradient of the state after the step from all later
// steps, and d that of o; on return that of the state before it, and of v. Adds to the sums over columns for dq, dk and
// da, which begin at zero with the `first` columns; returns the gradient of b, with that of the columns before.
typedef struct {
  int64_t key;
  ptrdiff_t row, plane;
  const float *q, *k, *a;
  float b;
  const float *was, *now, *e;
  float *carry, *d, *sums;
} memory_back_args;

LETHE_AI vf memory_columns_back(int n, bool delta, bool first, memory_back_args p, vf db) {
  vf o[4], u[4], du[4], read[4];
  _Pragma("unroll") for (int c = 0; c < n; c++) {
    o[c] = v_load(p.d + c * 16);
    du[c] = v_set(0);
  }
  for (int64_t j = 0; j < p.key; j++) {
    vf q = v_set(p.q[j]), k = v_set(p.k[j]);
    _Pragma("unroll") for (int c = 0; c < n; c++) {
      vf x = v_fma(q, o[c], v_load(p.carry + j * p.row + c * 16));
      v_store(p.carry + j * p.row + c * 16, x);
      du[c] = v_fma(k, x, du[c]);
    }
  }
  _Pragma("unroll") for (int c = 0; c < n; c++) {
    vf e = v_load(p.e + c * 16), dv = p.b * du[c];
    db = v_fma(du[c], e, db);
    u[c] = p.b * e;
    read[c] = -dv;
    v_store(p.d + c * 16, dv);
  }
  for (int64_t j = 0; j < p.key; j++) {
    float *sum = p.sums + j * 16;
    vf a = v_set(p.a[j]), k = v_set(p.k[j]);
    vf to_q = first ? v_set(0) : v_load(sum), to_k = first ? v_set(0) : v_load(sum + p.plane);
    vf to_a = first ? v_set(0) : v_load(sum + 2 * p.plane);
    _Pragma("unroll") for (int c = 0; c < n; c++) {
      ptrdiff_t at = j * p.row + c * 16;
      vf x = v_load(p.carry + at), before = v_load(p.was + at);
      to_q = v_fma(v_load(p.now + at), o[c], to_q);
      to_k = v_fma(x, u[c], to_k);
      if (delta) {
        to_k = v_fma(a * before, read[c], to_k);
        x = v_fma(k, read[c], x);
      }
      to_a = v_fma(x, before, to_a);
      v_store(p.carry + at, a * x);
    }
    v_store(sum, to_q);
    v_store(sum + p.plane, to_k);
    v_store(sum + 2 * p.plane, to_a);
  }
  return db;
}

// Step i of a chunk back: the gradients of q, k, a and b, and where that of o was, that of v.
LETHE_NI void memory_step_back(const lethe_memory *m, memory_sizes s, memory_chunk c, memory_gradients g, int64_t i,
                               const float *was, const float *now, float *carry) {
  memory_back_args p = {m->key, s.vp, s.kp * 16, c.q + i * s.kp, c.k + i * s.kp, c.a + i * s.kp,
                        memory_number(c, MEMORY_B)[i], was, now, c.e + i * s.vp, carry, c.o + i * s.vp, g.sums};
  vf db = v_set(0);
  int kind = m->rule == LETHE_MEMORY_DELTA ? 2 : 0;
  for (int64_t left = s.vp; left > 0;) {
    int64_t columns = left < 16 * LETHE_MEMORY_WIDE ? 16 : 16 * LETHE_MEMORY_WIDE;
    switch (kind + (left == s.vp) + (columns > 16 ? 4 : 0)) {
      case 0: db = memory_columns_back(1, false, false, p, db); break;
      case 1: db = memory_columns_back(1, false, true, p, db); break;
      case 2: db = memory_columns_back(1, true, false, p, db); break;
      case 3: db = memory_columns_back(1, true, true, p, db); break;
      case 4: db = memory_columns_back(LETHE_MEMORY_WIDE, false, false, p, db); break;
      case 5: db = memory_columns_back(LETHE_MEMORY_WIDE, false, true, p, db); break;
      case 6: db = memory_columns_back(LETHE_MEMORY_WIDE, true, false, p, db); break;
      default: db = memory_columns_back(LETHE_MEMORY_WIDE, true, true, p, db); break;
    }
    left -= columns;
    p.was += columns; p.now += columns; p.e += columns; p.carry += columns; p.d += columns;
  }
  LETHE_EACH(j, s.kp) {
    v_store(g.q + i * s.kp + j, v_totals(g.sums + j * 16));
    v_store(g.k + i * s.kp + j, v_totals(g.sums + p.plane + j * 16));
    v_store(g.a + i * s.kp + j, v_totals(g.sums + 2 * p.plane + j * 16));
  }
  memory_number(c, MEMORY_DB)[i] = v_total(db);
}

// ---- before the steps: from the gradients of outputs to those of o -------------------------------------------

LETHE_NI void memory_outputs_back(const lethe_memory *m, memory_sizes s, memory_chunk c, int64_t row, int64_t head,
                                  int64_t count) {
  for (int64_t i = 0; i < count; i++) {
    int64_t at = ((row + i) * m->heads + head) * m->value;
    float *o = c.o + i * s.vp;
    if (m->rule != LETHE_MEMORY_MLSTM || !m->dout) {
      LETHE_EACH(j, m->value) v_store(o + j, m->dout ? v_load_n(m->dout + at + j, m->value - j) : v_set(0));
      memory_number(c, MEMORY_D_NQ)[i] = memory_number(c, MEMORY_D_M)[i] = 0;
      continue;
    }
    // out = o / den, den = max(|n^T q|, e^-m) + 1e-6.
    float den = memory_number(c, MEMORY_DEN)[i], nq = memory_number(c, MEMORY_NQ)[i];
    float floor = memory_number(c, MEMORY_FLOOR)[i];
    vf along = v_set(0);
    LETHE_EACH(j, m->value) {
      vf d = v_load_n(m->dout + at + j, m->value - j);
      along = v_fma(d, v_load_n(m->out + at + j, m->value - j), along);
      v_store(o + j, d / den);
    }
    float d_den = -v_total(along) / den;
    bool is_nq = nq >= floor || -nq >= floor;
    memory_number(c, MEMORY_D_NQ)[i] = !is_nq ? 0 : nq >= floor ? d_den : -d_den;
    memory_number(c, MEMORY_D_M)[i] = is_nq ? 0 : -floor * d_den;
  }
}

// ---- after the steps: from the gradients of q, k, a and b to those of the projections ------------------------

// `carry` is the gradient of n, and behind it that of m; `start` is n before the chunk.
LETHE_NI void memory_finish_mlstm(const lethe_memory *m, memory_sizes s, memory_chunk c, memory_gradients g,
                                  int64_t row, int64_t head, int64_t count, const float *start, float *carry) {
  int64_t key = m->key;
  float scale = memory_key_scale(m), d_m = carry[s.kp];
  for (int64_t i = count - 1; i >= 0; i--) {
    bool reset = memory_is_reset(m, row + i);
    int64_t at = ((row + i) * m->heads + head) * key;
    const float *now = c.n + i * s.kp, *was = reset ? c.zeros : i > 0 ? now - s.kp : start;
    float f = memory_number(c, MEMORY_A)[i], in = memory_number(c, MEMORY_B)[i];
    float d_nq = memory_number(c, MEMORY_D_NQ)[i];
    vf df = v_set(0), di = v_set(0);
    LETHE_EACH(j, key) {
      int64_t from = i * s.kp + j, left = key - j;
      vf d = v_fma(v_load(c.q + from), v_set(d_nq), v_load(carry + j));
      df = v_fma(d, v_load(was + j), df + v_load(g.a + from));
      di = v_fma(d, v_load(c.k + from), di);
      v_store_n(m->dq + at + j, v_fma(v_load(now + j), v_set(d_nq), v_load(g.q + from)), left);
      v_store_n(m->dk + at + j, v_fma(v_set(in), d, v_load(g.k + from)) * scale, left);
      v_store(carry + j, reset ? v_set(0) : f * d);
    }
    // f = exp(kept - m), i = exp(input - m), m = max(kept, input), kept = log sigmoid(forget) + m'.
    float d_kept = f * v_total(df), d_input = in * (memory_number(c, MEMORY_DB)[i] + v_total(di));
    float d_max = d_m + memory_number(c, MEMORY_D_M)[i] - d_kept - d_input;
    if (memory_number(c, MEMORY_TOOK_INPUT)[i] != 0) d_input += d_max; else d_kept += d_max;
    memory_number(c, MEMORY_D_GATE)[i] = d_kept;
    memory_number(c, MEMORY_D_GATE_2)[i] = d_input;
    d_m = reset ? 0 : d_kept;
  }
  carry[s.kp] = d_m;
  LETHE_EACH(i, count) {
    float *d = memory_number(c, MEMORY_D_GATE) + i;
    v_store(d, v_load(d) * v_sigmoid(-v_load(memory_number(c, MEMORY_GATE) + i)));
  }
  memory_gates_back(m, c, row, head, count);
}

// With x / |x| the gradient loses its part along x. unit = scale * x * inverse; d is the gradient of unit.
LETHE_AI void memory_unnormalise(float *to, const float *unit, const float *d, float scale, float inverse,
                                 int64_t key) {
  float along = memory_dot(unit, d, key);
  LETHE_EACH(j, key)
    v_store_n(to + j, inverse * (scale * v_load(d + j) - v_load(unit + j) / scale * along), key - j);
}

LETHE_NI void memory_finish_delta(const lethe_memory *m, memory_sizes s, memory_chunk c, memory_gradients g,
                                  int64_t row, int64_t head, int64_t count, float *d_rate) {
  float scale = memory_key_scale(m), rate = v_exp(v_set(m->rate[head]))[0];
  float *d_decay = memory_number(c, MEMORY_D_GATE), *d_write = memory_number(c, MEMORY_D_GATE_2);
  for (int64_t i = 0; i < count; i++) {
    int64_t at = ((row + i) * m->heads + head) * m->key, from = i * s.kp;
    vf sum = v_set(0);
    LETHE_EACH(j, m->key) sum = sum + v_load(g.a + from + j);
    d_decay[i] = v_total(sum);
    memory_unnormalise(m->dq + at, c.q + from, g.q + from, scale, memory_number(c, MEMORY_Q_SCALE)[i], m->key);
    memory_unnormalise(m->dk + at, c.k + from, g.k + from, 1, memory_number(c, MEMORY_K_SCALE)[i], m->key);
  }
  // decay = exp(g), g = -rate * softplus(x), rate = exp(A): dg / dA = g.
  for (int64_t i = count - 1; i >= 0; i--)
    *d_rate += d_decay[i] * memory_number(c, MEMORY_A)[i] * rate * memory_number(c, MEMORY_LOG_SIGMOID)[i];
  LETHE_EACH(i, count) {
    vf write = v_load(memory_number(c, MEMORY_WRITE) + i), x = v_load(memory_number(c, MEMORY_GATE) + i);
    v_store(d_decay + i, -(v_load(d_decay + i) * v_load(memory_number(c, MEMORY_A) + i)) * rate * v_sigmoid(x));
    v_store(d_write + i, v_load(memory_number(c, MEMORY_DB) + i) * m->option * write * (1.0f - write));
  }
  memory_gates_back(m, c, row, head, count);
}

LETHE_NI void memory_finish_keys(const lethe_memory *m, memory_sizes s, memory_chunk c, memory_gradients g,
                                 int64_t row, int64_t head, int64_t count) {
  float scale = memory_key_scale(m), free = 1.0f - m->option;
  for (int64_t i = 0; i < count; i++)
    LETHE_EACH(j, m->key) {
      int64_t at = ((row + i) * m->heads + head) * m->key + j, from = i * s.kp + j, left = m->key - j;
      vf dq = v_load(g.q + from), dk = v_load(g.k + from), da = v_load(g.a + from);
      vf gate = v_load_n(m->gate + at, left);
      if (m->rule == LETHE_MEMORY_GLA) {
        v_store_n(m->dq + at, dq * scale, left);
        v_store_n(m->dk + at, dk, left);
        v_store_n(m->dgate + at, da * (0.0625f * v_load(c.a + from) * v_sigmoid(-gate)), left);
      } else {
        vf x = v_load_n(m->q + at, left), y = v_sigmoid(x);
        v_store_n(m->dq + at, dq * v_fma(x * y, 1.0f - y, y), left);
        v_store_n(m->dgate + at, (da - dk) * (free * v_sigmoid(gate) * v_sigmoid(-gate)), left);
      }
    }
}

// The gradients of the steps past a sequence's length: zeros.
LETHE_AI void memory_clear_row(const lethe_memory *m, int64_t row, int64_t head) {
  int64_t at = row * m->heads + head;
  size_t keys = (size_t)m->key * sizeof(float);
  memset(m->dq + at * m->key, 0, keys);
  if (m->dk) memset(m->dk + at * m->key, 0, keys);
  memset(m->dv + at * m->value, 0, (size_t)m->value * sizeof(float));
  if (memory_has_gates_of_keys(m)) memset(m->dgate + at * m->key, 0, keys);
  else m->dgate[row * m->heads * 2 + head] = m->dgate[(row * 2 + 1) * m->heads + head] = 0;
}

// A chunk of `count` steps from row `row`, last to first, from the state `start`; the chunk done next lies `next` steps
// on. `carry` is the gradient of the state, before and after.
static void memory_chunk_back(const lethe_memory *m, memory_sizes s, memory_chunk c, memory_gradients g,
                              const float *start, int64_t row, int64_t head, int64_t count, int64_t next,
                              float *states, float *carry, float *d_rate) {
  size_t bytes = (size_t)s.matrix * sizeof(float);
  bool per_key = memory_has_gates_of_keys(m);
  memory_prepare(m, s, c, row, head, count, next, start + s.matrix);
  // states[i] is S before step i; the first lies where it was saved.
  for (int64_t i = 0; i < count; i++) {
    const float *before = memory_is_reset(m, row + i) ? c.zeros : i == 0 ? start : states + i * s.matrix;
    int64_t at = ((row + i) * m->heads + head) * m->value;
    if (m->dout) memory_fetch(m->dout + at, m->value);
    if (m->rule == LETHE_MEMORY_MLSTM) memory_fetch(m->out + at, m->value);
    memory_step(m, s, c, i, false, before, states + (i + 1) * s.matrix);
  }
  memory_outputs_back(m, s, c, row, head, count);
  for (int64_t i = count - 1; i >= 0; i--) {
    bool reset = memory_is_reset(m, row + i);
    const float *before = reset ? c.zeros : i == 0 ? start : states + i * s.matrix;
    int64_t at = (row + i) * m->heads + head;
    memory_fetch_out(m->dq + at * m->key, m->key);
    if (m->dk) memory_fetch_out(m->dk + at * m->key, m->key);
    if (per_key) memory_fetch_out(m->dgate + at * m->key, m->key);
    memory_fetch_out(m->dv + at * m->value, m->value);
    memory_step_back(m, s, c, g, i, before, states + (i + 1) * s.matrix, carry);
    if (reset) memset(carry, 0, bytes);
  }
  for (int64_t i = 0; i < count; i++) {
    float *dv = m->dv + ((row + i) * m->heads + head) * m->value;
    LETHE_EACH(j, m->value) v_store_n(dv + j, v_load(c.o + i * s.vp + j), m->value - j);
  }
  if (m->rule == LETHE_MEMORY_MLSTM)
    memory_finish_mlstm(m, s, c, g, row, head, count, start + s.matrix, carry + s.matrix);
  else if (m->rule == LETHE_MEMORY_DELTA) memory_finish_delta(m, s, c, g, row, head, count, d_rate);
  else memory_finish_keys(m, s, c, g, row, head, count);
}

static void memory_backward(const lethe_memory *m, int64_t first, int64_t last, float *scratch) {
  memory_sizes s = memory_sizes_of(m);
  float *carry = scratch, *states = carry + s.state + memory_chunk_floats(s);
  memory_chunk c = memory_chunk_at(carry + s.state, s);
  memory_gradients g = memory_gradients_at(states + (LETHE_MEMORY_CHUNK + 1) * s.matrix, s);
  for (int64_t task = first; task < last; task++) {
    int64_t b = task / m->heads, head = task % m->heads, length = m->lengths ? m->lengths[b] : m->time;
    const float *saved = m->saved + task * memory_saved(m);
    float d_rate = 0;
    memory_load(m, s, task, m->ds, m->dn, m->dm, carry);
    for (int64_t t = length; t < m->time; t++) memory_clear_row(m, b * m->time + t, head);
    for (int64_t t = (length - 1) / LETHE_MEMORY_CHUNK * LETHE_MEMORY_CHUNK; t >= 0 && length > 0;
         t -= LETHE_MEMORY_CHUNK) {
      int64_t count = length - t < LETHE_MEMORY_CHUNK ? length - t : LETHE_MEMORY_CHUNK;
      memory_chunk_back(m, s, c, g, saved + t / LETHE_MEMORY_CHUNK * s.state, b * m->time + t, head, count,
                        t > 0 ? -LETHE_MEMORY_CHUNK : 0, states, carry, &d_rate);
    }
    if (m->drate) m->drate[task] = d_rate;
    memory_unload(m, s, task, m->ds0, m->dn0, m->dm0, carry);
  }
}

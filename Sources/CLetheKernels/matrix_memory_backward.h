// The backward pass of matrix memories; see matrix_memory.h. S is kept at the start of every chunk of steps only: the
// chunk's states and records are made again, the same bits, and walked back.

// One step back. On entry `carry` is the gradient of the state after the step from all later steps and d_out that of
// the step's output; on return `carry` is that of the state before it, and the gradients of q, k, a are in dq, dk, da.
// Returns the gradient of b.
LETHE_NI float memory_matrix_back(const lethe_memory *m, memory_sizes s, const float *was, const float *now,
                                  memory_record r, float *carry, const float *d_out, float *d_read,
                                  float *dv, float *dq, float *dk, float *da) {
  bool delta = m->rule == LETHE_MEMORY_DELTA;
  vf b = v_set(r.number[MEMORY_B]), db = v_set(0);
  LETHE_EACH(c, m->value) {
    vf d = v_load(d_out + c), du = v_set(0);
    for (int64_t j = 0; j < m->key; j++) {
      float *p = carry + j * s.vp + c;
      vf x = v_fma(v_set(r.q[j]), d, v_load(p));
      v_store(p, x);
      du = v_fma(v_set(r.k[j]), x, du);
    }
    vf to_v = b * du;
    db = v_fma(du, v_load(r.e + c), db);
    v_store_n(dv + c, to_v, m->value - c);
    if (delta) v_store(d_read + c, -to_v);
  }
  for (int64_t j = 0; j < m->key; j++) {
    vf to_q = v_set(0), to_k = v_set(0), to_a = v_set(0), a = v_set(r.a[j]), k = v_set(r.k[j]);
    LETHE_EACH(c, s.vp) {
      ptrdiff_t at = j * s.vp + c;
      vf d = v_load(carry + at), before = v_load(was + at);
      to_q = v_fma(v_load(now + at), v_load(d_out + c), to_q);
      to_k = v_fma(d, v_load(r.u + c), to_k);
      if (delta) {
        vf read = v_load(d_read + c);
        to_k = v_fma(a * before, read, to_k);
        d = v_fma(k, read, d);
      }
      to_a = v_fma(d, before, to_a);
      v_store(carry + at, a * d);
    }
    dq[j] = v_total(to_q);
    dk[j] = v_total(to_k);
    da[j] = v_total(to_a);
  }
  return v_total(db);
}

// From the gradients of q, k, a and b to those of the projections. With x / |x| the gradient loses its part along x.
LETHE_AI void memory_unnormalise(float *to, const float *unit, const float *d, float scale, float inverse,
                                 int64_t key) {
  // unit = scale * x * inverse; d is the gradient of unit.
  float along = memory_dot(unit, d, key);
  LETHE_EACH(j, key)
    v_store_n(to + j, inverse * (scale * v_load(d + j) - v_load(unit + j) / scale * along), key - j);
}

LETHE_NI void memory_step_back(const lethe_memory *m, memory_sizes s, int64_t row, int64_t head, const float *was,
                               const float *now, memory_record r, float *carry, float *work, float *d_rate) {
  int64_t key = m->key, heads = m->heads, at = (row * heads + head) * key, columns = (row * heads + head) * m->value;
  float *dq = work, *dk = dq + s.kp, *da = dk + s.kp, *d_out = da + s.kp, *d_read = d_out + s.vp;
  const float *gate = m->gate + row * heads * 2 + head, *gates = m->gate + at;
  float *d_gate = m->dgate + row * heads * 2 + head, *d_gates = m->dgate + at;
  float scale = 1.0f / __builtin_elementwise_sqrt(v_set((float)key))[0];
  bool mlstm = m->rule == LETHE_MEMORY_MLSTM;
  float den = mlstm ? r.number[MEMORY_DEN] : 1, d_den = 0, d_nq = 0, *d_top = carry + s.matrix + s.kp;
  LETHE_EACH(c, s.vp) v_store(d_out + c, m->dout ? v_load_n(m->dout + columns + c, m->value - c) : v_set(0));
  if (mlstm) {
    // o = (S^T q) / den, den = max(|n^T q|, e^-m) + 1e-6.
    d_den = -memory_dot(d_out, r.o, s.vp) / den;
    LETHE_EACH(c, s.vp) v_store(d_out + c, v_load(d_out + c) / den);
    float nq = r.number[MEMORY_NQ], floor = r.number[MEMORY_FLOOR];
    if (nq >= floor) d_nq = d_den;
    else if (-nq >= floor) d_nq = -d_den;
    else *d_top -= floor * d_den;
  }
  float db = memory_matrix_back(m, s, was, now, r, carry, d_out, d_read, m->dv + columns, dq, dk, da);
  switch (m->rule) {
    case LETHE_MEMORY_MLSTM: {
      float f = r.number[MEMORY_A], i = r.number[MEMORY_B], *dn = carry + s.matrix;
      vf df = v_set(0), di = v_set(0);
      LETHE_EACH(j, key) {
        vf d = v_fma(v_load(r.q + j), v_set(d_nq), v_load(dn + j));
        df = v_fma(d, v_load(was + s.matrix + j), df + v_load(da + j));
        di = v_fma(d, v_load(r.k + j), di);
        v_store_n(m->dq + at + j, v_fma(v_load(now + s.matrix + j), v_set(d_nq), v_load(dq + j)), key - j);
        v_store_n(m->dk + at + j, v_fma(v_set(i), d, v_load(dk + j)) * scale, key - j);
        v_store(dn + j, f * d);
      }
      // f = exp(kept - m), i = exp(input - m), m = max(kept, input), kept = log sigmoid(forget) + m'.
      float d_kept = f * v_total(df), d_input = i * (db + v_total(di)), d_max = *d_top - d_kept - d_input;
      if (r.number[MEMORY_TOOK_INPUT] != 0) d_input += d_max; else d_kept += d_max;
      d_gate[0] = d_kept * memory_sigmoid(-gate[0]);
      d_gate[heads] = d_input;
      *d_top = d_kept;
      break;
    }
    case LETHE_MEMORY_GLA:
      LETHE_EACH(j, key) {
        v_store_n(m->dq + at + j, v_load(dq + j) * scale, key - j);
        v_store_n(m->dk + at + j, v_load(dk + j), key - j);
        vf slope = 0.0625f * v_load(r.a + j) * v_sigmoid(-v_load_n(gates + j, key - j));
        v_store_n(d_gates + j, v_load(da + j) * slope, key - j);
      }
      break;
    case LETHE_MEMORY_HGRN2:
      LETHE_EACH(j, key) {
        vf x = v_load_n(m->q + at + j, key - j), y = v_sigmoid(x), f = v_load_n(gates + j, key - j);
        v_store_n(m->dq + at + j, v_load(dq + j) * v_fma(x * y, 1.0f - y, y), key - j);
        vf slope = (1.0f - m->option) * v_sigmoid(f) * v_sigmoid(-f);
        v_store_n(d_gates + j, (v_load(da + j) - v_load(dk + j)) * slope, key - j);
      }
      break;
    case LETHE_MEMORY_DELTA: {
      vf d_decay = v_set(0);
      LETHE_EACH(j, key) d_decay = d_decay + v_load(da + j);
      memory_unnormalise(m->dq + at, r.q, dq, scale, r.number[MEMORY_Q_SCALE], key);
      memory_unnormalise(m->dk + at, r.k, dk, 1, r.number[MEMORY_K_SCALE], key);
      // decay = exp(g), g = -rate * softplus(x), rate = exp(A): dg / dA = g.
      float dg = v_total(d_decay) * r.number[MEMORY_A], rate = r.number[MEMORY_RATE];
      float write = memory_sigmoid(gate[heads]);
      *d_rate += dg * rate * v_log_sigmoid(v_set(-gate[0]))[0];
      d_gate[0] = -dg * rate * memory_sigmoid(gate[0]);
      d_gate[heads] = db * m->option * write * (1.0f - write);
      break;
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
  if (m->rule == LETHE_MEMORY_GLA || m->rule == LETHE_MEMORY_HGRN2) memset(m->dgate + at * m->key, 0, keys);
  else m->dgate[row * m->heads * 2 + head] = m->dgate[(row * 2 + 1) * m->heads + head] = 0;
}

static void memory_backward(const lethe_memory *m, int64_t first, int64_t last, float *scratch) {
  memory_sizes s = memory_sizes_of(m);
  size_t bytes = (size_t)s.state * sizeof(float);
  int64_t floats = memory_record_floats(s);
  float *states = scratch, *zeros = states + (LETHE_MEMORY_CHUNK + 1) * s.state, *carry = zeros + s.state;
  float *records = carry + s.state, *work = records + LETHE_MEMORY_CHUNK * floats;
  memset(zeros, 0, bytes);
  memset(work, 0, (size_t)(3 * s.kp + 2 * s.vp) * sizeof(float));  // padding stays zero
  for (int64_t task = first; task < last; task++) {
    int64_t b = task / m->heads, head = task % m->heads, length = m->lengths ? m->lengths[b] : m->time;
    float d_rate = 0;
    memory_load(m, s, task, m->ds, m->dn, m->dm, carry);
    for (int64_t t = length; t < m->time; t++) memory_clear_row(m, b * m->time + t, head);
    for (int64_t t0 = (length - 1) / LETHE_MEMORY_CHUNK * LETHE_MEMORY_CHUNK; t0 >= 0 && length > 0;
         t0 -= LETHE_MEMORY_CHUNK) {
      int64_t count = length - t0 < LETHE_MEMORY_CHUNK ? length - t0 : LETHE_MEMORY_CHUNK, row0 = b * m->time + t0;
      memcpy(states, m->saved + task * memory_saved(m) + t0 / LETHE_MEMORY_CHUNK * s.state, bytes);
      for (int64_t i = 0; i < count; i++)
        memory_step(m, s, row0 + i, head, m->resets && m->resets[row0 + i] ? zeros : states + i * s.state,
                    states + (i + 1) * s.state, memory_record_at(records + i * floats, s));
      for (int64_t i = count - 1; i >= 0; i--) {
        bool reset = m->resets && m->resets[row0 + i];
        memory_step_back(m, s, row0 + i, head, reset ? zeros : states + i * s.state, states + (i + 1) * s.state,
                         memory_record_at(records + i * floats, s), carry, work, &d_rate);
        if (reset) memset(carry, 0, bytes);
      }
    }
    if (m->drate) m->drate[task] = d_rate;
    memory_unload(m, s, task, m->ds0, m->dn0, m->dm0, carry);
  }
}

// The built-in cells: what happens to a row and a block of 16 units once the sums of its gates are known, and back.

// A gate's activation.
LETHE_AI vf gate(const lethe_recurrent *r, vf x) {
  if (r->hard_gates) return v_clamp(v_fma(x, v_set(r->gate_slope), v_set(r->gate_offset)), 0, 1);
  return v_sigmoid(x);
}
// Its derivative, from its value.
LETHE_AI vf gate_slope(const lethe_recurrent *r, vf g) {
  if (r->hard_gates)
    return v_select((vi)(g > v_set(0)) & (vi)(g < v_set(1)), v_set(r->gate_slope), v_set(0));
  return g * (1.0f - g);
}

// ---- forward --------------------------------------------------------------------------------------------

// Cells of which a function waits for another come in two halves: rows of a tile go through the first, then through the
// second, so that their chains run side by side.

// LSTM (Hochreiter & Schmidhuber 1997; forget gate: Gers, Schmidhuber & Cummins 2000), first half:
//   c = f c' + i u
LETHE_AI void lstm_cell_row(const lethe_recurrent *r, float *g, const float *c_in, float *c_out) {
  vf i = gate(r, v_load(g)), f = gate(r, v_load(g + 16)), u = v_tanh(v_load(g + 32)), o = gate(r, v_load(g + 48));
  v_store(c_out, v_fma(f, v_load(c_in), i * u));
  v_store(g + 48, o);
  if (r->keep_gates) { v_store(g, i); v_store(g + 16, f); v_store(g + 32, u); }
}
// Second half: h = o tanh(c).
LETHE_AI void lstm_hidden_row(const float *g, const float *c, float *h_out) {
  v_store(h_out, v_load(g + 48) * v_tanh(v_load(c)));
}

// GRU, reset after the product (PyTorch, cuDNN), first half: its gates.
LETHE_AI void gru_after_gates_row(const lethe_recurrent *r, float *g) {
  v_store(g + 16, gate(r, v_load(g + 16)));
  v_store(g + 32, gate(r, v_load(g + 32)));
}
// Second half: n = tanh(x_n + r (U_n h' + b_hn)), h = z h' + (1 - z) n.
LETHE_AI void gru_after_state_row(const lethe_recurrent *r, float *g, const float *h_prev, float *h_out) {
  vf n = v_tanh(v_fma(v_load(g + 16), v_load(g + 48), v_load(g))), z = v_load(g + 32);
  v_store(h_out, v_fma(z, v_load(h_prev), (1.0f - z) * n));
  if (r->keep_gates) v_store(g, n);
}

// GRU, reset before the product (Cho et al. 2014), first half: gates and r h'.
LETHE_AI void gru_before_gates_row(const lethe_recurrent *r, float *g, const float *h_in) {
  vf reset = gate(r, v_load(g + 16)), z = gate(r, v_load(g + 32));
  v_store(g + 16, reset); v_store(g + 32, z); v_store(g + 48, reset * v_load(h_in));
}
// Second half: n = tanh(x_n + U_n (r h')), h = z h' + (1 - z) n.
LETHE_AI void gru_before_state_row(float *g, const float *h_prev, float *h_out) {
  vf n = v_tanh(v_load(g)), z = v_load(g + 32);
  v_store(g, n);
  v_store(h_out, v_fma(z, v_load(h_prev), (1.0f - z) * n));
}

// RNN (Elman 1990): h = tanh(x + U h' + b), or relu.
LETHE_AI void rnn_forward_row(lethe_cell cell, const float *g, float *h_out) {
  vf x = v_load(g);
  v_store(h_out, cell == LETHE_CELL_RNN_TANH ? v_tanh(x) : v_select((vi)(x < v_set(0)), v_set(0), x));
}

// ---- backward -------------------------------------------------------------------------------------------

// Each takes dh, the whole gradient of h_t, turns gate values into gradients of the pre-activations in place, and
// leaves in `carry` what reaches the previous state past the matrix product. `cut` says the state was reset here.

LETHE_AI void lstm_backward_row(const lethe_recurrent *r, float *g, vf dh, vf d_output, const float *c_in,
                                const float *c_out, float *carry, bool cut) {
  vf i = v_load(g), f = v_load(g + 16), u = v_load(g + 32), o = v_load(g + 48);
  vf tc = v_tanh(v_load(c_out));
  vf dc = v_fma(dh * o, 1.0f - tc * tc, v_load(carry));
  v_store(carry, cut ? v_set(0) : dc * f);
  v_store(g, dc * u * gate_slope(r, i));
  v_store(g + 16, dc * v_load(c_in) * gate_slope(r, f));
  v_store(g + 32, dc * i * (1.0f - u * u));
  v_store(g + 48, v_fma(dh, tc, d_output) * gate_slope(r, o));
}

LETHE_AI void gru_after_backward_row(const lethe_recurrent *r, float *g, vf dh, const float *h_prev, float *carry,
                                     bool cut) {
  vf n = v_load(g), reset = v_load(g + 16), z = v_load(g + 32), hn = v_load(g + 48);
  vf dn = dh * (1.0f - z) * (1.0f - n * n);
  v_store(carry, cut ? v_set(0) : dh * z);
  v_store(g, dn);
  v_store(g + 16, dn * hn * gate_slope(r, reset));
  v_store(g + 32, dh * (v_load(h_prev) - n) * gate_slope(r, z));
  v_store(g + 48, dn * reset);
}

LETHE_AI void gru_before_backward_row(const lethe_recurrent *r, float *g, vf dh, const float *h_prev, float *carry,
                                      bool cut) {
  vf n = v_load(g), z = v_load(g + 32);
  v_store(carry, cut ? v_set(0) : dh * z);
  v_store(g, dh * (1.0f - z) * (1.0f - n * n));
  v_store(g + 32, dh * (v_load(h_prev) - n) * gate_slope(r, z));
}
// d is the gradient of r h', from the candidate.
LETHE_AI void gru_before_reset_row(const lethe_recurrent *r, float *g, vf d, const float *h_in, const float *mask,
                                   float *carry, bool cut) {
  vf reset = v_load(g + 16), through = d * reset;
  v_store(g + 16, d * v_load(h_in) * gate_slope(r, reset));
  if (!cut) v_store(carry, v_load(carry) + (mask ? through * v_load(mask) : through));
}

LETHE_AI void rnn_backward_row(lethe_cell cell, float *g, vf dh, const float *h_out) {
  vf h = v_load(h_out);
  v_store(g, cell == LETHE_CELL_RNN_TANH ? dh * (1.0f - h * h) : v_select((vi)(h > v_set(0)), dh, v_set(0)));
}

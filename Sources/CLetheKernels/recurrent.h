// Recurrent layers: one time loop for all cells; a cell is its gate slots and two epilogues.
//
//   c_t = f_t * c_{t-1} + i_t * u_t        h_t = readout(c_t, o_t)
//
// For each step and each block of 16 units, a tile adds h_{t-1} U to the input projection that already stands in
// `gates`; the epilogue then turns the sums into gates and state while they are in L1.

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

typedef struct {
  int slots;        // vectors of gates a row and block
  int first, gates; // gate slots that h_{t-1} feeds
} cell_shape;

LETHE_AI cell_shape shape_of(lethe_cell cell) {
  switch (cell) {
    case LETHE_CELL_LSTM: return (cell_shape){4, 0, 4};
    case LETHE_CELL_GRU_AFTER: return (cell_shape){4, 1, 3};
    case LETHE_CELL_GRU_BEFORE: return (cell_shape){4, 1, 2};
    default: return (cell_shape){1, 0, 1};
  }
}

// The panels of at most 4 blocks of units that r asks for, and the blocks they hold.
typedef struct { int64_t panel0, panel1, block0, block1; } unit_range;
LETHE_AI unit_range units_of(const lethe_recurrent *r) {
  int64_t blocks = (r->units + 15) / 16, last = r->panel1 ? r->panel1 : panel_count(blocks, 4);
  return (unit_range){r->panel0, last, panel_start(blocks, 4, r->panel0), panel_start(blocks, 4, last)};
}

LETHE_AI int64_t active_rows(const lethe_recurrent *r, int64_t t) {
  if (t >= r->steps) return 0;
  return t < 0 ? r->batch : r->first_row[t + 1] - r->first_row[t];
}

// ---- forward --------------------------------------------------------------------------------------------

// LSTM (Hochreiter & Schmidhuber 1997; forget gate: Gers, Schmidhuber & Cummins 2000):
//   c = f c' + i g      h = o tanh(c)
LETHE_AI void lstm_forward_row(const lethe_recurrent *r, float *g, const float *c_in, float *c_out, float *h_out) {
  vf i = gate(r, v_load(g)), f = gate(r, v_load(g + 16)), u = v_tanh(v_load(g + 32)), o = gate(r, v_load(g + 48));
  vf c = v_fma(f, v_load(c_in), i * u);
  v_store(c_out, c);
  v_store(h_out, o * v_tanh(c));
  if (r->keep_gates) { v_store(g, i); v_store(g + 16, f); v_store(g + 32, u); v_store(g + 48, o); }
}

// GRU, reset after the product (PyTorch, cuDNN):
//   n = tanh(x_n + r (U_n h' + b_hn))      h = z h' + (1 - z) n
LETHE_AI void gru_after_forward_row(const lethe_recurrent *r, float *g, const float *h_prev, float *h_out) {
  vf reset = gate(r, v_load(g + 16)), z = gate(r, v_load(g + 32)), hn = v_load(g + 48);
  vf n = v_tanh(v_fma(reset, hn, v_load(g)));
  v_store(h_out, v_fma(z, v_load(h_prev), (1.0f - z) * n));
  if (r->keep_gates) { v_store(g, n); v_store(g + 16, reset); v_store(g + 32, z); }
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

// Fills the state that step t + 1 reads from what step t wrote (t = -1: the initial state).
static void advance(const lethe_recurrent *r, int64_t t, int64_t b0, int64_t b1) {
  int64_t n = active_rows(r, t + 1);
  unit_range own = units_of(r);
  if (n < b1) b1 = n;
  if (t + 1 >= r->steps || b0 >= b1) return;
  int64_t from = t < 0 ? 0 : r->first_row[t], to = r->first_row[t + 1];
  for (int64_t j = own.block0; j < own.block1; j++)
    for (int64_t b = b0; b < b1; b++) {
      ptrdiff_t at = j * r->state_block + (to + b) * 16, was = j * r->state_block + (from + b) * 16;
      ptrdiff_t initial = (j * r->batch + b) * 16;
      bool reset = r->resets && r->resets[to + b];
      vf h = reset ? v_set(0) : v_load(t < 0 ? r->h0 + initial : r->h_out + was);
      if (r->h_prev != r->h_in) v_store(r->h_prev + at, h);
      v_store(r->h_in + at, r->h_mask ? h * v_load(r->h_mask + initial) : h);
      if (r->c_in) v_store(r->c_in + at, reset ? v_set(0) : v_load(t < 0 ? r->c0 + initial : r->c_out + was));
    }
}

// Adds `left` times a panel to m rows of gates and runs the epilogue of the cell's phase on them.
LETHE_AI void forward_tile(const lethe_recurrent *r, lethe_cell cell, int phase, tile_args *t, int64_t row, int64_t m,
                           int64_t block, int64_t vecs, bool last) {
  cell_shape s = shape_of(cell);
  int width = s.slots * 16;
  bool per_block = vecs != 1 && s.gates > 1 && phase == 0;  // the panel's vectors are gates of one block of units
  float *g = r->gates + block * r->gates_block + row * width;
  float *at = g + (phase == 0 ? s.first * 16 : 0);
  t->init = at; t->out = at;
  t->next = last ? at : at + m * width;
  t->init_row = t->out_row = width;
  t->init_vec = t->out_vec = per_block ? 16 : r->gates_block;
  if (cell == LETHE_CELL_GRU_AFTER)
    for (int64_t i = 0; i < m; i++) v_store(g + i * width + 48, v_load(r->b_hidden + block * 16));
  tile_run(t, m, vecs);
  int64_t units = per_block ? 1 : vecs;
  for (int64_t u = 0; u < units; u++)
    for (int64_t i = 0; i < m; i++) {
      float *q = g + u * r->gates_block + i * width;
      ptrdiff_t state = (block + u) * r->state_block + (row + i) * 16;
      switch (cell) {
        case LETHE_CELL_LSTM: lstm_forward_row(r, q, r->c_in + state, r->c_out + state, r->h_out + state); break;
        case LETHE_CELL_GRU_AFTER: gru_after_forward_row(r, q, r->h_prev + state, r->h_out + state); break;
        case LETHE_CELL_GRU_BEFORE:
          if (phase == 0) gru_before_gates_row(r, q, r->h_in + state);
          else gru_before_state_row(q, r->h_prev + state, r->h_out + state);
          break;
        default: rnn_forward_row(cell, q, r->h_out + state);
      }
    }
}

// One phase of one step: the product of `left` (block-major, one row of `left_row` floats a packed row) with `w`.
LETHE_AI void forward_phase(const lethe_recurrent *r, lethe_cell cell, int phase, int64_t t, int64_t b0, int64_t b1) {
  cell_shape s = shape_of(cell);
  int64_t H = r->units, blocks = (H + 15) / 16;
  bool gated = s.gates > 1 && phase == 0;
  int64_t panel = gated ? 1 : 4;  // blocks of units a panel
  const float *w = phase == 0 ? r->w_hidden : r->w_candidate;
  const float *left = phase == 0 ? r->h_in : r->gates + 48;
  ptrdiff_t left_row = phase == 0 ? 16 : s.slots * 16;
  tile_args args = {.left = {.a_row = left_row, .a_k = 1, .a_block = phase == 0 ? r->state_block : r->gates_block,
                             .k_width = 16, .k_blocks = blocks, .k_last = H - 16 * (blocks - 1)}};
  unit_range own = units_of(r);
  for (int64_t n = gated ? own.block0 : own.panel0; n < (gated ? own.block1 : own.panel1); n++) {
    int64_t j = panel_start(blocks, panel, n), units = panel_start(blocks, panel, n + 1) - j;
    int64_t vecs = gated ? s.gates : units;
    args.w_k = vecs * 16;
    const float *panel_w = w + j * H * 16 * (gated ? s.gates : 1);
    int64_t most = tile_rows(vecs), m;
    for (int64_t b = b0; b < b1; b += m) {
      int64_t row = r->first_row[t] + b;
      m = tile_height(b1 - b, most);
      args.w = panel_w;
      args.left.a = left + row * left_row;
      forward_tile(r, cell, phase, &args, row, m, j, vecs, b + m == b1);
    }
  }
}

LETHE_AI void forward_steps(const lethe_recurrent *r, lethe_cell cell, int64_t t0, int64_t t1, int64_t b0, int64_t b1) {
  if (r->copies && t0 == 0) advance(r, -1, b0, b1);
  for (int64_t t = t0; t < t1; t++) {
    int64_t n = active_rows(r, t), end = n < b1 ? n : b1;
    if (end <= b0) return;
    forward_phase(r, cell, 0, t, b0, end);
    if (cell == LETHE_CELL_GRU_BEFORE) forward_phase(r, cell, 1, t, b0, end);
    if (r->copies) advance(r, t, b0, b1);
  }
}

static void forward(const lethe_recurrent *r, int64_t t0, int64_t t1, int64_t b0, int64_t b1) {
  switch (r->cell) {
    case LETHE_CELL_RNN_TANH: forward_steps(r, LETHE_CELL_RNN_TANH, t0, t1, b0, b1); break;
    case LETHE_CELL_RNN_RELU: forward_steps(r, LETHE_CELL_RNN_RELU, t0, t1, b0, b1); break;
    case LETHE_CELL_LSTM: forward_steps(r, LETHE_CELL_LSTM, t0, t1, b0, b1); break;
    case LETHE_CELL_GRU_AFTER: forward_steps(r, LETHE_CELL_GRU_AFTER, t0, t1, b0, b1); break;
    case LETHE_CELL_GRU_BEFORE: forward_steps(r, LETHE_CELL_GRU_BEFORE, t0, t1, b0, b1); break;
  }
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

// m rows from batch row b of step t (t = -1: the initial state) and `units` blocks from `block`: `dh` [m][64] holds
// the gradient that reaches h_t through the gates of step t + 1, or the final state's where there is no such step.
LETHE_AI void backward_rows(const lethe_recurrent *r, lethe_cell cell, int64_t t, int64_t b, int64_t m, int64_t block,
                            int64_t units, const float *through, bool masked) {
  cell_shape s = shape_of(cell);
  int width = s.slots * 16;
  int64_t row = t < 0 ? 0 : r->first_row[t] + b;
  for (int64_t u = 0; u < units; u++)
    for (int64_t i = 0; i < m; i++) {
      int64_t j = block + u;
      ptrdiff_t own = (j * r->batch + b + i) * 16;
      float *carry = r->dcarry + own;
      vf dh = v_load(through + i * 64 + u * 16);
      if (masked && r->h_mask) dh = dh * v_load(r->h_mask + own);
      if (masked && r->resets && r->resets[r->first_row[t + 1] + b + i]) dh = v_set(0);
      if (cell == LETHE_CELL_GRU_AFTER || cell == LETHE_CELL_GRU_BEFORE) dh = dh + v_load(carry);
      if (t < 0) { v_store(r->dh0 + own, dh); continue; }
      if (r->dh_out) dh = dh + v_load(r->dh_out + j * r->dh_out_block + (row + i) * 16);
      bool cut = r->resets && r->resets[row + i];
      float *g = r->gates + j * r->gates_block + (row + i) * width;
      ptrdiff_t state = j * r->state_block + (row + i) * 16;
      switch (cell) {
        case LETHE_CELL_LSTM: {
          vf d_output = r->d_output_gate ? v_load(r->d_output_gate + j * r->dh_out_block + (row + i) * 16) : v_set(0);
          lstm_backward_row(r, g, dh, d_output, r->c_in + state, r->c_out + state, carry, cut);
          break;
        }
        case LETHE_CELL_GRU_AFTER: gru_after_backward_row(r, g, dh, r->h_prev + state, carry, cut); break;
        case LETHE_CELL_GRU_BEFORE: gru_before_backward_row(r, g, dh, r->h_prev + state, carry, cut); break;
        default: rnn_backward_row(cell, g, dh, r->h_out + state);
      }
    }
}

// What the rows' epilogue will read, while the product runs: these lines were written long ago.
LETHE_AI void prefetch_rows(const lethe_recurrent *r, int slots, int64_t t, int64_t b, int64_t m, int64_t block,
                            int64_t units) {
  if (t < 0) return;
  for (int64_t j = block; j < block + units; j++)
    for (int64_t row = r->first_row[t] + b; row < r->first_row[t] + b + m; row++) {
      const float *g = r->gates + j * r->gates_block + row * slots * 16;
      for (int v = 0; v < slots; v++) __builtin_prefetch(g + v * 16, 1, 3);
      if (r->c_in) __builtin_prefetch(r->c_in + j * r->state_block + row * 16);
    }
}

LETHE_AI void backward_step(const lethe_recurrent *r, lethe_cell cell, int64_t t, int64_t b0, int64_t b1) {
  cell_shape s = shape_of(cell);
  int64_t blocks = (r->units + 15) / 16, n = active_rows(r, t), next = active_rows(r, t + 1);
  int64_t end = n < b1 ? n : b1, fed = next < end ? next : end;
  int64_t k = s.gates * 16;
  unit_range own = units_of(r);
  float through[8 * 64] __attribute__((aligned(64)));
  tile_args args = {.left = {.a_row = s.slots * 16, .a_k = 1, .a_block = r->gates_block, .k_width = k,
                             .k_blocks = blocks, .k_last = k},
                    .init = zeros_row, .out = through, .out_row = 64, .out_vec = 16, .next = through};
  for (int64_t q = own.panel0; q < own.panel1; q++) {
    int64_t j = panel_start(blocks, 4, q), units = panel_start(blocks, 4, q + 1) - j, most = tile_rows(units), m;
    args.w_k = units * 16;
    for (int64_t b = b0; b < fed; b += m) {
      m = tile_height(fed - b, most);
      prefetch_rows(r, s.slots, t, b, m, j, units);
      args.w = r->w_hidden_t + j * 16 * k * blocks;
      args.left.a = r->gates + (r->first_row[t + 1] + b) * s.slots * 16 + s.first * 16;
      tile_run(&args, m, units);
      backward_rows(r, cell, t, b, m, j, units, through, true);
    }
    for (int64_t b = fed > b0 ? fed : b0; b < end; b += m) {
      m = tile_height(end - b, most);
      for (int64_t i = 0; i < m; i++)
        for (int64_t u = 0; u < units; u++)
          v_store(through + i * 64 + u * 16, v_load(r->dh_final + ((j + u) * r->batch + b + i) * 16));
      backward_rows(r, cell, t, b, m, j, units, through, false);
    }
  }
  if (cell != LETHE_CELL_GRU_BEFORE || t < 0) return;
  args.left.k_width = args.left.k_last = 16;
  for (int64_t q = own.panel0; q < own.panel1; q++) {
    int64_t j = panel_start(blocks, 4, q), units = panel_start(blocks, 4, q + 1) - j, most = tile_rows(units), m;
    args.w_k = units * 16;
    for (int64_t b = b0; b < end; b += m) {
      m = tile_height(end - b, most);
      int64_t row = r->first_row[t] + b;
      args.w = r->w_candidate_t + j * 16 * 16 * blocks;
      args.left.a = r->gates + row * 64;
      tile_run(&args, m, units);
      for (int64_t u = 0; u < units; u++)
        for (int64_t i = 0; i < m; i++) {
          ptrdiff_t own = ((j + u) * r->batch + b + i) * 16;
          gru_before_reset_row(r, r->gates + (j + u) * r->gates_block + (row + i) * 64,
                               v_load(through + i * 64 + u * 16),
                               r->h_in + (j + u) * r->state_block + (row + i) * 16,
                               r->h_mask ? r->h_mask + own : NULL, r->dcarry + own,
                               r->resets && r->resets[row + i]);
        }
    }
  }
}

LETHE_AI void backward_steps(const lethe_recurrent *r, lethe_cell cell, int64_t t0, int64_t t1, int64_t b0,
                             int64_t b1) {
  for (int64_t t = t1 - 1; t >= t0; t--) backward_step(r, cell, t, b0, b1);
}

static void backward(const lethe_recurrent *r, int64_t t0, int64_t t1, int64_t b0, int64_t b1) {
  switch (r->cell) {
    case LETHE_CELL_RNN_TANH: backward_steps(r, LETHE_CELL_RNN_TANH, t0, t1, b0, b1); break;
    case LETHE_CELL_RNN_RELU: backward_steps(r, LETHE_CELL_RNN_RELU, t0, t1, b0, b1); break;
    case LETHE_CELL_LSTM: backward_steps(r, LETHE_CELL_LSTM, t0, t1, b0, b1); break;
    case LETHE_CELL_GRU_AFTER: backward_steps(r, LETHE_CELL_GRU_AFTER, t0, t1, b0, b1); break;
    case LETHE_CELL_GRU_BEFORE: backward_steps(r, LETHE_CELL_GRU_BEFORE, t0, t1, b0, b1); break;
  }
}

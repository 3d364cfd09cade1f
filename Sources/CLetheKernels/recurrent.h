// Recurrent layers: one time loop for all cells; a cell is its gate slots and two epilogues.
//
//   c_t = f_t * c_{t-1} + i_t * u_t        h_t = readout(c_t, o_t)
//
// For each step and each block of 16 units, a tile adds h_{t-1} U to the input projection that already stands in
// `gates`; the epilogue then turns the sums into gates and state while they are in L1. Cells whose gates see something
// made of other gates go through several such stages a step, and so do cells with means over the units of a row, which
// are known when all blocks of the row have gone through a stage.

// What a cell asks of the loop. The stages of the built-in cells are constants here, so that their loops are compiled for
// them; those of a described cell come with it.
LETHE_AI int slots_of(const lethe_recurrent *r, lethe_cell cell) {
  if (cell == LETHE_CELL_PROGRAM) return r->program->slots;
  return cell == LETHE_CELL_RNN_TANH || cell == LETHE_CELL_RNN_RELU ? 1 : 4;
}
LETHE_AI int stages_of(const lethe_recurrent *r, lethe_cell cell) {
  if (cell == LETHE_CELL_PROGRAM) return r->program->stages;
  return cell == LETHE_CELL_GRU_BEFORE ? 2 : 1;
}
LETHE_AI lethe_stage stage_of(const lethe_recurrent *r, lethe_cell cell, int n) {
  if (cell == LETHE_CELL_PROGRAM) return r->program->stage[n];
  lethe_stage s;  // what the loop reads of it, and no more
  s.source = n == 0 ? 0 : LETHE_SOURCE_SLOT + 3;
  s.groups = 1;
  s.fill_count = 0;
  s.group[0].first = 0;
  s.group[0].count = cell == LETHE_CELL_LSTM ? 4 : 1;
  s.group[0].w = n == 0 ? r->w_hidden : r->w_candidate;
  s.group[0].w_t = n == 0 ? r->w_hidden_t : r->w_candidate_t;
  if (cell == LETHE_CELL_GRU_AFTER) {
    s.group[0].first = 1; s.group[0].count = 3;
    s.fill_first = 3; s.fill_count = 1; s.fill = r->b_hidden;
  }
  if (cell == LETHE_CELL_GRU_BEFORE && n == 0) { s.group[0].first = 1; s.group[0].count = 2; }
  return s;
}
// Whether a panel of a stage holds gates of one block of units, and not the only gate of several blocks.
LETHE_AI bool is_gated(const lethe_stage *s) { return s->groups != 1 || s->group[0].count > 1; }

// State k, seen by the gates or blended with: h is state 0, the others lie one behind the other.
LETHE_AI float *state_in(const lethe_recurrent *r, int k) { return k == 0 ? r->h_in : r->c_in + (k - 1) * r->state_plane; }

// Columns of what a stage sees, and of its gates: fewer than units where h is narrower than the cell.
LETHE_AI int64_t seen_width(const lethe_recurrent *r, lethe_cell cell, int32_t source) {
  return cell == LETHE_CELL_PROGRAM && source == 0 && r->program->hidden ? r->program->hidden : r->units;
}
LETHE_AI int64_t gate_width(const lethe_recurrent *r, lethe_cell cell, const lethe_stage *s) {
  return cell == LETHE_CELL_PROGRAM && s->width ? s->width : r->units;
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
      for (int k = 0; k + 1 < r->states; k++)
        v_store(r->c_in + k * r->state_plane + at,
                reset ? v_set(0)
                      : v_load(t < 0 ? r->c0 + k * r->carry_plane + initial : r->c_out + k * r->state_plane + was));
    }
}

// m rows from packed row `row`, of one block: sums of gates in, gates and states out.
LETHE_AI void forward_rows(const lethe_recurrent *r, lethe_cell cell, int stage, int64_t row, int64_t b, int64_t m,
                           int64_t block) {
  if (cell == LETHE_CELL_PROGRAM) {
    run_code(r, &r->program->stage[stage].forward, row, b, m, block, NULL);
    return;
  }
  int width = slots_of(r, cell) * 16;
  if (cell == LETHE_CELL_LSTM || cell == LETHE_CELL_GRU_AFTER)
    for (int64_t i = 0; i < m; i++) {
      float *g = r->gates + block * r->gates_block + (row + i) * width;
      ptrdiff_t state = block * r->state_block + (row + i) * 16;
      if (cell == LETHE_CELL_LSTM) lstm_cell_row(r, g, r->c_in + state, r->c_out + state);
      else gru_after_gates_row(r, g);
    }
  for (int64_t i = 0; i < m; i++) {
    float *g = r->gates + block * r->gates_block + (row + i) * width;
    ptrdiff_t state = block * r->state_block + (row + i) * 16;
    switch (cell) {
      case LETHE_CELL_LSTM: lstm_hidden_row(g, r->c_out + state, r->h_out + state); break;
      case LETHE_CELL_GRU_AFTER: gru_after_state_row(r, g, r->h_prev + state, r->h_out + state); break;
      case LETHE_CELL_GRU_BEFORE:
        if (stage == 0) gru_before_gates_row(r, g, r->h_in + state);
        else gru_before_state_row(g, r->h_prev + state, r->h_out + state);
        break;
      default: rnn_forward_row(cell, g, r->h_out + state);
    }
  }
}

// Adds what the gates of a stage see, times a panel, to m rows of them, and goes on with the cell's arithmetic.
LETHE_AI void forward_tile(const lethe_recurrent *r, lethe_cell cell, int n, const lethe_stage *s, tile_args *t,
                           int64_t row, int64_t b, int64_t m, int64_t block, int64_t units, int64_t tile, bool last) {
  int width = slots_of(r, cell) * 16;
  bool gated = is_gated(s);
  float *g = r->gates + block * r->gates_block + row * width;
  for (int64_t u = 0; u < units; u++)
    for (int f = 0; f < s->fill_count; f++)
      for (int64_t i = 0; i < m; i++)
        v_store(g + u * r->gates_block + i * width + (s->fill_first + f) * 16,
                v_load(s->fill + ((block + u) * s->fill_count + f) * 16));
  for (int q = 0; q < s->groups; q++) {
    const lethe_group *group = &s->group[q];
    float *at = g + group->first * 16;
    t->init = at; t->out = at;
    t->next = last ? at : at + m * width;
    t->init_row = t->out_row = width;
    t->init_vec = t->out_vec = gated ? 16 : r->gates_block;
    t->w_k = (gated ? group->count : units) * 16;
    int64_t lines = seen_width(r, cell, s->source) * 16, vecs = gated ? group->count : units;
    t->w = group->w + block * lines * (gated ? group->count : 1);
    // The first tiles of a panel fetch the next one; behind the last comes the first, of the next step.
    int64_t after = (block + units) * 16 < gate_width(r, cell, s) ? (block + units) * (gated ? group->count : 1) : 0;
    t->ahead = tile < vecs ? group->w + after * lines + tile * lines : t->w;
    tile_run(t, m, vecs);
  }
  for (int64_t u = 0; u < units; u++) forward_rows(r, cell, n, row, b, m, block + u);
}

// What the rows' epilogue will read, while the product runs: these lines were written long ago.
LETHE_AI void prefetch_rows(const lethe_recurrent *r, int slots, int64_t t, int64_t b, int64_t m, int64_t block,
                            int64_t units) {
  if (t < 0) return;
  for (int64_t j = block; j < block + units; j++)
    for (int64_t row = r->first_row[t] + b; row < r->first_row[t] + b + m; row++) {
      const float *g = r->gates + j * r->gates_block + row * slots * 16;
      for (int v = 0; v < slots; v++) __builtin_prefetch(g + v * 16, 1, 3);
      for (int k = 0; k + 1 < r->states; k++)
        __builtin_prefetch(r->c_in + k * r->state_plane + j * r->state_block + row * 16);
    }
}

// The tile after one that ends before row `next`, in a stage without products: in these blocks, or in as many behind them.
LETHE_AI void prefetch_next(const lethe_recurrent *r, int64_t t, int64_t b0, int64_t b1, int64_t next, int64_t m,
                            int64_t block, int64_t units) {
  bool wraps = next >= b1;
  int64_t b = wraps ? b0 : next, from = wraps ? block + units : block, blocks = (r->units + 15) / 16;
  int64_t to = from + units < blocks ? from + units : blocks;
  if (from < to) prefetch_rows(r, r->program->slots, t, b, b1 - b < m ? b1 - b : m, from, to - from);
}

// One stage of one step: the product of what the gates see (block-major, one row of `left_row` floats a packed row).
LETHE_AI void forward_stage(const lethe_recurrent *r, lethe_cell cell, int n, int64_t t, int64_t b0, int64_t b1) {
  const lethe_stage s = stage_of(r, cell, n);
  int64_t seen = seen_width(r, cell, s.source), blocks = (seen + 15) / 16;
  bool gated = is_gated(&s), slot = s.source >= LETHE_SOURCE_SLOT;
  int64_t panel = gated ? 1 : 4;  // blocks of units a panel
  const float *left = slot ? r->gates + (s.source - LETHE_SOURCE_SLOT) * 16 : s.groups ? state_in(r, s.source) : NULL;
  ptrdiff_t left_row = slot ? slots_of(r, cell) * 16 : 16;
  tile_args args = {.left = {.a_row = left_row, .a_k = 1, .a_block = slot ? r->gates_block : r->state_block,
                             .k_width = 16, .k_blocks = blocks, .k_last = seen - 16 * (blocks - 1)}};
  bool counts = cell == LETHE_CELL_PROGRAM && s.number_count > 0;
  float *numbers = counts ? r->numbers + (r->first_row[t] + b0) * r->program->numbers * 16 : NULL;
  if (counts) clear_numbers(r, numbers, s.number_first, s.mean_count, b1 - b0);
  unit_range own = units_of(r);
  bool is_narrow = cell == LETHE_CELL_PROGRAM && s.width;
  if (is_narrow) own.panel1 = panel_count((s.width + 15) / 16, 4);
  for (int64_t p = gated ? own.block0 : own.panel0; p < (gated ? own.block1 : own.panel1); p++) {
    int64_t all = is_narrow ? (s.width + 15) / 16 : (r->units + 15) / 16;
    int64_t j = panel_start(all, panel, p), units = panel_start(all, panel, p + 1) - j, m;
    int64_t most = s.groups ? tile_rows(gated ? s.group[0].count : units) : LETHE_CODE_ROWS;
    for (int q = 1; q < s.groups; q++)
      if (tile_rows(s.group[q].count) < most) most = tile_rows(s.group[q].count);
    int64_t tile = 0;
    for (int64_t b = b0; b < b1; b += m, tile++) {
      int64_t row = r->first_row[t] + b;
      m = tile_height(b1 - b, most);
      if (s.groups) args.left.a = left + row * left_row;
      // The weights of the stage before have driven the rows out of L2.
      if (cell == LETHE_CELL_PROGRAM && s.groups == 0 && n > 0 && r->program->stage[n - 1].groups > 0)
        prefetch_next(r, t, b0, b1, b + m, m, j, 1);
      forward_tile(r, cell, n, &s, &args, row, b, m, j, units, tile, b + m == b1);
    }
  }
  if (is_narrow) {
    lethe_stage rest = s;
    rest.groups = 0;
    for (int64_t j = (s.width + 15) / 16, m; j < own.block1; j++)
      for (int64_t b = b0; b < b1; b += m) {
        m = tile_height(b1 - b, LETHE_CODE_ROWS);
        forward_tile(r, cell, n, &rest, &args, r->first_row[t] + b, b, m, j, 1, 0, b + m == b1);
      }
  }
  if (counts) {
    close_numbers(r, numbers, s.number_first, s.mean_count, b1 - b0);
    run_numbers(r, &s.numbers, r->first_row[t] + b0, b0, b1 - b0);
  }
}

LETHE_AI void forward_steps(const lethe_recurrent *r, lethe_cell cell, int64_t t0, int64_t t1, int64_t b0, int64_t b1) {
  for (int64_t t = t0; t < t1; t++) {
    if (t < 0) {
      if (r->copies) advance(r, -1, b0, b1);
      continue;
    }
    int64_t n = active_rows(r, t), end = n < b1 ? n : b1;
    if (end <= b0) return;
    for (int stage = 0; stage < stages_of(r, cell); stage++) forward_stage(r, cell, stage, t, b0, end);
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
    case LETHE_CELL_PROGRAM: forward_steps(r, LETHE_CELL_PROGRAM, t0, t1, b0, b1); break;
  }
}

// ---- backward -------------------------------------------------------------------------------------------

// Gradients that reach the states of m rows through the gates of the step after: [state][row][64].
typedef float through_rows[LETHE_STATES][8 * 64] __attribute__((aligned(64)));

// m rows from batch row b of step t (t = -1: the initial state) and `units` blocks from `block`: through[0] holds the
// gradient that reaches h_t through the gates of step t + 1, or the final state's where there is no such step.
LETHE_AI void backward_rows(const lethe_recurrent *r, lethe_cell cell, int64_t t, int64_t b, int64_t m, int64_t block,
                            int64_t units, through_rows through, bool has_next) {
  int width = slots_of(r, cell) * 16;
  int64_t row = t < 0 ? 0 : r->first_row[t] + b;
  bool is_program = cell == LETHE_CELL_PROGRAM;
  for (int64_t u = 0; u < units; u++) {
    int64_t j = block + u;
    for (int64_t i = 0; i < m; i++) {
      ptrdiff_t own = (j * r->batch + b + i) * 16;
      float *carry = r->dcarry + own, *dh_at = through[0] + i * 64 + u * 16;
      bool next_is_new = has_next && r->resets && r->resets[r->first_row[t + 1] + b + i];
      vf dh = v_load(dh_at);
      if (has_next && r->h_mask) dh = dh * v_load(r->h_mask + own);
      if (next_is_new) dh = v_set(0);
      if (is_program || cell == LETHE_CELL_GRU_AFTER || cell == LETHE_CELL_GRU_BEFORE) dh = dh + v_load(carry);
      if (t < 0) v_store(r->dh0 + own, dh);
      else if (r->dh_out && (!is_program || j * 16 < seen_width(r, cell, 0))) dh = dh + v_load(r->dh_out + j * r->dh_out_block + (row + i) * 16);
      if (is_program) {
        v_store(dh_at, dh);
        for (int k = 1; k < r->states; k++) {
          float *d = through[k] + i * 64 + u * 16, *kept = carry + k * r->carry_plane;
          vf sum = v_load(kept);
          if (r->program->seen >> k & 1 && !next_is_new) sum = sum + v_load(d);
          v_store(t < 0 ? kept : d, sum);
        }
      }
      if (is_program || t < 0) continue;
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
    if (is_program && t >= 0) run_backward(r, stages_of(r, cell) - 1, row, b, m, j, through[0] + u * 16);
  }
}

// Rows of a tile's sums: where they lie and come from.
typedef struct { float *at; ptrdiff_t row, vec; } tile_sums;

// to = from (none: zeros) + the gradients of a stage's gates of blocks [k0, k1) in m rows from packed row `row`, times
// the transposed weights of `units` blocks from `block`: what reaches the stage's source. `tile` counts the tiles that
// read the same weights: the first ones fetch what lies behind them.
LETHE_AI void backward_product(const lethe_recurrent *r, lethe_cell cell, const lethe_stage *s, int64_t row, int64_t m,
                               int64_t block, int64_t units, int64_t k0, int64_t k1, int64_t tile, tile_sums from,
                               tile_sums to) {
  int64_t blocks = (gate_width(r, cell, s) + 15) / 16;
  int slots = slots_of(r, cell);
  if (!from.at) from = (tile_sums){(float *)zeros_row, 0, 0};
  for (int q = 0; q < s->groups; q++) {
    int64_t k = s->group[q].count * 16, lines = k * (k1 - k0) * 16;
    const float *w = s->group[q].w_t + (block * blocks + k0 * units) * k * 16;
    bool is_end = k1 == blocks && (block + units) * 16 >= seen_width(r, cell, s->source);
    tile_args t = {.left = {.a = r->gates + k0 * r->gates_block + row * slots * 16 + s->group[q].first * 16,
                            .a_row = slots * 16, .a_k = 1, .a_block = r->gates_block, .k_width = k,
                            .k_blocks = k1 - k0, .k_last = k},
                   .w = w, .w_k = units * 16, .ahead = tile < units && !is_end ? w + (units + tile) * lines : w,
                   .init = from.at, .init_row = from.row, .init_vec = from.vec,
                   .out = to.at, .out_row = to.row, .out_vec = to.vec, .next = to.at};
    tile_run(&t, m, units);
    from = to;
  }
}

// Blocks of units whose gradients a product of a stage takes at a time, so that their weights stay in L2 while rows pass.
// Its sums wait in dh0, which is free until the initial state is reached; the chain is the same.
LETHE_AI int64_t backward_depth(const lethe_recurrent *r, const lethe_stage *s) {
  int64_t blocks = (r->units + 15) / 16;
  if (s->groups != 1 || s->source != 0) return blocks;
  int64_t most = K_CHUNK / (s->group[0].count * 16);
  int64_t parts = (blocks + most - 1) / most;
  return (blocks + parts - 1) / parts;
}

// Panel q of the blocks of h, then of those of units beyond them.
LETHE_AI int64_t state_panel_start(const lethe_recurrent *r, lethe_cell cell, int64_t q) {
  int64_t blocks = (r->units + 15) / 16, seen = (seen_width(r, cell, 0) + 15) / 16, first = panel_count(seen, 4);
  if (cell != LETHE_CELL_PROGRAM || q < first || seen == blocks) return panel_start(seen, 4, q);
  return seen + panel_start(blocks - seen, 4, q - first);
}

LETHE_AI void backward_step(const lethe_recurrent *r, lethe_cell cell, int64_t t, int64_t b0, int64_t b1) {
  int64_t blocks = (r->units + 15) / 16, n = active_rows(r, t), next = active_rows(r, t + 1);
  int64_t end = n < b1 ? n : b1, fed = next < end ? next : end;
  int stages = stages_of(r, cell);
  unit_range own = units_of(r);
  through_rows through;
  float *d_numbers = cell == LETHE_CELL_PROGRAM && t >= 0 && r->program->numbers > 0 && end > b0
                         ? r->d_numbers + b0 * r->program->numbers * 16 : NULL;
  if (d_numbers) clear_numbers(r, d_numbers, 0, r->program->numbers, end - b0);
  int64_t hidden = (seen_width(r, cell, 0) + 15) / 16, panels = own.panel1;
  if (hidden < blocks) panels = panel_count(hidden, 4) + panel_count(blocks - hidden, 4);
  for (int64_t q = own.panel0; q < panels; q++) {
    int64_t j = state_panel_start(r, cell, q), units = state_panel_start(r, cell, q + 1) - j, most = tile_rows(units), m;
    const lethe_stage first = stage_of(r, cell, 0);
    // Blocks beyond those of a projected h get nothing from gates.
    int64_t depth = j < hidden ? backward_depth(r, &first) : blocks, k0 = 0, tile = 0;
    for (; k0 + depth < blocks; k0 += depth, tile = 0)
      for (int64_t b = b0; b < fed; b += m, tile++) {
        m = tile_height(fed - b, most);
        tile_sums sums = {r->dh0 + (j * r->batch + b) * 16, 16, r->batch * 16};
        backward_product(r, cell, &first, r->first_row[t + 1] + b, m, j, units, k0, k0 + depth, tile,
                         k0 ? sums : (tile_sums){0}, sums);
      }
    for (int64_t b = b0; b < fed; b += m, tile++) {
      m = tile_height(fed - b, most);
      prefetch_rows(r, slots_of(r, cell), t, b, m, j, units);
      uint32_t seen = 0;
      for (int i = 0; i < stages; i++) {
        const lethe_stage s = stage_of(r, cell, i);
        if (s.groups == 0 || s.source >= LETHE_SOURCE_SLOT || j >= hidden) continue;
        tile_sums to = {through[s.source], 64, 16}, from = {0};
        if (seen >> s.source & 1) from = to;
        else if (i == 0 && k0 > 0) from = (tile_sums){r->dh0 + (j * r->batch + b) * 16, 16, r->batch * 16};
        backward_product(r, cell, &s, r->first_row[t + 1] + b, m, j, units, i == 0 ? k0 : 0, blocks, tile, from, to);
        seen |= 1u << s.source;
      }
      if (!(seen & 1))
        for (int64_t i = 0; i < m * 4; i++) v_store(through[0] + i * 16, v_set(0));
      backward_rows(r, cell, t, b, m, j, units, through, true);
    }
    for (int64_t b = fed > b0 ? fed : b0; b < end; b += m) {
      m = tile_height(end - b, most);
      for (int64_t i = 0; i < m; i++)
        for (int64_t u = 0; u < units; u++) {
          v_store(through[0] + i * 64 + u * 16, v_load(r->dh_final + ((j + u) * r->batch + b + i) * 16));
          for (int k = 1; k < r->states; k++) v_store(through[k] + i * 64 + u * 16, v_set(0));
        }
      backward_rows(r, cell, t, b, m, j, units, through, false);
    }
  }
  if (t < 0) return;
  for (int i = stages - 1; i > 0; i--) {
    const lethe_stage s = stage_of(r, cell, i);
    if (s.groups > 0 && s.source < LETHE_SOURCE_SLOT) continue;
    if (d_numbers) {
      const lethe_stage *before = &r->program->stage[i - 1];
      close_numbers(r, d_numbers, before->number_first, before->number_count, end - b0);
      run_numbers(r, &before->d_numbers, r->first_row[t] + b0, b0, end - b0);
    }
    for (int64_t q = own.panel0; q < own.panel1; q++) {
      int64_t j = panel_start(blocks, 4, q), units = panel_start(blocks, 4, q + 1) - j, m;
      int64_t most = s.groups > 0 ? tile_rows(units) : LETHE_CODE_ROWS;
      for (int64_t b = b0; b < end; b += m) {
        m = tile_height(end - b, most);
        int64_t row = r->first_row[t] + b;
        backward_product(r, cell, &s, row, m, j, units, 0, (gate_width(r, cell, &s) + 15) / 16, b - b0, (tile_sums){0},
                         (tile_sums){through[0], 64, 16});
        for (int64_t u = 0; u < units; u++) {
          if (cell == LETHE_CELL_PROGRAM) {
            run_backward(r, i - 1, row, b, m, j + u, through[0] + u * 16);
            continue;
          }
          for (int64_t k = 0; k < m; k++) {
            ptrdiff_t at = ((j + u) * r->batch + b + k) * 16;
            gru_before_reset_row(r, r->gates + (j + u) * r->gates_block + (row + k) * 64,
                                 v_load(through[0] + k * 64 + u * 16),
                                 r->h_in + (j + u) * r->state_block + (row + k) * 16,
                                 r->h_mask ? r->h_mask + at : NULL, r->dcarry + at, r->resets && r->resets[row + k]);
          }
        }
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
    case LETHE_CELL_PROGRAM: backward_steps(r, LETHE_CELL_PROGRAM, t0, t1, b0, b1); break;
  }
}

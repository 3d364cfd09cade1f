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

// Fills the state that blocks [block0, block1) of step t + 1 read from what step t wrote (t = -1: the initial state).
static void advance(const lethe_recurrent *r, int64_t t, int64_t b0, int64_t b1, int64_t block0, int64_t block1) {
  int64_t n = active_rows(r, t + 1);
  if (n < b1) b1 = n;
  if (t + 1 >= r->steps || b0 >= b1) return;
  int64_t from = t < 0 ? 0 : r->first_row[t], to = r->first_row[t + 1];
  for (int64_t j = block0; j < block1; j++)
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
    run_code(r, &r->program->stage[stage].forward, row, b, m, block, (through_at){0});
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

// Adds what the gates of a stage see, times a panel, to m rows of them, and goes on with the cell's arithmetic. `next` is
// the first block of the panel behind.
LETHE_AI void forward_tile(const lethe_recurrent *r, lethe_cell cell, int n, const lethe_stage *s, tile_args *t,
                           int64_t row, int64_t b, int64_t m, int64_t block, int64_t units, int64_t next,
                           int64_t tile, bool last) {
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
    int64_t seen = seen_width(r, cell, s->source), vecs = gated ? group->count : units;
    int64_t of_block = seen * 16 * (gated ? group->count : 1);
    t->w = group->w + block * of_block;
    t->ahead = tile_ahead(tile, vecs, seen, t->w, group->w + next * of_block);
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
  int64_t all = (gate_width(r, cell, &s) + 15) / 16;
  int64_t first = gated ? own.block0 : own.panel0, last = gated ? own.block1 : own.panel1;
  for (int64_t p = first; p < last; p++) {
    int64_t j = panel_start(all, panel, p), units = panel_start(all, panel, p + 1) - j, m;
    int64_t next = p + 1 < last ? j + units : panel_start(all, panel, first);  // the first one of the next step
    int64_t most = s.groups ? tile_rows(gated ? s.group[0].count : units, 0) : LETHE_CODE_ROWS;
    for (int q = 1; q < s.groups; q++)
      if (tile_rows(s.group[q].count, 0) < most) most = tile_rows(s.group[q].count, 0);
    int64_t tile = 0;
    for (int64_t b = b0; b < b1; b += m, tile++) {
      int64_t row = r->first_row[t] + b;
      m = tile_height(b1 - b, most);
      if (s.groups) args.left.a = left + row * left_row;
      // The weights of the stage before have driven the rows out of L2.
      if (cell == LETHE_CELL_PROGRAM && s.groups == 0 && n > 0 && r->program->stage[n - 1].groups > 0)
        prefetch_next(r, t, b0, b1, b + m, m, j, 1);
      forward_tile(r, cell, n, &s, &args, row, b, m, j, units, next, tile, b + m == b1);
    }
  }
  if (is_narrow) {
    lethe_stage rest = s;
    rest.groups = 0;
    for (int64_t j = (s.width + 15) / 16, m; j < own.block1; j++)
      for (int64_t b = b0; b < b1; b += m) {
        m = tile_height(b1 - b, LETHE_CODE_ROWS);
        forward_tile(r, cell, n, &rest, &args, r->first_row[t] + b, b, m, j, 1, j, 0, b + m == b1);
      }
  }
  if (counts) {
    close_numbers(r, numbers, s.number_first, s.mean_count, b1 - b0);
    run_numbers(r, &s.numbers, r->first_row[t] + b0, b0, b1 - b0);
  }
}

LETHE_AI void forward_steps(const lethe_recurrent *r, lethe_cell cell, int64_t t0, int64_t t1, int64_t b0, int64_t b1) {
  unit_range own = units_of(r);
  for (int64_t t = t0; t < t1; t++) {
    if (t < 0) {
      if (r->copies) advance(r, -1, b0, b1, own.block0, own.block1);
      continue;
    }
    int64_t n = active_rows(r, t), end = n < b1 ? n : b1;
    if (end <= b0) return;
    for (int stage = 0; stage < stages_of(r, cell); stage++) forward_stage(r, cell, stage, t, b0, end);
    if (r->copies) advance(r, t, b0, b1, own.block0, own.block1);
  }
}

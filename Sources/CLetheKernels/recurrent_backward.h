// The time loop in reverse: saved gate values become gradients of what gates summed up, where they lie; see recurrent.h.

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
      else if (r->dh_out && (!is_program || j * 16 < seen_width(r, cell, 0)))
        dh = dh + v_load(r->dh_out + j * r->dh_out_block + (row + i) * 16);
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
    int64_t k = s->group[q].count * 16, depth = k * (k1 - k0);
    const float *w = s->group[q].w_t + (block * blocks + k0 * units) * k * 16;
    bool is_end = k1 == blocks && (block + units) * 16 >= seen_width(r, cell, s->source);
    tile_args t = {.left = {.a = r->gates + k0 * r->gates_block + row * slots * 16 + s->group[q].first * 16,
                            .a_row = slots * 16, .a_k = 1, .a_block = r->gates_block, .k_width = k,
                            .k_blocks = k1 - k0, .k_last = k},
                   .w = w, .w_k = units * 16,
                   .ahead = is_end ? w : tile_ahead(tile, units, depth, w, w + units * depth * 16),
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
    int64_t j = state_panel_start(r, cell, q), units = state_panel_start(r, cell, q + 1) - j, most = tile_rows(units, 0), m;
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
      int64_t most = s.groups > 0 ? tile_rows(units, 0) : LETHE_CODE_ROWS;
      int64_t tile = 0;
      for (int64_t b = b0; b < end; b += m, tile++) {
        m = tile_height(end - b, most);
        int64_t row = r->first_row[t] + b;
        backward_product(r, cell, &s, row, m, j, units, 0, (gate_width(r, cell, &s) + 15) / 16, tile, (tile_sums){0},
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

// Described cells without products in the time loop: gates that do not look back, or only at their own unit. A block of
// units then goes through all steps alone, one tile of rows after the other, while the next rows of its gates are on
// their way from L2.

LETHE_AI bool is_blockwise(const lethe_recurrent *r) {
  const lethe_program *p = r->program;
  return p->stages == 1 && p->stage[0].groups == 0 && p->stage[0].fill_count == 0 && p->numbers == 0;
}

// The places of one block of units: found once, then moved from row to row.
typedef struct {
  rows_at first[LETHE_CODE_PLACES];  // for packed row 0
  ptrdiff_t step[LETHE_CODE_PLACES];  // floats from one packed row to the next
  float temporaries[LETHE_CODE_TEMPORARIES * LETHE_CODE_ROWS * 16] __attribute__((aligned(64)));
} block_places;

LETHE_AI void find_places(const lethe_recurrent *r, const lethe_code *code, int64_t b, int64_t block, through_at through,
                          block_places *p) {
  for (int32_t i = 0; i < code->place_count; i++) {
    uint8_t kind = code->places[i].kind;
    p->first[i] = find_place(r, code->places[i], 0, b, block, p->temporaries, through);
    bool moves = kind == LETHE_PLACE_SLOT || kind == LETHE_PLACE_STATE_IN || kind == LETHE_PLACE_STATE_OUT;
    p->step[i] = moves ? p->first[i].row : 0;
  }
}

LETHE_AI void run_at(const lethe_code *code, const block_places *p, int64_t row, int64_t m) {
  rows_at at[LETHE_CODE_PLACES];
  for (int32_t i = 0; i < code->place_count; i++) at[i] = (rows_at){p->first[i].at + row * p->step[i], p->first[i].row};
  run_some_rows(code, at, m);
}

// Fetches what m rows of states from `row` will be written to (forward) or read from. The hardware does not foresee them:
// a step is less than a page away from the next, and steps end where the rows of a tile do.
LETHE_AI void prefetch_states(const lethe_code *code, const block_places *p, lethe_place_kind kind, int64_t row,
                              int64_t m) {
  for (int32_t i = 0; i < code->place_count; i++)
    if (code->places[i].kind == kind)
      for (int64_t k = row; k < row + m; k++) __builtin_prefetch(p->first[i].at + k * p->step[i], 1, 3);
}

enum { STEPS_AHEAD = 2 };

static void forward_blocks(const lethe_recurrent *r, int64_t t0, int64_t t1, int64_t b0, int64_t b1) {
  const lethe_code *code = &r->program->stage[0].forward;
  unit_range own = units_of(r);
  block_places places;
  for (int64_t j = own.block0; j < own.block1; j++)
    for (int64_t b = b0, m; b < b1; b += m) {
      m = tile_height(b1 - b, LETHE_CODE_ROWS);
      find_places(r, code, b, j, (through_at){0}, &places);
      for (int64_t t = t0; t < t1; t++) {
        int64_t n = active_rows(r, t) - b;
        if (n <= 0) break;
        if (n > m) n = m;
        if (t >= 0 && t + STEPS_AHEAD < t1 && active_rows(r, t + STEPS_AHEAD) >= b + n)
          prefetch_states(code, &places, LETHE_PLACE_STATE_OUT, r->first_row[t + STEPS_AHEAD] + b, n);
        if (t >= 0) run_at(code, &places, r->first_row[t] + b, n);
        if (r->copies) advance(r, t, b, b + m, j, j + 1);
      }
    }
}

// The gradient that reaches m rows of block j in states after step t: what the step after left in the carry, or the final
// state's gradient where there is none, and that of the outputs. At t = -1 it is that of the initial state.
LETHE_AI void gather_states(const lethe_recurrent *r, int64_t t, int64_t b, int64_t m, int64_t j, through_at through) {
  int64_t fed = active_rows(r, t + 1) - b;
  for (int64_t i = 0; i < m; i++) {
    ptrdiff_t own = (j * r->batch + b + i) * 16;
    vf dh = (i >= fed ? v_load(r->dh_final + own) : v_set(0)) + v_load(r->dcarry + own);
    if (t < 0) {
      v_store(r->dh0 + own, dh);
      continue;
    }
    if (r->dh_out) dh = dh + v_load(r->dh_out + j * r->dh_out_block + (r->first_row[t] + b + i) * 16);
    v_store(through.at + i * through.row, dh);
    for (int k = 1; k < r->states; k++)
      v_store(through.at + k * through.state + i * through.row, v_load(r->dcarry + k * r->carry_plane + own));
  }
}

static void backward_blocks(const lethe_recurrent *r, int64_t t0, int64_t t1, int64_t b0, int64_t b1) {
  const lethe_code *code = &r->program->stage[0].backward;
  unit_range own = units_of(r);
  int64_t width = r->program->slots * 16;
  float states[LETHE_STATES * LETHE_CODE_ROWS * 16] __attribute__((aligned(64)));
  through_at through = {states, LETHE_CODE_ROWS * 16, 16};
  block_places places;
  for (int64_t j = own.block0; j < own.block1; j++)
    for (int64_t b = b0, m; b < b1; b += m) {
      m = tile_height(b1 - b, LETHE_CODE_ROWS);
      find_places(r, code, b, j, through, &places);
      for (int64_t t = t1 - 1; t >= t0; t--) {
        int64_t n = active_rows(r, t) - b;
        if (n <= 0) continue;
        if (n > m) n = m;
        if (t - STEPS_AHEAD >= (t0 < 0 ? 0 : t0)) {
          int64_t row = r->first_row[t - STEPS_AHEAD] + b;
          prefetch_states(code, &places, LETHE_PLACE_STATE_IN, row, n);
          const float *gates = r->gates + j * r->gates_block + row * width;
          for (int64_t k = 0; k < n * width; k += 16) __builtin_prefetch(gates + k, 1, 3);
        }
        gather_states(r, t, b, n, j, through);
        if (t < 0) continue;
        run_at(code, &places, r->first_row[t] + b, n);
        clear_padding(r, r->first_row[t] + b, n, j);
        cut_carries(r, r->first_row[t] + b, b, n, j);
      }
    }
}

static void forward(const lethe_recurrent *r, int64_t t0, int64_t t1, int64_t b0, int64_t b1) {
  switch (r->cell) {
    case LETHE_CELL_RNN_TANH: forward_steps(r, LETHE_CELL_RNN_TANH, t0, t1, b0, b1); break;
    case LETHE_CELL_RNN_RELU: forward_steps(r, LETHE_CELL_RNN_RELU, t0, t1, b0, b1); break;
    case LETHE_CELL_LSTM: forward_steps(r, LETHE_CELL_LSTM, t0, t1, b0, b1); break;
    case LETHE_CELL_GRU_AFTER: forward_steps(r, LETHE_CELL_GRU_AFTER, t0, t1, b0, b1); break;
    case LETHE_CELL_GRU_BEFORE: forward_steps(r, LETHE_CELL_GRU_BEFORE, t0, t1, b0, b1); break;
    case LETHE_CELL_PROGRAM:
      if (is_blockwise(r)) forward_blocks(r, t0, t1, b0, b1);
      else forward_steps(r, LETHE_CELL_PROGRAM, t0, t1, b0, b1);
      break;
  }
}

static void backward(const lethe_recurrent *r, int64_t t0, int64_t t1, int64_t b0, int64_t b1) {
  switch (r->cell) {
    case LETHE_CELL_RNN_TANH: backward_steps(r, LETHE_CELL_RNN_TANH, t0, t1, b0, b1); break;
    case LETHE_CELL_RNN_RELU: backward_steps(r, LETHE_CELL_RNN_RELU, t0, t1, b0, b1); break;
    case LETHE_CELL_LSTM: backward_steps(r, LETHE_CELL_LSTM, t0, t1, b0, b1); break;
    case LETHE_CELL_GRU_AFTER: backward_steps(r, LETHE_CELL_GRU_AFTER, t0, t1, b0, b1); break;
    case LETHE_CELL_GRU_BEFORE: backward_steps(r, LETHE_CELL_GRU_BEFORE, t0, t1, b0, b1); break;
    case LETHE_CELL_PROGRAM:
      if (is_blockwise(r)) backward_blocks(r, t0, t1, b0, b1);
      else backward_steps(r, LETHE_CELL_PROGRAM, t0, t1, b0, b1);
      break;
  }
}

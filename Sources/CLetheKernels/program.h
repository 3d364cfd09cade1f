// The arithmetic of described cells: an interpreter that does one operation on up to 16 rows of 16 units at a time, while
// they are in L1. Reading the next operation costs a few cycles, shared by those rows.

// Where a place lies for the rows at hand: its first row, and floats to the next.
typedef struct {
  float *at;
  ptrdiff_t row;
} rows_at;

// Where the gradients that reach states after a step lie, or the one that reaches what the next stage sees: floats from one
// state, and from one row, to the next.
typedef struct {
  float *at;
  ptrdiff_t state, row;
} through_at;

static const float ones_row[16] __attribute__((aligned(64))) = {1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1};
static const float edge_row[32] = {1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1};  // and as many zeros

// Rows from packed row `row`, batch row b, of one block.
LETHE_AI rows_at find_place(const lethe_recurrent *r, lethe_place place, int64_t row, int64_t b, int64_t block,
                            float *temporaries, through_at through) {
  const lethe_program *p = r->program;
  ptrdiff_t index = place.index, state = block * r->state_block + row * 16, own = (block * r->batch + b) * 16;
  switch (place.kind) {
    case LETHE_PLACE_SLOT:
      return (rows_at){r->gates + block * r->gates_block + (row * p->slots + index) * 16, p->slots * 16};
    case LETHE_PLACE_STATE_IN:
      return (rows_at){(index == 0 ? r->h_prev : r->c_in + (index - 1) * r->state_plane) + state, 16};
    case LETHE_PLACE_STATE_OUT:
      return (rows_at){(index == 0 ? r->h_out : r->c_out + (index - 1) * r->state_plane) + state, 16};
    case LETHE_PLACE_VECTOR:
      return (rows_at){(float *)p->vectors + (index * ((r->units + 15) / 16) + block) * 16, 0};
    case LETHE_PLACE_CONSTANT: return (rows_at){(float *)p->constants + index * 16, 0};
    case LETHE_PLACE_MASK:
      return r->h_mask ? (rows_at){(float *)r->h_mask + own, 16} : (rows_at){(float *)ones_row, 0};
    case LETHE_PLACE_D_STATE: return (rows_at){through.at + index * through.state, through.row};
    case LETHE_PLACE_D_SEEN: return (rows_at){through.at, through.row};
    case LETHE_PLACE_NUMBER: return (rows_at){r->numbers + (row * p->numbers + index) * 16, p->numbers * 16};
    case LETHE_PLACE_D_NUMBER: return (rows_at){r->d_numbers + (b * p->numbers + index) * 16, p->numbers * 16};
    case LETHE_PLACE_D_VECTOR:
      return (rows_at){r->d_vectors + ((index * ((r->units + 15) / 16) + block) * r->batch + b) * 16, 16};
    case LETHE_PLACE_UNITS: {
      int64_t left = r->units - block * 16;
      return (rows_at){(float *)edge_row + (left < 16 ? 16 - left : 0), 0};
    }
    case LETHE_PLACE_CARRY: return (rows_at){r->dcarry + index * r->carry_plane + own, 16};
    default: return (rows_at){temporaries + index * LETHE_CODE_ROWS * 16, 16};
  }
}

#define LETHE_EACH_ROW(value)                                             \
  {                                                                       \
    float *to = at[o.to].at;                                              \
    const float *a = at[o.a].at, *b = at[o.b].at, *c = at[o.c].at;        \
    const ptrdiff_t to_row = at[o.to].row, a_row = at[o.a].row, b_row = at[o.b].row, c_row = at[o.c].row; \
    _Pragma("clang loop unroll_count(4)") for (int64_t i = 0; i < m; i++, to += to_row, a += a_row, b += b_row, c += c_row) { \
      vf x = v_load(a);                                                   \
      v_store(to, value);                                                 \
    }                                                                     \
    break;                                                                \
  }
#define LETHE_Y v_load(b)
#define LETHE_Z v_load(c)

LETHE_AI void run_rows(const lethe_code *code, const rows_at *at, int64_t m) {
  for (int32_t n = 0; n < code->count; n++) {
    lethe_instruction o = code->instructions[n];
    switch (o.operation) {
      case LETHE_OP_COPY: LETHE_EACH_ROW(x);
      case LETHE_OP_NEGATE: LETHE_EACH_ROW(-x);
      case LETHE_OP_SIGMOID: LETHE_EACH_ROW(v_sigmoid(x));
      case LETHE_OP_TANH: LETHE_EACH_ROW(v_tanh(x));
      case LETHE_OP_RELU: LETHE_EACH_ROW(v_select((vi)(x < v_set(0)), v_set(0), x));
      case LETHE_OP_EXP: LETHE_EACH_ROW(v_exp(x));
      case LETHE_OP_LOG: LETHE_EACH_ROW(v_log(x));
      case LETHE_OP_SQRT: LETHE_EACH_ROW(__builtin_elementwise_sqrt(x));
      case LETHE_OP_ABS: LETHE_EACH_ROW((vf)((vi)x & vi_set(0x7fffffff)));
      case LETHE_OP_SOFTPLUS: LETHE_EACH_ROW(v_softplus(x));
      case LETHE_OP_POSITIVE: LETHE_EACH_ROW(v_select((vi)(x > v_set(0)), v_set(1), v_set(0)));
      case LETHE_OP_ADD: LETHE_EACH_ROW(x + LETHE_Y);
      case LETHE_OP_SUBTRACT: LETHE_EACH_ROW(x - LETHE_Y);
      case LETHE_OP_MULTIPLY: LETHE_EACH_ROW(x * LETHE_Y);
      case LETHE_OP_DIVIDE: LETHE_EACH_ROW(x / LETHE_Y);
      // A NaN on either side stays.
      case LETHE_OP_MAX: LETHE_EACH_ROW(v_select((vi)(x >= LETHE_Y) | (vi)(x != x), x, LETHE_Y));
      case LETHE_OP_MIN: LETHE_EACH_ROW(v_select((vi)(x <= LETHE_Y) | (vi)(x != x), x, LETHE_Y));
      case LETHE_OP_MULTIPLY_ADD: LETHE_EACH_ROW(v_fma(x, LETHE_Y, LETHE_Z));
      case LETHE_OP_SELECT: LETHE_EACH_ROW(v_select((vi)(x > v_set(0)), LETHE_Y, LETHE_Z));
      case LETHE_OP_MULTIPLY_SUBTRACT: LETHE_EACH_ROW(v_fma(x, LETHE_Y, -LETHE_Z));
      case LETHE_OP_SUBTRACT_MULTIPLY: LETHE_EACH_ROW((x - LETHE_Y) * LETHE_Z);
      case LETHE_OP_BLEND: LETHE_EACH_ROW(v_fma(x, LETHE_Y, (1.0f - x) * LETHE_Z));
      case LETHE_OP_BLEND_REST: LETHE_EACH_ROW(v_fma(1.0f - x, LETHE_Y, x * LETHE_Z));
      case LETHE_OP_SIGMOID_SLOPE: LETHE_EACH_ROW(x * (LETHE_Y * (1.0f - LETHE_Y)));
      case LETHE_OP_TANH_SLOPE: LETHE_EACH_ROW(x * (1.0f - LETHE_Y * LETHE_Y));
      default: break;
    }
  }
}

// The heights of most tiles have loops of their own, without a branch a row.
LETHE_NI void run_5_rows(const lethe_code *code, const rows_at *at) { run_rows(code, at, 5); }
LETHE_NI void run_6_rows(const lethe_code *code, const rows_at *at) { run_rows(code, at, 6); }
LETHE_NI void run_8_rows(const lethe_code *code, const rows_at *at) { run_rows(code, at, 8); }
LETHE_NI void run_16_rows(const lethe_code *code, const rows_at *at) { run_rows(code, at, 16); }
LETHE_NI void run_any_rows(const lethe_code *code, const rows_at *at, int64_t m) { run_rows(code, at, m); }

LETHE_AI void run_some_rows(const lethe_code *code, const rows_at *at, int64_t m) {
  switch (m) {
    case 5: run_5_rows(code, at); break;
    case 6: run_6_rows(code, at); break;
    case 8: run_8_rows(code, at); break;
    case 16: run_16_rows(code, at); break;
    default: run_any_rows(code, at, m);
  }
}

LETHE_NI void run_code(const lethe_recurrent *r, const lethe_code *code, int64_t row, int64_t b, int64_t m,
                       int64_t block, through_at through) {
  float temporaries[LETHE_CODE_TEMPORARIES * LETHE_CODE_ROWS * 16] __attribute__((aligned(64)));
  rows_at at[LETHE_CODE_PLACES];
  for (int32_t i = 0; i < code->place_count; i++)
    at[i] = find_place(r, code->places[i], row, b, block, temporaries, through);
  run_some_rows(code, at, m);
}

// Where a row's state was reset, nothing reaches the step before.
LETHE_AI void cut_carries(const lethe_recurrent *r, int64_t row, int64_t b, int64_t m, int64_t block) {
  if (!r->resets) return;
  for (int64_t i = 0; i < m; i++)
    if (r->resets[row + i])
      for (int k = 0; k < r->states; k++)
        v_store(r->dcarry + k * r->carry_plane + (block * r->batch + b + i) * 16, v_set(0));
}

// Products read the gradients of whole blocks of gates: past the last unit, where arithmetic may have no value (0 / 0), they
// are to be zeros.
LETHE_AI void clear_padding(const lethe_recurrent *r, int64_t row, int64_t m, int64_t block) {
  int64_t left = r->units - block * 16;
  if (left >= 16) return;
  vf kept = v_load(edge_row + 16 - left);
  float *gates = r->gates + block * r->gates_block + row * r->program->slots * 16;
  for (int64_t i = 0; i < m * r->program->slots; i++)
    v_store(gates + i * 16, v_select((vi)(kept != v_set(0)), v_load(gates + i * 16), v_set(0)));
}

// A stage's backward code. `through` holds [state][8 rows][64].
LETHE_AI void run_backward(const lethe_recurrent *r, int stage, int64_t row, int64_t b, int64_t m, int64_t block,
                           float *through) {
  run_code(r, &r->program->stage[stage].backward, row, b, m, block, (through_at){through, 8 * 64, 64});
  clear_padding(r, row, m, block);
  cut_carries(r, row, b, m, block);
}

// Numbers [first, first + count) of `rows` rows: to zero, and from sums in lanes to means over the units.
LETHE_AI void clear_numbers(const lethe_recurrent *r, float *at, int32_t first, int32_t count, int64_t rows) {
  for (int64_t i = 0; i < rows; i++)
    for (int32_t k = first; k < first + count; k++) v_store(at + (i * r->program->numbers + k) * 16, v_set(0));
}
LETHE_AI void close_numbers(const lethe_recurrent *r, float *at, int32_t first, int32_t count, int64_t rows) {
  for (int64_t i = 0; i < rows; i++)
    for (int32_t k = first; k < first + count; k++) {
      float *lanes = at + (i * r->program->numbers + k) * 16;
      v_store(lanes, v_set(v_total(v_load(lanes)) / (float)r->units));
    }
}
LETHE_AI void run_numbers(const lethe_recurrent *r, const lethe_code *code, int64_t row, int64_t b, int64_t rows) {
  if (code->count == 0) return;
  for (int64_t i = 0; i < rows; i += LETHE_CODE_ROWS)
    run_code(r, code, row + i, b + i, rows - i < LETHE_CODE_ROWS ? rows - i : LETHE_CODE_ROWS, 0, (through_at){0});
}

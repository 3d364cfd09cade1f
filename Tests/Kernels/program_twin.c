#include "program_twin.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

float portable_value(lethe_unary f, float x) {
  float y;
  lethe_kernels_of(LETHE_ISA_PORTABLE)->unary(f, &y, &x, 0, 0, 1);
  return y;
}

// Without a default: an operation without a row does not compile.
#define ROW(name, operands, value) \
  case LETHE_OP_##name: return value;
float float_operation(lethe_operation o, float x, float y, float z) {
  switch (o) { EACH_OPERATION(ROW) }
  return NAN;
}
double double_operation(lethe_operation o, double x, double y, double z) {
  switch (o) { EACH_OPERATION(ROW) }
  return NAN;
}
#undef ROW

// ---- writing code ----

enum { MOST_INSTRUCTIONS = 256 };

lethe_code new_code(void) {
  return (lethe_code){.instructions = bytes(MOST_INSTRUCTIONS * sizeof(lethe_instruction)),
                      .places = bytes(LETHE_CODE_PLACES * sizeof(lethe_place))};
}

static uint8_t number_of(lethe_code *code, lethe_place p) {
  lethe_place *places = (lethe_place *)code->places;
  for (int i = 0; i < code->place_count; i++)
    if (places[i].kind == p.kind && places[i].index == p.index) return (uint8_t)i;
  if (code->place_count == LETHE_CODE_PLACES) { printf("a test's code has too many places\n"); exit(1); }
  places[code->place_count] = p;
  return (uint8_t)code->place_count++;
}

void put(lethe_code *code, lethe_operation o, lethe_place to, lethe_place x, lethe_place y, lethe_place z) {
  if (code->count == MOST_INSTRUCTIONS) { printf("a test's code is too long\n"); exit(1); }
  ((lethe_instruction *)code->instructions)[code->count++] =
      (lethe_instruction){(uint8_t)o, number_of(code, to), number_of(code, x), number_of(code, y), number_of(code, z)};
}

// ---- passes ----

// One lane of one row, and what lives as long as the code of a stage.
typedef struct spot {
  int64_t row, b, block, lane;
  float temporary[LETHE_CODE_TEMPORARIES], d_state[LETHE_STATES];
} spot;

static float *place_of(const lethe_recurrent *r, spot *s, lethe_place p) {
  static float one, number;
  const lethe_program *code = r->program;
  int64_t k = p.index, blocks = blocks_of(r->units);
  int64_t state = s->block * r->state_block + s->row * 16 + s->lane;
  int64_t own = (s->block * r->batch + s->b) * 16 + s->lane;
  switch ((lethe_place_kind)p.kind) {
    case LETHE_PLACE_SLOT: return r->gates + s->block * r->gates_block + (s->row * code->slots + k) * 16 + s->lane;
    case LETHE_PLACE_STATE_IN: return k ? r->c_in + (k - 1) * r->state_plane + state : r->h_prev + state;
    case LETHE_PLACE_STATE_OUT: return k ? r->c_out + (k - 1) * r->state_plane + state : r->h_out + state;
    case LETHE_PLACE_VECTOR: number = code->vectors[(k * blocks + s->block) * 16 + s->lane]; return &number;
    case LETHE_PLACE_CONSTANT: number = code->constants[k * 16 + s->lane]; return &number;
    case LETHE_PLACE_MASK: number = r->h_mask ? r->h_mask[own] : 1; return &number;
    case LETHE_PLACE_TEMPORARY: return &s->temporary[k];
    case LETHE_PLACE_D_STATE: return &s->d_state[k];
    case LETHE_PLACE_D_SEEN: return &s->d_state[0];
    case LETHE_PLACE_CARRY: return r->dcarry + k * r->carry_plane + own;
    case LETHE_PLACE_NUMBER: return r->numbers + (s->row * code->numbers + k) * 16 + s->lane;
    case LETHE_PLACE_D_NUMBER: return r->d_numbers + (s->b * code->numbers + k) * 16 + s->lane;
    case LETHE_PLACE_D_VECTOR: return r->d_vectors + k * blocks * r->batch * 16 + own;
    case LETHE_PLACE_UNITS: one = s->block * 16 + s->lane < r->units; return &one;
  }
  return NULL;
}

static void run_here(const lethe_recurrent *r, const lethe_code *code, spot *s) {
  for (int i = 0; i < code->count; i++) {
    lethe_instruction n = code->instructions[i];
    float x = *place_of(r, s, code->places[n.a]), y = *place_of(r, s, code->places[n.b]);
    float z = *place_of(r, s, code->places[n.c]);
    *place_of(r, s, code->places[n.to]) = float_operation((lethe_operation)n.operation, x, y, z);
  }
}

// All lanes of `blocks` blocks of a row, which may add to the row's numbers in the order of blocks.
static void run_row(const lethe_recurrent *r, const lethe_code *code, int64_t row, int64_t b, int64_t blocks) {
  for (int64_t i = 0; i < blocks * 16; i++) {
    spot s = {.row = row, .b = b, .block = i / 16, .lane = i % 16};
    run_here(r, code, &s);
  }
}

// From sums in 16 lanes to their mean over the units, the lanes joined in a tree.
static void close_row(const lethe_recurrent *r, float *numbers, int32_t first, int32_t count) {
  for (int32_t k = first; k < first + count; k++) {
    float *lanes = numbers + k * 16, sum[16];
    memcpy(sum, lanes, sizeof sum);
    for (int step = 8; step > 0; step /= 2)
      for (int i = 0; i < step; i++) sum[i] += sum[i + step];
    for (int i = 0; i < 16; i++) lanes[i] = sum[0] / (float)r->units;
  }
}

// The states that step t of row b reads, where they are not what the step before wrote.
static void read_states(const lethe_recurrent *r, int64_t t, int64_t b) {
  int64_t row = r->first_row[t] + b;
  bool is_new = r->resets && r->resets[row];
  for (int64_t i = 0; i < blocks_of(r->units) * 16; i++) {
    int64_t lane = i % 16, block = i / 16 * r->state_block, own = (i / 16 * r->batch + b) * 16 + lane;
    int64_t at = block + row * 16 + lane, was = t > 0 ? block + (r->first_row[t - 1] + b) * 16 + lane : 0;
    float h = is_new ? 0 : t > 0 ? r->h_out[was] : r->h0[own];
    r->h_prev[at] = h;
    r->h_in[at] = r->h_mask ? h * r->h_mask[own] : h;
    for (int k = 0; k + 1 < r->states; k++)
      r->c_in[k * r->state_plane + at] =
          is_new ? 0 : t > 0 ? r->c_out[k * r->state_plane + was] : r->c0[k * r->carry_plane + own];
  }
}

void float_forward(const lethe_recurrent *r) {
  const lethe_program *p = r->program;
  for (int64_t t = 0; t < r->steps; t++)
    for (int64_t b = 0; b < r->first_row[t + 1] - r->first_row[t]; b++) {
      int64_t row = r->first_row[t] + b;
      float *numbers = r->numbers + row * p->numbers * 16;
      if (r->copies) read_states(r, t, b);
      for (int i = 0; i < p->stages; i++) {
        const lethe_stage *s = &p->stage[i];
        memset(numbers + s->number_first * 16, 0, (size_t)s->mean_count * 16 * sizeof(float));
        run_row(r, &s->forward, row, b, blocks_of(r->units));
        close_row(r, numbers, s->number_first, s->number_count ? s->mean_count : 0);
        if (s->number_count) run_row(r, &s->numbers, row, b, 1);
      }
    }
}

// The gradient that reaches each state from what follows row b of step t (-1: the start): of h the carry and the output's,
// after the last step the final state's; of others the carry.
static void gradients_at(const lethe_recurrent *r, int64_t t, spot *s) {
  bool has_next = t + 1 < r->steps && s->b < r->first_row[t + 2] - r->first_row[t + 1];
  int64_t own = (s->block * r->batch + s->b) * 16 + s->lane;
  s->d_state[0] = (has_next ? 0 : r->dh_final[own]) + r->dcarry[own];
  if (t >= 0 && r->dh_out) s->d_state[0] += r->dh_out[s->block * r->dh_out_block + s->row * 16 + s->lane];
  for (int k = 1; k < r->states; k++) s->d_state[k] = r->dcarry[k * r->carry_plane + own];
}

static void cut(const lethe_recurrent *r, int64_t row, int64_t b) {
  for (int64_t i = 0; r->resets && r->resets[row] && i < blocks_of(r->units) * 16; i++)
    for (int k = 0; k < r->states; k++) r->dcarry[k * r->carry_plane + (i / 16 * r->batch + b) * 16 + i % 16] = 0;
}

// Gates past the last unit have no gradients.
static void clear_gates(const lethe_recurrent *r, int64_t row) {
  int slots = r->program->slots;
  for (int64_t i = r->units; i < blocks_of(r->units) * 16; i++)
    for (int k = 0; k < slots; k++) r->gates[i / 16 * r->gates_block + (row * slots + k) * 16 + i % 16] = 0;
}

void float_backward(const lethe_recurrent *r) {
  const lethe_program *p = r->program;
  for (int64_t t = r->steps - 1; t >= -1; t--)
    for (int64_t b = 0; b < (t < 0 ? r->batch : r->first_row[t + 1] - r->first_row[t]); b++) {
      int64_t row = t < 0 ? 0 : r->first_row[t] + b;
      float *d_numbers = r->d_numbers + b * p->numbers * 16;
      if (t >= 0) memset(d_numbers, 0, (size_t)p->numbers * 16 * sizeof(float));
      for (int64_t i = 0; i < blocks_of(r->units) * 16; i++) {
        spot s = {.row = row, .b = b, .block = i / 16, .lane = i % 16};
        gradients_at(r, t, &s);
        if (t >= 0) run_here(r, &p->stage[p->stages - 1].backward, &s);
        else r->dh0[(s.block * r->batch + b) * 16 + s.lane] = s.d_state[0];
      }
      if (t < 0) continue;
      clear_gates(r, row);
      cut(r, row, b);
      for (int i = p->stages - 2; i >= 0; i--) {
        const lethe_stage *s = &p->stage[i];
        close_row(r, d_numbers, s->number_first, s->number_count);
        run_row(r, &s->d_numbers, row, b, 1);
        run_row(r, &s->backward, row, b, blocks_of(r->units));
        clear_gates(r, row);
        cut(r, row, b);
      }
    }
}

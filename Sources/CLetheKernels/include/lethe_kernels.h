// Kernels of Lethe: the arithmetic of gated recurrent networks for one instruction set, as a table of functions.
//
// Rules that hold for every kernel:
//  - Each sum is one chain of fused multiply-adds in a fixed order, so a result has the same bits on every
//    instruction set, with every split over threads, and whatever rows stand beside it.
//  - No kernel allocates, locks, or reads the environment. Pointers need no alignment beyond that of float.
//  - Pointers may not alias unless the comment says so.
//  - "block" is 16 neighbouring columns. Block-major rows are laid out [block][row][16]; columns past the
//    last are zero.
#ifndef LETHE_KERNELS_H
#define LETHE_KERNELS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#pragma clang assume_nonnull begin

// ---- matrix products ------------------------------------------------------------------------------------

// Left operand of a product. Element (row m, k) with m = p * row_width + j and k = q * k_width + i is
// a[p * row_block + j * a_row + q * a_block + i * a_k]; the last of the k_blocks blocks is k_last wide, and
// row_width 0 stands for one group of rows. A plain row-major matrix is one block with a_k = 1, its transpose one
// block with a_row = 1; convolutions and block-major rows use several blocks.
typedef struct lethe_operand {
  const float *_Null_unspecified a;
  ptrdiff_t a_row, a_k, a_block;
  int64_t k_width, k_blocks, k_last;
  int64_t row_width;
  ptrdiff_t row_block;
} lethe_operand;

// Right operand: columns in panels of at most `panel` blocks of 16, cut evenly: of n blocks in p panels, panel i holds
// blocks [n i / p, n (i + 1) / p). Block b starts at w + b * w_panel / panel, and w_k floats lie between two k (0: panels
// are packed, [k][its blocks][16]). The blocks of a panel lie 16 floats apart or, where that is not 0, w_vec.
typedef struct lethe_panels {
  const float *_Null_unspecified w;
  int64_t columns, panel;
  ptrdiff_t w_panel, w_k, w_vec;
} lethe_panels;

// out(row, column) = initial(row, column) + sum over k of left(row, k) * right(k, column), k ascending.
// Column c of row r is out[r * out_row + (c / 16) / group * out_group + (c / 16) % group * 16 + c % 16]; where left rows
// come in groups of row_width and out_row_block is not 0, r * out_row is r / row_width * out_row_block + r % row_width *
// out_row. initial has its own strides (NULL: zeros; initial_row 0: one row for all); with `adds` it is what out holds.
// Pointers are not compared: out may point to a row 0 outside its memory, where another buffer begins.
// `dense` says that columns past the last must not be touched (row-major results); otherwise whole blocks are
// written. Rows [row0, row1) and panels [panel0, panel1) only.
// `fetch`, where it is given, says what this core reads after the product and another one wrote last: `blocks` runs of `floats`
// floats, `apart` floats from one to the next. Its lines are asked for a few at a time, between tiles.
typedef struct lethe_fetch {
  const float *_Nullable at;
  ptrdiff_t apart;
  int64_t floats, blocks;
} lethe_fetch;

typedef struct lethe_product {
  lethe_operand left;
  lethe_panels right;
  const float *_Nullable initial;
  ptrdiff_t initial_row, initial_group;
  float *_Null_unspecified out;
  ptrdiff_t out_row, out_row_block, out_group;
  int64_t group;
  bool adds, dense;
  lethe_fetch fetch;
} lethe_product;

// ---- recurrent layers -----------------------------------------------------------------------------------

typedef enum lethe_cell {
  LETHE_CELL_RNN_TANH = 0,  // gate slots: pre-activation
  LETHE_CELL_RNN_RELU = 1,
  LETHE_CELL_LSTM = 2,        // slots: input, forget, candidate, output
  LETHE_CELL_GRU_AFTER = 3,   // slots: candidate, reset, update, U_n h + b_hn
  LETHE_CELL_GRU_BEFORE = 4,  // slots: candidate, reset, update, reset * h
  LETHE_CELL_PROGRAM = 5,     // slots and arithmetic come with the cell (lethe_program)
} lethe_cell;

// The arithmetic of a described cell: operations on rows of 16 units, each from places to a place. An operation may
// write where it reads.
typedef enum lethe_operation {
  LETHE_OP_COPY, LETHE_OP_NEGATE, LETHE_OP_SIGMOID, LETHE_OP_TANH, LETHE_OP_RELU, LETHE_OP_EXP, LETHE_OP_LOG,
  LETHE_OP_SQRT, LETHE_OP_ABS, LETHE_OP_SOFTPLUS,
  LETHE_OP_POSITIVE,                                              // a > 0 ? 1 : 0
  LETHE_OP_ADD, LETHE_OP_SUBTRACT, LETHE_OP_MULTIPLY, LETHE_OP_DIVIDE, LETHE_OP_MAX, LETHE_OP_MIN,  // MAX, MIN: a where equal
  LETHE_OP_MULTIPLY_ADD,                                          // a * b + c
  LETHE_OP_SELECT,                                                // a > 0 ? b : c
  // What several of these often come to, rounded as they are.
  LETHE_OP_MULTIPLY_SUBTRACT,                                     // a * b - c, rounded once
  LETHE_OP_SUBTRACT_MULTIPLY,                                     // (a - b) * c
  LETHE_OP_BLEND,                                                 // a * b + ((1 - a) * c), the sum rounded once
  LETHE_OP_BLEND_REST,                                            // (1 - a) * b + (a * c), likewise
  LETHE_OP_SIGMOID_SLOPE,                                         // a * (b * (1 - b))
  LETHE_OP_TANH_SLOPE,                                            // a * (1 - b * b)
} lethe_operation;

typedef enum lethe_place_kind {
  LETHE_PLACE_SLOT,       // gate slot `index` of the row
  LETHE_PLACE_STATE_IN,   // state `index` before the step, without the recurrent mask; 0 is h
  LETHE_PLACE_STATE_OUT,  // state `index` after the step
  LETHE_PLACE_VECTOR,     // parameter `index`, or what follows from parameters alone: one number a unit
  LETHE_PLACE_CONSTANT,
  LETHE_PLACE_MASK,       // the recurrent mask; ones where there is none
  LETHE_PLACE_TEMPORARY,
  LETHE_PLACE_D_STATE,    // backward: the gradient that reaches state `index` from everything after the step
  LETHE_PLACE_D_SEEN,     // backward: the gradient that reaches what the next stage sees
  LETHE_PLACE_CARRY,      // backward: what reaches state `index` of the step before past all products
  LETHE_PLACE_NUMBER,     // number `index` of the row, the same in 16 lanes; while it is added up, its sums lane by lane
  LETHE_PLACE_D_NUMBER,   // backward: its gradient, likewise
  LETHE_PLACE_D_VECTOR,   // backward: the gradient of vector `index`, summed up for each row of the batch
  LETHE_PLACE_UNITS,      // 1 for units, 0 for the columns past the last
} lethe_place_kind;

typedef struct lethe_place { uint8_t kind, index; } lethe_place;
typedef struct lethe_instruction { uint8_t operation, to, a, b, c; } lethe_instruction;  // numbers of places

enum { LETHE_CODE_ROWS = 16, LETHE_CODE_PLACES = 96, LETHE_CODE_TEMPORARIES = 32, LETHE_STATES = 8, LETHE_STAGES = 8 };

typedef struct lethe_code {
  const lethe_instruction *_Null_unspecified instructions;
  const lethe_place *_Null_unspecified places;
  int32_t count, place_count;
} lethe_code;

// Neighbouring gate slots that see the same thing, at most 4. Packed like w_hidden and w_hidden_t below: w by blocks
// [block][k][count][16] unless it is its stage's only group and has one gate, then like an RNN's.
typedef struct lethe_group {
  int32_t first, count;
  const float *_Null_unspecified w, *_Nullable w_t;
} lethe_group;

// What a source is: a state of the step before, or slot - LETHE_SOURCE_SLOT, which an earlier stage has written.
enum { LETHE_SOURCE_SLOT = 64 };

// A stage of a step: products into gate slots, then arithmetic; without groups, arithmetic alone. Slots [fill_first,
// fill_first + fill_count) start from `fill` [block][fill_count][16]: biases of gates that do not see the input. All
// products of a stage see one source. Its gate, where it has but one, may be narrower than the cell: `width` columns (0: as
// wide) and zeros beyond, in one of the slots of `fill`.
typedef struct lethe_stage {
  int32_t source, groups;
  int64_t width;
  lethe_group group[4];
  int32_t fill_first, fill_count;
  const float *_Nullable fill;
  lethe_code forward, backward;
  // Numbers of a row [number_first, number_first + number_count): the first mean_count of them are means over the units of
  // what the forward code adds to them, the others follow from those by `numbers`, which runs once a row. Their gradients
  // are means of what later stages' backward code adds to them; d_numbers then runs, before this stage's backward code.
  int32_t number_first, mean_count, number_count;
  lethe_code numbers, d_numbers;
} lethe_stage;

// A described cell. Stages that see a state come before those that see a slot. Bit k of `seen` says that some stage sees
// state k. The backward code of the last stage runs first; that of stage n when the gradient of what stage n + 1 sees,
// a slot, is known.
typedef struct lethe_program {
  int32_t slots, stages, numbers;
  int64_t hidden;            // the width of h where it is narrower than the cell, else 0; stages then see no other state
  uint32_t seen;
  lethe_stage stage[LETHE_STAGES];
  const float *_Null_unspecified constants;  // [constant][16]
  const float *_Null_unspecified vectors;    // [vector][block][16]
} lethe_program;

// One direction of one layer over a batch whose sequences are sorted by falling length, so that the active rows
// of step t are the first first_row[t + 1] - first_row[t] of the batch. Packed row = first_row[t] + row in batch.
// Shapes: B batch, R = first_row[steps], S slots, all in blocks of 16 units.
//  gates      [block][R][S][16]  forward in: input projection with biases (slots the input feeds);
//                                forward out: gate values (saved_) ; backward out: gate gradients, in place
//  h_in,h_out [block][..][16]    state each step reads and writes. Unless `copies`, h_out is h_in shifted by one
//                                step (h_in row R + B), and the caller puts the initial state in its first B rows
//             (of a projected h the blocks past its width are zero; dh_out has none of them)
//  h_prev     the state that GRU blends with: h_in without the recurrent mask (equal to h_in without mask)
//  c_in,c_out like h_in, h_out, for the other states of a cell: one for LSTM, `states` - 1 one behind the other
//  copies     h_in (h_prev, c_in) are separate from h_out: lengths, resets or a mask; initial states in h0, c0
typedef struct lethe_recurrent {
  lethe_cell cell;
  const lethe_program *_Nullable program;
  int64_t steps, units, batch;
  int32_t states;            // h among them
  const int64_t *_Null_unspecified first_row;  // [steps + 1]
  const uint8_t *_Nullable resets;     // [R], 1: the state is zero before this row; or NULL
  const float *_Nullable h_mask;       // [block][B][16], multiplies the state that the gates see; or NULL
  bool copies;
  int64_t panel0, panel1;    // only these panels of at most 4 blocks of units; panel1 0: all. Not for cells of several stages
  bool hard_gates;           // gates clamp(slope * x + offset, 0, 1) instead of the logistic sigmoid
  float gate_slope, gate_offset;
  const float *_Null_unspecified w_hidden;     // panels, gate columns by block: [block][k][gates][16]; RNN: panels of at most 4 blocks
  const float *_Nullable w_candidate;  // GRU before: panels of at most 4 blocks of the candidate's recurrent matrix
  const float *_Nullable b_hidden;     // GRU after: [block][16], the bias inside the reset
  float *_Null_unspecified gates;
  ptrdiff_t gates_block;     // floats between two blocks of gates; steps start at gates' row 0
  float *_Nullable numbers;  // [R][numbers of the program][16], written forward, read backward
  float *_Null_unspecified h_in, *_Null_unspecified h_prev, *_Null_unspecified h_out, *_Nullable c_in, *_Nullable c_out;
  ptrdiff_t state_block;     // floats between two blocks of each of these
  ptrdiff_t state_plane;     // floats between two states in c_in and c_out
  ptrdiff_t carry_plane;     // floats between two states in c0 and dcarry: blocks * B * 16
  const float *_Nullable h0, *_Nullable c0;      // [block][B][16], with copies only
  bool keep_gates;           // forward: write gate values back for a later backward pass
  // backward only
  const float *_Nullable w_hidden_t;     // panels of at most 4 blocks, k in the order of the gate columns, padded units included
  const float *_Nullable w_candidate_t;  // GRU before
  const float *_Nullable dh_out;         // [block][R][16] gradient of the outputs, or NULL
  ptrdiff_t dh_out_block;
  const float *_Nullable d_output_gate;  // [block][R][16] LSTM: extra gradient of the output gate's value, or NULL
  const float *_Nullable dh_final;       // [block][B][16] gradient of the final state
  float *_Nullable dcarry;               // [block][B][16] in: gradient of the final cell (GRU, RNN: zeros); out: of the initial.
                                         // PROGRAM: [state][block][B][16], zeros for h
  float *_Nullable d_vectors;            // [vector][block][B][16], added to
  float *_Nullable d_numbers;            // [B][numbers of the program][16], scratch
  float *_Null_unspecified dh0;          // [block][B][16] out: gradient of the initial state; sums wait here before it is known
} lethe_recurrent;

// ---- matrix memories ------------------------------------------------------------------------------------

typedef enum lethe_memory_rule {
  LETHE_MEMORY_MLSTM = 0,  // gate [row][2][heads]: forget, input
  LETHE_MEMORY_GLA = 1,    // gate [row][heads][key]: decay
  LETHE_MEMORY_HGRN2 = 2,  // gate [row][heads][key]: forget; k is NULL
  LETHE_MEMORY_DELTA = 3,  // gate [row][2][heads]: decay, write strength
} lethe_memory_rule;

// A layer whose state is a matrix [key][value] for each head, over a batch. A row is batch row * time + step, a task
// batch row * heads + head; R rows, B batch rows, N tasks. Nothing may alias.
typedef struct lethe_memory {
  lethe_memory_rule rule;
  int64_t time, heads, key, value;
  float option;                                // HGRN2: lower bound of forgetting; DELTA: the largest write strength
  const int64_t *_Nullable lengths;            // [B]; NULL: all steps
  const uint8_t *_Nullable resets;             // [R], 1: the state is zero before this row; or NULL
  const float *_Null_unspecified q, *_Nullable k, *_Null_unspecified v;  // [R][heads][key], [R][heads][value]
  const float *_Null_unspecified gate;         // before any activation
  const float *_Nullable rate;                 // DELTA: [heads], the logarithm of the decay rate
  const float *_Nullable s0, *_Nullable n0, *_Nullable m0;  // [N][key][value], [N][key], [N]; NULL: zeros
  float *_Null_unspecified out;                // [R][heads][value], zero past the lengths; backward reads it for MLSTM
  float *_Nullable s, *_Nullable n, *_Nullable m;           // the final state; n and m: MLSTM
  float *_Nullable saved;                      // [N][memory_saved], kept for backward; NULL: not kept
  // backward only; gradients of a NULL tensor are zeros, those of NULL results are not wanted
  const float *_Nullable dout, *_Nullable ds, *_Nullable dn, *_Nullable dm;
  float *_Null_unspecified dq, *_Nullable dk, *_Null_unspecified dv, *_Null_unspecified dgate;
  float *_Nullable drate;                      // [N]
  float *_Nullable ds0, *_Nullable dn0, *_Nullable dm0;
} lethe_memory;

// ---- the table ------------------------------------------------------------------------------------------

typedef enum lethe_unary {
  LETHE_IDENTITY = 0, LETHE_EXP, LETHE_LOG, LETHE_SIGMOID, LETHE_TANH, LETHE_RELU, LETHE_HARD_SIGMOID,
} lethe_unary;

typedef enum lethe_binary { LETHE_ADD = 0, LETHE_SUB, LETHE_MUL, LETHE_DIV } lethe_binary;

// With d = x - t: d^2; Huber's, linear beyond `delta`; and the cross-entropy of a yes-or-no target t with logit x.
typedef enum lethe_loss { LETHE_LOSS_SQUARED = 0, LETHE_LOSS_HUBER, LETHE_LOSS_BINARY } lethe_loss;

typedef struct lethe_adam {
  float rate, beta1, beta2, epsilon, correction1, correction2, decay, decoupled_decay;
} lethe_adam;

// One optimizer step of gradient descent with momentum, or of RMSprop when `square` is not NULL.
typedef struct lethe_descent {
  float rate, momentum, decay, smoothing, epsilon;
  bool nesterov;
} lethe_descent;

// How gates stand in a weight matrix (see pack_gates).
typedef struct lethe_gates {
  int64_t units, k, slots;
  int8_t order[4];
} lethe_gates;

typedef struct lethe_kernels {
  const char *name;
  int64_t vector_floats;  // floats in a hardware register

  void (*product)(const lethe_product *p, int64_t row0, int64_t row1, int64_t panel0, int64_t panel1);
  // dst, packed panels of `panel` blocks: right(k, c) = src[k * src_k + c * src_c], zero past `columns`.
  void (*pack)(float *dst, const float *src, ptrdiff_t src_k, ptrdiff_t src_c, int64_t k, int64_t columns,
               int64_t panel, int64_t panel0, int64_t panel1);
  // Gate matrices. src is [.][units][k] row-major: the row of gate g, unit u is g * units + u. Gate slot s takes the
  // source's gate order[s]. Blocks of units, or panels, [first, last) only.
  // dst [block][k][slots][16]: what a step multiplies the state or the input with.
  void (*pack_gates)(float *dst, const float *src, const lethe_gates *g, int64_t first, int64_t last);
  // dst panels of at most 4 blocks of the `k` columns, its k running over [block][slots][16], padded units zero: what
  // gate gradients are multiplied with.
  void (*pack_gates_transposed)(float *dst, const float *src, const lethe_gates *g, int64_t first, int64_t last);
  // dst as src above from src as dst above: the inverse of pack_gates, for weight gradients.
  void (*unpack_gates)(float *dst, const float *src, const lethe_gates *g, int64_t first, int64_t last);

  // dst[block][row][16] = the first columns of row map[row] of src [.][width], zero past the last; blocks dst_block floats
  // apart.
  void (*gather_blocks)(float *dst, ptrdiff_t dst_block, const float *src, const int32_t *map, int64_t columns,
                        int64_t width, int64_t row0, int64_t row1);
  // The first columns of row map[row] of dst [.][width] = src[block][row][16].
  void (*scatter_blocks)(float *dst, const float *src, ptrdiff_t src_block, const int32_t *map, int64_t columns,
                         int64_t width, int64_t row0, int64_t row1);

  // Batch rows [b0, b1) of steps [t0, t1); with `copies`, step -1 puts the initial state in place. Different rows never
  // meet, so threads split the batch; with panel0 and panel1, all have to be done with a step before the next, unless no
  // stage has products or numbers: then different panels never meet either.
  void (*forward)(const lethe_recurrent *r, int64_t t0, int64_t t1, int64_t b0, int64_t b1);
  // The same steps, last to first, after those that follow them. Step -1 is the initial state.
  void (*backward)(const lethe_recurrent *r, int64_t t0, int64_t t1, int64_t b0, int64_t b1);

  // Tasks [first, last); `scratch` has memory_scratch floats. Backward makes the states between two kept ones again.
  void (*memory_forward)(const lethe_memory *m, int64_t first, int64_t last, float *scratch);
  void (*memory_backward)(const lethe_memory *m, int64_t first, int64_t last, float *scratch);
  int64_t (*memory_scratch)(const lethe_memory *m, bool backward);
  int64_t (*memory_saved)(const lethe_memory *m);  // floats of `saved` that a task has

  void (*unary)(lethe_unary f, float *y, const float *x, float slope, float offset, int64_t n);  // y may be x
  // dx = dy * f'(x), from y = f(x) (from x where f is log); dx may be dy
  void (*unary_backward)(lethe_unary f, float *dx, const float *_Nullable x, const float *y, const float *dy, float slope,
                         int64_t n);
  void (*binary)(lethe_binary f, float *y, const float *a, const float *b, int64_t n);  // y may be a or b
  void (*binary_scalar)(lethe_binary f, float *y, const float *a, float b, int64_t n);
  // sums[c] += sum over rows of x[row * columns + c], rows ascending
  void (*column_sums)(float *sums, const float *x, int64_t rows, int64_t columns, int64_t column0, int64_t column1);
  double (*sum)(const float *x, int64_t n);
  double (*sum_squares)(const float *x, int64_t n);
  bool (*all_finite)(const float *x, int64_t n);

  // y may be x.
  void (*softmax)(float *y, const float *x, int64_t rows, int64_t columns);
  // losses[row] = -log softmax(x)[label]; dx = (softmax - onehot) * scale (dx may be NULL or x)
  void (*cross_entropy)(float *losses, float *_Nullable dx, const float *x, const int32_t *labels, float scale,
                        int64_t rows, int64_t columns);
  // The sum of the losses of n outputs x with targets t; dx = slope * scale (dx may be NULL or x).
  double (*elementwise_loss)(lethe_loss f, float *_Nullable dx, const float *x, const float *t, float delta,
                             float scale, int64_t n);
  void (*layer_norm)(float *y, float *mean, float *inverse, const float *x, const float *weight, const float *bias,
                     float epsilon, int64_t rows, int64_t columns);
  // dweight and dbias are added to, rows ascending
  void (*layer_norm_backward)(float *dx, float *dweight, float *dbias, const float *x, const float *mean,
                              const float *inverse, const float *weight, const float *dy, int64_t rows,
                              int64_t columns);
  // [images][height][width][channels]; `choice` says which of the size * size places of a window won
  void (*max_pool)(float *y, uint8_t *choice, const float *x, int64_t images, int64_t height, int64_t width,
                   int64_t channels, int64_t size);
  void (*max_pool_backward)(float *dx, const uint8_t *choice, const float *dy, int64_t images, int64_t height,
                            int64_t width, int64_t channels, int64_t size);

  void (*adam)(float *p, float *m, float *v, const float *g, const lethe_adam *a, int64_t n);
  void (*descent)(float *p, float *_Nullable velocity, float *_Nullable square, const float *g, const lethe_descent *d, int64_t n);

  // n rounds of independent multiply-adds, for measuring the peak; flop a round
  double (*peak_burst)(int64_t n);
  double peak_burst_flops;
} lethe_kernels;

// ---- choosing -------------------------------------------------------------------------------------------

typedef enum lethe_isa {
  LETHE_ISA_PORTABLE = 0, LETHE_ISA_AVX2, LETHE_ISA_AVX512, LETHE_ISA_NEON, LETHE_ISA_COUNT
} lethe_isa;

// The kernels of an instruction set, or NULL where this machine or this build does not have it.
const lethe_kernels *_Nullable lethe_kernels_of(lethe_isa isa);
// The best kernels of this machine, or those that LETHE_ISA names; NULL when LETHE_ISA names none it has.
const lethe_kernels *_Nullable lethe_kernels_best(void);
// "portable", "avx2", "avx512", "neon".
const char *lethe_isa_name(lethe_isa isa);

// The median of several bursts of independent fused multiply-adds on the calling thread, in flop per second.
double lethe_peak_flops(lethe_isa isa);

// ---- random numbers -------------------------------------------------------------------------------------

// Philox 4x32-10 (Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC 2011):
// words [4 * first, 4 * (first + count)) of the stream (key, stream), count groups of four.
// A dropout mask: 0 with probability 1 - keep, else 1 / keep, from words [0, n) of the stream.
void lethe_dropout_mask(float *mask, uint64_t key, uint64_t stream, float keep, int64_t n);
void lethe_philox(uint32_t *words, uint64_t key, uint64_t stream, uint64_t first, int64_t count);

// ---- memory and threads ---------------------------------------------------------------------------------

// A buffer aligned to 64 bytes, kept for reuse when given back. NULL when there is no memory. Safe on any thread.
void *_Nullable lethe_buffer_take(size_t bytes);
void lethe_buffer_give(void *_Nullable buffer);
// Bytes in use, bytes kept for reuse, and how often the system was asked for memory.
void lethe_buffer_counts(size_t *in_use, size_t *kept, size_t *system_calls);
// How many buffers the calling thread has taken so far: what a step allocates, whatever other threads do.
uint64_t lethe_buffer_taken_here(void);

// Calls task(context, i) for i in 0..<count, on `threads` threads of which the caller is one; returns when all are
// done. Each i is fixed to no thread: a task may not depend on who runs it. Nested calls run in the calling thread.
void lethe_parallel(int32_t threads, int64_t count, void (*task)(void *_Nullable context, int64_t index),
                    void *_Nullable context);
int32_t lethe_processor_count(void);

// ---- interruption ---------------------------------------------------------------------------------------

// After lethe_catch_interrupt, the first SIGINT or SIGTERM sets a flag and the second ends the process at once.
void lethe_catch_interrupt(void);
int32_t lethe_interrupted(void);  // the signal that came, or 0

#pragma clang assume_nonnull end

#endif

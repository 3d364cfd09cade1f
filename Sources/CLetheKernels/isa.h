// The table of one instruction set. The includer defines LETHE_ISA (the name), LETHE_TILE_VECS (virtual vectors a
// tile is wide) and LETHE_VECTOR_FLOATS, and opens the target region.
// No vector crosses a call: everything that takes or returns one is inlined.
#pragma clang diagnostic push
#pragma clang diagnostic ignored "-Wpsabi"
#include "vec.h"
#include "functions.h"
#include "tile.h"
#include "product.h"
#include "layout.h"
#include "cells.h"
#include "program.h"
#include "recurrent.h"
#include "recurrent_backward.h"
#include "recurrent_blockwise.h"
#include "pointwise.h"
#include "matrix_memory.h"
#include "matrix_memory_backward.h"
#include "losses.h"

#define LETHE_PASTE2(a, b) a##b
#define LETHE_PASTE(a, b) LETHE_PASTE2(a, b)
#define LETHE_STRING2(a) #a
#define LETHE_STRING(a) LETHE_STRING2(a)

const lethe_kernels LETHE_PASTE(lethe_table_, LETHE_ISA) = {
    .name = LETHE_STRING(LETHE_ISA),
    .vector_floats = LETHE_VECTOR_FLOATS,
    .product = product,
    .pack = pack,
    .pack_gates = pack_gates,
    .pack_gates_transposed = pack_gates_transposed,
    .unpack_gates = unpack_gates,
    .gather_blocks = gather_blocks,
    .scatter_blocks = scatter_blocks,
    .forward = forward,
    .backward = backward,
    .memory_forward = memory_forward,
    .memory_backward = memory_backward,
    .memory_scratch = memory_scratch,
    .memory_saved = memory_saved,
    .unary = unary,
    .unary_backward = unary_backward,
    .binary = binary,
    .binary_scalar = binary_scalar,
    .column_sums = column_sums,
    .sum = sum,
    .sum_squares = sum_squares,
    .all_finite = all_finite,
    .softmax = softmax,
    .cross_entropy = cross_entropy,
    .elementwise_loss = elementwise_loss,
    .layer_norm = layer_norm,
    .layer_norm_backward = layer_norm_backward,
    .max_pool = max_pool,
    .max_pool_backward = max_pool_backward,
    .adam = adam,
    .descent = descent,
    .peak_burst = peak_burst,
    .peak_burst_flops = LETHE_PEAK_CHAINS * 16 * 2,
};

#pragma clang diagnostic pop

// Plain C with software fused multiply-add: the oracle of the others, not a fast path.
#include <string.h>

#include "lethe_kernels.h"

#pragma STDC FP_CONTRACT OFF
#define LETHE_ISA portable
#define LETHE_TILE_VECS 1
#define LETHE_VECTOR_FLOATS 1
#include "isa.h"

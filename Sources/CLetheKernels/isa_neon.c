// NEON kernels.
#if defined(__aarch64__)
#include <string.h>

#include "lethe_kernels.h"

#pragma STDC FP_CONTRACT OFF
#define LETHE_ISA neon
#define LETHE_TILE_VECS 1
#define LETHE_VECTOR_FLOATS 4
#include "isa.h"
#endif

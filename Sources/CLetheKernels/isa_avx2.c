// AVX2 kernels.
#if defined(__x86_64__)
#include <string.h>

#include "lethe_kernels.h"

#pragma STDC FP_CONTRACT OFF
#pragma clang attribute push(__attribute__((target("avx2,fma"))), apply_to = function)
#define LETHE_ISA avx2
#define LETHE_TILE_VECS 1
#define LETHE_VECTOR_FLOATS 8
#include "isa.h"
#pragma clang attribute pop
#endif

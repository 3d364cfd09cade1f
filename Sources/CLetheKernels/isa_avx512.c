// AVX512 kernels.
#if defined(__x86_64__)
#include <string.h>

#include "lethe_kernels.h"

#pragma STDC FP_CONTRACT OFF
#pragma clang attribute push(__attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx2,fma"))), apply_to = function)
#define LETHE_ISA avx512
#define LETHE_TILE_VECS 4
#define LETHE_VECTOR_FLOATS 16
#include "isa.h"
#pragma clang attribute pop
#endif

// Which kernels this machine runs.
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "lethe_kernels.h"

extern const lethe_kernels lethe_table_portable;
#if defined(__x86_64__)
extern const lethe_kernels lethe_table_avx2, lethe_table_avx512;
#elif defined(__aarch64__)
extern const lethe_kernels lethe_table_neon;
#endif

const char *lethe_isa_name(lethe_isa isa) {
  static const char *const names[LETHE_ISA_COUNT] = {"portable", "avx2", "avx512", "neon"};
  return names[isa];
}

const lethe_kernels *lethe_kernels_of(lethe_isa isa) {
  switch (isa) {
    case LETHE_ISA_PORTABLE: return &lethe_table_portable;
#if defined(__x86_64__)
    // These ask the processor and the operating system (saved registers) both.
    case LETHE_ISA_AVX2:
      return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") ? &lethe_table_avx2 : NULL;
    case LETHE_ISA_AVX512:
      return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                     __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") &&
                     __builtin_cpu_supports("fma")
                 ? &lethe_table_avx512
                 : NULL;
#elif defined(__aarch64__)
    case LETHE_ISA_NEON: return &lethe_table_neon;
#endif
    default: return NULL;
  }
}

const lethe_kernels *lethe_kernels_best(void) {
  const char *wish = getenv("LETHE_ISA");
  if (wish && *wish) {
    for (int i = 0; i < LETHE_ISA_COUNT; i++)
      if (strcmp(wish, lethe_isa_name((lethe_isa)i)) == 0) return lethe_kernels_of((lethe_isa)i);
    return NULL;
  }
  static const lethe_isa order[] = {LETHE_ISA_AVX512, LETHE_ISA_AVX2, LETHE_ISA_NEON};
  for (size_t i = 0; i < sizeof order / sizeof *order; i++) {
    const lethe_kernels *k = lethe_kernels_of(order[i]);
    if (k) return k;
  }
  return &lethe_table_portable;
}

double lethe_peak_flops(lethe_isa isa) {
  const lethe_kernels *k = lethe_kernels_of(isa);
  if (!k) return 0;
  enum { BURSTS = 11 };
  double sorted[BURSTS];
  volatile double sink = 0;
  for (int burst = 0; burst < BURSTS; burst++) {
    struct timespec a, b;
    int64_t rounds = isa == LETHE_ISA_PORTABLE ? 2000 : 400000;
    clock_gettime(CLOCK_MONOTONIC, &a);
    sink = sink + k->peak_burst(rounds);
    clock_gettime(CLOCK_MONOTONIC, &b);
    double seconds = (double)(b.tv_sec - a.tv_sec) + 1e-9 * (double)(b.tv_nsec - a.tv_nsec);
    double flops = (double)rounds * k->peak_burst_flops / seconds;
    int at = burst;
    for (; at > 0 && sorted[at - 1] > flops; at--) sorted[at] = sorted[at - 1];
    sorted[at] = flops;
  }
  return sorted[BURSTS / 2];
}

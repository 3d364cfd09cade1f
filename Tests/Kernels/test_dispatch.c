// Which kernels are chosen, and the question whether the user wants to stop.
#include <math.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"

// Whether a process that gets these two signals ends by the second.
static bool second_ends(int first, int second) {
  pid_t child = fork();
  if (child == 0) {
    lethe_catch_interrupt();
    raise(first);
    if (!lethe_interrupted()) _exit(3);
    raise(second);
    _exit(4);
  }
  int status = 0;
  return child > 0 && waitpid(child, &status, 0) == child && WIFSIGNALED(status) && WTERMSIG(status) == second;
}

void test_dispatch(void) {
  static const char *const names[LETHE_ISA_COUNT] = {"portable", "avx2", "avx512", "neon"};
  unsetenv("LETHE_ISA");
  const lethe_kernels *best = lethe_kernels_best();
  label("best");
  check(best != NULL && lethe_kernels_of(LETHE_ISA_PORTABLE) != NULL, "there is none");
  check(lethe_kernels_of(LETHE_ISA_COUNT) == NULL, "a table past the last");
  int64_t widest = 0;
  for (int i = 0; i < LETHE_ISA_COUNT; i++) {
    label("%s", names[i]);
    const lethe_kernels *k = lethe_kernels_of((lethe_isa)i);
    check(strcmp(lethe_isa_name((lethe_isa)i), names[i]) == 0, "is called %s", lethe_isa_name((lethe_isa)i));
    setenv("LETHE_ISA", names[i], 1);
    check(lethe_kernels_best() == k, "LETHE_ISA chooses another");
    if (!k) {
      check(lethe_peak_flops((lethe_isa)i) == 0, "a peak without kernels");
      continue;
    }
    check(strcmp(k->name, names[i]) == 0, "its table is called %s", k->name);
    if (k->vector_floats > widest) widest = k->vector_floats;
    // Every entry is there. (Function pointers are all that lies between these two.)
    void (*const *entry)(void) = (void (*const *)(void))(const void *)&k->product;
    void (*const *last)(void) = (void (*const *)(void))(const void *)&k->peak_burst;
    bool is_full = true;
    for (; entry <= last; entry++) is_full &= *entry != NULL;
    check(is_full, "an entry of the table is missing");
    if (!is_small) {
      double peak = lethe_peak_flops((lethe_isa)i);
      check(isfinite(peak) && peak > 1e6, "its peak is %g flop/s", peak);
    }
  }
  label("LETHE_ISA");
  setenv("LETHE_ISA", "pentium", 1);
  check(lethe_kernels_best() == NULL, "an unknown name chooses kernels");
  setenv("LETHE_ISA", "", 1);
  check(lethe_kernels_best() == best, "an empty name is not as none");
  unsetenv("LETHE_ISA");
  check(best->vector_floats == widest, "the best kernels are not the widest");

  label("interrupt");
  check(!lethe_interrupted(), "before any signal");
  check(second_ends(SIGINT, SIGINT), "a second SIGINT does not end the process");
  check(second_ends(SIGTERM, SIGTERM), "a second SIGTERM does not end the process");
  check(second_ends(SIGINT, SIGTERM), "a SIGTERM after a SIGINT does not end the process");
  check(!lethe_interrupted(), "a child's signal counts");
}

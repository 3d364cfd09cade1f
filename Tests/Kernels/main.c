// Tests of every kernel on every instruction set of this machine; see check.h.
//
//   kernel_tests [--small]      --small: fewer sizes, for emulated processors
//
// Exit status 1 when a check failed.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "check.h"
#include "report.h"

// The digests of all results, on any processor. They change with the tests, or when a kernel's bits do: then every
// result that users have kept changes too, and a decision record must say so.
static const uint64_t digest_full = 0xd5321a3910ae0969u, digest_small = 0x7f505a53f454a272u;
static const uint64_t digest_start = 0xcbf29ce484222325u;

static double seconds(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

static const struct {
  const char *name;
  void (*run)(void);
  bool once;
} groups[] = {
    {"dispatch", test_dispatch, true},   {"random", test_random, true},
    {"memory", test_memory, true},       {"threads", test_threads, true},
    {"layouts", test_layouts, false},    {"products", test_products, false},
    {"functions", test_functions, false}, {"pointwise", test_pointwise, false},
    {"rows", test_rows, false},          {"optimizers", test_optimizers, false},
    {"cells", test_cells, false},        {"matrix", test_matrix_memory, false},
    {"program", test_program, false},    {"described", test_described, false},
};

int main(int count, char **arguments) {
  if (count > 2 || (count == 2 && strcmp(arguments[1], "--small") != 0)) {
    fprintf(stderr, "usage: kernel_tests [--small]\n");
    return 2;
  }
  is_small = count == 2;
  setvbuf(stdout, NULL, _IOLBF, 0);
  uint64_t digests[LETHE_ISA_COUNT];
  for (int i = 0; i < LETHE_ISA_COUNT; i++) digests[i] = digest_start;

  for (size_t g = 0; g < sizeof groups / sizeof *groups; g++) {
    long long passed = totals.passed, failed = totals.failed;
    double start = seconds();
    for (int i = 0; i < LETHE_ISA_COUNT; i++) {
      kernels = groups[g].once ? NULL : lethe_kernels_of((lethe_isa)i);
      if (groups[g].once ? i > 0 : !kernels) continue;
      is_oracle = i == LETHE_ISA_PORTABLE;
      log_rewind(is_oracle);
      totals.digest = digests[i];
      label("%s", "start");
      groups[g].run();
      release();
      label("%s", "end");
      if (!groups[g].once) {
        digests[i] = totals.digest;
        check(is_oracle || log_is_at_end(), "%s: not the number of results of the portable kernels", groups[g].name);
      }
    }
    printf("%-12s %8lld passed %4lld failed %7.2f s\n", groups[g].name, totals.passed - passed, totals.failed - failed,
           seconds() - start);
  }

  uint64_t want = is_small ? digest_small : digest_full;
  for (int i = 0; i < LETHE_ISA_COUNT; i++) {
    kernels = lethe_kernels_of((lethe_isa)i);
    if (!kernels) continue;
    label("digest");
    printf("digest %-9s %016llx\n", kernels->name, (unsigned long long)digests[i]);
    check(digests[i] == want, "%016llx is not %016llx, which main.c holds", (unsigned long long)digests[i],
          (unsigned long long)want);
  }
  printf("%lld passed, %lld failed\n", totals.passed, totals.failed);
  return totals.failed ? 1 : 0;
}

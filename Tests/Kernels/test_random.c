// Philox against the known answers of its authors' Random123 distribution, and dropout masks.
#include <math.h>
#include <string.h>

#include "check.h"

static void known(uint64_t first, uint64_t stream, uint64_t key, const uint32_t want[4]) {
  uint32_t got[4];
  lethe_philox(got, key, stream, first, 1);
  check(memcmp(got, want, sizeof got) == 0, "%08x %08x %08x %08x", got[0], got[1], got[2], got[3]);
}

static void mask_case(float keep, int64_t n, uint64_t key) {
  label("dropout mask of %lld, keep %g", (long long)n, (double)keep);
  float *mask = output(n), *prefix = output(n / 2);
  uint32_t *words = bytes((size_t)(n + 3) / 4 * 4 * sizeof(uint32_t));
  lethe_dropout_mask(mask, key, 5, keep, n);
  lethe_dropout_mask(prefix, key, 5, keep, n / 2);
  equal_bits("a shorter mask", prefix, mask, n / 2);
  lethe_philox(words, key, 5, 0, (n + 3) / 4);
  int64_t kept = 0;
  bool right = true;
  for (int64_t i = 0; i < n; i++) {
    bool is_kept = (double)words[i] < (double)keep * 0x1p32;
    right &= mask[i] == (is_kept ? 1.0f / keep : 0);
    kept += is_kept;
  }
  check(right, "a number is neither 0 nor 1 / keep, or not from its word");
  // Six standard deviations.
  double rate = (double)kept / (double)n, spread = sqrt((double)keep * (1 - (double)keep) / (double)n);
  check(n < 1000 || fabs(rate - (double)keep) <= 6 * spread + 1e-9, "keeps %g", rate);
  release();
}

void test_random(void) {
  label("philox");
  known(0, 0, 0, (const uint32_t[]){0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8});
  known(~0ull, ~0ull, ~0ull, (const uint32_t[]){0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd});
  known(0x85a308d3243f6a88, 0x0370734413198a2e, 0x299f31d0a4093822,
        (const uint32_t[]){0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1});

  // Any part of a stream, alone; the counter's low word carries into its high word.
  uint32_t all[4 * 40], part[4 * 7];
  uint64_t start = 0xfffffff0u;
  lethe_philox(all, 77, 3, start, 40);
  for (uint64_t i = 0; i <= 33; i += 3) {
    lethe_philox(part, 77, 3, start + i, 7);
    check(memcmp(part, all + 4 * i, sizeof part) == 0, "words from group %llu on", (unsigned long long)i);
  }
  uint32_t other[4 * 40];
  lethe_philox(other, 78, 3, start, 40);
  check(memcmp(all, other, sizeof all) != 0, "another key gives the same words");
  lethe_philox(other, 77, 4, start, 40);
  check(memcmp(all, other, sizeof all) != 0, "another stream gives the same words");

  mask_case(1, 1000, 1);
  mask_case(0.5f, 100001, 2);
  mask_case(0.9f, 100002, 3);
  mask_case(0.1f, 100003, 4);
  for (int64_t n = 0; n < 10; n++) mask_case(0.5f, n, 9);
}

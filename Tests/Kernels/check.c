#include "check.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "report.h"

const lethe_kernels *kernels;
bool is_oracle, is_small;
report totals;

static char case_name[256];

void label(const char *format, ...) {
  va_list list;
  va_start(list, format);
  vsnprintf(case_name, sizeof case_name, format, list);
  va_end(list);
}

bool check(bool ok, const char *format, ...) {
  if (ok) { totals.passed++; return true; }
  if (totals.failed++ < 40) {
    va_list list;
    va_start(list, format);
    printf("  FAILED [%s] %s: ", kernels ? kernels->name : "any", case_name);
    vprintf(format, list);
    printf("\n");
    va_end(list);
  }
  return false;
}

static uint32_t bits_of(float x) {
  uint32_t b;
  memcpy(&b, &x, sizeof b);
  // The sign and payload of a NaN are the processor's own.
  return (b & 0x7fffffffu) > 0x7f800000u ? 0x7fc00000u : b;
}

bool equal_bits(const char *what, const float *got, const float *want, int64_t n) {
  for (int64_t i = 0; i < n; i++)
    if (bits_of(got[i]) != bits_of(want[i]))
      return check(false, "%s[%lld of %lld] is %.9g, not %.9g", what, (long long)i, (long long)n, (double)got[i],
                   (double)want[i]);
  return check(true, "%s", what);
}

bool near(const char *what, const float *got, const double *want, double tolerance, int64_t n) {
  for (int64_t i = 0; i < n; i++) {
    double error = fabs((double)got[i] - want[i]), size = fabs(want[i]) > 1 ? fabs(want[i]) : 1;
    if (!(error <= tolerance * size))
      return check(false, "%s[%lld of %lld] is %.9g, not %.9g", what, (long long)i, (long long)n, (double)got[i],
                   want[i]);
  }
  return check(true, "%s", what);
}

// ---- the log ----

static struct {
  uint32_t *words;
  size_t count, room, at;
} log_of_group;

void log_rewind(bool empty) {
  if (empty) log_of_group.count = 0;
  log_of_group.at = 0;
}

bool log_is_at_end(void) { return log_of_group.at == log_of_group.count; }

// FNV-1a, 64 bits.
static void hash_word(uint32_t w) {
  for (int i = 0; i < 4; i++) totals.digest = (totals.digest ^ (w >> 8 * i & 0xff)) * 0x100000001b3u;
}

static void log_word(uint32_t w) {
  if (log_of_group.count == log_of_group.room) {
    log_of_group.room = log_of_group.room ? log_of_group.room * 2 : 1 << 20;
    log_of_group.words = realloc(log_of_group.words, log_of_group.room * sizeof(uint32_t));
    if (!log_of_group.words) { printf("no memory\n"); exit(1); }
  }
  log_of_group.words[log_of_group.count++] = w;
}

static void same_words(const char *what, const uint32_t *words, int64_t n) {
  int64_t bad = -1;
  uint32_t want = 0;
  for (int64_t i = 0; i < n; i++) {
    hash_word(words[i]);
    if (is_oracle) { log_word(words[i]); continue; }
    uint32_t first = log_of_group.at < log_of_group.count ? log_of_group.words[log_of_group.at] : ~words[i];
    log_of_group.at++;
    if (first != words[i] && bad < 0) { bad = i; want = first; }
  }
  if (!is_oracle)
    check(bad < 0, "%s[%lld of %lld] has bits %08x, the portable kernels' are %08x", what, (long long)bad, (long long)n,
          bad < 0 ? 0 : words[bad], want);
}

void same(const char *what, const float *p, int64_t n) {
  uint32_t few[256];
  for (int64_t i = 0; i < n; i += 256) {
    int64_t m = smaller(n - i, 256);
    for (int64_t j = 0; j < m; j++) few[j] = bits_of(p[i + j]);
    same_words(what, few, m);
  }
}

void same_bytes(const char *what, const void *p, int64_t n) {
  for (int64_t i = 0; i < n; i++) {
    uint32_t w = ((const uint8_t *)p)[i];
    same_words(what, &w, 1);
  }
}

// ---- memory ----

enum { MOST = 1024, GUARD = 48 };
static const uint32_t unwritten = 0x7fe5a5a5u;

static struct {
  void *start;
  float *guarded;  // NULL: no guards
  int64_t n;
} held[MOST];
static int held_count;

static void *hold(size_t size, float *guarded, int64_t n) {
  void *p = malloc(size ? size : 1);
  if (!p || held_count == MOST) { printf("no memory\n"); exit(1); }
  held[held_count].start = p;
  held[held_count].guarded = guarded;
  held[held_count++].n = n;
  return p;
}

float *input(int64_t n) {
  static unsigned turn;
  unsigned shift = turn++ % 5;
  float *p = (float *)hold((size_t)(n + shift) * sizeof(float), NULL, 0) + shift;
  fill(p, n, 1);
  return p;
}

float *output(int64_t n) {
  static unsigned turn;
  unsigned shift = turn++ % 3;
  int64_t all = n + 2 * GUARD + shift;
  float *p = hold((size_t)all * sizeof(float), NULL, 0);
  for (int64_t i = 0; i < all; i++) memcpy(p + i, &unwritten, sizeof unwritten);
  held[held_count - 1].guarded = p + GUARD + shift;
  held[held_count - 1].n = n;
  return p + GUARD + shift;
}

float *copy_of(const float *p, int64_t n) {
  float *q = output(n);
  if (n) memcpy(q, p, (size_t)n * sizeof(float));
  return q;
}

void *bytes(size_t n) {
  void *p = hold(n, NULL, 0);
  memset(p, 0, n);
  return p;
}

double *doubles(int64_t n) { return bytes((size_t)n * sizeof(double)); }

bool is_unwritten(const float *p, int64_t n) {
  for (int64_t i = 0; i < n; i++)
    if (memcmp(p + i, &unwritten, sizeof unwritten) != 0) return false;
  return true;
}

void release(void) {
  for (int i = 0; i < held_count; i++) {
    float *p = held[i].guarded;
    if (p)
      check(is_unwritten(p - GUARD, GUARD) && is_unwritten(p + held[i].n, GUARD),
            "wrote outside buffer %d of %lld floats", i, (long long)held[i].n);
    free(held[i].start);
  }
  held_count = 0;
}

// ---- numbers ----

static uint64_t state;

void seed(uint64_t s) { state = s; }

// SplitMix64 (Steele, Lea & Flood 2014).
uint64_t next_bits(void) {
  uint64_t z = state += 0x9e3779b97f4a7c15u;
  z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
  z = (z ^ z >> 27) * 0x94d049bb133111ebu;
  return z ^ z >> 31;
}

float next_float(void) { return (float)((int64_t)(next_bits() >> 40) - (1 << 23)) * 0x1p-23f; }

int64_t next_below(int64_t n) { return (int64_t)(next_bits() >> 33) % n; }

void fill(float *p, int64_t n, float scale) {
  for (int64_t i = 0; i < n; i++) p[i] = next_float() * scale;
}

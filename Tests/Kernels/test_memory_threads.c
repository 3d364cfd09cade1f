// The pool of buffers, the pool of threads.
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "check.h"

// ---- buffers ----

static size_t in_use(void) {
  size_t used, kept, calls;
  lethe_buffer_counts(&used, &kept, &calls);
  return used;
}

// Takes and gives back buffers, each filled with a number of its own that must still be there.
static void *churn(void *number) {
  enum { HELD = 24 };
  struct { uint8_t *p; size_t n; uint8_t mark; } held[HELD] = {{0}};
  uint64_t r = (uint64_t)(intptr_t)number * 0x9e3779b97f4a7c15u + 1;
  bool ok = true;
  for (int i = 0; i < (is_small ? 4000 : 40000); i++) {
    r = r * 6364136223846793005u + 1442695040888963407u;
    int slot = (int)(r >> 40) % HELD;
    if (held[slot].p) {
      for (size_t j = 0; j < held[slot].n; j += 97) ok &= held[slot].p[j] == held[slot].mark;
      lethe_buffer_give(held[slot].p);
      held[slot].p = NULL;
    } else {
      held[slot].n = (size_t)(r >> 50);
      held[slot].mark = (uint8_t)(r >> 33);
      held[slot].p = lethe_buffer_take(held[slot].n);
      ok &= held[slot].p != NULL;
      if (held[slot].p) memset(held[slot].p, held[slot].mark, held[slot].n);
    }
  }
  for (int i = 0; i < HELD; i++) lethe_buffer_give(held[i].p);
  return ok ? number : NULL;
}

void test_memory(void) {
  size_t before = in_use(), used, kept, calls, calls_again;
  static const size_t sizes[] = {0, 1, 63, 64, 255, 256, 257, 320, 321, 1000, 4095, 4097, 65536, 1 << 20, 3 << 20,
                                 (4 << 20) - 64, (4 << 20) - 63, 4 << 20, (8 << 20) + 1, 40 << 20};
  for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
    size_t n = sizes[i];
    label("buffer of %zu bytes", n);
    uint8_t *p = lethe_buffer_take(n);
    if (!check(p != NULL, "is missing")) continue;
    check((uintptr_t)p % 64 == 0, "is not aligned to 64 bytes");
    memset(p, 0xab, n);
    size_t counted = in_use() - before;
    check(counted >= n && (n < 256 ? counted == 256 : counted - n <= counted / 5), "counts as %zu", counted);
    lethe_buffer_give(p);
    check(in_use() == before, "is not given back");
    lethe_buffer_counts(&used, &kept, &calls);
    uint8_t *again = lethe_buffer_take(n);
    lethe_buffer_counts(&used, &kept, &calls_again);
    check(again == p && calls_again == calls, "is not used again");
    uint8_t *second = lethe_buffer_take(n);
    check(second && (second >= again + n || again >= second + n), "is handed out twice");
    lethe_buffer_give(second);
    lethe_buffer_give(again);
  }
  label("buffers");
  lethe_buffer_give(NULL);
  check(in_use() == before, "giving nothing back counts");
  check(lethe_buffer_take(SIZE_MAX) == NULL && lethe_buffer_take(SIZE_MAX / 2) == NULL,
        "more than all memory is given");
  check(in_use() == before, "what was refused counts");

  label("buffers on four threads");
  pthread_t threads[4];
  for (intptr_t i = 0; i < 4; i++) check(pthread_create(threads + i, NULL, churn, (void *)(i + 1)) == 0, "no thread");
  for (int i = 0; i < 4; i++) {
    void *ok = NULL;
    pthread_join(threads[i], &ok);
    check(ok != NULL, "a buffer was shared or missing");
  }
  check(in_use() == before, "some were not given back");
  lethe_buffer_counts(&used, &kept, &calls);
  check(kept <= (size_t)256 << 20, "%zu bytes are kept", kept);
}

// ---- threads ----

enum { MOST = 100000 };

static _Atomic uint32_t times[MOST];

static void count_once(void *context, int64_t i) {
  (void)context;
  atomic_fetch_add(&times[i], 1);
}

static bool each_once(int64_t n) {
  bool ok = true;
  for (int64_t i = 0; i < MOST; i++) {
    ok &= times[i] == (i < n ? 1u : 0u);
    times[i] = 0;
  }
  return ok;
}

typedef struct {
  int64_t base, width;
  pthread_t owner;
  _Atomic bool moved;
} nest;

static void inner(void *context, int64_t i) {
  nest *n = context;
  if (!pthread_equal(pthread_self(), n->owner)) n->moved = true;
  atomic_fetch_add(&times[n->base + i], 1);
}

static void outer(void *context, int64_t i) {
  _Atomic bool *moved = context;
  nest n = {.base = i * 100, .width = 100, .owner = pthread_self()};
  lethe_parallel(4, 100, inner, &n);
  if (n.moved) *moved = true;
}

// Sums 0 ..< n in a loop of its own, again and again, while others do the same.
static void add(void *context, int64_t i) { atomic_fetch_add((_Atomic int64_t *)context, i); }

static void *many_loops(void *unused) {
  (void)unused;
  bool ok = true;
  for (int64_t n = 1; n < (is_small ? 300 : 3000); n++) {
    _Atomic int64_t sum = 0;
    int64_t count = n % 50;
    lethe_parallel(3, count, add, &sum);
    ok &= sum == count * (count - 1) / 2;
  }
  return ok ? &times : NULL;
}

static void write_plain(void *context, int64_t i) { ((int64_t *)context)[i] = i * i; }

void test_threads(void) {
  static const int64_t counts[] = {0, 1, 2, 3, 7, 64, 1000, MOST};
  static const int32_t crews[] = {-1, 0, 1, 2, 3, 8, 40, 300};
  for (int c = 0; c < 8; c++)
    for (int t = 0; t < (is_small ? 6 : 8); t++) {
      label("%lld indices on %d threads", (long long)counts[c], crews[t]);
      lethe_parallel(crews[t], counts[c], count_once, NULL);
      check(each_once(counts[c]), "not every index came once");
    }
  label("processors");
  check(lethe_processor_count() >= 1 && lethe_processor_count() <= 255, "%d", lethe_processor_count());

  label("nested loops");
  _Atomic bool moved = false;
  lethe_parallel(4, 50, outer, &moved);
  check(each_once(5000), "not every index came once");
  check(!moved, "an inner loop left its thread");

  // What tasks write without atomics is seen by the caller after the loop; workers sleep and wake between loops.
  label("many short loops");
  bool ok = true;
  int64_t squares[64];
  for (int loop = 0; loop < (is_small ? 2000 : 100000); loop++) {
    int64_t n = 1 + loop % 64;
    memset(squares, 0, sizeof squares);
    lethe_parallel(2 + loop % 3, n, write_plain, squares);
    for (int64_t i = 0; i < n; i++) ok &= squares[i] == i * i;
  }
  check(ok, "a result was lost");
  for (int pause = 0; pause < 20; pause++) {
    struct timespec t = {0, 3000000};
    nanosleep(&t, NULL);
    lethe_parallel(3, 1000, count_once, NULL);
    check(each_once(1000), "not every index came once after a rest");
  }

  label("two threads at a time");
  pthread_t threads[3];
  for (int i = 0; i < 3; i++) check(pthread_create(threads + i, NULL, many_loops, NULL) == 0, "no thread");
  check(many_loops(NULL) != NULL, "a sum is wrong");
  for (int i = 0; i < 3; i++) {
    void *sums = NULL;
    pthread_join(threads[i], &sums);
    check(sums != NULL, "a sum is wrong");
  }
}

// A pool of float buffers. Fresh pages cost a training step up to as much again; kept buffers cost nothing.
#include <pthread.h>
#include <stdlib.h>
#if defined(__linux__)
#include <sys/mman.h>
#endif

#include "lethe_kernels.h"

// Sizes are rounded up to one of four steps a power of two, so at most a fifth of a buffer is unused.
enum { STEPS = 4, CLASSES = 64 * STEPS, HEADER = 64, HUGE_PAGE = 2 << 20 };

typedef struct buffer {
  struct buffer *next;
  size_t bytes;
  int class;
} buffer;

static struct {
  pthread_mutex_t lock;
  buffer *free[CLASSES];
  size_t in_use, most_in_use, kept, system_calls;
} pool = {.lock = PTHREAD_MUTEX_INITIALIZER};

static _Thread_local uint64_t taken_here;

static int class_of(size_t bytes, size_t *rounded) {
  size_t size = 256;
  int class = 0;
  while (size < bytes) {
    size_t step = size / STEPS;
    for (int i = 1; i <= STEPS; i++) {
      class++;
      if (size + step * (size_t)i >= bytes || i == STEPS) { size += step * (size_t)i; break; }
    }
  }
  *rounded = size;
  return class;
}

static buffer *from_system(size_t bytes) {
  size_t all = bytes + HEADER, align = all >= 2 * HUGE_PAGE ? HUGE_PAGE : 64;
  void *memory = NULL;
  if (posix_memalign(&memory, align, all) != 0) return NULL;
#if defined(__linux__)
  if (align == HUGE_PAGE) madvise(memory, all, MADV_HUGEPAGE);
#endif
  return memory;
}

static void release_kept(void) {
  for (int i = 0; i < CLASSES; i++)
    while (pool.free[i]) {
      buffer *b = pool.free[i];
      pool.free[i] = b->next;
      pool.kept -= b->bytes;
      free(b);
    }
}

void *lethe_buffer_take(size_t bytes) {
  if (bytes > SIZE_MAX / 4) return NULL;
  taken_here++;
  size_t rounded;
  int class = class_of(bytes, &rounded);
  pthread_mutex_lock(&pool.lock);
  buffer *b = pool.free[class];
  if (b) {
    pool.free[class] = b->next;
    pool.kept -= rounded;
  } else {
    pool.system_calls++;
    b = from_system(rounded);
    if (!b) {
      release_kept();
      b = from_system(rounded);
    }
    if (b) { b->bytes = rounded; b->class = class; }
  }
  if (b) {
    pool.in_use += rounded;
    if (pool.in_use > pool.most_in_use) pool.most_in_use = pool.in_use;
  }
  pthread_mutex_unlock(&pool.lock);
  return b ? (char *)b + HEADER : NULL;
}

void lethe_buffer_give(void *memory) {
  if (!memory) return;
  buffer *b = (buffer *)((char *)memory - HEADER);
  pthread_mutex_lock(&pool.lock);
  pool.in_use -= b->bytes;
  // In use and kept together never pass the most that was in use at once, and a little.
  bool keep = pool.in_use + pool.kept + b->bytes <= pool.most_in_use + ((size_t)64 << 20);
  if (keep) {
    b->next = pool.free[b->class];
    pool.free[b->class] = b;
    pool.kept += b->bytes;
  }
  pthread_mutex_unlock(&pool.lock);
  if (!keep) free(b);
}

void lethe_buffer_counts(size_t *in_use, size_t *kept, size_t *system_calls) {
  pthread_mutex_lock(&pool.lock);
  *in_use = pool.in_use;
  *kept = pool.kept;
  *system_calls = pool.system_calls;
  pthread_mutex_unlock(&pool.lock);
}

uint64_t lethe_buffer_taken_here(void) { return taken_here; }

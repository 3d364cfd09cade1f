// Worker threads that share one loop at a time. They spin for the next loop as long as a training step may work alone,
// then sleep: to wake a sleeper costs more than a small loop, and may put it on the caller's own core.
#if defined(__linux__)
#define _GNU_SOURCE  // sched_getaffinity
#endif
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <time.h>
#include <unistd.h>

#include "lethe_kernels.h"

enum { MOST_WORKERS = 255, MOST_UNITS = 1024, SPIN_NANOSECONDS = 5000000 };

// A loop's indices are claimed in `units` runs. `ticket` is (loop number << 16) + units; claimed[i] holds the number of
// the last loop whose run i was taken, so a worker that is late finds its runs taken by its own loop or a later one. Each
// thread begins with a run of its own, so equal loops find their data in the same caches; then it helps the others. The
// caller waits for finished indices, never for workers. The rest of a loop is written before its ticket, while the
// old ticket has nothing left to claim.
static struct {
  pthread_mutex_t running;  // held by the thread whose loop it is
  pthread_mutex_t sleep_lock;
  pthread_cond_t wake;
  _Atomic uint64_t ticket;
  _Atomic uint64_t claimed[MOST_UNITS];
  _Atomic int64_t count, done;
  _Atomic int32_t helpers;  // workers the loop may use
  _Atomic(void (*)(void *, int64_t)) task;
  _Atomic(void *) context;
  _Atomic int32_t sleepers;
  int32_t workers;
} crew = {.running = PTHREAD_MUTEX_INITIALIZER,
          .sleep_lock = PTHREAD_MUTEX_INITIALIZER,
          .wake = PTHREAD_COND_INITIALIZER};

static _Thread_local bool inside_task;

static inline void pause_briefly(void) {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  __asm__ volatile("yield");
#endif
}

typedef struct {
  uint64_t turns;
  struct timespec start;
} spin;

// Waits a little; false once the time to spin is over.
static bool go_on(spin *s) {
  pause_briefly();
  if (s->turns++ % 64 != 0) return true;
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  if (s->turns == 1) s->start = now;
  return (now.tv_sec - s->start.tv_sec) * 1000000000 + (now.tv_nsec - s->start.tv_nsec) < SPIN_NANOSECONDS;
}

// `me` is 0 for the caller, 1... for workers.
static void work(uint64_t ticket, int32_t me) {
  uint64_t number = ticket >> 16;
  uint32_t units = (uint32_t)(ticket & 0xffff);
  int64_t start = (int64_t)units * me / (atomic_load(&crew.helpers) + 1);
  for (uint32_t k = 0; k < units; k++) {
    int64_t i = (start + k) % units;
    uint64_t last = atomic_load(&crew.claimed[i]);
    if (last >= number || !atomic_compare_exchange_strong(&crew.claimed[i], &last, number)) continue;
    // The loop cannot end before this run does, so count and task are those the ticket was for.
    int64_t count = atomic_load(&crew.count), from = count * i / units, to = count * (i + 1) / units;
    for (int64_t j = from; j < to; j++) atomic_load(&crew.task)(atomic_load(&crew.context), j);
    atomic_fetch_add(&crew.done, to - from);
  }
}

static void *worker(void *argument) {
  int32_t id = (int32_t)(intptr_t)argument;
  uint64_t seen = 0;
  spin s = {0};
  inside_task = true;
  for (;;) {
    uint64_t ticket = atomic_load(&crew.ticket);
    while (ticket >> 16 == seen && go_on(&s)) ticket = atomic_load(&crew.ticket);
    if (ticket >> 16 == seen) {
      pthread_mutex_lock(&crew.sleep_lock);
      atomic_fetch_add(&crew.sleepers, 1);
      while ((ticket = atomic_load(&crew.ticket)) >> 16 == seen) pthread_cond_wait(&crew.wake, &crew.sleep_lock);
      atomic_fetch_sub(&crew.sleepers, 1);
      pthread_mutex_unlock(&crew.sleep_lock);
    }
    seen = ticket >> 16;
    // Loops that do not want this worker let it fall asleep.
    if (id < atomic_load(&crew.helpers)) {
      work(ticket, id + 1);
      s.turns = 0;
    }
  }
  return NULL;
}

static void hire(int32_t wanted) {
  while (crew.workers < wanted) {
    pthread_t thread;
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    int failed = pthread_create(&thread, &attributes, worker, (void *)(intptr_t)crew.workers);
    pthread_attr_destroy(&attributes);
    if (failed) return;  // fewer hands, same result
    crew.workers++;
  }
}

void lethe_parallel(int32_t threads, int64_t count, void (*task)(void *, int64_t), void *context) {
  if (threads > MOST_WORKERS) threads = MOST_WORKERS;
  if (threads <= 1 || count <= 1 || inside_task || pthread_mutex_trylock(&crew.running) != 0) {
    for (int64_t i = 0; i < count; i++) task(context, i);
    return;
  }
  hire(threads - 1);
  atomic_store(&crew.done, 0);
  atomic_store(&crew.count, count);
  atomic_store(&crew.helpers, threads - 1);
  atomic_store(&crew.task, task);
  atomic_store(&crew.context, context);
  uint64_t ticket = ((atomic_load(&crew.ticket) >> 16) + 1) << 16 | (uint64_t)(count < MOST_UNITS ? count : MOST_UNITS);
  atomic_store(&crew.ticket, ticket);
  if (atomic_load(&crew.sleepers) > 0) {
    pthread_mutex_lock(&crew.sleep_lock);
    pthread_cond_broadcast(&crew.wake);
    pthread_mutex_unlock(&crew.sleep_lock);
  }
  inside_task = true;
  work(ticket, 0);
  inside_task = false;
  for (spin s = {0}; atomic_load(&crew.done) < count;)
    if (!go_on(&s)) sched_yield();
  pthread_mutex_unlock(&crew.running);
}

int32_t lethe_processor_count(void) {
#if defined(__linux__)
  // Those this process may run on.
  cpu_set_t set;
  long n = sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : sysconf(_SC_NPROCESSORS_ONLN);
#else
  long n = sysconf(_SC_NPROCESSORS_ONLN);
#endif
  return n < 1 ? 1 : n > MOST_WORKERS ? MOST_WORKERS : (int32_t)n;
}

// Worker threads that share one loop at a time. They spin for the next loop as long as a training step may work alone,
// then sleep: to wake a sleeper costs more than a small loop, and may put it on the caller's own core.
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <time.h>
#include <unistd.h>

#include "lethe_kernels.h"

enum { MOST_WORKERS = 255, SPIN_NANOSECONDS = 5000000 };

// `ticket` is (loop number << 32) + indices left. A worker claims one by compare-and-swap, so a worker that is late
// finds the number changed or nothing left; the caller waits for finished indices, never for workers. The rest of a
// loop is written before its ticket, while the old ticket has nothing left to claim.
static struct {
  pthread_mutex_t running;  // held by the thread whose loop it is
  pthread_mutex_t sleep_lock;
  pthread_cond_t wake;
  _Atomic uint64_t ticket;
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
  int turns;
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

static void work(uint32_t number) {
  for (;;) {
    uint64_t now = atomic_load(&crew.ticket);
    uint32_t left = (uint32_t)now;
    if ((uint32_t)(now >> 32) != number || left == 0) return;
    if (!atomic_compare_exchange_weak(&crew.ticket, &now, now - 1)) continue;
    // The loop cannot end before this index does, so count and task are those the ticket was for.
    atomic_load(&crew.task)(atomic_load(&crew.context), atomic_load(&crew.count) - left);
    atomic_fetch_add(&crew.done, 1);
  }
}

static void *worker(void *argument) {
  int32_t id = (int32_t)(intptr_t)argument;
  uint32_t seen = 0;
  inside_task = true;
  for (;;) {
    uint32_t number = (uint32_t)(atomic_load(&crew.ticket) >> 32);
    for (spin s = {0}; number == seen && go_on(&s);) number = (uint32_t)(atomic_load(&crew.ticket) >> 32);
    if (number == seen) {
      pthread_mutex_lock(&crew.sleep_lock);
      atomic_fetch_add(&crew.sleepers, 1);
      while ((number = (uint32_t)(atomic_load(&crew.ticket) >> 32)) == seen)
        pthread_cond_wait(&crew.wake, &crew.sleep_lock);
      atomic_fetch_sub(&crew.sleepers, 1);
      pthread_mutex_unlock(&crew.sleep_lock);
    }
    seen = number;
    if (id < atomic_load(&crew.helpers)) work(number);
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
  if (threads <= 1 || count <= 1 || count > UINT32_MAX / 2 || inside_task || pthread_mutex_trylock(&crew.running) != 0) {
    for (int64_t i = 0; i < count; i++) task(context, i);
    return;
  }
  hire(threads - 1);
  atomic_store(&crew.done, 0);
  atomic_store(&crew.count, count);
  atomic_store(&crew.helpers, threads - 1);
  atomic_store(&crew.task, task);
  atomic_store(&crew.context, context);
  uint32_t number = (uint32_t)(atomic_load(&crew.ticket) >> 32) + 1;
  atomic_store(&crew.ticket, (uint64_t)number << 32 | (uint64_t)count);
  if (atomic_load(&crew.sleepers) > 0) {
    pthread_mutex_lock(&crew.sleep_lock);
    pthread_cond_broadcast(&crew.wake);
    pthread_mutex_unlock(&crew.sleep_lock);
  }
  inside_task = true;
  work(number);
  inside_task = false;
  for (spin s = {0}; atomic_load(&crew.done) < count;)
    if (!go_on(&s)) sched_yield();
  pthread_mutex_unlock(&crew.running);
}

int32_t lethe_processor_count(void) {
  long n = sysconf(_SC_NPROCESSORS_ONLN);
  return n < 1 ? 1 : n > MOST_WORKERS ? MOST_WORKERS : (int32_t)n;
}

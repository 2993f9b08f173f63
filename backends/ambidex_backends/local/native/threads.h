/* The threads of one pass, and where they meet. */

#pragma once

#include <sched.h>
#include <stdatomic.h>

#include "vectors.h"

/* Of `items`, where the part of `index` begins. */
INLINE int share(int64_t items, int count, int index) { return (int)(items * index / count); }

/* Where the threads of one pass meet after each stage, some hundred times in a few milliseconds. OpenMP's own barrier puts
   threads to sleep at once when a process has more of them than cores, which costs more than the stage. */
typedef struct {
    _Alignas(64) atomic_int arrived;
    _Alignas(64) atomic_int stage;
} meeting;

typedef struct {
    int index, count;
    meeting *point;
} thread;

/* A thread's rows lie together: those of one sequence write side by side into the cache. */
#define each_row(r, rows, t) \
    for (int r = share(rows, t.count, t.index), r##_end = share(rows, t.count, t.index + 1); r < r##_end; r++)

static void meet(thread t) {
    int stage = atomic_load_explicit(&t.point->stage, memory_order_relaxed);
    if (atomic_fetch_add_explicit(&t.point->arrived, 1, memory_order_acq_rel) == t.count - 1) {
        atomic_store_explicit(&t.point->arrived, 0, memory_order_relaxed);
        atomic_store_explicit(&t.point->stage, stage + 1, memory_order_release);
        return;
    }
    for (int spins = 0; atomic_load_explicit(&t.point->stage, memory_order_acquire) == stage; spins++) {
#ifdef __x86_64__
        __builtin_ia32_pause();
#endif
        if (spins > 10000) sched_yield(); /* the other thread has lost its core: let it run */
    }
}

/* Attention over the blocks of the cache, a chunk of positions after the other. */

#pragma once

#include <float.h>
#include <math.h>

#include "model.h"

#define CHUNK 512  /* positions whose scores stay in the nearest cache, and whose keys and values in the next one */
#define QUERIES 14 /* query vectors that share what is read of the cache, at most: of several heads and rows */

/* Queries of those that share what is read, as many as there are registers for their sums. */
#ifdef __AVX512BW__
enum { TOGETHER = QUERIES };
#else
enum { TOGETHER = 4 };
#endif

/* Where a head's keys [head_size][16] and values [16][head_stride] lie in a cache block. */
INLINE int64_t cache_offset(const model *m, int index, int head) {
    int64_t each = (int64_t)LANES * (m->head_size + m->head_stride);
    return ((int64_t)index * m->kv_heads + head) * each;
}

INLINE vec cached(const int half, int64_t base, int64_t at) {
    return half ? widened((const uint16_t *)base + at) : load((const float *)base + at);
}

/* Queries that share keys and values: `heads` heads of each of `rows` successive rows of one sequence. `bring`: they are the
   first of a thread's that look at the chunk, so that they bring it near. */
typedef struct {
    int row, rows, head, heads, bring;
} queries;

/* The first position that a row sees in this layer, and the one behind the last. */
INLINE int seen_from(const layer *l, const batch *b, int row) {
    return l->window && b->positions[row] >= l->window ? b->positions[row] + 1 - l->window : 0;
}
INLINE int seen_to(const batch *b, int row) { return b->positions[row] + 1; }

/* Where a head's keys lie in two blocks, and in those behind them; `next_number`: from one number of a query to the next. */
typedef struct {
    int64_t offset;
    int size, next_number;
    float scale;
    int64_t here[2], next[2];
} key_range;

/* Queries times the keys of one block or two: [block][query]. */
INLINE void multiply_keys(const int half, const int count, const int side, const int looks_ahead, key_range of,
                          const float *question, vec out[2][QUERIES]) {
    vec sums[2][2][QUERIES]; /* in registers, of even and odd numbers, so that enough of them are under way */
    for (int n = 0; n < side; n++)
        for (int q = 0; q < count; q++) sums[0][n][q] = sums[1][n][q] = (vec){0};
    for (int i = 0; i < of.size; i += 2)
        for (int odd = 0; odd < 2; odd++, question += of.next_number) {
            const int64_t at = of.offset + (i + odd) * LANES;
            vec keys[2];
            for (int n = 0; n < side; n++) {
                keys[n] = cached(half, of.here[n], at);
                if (looks_ahead && !(half && odd)) __builtin_prefetch((const char *)of.next[n] + at * (half ? 2 : 4));
            }
            for (int q = 0; q < count; q++)
                for (int n = 0; n < side; n++) sums[odd][n][q] += keys[n] * question[q];
        }
    __asm__ volatile("" : : "r"(out) : "memory"); /* or GCC keeps registers for what follows, and spills sums in the loop */
    for (int n = 0; n < side; n++)
        for (int q = 0; q < count; q++) out[n][q] = (sums[0][n][q] + sums[1][n][q]) * of.scale;
}

/* Where some columns of a chunk's values lie: `vectors` of them from `offset` on in a cache block. */
typedef struct {
    const int64_t *table;
    int64_t offset;
    int stride, vectors, first_block, end;
} value_range;

/* Values of the positions from..to, times their weights, are added to the sums. `some`: not every query sees all of them, and
   a weight of zero would not do, for zero times what is not finite is no number. */
INLINE void add_values(const int half, const int count, const int wide, const int some, value_range of, int from, int to,
                       const int *starts, const int *ends, float scores[CHUNK / LANES][QUERIES][LANES], vec out[4][QUERIES]) {
    vec sums[4][QUERIES], v[4]; /* in registers */
    for (int n = 0; n < wide; n++)
        for (int q = 0; q < count; q++) sums[n][q] = out[n][q];
    for (int block = from / LANES; block * LANES < to; block++) {
        const int begin = from > block * LANES ? from % LANES : 0, end = to < (block + 1) * LANES ? to % LANES : LANES;
        const int64_t here = of.table[block], later = of.table[(block + 1) * LANES < of.end ? block + 1 : block];
        int64_t line = of.offset + begin * of.stride;
        for (int i = begin; i < end; i++, line += of.stride) {
            const float *p = &scores[block - of.first_block][0][i];
            if (count <= 4)
                for (int ahead = 0; ahead < wide * (half ? 32 : 64); ahead += 64)
                    __builtin_prefetch((const char *)later + line * (half ? 2 : 4) + ahead);
            for (int n = 0; n < wide; n++) v[n] = cached(half, here, line + (n < of.vectors ? n : 0) * LANES);
            for (int q = 0; q < count; q++)
                for (int n = 0; n < wide && (!some || (block * LANES + i >= starts[q] && block * LANES + i < ends[q])); n++)
                    sums[n][q] += v[n] * p[q * LANES];
        }
    }
    for (int n = 0; n < wide; n++)
        for (int q = 0; q < count; q++) out[n][q] = sums[n][q];
}

/* These queries look at one chunk, after all earlier ones: their greatest score, the sum of exponentials and the weighted
   values so far are brought to the new greatest score (1805.02867, 2205.14135). Chunks begin at multiples of CHUNK, so that
   a query's sums have their order, whatever is beside. `count`: queries, with what fills up the registers. */
INLINE void attend(const int half, const int count, const model *m, const layer *l, int index, const batch *b, queries of,
                   int chunk) {
    const int size = m->head_size, stride = m->head_stride, used = of.rows * of.heads, last_row = of.row + of.rows - 1;
    const int side = count == 4 ? 1 : 2, wide = count <= 4 ? 4 : 2; /* blocks, vectors of values: enough sums are under way */
    const int part = count > 4 ? count / 2 : count; /* queries whose products with two blocks fit into the registers */
    const int64_t at = cache_offset(m, index, of.head / (m->heads / m->kv_heads));
    const int64_t *table = b->blocks[of.row];
    const ints none = {0}, lane = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
    const int is_first = seen_from(l, b, of.row) / CHUNK == chunk, is_last = (seen_to(b, last_row) - 1) / CHUNK == chunk;
    const int from = is_first ? seen_from(l, b, of.row) : chunk * CHUNK;
    const int to = is_last ? seen_to(b, last_row) : (chunk + 1) * CHUNK;
    const int first = from / LANES, last = (to + LANES - 1) / LANES;
    int starts[QUERIES], ends[QUERIES];
    float question[size + 1][count], scores[CHUNK / LANES][QUERIES][LANES], earlier[QUERIES], total[QUERIES];
    vec most[QUERIES];
    memset(question, 0, sizeof question);
    for (int q = 0; q < count; q++) {
        const int row = of.row + (q < used ? q / of.heads : 0), head = of.head + q % of.heads;
        const float *query = b->qkv + (int64_t)row * m->query_stride + head * size;
        starts[q] = seen_from(l, b, row), ends[q] = seen_to(b, row);
        most[q] = splat(-FLT_MAX);
        for (int i = 0; i < size && q < used; i++) question[i][q] = query[i];
    }
    for (int block = first; block < last; block += side) {
        key_range of_both = {at, size, count, m->query_scale};
        for (int n = 0; n < 2; n++) {
            of_both.here[n] = table[block + n < last ? block + n : block];
            of_both.next[n] = table[block + side + n < last ? block + side + n : block];
        }
        for (int n = 0; n < side && count > 4 && of.bring; n++)
            for (int byte = 0; byte < LANES * (size + stride) * (half ? 2 : 4); byte += 64)
                __builtin_prefetch((const char *)of_both.next[n] + at * (half ? 2 : 4) + byte);
        for (int q = 0; q < count; q += part) {
            vec products[2][QUERIES];
            multiply_keys(half, part, side, count <= 4, of_both, question[0] + q, products);
            for (int n = 0; n < side && block + n < last; n++) {
                const ints place = lane + (block + n) * LANES;
                const int all_see = place[0] >= starts[used - 1] && place[LANES - 1] < ends[0];
                if (m->attention_cap > 0)
                    for (int i = 0; i < part; i++)
                        products[n][i] = m->attention_cap * hyperbolic_tangent(products[n][i] / m->attention_cap);
                if (__builtin_expect(!all_see, 0))
                    for (int i = 0; i < part; i++) {
                        const ints is_seen = more_whole(none + ends[q + i], place) & ~more_whole(none + starts[q + i], place);
                        products[n][i] = chosen(is_seen, products[n][i], splat(-INFINITY));
                    }
                for (int i = 0; i < part; i++) {
                    store(scores[block - first + n][q + i], products[n][i]);
                    most[q + i] = larger(products[n][i], most[q + i]);
                }
            }
        }
    }
    for (int q = 0; q < used; q++) {
        float *state = b->softmax + ((int64_t)(of.row + q / of.heads) * m->heads + of.head + q % of.heads) * 2;
        const float *sink = l->sinks ? l->sinks + of.head + q % of.heads : 0; /* like a position before the first one */
        const float old = !is_first ? state[0] : sink ? *sink : -FLT_MAX;
        const float best = greatest(chosen(more(splat(old), most[q]), splat(old), most[q]));
        vec mass = {0};
        for (int block = 0; block < last - first; block++) {
            vec p = exponential(load(scores[block][q]) - best);
            store(scores[block][q], p);
            mass += p;
        }
        earlier[q] = is_first && !sink ? 0.0f : exponential(splat(old - best))[0];
        total[q] = (is_first ? 1.0f : state[1]) * earlier[q] + sum(mass);
        state[0] = best, state[1] = total[q];
    }
    const int inner = starts[used - 1] < from ? from : starts[used - 1] < to ? starts[used - 1] : to; /* what all see */
    const int inner_end = ends[0] < inner ? inner : ends[0] < to ? ends[0] : to;
    for (int d = 0; d < stride; d += wide * LANES) {
        const int vectors = (stride - d) / LANES < wide ? (stride - d) / LANES : wide;
        const value_range of_all = {table, at + LANES * size + d, stride, vectors, first, to};
        vec out[4][QUERIES];
        for (int n = 0; n < wide; n++)
            for (int q = 0; q < count; q++) out[n][q] = (vec){0};
        add_values(half, count, wide, 1, of_all, from, inner, starts, ends, scores, out);
        add_values(half, count, wide, 0, of_all, inner, inner_end, starts, ends, scores, out);
        add_values(half, count, wide, 1, of_all, inner_end, to, starts, ends, scores, out);
        for (int q = 0; q < used; q++)
            for (int n = 0; n < vectors; n++) {
                const int row = of.row + q / of.heads, head = of.head + q % of.heads, offset = d + n * LANES;
                const int numbers = size - offset < LANES ? size - offset : LANES;
                float *so_far = b->attended + (int64_t)row * m->query_stride + head * size + offset, lanes[LANES] = {0};
                vec value = out[n][q];
                if (!is_first) {
                    if (numbers < LANES) memcpy(lanes, so_far, numbers * sizeof(float));
                    value += load(numbers < LANES ? lanes : so_far) * earlier[q];
                }
                if (is_last) value /= total[q];
                store(numbers < LANES ? lanes : so_far, value);
                if (numbers < LANES) memcpy(so_far, lanes, numbers * sizeof(float));
            }
    }
}

INLINE void attend_as(const int half, const model *m, const layer *l, int index, const batch *b, queries of, int chunk) {
    int used = of.rows * of.heads;
    if (used == 1) attend(half, 1, m, l, index, b, of, chunk);
    else if (used == 2) attend(half, 2, m, l, index, b, of, chunk);
    else if (used == 3) attend(half, 3, m, l, index, b, of, chunk);
#ifdef __AVX512BW__
    else if (used > 12) attend(half, 14, m, l, index, b, of, chunk);
    else if (used > 8) attend(half, 12, m, l, index, b, of, chunk);
    else if (used > 4) attend(half, 8, m, l, index, b, of, chunk);
#endif
    else attend(half, 4, m, l, index, b, of, chunk);
}

/* The chunk, if these queries see any of it. */
static void attend_some(const model *m, const layer *l, int index, const batch *b, queries of, int chunk) {
    if (chunk < seen_from(l, b, of.row) / CHUNK || chunk * CHUNK >= seen_to(b, of.row + of.rows - 1)) return;
    if (m->cache_half) attend_as(1, m, l, index, b, of, chunk);
    else attend_as(0, m, l, index, b, of, chunk);
}

/* How many rows from this one on are of one sequence. */
static int run(const batch *b, int row) {
    int rows = 1;
    while (row + rows < b->rows && b->blocks[row + rows] == b->blocks[row]) rows++;
    return rows;
}

/* Rows of a prompt: all that share a head's keys and values look at a chunk while it is near. They go to the threads in turns,
   since later ones see more. */
static void attend_run(const model *m, const layer *l, int index, const batch *b, int row, int rows, thread t) {
    const int group = m->heads / m->kv_heads, most = group < TOGETHER ? TOGETHER / group : 1;
    const int first = seen_from(l, b, row) / CHUNK, last = (seen_to(b, row + rows - 1) - 1) / CHUNK;
    for (int head = 0, heads, turn = t.index; head < m->heads; head += heads, turn++) {
        heads = group - head % group < TOGETHER ? group - head % group : TOGETHER;
        for (int chunk = first; chunk <= last; chunk++)
            for (int at = turn % t.count * most; at < rows; at += t.count * most) {
                const queries of = {row + at, at + most < rows ? most : rows - at, head, heads, at < t.count * most};
                attend_some(m, l, index, b, of, chunk);
            }
    }
}

/* Single rows go to the threads in turns; what is left of those, each thread takes a share of the heads of. */
static void attention(const model *m, const layer *l, int index, const batch *b, thread t) {
    const int group = m->heads / m->kv_heads;
    int singles = 0;
    for (int row = 0, rows; row < b->rows; row += rows) {
        rows = run(b, row);
        singles += rows == 1;
        if (rows > 1) attend_run(m, l, index, b, row, rows, t);
    }
    const int whole = singles - singles % t.count, all = (singles - whole) * m->heads;
    int item = 0, first = share(all, t.count, t.index), end = share(all, t.count, t.index + 1);
    for (int row = 0, rows, single = 0; row < b->rows; row += rows) {
        rows = run(b, row);
        if (rows > 1) continue;
        const int is_shared = single >= whole, is_mine = single++ % t.count == t.index;
        for (int head = 0, heads; head < m->heads; head += heads, item += is_shared ? heads : 0) {
            heads = group - head % group < TOGETHER ? group - head % group : TOGETHER;
            if (is_shared && item < first && item + heads > first) heads = first - item;
            if (is_shared && item < end && item + heads > end) heads = end - item;
            if (is_shared ? item < first || item >= end : !is_mine) continue;
            for (int chunk = seen_from(l, b, row) / CHUNK; chunk <= b->positions[row] / CHUNK; chunk++)
                attend_some(m, l, index, b, (queries){row, 1, head, heads, 1}, chunk);
        }
    }
}

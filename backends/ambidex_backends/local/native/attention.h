/* Attention over the blocks of the cache. */

#pragma once

#include <math.h>

#include "model.h"

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

/* Queries that share keys and values: `heads` heads of each of `rows` successive rows of one sequence. */
typedef struct {
    int row, rows, head, heads;
} queries;

/* Attention of these queries, `count` with what fills up the registers. A query's sums have their order, whatever is beside. */
INLINE void attend(const int half, const int count, const model *m, const layer *l, int index, const batch *b, queries of,
                   float *scores) {
    const int size = m->head_size, stride = m->head_stride, used = of.rows * of.heads;
    const int side = count <= 3 ? 2 : 1, wide = count <= 4 ? 4 : 2; /* blocks, vectors of values: enough sums are under way */
    const int64_t at = cache_offset(m, index, of.head / (m->heads / m->kv_heads));
    const int64_t *table = b->blocks[of.row];
    const ints lane = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
    int start = 0, ends[QUERIES];
    float question[size + 1][count], total[QUERIES];
    vec most[QUERIES];
    memset(question, 0, sizeof question);
    for (int q = 0; q < count; q++) {
        const int row = of.row + (q < used ? q / of.heads : 0), head = of.head + q % of.heads;
        const float *query = b->qkv + (int64_t)row * m->query_stride + head * size;
        ends[q] = b->positions[row] + 1;
        most[q] = splat(-INFINITY);
        for (int i = 0; i < size && q < used; i++) question[i][q] = query[i];
    }
    if (l->window && ends[0] > l->window) start = ends[0] - l->window; /* then there is one row */
    const int first = start / LANES, last = (ends[used - 1] + LANES - 1) / LANES;
    for (int block = first; block < last; block += side) {
        vec even[2][QUERIES], odd[2][QUERIES];
        int64_t here[2], next[2];
        for (int n = 0; n < side; n++) {
            here[n] = table[block + n < last ? block + n : block];
            next[n] = table[block + side + n < last ? block + side + n : block];
            for (int q = 0; q < count; q++) even[n][q] = odd[n][q] = (vec){0};
        }
        for (int i = 0; i < size; i += 2)
            for (int n = 0; n < side; n++) {
                vec one = cached(half, here[n], at + i * LANES);
                vec two = i + 1 < size ? cached(half, here[n], at + (i + 1) * LANES) : (vec){0};
                __builtin_prefetch((const char *)next[n] + (at + i * LANES) * (half ? 2 : 4));
                if (!half) __builtin_prefetch((const char *)next[n] + (at + (i + 1) * LANES) * 4);
                for (int q = 0; q < count; q++) {
                    even[n][q] += one * question[i][q];
                    odd[n][q] += two * question[i + 1][q];
                }
            }
        for (int n = 0; n < side && block + n < last; n++) {
            const ints place = lane + (block + n) * LANES;
            for (int q = 0; q < used; q++) {
                vec s = (even[n][q] + odd[n][q]) * m->query_scale;
                if (m->attention_cap > 0) s = m->attention_cap * hyperbolic_tangent(s / m->attention_cap);
                s = chosen((place >= start) & (place < ends[q]), s, splat(-INFINITY));
                store(scores + ((block + n) * QUERIES + q) * LANES, s);
                most[q] = chosen(s > most[q], s, most[q]);
            }
        }
    }
    for (int q = 0; q < used; q++) {
        float lanes[LANES], best;
        vec mass = {0};
        store(lanes, most[q]);
        best = lanes[0];
        for (int i = 1; i < LANES; i++) best = lanes[i] > best ? lanes[i] : best;
        for (int block = first; block * LANES < ends[q]; block++) {
            float *s = scores + (block * QUERIES + q) * LANES;
            const ints place = lane + block * LANES;
            vec p = chosen((place >= start) & (place < ends[q]), exponential(load(s) - best), (vec){0});
            store(s, p);
            mass += p;
        }
        total[q] = sum(mass);
    }
    for (int d = 0; d < stride; d += wide * LANES) {
        const int vectors = (stride - d) / LANES < wide ? (stride - d) / LANES : wide;
        vec out[4][QUERIES];
        for (int n = 0; n < wide; n++)
            for (int q = 0; q < count; q++) out[n][q] = (vec){0};
        for (int position = start; position < ends[used - 1]; position++) {
            const int64_t from = at + LANES * size + position % LANES * stride + d;
            const float *p = scores + position / LANES * QUERIES * LANES + position % LANES;
            const int all_see = position < ends[0];
            const int64_t later = table[(position + LANES < ends[0] ? position + LANES : position) / LANES];
            for (int line = 0; line < wide * (half ? 32 : 64); line += 64)
                __builtin_prefetch((const char *)later + from * (half ? 2 : 4) + line);
            vec v[4];
            for (int n = 0; n < wide; n++) v[n] = cached(half, table[position / LANES], from + (n < vectors ? n : 0) * LANES);
            if (all_see) {
                for (int q = 0; q < count; q++)
                    for (int n = 0; n < wide; n++) out[n][q] += v[n] * p[q * LANES];
            } else {
                for (int q = 0; q < used; q++)
                    for (int n = 0; n < wide && position < ends[q]; n++) out[n][q] += v[n] * p[q * LANES];
            }
        }
        for (int q = 0; q < used; q++)
            for (int n = 0; n < vectors; n++) {
                const int row = of.row + q / of.heads, head = of.head + q % of.heads, from = d + n * LANES;
                float lanes[LANES];
                store(lanes, out[n][q] / total[q]);
                float *to = b->attended + (int64_t)row * m->query_stride + head * size + from;
                memcpy(to, lanes, (size - from < LANES ? size - from : LANES) * sizeof(float));
            }
    }
}

INLINE void attend_as(const int half, const model *m, const layer *l, int index, const batch *b, queries of, float *scores) {
    int used = of.rows * of.heads;
    if (used == 1) attend(half, 1, m, l, index, b, of, scores);
    else if (used == 2) attend(half, 2, m, l, index, b, of, scores);
    else if (used == 3) attend(half, 3, m, l, index, b, of, scores);
#ifdef __AVX512BW__
    else if (used > 12) attend(half, 14, m, l, index, b, of, scores);
    else if (used > 8) attend(half, 12, m, l, index, b, of, scores);
    else if (used > 4) attend(half, 8, m, l, index, b, of, scores);
#endif
    else attend(half, 4, m, l, index, b, of, scores);
}

static void attend_some(const model *m, const layer *l, int index, const batch *b, queries of, float *scores) {
    if (m->cache_half) attend_as(1, m, l, index, b, of, scores);
    else attend_as(0, m, l, index, b, of, scores);
}

/* How many rows from this one on are of one sequence, up to `most`; one where a window begins anew with each row. */
static int together(const layer *l, const batch *b, int row, int most) {
    int rows = 1;
    while (rows < most && row + rows < b->rows && b->blocks[row + rows] == b->blocks[row]) rows++;
    return l->window && b->positions[row + rows - 1] >= l->window ? 1 : rows;
}

/* Rows of a prompt go to the threads in turns, since later ones see more, and so do single rows; what is left of those, each
   thread takes a share of the heads of. */
static void attention(const model *m, const layer *l, int index, const batch *b, thread t) {
    const int group = m->heads / m->kv_heads, most = group < TOGETHER ? TOGETHER / group : 1;
    float *scores = b->scores + t.index * QUERIES * b->score_stride;
    int singles = 0, turn = 0;
    for (int head = 0; head < m->heads; head += group)
        for (int row = 0, rows; row < b->rows; row += rows) {
            rows = together(l, b, row, most);
            if (rows == 1) singles += head == 0;
            else if (turn++ % t.count == t.index) attend_some(m, l, index, b, (queries){row, rows, head, group}, scores);
        }
    const int whole = singles - singles % t.count, all = (singles - whole) * m->heads;
    int item = 0, first = share(all, t.count, t.index), end = share(all, t.count, t.index + 1);
    for (int row = 0, rows, single = 0; row < b->rows; row += rows) {
        rows = together(l, b, row, most);
        if (rows > 1) continue;
        const int is_shared = single >= whole, is_mine = single++ % t.count == t.index;
        for (int head = 0, heads; head < m->heads; head += heads, item += is_shared ? heads : 0) {
            heads = group - head % group < TOGETHER ? group - head % group : TOGETHER;
            if (is_shared && item < first && item + heads > first) heads = first - item;
            if (is_shared && item < end && item + heads > end) heads = end - item;
            if (is_shared ? item >= first && item < end : is_mine)
                attend_some(m, l, index, b, (queries){row, 1, head, heads}, scores);
        }
    }
}

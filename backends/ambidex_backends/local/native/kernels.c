/* One forward pass of a Llama-shaped decoder on a CPU, for rows (tokens) of any number of sequences at once.

   Written for the compiler's vectoriser: vectors of 16 floats in GCC's and Clang's own notation, which become AVX-512,
   AVX2 or NEON as the machine has it, and one OpenMP region for the whole pass, in which the threads meet after each stage.

   A token generated alone reads every weight once, so its speed is the memory's. Weights therefore lie in the order in
   which they are read: 16 output rows side by side, [rows / 16][columns][16], so that a vector holds one column of 16
   rows, no sum runs across a vector, and several rows of input share what was read.

   Every output is summed in one order, which depends neither on how many rows are computed together nor on the number
   of threads: a token's logits are the same bits alone, in a batch, in a chunk of a prompt, and after a cached prefix. */

#ifdef _OPENMP
#include <omp.h>
#endif
#include <math.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdint.h>
#include <string.h>

#include "vectors.h"

#define STEP 64           /* columns are padded to a multiple of this */
#define BYTE_GROUP 64     /* weights of a row that share a scale, 8 bits */
#define NIBBLE_GROUP 32   /* the same, 4 bits */
#define QUERIES 14        /* query vectors that share what is read of the cache, at most: of several heads and rows */

/* How many sums are under way at once, as many as fit into the registers.
   TILES: of LANES rows that stay in the cache together, computed at once for one row of input
   FEW_TILES: computed at once for several rows of input
   INPUTS: rows of input that share what is read of the weights
   TOGETHER: queries, of those that share what is read of the cache */
#ifdef __AVX512BW__
enum { TILES = 8, FEW_TILES = 4, INPUTS = 6, TOGETHER = QUERIES };
#else
enum { TILES = 4, FEW_TILES = 2, INPUTS = 3, TOGETHER = 4 };
#endif

enum { FLOAT32, BFLOAT16, INT8, INT4 };

/* A weight matrix [rows, columns], both padded with zeros: rows to LANES, columns to STEP. */
typedef struct {
    int32_t kind, rows, columns;
    const void *weights;      /* [rows / 16][columns / side][16][side]; side: columns of a row side by side, FLOAT32 1,
                                 BFLOAT16 and INT8 2, INT4 8, which are nibbles of 32 bits: those of bits 0 to 15 are
                                 columns 0, 2, 4, 6, those of the upper bits columns 1, 3, 5, 7 */
    const uint16_t *scales;   /* bfloat16 [rows / 16][columns / group][16] */
    const float *bias;        /* [rows] or NULL */
} matrix;

typedef struct {
    matrix qkv, output, gate, up, down;
    const float *attention_norm, *mlp_norm;       /* [width]; before each half, NULL: none */
    const float *attention_post, *mlp_post;       /* [width]; after each half, NULL: none */
    const float *query_norm, *key_norm;           /* [head_size], or [heads * head_size] if norm_all_heads; or NULL */
    int32_t window;                               /* positions visible back from each one, 0: all */
    int32_t rope;                                 /* which table of angles, -1: none */
} layer;

typedef struct {
    int32_t layers, width, heads, kv_heads, head_size, head_stride, rotary, gelu, norm_all_heads, cache_half;
    float epsilon, query_scale, attention_cap, logits_cap, logits_scale, embedding_scale, residual_scale;
    const layer *stack;
    matrix embedding, head;
    const float *final_norm;
    int32_t activation_stride, query_stride, hidden_stride;
} model;

/* Rows to compute. `blocks[r]`: the addresses of the cache blocks of row r's sequence, LANES positions each. */
typedef struct {
    int32_t rows, scored;
    const int32_t *ids, *positions;
    const int64_t *const *blocks;
    const int32_t *scored_rows;
    const float *const *cosines, *const *sines;   /* for each table: [positions, rotary / 2] */
    float *states, *normed, *qkv, *attended, *hidden, *added; /* [rows, stride], padding zeroed */
    float *scores;                                /* [threads][score_stride / 16][QUERIES][16] */
    int64_t score_stride;
    float *logits;                                /* [scored, head.rows] */
} batch;

/* -- matrices ----------------------------------------------------------------------------------------------------- */

/* Rows of input as a kind of weights is multiplied with them: float; where the processor multiplies pairs of bfloat16,
   that for BFLOAT16; for whole numbers int16, of which a group shares a scale, as in the weights. So the products of a
   group are added up exactly, and in one instruction for each pair. */
typedef struct {
    const void *rows;
    const float *scales; /* [row][columns / group] */
    int64_t stride;      /* numbers of a row */
} input;

INLINE int group_of(const int kind) { return kind == INT8 ? BYTE_GROUP : kind == INT4 ? NIBBLE_GROUP : STEP; }

/* To 16 sums, the products of a pair of columns in bfloat16. */
#ifdef __AVX512BF16__
typedef uint16_t half_input;

INLINE vec add_pair(vec sums, loose_ints both, const half_input *pair) {
    return (vec)_mm512_dpbf16_ps((__m512)sums, (__m512bh)both, (__m512bh)_mm512_set1_epi32(*(const loose_int *)pair));
}

static void to_halves(const float *x, half_input *to, int64_t columns) {
    for (int64_t k = 0; k < columns; k += LANES)
        _mm256_storeu_si256((void *)(to + k), (__m256i)_mm512_cvtneps_pbh((__m512)load(x + k)));
}
#else
typedef float half_input;

INLINE vec add_pair(vec sums, loose_ints both, const half_input *pair) {
    sums += (vec)(both << 16) * pair[0];
    return sums + (vec)(both & (int32_t)0xffff0000) * pair[1];
}

static void to_halves(const float *x, half_input *to, int64_t columns) { memcpy(to, x, columns * sizeof(float)); }
#endif

/* Each group by its greatest magnitude, to the nearest. What is not finite makes the scale so. */
static void to_words(const float *x, int16_t *to, float *scales, int64_t columns, const int group) {
    for (int64_t g = 0; g < columns; g += group) {
        ints bits = {0}; /* of magnitudes; those of what is no number are the greatest */
        for (int k = 0; k < group; k += LANES) {
            const ints some = (ints)load(x + g + k) & 0x7fffffff, more = some > bits;
            bits = (more & some) | (~more & bits);
        }
        int32_t most = 0;
        for (int i = 0; i < LANES; i++) most = bits[i] > most ? bits[i] : most;
        float greatest;
        memcpy(&greatest, &most, 4);
        const float by = greatest > 1e-30f ? 32767.0f / greatest : 0.0f;
        scales[g / group] = greatest * (1.0f / 32767.0f);
        for (int k = 0; k < group; k += LANES) {
            const vec number = load(x + g + k) * by;
            const vec half = chosen(number < 0.0f, splat(-0.5f), splat(0.5f));
            store_words(to + g + k, __builtin_convertvector(number + half, ints));
        }
    }
}

/* sums[tile][row of input] of `tiles` * 16 rows of weights; columns in order. */
INLINE void dot_floats(const int kind, const matrix *w, int tile, const int tiles, input in, const int count,
                       vec sums[TILES][INPUTS]) {
    const int64_t columns = w->columns, line_bytes = columns * LANES * (kind == FLOAT32 ? 4 : 2);
    const char *lines = (const char *)w->weights + tile * line_bytes;
    for (int t = 0; t < tiles; t++)
        for (int c = 0; c < count; c++) sums[t][c] = (vec){0};
#pragma GCC unroll 4
    for (int64_t k = 0; k < columns; k += 2)
        for (int t = 0; t < tiles; t++) {
            const char *at = lines + t * line_bytes + k * (line_bytes / columns);
            if (kind == BFLOAT16) {
                const loose_ints both = *(const loose_ints *)at;
                for (int c = 0; c < count; c++)
                    sums[t][c] = add_pair(sums[t][c], both, (const half_input *)in.rows + c * in.stride + k);
            } else {
                const vec one = load((const float *)at), two = load((const float *)at + LANES);
                const float *x = (const float *)in.rows + k;
                for (int c = 0; c < count; c++) sums[t][c] += one * x[c * in.stride];
                for (int c = 0; c < count; c++) sums[t][c] += two * x[c * in.stride + 1];
            }
        }
}

/* The same; group by group, each with its scales. */
INLINE void dot_whole(const int kind, const matrix *w, int tile, const int tiles, input in, const int count,
                      vec sums[TILES][INPUTS]) {
    const int group = group_of(kind);
    const int64_t columns = w->columns, groups = columns / group, line_bytes = columns * LANES / (kind == INT8 ? 1 : 2);
    const char *lines = (const char *)w->weights + tile * line_bytes;
    const uint16_t *scales = w->scales + tile * groups * LANES;
    for (int t = 0; t < tiles; t++)
        for (int c = 0; c < count; c++) sums[t][c] = (vec){0};
    for (int64_t g = 0; g < groups; g++) {
        const int16_t *x = (const int16_t *)in.rows + g * group;
        ints part[TILES][INPUTS];
        for (int t = 0; t < tiles; t++)
            for (int c = 0; c < count; c++) part[t][c] = (ints){0};
#pragma GCC unroll 2
        for (int k = 0; k < group; k += 8)
            for (int t = 0; t < tiles; t++) {
                const char *at = lines + t * line_bytes + (g * group + k) * (line_bytes / columns);
                words eight = {0};
                if (kind == INT4) eight = *(const loose_words *)at;
#pragma GCC unroll 4
                for (int pair = 0; pair < 4; pair++) {
                    const words both = kind == INT4 ? (eight << (12 - 4 * pair)) >> 12
                                                    : from_bytes((const int8_t *)at + pair * 2 * LANES);
                    for (int c = 0; c < count; c++)
                        part[t][c] = add_products(part[t][c], both, x + c * in.stride + k + 2 * pair);
                }
            }
        for (int t = 0; t < tiles; t++) {
            const vec scale = widened(scales + (t * groups + g) * LANES);
            for (int c = 0; c < count; c++) sums[t][c] += scale * in.scales[c * groups + g] * as_floats(part[t][c]);
        }
    }
}

enum { PLAIN, ADD, GATE_SILU, GATE_GELU };

/* What becomes of 16 sums of row r: stored, added to what is there (scaled), or through the gate over what is there. */
INLINE void put(const matrix *w, int tile, float *out, vec sums, const int how, float scale) {
    if (w->bias) sums += load(w->bias + tile * LANES);
    float *to = out + tile * LANES;
    if (how == PLAIN) store(to, sums);
    if (how == ADD) store(to, load(to) + scale * sums);
    if (how == GATE_SILU) store(to, silu(load(to)) * sums);
    if (how == GATE_GELU) store(to, gelu(load(to)) * sums);
}

/* What a matrix is multiplied with, and what becomes of it. */
typedef struct {
    const float *x;
    int64_t x_stride;
    float *out;
    int64_t out_stride;
    int how;
    float scale;
} operands;

INLINE void block(const int kind, const matrix *w, int tile, const int tiles, input in, operands o, const int count) {
    vec sums[TILES][INPUTS];
    if (kind <= BFLOAT16) dot_floats(kind, w, tile, tiles, in, count, sums);
    else dot_whole(kind, w, tile, tiles, in, count, sums);
    for (int t = 0; t < tiles; t++)
        for (int c = 0; c < count; c++) switch (o.how) {
            case PLAIN: put(w, tile + t, o.out + c * o.out_stride, sums[t][c], PLAIN, o.scale); break;
            case ADD: put(w, tile + t, o.out + c * o.out_stride, sums[t][c], ADD, o.scale); break;
            case GATE_SILU: put(w, tile + t, o.out + c * o.out_stride, sums[t][c], GATE_SILU, o.scale); break;
            default: put(w, tile + t, o.out + c * o.out_stride, sums[t][c], GATE_GELU, o.scale);
        }
}

INLINE void blocks(const int kind, const matrix *w, int tile, const int tiles, input in, operands o, int count) {
    switch (count) {
    case 1: block(kind, w, tile, tiles, in, o, 1); break;
    case 2: block(kind, w, tile, tiles, in, o, 2); break;
#ifdef __AVX512BW__
    case 3: block(kind, w, tile, tiles, in, o, 3); break;
    case 4: block(kind, w, tile, tiles, in, o, 4); break;
    case 5: block(kind, w, tile, tiles, in, o, 5); break;
#endif
    default: block(kind, w, tile, tiles, in, o, INPUTS);
    }
}

INLINE int share(int64_t items, int count, int index) { return (int)(items * index / count); }

/* Tiles `first` to `last` for all rows, in panels that stay in the cache while all rows of x pass by, in equal parts. */
INLINE void matmul_of(const int kind, const matrix *w, operands o, int rows, int first, int last) {
    const int64_t columns = w->columns, groups = columns / group_of(kind);
    const int parts = (rows + INPUTS - 1) / INPUTS;
    half_input halves[kind == BFLOAT16 ? INPUTS * columns : 1];
    int16_t numbers[kind > BFLOAT16 ? INPUTS * columns : 1];
    float scales[kind > BFLOAT16 ? INPUTS * groups : 1];
    for (int panel = first; panel < last; panel += TILES) {
        const int end = panel + TILES < last ? panel + TILES : last;
        for (int part = 0; part < parts; part++) {
            const int r = share(rows, parts, part), count = share(rows, parts, part + 1) - r;
            input in = {o.x + r * o.x_stride, scales, o.x_stride};
            operands p = o;
            p.out += r * o.out_stride;
            if (kind != FLOAT32) in = (input){kind == BFLOAT16 ? (void *)halves : numbers, scales, columns};
            for (int c = 0; c < count && (parts > 1 || panel == first); c++) {
                const float *x = o.x + (r + c) * o.x_stride;
                if (kind == BFLOAT16) to_halves(x, halves + c * columns, columns);
                if (kind > BFLOAT16) to_words(x, numbers + c * columns, scales + c * groups, columns, group_of(kind));
            }
            int tile = panel;
            if (count == 1 && end - tile == TILES) {
                block(kind, w, tile, TILES, in, p, 1);
                continue;
            }
            for (; tile + FEW_TILES <= end; tile += FEW_TILES) blocks(kind, w, tile, FEW_TILES, in, p, count);
            for (; tile < end; tile++) blocks(kind, w, tile, 1, in, p, count);
        }
    }
}

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

static void matmul(const matrix *w, operands o, int rows, thread t) {
    int tiles = w->rows / LANES, first = share(tiles, t.count, t.index), last = share(tiles, t.count, t.index + 1);
    switch (w->kind) {
    case FLOAT32: matmul_of(FLOAT32, w, o, rows, first, last); break;
    case BFLOAT16: matmul_of(BFLOAT16, w, o, rows, first, last); break;
    case INT8: matmul_of(INT8, w, o, rows, first, last); break;
    default: matmul_of(INT4, w, o, rows, first, last);
    }
}

static float element(const matrix *w, int64_t row, int64_t column) {
    const int64_t tile = row / LANES, lane = row % LANES, pair = ((tile * w->columns + column) / 2 * LANES + lane) * 2 + column % 2;
    uint32_t bits;
    float value;
    if (w->kind == FLOAT32) return ((const float *)w->weights)[(tile * w->columns + column) * LANES + lane];
    if (w->kind == BFLOAT16) {
        bits = (uint32_t)((const uint16_t *)w->weights)[pair] << 16;
        memcpy(&value, &bits, 4);
        return value;
    }
    const int64_t group = group_of(w->kind);
    bits = (uint32_t)w->scales[(tile * (w->columns / group) + column / group) * LANES + lane] << 16;
    memcpy(&value, &bits, 4);
    if (w->kind == INT8) return value * ((const int8_t *)w->weights)[pair];
    bits = ((const uint32_t *)w->weights)[(tile * w->columns + column) / 8 * LANES + lane];
    return value * ((int32_t)(bits << (28 - column % 2 * 16 - column % 8 / 2 * 4)) >> 28);
}

/* -- stages ------------------------------------------------------------------------------------------------------- */

/* Root mean square norm (1910.07467) of `size` floats; the weights may be those of several heads. */
static void rms_norm(const float *x, const float *weights, float *out, int size, float epsilon) {
    vec squares = {0};
    float rest = 0;
    int i = 0;
    for (; i + LANES <= size; i += LANES) squares += load(x + i) * load(x + i);
    for (; i < size; i++) rest += x[i] * x[i];
    float factor = 1.0f / sqrtf((sum(squares) + rest) / size + epsilon);
    for (i = 0; i + LANES <= size; i += LANES) store(out + i, load(x + i) * factor * load(weights + i));
    for (; i < size; i++) out[i] = x[i] * factor * weights[i];
}

/* The row's state through the norm; or as it is, where the architecture has none here. */
static void normed_row(const model *m, const batch *b, const float *weights, int row) {
    const float *x = b->states + (int64_t)row * m->activation_stride;
    float *out = b->normed + (int64_t)row * m->activation_stride;
    if (weights) rms_norm(x, weights, out, m->width, m->epsilon);
    else memcpy(out, x, m->width * sizeof(float));
}

/* Rotary positions (2104.09864): pairs (i, i + rotary / 2) are turned by the position's angles. */
static void rotate(float *x, const float *cosines, const float *sines, int rotary) {
    int half = rotary / 2;
    for (int i = 0; i < half; i++) {
        float first = x[i], second = x[i + half];
        x[i] = first * cosines[i] - second * sines[i];
        x[i + half] = second * cosines[i] + first * sines[i];
    }
}

/* Where a head's keys [head_size][16] and values [16][head_stride] lie in a cache block. */
INLINE int64_t cache_offset(const model *m, int index, int head) {
    int64_t each = (int64_t)LANES * (m->head_size + m->head_stride);
    return ((int64_t)index * m->kv_heads + head) * each;
}

/* Queries and keys are normed and turned; keys and values go into the cache. */
static void remember_row(const model *m, const layer *l, int index, const batch *b, int row) {
    const int size = m->head_size, query_size = m->heads * size, key_size = m->kv_heads * size;
    float *query = b->qkv + (int64_t)row * m->query_stride, *key = query + query_size, *value = key + key_size;
    if (m->norm_all_heads && l->query_norm) {
        rms_norm(query, l->query_norm, query, query_size, m->epsilon);
        rms_norm(key, l->key_norm, key, key_size, m->epsilon);
    }
    for (int h = 0; h < m->heads + m->kv_heads; h++) {
        float *head = query + h * size;
        const float *norm = h < m->heads ? l->query_norm : l->key_norm;
        if (norm && !m->norm_all_heads) rms_norm(head, norm, head, size, m->epsilon);
        if (l->rope >= 0) {
            int64_t at = (int64_t)b->positions[row] * (m->rotary / 2);
            rotate(head, b->cosines[l->rope] + at, b->sines[l->rope] + at, m->rotary);
        }
    }
    int position = b->positions[row], slot = position % LANES;
    int64_t base = b->blocks[row][position / LANES];
    for (int h = 0; h < m->kv_heads; h++) {
        int64_t at = cache_offset(m, index, h);
        if (m->cache_half) {
            uint16_t *keys = (uint16_t *)base + at, *values = keys + LANES * size + slot * m->head_stride;
            for (int i = 0; i < size; i++) store_half(keys + i * LANES + slot, key[h * size + i]);
            for (int i = 0; i < size; i++) store_half(values + i, value[h * size + i]);
        } else {
            float *keys = (float *)base + at, *values = keys + LANES * size + slot * m->head_stride;
            for (int i = 0; i < size; i++) keys[i * LANES + slot] = key[h * size + i];
            memcpy(values, value + h * size, size * sizeof(float));
        }
    }
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

/* What a half of a layer gives is normed, if the architecture says so, and added to the state. */
static void add_row(const model *m, const batch *b, const float *post, int row) {
    float *added = b->added + (int64_t)row * m->activation_stride;
    float *state = b->states + (int64_t)row * m->activation_stride;
    rms_norm(added, post, added, m->width, m->epsilon);
    for (int i = 0; i < m->width; i++) state[i] += m->residual_scale * added[i];
}

static void half_layer(const model *m, const batch *b, const matrix *w, const float *x, int64_t x_stride,
                       const float *post, thread t) {
    if (!post) {
        matmul(w, (operands){x, x_stride, b->states, m->activation_stride, ADD, m->residual_scale}, b->rows, t);
    } else {
        matmul(w, (operands){x, x_stride, b->added, m->activation_stride, PLAIN, 1}, b->rows, t);
        meet(t);
        for (int r = t.index; r < b->rows; r += t.count) add_row(m, b, post, r);
    }
    meet(t);
}

static void forward_thread(const model *m, const batch *b, thread t) {
    const int rows = b->rows, act = m->gelu ? GATE_GELU : GATE_SILU;
    for (int r = t.index; r < rows; r += t.count) {
        float *state = b->states + (int64_t)r * m->activation_stride;
        for (int i = 0; i < m->width; i++) state[i] = element(&m->embedding, b->ids[r], i) * m->embedding_scale;
        normed_row(m, b, m->stack[0].attention_norm, r);
    }
    meet(t);
    for (int i = 0; i < m->layers; i++) {
        const layer *l = m->stack + i;
        if (i) {
            for (int r = t.index; r < rows; r += t.count) normed_row(m, b, l->attention_norm, r);
            meet(t);
        }
        matmul(&l->qkv, (operands){b->normed, m->activation_stride, b->qkv, m->query_stride, PLAIN, 1}, rows, t);
        meet(t);
        for (int r = t.index; r < rows; r += t.count) remember_row(m, l, i, b, r);
        meet(t);
        attention(m, l, i, b, t);
        meet(t);
        half_layer(m, b, &l->output, b->attended, m->query_stride, l->attention_post, t);
        for (int r = t.index; r < rows; r += t.count) normed_row(m, b, l->mlp_norm, r);
        meet(t);
        matmul(&l->gate, (operands){b->normed, m->activation_stride, b->hidden, m->hidden_stride, PLAIN, 1}, rows, t);
        matmul(&l->up, (operands){b->normed, m->activation_stride, b->hidden, m->hidden_stride, act, 1}, rows, t);
        meet(t);
        half_layer(m, b, &l->down, b->hidden, m->hidden_stride, l->mlp_post, t);
    }
    for (int s = t.index; s < b->scored; s += t.count) /* the scored rows move to the front of `normed` */
        rms_norm(b->states + (int64_t)b->scored_rows[s] * m->activation_stride, m->final_norm,
                 b->normed + (int64_t)s * m->activation_stride, m->width, m->epsilon);
    meet(t);
    matmul(&m->head, (operands){b->normed, m->activation_stride, b->logits, m->head.rows, PLAIN, 1}, b->scored, t);
    for (int s = 0; s < b->scored && (m->logits_scale != 1 || m->logits_cap > 0); s++) {
        int tiles = m->head.rows / LANES;
        for (int i = share(tiles, t.count, t.index); i < share(tiles, t.count, t.index + 1); i++) {
            float *to = b->logits + (int64_t)s * m->head.rows + i * LANES;
            vec x = load(to) * m->logits_scale;
            store(to, m->logits_cap > 0 ? m->logits_cap * hyperbolic_tangent(x / m->logits_cap) : x);
        }
    }
}

/* The same tiles of gate and up belong to the same thread, so no barrier stands between the two. */
void forward(const model *m, const batch *b, int threads) {
    meeting point = {0};
#ifdef _OPENMP
#pragma omp parallel num_threads(threads)
    {
        thread t = {omp_get_thread_num(), omp_get_num_threads(), &point};
        forward_thread(m, b, t);
    }
#else
    (void)threads;
    forward_thread(m, b, (thread){0, 1, &point});
#endif
}

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
#ifdef __AVX512F__
#include <immintrin.h>
#endif
#include <math.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdint.h>
#include <string.h>

#define LANES 16          /* floats in a vector, output rows side by side, tokens in a cache block */
#define STEP 64           /* columns are padded to a multiple of this */
#define BYTE_GROUP 64     /* weights of a row that share a scale, 8 bits */
#define NIBBLE_GROUP 32   /* the same, 4 bits */
#define TILES 8           /* of LANES rows, computed together, so that enough sums are under way at once */
#define INPUTS 4          /* rows of input that share what is read of the weights */
#define QUERIES 4         /* query vectors that share what is read of the cache */
#define INLINE static inline __attribute__((always_inline))

typedef float vec __attribute__((vector_size(64)));
typedef float loose_vec __attribute__((vector_size(64), aligned(4)));
typedef int32_t ints __attribute__((vector_size(64)));

enum { FLOAT32, BFLOAT16, INT8, INT4 };

/* A weight matrix [rows, columns], both padded with zeros: rows to LANES, columns to STEP. */
typedef struct {
    int32_t kind, rows, columns;
    const void *weights;      /* [rows / 16][columns][16]; INT4: [rows / 16][columns / 2][16] bytes, two columns each */
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
    const float *const *cosines, *const *sines;   /* for each table: [rows, rotary / 2] */
    float *states, *normed, *qkv, *attended, *hidden, *added; /* [rows, stride], padding zeroed */
    float *scores;                                /* [threads][QUERIES][score_stride] */
    int64_t score_stride;
    float *logits;                                /* [scored, head.rows] */
} batch;

/* -- vectors ------------------------------------------------------------------------------------------------------ */

INLINE vec splat(float value) { return value - (vec){0}; }
INLINE vec load(const float *from) { return *(const loose_vec *)from; }
INLINE void store(float *to, vec value) { *(loose_vec *)to = value; }

INLINE vec chosen(ints where, vec yes, vec no) { return (vec)((where & (ints)yes) | (~where & (ints)no)); }

/* 16 small numbers as integers of 32 bits. GCC takes its own notation apart into scalars here, hence the intrinsics. */
#ifdef __AVX512F__
INLINE ints from_halves(const uint16_t *from) { return (ints)_mm512_cvtepu16_epi32(_mm256_loadu_si256((const void *)from)); }
INLINE ints from_bytes(const int8_t *from) { return (ints)_mm512_cvtepi8_epi32(_mm_loadu_si128((const void *)from)); }
#else
typedef uint16_t halves __attribute__((vector_size(32), aligned(2)));
typedef int8_t bytes __attribute__((vector_size(16), aligned(1)));
INLINE ints from_halves(const uint16_t *from) { return __builtin_convertvector(*(const halves *)from, ints); }
INLINE ints from_bytes(const int8_t *from) { return __builtin_convertvector(*(const bytes *)from, ints); }
#endif

INLINE vec as_floats(ints whole) { return __builtin_convertvector(whole, vec); }
INLINE vec widened(const uint16_t *from) { return (vec)(from_halves(from) << 16); } /* bfloat16: a float's upper half */

INLINE void store_half(uint16_t *to, float value) { /* rounded to the nearest, ties to even */
    uint32_t bits;
    memcpy(&bits, &value, 4);
    *to = (uint16_t)((bits + 0x7fff + ((bits >> 16) & 1)) >> 16);
}

INLINE vec exponential(vec x) { /* Cephes' expf: 2^n times a polynomial; accurate to about 2 ulp */
    x = chosen(x > -87.0f, x, splat(-87.0f));
    x = chosen(x < 88.0f, x, splat(88.0f));
    vec n = x * 1.44269504f;
    ints whole = __builtin_convertvector(n + chosen(n < 0.0f, splat(-0.5f), splat(0.5f)), ints);
    n = __builtin_convertvector(whole, vec);
    x = x - n * 0.693359375f + n * 2.12194440e-4f;
    vec p = splat(1.9875691500e-4f);
    p = p * x + 1.3981999507e-3f;
    p = p * x + 8.3334519073e-3f;
    p = p * x + 4.1665795894e-2f;
    p = p * x + 1.6666665459e-1f;
    p = p * x + 5.0000001201e-1f;
    return (p * x * x + x + 1.0f) * (vec)((whole + 127) << 23);
}

INLINE vec hyperbolic_tangent(vec x) { return 1.0f - 2.0f / (exponential(2.0f * x) + 1.0f); }
INLINE vec silu(vec x) { return x / (1.0f + exponential(-x)); }
INLINE vec gelu(vec x) { return 0.5f * x * (1.0f + hyperbolic_tangent(0.7978845608f * (x + 0.044715f * x * x * x))); }

INLINE float sum(vec v) {
    float lanes[LANES], total = 0;
    store(lanes, v);
    for (int half = LANES / 2; half; half /= 2)
        for (int i = 0; i < half; i++) lanes[i] += lanes[i + half];
    total = lanes[0];
    return total;
}

/* -- matrices ----------------------------------------------------------------------------------------------------- */

/* Column k of 16 rows, and for INT4 columns k and k + 1 at once; `line` points to column 0 of a group. */
INLINE vec column(const int kind, const void *line, int64_t k) {
    switch (kind) {
    case FLOAT32: return load((const float *)line + k * LANES);
    case BFLOAT16: return widened((const uint16_t *)line + k * LANES);
    default: return as_floats(from_bytes((const int8_t *)line + k * LANES));
    }
}

/* sums[tile][input] of `tiles` * 16 rows and `count` inputs; columns in order, quantised ones group by group. */
INLINE void dot(const int kind, const matrix *w, int tile, const int tiles, const float *x, int64_t stride,
                const int count, vec sums[TILES][INPUTS]) {
    const int group = kind == INT8 ? BYTE_GROUP : kind == INT4 ? NIBBLE_GROUP : STEP;
    const int bits = kind == FLOAT32 ? 32 : kind == BFLOAT16 ? 16 : kind == INT8 ? 8 : 4;
    const int64_t columns = w->columns, line_bytes = columns * LANES * bits / 8;
    const char *lines[TILES];
    const uint16_t *scales[TILES];
    for (int t = 0; t < tiles; t++) {
        lines[t] = (const char *)w->weights + (tile + t) * line_bytes;
        scales[t] = w->scales + (tile + t) * (columns / group) * LANES;
        for (int c = 0; c < count; c++) sums[t][c] = (vec){0};
    }
    for (int64_t g = 0; g < columns; g += group) {
        vec part[TILES][INPUTS];
        for (int t = 0; t < tiles; t++)
            for (int c = 0; c < count; c++) part[t][c] = kind <= BFLOAT16 ? sums[t][c] : (vec){0};
        if (kind == INT4) {
#pragma GCC unroll 4
            for (int k = 0; k < group; k += 2)
                for (int t = 0; t < tiles; t++) {
                    ints both = from_bytes((const int8_t *)lines[t] + k / 2 * LANES);
                    vec first = as_floats((both << 28) >> 28), second = as_floats(both >> 4);
                    for (int c = 0; c < count; c++) {
                        part[t][c] += first * x[c * stride + g + k];
                        part[t][c] += second * x[c * stride + g + k + 1];
                    }
                }
        } else {
#pragma GCC unroll 4
            for (int k = 0; k < group; k++)
                for (int t = 0; t < tiles; t++) {
                    vec weights = column(kind, lines[t], k);
                    for (int c = 0; c < count; c++) part[t][c] += weights * x[c * stride + g + k];
                }
        }
        for (int t = 0; t < tiles; t++) {
            lines[t] += group * LANES * bits / 8;
            if (kind <= BFLOAT16) {
                for (int c = 0; c < count; c++) sums[t][c] = part[t][c];
            } else {
                vec scale = widened(scales[t]);
                scales[t] += LANES;
                for (int c = 0; c < count; c++) sums[t][c] += scale * part[t][c];
            }
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

INLINE void block(const int kind, const matrix *w, int tile, const int tiles, const float *x, int64_t x_stride,
                  const int count, float *out, int64_t out_stride, int how, float scale) {
    vec sums[TILES][INPUTS];
    dot(kind, w, tile, tiles, x, x_stride, count, sums);
    for (int t = 0; t < tiles; t++)
        for (int c = 0; c < count; c++) switch (how) {
            case PLAIN: put(w, tile + t, out + c * out_stride, sums[t][c], PLAIN, scale); break;
            case ADD: put(w, tile + t, out + c * out_stride, sums[t][c], ADD, scale); break;
            case GATE_SILU: put(w, tile + t, out + c * out_stride, sums[t][c], GATE_SILU, scale); break;
            default: put(w, tile + t, out + c * out_stride, sums[t][c], GATE_GELU, scale);
        }
}

/* Tiles `first` to `last` for all rows, in panels that stay in the cache while all rows of x pass by. */
INLINE void matmul_of(const int kind, const matrix *w, const float *x, int64_t x_stride, int rows, float *out,
                      int64_t out_stride, int how, float scale, int first, int last) {
    for (int panel = first; panel < last; panel += TILES) {
        int end = panel + TILES < last ? panel + TILES : last;
        for (int r = 0; r < rows; r += INPUTS) {
            const float *from = x + r * x_stride;
            float *to = out + r * out_stride;
            int count = rows - r, tile = panel;
            if (count == 1 && end - tile == TILES) {
                block(kind, w, tile, TILES, from, x_stride, 1, to, out_stride, how, scale);
                continue;
            }
            for (; tile + 4 <= end; tile += 4) switch (count) {
                case 1: block(kind, w, tile, 4, from, x_stride, 1, to, out_stride, how, scale); break;
                case 2: block(kind, w, tile, 4, from, x_stride, 2, to, out_stride, how, scale); break;
                case 3: block(kind, w, tile, 4, from, x_stride, 3, to, out_stride, how, scale); break;
                default: block(kind, w, tile, 4, from, x_stride, 4, to, out_stride, how, scale);
            }
            for (; tile < end; tile++) switch (count) {
                case 1: block(kind, w, tile, 1, from, x_stride, 1, to, out_stride, how, scale); break;
                case 2: block(kind, w, tile, 1, from, x_stride, 2, to, out_stride, how, scale); break;
                case 3: block(kind, w, tile, 1, from, x_stride, 3, to, out_stride, how, scale); break;
                default: block(kind, w, tile, 1, from, x_stride, 4, to, out_stride, how, scale);
            }
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

INLINE int share(int items, thread t, int index) { return (int)((int64_t)items * index / t.count); }

static void matmul(const matrix *w, const float *x, int64_t x_stride, int rows, float *out, int64_t out_stride, int how,
                   float scale, thread t) {
    int tiles = w->rows / LANES, first = share(tiles, t, t.index), last = share(tiles, t, t.index + 1);
    switch (w->kind) {
    case FLOAT32: matmul_of(FLOAT32, w, x, x_stride, rows, out, out_stride, how, scale, first, last); break;
    case BFLOAT16: matmul_of(BFLOAT16, w, x, x_stride, rows, out, out_stride, how, scale, first, last); break;
    case INT8: matmul_of(INT8, w, x, x_stride, rows, out, out_stride, how, scale, first, last); break;
    default: matmul_of(INT4, w, x, x_stride, rows, out, out_stride, how, scale, first, last);
    }
}

static float element(const matrix *w, int64_t row, int64_t column) {
    int64_t tile = row / LANES, lane = row % LANES, at = (tile * w->columns + column) * LANES + lane;
    uint32_t bits;
    float value;
    switch (w->kind) {
    case FLOAT32: return ((const float *)w->weights)[at];
    case BFLOAT16: bits = (uint32_t)((const uint16_t *)w->weights)[at] << 16; memcpy(&value, &bits, 4); return value;
    }
    int group = w->kind == INT8 ? BYTE_GROUP : NIBBLE_GROUP;
    bits = (uint32_t)w->scales[(tile * (w->columns / group) + column / group) * LANES + lane] << 16;
    memcpy(&value, &bits, 4);
    if (w->kind == INT8) return value * ((const int8_t *)w->weights)[at];
    uint8_t both = ((const uint8_t *)w->weights)[(tile * w->columns + column) / 2 * LANES + lane];
    return value * (column % 2 ? (int8_t)both >> 4 : (int8_t)(both << 4) >> 4);
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
            int64_t at = (int64_t)row * (m->rotary / 2);
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

/* Attention of up to QUERIES heads of one row, which share the key-value head `kv`. */
INLINE void attend(const int half, const int count, const model *m, const layer *l, int index, const batch *b, int row,
                   int head, int kv, float *scores) {
    const int size = m->head_size, stride = m->head_stride, position = b->positions[row], end = position + 1;
    const int start = l->window && end > l->window ? end - l->window : 0;
    const int first = start / LANES, last = (end + LANES - 1) / LANES;
    const float *query = b->qkv + (int64_t)row * m->query_stride + head * size;
    const int64_t at = cache_offset(m, index, kv);
    const int64_t *blocks = b->blocks[row];
    float best[QUERIES], total[QUERIES];
    vec most[QUERIES], mass[QUERIES];
    const ints lane = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
    for (int q = 0; q < count; q++) most[q] = splat(-INFINITY), mass[q] = (vec){0};
    for (int block = first; block < last; block++) {
        vec even[QUERIES], odd[QUERIES];
        for (int q = 0; q < count; q++) even[q] = odd[q] = (vec){0};
        for (int i = 0; i < size; i += 2) {
            vec one = cached(half, blocks[block], at + i * LANES);
            vec two = i + 1 < size ? cached(half, blocks[block], at + (i + 1) * LANES) : (vec){0};
            for (int q = 0; q < count; q++) {
                even[q] += one * query[q * size + i];
                odd[q] += two * query[q * size + i + (i + 1 < size)];
            }
        }
        ints at_position = lane + block * LANES;
        ints seen = (at_position >= start) & (at_position < end);
        for (int q = 0; q < count; q++) {
            vec s = (even[q] + odd[q]) * m->query_scale;
            if (m->attention_cap > 0) s = m->attention_cap * hyperbolic_tangent(s / m->attention_cap);
            s = chosen(seen, s, splat(-INFINITY));
            store(scores + q * b->score_stride + block * LANES, s);
            most[q] = chosen(s > most[q], s, most[q]);
        }
    }
    for (int q = 0; q < count; q++) {
        float lanes[LANES];
        store(lanes, most[q]);
        best[q] = lanes[0];
        for (int i = 1; i < LANES; i++) best[q] = lanes[i] > best[q] ? lanes[i] : best[q];
        for (int block = first; block < last; block++) {
            float *s = scores + q * b->score_stride + block * LANES;
            ints seen = (lane + block * LANES >= start) & (lane + block * LANES < end);
            vec p = exponential(load(s) - best[q]);
            p = chosen(seen, p, (vec){0});
            store(s, p);
            mass[q] += p;
        }
        total[q] = sum(mass[q]);
    }
    for (int d = 0; d < stride; d += LANES) {
        vec out[QUERIES];
        for (int q = 0; q < count; q++) out[q] = (vec){0};
        for (int block = first; block < last; block++) {
            int slots = end - block * LANES < LANES ? end - block * LANES : LANES;
            for (int slot = block == first ? start % LANES : 0; slot < slots; slot++) {
                vec v = cached(half, blocks[block], at + LANES * size + slot * stride + d);
                for (int q = 0; q < count; q++) out[q] += v * scores[q * b->score_stride + block * LANES + slot];
            }
        }
        for (int q = 0; q < count; q++) {
            float lanes[LANES];
            store(lanes, out[q] / total[q]);
            float *to = b->attended + (int64_t)row * m->query_stride + (head + q) * size + d;
            memcpy(to, lanes, (size - d < LANES ? size - d : LANES) * sizeof(float));
        }
    }
}

static void attend_some(const model *m, const layer *l, int index, const batch *b, int row, int head, int count,
                        float *scores) {
    int kv = head / (m->heads / m->kv_heads);
    switch (count + (m->cache_half ? QUERIES : 0)) {
    case 1: attend(0, 1, m, l, index, b, row, head, kv, scores); break;
    case 2: attend(0, 2, m, l, index, b, row, head, kv, scores); break;
    case 3: attend(0, 3, m, l, index, b, row, head, kv, scores); break;
    case 4: attend(0, 4, m, l, index, b, row, head, kv, scores); break;
    case 5: attend(1, 1, m, l, index, b, row, head, kv, scores); break;
    case 6: attend(1, 2, m, l, index, b, row, head, kv, scores); break;
    case 7: attend(1, 3, m, l, index, b, row, head, kv, scores); break;
    default: attend(1, 4, m, l, index, b, row, head, kv, scores);
    }
}

/* A thread's share of all heads of all rows, as many at once as share keys and values. */
static void attention(const model *m, const layer *l, int index, const batch *b, thread t) {
    int group = m->heads / m->kv_heads, all = b->rows * m->heads;
    float *scores = b->scores + t.index * QUERIES * b->score_stride;
    int item = share(all, t, t.index), end = share(all, t, t.index + 1);
    while (item < end) {
        int head = item % m->heads, count = group - head % group;
        if (count > QUERIES) count = QUERIES;
        if (count > end - item) count = end - item;
        attend_some(m, l, index, b, item / m->heads, head, count, scores);
        item += count;
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
        matmul(w, x, x_stride, b->rows, b->states, m->activation_stride, ADD, m->residual_scale, t);
    } else {
        matmul(w, x, x_stride, b->rows, b->added, m->activation_stride, PLAIN, 1, t);
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
        matmul(&l->qkv, b->normed, m->activation_stride, rows, b->qkv, m->query_stride, PLAIN, 1, t);
        meet(t);
        for (int r = t.index; r < rows; r += t.count) remember_row(m, l, i, b, r);
        meet(t);
        attention(m, l, i, b, t);
        meet(t);
        half_layer(m, b, &l->output, b->attended, m->query_stride, l->attention_post, t);
        for (int r = t.index; r < rows; r += t.count) normed_row(m, b, l->mlp_norm, r);
        meet(t);
        matmul(&l->gate, b->normed, m->activation_stride, rows, b->hidden, m->hidden_stride, PLAIN, 1, t);
        matmul(&l->up, b->normed, m->activation_stride, rows, b->hidden, m->hidden_stride, act, 1, t);
        meet(t);
        half_layer(m, b, &l->down, b->hidden, m->hidden_stride, l->mlp_post, t);
    }
    for (int s = t.index; s < b->scored; s += t.count) /* the scored rows move to the front of `normed` */
        rms_norm(b->states + (int64_t)b->scored_rows[s] * m->activation_stride, m->final_norm,
                 b->normed + (int64_t)s * m->activation_stride, m->width, m->epsilon);
    meet(t);
    matmul(&m->head, b->normed, m->activation_stride, b->scored, b->logits, m->head.rows, PLAIN, 1, t);
    for (int s = 0; s < b->scored && (m->logits_scale != 1 || m->logits_cap > 0); s++) {
        int tiles = m->head.rows / LANES;
        for (int i = share(tiles, t, t.index); i < share(tiles, t, t.index + 1); i++) {
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

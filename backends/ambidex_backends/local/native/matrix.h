/* Weight matrices, and rows of input multiplied with them. */

#pragma once

#include "threads.h"

#define STEP 64         /* columns are padded to a multiple of this */
#define BYTE_GROUP 64   /* weights of a row that share a scale, 8 bits */
#define NIBBLE_GROUP 32 /* the same, 4 bits; of the OCP's MX formats too */

/* How many sums are under way at once, as many as fit into the registers.
   TILES: of LANES rows that stay in the cache together, computed at once for one row of input
   FEW_TILES: computed at once for several rows of input
   INPUTS: rows of input that share what is read of the weights
   MOST_INPUTS: the same, where the weights of one or two tiles are read for all rows at once, as fast as memory gives them,
   as long as the rows take no more than PANEL_BYTES */
#ifdef __AVX512BW__
enum { TILES = 8, FEW_TILES = 4, INPUTS = 6, MOST_INPUTS = 24 };
#else
enum { TILES = 4, FEW_TILES = 2, INPUTS = 3, MOST_INPUTS = 3 };
#endif

enum { FLOAT32, BFLOAT16, INT8, INT4, MXFP4 };

/* A weight matrix [rows, columns], both padded with zeros: rows to LANES, columns to STEP. */
typedef struct {
    int32_t kind, rows, columns;
    const void *weights;      /* [rows / 16][columns / side][16][side]; side: columns of a row side by side, FLOAT32 1,
                                 BFLOAT16 and INT8 2, INT4 and MXFP4 8, which are nibbles of 32 bits: those of bits 0 to 15 are
                                 columns 0, 2, 4, 6, those of the upper bits columns 1, 3, 5, 7 */
    const uint16_t *scales;   /* bfloat16 [rows / 16][columns / group][16] */
    const float *bias;        /* [rows] or NULL */
} matrix;

/* Rows of input as a kind of weights is multiplied with them: float; where the processor multiplies pairs of bfloat16,
   that for BFLOAT16; for whole numbers int16, of which a group shares a scale, as in the weights. So the products of a
   group are added up exactly, and in one instruction for each pair. */
typedef struct {
    const void *rows;    /* [row][stride], or if packed, which more than INPUTS are, [columns / side][row][side] */
    const float *scales; /* [row][columns / group] */
    int64_t stride;      /* numbers of a row, if not packed */
} input;

/* Rows of input that are computed together where there are so many: not every number has code of its own. */
INLINE int filled_up(int rows) { return rows <= 8 ? 8 : rows <= 12 ? (rows + 1) / 2 * 2 : (rows + 3) / 4 * 4; }

INLINE int group_of(const int kind) { return kind == INT8 ? BYTE_GROUP : kind > INT8 ? NIBBLE_GROUP : STEP; }

/* Of MXFP4's numbers, E2M1 (OCP Microscaling Formats 1.0, 5.3.3), the doubles, which are whole. */
#define DOUBLES 0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12

/* The nibbles from bit `from` on of 32 words, as numbers. */
INLINE words from_nibbles(const int kind, words eight, const int from) {
    if (kind == INT4) return (eight << (12 - from)) >> 12;
#if defined(__AVX512BW__)
    const words table = {DOUBLES, DOUBLES}; /* by five bits, of which the first does not count */
    return (words)_mm512_permutexvar_epi16((__m512i)(eight >> from), (__m512i)table);
#elif defined(__AVX2__)
    const __m256i table = _mm256_broadcastsi128_si256(_mm_setr_epi8(DOUBLES)); /* the upper bytes, 0, give 0 */
    union { words all; __m256i half[2]; } found = {eight >> from & 15};
    for (int i = 0; i < 2; i++) found.half[i] = _mm256_shuffle_epi8(table, found.half[i]);
    return (found.all << 8) >> 8;
#else
    static const int8_t table[16] = {DOUBLES};
    words found;
    for (int i = 0; i < 2 * LANES; i++) found[i] = table[eight[i] >> from & 15];
    return found;
#endif
}

/* To 16 sums, the products of a pair of columns in bfloat16. */
#ifdef __AVX512BF16__
enum { TAKES_HALVES = 1 };
typedef uint16_t half_input;

INLINE vec add_pair(vec sums, loose_ints both, const half_input *pair) {
    return (vec)_mm512_dpbf16_ps((__m512)sums, (__m512bh)both, (__m512bh)_mm512_set1_epi32(*(const loose_int *)pair));
}

static void to_halves(const float *x, uint16_t *to, int64_t columns) {
    for (int64_t k = 0; k < columns; k += LANES)
        _mm256_storeu_si256((void *)(to + k), (__m256i)_mm512_cvtneps_pbh((__m512)load(x + k)));
}
#else
enum { TAKES_HALVES = 0 };
typedef float half_input;
static void to_halves(const float *x, uint16_t *to, int64_t columns) { (void)x, (void)to, (void)columns; }

INLINE vec add_pair(vec sums, loose_ints both, const half_input *pair) {
    sums += (vec)(both << 16) * pair[0];
    return sums + (vec)(both & (int32_t)0xffff0000) * pair[1];
}
#endif

/* Whether rows are rounded before they are multiplied with this kind of weights. */
INLINE int rounds(const int kind) { return kind > BFLOAT16 || (kind == BFLOAT16 && TAKES_HALVES); }

/* Each group by its greatest magnitude, to the nearest. What is not finite makes the scale so. */
static void to_words(const float *x, int16_t *to, float *scales, int64_t columns, const int group) {
    for (int64_t g = 0; g < columns; g += group) {
        ints bits = {0}; /* of magnitudes; those of what is no number are the greatest */
        for (int k = 0; k < group; k += LANES) {
            const ints some = (ints)load(x + g + k) & 0x7fffffff, is_more = more_whole(some, bits);
            bits = (is_more & some) | (~is_more & bits);
        }
        int32_t most = 0;
        for (int i = 0; i < LANES; i++) most = bits[i] > most ? bits[i] : most;
        float greatest;
        memcpy(&greatest, &most, 4);
        const float by = greatest > 1e-30f ? 32767.0f / greatest : 0.0f;
        scales[g / group] = greatest * (1.0f / 32767.0f);
        for (int k = 0; k < group; k += LANES) {
            const vec number = load(x + g + k) * by;
            const vec half = chosen(more((vec){0}, number), splat(-0.5f), splat(0.5f));
            store_words(to + g + k, __builtin_convertvector(number + half, ints));
        }
    }
}

enum { SUMS = 24 }; /* of [tile][row of input] at most; the loops over them are unrolled, or they would lie in memory */

/* Where the numbers of row c for column k lie; packed where there are too many rows for an address each. */
#define number_at(type, k, c, side) \
    ((const type *)in.rows + (count > INPUTS ? (k) * count + (c) * side : (k) + (c) * in.stride))

/* Several rows keep a core too busy with sums to look ahead in memory by itself. */
INLINE void look_ahead(const char *at, const int tiles, const int count) {
    if (count > 1) __builtin_prefetch(at + 8192 / tiles);
}

/* sums[tile][row of input] of `tiles` * 16 rows of weights; columns in order. */
INLINE void dot_floats(const int kind, const matrix *w, int tile, const int tiles, input in, const int count, vec *sums) {
    const int64_t columns = w->columns, line_bytes = columns * LANES * (kind == FLOAT32 ? 4 : 2);
    const char *lines = (const char *)w->weights + tile * line_bytes;
    vec part[SUMS]; /* in registers, as a loop of constant length keeps them */
#pragma GCC unroll 24
    for (int i = 0; i < tiles * count; i++) part[i] = (vec){0};
    for (int64_t g = 0; g < columns; g += STEP) {
        if (kind == BFLOAT16) {
#pragma GCC unroll 4
            for (int k = 0; k < STEP; k += 2) {
                loose_ints both[TILES];
                for (int t = 0; t < tiles; t++) {
                    both[t] = *(const loose_ints *)(lines + t * line_bytes + (g + k) * LANES * 2);
                    look_ahead(lines + t * line_bytes + (g + k) * LANES * 2, tiles, count);
                }
#pragma GCC unroll 24
                for (int c = 0; c < count; c++)
                    for (int t = 0; t < tiles; t++)
                        part[t * count + c] = add_pair(part[t * count + c], both[t], number_at(half_input, g + k, c, 2));
            }
        } else {
#pragma GCC unroll 4
            for (int k = 0; k < STEP; k++) {
                vec one[TILES];
                for (int t = 0; t < tiles; t++) {
                    one[t] = load((const float *)(lines + t * line_bytes) + (g + k) * LANES);
                    look_ahead(lines + t * line_bytes + (g + k) * LANES * 4, tiles, count);
                }
#pragma GCC unroll 24
                for (int c = 0; c < count; c++)
                    for (int t = 0; t < tiles; t++) part[t * count + c] += one[t] * *number_at(float, g + k, c, 1);
            }
        }
    }
#pragma GCC unroll 24
    for (int i = 0; i < tiles * count; i++) sums[i] = part[i];
}

/* The same; group by group, each with its scales. */
INLINE void dot_whole(const int kind, const matrix *w, int tile, const int tiles, input in, const int count, vec *sums) {
    const int group = group_of(kind);
    const int64_t columns = w->columns, groups = columns / group, line_bytes = columns * LANES / (kind == INT8 ? 1 : 2);
    const char *lines = (const char *)w->weights + tile * line_bytes;
    const uint16_t *scales = w->scales + tile * groups * LANES;
    for (int i = 0; i < tiles * count; i++) sums[i] = (vec){0};
    for (int64_t g = 0; g < groups; g++) {
        ints part[SUMS];
#pragma GCC unroll 24
        for (int i = 0; i < tiles * count; i++) part[i] = (ints){0};
#pragma GCC unroll 2
        for (int k = 0; k < group; k += 8) {
            const int64_t column = g * group + k;
            const char *at = lines + column * (line_bytes / columns);
            words eight[TILES], both[TILES];
            for (int t = 0; t < tiles; t++) {
                if (kind > INT8) eight[t] = *(const loose_words *)(at + t * line_bytes);
                look_ahead(at + t * line_bytes, tiles, count);
                if (kind == INT8) look_ahead(at + t * line_bytes + 64, tiles, count);
            }
#pragma GCC unroll 4
            for (int pair = 0; pair < 4; pair++) {
                for (int t = 0; t < tiles; t++)
                    both[t] = kind > INT8 ? from_nibbles(kind, eight[t], 4 * pair)
                                          : from_bytes((const int8_t *)at + t * line_bytes + pair * 2 * LANES);
#pragma GCC unroll 24
                for (int c = 0; c < count; c++)
                    for (int t = 0; t < tiles; t++) {
                        const int16_t *x = number_at(int16_t, column + 2 * pair, c, 2);
                        part[t * count + c] = add_products(part[t * count + c], both[t], x);
                    }
            }
        }
        for (int t = 0; t < tiles; t++) {
            const vec scale = widened(scales + (t * groups + g) * LANES);
#pragma GCC unroll 24
            for (int c = 0; c < count; c++)
                sums[t * count + c] += scale * in.scales[c * groups + g] * as_floats(part[t * count + c]);
        }
    }
}

enum { PLAIN, ADD, GATE_SILU, GATE_GELU, GATE_CLAMPED };

/* What becomes of 16 sums of row r: stored, added to what is there (scaled), or through the gate over what is there. The
   last gate is that of gpt-oss, `scale` its steepness. */
INLINE void put(const matrix *w, int tile, float *out, vec sums, const int how, float scale, float limit) {
    if (w->bias) sums += load(w->bias + tile * LANES);
    float *to = out + tile * LANES;
    if (how == PLAIN) store(to, sums);
    if (how == ADD) store(to, load(to) + scale * sums);
    if (how == GATE_SILU) store(to, silu(load(to)) * sums);
    if (how == GATE_GELU) store(to, gelu(load(to)) * sums);
    if (how == GATE_CLAMPED) {
        const vec gate = smaller(splat(limit), load(to)), clamped = larger(splat(-limit), smaller(splat(limit), sums));
        store(to, gate / (1.0f + exponential(-scale * gate)) * (clamped + 1.0f));
    }
}

/* What a matrix is multiplied with, and what becomes of it. */
typedef struct {
    const float *x;
    int64_t x_stride;
    float *out;
    int64_t out_stride;
    int how;
    float scale, limit; /* `limit`: of GATE_CLAMPED */
} operands;

/* `tiles` tiles for `count` rows of input, of which the first `used` are wanted. */
INLINE void block(const int kind, const matrix *w, int tile, const int tiles, input in, operands o, const int count, int used) {
    vec sums[SUMS];
    if (kind <= BFLOAT16) dot_floats(kind, w, tile, tiles, in, count, sums);
    else dot_whole(kind, w, tile, tiles, in, count, sums);
    __asm__ volatile("" : : "r"(sums) : "memory"); /* or GCC keeps registers for what follows, and spills sums in the loop */
    for (int t = 0; t < tiles; t++)
        for (int c = 0; c < used; c++) {
            float *out = o.out + c * o.out_stride;
            const vec sum = sums[t * count + c];
            switch (o.how) {
            case PLAIN: put(w, tile + t, out, sum, PLAIN, 0, 0); break;
            case ADD: put(w, tile + t, out, sum, ADD, o.scale, 0); break;
            case GATE_SILU: put(w, tile + t, out, sum, GATE_SILU, 0, 0); break;
            case GATE_GELU: put(w, tile + t, out, sum, GATE_GELU, 0, 0); break;
            default: put(w, tile + t, out, sum, GATE_CLAMPED, o.scale, o.limit);
            }
        }
}

/* The same for a number of rows that is known only here. */
INLINE void blocks(const int kind, const matrix *w, int tile, const int tiles, input in, operands o, int count) {
    switch (count) {
    case 1: block(kind, w, tile, tiles, in, o, 1, 1); return;
    case 2: block(kind, w, tile, tiles, in, o, 2, 2); return;
    case 3: block(kind, w, tile, tiles, in, o, 3, 3); return;
#ifdef __AVX512BW__
    case 4: block(kind, w, tile, tiles, in, o, 4, 4); return;
    case 5: block(kind, w, tile, tiles, in, o, 5, 5); return;
    case 6: block(kind, w, tile, tiles, in, o, 6, 6); return;
#endif
    }
}

/* The same for rows that are packed, and filled up to one of these numbers; one tile where they are more than 12. */
INLINE void packed_blocks(const int kind, const matrix *w, int tile, const int tiles, input in, operands o, int count) {
    switch (filled_up(count)) {
    case 8: block(kind, w, tile, tiles, in, o, 8, count); return;
    case 10: block(kind, w, tile, tiles, in, o, 10, count); return;
    case 12: block(kind, w, tile, tiles, in, o, 12, count); return;
    }
    if (tiles > 1) return;
    switch (filled_up(count)) {
    case 16: block(kind, w, tile, 1, in, o, 16, count); return;
    case 20: block(kind, w, tile, 1, in, o, 20, count); return;
    case 24: block(kind, w, tile, 1, in, o, 24, count); return;
    }
}

/* A row as this kind of weights is multiplied with it: itself, or rounded into `to`. */
INLINE const void *rounded_row(const int kind, const float *x, int16_t *to, float *scales, int64_t columns) {
    if (!rounds(kind)) return x;
    if (kind == BFLOAT16) to_halves(x, (uint16_t *)to, columns);
    else to_words(x, to, scales, columns, group_of(kind));
    return to;
}

/* One pass over the weights for rows that are more than INPUTS, at most MOST_INPUTS. */
INLINE void matmul_packed(const int kind, const matrix *w, operands o, int rows, int first, int last, void *packed) {
    const int64_t columns = w->columns, groups = columns / group_of(kind);
    const int side = kind == FLOAT32 ? 1 : 2, bytes = rounds(kind) ? 2 : 4;
    const int count = filled_up(rows), tiles = count > FEW_TILES * INPUTS / 2 ? 1 : 2;
    int16_t numbers[rounds(kind) ? columns : 1];
    float scales[kind > BFLOAT16 ? count * groups : 1];
    memset(packed, 0, count * columns * bytes);
    memset(scales, 0, sizeof scales);
    for (int c = 0; c < rows; c++) {
        float *row_scales = scales + (kind > BFLOAT16 ? c * groups : 0);
        const char *row = rounded_row(kind, o.x + c * o.x_stride, numbers, row_scales, columns);
        for (int64_t k = 0; k < columns; k += side)
            memcpy((char *)packed + (k * count + c * side) * bytes, row + k * bytes, side * bytes);
    }
    const input in = {packed, scales, 0};
    int tile = first;
    for (; tile + tiles <= last && tiles > 1; tile += tiles) packed_blocks(kind, w, tile, 2, in, o, rows);
    for (; tile < last; tile++) packed_blocks(kind, w, tile, 1, in, o, rows);
}

#define PANEL_BYTES (512 * 1024) /* of weights, or of packed inputs, that stay in a core's cache */

/* Tiles `first` to `last` for all rows, in panels that stay in the cache while all rows of x pass by, in equal parts. */
INLINE void matmul_panels(const int kind, const matrix *w, operands o, int rows, int first, int last) {
    const int64_t columns = w->columns, groups = columns / group_of(kind);
    const int parts = (rows + INPUTS - 1) / INPUTS, is_rounded = rounds(kind);
    int16_t numbers[is_rounded ? INPUTS * columns : 1];
    float scales[kind > BFLOAT16 ? INPUTS * groups : 1];
    const int64_t bits = kind == FLOAT32 ? 32 : kind == BFLOAT16 ? 16 : kind == INT8 ? 8 : 4;
    const int fit = (int)(PANEL_BYTES / (columns * LANES * bits / 8)) / TILES * TILES;
    const int tiles = parts > 1 && fit > TILES ? fit : TILES;
    for (int panel = first; panel < last; panel += tiles) {
        const int end = panel + tiles < last ? panel + tiles : last;
        for (int part = 0; part < parts; part++) {
            const int r = share(rows, parts, part), count = share(rows, parts, part + 1) - r;
            const float *x = o.x + r * o.x_stride;
            const input in = is_rounded ? (input){numbers, scales, columns} : (input){x, scales, o.x_stride};
            operands p = o;
            p.out += r * o.out_stride;
            for (int c = 0; c < count && is_rounded && (parts > 1 || panel == first); c++) {
                float *row_scales = scales + (kind > BFLOAT16 ? c * groups : 0);
                rounded_row(kind, x + c * o.x_stride, numbers + c * columns, row_scales, columns);
            }
            int tile = panel;
            if (count == 1 && end - tile == TILES) {
                block(kind, w, tile, TILES, in, p, 1, 1);
                continue;
            }
            for (; tile + FEW_TILES <= end; tile += FEW_TILES) blocks(kind, w, tile, FEW_TILES, in, p, count);
            for (; tile < end; tile++) blocks(kind, w, tile, 1, in, p, count);
        }
    }
}

INLINE void matmul_of(const int kind, const matrix *w, operands o, int rows, int first, int last) {
    const int64_t bytes = (int64_t)filled_up(rows) * w->columns * (rounds(kind) ? 2 : 4);
    if (rows > INPUTS && rows <= MOST_INPUTS && bytes <= PANEL_BYTES) { /* which bounds the stack, too */
        float packed[bytes / sizeof(float)];
        matmul_packed(kind, w, o, rows, first, last, packed);
    } else {
        matmul_panels(kind, w, o, rows, first, last);
    }
}

static void matmul(const matrix *w, operands o, int rows, thread t) {
    int tiles = w->rows / LANES, first = share(tiles, t.count, t.index), last = share(tiles, t.count, t.index + 1);
    switch (w->kind) {
    case FLOAT32: matmul_of(FLOAT32, w, o, rows, first, last); break;
    case BFLOAT16: matmul_of(BFLOAT16, w, o, rows, first, last); break;
    case INT8: matmul_of(INT8, w, o, rows, first, last); break;
    case INT4: matmul_of(INT4, w, o, rows, first, last); break;
    default: matmul_of(MXFP4, w, o, rows, first, last);
    }
}

/* A number of a matrix of embeddings, which are not in MXFP4. */
static float element(const matrix *w, int64_t row, int64_t column) {
    const int64_t tile = row / LANES, lane = row % LANES;
    const int64_t pair = ((tile * w->columns + column) / 2 * LANES + lane) * 2 + column % 2;
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

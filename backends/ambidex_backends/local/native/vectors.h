/* Vectors of 16 floats in GCC's and Clang's own notation, which become AVX-512, AVX2 or NEON as the machine has it. */

#pragma once

#ifdef __AVX2__
#include <immintrin.h>
#endif
#include <stdint.h>
#include <string.h>

#define LANES 16 /* floats in a vector, output rows side by side, tokens in a cache block */
#define INLINE static inline __attribute__((always_inline))

typedef float vec __attribute__((vector_size(64)));
typedef float loose_vec __attribute__((vector_size(64), aligned(4)));
typedef int32_t ints __attribute__((vector_size(64)));
typedef int32_t loose_ints __attribute__((vector_size(64), aligned(4), may_alias));
typedef int32_t loose_int __attribute__((aligned(2), may_alias));
typedef int16_t words __attribute__((vector_size(64)));
typedef int16_t loose_words __attribute__((vector_size(64), aligned(4), may_alias));

INLINE vec splat(float value) { return value - (vec){0}; }
INLINE vec load(const float *from) { return *(const loose_vec *)from; }
INLINE void store(float *to, vec value) { *(loose_vec *)to = value; }

/* All bits where a > b. Compared in its own notation, GCC takes vectors that are two of AVX2's apart into scalars. */
#if defined(__AVX2__) && !defined(__AVX512BW__)
typedef union { vec all; ints bits; __m256 half[2]; __m256i whole[2]; } halved;
INLINE ints more(vec a, vec b) {
    const halved x = {a}, y = {b};
    halved r;
    for (int i = 0; i < 2; i++) r.half[i] = _mm256_cmp_ps(x.half[i], y.half[i], _CMP_GT_OQ);
    return r.bits;
}
INLINE ints more_whole(ints a, ints b) {
    const halved x = {.bits = a}, y = {.bits = b};
    halved r;
    for (int i = 0; i < 2; i++) r.whole[i] = _mm256_cmpgt_epi32(x.whole[i], y.whole[i]);
    return r.bits;
}
#else
INLINE ints more(vec a, vec b) { return a > b; }
INLINE ints more_whole(ints a, ints b) { return a > b; }
#endif

INLINE vec chosen(ints where, vec yes, vec no) { return (vec)((where & (ints)yes) | (~where & (ints)no)); }

/* The larger and the smaller of the two; b where one of them is no number. */
#ifdef __AVX512F__
INLINE vec larger(vec a, vec b) { return (vec)_mm512_max_ps((__m512)a, (__m512)b); }
INLINE vec smaller(vec a, vec b) { return (vec)_mm512_min_ps((__m512)a, (__m512)b); }
#else
INLINE vec larger(vec a, vec b) { return chosen(more(a, b), a, b); }
INLINE vec smaller(vec a, vec b) { return chosen(more(b, a), a, b); }
#endif

/* 16 small numbers as integers of 32 bits; 32 bytes as words of 16, and back from 16 integers that fit into words. GCC takes
   its own notation apart into scalars here, hence the intrinsics. */
#ifdef __AVX512BW__
INLINE ints from_halves(const uint16_t *from) { return (ints)_mm512_cvtepu16_epi32(_mm256_loadu_si256((const void *)from)); }
INLINE words from_bytes(const int8_t *from) { return (words)_mm512_cvtepi8_epi16(_mm256_loadu_si256((const void *)from)); }
INLINE void store_words(int16_t *to, ints small) { _mm256_storeu_si256((void *)to, _mm512_cvtepi32_epi16((__m512i)small)); }
#else
typedef uint16_t halves __attribute__((vector_size(32), aligned(2)));
typedef int16_t few_words __attribute__((vector_size(32), aligned(2)));
typedef int8_t bytes __attribute__((vector_size(32), aligned(1)));
INLINE ints from_halves(const uint16_t *from) { return __builtin_convertvector(*(const halves *)from, ints); }
INLINE words from_bytes(const int8_t *from) { return __builtin_convertvector(*(const bytes *)from, words); }
INLINE void store_words(int16_t *to, ints small) { *(few_words *)to = __builtin_convertvector(small, few_words); }
#endif

/* To 16 sums, the products of 16 pairs with one pair. */
INLINE ints add_products(ints sums, words pairs, const int16_t *pair) {
#if defined(__AVX512VNNI__)
    return (ints)_mm512_dpwssd_epi32((__m512i)sums, (__m512i)pairs, _mm512_set1_epi32(*(const loose_int *)pair));
#elif defined(__AVX512BW__)
    return sums + (ints)_mm512_madd_epi16((__m512i)pairs, _mm512_set1_epi32(*(const loose_int *)pair));
#elif defined(__AVX2__)
    const __m256i both = _mm256_set1_epi32(*(const loose_int *)pair);
    union { words all; __m256i half[2]; } w = {pairs};
    for (int i = 0; i < 2; i++) w.half[i] = _mm256_madd_epi16(w.half[i], both);
    return sums + (ints)w.all;
#else
    return sums + (((ints)pairs << 16) >> 16) * (int32_t)pair[0] + ((ints)pairs >> 16) * (int32_t)pair[1];
#endif
}

INLINE vec as_floats(ints whole) { return __builtin_convertvector(whole, vec); }
INLINE vec widened(const uint16_t *from) { return (vec)(from_halves(from) << 16); } /* bfloat16: a float's upper half */

INLINE void store_half(uint16_t *to, float value) { /* rounded to the nearest, ties to even */
    uint32_t bits;
    memcpy(&bits, &value, 4);
    *to = (uint16_t)((bits + 0x7fff + ((bits >> 16) & 1)) >> 16);
}

/* 2^n times a polynomial of degree 5 with nearly the least relative error of those that begin 1 + r: 1e-7, 2e-7 with rounding.
   0 below e^-87. */
INLINE vec exponential(vec x) {
    const float whole = 12582912.0f; /* 1.5 * 2^23: what is added to it becomes an integer, in the last bits */
    x = smaller(splat(88.0f), x); /* what is no number stays so */
    const vec bits = x * 1.44269504f + whole, n = bits - whole;
    const vec r = x - n * 0.693359375f + n * 2.12194440e-4f;
    vec p = splat(8.3125214e-3f);
    p = p * r + 4.1890147e-2f;
    p = p * r + 1.6667115e-1f;
    p = p * r + 4.9999232e-1f;
    p = p * r * r + r + 1.0f;
#ifdef __AVX512F__
    const __mmask16 counts = _mm512_cmp_ps_mask((__m512)x, (__m512)splat(-87.0f), _CMP_NLT_UQ);
    return (vec)_mm512_maskz_scalef_ps(counts, (__m512)p, (__m512)n);
#else
    return chosen(more(splat(-87.0f), x), (vec){0}, p * (vec)(((ints)bits << 23) + 0x3f800000));
#endif
}

INLINE vec hyperbolic_tangent(vec x) { return 1.0f - 2.0f / (exponential(2.0f * x) + 1.0f); }
INLINE vec silu(vec x) { return x / (1.0f + exponential(-x)); }
INLINE vec gelu(vec x) { return 0.5f * x * (1.0f + hyperbolic_tangent(0.7978845608f * (x + 0.044715f * x * x * x))); }

INLINE float greatest(vec v) {
    float most = v[0];
    for (int i = 1; i < LANES; i++) most = v[i] > most ? v[i] : most;
    return most;
}

INLINE float sum(vec v) {
    float lanes[LANES], total = 0;
    store(lanes, v);
    for (int half = LANES / 2; half; half /= 2)
        for (int i = 0; i < half; i++) lanes[i] += lanes[i + half];
    total = lanes[0];
    return total;
}

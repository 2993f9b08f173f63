/* The token with the greatest score; and one drawn with the probabilities of softmax(scores), whose score plus Gumbel
   noise is the greatest.

   The noise of an id is a function of the key and the id alone (noise.py has the same in PyTorch). Two logarithms for each
   word of a vocabulary cost more than a layer; here they are taken only where an upper bound of the sum, computed from
   the random bits without a logarithm, lies above the best sum so far: for a few ids of all. */

#include <math.h>

#include "vectors.h"

#define WORD_BITS 52 /* of the random number that count, as many as a double holds beside the half */

INLINE uint64_t random_word(uint64_t key, uint64_t id) { /* SplitMix64 */
    uint64_t word = (id + 1) * 0x9E3779B97F4A7C15u + key;
    word = (word ^ (word >> 30)) * 0xBF58476D1CE4E5B9u;
    word = (word ^ (word >> 27)) * 0x94D049BB133111EBu;
    return word ^ (word >> 31);
}

/* The id of the greatest score, the first of equals; -1 where that is not finite, or a score is not a number. */
int64_t peak(const float *scores, int64_t count) {
    const int32_t whole = (int32_t)(count - count % LANES);
    vec most = splat(-INFINITY);
    ints wrong = {0}, where = {0}, here = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
    for (int32_t i = 0; i < whole; i += LANES, here += LANES) {
        const vec some = load(scores + i);
        const ints is_more = more(some, most);
        most = chosen(is_more, some, most);
        where = (is_more & here) | (~is_more & where);
        wrong |= some != some;
    }
    float best = -INFINITY;
    int64_t id = -1;
    for (int i = 0; i < LANES; i++) {
        if (wrong[i]) return -1;
        if (most[i] > best || (most[i] == best && where[i] < id)) best = most[i], id = where[i];
    }
    for (int64_t i = whole; i < count; i++) {
        if (scores[i] != scores[i]) return -1;
        if (scores[i] > best) best = scores[i], id = i;
    }
    return best < INFINITY ? id : -1;
}

/* The id in 0 to count - 1, -1 where all scores are -infinity. */
int64_t draw(const float *scores, int64_t count, uint64_t key) {
    int64_t winner = -1;
    double best = -INFINITY;
    for (int64_t start = 0; start < count; start += LANES) {
        const int64_t lanes = count - start < LANES ? count - start : LANES;
        int32_t may_win[LANES], any = 0;
        if (lanes < LANES || winner < 0) {
            for (int i = 0; i < LANES; i++) any |= may_win[i] = i < lanes;
        } else {
            /* score + noise > best means 1 - u < exp(score - best), since 1 - u <= -log u. The margin is for rounding. */
            float rest[LANES];
            for (int i = 0; i < LANES; i++) rest[i] = (float)(uint32_t)~(random_word(key, start + i) >> 32);
            const float margin = 1e-3f + 1e-6f * fabsf((float)best);
            const vec bound = exponential(load(scores + start) - (float)best + margin) * 0x1p32f;
            const ints over = load(rest) <= bound;
            memcpy(may_win, &over, sizeof over);
            for (int i = 0; i < LANES; i++) any |= may_win[i];
        }
        for (int i = 0; any && i < lanes; i++) {
            const float score = scores[start + i];
            if (!may_win[i] || !(score > -INFINITY)) continue;
            const double uniform = ((double)(random_word(key, start + i) >> (64 - WORD_BITS)) + 0.5) * 0x1p-52;
            const double sum_of_both = (double)score - log(-log(uniform));
            if (sum_of_both > best) best = sum_of_both, winner = start + i;
        }
    }
    return winner;
}

/* A token drawn with the probabilities of softmax(scores): the one whose score plus Gumbel noise is the greatest.

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

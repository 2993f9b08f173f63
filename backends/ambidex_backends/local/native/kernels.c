/* One forward pass of a Llama-shaped decoder on a CPU, for rows (tokens) of any number of sequences at once.

   One OpenMP region for the whole pass, in which the threads meet after each stage. A token generated alone reads every
   weight once, so its speed is the memory's: weights lie in the order in which they are read (matrix.h).

   Every output is summed in one order, which depends neither on how many rows are computed together nor on the number
   of threads: a token's logits are the same bits alone, in a batch, in a chunk of a prompt, and after a cached prefix. */

#ifdef _OPENMP
#include <omp.h>
#endif

#include <math.h>

#include "attention.h"
#include "experts.h"

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
        each_row(r, b->rows, t) add_row(m, b, post, r);
    }
    meet(t);
}

/* Once the last layer has kept keys and values, only those rows go on whose logits are wanted. They move to the front. */
static void keep_scored(const model *m, const batch *b) {
    for (int s = 0; s < b->scored; s++) {
        const int64_t row = b->scored_rows[s];
        memmove(b->states + s * m->activation_stride, b->states + row * m->activation_stride, m->width * sizeof(float));
        memmove(b->qkv + s * m->query_stride, b->qkv + row * m->query_stride, m->heads * m->head_size * sizeof(float));
    }
}

static void forward_thread(const model *m, const batch *all, thread t) {
    batch some = *all, *b = &some;
    int32_t positions[all->scored + 1];
    const int64_t *blocks[all->scored + 1];
    each_row(r, b->rows, t) {
        float *state = b->states + (int64_t)r * m->activation_stride;
        for (int i = 0; i < m->width; i++) state[i] = element(&m->embedding, b->ids[r], i) * m->embedding_scale;
        normed_row(m, b, m->stack[0].attention_norm, r);
    }
    meet(t);
    for (int i = 0; i < m->layers; i++) {
        const layer *l = m->stack + i;
        if (i) {
            each_row(r, b->rows, t) normed_row(m, b, l->attention_norm, r);
            meet(t);
        }
        matmul(&l->qkv, (operands){b->normed, m->activation_stride, b->qkv, m->query_stride, PLAIN, 1}, b->rows, t);
        meet(t);
        each_row(r, b->rows, t) remember_row(m, l, i, b, r);
        meet(t);
        if (i == m->layers - 1 && b->scored < b->rows) {
            if (t.index == 0) keep_scored(m, b);
            for (int s = 0; s < b->scored; s++) {
                positions[s] = b->positions[b->scored_rows[s]];
                blocks[s] = b->blocks[b->scored_rows[s]];
            }
            some.rows = b->scored, some.positions = positions, some.blocks = blocks;
            meet(t);
        }
        attention(m, l, i, b, t);
        meet(t);
        half_layer(m, b, &l->output, b->attended, m->query_stride, l->attention_post, t);
        each_row(r, b->rows, t) normed_row(m, b, l->mlp_norm, r);
        meet(t);
        if (l->experts) {
            mix_experts(m, l, b, t);
            continue;
        }
        gated(m, &l->mlp, b->normed, b->hidden, m->hidden_stride, b->rows, t);
        meet(t);
        half_layer(m, b, &l->mlp.down, b->hidden, m->hidden_stride, l->mlp_post, t);
    }
    each_row(r, b->scored, t) normed_row(m, b, m->final_norm, r);
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

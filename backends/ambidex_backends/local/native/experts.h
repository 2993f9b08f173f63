/* Layers whose MLP is a mixture of experts (1701.06538): a router chooses some for each row, and weighs what they give. */

#pragma once

#include "model.h"

/* act(gate(x)) * up(x). The same tiles of both belong to the same thread, so that it need not wait between the two. */
static void gated(const model *m, const mlp *w, const float *x, float *hidden, int64_t stride, int rows, thread t) {
    const operands o = {x, m->activation_stride, hidden, stride, GATE_SILU + m->gate, m->gate_scale, m->gate_limit};
    matmul(&w->gate, (operands){x, m->activation_stride, hidden, stride, PLAIN, 1}, rows, t);
    matmul(&w->up, o, rows, t);
}

/* The row's experts, those of the greatest scores, in the order in which they lie, and their weights: a softmax over the
   chosen ones or over all. What is no number chooses some expert, and is its weight. */
static void choose_experts(const model *m, const batch *b, int row) {
    const float *scores = b->routing + (int64_t)row * m->routing_stride;
    int32_t *choices = b->choices + (int64_t)row * m->chosen;
    float *shares = b->shares + (int64_t)row * m->chosen, total = 0;
    char is_chosen[m->experts];
    memset(is_chosen, 0, sizeof is_chosen);
    float greatest = 0;
    for (int j = 0; j < m->chosen; j++) {
        int best = -1;
        for (int e = 0; e < m->experts; e++)
            if (!is_chosen[e] && (best < 0 || scores[e] > scores[best])) best = e;
        is_chosen[best] = 1;
        if (j == 0) greatest = scores[best];
    }
    for (int e = 0, j = 0; e < m->experts; e++) {
        const float share = expf(scores[e] - greatest);
        if (is_chosen[e] || !m->is_normalised) total += share;
        if (is_chosen[e]) choices[j] = e, shares[j++] = share;
    }
    for (int j = 0; j < m->chosen; j++) shares[j] /= total;
}

/* Inputs are copied so that those of an expert lie together, from row first[expert] on. */
static void gather_rows(const model *m, const batch *b, int *first, thread t) {
    const int64_t choices = (int64_t)b->rows * m->chosen;
    int next[m->experts];
    memset(first, 0, (m->experts + 1) * sizeof *first);
    for (int64_t i = 0; i < choices; i++) first[b->choices[i] + 1]++;
    for (int e = 0; e < m->experts; e++) next[e] = first[e], first[e + 1] += first[e];
    for (int64_t i = 0; i < choices; i++) {
        const int place = next[b->choices[i]]++, row = (int)(i / m->chosen);
        if (row % t.count != t.index) continue;
        b->places[i] = place;
        memcpy(b->gathered + (int64_t)place * m->activation_stride, b->normed + (int64_t)row * m->activation_stride,
               m->activation_stride * sizeof(float));
    }
}

/* To the row's state, what its experts give, times their weights, and what all rows' MLP gives. */
static void add_experts(const model *m, const layer *l, const batch *b, int row) {
    const int32_t *places = b->places + (int64_t)row * m->chosen;
    const float *shares = b->shares + (int64_t)row * m->chosen, *added = b->added + (int64_t)row * m->activation_stride;
    const float *given = b->gathered, gate = b->routing[(int64_t)row * m->routing_stride + m->experts];
    float *state = b->states + (int64_t)row * m->activation_stride;
    for (int i = 0; i < l->experts->down.rows; i += LANES) {
        vec sum = l->mlp.down.rows ? load(added + i) / (1.0f + expf(-gate)) : (vec){0};
        for (int j = 0; j < m->chosen; j++) sum += load(given + (int64_t)places[j] * m->activation_stride + i) * shares[j];
        store(state + i, load(state + i) + m->residual_scale * sum);
    }
}

/* The second half of a layer, from the normed rows on. */
static void mix_experts(const model *m, const layer *l, const batch *b, thread t) {
    const int rows = b->rows;
    int first[m->experts + 1];
    matmul(&l->router, (operands){b->normed, m->activation_stride, b->routing, m->routing_stride, PLAIN, 1}, rows, t);
    if (l->mlp.down.rows) gated(m, &l->mlp, b->normed, b->shared_hidden, m->shared_stride, rows, t);
    meet(t);
    each_row(r, rows, t) choose_experts(m, b, r);
    meet(t);
    gather_rows(m, b, first, t);
    meet(t);
    for (int e = 0; e < m->experts; e++) {
        const float *x = b->gathered + (int64_t)first[e] * m->activation_stride;
        float *hidden = b->expert_hidden + (int64_t)first[e] * m->expert_stride;
        if (first[e + 1] > first[e]) gated(m, l->experts + e, x, hidden, m->expert_stride, first[e + 1] - first[e], t);
    }
    meet(t);
    if (l->mlp.down.rows) {
        const operands o = {b->shared_hidden, m->shared_stride, b->added, m->activation_stride, PLAIN, 1};
        matmul(&l->mlp.down, o, rows, t);
    }
    for (int e = 0; e < m->experts; e++) {
        const float *hidden = b->expert_hidden + (int64_t)first[e] * m->expert_stride;
        const operands o = {hidden, m->expert_stride, b->gathered + (int64_t)first[e] * m->activation_stride,
                            m->activation_stride, PLAIN, 1};
        if (first[e + 1] > first[e]) matmul(&l->experts[e].down, o, first[e + 1] - first[e], t);
    }
    meet(t);
    each_row(r, rows, t) add_experts(m, l, b, r);
    meet(t);
}

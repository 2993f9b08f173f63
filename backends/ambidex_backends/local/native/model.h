/* A model, and the rows of a pass through it. */

#pragma once

#include "matrix.h"

/* down(act(gate(x)) * up(x)) */
typedef struct {
    matrix gate, up, down;
} mlp;

typedef struct {
    matrix qkv, output;
    mlp mlp;                                      /* of every row; with experts the one that all share, or without rows */
    matrix router;                                /* a row for each expert, and one that scales the shared MLP */
    const mlp *experts;                           /* some of them for each row, or NULL */
    const float *attention_norm, *mlp_norm;       /* [width]; before each half, NULL: none */
    const float *attention_post, *mlp_post;       /* [width]; after each half, NULL: none */
    const float *query_norm, *key_norm;           /* [head_size], or [heads * head_size] if norm_all_heads; or NULL */
    const float *sinks;                           /* [heads]: scores that take a share of attention and give nothing, or NULL */
    int32_t window;                               /* positions visible back from each one, 0: all */
    int32_t rope;                                 /* which table of angles, -1: none */
} layer;

typedef struct {
    int32_t layers, width, heads, kv_heads, head_size, head_stride, rotary, gate, norm_all_heads, cache_half;
    float epsilon, query_scale, attention_cap, logits_cap, logits_scale, embedding_scale, residual_scale;
    float gate_scale, gate_limit;                 /* `gate`: from GATE_SILU on; these are of GATE_CLAMPED */
    const layer *stack;
    matrix embedding, head;
    const float *final_norm;
    int32_t activation_stride, query_stride, hidden_stride;
    int32_t experts, chosen, is_normalised;       /* of a layer; of a row; whether the weights of these add up to 1 */
    int32_t routing_stride, expert_stride, shared_stride;
} model;

/* Rows to compute. `blocks[r]`: the addresses of the cache blocks of row r's sequence, LANES positions each. */
typedef struct {
    int32_t rows, scored;
    const int32_t *ids, *positions;
    const int64_t *const *blocks;
    const int32_t *scored_rows;
    const float *const *cosines, *const *sines;   /* for each table: [positions, rotary / 2] */
    float *states, *normed, *qkv, *attended, *hidden, *added; /* [rows, stride], padding zeroed */
    float *softmax;                               /* [rows][heads][2]: a query's greatest score and sum so far */
    float *shared_hidden;                         /* [rows, shared_stride]: of the MLP that stands beside experts */
    float *routing, *shares;                      /* [rows, routing_stride]; [rows, chosen]: the weights of its experts */
    int32_t *choices, *places;                    /* [rows, chosen]: experts; rows of `gathered` */
    float *gathered, *expert_hidden;              /* [rows * chosen, activation_stride or expert_stride], by expert */
    float *logits;                                /* [scored, head.rows] */
} batch;

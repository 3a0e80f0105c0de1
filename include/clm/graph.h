/* Graphs: descriptions of what a model computes, as operations on named tensors.
 *
 * A graph says what is computed and not how: it does not say where tensors are stored, when memory
 * is reused, what is trained, or on which device. All of that is derived from it.
 *
 * Tensors are dense and row-major, of rank 1 to 4, f32 unless said otherwise. Where an operation
 * works on rows, a row is the last dimension, and the dimensions before it number the rows.
 * Dimensions are named as everywhere in clm: B batch, T positions, C channels, V vocabulary, H
 * heads, G key-value heads, D channels of a head.
 *
 * Every call that adds an operation checks shapes at once and returns the tensor of its result. The
 * first error is kept: from then on all calls do nothing and return a tensor of id 0, and
 * clm_graph_status() returns the error with its message. So a description reads like its formula,
 * with one check at the end. A tensor of another graph is CLM_ERROR_ARGUMENT; shapes that do not
 * fit are CLM_ERROR_SHAPE, naming the operation, its tensors and their shapes.
 *
 * A graph is used by one thread at a time. Nothing here blocks or needs a device.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef CLM_GRAPH_H
#define CLM_GRAPH_H

#include <stdbool.h>
#include <stdint.h>

#include "clm/dtype.h"
#include "clm/status.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct clm_graph clm_graph;

/* A handle, passed by value. A zeroed one means no tensor, for optional operands. */
typedef struct clm_tensor {
    uint32_t graph; /* the graph's number, unique in the process */
    uint32_t id;    /* 0: none */
} clm_tensor;

enum { CLM_TENSOR_RANK_MOST = 4 };

CLM_API clm_status clm_graph_create(clm_graph **graph);
CLM_API void clm_graph_free(clm_graph *graph); /* NULL is fine */

/* CLM_OK, or the first error, whose message becomes the thread's message again. */
CLM_API clm_status clm_graph_status(const clm_graph *graph);

/* ---- inputs, parameters and outputs ---- */

/* A tensor that is bound at each execution. The names of inputs, parameters and outputs are copied,
 * and must be unique within their kind. */
CLM_API clm_tensor clm_graph_input(clm_graph *graph, const char *name, clm_dtype type, int rank,
                                   const int64_t *shape);

typedef enum clm_init {
    CLM_INIT_ZERO = 0,
    CLM_INIT_ONE,
    CLM_INIT_NORMAL, /* mean 0, standard deviation `spread` */
    CLM_INIT_UNIFORM /* from -spread to spread */
} clm_init;

typedef struct clm_parameter_options {
    clm_init init;
    float spread;
    bool decays;   /* pretraining usually decays it: matrices, not biases and norms */
    bool optional; /* may be missing from a file, and is then initialised by `init` */
    bool exact;    /* stored as floats, whatever the precision: small matrices such as a head */
} clm_parameter_options;

/* A tensor that belongs to the model, found by name in its files. A second call with the same name
 * and shape returns the same tensor: that is how weights are tied. NULL options: all zero. */
CLM_API clm_tensor clm_graph_parameter(clm_graph *graph, const char *name, int rank,
                                       const int64_t *shape, const clm_parameter_options *options);

/* A tensor that lives longer than an execution, f32: a cache of keys and values, for example. It is
 * bound at each execution, like an input, to memory that the plans of a model can share. */
CLM_API clm_tensor clm_graph_state(clm_graph *graph, const char *name, int rank,
                                   const int64_t *shape);

/* Writes rows into a state (B, capacity, ...): position first[b] + t of sequence b becomes that of
 * x (B, T, ...), with first (B) i32; what would lie beyond the capacity is left out. Returns the
 * state as it is then, in the same memory. A handle that is written has no other reader, before or
 * after: that is CLM_ERROR_ARGUMENT. The write happens even if no output needs it. */
CLM_API clm_tensor clm_graph_append(clm_graph *graph, clm_tensor state, clm_tensor x,
                                    clm_tensor first);

/* Marks a tensor as an output. Tensors that no output needs are never computed. */
CLM_API void clm_graph_output(clm_graph *graph, clm_tensor tensor, const char *name);

/* Names a tensor, for people and as a boundary for recomputation, profiles and explanations: what
 * enters each block. Where memory is saved, what follows the last mark is spared, since it still
 * lives when its backward pass comes. */
CLM_API void clm_graph_mark(clm_graph *graph, clm_tensor tensor, const char *name);

/* The shape of a tensor through *rank and shape[]; a rank of 0 after an error. */
CLM_API void clm_graph_shape(const clm_graph *graph, clm_tensor tensor, int *rank,
                             int64_t shape[CLM_TENSOR_RANK_MOST]);

/* ---- operations ---- */

/* (..., C) = table (V, C)[ids (...)]; ids are i32. `positions` (P, C) may be none; else ids are (B,
 * T) with T <= P, and positions[t] is added. An id out of range is undefined. */
CLM_API clm_tensor clm_graph_embedding(clm_graph *graph, clm_tensor ids, clm_tensor table,
                                       clm_tensor positions);

/* Layout of a linear operation's weight. */
typedef enum clm_linear_layout {
    CLM_LINEAR_IN_OUT = 0, /* (K, N), as in GPT-2's Conv1D */
    CLM_LINEAR_OUT_IN      /* (N, K), as in torch.nn.Linear */
} clm_linear_layout;

/* (..., N) = x (..., K) * weight + bias (N); `bias` may be none. */
CLM_API clm_tensor clm_graph_linear(clm_graph *graph, clm_tensor x, clm_tensor weight,
                                    clm_linear_layout layout, clm_tensor bias);

/* (x - mean) / sqrt(variance + epsilon) * weight (C) + bias (C), row by row (Ba, Kiros and Hinton
 * 2016). */
CLM_API clm_tensor clm_graph_layernorm(clm_graph *graph, clm_tensor x, clm_tensor weight,
                                       clm_tensor bias, float epsilon);

/* x / sqrt(mean of squares + epsilon) * weight (C), row by row (Zhang and Sennrich 2019). */
CLM_API clm_tensor clm_graph_rmsnorm(clm_graph *graph, clm_tensor x, clm_tensor weight,
                                     float epsilon);

/* GELU, tanh form (Hendrycks and Gimpel 2016). */
CLM_API clm_tensor clm_graph_gelu(clm_graph *graph, clm_tensor x);

/* silu(gate) * up, element by element (Shazeer 2020). */
CLM_API clm_tensor clm_graph_silu_gate(clm_graph *graph, clm_tensor gate, clm_tensor up);

/* a + b, of one shape. */
CLM_API clm_tensor clm_graph_add(clm_graph *graph, clm_tensor a, clm_tensor b);

/* factor * x. */
CLM_API clm_tensor clm_graph_scale(clm_graph *graph, clm_tensor x, float factor);

/* Columns first to first + count of each row: (..., count). A view: nothing is copied if its
 * readers can skip the other columns. */
CLM_API clm_tensor clm_graph_columns(clm_graph *graph, clm_tensor x, int64_t first, int64_t count);

/* The same elements in another shape. A view. */
CLM_API clm_tensor clm_graph_reshape(clm_graph *graph, clm_tensor x, int rank,
                                     const int64_t *shape);

/* Rotary positions (Su et al. 2021): in x (B, T, H, D) the pair (i, i + D/2) of each head is
 * rotated by (first[b] + t) * theta^(-2i/D). first (B) i32 may be none: 0. theta is above 1. */
CLM_API clm_tensor clm_graph_rope(clm_graph *graph, clm_tensor x, float theta, clm_tensor first);

typedef struct clm_attention_options {
    bool causal;        /* a query sees no key after its own position */
    float scale;        /* of the scores; 0: 1 / sqrt(D) */
    clm_tensor first;   /* (B) i32: the position of each sequence's first query among its keys;
                           none: 0, and Tq = Tk if causal */
    clm_tensor lengths; /* (B) i32: how many of each sequence's keys are valid, from the first on,
                           at least 1; none: all */
} clm_attention_options;

/* softmax(scale q k^T) v for each head: q (B, Tq, H, D), k and v (B, Tk, G, D), H a multiple of G:
 * query head h reads key-value head h / (H / G). Result (B, Tq, H, D). `options` may be NULL. */
CLM_API clm_tensor clm_graph_attention(clm_graph *graph, clm_tensor q, clm_tensor k, clm_tensor v,
                                       const clm_attention_options *options);

/* (n, C) = rows of x (..., C) seen as a matrix, picked by rows (n) i32, which are distinct. */
CLM_API clm_tensor clm_graph_gather(clm_graph *graph, clm_tensor x, clm_tensor rows);

/* (B, C) = one row of each sequence of x (B, T, C): rows (B) i32, rows[b] from b T to b T + T - 1.
 * Like clm_graph_gather(), but rows that are not picked need not be computed. */
CLM_API clm_tensor clm_graph_pick(clm_graph *graph, clm_tensor x, clm_tensor rows);

/* losses (n) = -log softmax(logits (n, V))[targets (n) i32]; 0 where a target is -100. */
CLM_API clm_tensor clm_graph_crossentropy(clm_graph *graph, clm_tensor logits, clm_tensor targets);

#ifdef __cplusplus
}
#endif
#endif

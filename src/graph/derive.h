/* Differentiation: from a graph with a loss to the same graph with its backward pass.
 *
 * Nodes are visited from the last to the first. When a node is visited, all readers of its outputs
 * have been visited, so their gradients are complete: the operation's `derive` takes them and gives
 * the gradients of its inputs. Tensors that do not depend on anything trained get no gradient, so
 * the backward pass ends where the frozen part begins, whichever parameters are trained.
 *
 * A tensor with several readers gets the sum of their gradients, in that order. An operation that
 * can add to a gradient as it writes it (LayerNorm to that of the residual stream) takes the sum so
 * far and gives it back with its own contribution.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef CLM_GRAPH_DERIVE_H
#define CLM_GRAPH_DERIVE_H

#include "graph/graph.h"

/* Whether a parameter is trained, by its name. */
typedef bool clm_trains(void *context, const char *name);

/* Adds to `graph` the nodes that compute the gradient of `loss`, times the seed, with respect to
 * each trained parameter: a tensor of kind CLM_TENSOR_GRADIENT, to which its nodes add. The seed is
 * one number for all elements of the loss, given at execution: 1 / (elements that count) for a
 * mean. CLM_ERROR_ARGUMENT if the loss does not depend on anything trained; CLM_ERROR_UNSUPPORTED,
 * naming it, for an operation without a derivative on the path. */
clm_status clm_graph_derive(clm_graph *graph, uint32_t loss, clm_trains *trains, void *context);

/* ---- for the operations' `derive` ---- */

typedef struct clm_derivation clm_derivation;

/* The graph that gets the nodes. */
clm_graph *clm_derivation_graph(const clm_derivation *derivation);

/* Whether the tensor's gradient is wanted; false for tensor 0. */
bool clm_derive_wants(const clm_derivation *derivation, uint32_t tensor);

/* The gradient of an output of the node that is being visited. */
uint32_t clm_derive_output(clm_derivation *derivation, uint32_t tensor);

/* The gradient given for a tensor so far, which the caller adds to and gives back; 0 for none. */
uint32_t clm_derive_take(clm_derivation *derivation, uint32_t tensor);

/* Gives a gradient, or that of the columns from `first` on. 0 is nothing. */
void clm_derive_give(clm_derivation *derivation, uint32_t tensor, uint32_t gradient);
void clm_derive_give_columns(clm_derivation *derivation, uint32_t tensor, uint32_t gradient,
                             int64_t first);

/* A node with the outputs named by `wanted`, a bit each; the others are not made. For the i-th
 * output with `of[i]` not 0, a parameter or columns of one, it writes to that parameter's gradient;
 * any other output is a new value. Outputs through out[], 0 for those not made. */
void clm_derive_node(clm_derivation *derivation, const clm_operation *operation,
                     const uint32_t *inputs, const clm_attributes *with, unsigned wanted,
                     const uint32_t *of, uint32_t *out);

#endif

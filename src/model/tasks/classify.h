/* Classification: a linear head on one position of each text.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef CLM_MODEL_TASKS_CLASSIFY_H
#define CLM_MODEL_TASKS_CLASSIFY_H

#include "base/error.h"
#include "clm/config.h"
#include "graph/graph.h"

/* Adds to `graph` the model with its head for texts (B,T): inputs "tokens" (B,T) i32 and "rows" (B)
 * i32, the row of the position that the head sees, output "logits" (B,n_labels). With `losses` also
 * an input "targets" (B) i32 and an output "losses" (B), the cross-entropy of each text. */
void clm_classify_describe(clm_graph *graph, const clm_model_config *config, int64_t B, int64_t T,
                           bool losses);

/* The names of the head's parameters begin with this; "score.weight" (n_labels,C) is in PyTorch's
 * layout, "score.bias" (n_labels) may be missing in files. */
bool clm_classify_is_head(const char *name);

/* rows (B): where the head looks, by the config's pooling. lengths (B): tokens before padding;
 * NULL: T. CLM_ERROR_SHAPE for a length of less than 1 or more than T. */
clm_status clm_classify_rows(const clm_model_config *config, const int32_t *lengths, int B, int T,
                             int32_t *rows);

/* A new head as torch.nn.Linear draws it after torch.manual_seed(seed), the weight first: weight
 * (n_labels,C), bias (n_labels). */
clm_status clm_classify_draw_head(const clm_model_config *config, uint64_t seed, float *weight,
                                  float *bias);

#endif

/* GPT-2 (Radford et al. 2019) as a description, and the names of its parameters.
 *
 * Names are those of Hugging Face transformers without "transformer.". The weights of the linear
 * operations within a block are Conv1D: (in, out).
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef CLM_MODEL_GPT2_H
#define CLM_MODEL_GPT2_H

#include "clm/config.h"
#include "clm/graph.h"

/* The hidden states (B,T,C) after the last LayerNorm, of tokens (B,T) i32. */
clm_tensor clm_gpt2_describe(clm_graph *graph, const clm_model_config *config, clm_tensor tokens);

/* The same, of tokens that continue sequences: keys and values are read from and written to states
 * "h.0.attn.k", "h.0.attn.v", ... (B,capacity,H,D). Inputs besides: "first" (B) i32, the position
 * of each sequence's first token, and "positions" (B,T) i32, those of all tokens, which may not
 * exceed n_ctx - 1: first[b] + t, but any for what only fills a shorter sequence up. */
clm_tensor clm_gpt2_describe_decoder(clm_graph *graph, const clm_model_config *config,
                                     clm_tensor tokens, int64_t capacity);

/* The block that a name such as "h.11.ln_1.bias" belongs to, or -1; *rest is what follows
 * "h.11.", or the whole name. A number that is not in C's decimal form, or over a million, is not a
 * block. */
int clm_gpt2_layer(const char *name, const char **rest);

#endif

/* GPT-2, forward and backward (Radford et al. 2019): pre-norm blocks of causal attention and an MLP
 * with GELU, then a final LayerNorm and, here, a classification head on one position of each
 * sequence.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "model/gpt2.h"

#include <string.h>

#include "base/memory.h"

clm_model_parameter *clm_model_find(const clm_model *model, clm_parameter_kind kind, int layer) {
    const clm_parameter *about = clm_parameter_find(&model->table, kind, layer);
    return about != NULL ? &model->parameters[about - model->table.parameters] : NULL;
}

static clm_buffer *value(const clm_model *model, clm_parameter_kind kind, int layer) {
    return clm_model_find(model, kind, layer)->value;
}

static clm_buffer *gradient(const clm_model *model, clm_parameter_kind kind, int layer) {
    return clm_model_find(model, kind, layer)->gradient;
}

/* A linear layer of a block: weight and bias are neighbours in the table of kinds. */
static clm_status linear_forward(const clm_model *model, clm_parameter_kind weight_kind, int layer,
                                 clm_buffer *out, const clm_buffer *x, const clm_linear_tail *tail,
                                 int rows) {
    const clm_model_parameter *weight = clm_model_find(model, weight_kind, layer);
    return clm_linear_forward(model->device, out, x, weight->value, weight->packed,
                              value(model, weight_kind + 1, layer), tail, rows,
                              (int)weight->about->shape[0], (int)weight->about->shape[1]);
}

static clm_status linear_backward(const clm_model *model, clm_parameter_kind weight_kind, int layer,
                                  clm_buffer *dx, const clm_buffer *dout, const clm_buffer *x,
                                  int rows) {
    const clm_model_parameter *weight = clm_model_find(model, weight_kind, layer);
    return clm_linear_backward(
        model->device, dx, weight->gradient, gradient(model, weight_kind + 1, layer), dout, x,
        weight->value, NULL, rows, (int)weight->about->shape[0], (int)weight->about->shape[1]);
}

static clm_status norm_forward(const clm_model *model, clm_parameter_kind weight_kind, int layer,
                               clm_buffer *out, clm_buffer *mean, clm_buffer *rstd,
                               const clm_buffer *x, int rows) {
    return clm_layernorm_forward(model->device, out, mean, rstd, x,
                                 value(model, weight_kind, layer),
                                 value(model, weight_kind + 1, layer), rows, model->config.n_embd,
                                 model->config.layer_norm_epsilon);
}

static clm_status norm_backward(const clm_model *model, clm_parameter_kind weight_kind, int layer,
                                clm_buffer *dx, const clm_buffer *dout, const clm_buffer *x,
                                const clm_buffer *mean, const clm_buffer *rstd,
                                const clm_buffer *dresidual, int rows) {
    const int C = model->config.n_embd;
    clm_buffer *dweight = gradient(model, weight_kind, layer);
    clm_buffer *scratch = NULL; /* weight and bias are trained together */
    clm_status status = CLM_OK;
    if (dweight != NULL) {
        CLM_TRY(clm_scratch_take(model->device,
                                 clm_layernorm_backward_scratch_bytes(model->device, rows, C),
                                 &scratch, "parts of a norm's gradients"));
    }
    CLM_TRY(clm_layernorm_backward(
        model->device, dx, dweight, gradient(model, weight_kind + 1, layer), dout, x,
        value(model, weight_kind, layer), mean, rstd, dresidual, rows, C, scratch));
cleanup:
    return status;
}

/* Attention over qkv (B,T,3C). */
static clm_attention_arguments attention_of(const clm_model *model, clm_buffer *qkv, int B, int T) {
    const clm_model_config *config = &model->config;
    return clm_attention_fused(qkv, B, T, config->n_head, config->n_embd / config->n_head, true);
}

/* Queries (B,C) at the head's position of each sequence; keys and values beside each other in kv
 * (B,T,2C). */
static clm_attention_arguments top_attention_of(const clm_model *model, clm_buffer *kv, int B,
                                                int T) {
    const int C = model->config.n_embd;
    clm_attention_arguments arguments = attention_of(model, kv, B, T);
    arguments.shape.Tq = 1;
    arguments.q = (clm_view){.buffer = model->activations.query};
    arguments.k = (clm_view){.buffer = kv, .stride = 2 * C};
    arguments.v = (clm_view){.buffer = kv, .offset = (size_t)C, .stride = 2 * C};
    arguments.first = model->activations.pooled_rows;
    arguments.first_step = T;
    return arguments;
}

static clm_status attention_backward(const clm_model *model, const clm_attention_gradients *to,
                                     const clm_buffer *dout, const clm_buffer *out,
                                     const clm_buffer *lse,
                                     const clm_attention_arguments *arguments) {
    clm_status status = CLM_OK;
    clm_buffer *scratch = NULL;
    CLM_TRY(clm_scratch_take(model->device,
                             clm_attention_backward_scratch_bytes(model->device, &arguments->shape),
                             &scratch, "attention's delta"));
    CLM_TRY(clm_attention_backward(model->device, to, dout, out, lse, arguments, scratch));
cleanup:
    return status;
}

clm_status clm_model_narrow(const clm_model *model, clm_dtype type, clm_buffer *halves,
                            const clm_buffer *floats, size_t count) {
    return type == CLM_F16 ? clm_convert_f32_to_f16(model->device, halves, floats, count)
                           : clm_convert_f32_to_bf16(model->device, halves, floats, count);
}

clm_status clm_model_widen(const clm_model *model, clm_dtype type, clm_buffer *floats,
                           const clm_buffer *halves, size_t count) {
    return type == CLM_F16 ? clm_convert_f16_to_f32(model->device, floats, halves, count)
                           : clm_convert_bf16_to_f32(model->device, floats, halves, count);
}

/* Keeps `count` floats in 16 bits, when there is a place for that. */
static clm_status keep_halves(const clm_model *model, clm_buffer *kept, const clm_buffer *floats,
                              size_t count) {
    return kept == NULL ? CLM_OK
                        : clm_model_narrow(model, model->kept_storage, kept, floats, count);
}

/* The way back. */
static clm_status restore_floats(const clm_model *model, clm_buffer *floats, const clm_buffer *kept,
                                 size_t count) {
    return kept == NULL ? CLM_OK : clm_model_widen(model, model->kept_storage, floats, kept, count);
}

/* a->attention (rows,C) = attention(LN(x)), before its projection. What it keeps in 16 bits of qkv
 * is also what it reads, or the log-sum-exp would be that of other scores than the backward pass
 * has. */
static clm_status attend_forward(clm_model *model, int layer, const clm_block_activations *a,
                                 const clm_buffer *x, int B, int T) {
    const size_t elements = (size_t)B * (size_t)T * (size_t)model->config.n_embd;
    clm_status status = CLM_OK;
    CLM_TRY(norm_forward(model, CLM_PARAMETER_LN_1_WEIGHT, layer, a->ln_1, a->ln_1_mean,
                         a->ln_1_rstd, x, B * T));
    CLM_TRY(
        linear_forward(model, CLM_PARAMETER_ATTN_QKV_WEIGHT, layer, a->qkv, a->ln_1, NULL, B * T));
    if (a->halves != NULL) {
        CLM_TRY(keep_halves(model, a->halves->qkv, a->qkv, 3 * elements));
        CLM_TRY(restore_floats(model, a->qkv, a->halves->qkv, 3 * elements));
    }
    const clm_attention_arguments arguments = attention_of(model, a->qkv, B, T);
    CLM_TRY(clm_attention_forward(model->device, a->attention, a->lse, &arguments));
    if (a->halves != NULL) {
        CLM_TRY(keep_halves(model, a->halves->attention, a->attention, elements));
    }
cleanup:
    return status;
}

/* Up to the MLP's hidden layer: x_middle = x + project(attention), gelu = GELU(fc(LN(x_middle))).
 * Each row is looked at alone, as in all that follows attention. */
static clm_status middle_forward(clm_model *model, int layer, const clm_block_activations *a,
                                 const clm_buffer *attention, const clm_buffer *x,
                                 clm_buffer *x_middle, bool training, int rows) {
    clm_status status = CLM_OK;
    const clm_linear_tail add_x = {.residual = x};
    const clm_linear_tail gelu = {.pre = training ? a->fc : NULL, .gelu = true};
    CLM_TRY(linear_forward(model, CLM_PARAMETER_ATTN_PROJ_WEIGHT, layer, x_middle, attention,
                           &add_x, rows));
    CLM_TRY(norm_forward(model, CLM_PARAMETER_LN_2_WEIGHT, layer, a->ln_2, a->ln_2_mean,
                         a->ln_2_rstd, x_middle, rows));
    CLM_TRY(
        linear_forward(model, CLM_PARAMETER_MLP_FC_WEIGHT, layer, a->gelu, a->ln_2, &gelu, rows));
    if (a->halves != NULL) {
        CLM_TRY(keep_halves(model, a->halves->x_middle, x_middle,
                            (size_t)rows * (size_t)model->config.n_embd));
        CLM_TRY(keep_halves(model, a->halves->fc, a->fc,
                            (size_t)rows * (size_t)clm_model_config_inner(&model->config)));
    }
cleanup:
    return status;
}

/* The rest of a block: x_middle = x + project(attention), x_out = x_middle + MLP(LN(x_middle)), all
 * (rows,C). x, x_middle and x_out may be one buffer when nothing is kept. */
static clm_status project_forward(clm_model *model, int layer, const clm_block_activations *a,
                                  clm_buffer *x_out, const clm_buffer *attention,
                                  const clm_buffer *x, clm_buffer *x_middle, bool training,
                                  int rows) {
    clm_status status = CLM_OK;
    const clm_linear_tail add_x_middle = {.residual = x_middle};
    CLM_TRY(middle_forward(model, layer, a, attention, x, x_middle, training, rows));
    CLM_TRY(linear_forward(model, CLM_PARAMETER_MLP_PROJ_WEIGHT, layer, x_out, a->gelu,
                           &add_x_middle, rows));
cleanup:
    return status;
}

/* Where a block leaves what its backward pass needs: a place of its own, or one for all. */
static clm_block_activations kept_activations(const clm_model *model, int layer) {
    const clm_activations *a = &model->activations;
    const bool halves = model->kept_storage != CLM_F32;
    clm_block_activations block = a->kept[layer];
    if (model->recompute || halves) {
        block = a->shared;
        block.x = halves ? a->shared.x : a->kept[layer].x;
        block.ln_1 = a->scratch.ln_1;
        block.qkv = a->scratch.qkv;
        block.attention = a->scratch.attention;
        block.ln_2 = a->scratch.ln_2;
        block.gelu = a->scratch.gelu;
    }
    if (halves && layer < model->config.n_layer - 1) {
        block.halves = &a->kept[layer];
        block.lse = model->recompute ? block.lse : a->kept[layer].lse;
    }
    return block;
}

/* dx (rows,C) goes in as the gradient of the rest's output and comes out as that of x;
 * activations.dln gets that of its attention. */
static clm_status project_backward(clm_model *model, int layer, clm_buffer *dx,
                                   const clm_buffer *attention, int rows) {
    const clm_block_activations a = kept_activations(model, layer);
    clm_buffer *dln = model->activations.dln;
    clm_buffer *dhidden = model->activations.dhidden;
    const size_t inner = (size_t)rows * (size_t)clm_model_config_inner(&model->config);
    clm_status status = CLM_OK;
    CLM_TRY(
        linear_backward(model, CLM_PARAMETER_MLP_PROJ_WEIGHT, layer, dhidden, dx, a.gelu, rows));
    CLM_TRY(clm_gelu_backward(model->device, dhidden, dhidden, a.fc, inner));
    CLM_TRY(linear_backward(model, CLM_PARAMETER_MLP_FC_WEIGHT, layer, dln, dhidden, a.ln_2, rows));
    CLM_TRY(norm_backward(model, CLM_PARAMETER_LN_2_WEIGHT, layer, dx, dln, a.x_middle, a.ln_2_mean,
                          a.ln_2_rstd, dx, rows));
    CLM_TRY(
        linear_backward(model, CLM_PARAMETER_ATTN_PROJ_WEIGHT, layer, dln, dx, attention, rows));
cleanup:
    return status;
}

/* What a block read: the lowest trained one what the frozen ones left. */
static const clm_buffer *block_input(const clm_model *model, int layer) {
    const clm_activations *a = &model->activations;
    return layer == model->first_trained_layer ? a->x : kept_activations(model, layer).x;
}

/* From dattention (rows,C), which may be activations.dx, and the residual's gradient in
 * activations.dx to the gradient of the block's input, there; the latter only when something below
 * is trained. */
static clm_status attend_backward(clm_model *model, int layer, const clm_buffer *dattention,
                                  bool below) {
    const clm_block_activations a = kept_activations(model, layer);
    clm_buffer *dx = model->activations.dx;
    clm_buffer *dln = model->activations.dln;
    clm_buffer *dhidden = model->activations.dhidden;
    const int rows = model->B * model->T;
    clm_status status = CLM_OK;
    const clm_attention_arguments arguments = attention_of(model, a.qkv, model->B, model->T);
    const clm_attention_gradients to =
        clm_attention_fused_gradients(dhidden, arguments.shape.H, arguments.shape.D);
    CLM_TRY(attention_backward(model, &to, dattention, a.attention, a.lse, &arguments));
    CLM_TRY(
        linear_backward(model, CLM_PARAMETER_ATTN_QKV_WEIGHT, layer, dln, dhidden, a.ln_1, rows));
    CLM_TRY(norm_backward(model, CLM_PARAMETER_LN_1_WEIGHT, layer, below ? dx : NULL, dln,
                          block_input(model, layer), a.ln_1_mean, a.ln_1_rstd, below ? dx : NULL,
                          rows));
cleanup:
    return status;
}

/* ---- the top block ----
 *
 * The head looks at one position of each sequence, so nobody reads what the top block makes of the
 * others: of these only keys and values are wanted, and the rest, queries, projection and MLP, runs
 * on (B,C), forward and backward. */

/* Columns [first, first + columns) of the top block's queries, keys and values: out (rows,columns)
 * = x (rows,C) * weight + bias. */
static clm_status top_slice_forward(const clm_model *model, clm_buffer *out, const clm_buffer *x,
                                    const clm_gemm_packed *packed, int first, int columns,
                                    int rows) {
    const int C = model->config.n_embd;
    const int top = model->config.n_layer - 1;
    return clm_gemm(model->device,
                    &(clm_gemm_arguments){.M = rows,
                                          .N = columns,
                                          .K = C,
                                          .a = x,
                                          .b = value(model, CLM_PARAMETER_ATTN_QKV_WEIGHT, top),
                                          .b_offset = (size_t)first,
                                          .ldb = 3 * C,
                                          .b_packed = packed,
                                          .c = out,
                                          .bias = value(model, CLM_PARAMETER_ATTN_QKV_BIAS, top),
                                          .bias_offset = (size_t)first});
}

/* dx (rows,C) = dout * weight^T; the gradients of weight and bias +=. */
static clm_status top_slice_backward(const clm_model *model, clm_buffer *dx, const clm_buffer *dout,
                                     const clm_buffer *x, int first, int columns, int rows) {
    const int C = model->config.n_embd;
    const int top = model->config.n_layer - 1;
    const clm_model_parameter *weight = clm_model_find(model, CLM_PARAMETER_ATTN_QKV_WEIGHT, top);
    clm_buffer *scratch = NULL;
    clm_status status = CLM_OK;
    CLM_TRY(clm_gemm(model->device, &(clm_gemm_arguments){.M = C,
                                                          .N = columns,
                                                          .K = rows,
                                                          .a = x,
                                                          .a_transposed = true,
                                                          .b = dout,
                                                          .c = weight->gradient,
                                                          .c_offset = (size_t)first,
                                                          .ldc = 3 * C,
                                                          .accumulate = true}));
    CLM_TRY(clm_scratch_take(model->device,
                             clm_reduce_columns_scratch_bytes(model->device, rows, columns),
                             &scratch, "partial column sums"));
    CLM_TRY(clm_reduce_columns(model->device, gradient(model, CLM_PARAMETER_ATTN_QKV_BIAS, top),
                               (size_t)first, dout, 0, rows, columns, true, scratch));
    CLM_TRY(clm_gemm(model->device, &(clm_gemm_arguments){.M = rows,
                                                          .N = C,
                                                          .K = columns,
                                                          .a = dout,
                                                          .b = weight->value,
                                                          .b_offset = (size_t)first,
                                                          .ldb = 3 * C,
                                                          .b_transposed = true,
                                                          .c = dx}));
cleanup:
    return status;
}

static clm_status top_block_forward(clm_model *model, const clm_block_activations *block,
                                    const clm_buffer *x, bool keep, int B, int T) {
    const clm_activations *a = &model->activations;
    const int top = model->config.n_layer - 1;
    const int C = model->config.n_embd;
    const clm_model_parameter *weight = clm_model_find(model, CLM_PARAMETER_ATTN_QKV_WEIGHT, top);
    clm_status status = CLM_OK;
    CLM_TRY(norm_forward(model, CLM_PARAMETER_LN_1_WEIGHT, top, block->ln_1, block->ln_1_mean,
                         block->ln_1_rstd, x, B * T));
    CLM_TRY(clm_rows_gather(model->device, a->pooled_ln_1, block->ln_1, a->pooled_rows, B, C));
    CLM_TRY(clm_rows_gather(model->device, a->pooled_x, x, a->pooled_rows, B, C));
    CLM_TRY(top_slice_forward(model, a->query, a->pooled_ln_1, weight->packed_query, 0, C, B));
    CLM_TRY(top_slice_forward(model, block->qkv, block->ln_1, weight->packed, C, 2 * C, B * T));
    const clm_attention_arguments arguments = top_attention_of(model, block->qkv, B, T);
    CLM_TRY(clm_attention_forward(model->device, block->attention, block->lse, &arguments));
    CLM_TRY(project_forward(model, top, block, a->pooled, block->attention, a->pooled_x,
                            keep ? block->x_middle : a->pooled, keep, B));
cleanup:
    return status;
}

/* From activations.dpooled to activations.dx; the latter only when something below is trained. */
static clm_status top_block_backward(clm_model *model, bool below) {
    const clm_activations *a = &model->activations;
    const int top = model->config.n_layer - 1;
    const clm_block_activations block = kept_activations(model, top);
    const int C = model->config.n_embd;
    const int B = model->B;
    const int rows = B * model->T;
    clm_buffer *dpooled_ln_1 = a->dln_f; /* (B,C), which the head is done with */
    clm_status status = CLM_OK;
    CLM_TRY(project_backward(model, top, a->dpooled, block.attention, B));
    const clm_attention_arguments arguments = top_attention_of(model, block.qkv, B, model->T);
    const clm_attention_gradients to = {
        .dq = {.buffer = a->dquery},
        .dk = {.buffer = a->dhidden, .stride = 2 * C},
        .dv = {.buffer = a->dhidden, .offset = (size_t)C, .stride = 2 * C}};
    CLM_TRY(attention_backward(model, &to, a->dln, block.attention, block.lse, &arguments));
    CLM_TRY(top_slice_backward(model, a->dln, a->dhidden, block.ln_1, C, 2 * C, rows));
    CLM_TRY(top_slice_backward(model, dpooled_ln_1, a->dquery, a->pooled_ln_1, 0, C, B));
    CLM_TRY(clm_rows_add(model->device, a->dln, dpooled_ln_1, a->pooled_rows, B, C));
    if (below) {
        CLM_TRY(clm_rows_scatter(model->device, a->dx, a->dpooled, a->pooled_rows, B, rows, C));
    }
    CLM_TRY(norm_backward(model, CLM_PARAMETER_LN_1_WEIGHT, top, below ? a->dx : NULL, a->dln,
                          block_input(model, top), block.ln_1_mean, block.ln_1_rstd,
                          below ? a->dx : NULL, rows));
cleanup:
    return status;
}

static clm_status check_tokens(const clm_model *model, const int32_t *tokens, int B, int T) {
    if (B <= 0 || T <= 0) {
        return clm_fail(CLM_ERROR_SHAPE, "a batch of %d x %d tokens", B, T);
    }
    if (B > INT32_MAX / T) {
        return clm_fail(CLM_ERROR_SHAPE, "a batch of %d x %d tokens: more than 2^31 - 1", B, T);
    }
    if (T > model->config.n_ctx) {
        return clm_fail(CLM_ERROR_SHAPE, "%d tokens are more than the model's context of %d", T,
                        model->config.n_ctx);
    }
    for (size_t i = 0; i < (size_t)B * (size_t)T; i++) {
        if (tokens[i] < 0 || tokens[i] >= model->config.n_vocab) {
            return clm_fail(CLM_ERROR_ARGUMENT,
                            "token %d is outside the model's vocabulary of %d: is this the "
                            "tokenizer that the model was trained with?",
                            (int)tokens[i], model->config.n_vocab);
        }
    }
    return CLM_OK;
}

/* The row of x that the head sees, for each sequence. */
static clm_status write_pooled_rows(clm_model *model, const int32_t *lengths, int B, int T) {
    int32_t *rows = NULL;
    clm_status status = clm_allocate(&rows, (size_t)B, sizeof *rows, "pooled rows");
    if (status != CLM_OK) {
        return status;
    }
    bool last_token = model->config.pooling == CLM_POOLING_LAST_TOKEN && lengths != NULL;
    for (int b = 0; b < B && status == CLM_OK; b++) {
        int length = last_token ? lengths[b] : T;
        if (length < 1 || length > T) {
            status = clm_fail(CLM_ERROR_SHAPE, "sequence %d has %d of %d tokens", b, length, T);
        }
        rows[b] = b * T + length - 1;
    }
    if (status == CLM_OK) {
        status =
            clm_buffer_write(model->activations.pooled_rows, 0, rows, (size_t)B * sizeof *rows);
    }
    clm_free(rows);
    return status;
}

static clm_status write_tokens(clm_model *model, const int32_t *tokens, int B, int T) {
    const size_t count = (size_t)B * (size_t)T;
    clm_status status = CLM_OK;
    CLM_TRY(clm_buffer_write(model->activations.tokens, 0, tokens, count * sizeof *tokens));
    CLM_TRY(clm_reserve(&model->tokens, &model->token_capacity, count, sizeof *tokens, "tokens"));
    memcpy(model->tokens, tokens, count * sizeof *tokens);
cleanup:
    return status;
}

static clm_status head_forward(clm_model *model, int B) {
    const clm_activations *a = &model->activations;
    const int C = model->config.n_embd;
    clm_status status = CLM_OK;
    CLM_TRY(norm_forward(model, CLM_PARAMETER_LN_F_WEIGHT, -1, a->ln_f, a->ln_f_mean, a->ln_f_rstd,
                         a->pooled, B));
    CLM_TRY(clm_gemm(model->device,
                     &(clm_gemm_arguments){.M = B,
                                           .N = model->config.n_labels,
                                           .K = C,
                                           .a = a->ln_f,
                                           .b = value(model, CLM_PARAMETER_SCORE_WEIGHT, -1),
                                           .b_transposed = true,
                                           .c = a->logits,
                                           .bias = value(model, CLM_PARAMETER_SCORE_BIAS, -1)}));
cleanup:
    return status;
}

/* One block over all positions, from x to x_out; both may be one buffer, unless floats of x are
 * kept. */
static clm_status block_forward(clm_model *model, int layer, const clm_block_activations *block,
                                clm_buffer *x_out, clm_buffer *x, bool training, int B, int T) {
    clm_status status = CLM_OK;
    if (block->halves != NULL) {
        CLM_TRY(keep_halves(model, block->halves->x, x,
                            (size_t)B * (size_t)T * (size_t)model->config.n_embd));
    }
    CLM_TRY(attend_forward(model, layer, block, x, B, T));
    CLM_TRY(project_forward(model, layer, block, x_out, block->attention, x,
                            training ? block->x_middle : x_out, training, B * T));
cleanup:
    return status;
}

/* Blocks `first` to `last`, the input in activations.x. Those that keep nothing run in place. */
static clm_status blocks_forward(clm_model *model, int first, int last, bool training, int B,
                                 int T) {
    const clm_activations *a = &model->activations;
    const int top = model->config.n_layer - 1;
    clm_buffer *x = a->x;
    clm_status status = CLM_OK;
    for (int layer = first; layer <= last; layer++) {
        const clm_block_activations block = training ? kept_activations(model, layer) : a->scratch;
        if (layer == top && !model->whole_top_block) {
            CLM_TRY(top_block_forward(model, &block, x, training, B, T));
            return CLM_OK;
        }
        clm_buffer *x_out = !training     ? x
                            : layer < top ? kept_activations(model, layer + 1).x
                                          : a->x_top;
        CLM_TRY(block_forward(model, layer, &block, x_out, x, training, B, T));
        x = x_out;
    }
    if (last == top) {
        CLM_TRY(
            clm_rows_gather(model->device, a->pooled, x, a->pooled_rows, B, model->config.n_embd));
    }
cleanup:
    return status;
}

bool clm_model_has_features(const clm_model *model) {
    return model->policy != CLM_TRAIN_ALL;
}

size_t clm_model_feature_count(const clm_model *model, int T) {
    const size_t positions = model->first_trained_layer < model->config.n_layer ? (size_t)T : 1;
    return positions * (size_t)model->config.n_embd;
}

clm_buffer *clm_model_features(const clm_model *model) {
    const clm_activations *a = &model->activations;
    return model->first_trained_layer < model->config.n_layer ? a->x : a->pooled;
}

clm_status clm_model_forward_frozen(clm_model *model, const int32_t *tokens, const int32_t *lengths,
                                    int B, int T) {
    const clm_activations *a = &model->activations;
    clm_status status = CLM_OK;
    CLM_TRY(check_tokens(model, tokens, B, T));
    CLM_TRY(clm_activations_reserve(model, B, T, false));
    CLM_TRY(write_tokens(model, tokens, B, T));
    CLM_TRY(clm_weights_check(model->weights));
    if (model->first_trained_layer == model->config.n_layer) { /* the top block is frozen, too */
        CLM_TRY(write_pooled_rows(model, lengths, B, T));
    }
    CLM_TRY(clm_embedding_forward(
        model->device, a->x, a->tokens, value(model, CLM_PARAMETER_WTE_WEIGHT, -1),
        value(model, CLM_PARAMETER_WPE_WEIGHT, -1), B, T, model->config.n_embd, 0));
    CLM_TRY(blocks_forward(model, 0, model->first_trained_layer - 1, false, B, T));
cleanup:
    return status;
}

clm_status clm_model_forward_trained(clm_model *model, const int32_t *lengths, int B, int T,
                                     bool training) {
    const int top = model->config.n_layer - 1;
    clm_status status = CLM_OK;
    CLM_TRY(clm_activations_reserve(model, B, T, training));
    model->B = B;
    model->T = T;
    if (model->first_trained_layer <= top) {
        CLM_TRY(write_pooled_rows(model, lengths, B, T));
        CLM_TRY(blocks_forward(model, model->first_trained_layer, top, training, B, T));
    }
    CLM_TRY(head_forward(model, B));
cleanup:
    return status;
}

clm_status clm_model_forward(clm_model *model, const int32_t *tokens, const int32_t *lengths, int B,
                             int T, bool training) {
    clm_status status = CLM_OK;
    /* All of it before the first half, which the second must find where it was left. */
    CLM_TRY(check_tokens(model, tokens, B, T));
    CLM_TRY(clm_activations_reserve(model, B, T, training));
    CLM_TRY(clm_model_forward_frozen(model, tokens, lengths, B, T));
    CLM_TRY(clm_model_forward_trained(model, lengths, B, T, training));
cleanup:
    return status;
}

/* From dlogits to activations.dpooled, the gradient of the pooled rows after the last block; that
 * only when something below the final norm is trained. */
static clm_status head_backward(clm_model *model, bool below) {
    const clm_activations *a = &model->activations;
    const clm_model_parameter *weight = clm_model_find(model, CLM_PARAMETER_SCORE_WEIGHT, -1);
    const int B = model->B;
    const int C = model->config.n_embd;
    const int n_labels = model->config.n_labels;
    const bool norm_trained = gradient(model, CLM_PARAMETER_LN_F_WEIGHT, -1) != NULL;
    clm_status status = CLM_OK;
    if (weight->gradient != NULL) {
        CLM_TRY(clm_gemm(model->device, &(clm_gemm_arguments){.M = n_labels,
                                                              .N = C,
                                                              .K = B,
                                                              .a = a->dlogits,
                                                              .a_transposed = true,
                                                              .b = a->ln_f,
                                                              .c = weight->gradient,
                                                              .accumulate = true}));
        clm_buffer *scratch = NULL;
        CLM_TRY(clm_scratch_take(model->device,
                                 clm_reduce_columns_scratch_bytes(model->device, B, n_labels),
                                 &scratch, "partial column sums"));
        CLM_TRY(clm_reduce_columns(model->device, gradient(model, CLM_PARAMETER_SCORE_BIAS, -1), 0,
                                   a->dlogits, 0, B, n_labels, true, scratch));
    }
    if (!below && !norm_trained) {
        return CLM_OK;
    }
    CLM_TRY(clm_gemm(
        model->device,
        &(clm_gemm_arguments){
            .M = B, .N = C, .K = n_labels, .a = a->dlogits, .b = weight->value, .c = a->dln_f}));
    CLM_TRY(norm_backward(model, CLM_PARAMETER_LN_F_WEIGHT, -1, below ? a->dpooled : NULL, a->dln_f,
                          a->pooled, a->ln_f_mean, a->ln_f_rstd, NULL, B));
cleanup:
    return status;
}

/* Runs a block again, from its input up to what its backward pass needs: the same kernels on the
 * same numbers, so the same bits, unless the input was kept in 16. */
static clm_status block_again(clm_model *model, int layer) {
    clm_block_activations block = kept_activations(model, layer);
    const clm_buffer *x = block_input(model, layer);
    clm_status status = CLM_OK;
    block.halves = NULL;
    CLM_TRY(attend_forward(model, layer, &block, x, model->B, model->T));
    CLM_TRY(middle_forward(model, layer, &block, block.attention, x, block.x_middle, true,
                           model->B * model->T));
cleanup:
    return status;
}

/* From what a block kept in 16 bits: the floats of that, and what they give. */
static clm_status block_from_halves(clm_model *model, int layer) {
    const clm_block_activations a = kept_activations(model, layer);
    const int rows = model->B * model->T;
    const size_t elements = (size_t)rows * (size_t)model->config.n_embd;
    const size_t inner = (size_t)rows * (size_t)clm_model_config_inner(&model->config);
    clm_status status = CLM_OK;
    CLM_TRY(restore_floats(model, a.qkv, a.halves->qkv, 3 * elements));
    CLM_TRY(restore_floats(model, a.attention, a.halves->attention, elements));
    CLM_TRY(restore_floats(model, a.x_middle, a.halves->x_middle, elements));
    CLM_TRY(restore_floats(model, a.fc, a.halves->fc, inner));
    CLM_TRY(norm_forward(model, CLM_PARAMETER_LN_1_WEIGHT, layer, a.ln_1, a.ln_1_mean, a.ln_1_rstd,
                         block_input(model, layer), rows));
    CLM_TRY(norm_forward(model, CLM_PARAMETER_LN_2_WEIGHT, layer, a.ln_2, a.ln_2_mean, a.ln_2_rstd,
                         a.x_middle, rows));
    CLM_TRY(clm_gelu_forward(model->device, a.gelu, a.fc, inner));
cleanup:
    return status;
}

/* Makes what the backward pass of a block needs and the forward pass did not leave as it is wanted.
 * The top block was the last to run, so all of it is still there. */
static clm_status prepare_backward(clm_model *model, int layer) {
    const clm_block_activations a = kept_activations(model, layer);
    clm_status status = CLM_OK;
    if (layer == model->config.n_layer - 1) {
        return CLM_OK;
    }
    if (a.halves != NULL) {
        CLM_TRY(restore_floats(model, a.x, a.halves->x,
                               (size_t)model->B * (size_t)model->T * (size_t)model->config.n_embd));
    }
    if (model->recompute) {
        CLM_TRY(block_again(model, layer));
    } else if (a.halves != NULL) {
        CLM_TRY(block_from_halves(model, layer));
    }
cleanup:
    return status;
}

clm_status clm_model_backward(clm_model *model) {
    const int top = model->config.n_layer - 1;
    const int first = model->first_trained_layer;
    const clm_model_parameter *wte = clm_model_find(model, CLM_PARAMETER_WTE_WEIGHT, -1);
    const clm_model_parameter *wpe = clm_model_find(model, CLM_PARAMETER_WPE_WEIGHT, -1);
    const bool embedding = wte->gradient != NULL || wpe->gradient != NULL;
    const clm_activations *a = &model->activations;
    const int rows = model->B * model->T;
    clm_status status = CLM_OK;
    model->gradients_are_zero = false;
    CLM_TRY(head_backward(model, embedding || first <= top));
    int layer = top;
    if (first <= top && model->whole_top_block) {
        CLM_TRY(clm_rows_scatter(model->device, a->dx, a->dpooled, a->pooled_rows, model->B, rows,
                                 model->config.n_embd));
    } else if (first <= top) {
        CLM_TRY(top_block_backward(model, embedding || first < top));
        layer--;
    }
    for (; layer >= first; layer--) {
        CLM_TRY(prepare_backward(model, layer));
        CLM_TRY(
            project_backward(model, layer, a->dx, kept_activations(model, layer).attention, rows));
        CLM_TRY(attend_backward(model, layer, a->dln, embedding || layer > first));
    }
    if (embedding) {
        clm_buffer *scratch = NULL;
        CLM_TRY(clm_scratch_take(
            model->device, clm_embedding_backward_scratch_bytes(model->device, model->B, model->T),
            &scratch, "the sorted places of tokens"));
        CLM_TRY(clm_embedding_backward(model->device, wte->gradient, wpe->gradient, a->dx,
                                       model->tokens, model->B, model->T, model->config.n_embd,
                                       scratch));
    }
cleanup:
    return status;
}

clm_status clm_model_zero_gradients(clm_model *model) {
    if (model->gradients_are_zero) {
        return CLM_OK;
    }
    clm_status status = clm_arena_zero(&model->gradients);
    model->gradients_are_zero = status == CLM_OK;
    return status;
}

/* One training step of a tiny model, and the same in plain C: logits, losses, the gradient of each
 * parameter, each parameter after AdamW, and the loss that follows.
 *
 * The model has what GPT-2 has, with heads of 64 channels so that its kernels are GPT-2's; weights
 * are larger than at the beginning of training, so that each of them matters to the result.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "model/gpt2.h"
#include "ops/ops.h"
#include "reference/adamw.h"
#include "reference/attention.h"
#include "reference/crossentropy.h"
#include "reference/embedding.h"
#include "reference/gelu.h"
#include "reference/gemm.h"
#include "reference/layernorm.h"
#include "reference/linear.h"
#include "reference/residual.h"
#include "selftest/run.h"
#include "train/optimizer.h"

enum { B = 3, MOST_T = 19, C = 128, H = 2, D = C / H, V = 61, L = 2, INNER = 192 };
enum { LABELS = 3 };
static const char *const source =
    "random:n_layer=2,n_embd=128,n_head=2,n_ctx=32,n_vocab=61,n_inner=192";
static const double epsilon = 1e-5;

/* Above all gradients that are nothing but rounding, whose sign AdamW would make a step of. */
static const clm_adamw settings = {1e-2, 0.9, 0.999, 1e-3, 0.1, 1, 1.0, true};

/* What a block leaves for its backward pass; all positions, because the plain one has no pooled top
 * block. */
typedef struct block {
    float *x, *ln_1, *qkv, *attention, *x_middle, *ln_2, *fc, *gelu;
    double *lse;
} block;

typedef struct chain {
    clm_selftest_context *run;
    clm_model *model;
    clm_optimizer optimizer;
    int T, rows; /* rows = B * T */
    int32_t tokens[B * MOST_T];
    int32_t targets[B];
    float **values; /* of each parameter, as the table has them */
    float **gradients;
    block blocks[L];
    float *x_top, *pooled, *ln_f, *logits, *losses;
} chain;

static size_t index_of(const chain *c, clm_parameter_kind kind, int layer) {
    return (size_t)(clm_parameter_find(&c->model->table, kind, layer) - c->model->table.parameters);
}

static float *value_of(const chain *c, clm_parameter_kind kind, int layer) {
    return c->values[index_of(c, kind, layer)];
}

static float *gradient_of(const chain *c, clm_parameter_kind kind, int layer) {
    return c->gradients[index_of(c, kind, layer)];
}

/* Of the sequence's last position. */
static size_t last_row(const chain *c, size_t b) {
    return (b + 1) * (size_t)c->T - 1;
}

/* ---- the pieces, in floats; what is not said fails through run->status ---- */

static double *wide(const chain *c, const float *values, size_t count) {
    double *wider = clm_selftest_doubles(c->run, count);
    for (size_t i = 0; c->run->status == CLM_OK && i < count; i++) {
        wider[i] = (double)values[i];
    }
    return wider;
}

static void narrow(float *to, const double *from, size_t count) {
    for (size_t i = 0; i < count; i++) {
        to[i] = (float)from[i];
    }
}

static void norm_forward(const chain *c, float *out, const float *x, clm_parameter_kind kind,
                         int layer, int rows) {
    const size_t count = (size_t)rows * C;
    const double *x_wide = wide(c, x, count);
    const double *weight = wide(c, value_of(c, kind, layer), C);
    const double *bias = wide(c, value_of(c, kind + 1, layer), C);
    double *out_wide = clm_selftest_doubles(c->run, count);
    double *sums = clm_selftest_doubles(c->run, 2 * (size_t)rows);
    if (c->run->status == CLM_OK) {
        clm_reference_layernorm_forward(out_wide, sums, sums + rows, x_wide, weight, bias, rows, C,
                                        epsilon);
        narrow(out, out_wide, count);
    }
}

/* dx = gradient + dresidual, which may be NULL. */
static void norm_backward(const chain *c, float *dx, const float *dout, const float *x,
                          const float *dresidual, clm_parameter_kind kind, int layer, int rows) {
    const size_t count = (size_t)rows * C;
    const double *x_wide = wide(c, x, count);
    const double *dout_wide = wide(c, dout, count);
    const double *weight = wide(c, value_of(c, kind, layer), C);
    const double *bias = wide(c, value_of(c, kind + 1, layer), C);
    double *dweight = wide(c, gradient_of(c, kind, layer), C);
    double *dbias = wide(c, gradient_of(c, kind + 1, layer), C);
    double *dx_wide = clm_selftest_doubles(c->run, count);
    double *sums = clm_selftest_doubles(c->run, 2 * (size_t)rows);
    const double *past = dresidual != NULL ? wide(c, dresidual, count) : NULL;
    if (c->run->status == CLM_OK) {
        clm_reference_layernorm_forward(dx_wide, sums, sums + rows, x_wide, weight, bias, rows, C,
                                        epsilon);
        clm_reference_layernorm_backward(dx_wide, dweight, dbias, dout_wide, x_wide, weight, sums,
                                         sums + rows, past, rows, C);
        narrow(dx, dx_wide, count);
        narrow(gradient_of(c, kind, layer), dweight, C);
        narrow(gradient_of(c, kind + 1, layer), dbias, C);
    }
}

static void linear_forward(const chain *c, float *out, const float *x, clm_parameter_kind kind,
                           int layer, int K, int N) {
    clm_reference_linear_forward(out, x, value_of(c, kind, layer), value_of(c, kind + 1, layer),
                                 c->rows, K, N);
}

static void linear_backward(const chain *c, float *dx, const float *dout, const float *x,
                            clm_parameter_kind kind, int layer, int K, int N) {
    clm_reference_linear_backward(dx, gradient_of(c, kind, layer), gradient_of(c, kind + 1, layer),
                                  dout, x, value_of(c, kind, layer), c->rows, K, N);
}

static void attention_forward(const chain *c, block *b) {
    const double *qkv = wide(c, b->qkv, (size_t)c->rows * 3 * C);
    double *out = clm_selftest_doubles(c->run, (size_t)c->rows * C);
    if (c->run->status == CLM_OK) {
        clm_reference_attention_forward(out, b->lse, qkv, B, c->T, H, D, true);
        narrow(b->attention, out, (size_t)c->rows * C);
    }
}

static void attention_backward(const chain *c, float *dqkv, const float *dout, const block *b) {
    const double *qkv = wide(c, b->qkv, (size_t)c->rows * 3 * C);
    const double *out = wide(c, b->attention, (size_t)c->rows * C);
    const double *dout_wide = wide(c, dout, (size_t)c->rows * C);
    double *dqkv_wide = clm_selftest_doubles(c->run, (size_t)c->rows * 3 * C);
    if (c->run->status == CLM_OK) {
        clm_reference_attention_backward(dqkv_wide, dout_wide, qkv, out, b->lse, B, c->T, H, D,
                                         true);
        narrow(dqkv, dqkv_wide, (size_t)c->rows * 3 * C);
    }
}

/* ---- forward ---- */

static void block_forward(const chain *c, int layer, block *b, float *x_out) {
    norm_forward(c, b->ln_1, b->x, CLM_PARAMETER_LN_1_WEIGHT, layer, c->rows);
    linear_forward(c, b->qkv, b->ln_1, CLM_PARAMETER_ATTN_QKV_WEIGHT, layer, C, 3 * C);
    attention_forward(c, b);
    linear_forward(c, b->x_middle, b->attention, CLM_PARAMETER_ATTN_PROJ_WEIGHT, layer, C, C);
    clm_reference_residual_forward(b->x_middle, b->x_middle, b->x, (size_t)c->rows * C);
    norm_forward(c, b->ln_2, b->x_middle, CLM_PARAMETER_LN_2_WEIGHT, layer, c->rows);
    linear_forward(c, b->fc, b->ln_2, CLM_PARAMETER_MLP_FC_WEIGHT, layer, C, INNER);
    clm_reference_gelu_forward(b->gelu, b->fc, (size_t)c->rows * INNER);
    linear_forward(c, x_out, b->gelu, CLM_PARAMETER_MLP_PROJ_WEIGHT, layer, INNER, C);
    clm_reference_residual_forward(x_out, x_out, b->x_middle, (size_t)c->rows * C);
}

static void chain_forward(chain *c) {
    clm_reference_embedding_forward(c->blocks[0].x, c->tokens,
                                    value_of(c, CLM_PARAMETER_WTE_WEIGHT, -1),
                                    value_of(c, CLM_PARAMETER_WPE_WEIGHT, -1), B, c->T, C, 0);
    for (int layer = 0; layer < L; layer++) {
        block_forward(c, layer, &c->blocks[layer],
                      layer + 1 < L ? c->blocks[layer + 1].x : c->x_top);
    }
    for (size_t b = 0; b < B; b++) {
        memcpy(c->pooled + b * C, c->x_top + last_row(c, b) * C, C * sizeof(float));
    }
    norm_forward(c, c->ln_f, c->pooled, CLM_PARAMETER_LN_F_WEIGHT, -1, B);
    const clm_reference_gemm_arguments head = {.M = B,
                                               .N = LABELS,
                                               .K = C,
                                               .b_transposed = true,
                                               .a = c->ln_f,
                                               .lda = C,
                                               .b = value_of(c, CLM_PARAMETER_SCORE_WEIGHT, -1),
                                               .ldb = C,
                                               .c = c->logits,
                                               .ldc = LABELS,
                                               .bias = value_of(c, CLM_PARAMETER_SCORE_BIAS, -1)};
    clm_reference_gemm(&head);
    clm_reference_crossentropy_forward(c->losses, NULL, c->logits, c->targets, B, LABELS);
}

/* ---- backward ---- */

/* Gradients of the head's weight (LABELS,C) and bias, and of its input. */
static void head_backward(chain *c, float *dln_f, const float *dlogits) {
    float *dweight = gradient_of(c, CLM_PARAMETER_SCORE_WEIGHT, -1);
    float *dbias = gradient_of(c, CLM_PARAMETER_SCORE_BIAS, -1);
    const float *weight = value_of(c, CLM_PARAMETER_SCORE_WEIGHT, -1);
    const clm_reference_gemm_arguments to_weight = {.M = LABELS,
                                                    .N = C,
                                                    .K = B,
                                                    .a_transposed = true,
                                                    .a = dlogits,
                                                    .lda = LABELS,
                                                    .b = c->ln_f,
                                                    .ldb = C,
                                                    .c = dweight,
                                                    .ldc = C,
                                                    .accumulate = true};
    const clm_reference_gemm_arguments to_input = {.M = B,
                                                   .N = C,
                                                   .K = LABELS,
                                                   .a = dlogits,
                                                   .lda = LABELS,
                                                   .b = weight,
                                                   .ldb = C,
                                                   .c = dln_f,
                                                   .ldc = C};
    clm_reference_gemm(&to_weight);
    clm_reference_gemm(&to_input);
    for (int b = 0; b < B; b++) {
        for (int label = 0; label < LABELS; label++) {
            dbias[label] += dlogits[b * LABELS + label];
        }
    }
}

/* dx: of the block's output; becomes that of its input. */
static void block_backward(const chain *c, int layer, const block *b, float *dx, float *dinner,
                           float *dnormed) {
    const size_t inner_count = (size_t)c->rows * INNER;
    linear_backward(c, dinner, dx, b->gelu, CLM_PARAMETER_MLP_PROJ_WEIGHT, layer, INNER, C);
    for (size_t i = 0; i < inner_count; i++) {
        clm_reference_gelu_backward(&dinner[i], &dinner[i], &b->fc[i], 1);
    }
    linear_backward(c, dnormed, dinner, b->ln_2, CLM_PARAMETER_MLP_FC_WEIGHT, layer, C, INNER);
    norm_backward(c, dx, dnormed, b->x_middle, dx, CLM_PARAMETER_LN_2_WEIGHT, layer, c->rows);
    linear_backward(c, dnormed, dx, b->attention, CLM_PARAMETER_ATTN_PROJ_WEIGHT, layer, C, C);
    attention_backward(c, dinner, dnormed, b);
    linear_backward(c, dnormed, dinner, b->ln_1, CLM_PARAMETER_ATTN_QKV_WEIGHT, layer, C, 3 * C);
    norm_backward(c, dx, dnormed, b->x, dx, CLM_PARAMETER_LN_1_WEIGHT, layer, c->rows);
}

static void chain_backward(chain *c) {
    clm_selftest_context *run = c->run;
    float *dlogits = clm_selftest_floats(run, (size_t)B * LABELS);
    float *dln_f = clm_selftest_floats(run, (size_t)B * C);
    float *dpooled = clm_selftest_floats(run, (size_t)B * C);
    float *dx = clm_selftest_floats(run, (size_t)c->rows * C);
    float *dnormed = clm_selftest_floats(run, (size_t)c->rows * C);
    float *dinner = clm_selftest_floats(run, (size_t)c->rows * 3 * C);
    if (run->status != CLM_OK) {
        return;
    }
    clm_reference_crossentropy_backward(dlogits, c->logits, c->targets, 1.0F / B, B, LABELS);
    head_backward(c, dln_f, dlogits);
    norm_backward(c, dpooled, dln_f, c->pooled, NULL, CLM_PARAMETER_LN_F_WEIGHT, -1, B);
    for (size_t b = 0; b < B; b++) {
        memcpy(dx + last_row(c, b) * C, dpooled + b * C, C * sizeof(float));
    }
    for (int layer = L - 1; layer >= 0; layer--) {
        block_backward(c, layer, &c->blocks[layer], dx, dinner, dnormed);
    }
    clm_reference_embedding_backward(gradient_of(c, CLM_PARAMETER_WTE_WEIGHT, -1),
                                     gradient_of(c, CLM_PARAMETER_WPE_WEIGHT, -1), dx, c->tokens, B,
                                     c->T, C, V);
}

/* ---- both ---- */

/* Sizes with which activations stay near 1, and no gradient vanishes. */
static float scale_of(const clm_parameter *parameter) {
    const bool is_norm = parameter->init == CLM_INIT_ONE;
    return is_norm ? 0.3F : parameter->rank == 1 ? 0.2F : parameter->layer < 0 ? 0.5F : 0.15F;
}

static clm_status make_values(chain *c) {
    clm_selftest_context *run = c->run;
    const clm_parameter_table *table = &c->model->table;
    clm_status status = CLM_OK;
    for (size_t i = 0; i < table->count; i++) {
        const clm_parameter *about = &table->parameters[i];
        c->values[i] = clm_selftest_floats(run, about->count);
        c->gradients[i] = clm_selftest_floats(run, about->count);
        CLM_TRY(run->status);
        for (size_t k = 0; k < about->count; k++) {
            c->values[i][k] = (about->init == CLM_INIT_ONE ? 1.0F : 0.0F) +
                              scale_of(about) * (2.0F * clm_philox_uniform(&run->random) - 1.0F);
        }
        CLM_TRY(clm_buffer_write(c->model->parameters[i].value, 0, c->values[i],
                                 about->count * sizeof(float)));
    }
    for (size_t i = 0; i < (size_t)c->rows; i++) {
        c->tokens[i] = (int32_t)(clm_philox_next(&run->random) % V);
    }
    for (int b = 0; b < B; b++) {
        c->targets[b] = b % LABELS;
    }
cleanup:
    return status;
}

static clm_status make_chain(chain *c) {
    clm_selftest_context *run = c->run;
    clm_status status = CLM_OK;
    clm_model_options options = CLM_MODEL_OPTIONS_DEFAULT;
    options.train = CLM_TRAIN_ALL;
    options.n_labels = LABELS;
    CLM_TRY(clm_model_open(&c->model, run->device, source, &options));
    CLM_TRY(clm_optimizer_make(&c->optimizer, c->model));
    c->values = (float **)clm_selftest_doubles(run, c->model->table.count);
    c->gradients = (float **)clm_selftest_doubles(run, c->model->table.count);
    CLM_TRY(run->status);
    CLM_TRY(make_values(c));
    for (int layer = 0; layer < L; layer++) {
        block *b = &c->blocks[layer];
        float **const of_C[] = {&b->x, &b->ln_1, &b->attention, &b->x_middle, &b->ln_2};
        for (size_t i = 0; i < sizeof of_C / sizeof *of_C; i++) {
            *of_C[i] = clm_selftest_floats(run, (size_t)c->rows * C);
        }
        b->qkv = clm_selftest_floats(run, (size_t)c->rows * 3 * C);
        b->fc = clm_selftest_floats(run, (size_t)c->rows * INNER);
        b->gelu = clm_selftest_floats(run, (size_t)c->rows * INNER);
        b->lse = clm_selftest_doubles(run, (size_t)c->rows * H);
    }
    c->x_top = clm_selftest_floats(run, (size_t)c->rows * C);
    c->pooled = clm_selftest_floats(run, (size_t)B * C);
    c->ln_f = clm_selftest_floats(run, (size_t)B * C);
    c->logits = clm_selftest_floats(run, (size_t)B * LABELS);
    c->losses = clm_selftest_floats(run, B);
    CLM_TRY(run->status);
cleanup:
    return status;
}

static clm_status device_losses(const chain *c, const clm_value *losses, const clm_value *sums,
                                const clm_value *targets, bool training) {
    const clm_activations *a = &c->model->activations;
    clm_status status = CLM_OK;
    CLM_TRY(clm_model_forward(c->model, c->tokens, NULL, B, c->T, training));
    CLM_TRY(clm_crossentropy_forward(c->run->device, losses->buffer, sums->buffer, NULL, a->logits,
                                     targets->buffer, B, LABELS));
cleanup:
    return status;
}

/* What a buffer of the model holds, against `expected`, within a share of the largest of that. */
static void compare_model(const chain *c, const char *name, clm_buffer *got, const float *expected,
                          size_t count, double share) {
    const clm_value value = {.count = count, .buffer = got};
    double largest = 0.0;
    for (size_t i = 0; i < count; i++) {
        largest = fmax(largest, fabs((double)expected[i]));
    }
    clm_selftest_compare_floats(c->run, name, &value, expected, share * largest + 1e-6, 0.0);
}

/* Rounding grows through two blocks, forward and backward, to some 1e-6 of what a gradient is made
 * of; its largest element is the measure of that. */
static void compare_gradients(const chain *c) {
    for (size_t i = 0; i < c->model->table.count; i++) {
        const clm_parameter *about = &c->model->table.parameters[i];
        char name[64];
        (void)snprintf(name, sizeof name, "gradient of %s", about->name);
        compare_model(c, name, c->model->parameters[i].gradient, c->gradients[i], about->count,
                      1e-4);
    }
}

static clm_status update(chain *c) {
    const clm_reference_adamw reference = {
        settings.learning_rate, settings.beta1, settings.beta2,         settings.epsilon,
        settings.weight_decay,  settings.step,  settings.gradient_scale};
    clm_selftest_context *run = c->run;
    clm_status status = CLM_OK;
    CLM_TRY(clm_optimizer_step(&c->optimizer, &settings));
    for (size_t i = 0; i < c->model->table.count; i++) {
        const clm_parameter *about = &c->model->table.parameters[i];
        float *moments = clm_selftest_floats(run, 2 * about->count);
        char name[64];
        CLM_TRY(run->status);
        (void)snprintf(name, sizeof name, "%s after AdamW", about->name);
        clm_reference_adamw_step(c->values[i], c->gradients[i], moments, moments + about->count,
                                 about->count, &reference);
        /* A gradient that is off by 1e-5 moves a step by lr / epsilon times as much at most. */
        compare_model(c, name, c->model->parameters[i].value, c->values[i], about->count, 1e-4);
    }
cleanup:
    return status;
}

clm_status clm_selftest_training_step(clm_selftest_context *run) {
    /* A simulator would take minutes for more. */
    const int T = clm_device_is_simulator(run->device) ? 3 : MOST_T;
    chain c = {.run = run, .T = T, .rows = B * T};
    clm_status status = CLM_OK;
    CLM_TRY(make_chain(&c));
    const clm_activations *a = &c.model->activations;
    const clm_value targets = clm_selftest_copy(run, c.targets, B);
    const clm_value losses = clm_selftest_empty(run, B),
                    sums = clm_selftest_empty(run, 2 * (size_t)B);
    CLM_TRY(run->status);
    clm_selftest_shape(run, "%s, B=%d, T=%d, forward", source, B, T);
    chain_forward(&c);
    CLM_TRY(run->status);
    CLM_TRY(device_losses(&c, &losses, &sums, &targets, true));
    compare_model(&c, "logits", a->logits, c.logits, (size_t)B * LABELS, 2e-5);
    clm_selftest_compare_floats(run, "losses", &losses, c.losses, 5e-5, 0.0);
    clm_selftest_shape(run, "%s, B=%d, T=%d, backward", source, B, T);
    chain_backward(&c);
    CLM_TRY(run->status);
    CLM_TRY(clm_crossentropy_backward(run->device, a->dlogits, a->logits, sums.buffer,
                                      targets.buffer, 1.0F / B, B, LABELS));
    CLM_TRY(clm_model_backward(c.model));
    compare_gradients(&c);
    clm_selftest_shape(run, "%s, B=%d, T=%d, AdamW", source, B, T);
    CLM_TRY(update(&c));
    clm_selftest_shape(run, "%s, B=%d, T=%d, after a step", source, B, T);
    chain_forward(&c);
    CLM_TRY(run->status);
    CLM_TRY(device_losses(&c, &losses, &sums, &targets, false));
    clm_selftest_compare_floats(run, "losses", &losses, c.losses, 2e-4, 0.0);
cleanup:
    clm_optimizer_free(&c.optimizer);
    clm_model_close(c.model);
    return status;
}

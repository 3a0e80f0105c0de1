/* One training step of a tiny model, and the same in plain C: logits, losses, the gradient of each
 * parameter, each parameter after AdamW, and the loss that follows.
 *
 * The model has what GPT-2 has, with heads of 64 channels so that its kernels are GPT-2's; weights
 * are larger than at the beginning of training, so that each of them matters to the result. The
 * plain C is that of its description, which looks at all positions to the end.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "graph/derive.h"
#include "graph/reference.h"
#include "model/opened.h"
#include "model/tasks/classify.h"
#include "ops/ops.h"
#include "reference/adamw.h"
#include "selftest/run.h"
#include "train/optimizer.h"

enum { B = 3, MOST_T = 19, V = 61, LABELS = 3 };
static const char *const source =
    "random:n_layer=2,n_embd=128,n_head=2,n_ctx=32,n_vocab=61,n_inner=192";

/* Above all gradients that are nothing but rounding, whose sign AdamW would make a step of. */
static const clm_adamw settings = {1e-2, 0.9, 0.999, 1e-3, 0.1, 1, 1.0, true};

typedef struct chain {
    clm_selftest_context *run;
    clm_model *model;
    clm_optimizer optimizer;
    int T;
    int32_t tokens[B * MOST_T];
    int32_t targets[B];
    float **values; /* of each parameter, as the table has them */
    clm_graph *graph;
    clm_reference_run plain;
} chain;

/* ---- plain C ---- */

static bool trains_all(void *context, const char *name) {
    (void)context;
    (void)name;
    return true;
}

static clm_status describe(chain *c) {
    clm_status status = CLM_OK;
    CLM_TRY(clm_graph_create(&c->graph));
    clm_graph *g = c->graph;
    clm_classify_describe(g, &c->model->config, B, c->T, true);
    CLM_TRY(clm_graph_status(g));
    CLM_TRY(clm_graph_derive(g, clm_graph_find_output(g, "losses"), trains_all, NULL));
    CLM_TRY(clm_reference_run_make(&c->plain, g));
    memcpy(c->plain.ids[clm_graph_find(g, CLM_TENSOR_INPUT, "tokens")], c->tokens,
           (size_t)B * (size_t)c->T * sizeof *c->tokens);
    memcpy(c->plain.ids[clm_graph_find(g, CLM_TENSOR_INPUT, "targets")], c->targets,
           sizeof c->targets);
    for (int b = 0; b < B; b++) {
        c->plain.ids[clm_graph_find(g, CLM_TENSOR_INPUT, "rows")][b] = (b + 1) * c->T - 1;
    }
cleanup:
    return status;
}

static uint32_t tensor_of(const chain *c, const clm_parameter *about) {
    return clm_graph_find(c->graph, CLM_TENSOR_PARAMETER, about->name);
}

/* Forward and backward, from the present values. */
static clm_status plain_step(chain *c) {
    const clm_parameter_table *table = &c->model->parameters->table;
    for (size_t i = 0; i < table->count; i++) {
        double *values = c->plain.values[tensor_of(c, &table->parameters[i])];
        for (size_t k = 0; k < table->parameters[i].count; k++) {
            values[k] = (double)c->values[i][k];
        }
    }
    return clm_reference_execute(&c->plain, 1.0 / B);
}

/* An output of the description, as floats. */
static float *plain_output(const chain *c, uint32_t index, size_t count) {
    float *out = clm_selftest_floats(c->run, count);
    const double *values = c->plain.values[c->graph->outputs[index].tensor];
    for (size_t i = 0; c->run->status == CLM_OK && i < count; i++) {
        out[i] = (float)values[i];
    }
    return out;
}

static float *plain_gradient(const chain *c, const clm_parameter *about) {
    double *wide = clm_selftest_doubles(c->run, about->count);
    float *gradient = clm_selftest_floats(c->run, about->count);
    if (c->run->status == CLM_OK) {
        clm_reference_gradient(&c->plain, tensor_of(c, about), wide);
        for (size_t k = 0; k < about->count; k++) {
            gradient[k] = (float)wide[k];
        }
    }
    return gradient;
}

/* ---- both ---- */

/* Sizes with which activations stay near 1, and no gradient vanishes. */
static float scale_of(const clm_parameter *parameter) {
    const bool is_norm = parameter->init == CLM_INIT_ONE;
    const bool in_block = strncmp(parameter->name, "h.", 2) == 0;
    return is_norm ? 0.3F : parameter->rank == 1 ? 0.2F : in_block ? 0.15F : 0.5F;
}

static clm_status make_values(chain *c) {
    clm_selftest_context *run = c->run;
    const clm_parameter_table *table = &c->model->parameters->table;
    clm_status status = CLM_OK;
    for (size_t i = 0; i < table->count; i++) {
        const clm_parameter *about = &table->parameters[i];
        c->values[i] = clm_selftest_floats(run, about->count);
        CLM_TRY(run->status);
        for (size_t k = 0; k < about->count; k++) {
            c->values[i][k] = (about->init == CLM_INIT_ONE ? 1.0F : 0.0F) +
                              scale_of(about) * (2.0F * clm_philox_uniform(&run->random) - 1.0F);
        }
        CLM_TRY(clm_buffer_write(c->model->parameters->stored[i].value, 0, c->values[i],
                                 about->count * sizeof(float)));
    }
    for (size_t i = 0; i < (size_t)B * (size_t)c->T; i++) {
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
    c->values = (float **)clm_selftest_doubles(run, c->model->parameters->table.count);
    CLM_TRY(run->status);
    CLM_TRY(make_values(c));
    CLM_TRY(describe(c));
cleanup:
    return status;
}

/* Losses, and gradients of their mean. */
static clm_status device_pass(const chain *c, const clm_value *losses, bool training) {
    return clm_model_pass(c->model, &(clm_pass){.B = B,
                                                .T = c->T,
                                                .tokens = c->tokens,
                                                .targets = c->targets,
                                                .losses = losses->buffer,
                                                .scale = training ? 1.0F / B : 0.0F});
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
static clm_status compare_gradients(const chain *c) {
    for (size_t i = 0; i < c->model->parameters->table.count && c->run->status == CLM_OK; i++) {
        const clm_parameter *about = &c->model->parameters->table.parameters[i];
        const float *gradient = plain_gradient(c, about);
        char name[128];
        (void)snprintf(name, sizeof name, "gradient of %s", about->name);
        if (c->run->status == CLM_OK) {
            compare_model(c, name, c->model->parameters->stored[i].gradient, gradient, about->count,
                          1e-4);
        }
    }
    return c->run->status;
}

static clm_status update(chain *c) {
    const clm_reference_adamw reference = {
        settings.learning_rate, settings.beta1, settings.beta2,         settings.epsilon,
        settings.weight_decay,  settings.step,  settings.gradient_scale};
    clm_selftest_context *run = c->run;
    clm_status status = CLM_OK;
    CLM_TRY(clm_optimizer_step(&c->optimizer, &settings));
    for (size_t i = 0; i < c->model->parameters->table.count; i++) {
        const clm_parameter *about = &c->model->parameters->table.parameters[i];
        float *moments = clm_selftest_floats(run, 2 * about->count);
        float *gradient = plain_gradient(c, about);
        char name[128];
        CLM_TRY(run->status);
        (void)snprintf(name, sizeof name, "%s after AdamW", about->name);
        clm_reference_adamw_step(c->values[i], gradient, moments, moments + about->count,
                                 about->count, &reference);
        /* A gradient that is off by 1e-5 moves a step by lr / epsilon times as much at most. */
        compare_model(c, name, c->model->parameters->stored[i].value, c->values[i], about->count,
                      1e-4);
    }
cleanup:
    return status;
}

clm_status clm_selftest_training_step(clm_selftest_context *run) {
    /* A simulator would take minutes for more. */
    const int T = clm_device_is_simulator(run->device) ? 3 : MOST_T;
    chain c = {.run = run, .T = T};
    clm_status status = CLM_OK;
    CLM_TRY(make_chain(&c));
    const clm_value losses = clm_selftest_empty(run, B);
    CLM_TRY(run->status);
    clm_selftest_shape(run, "%s, B=%d, T=%d, forward", source, B, T);
    CLM_TRY(plain_step(&c));
    const float *logits_right = plain_output(&c, 0, (size_t)B * LABELS);
    const float *losses_right = plain_output(&c, 1, B);
    CLM_TRY(run->status);
    CLM_TRY(device_pass(&c, &losses, true));
    compare_model(&c, "logits", clm_model_pass_logits(c.model), logits_right, (size_t)B * LABELS,
                  2e-5);
    clm_selftest_compare_floats(run, "losses", &losses, losses_right, 5e-5, 0.0);
    clm_selftest_shape(run, "%s, B=%d, T=%d, backward", source, B, T);
    CLM_TRY(compare_gradients(&c));
    clm_selftest_shape(run, "%s, B=%d, T=%d, AdamW", source, B, T);
    CLM_TRY(update(&c));
    clm_selftest_shape(run, "%s, B=%d, T=%d, after a step", source, B, T);
    CLM_TRY(plain_step(&c));
    const float *losses_after = plain_output(&c, 1, B);
    CLM_TRY(run->status);
    CLM_TRY(device_pass(&c, &losses, false));
    clm_selftest_compare_floats(run, "losses", &losses, losses_after, 2e-4, 0.0);
cleanup:
    clm_reference_run_free(&c.plain);
    clm_graph_free(c.graph);
    clm_optimizer_free(&c.optimizer);
    clm_model_close(c.model);
    return status;
}

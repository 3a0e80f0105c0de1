/* The buffers of a pass. One list says which there are and how large, for making them and for the
 * estimate.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "base/memory.h"
#include "model/gpt2.h"

typedef enum walk_kind { walk_create, walk_release, walk_estimate } walk_kind;

/* What a walk over the list does with each buffer. */
typedef struct walk {
    clm_device *device;
    clm_status status;
    uint64_t total_bytes;
    uint64_t largest_bytes;
    walk_kind what;
    bool whole_top_block, recompute; /* as in clm_model_options */
    bool halves;                     /* what is kept has 16 bits */
} walk;

static walk walk_over(const clm_model *model, walk_kind what) {
    return (walk){.what = what,
                  .device = model->device,
                  .whole_top_block = model->whole_top_block,
                  .recompute = model->recompute,
                  .halves = model->kept_storage != CLM_F32};
}

static void visit_bytes(walk *w, clm_buffer **buffer, size_t size_bytes, const char *name) {
    if (w->what == walk_release) {
        clm_buffer_release(*buffer);
        *buffer = NULL;
    } else if (w->what == walk_estimate) {
        w->total_bytes += size_bytes;
        w->largest_bytes = size_bytes > w->largest_bytes ? size_bytes : w->largest_bytes;
    } else if (w->status == CLM_OK && *buffer == NULL) {
        w->status = clm_buffer_create(buffer, w->device, size_bytes, name);
    }
}

static void visit(walk *w, clm_buffer **buffer, size_t elements, const char *name) {
    visit_bytes(w, buffer, elements * sizeof(float), name);
}

static void visit_halves(walk *w, clm_buffer **buffer, size_t elements, const char *name) {
    visit_bytes(w, buffer, elements * sizeof(uint16_t), name);
}

/* `tail_rows` are those that ask for attention and go on after it: all, or in the top block those
 * that the head looks at. */
static void visit_block(walk *w, clm_block_activations *a, const clm_model_config *config,
                        size_t rows, size_t tail_rows) {
    const size_t C = (size_t)config->n_embd;
    const size_t qkv = tail_rows < rows ? 2 * C : 3 * C;
    const size_t inner = (size_t)clm_model_config_inner(config);
    visit(w, &a->ln_1, rows * C, "the first LayerNorm's output");
    visit(w, &a->qkv, rows * qkv, "queries, keys and values");
    visit(w, &a->attention, tail_rows * C, "the attention's output");
    visit(w, &a->ln_2, tail_rows * C, "the second LayerNorm's output");
    visit(w, &a->gelu, tail_rows * inner, "the MLP's hidden layer");
}

/* What the backward pass of a block wants besides, but its input. */
static void visit_kept(walk *w, clm_block_activations *a, const clm_model_config *config,
                       size_t rows, size_t tail_rows) {
    const size_t C = (size_t)config->n_embd;
    const size_t inner = (size_t)clm_model_config_inner(config);
    visit(w, &a->ln_1_mean, rows, "a LayerNorm's mean");
    visit(w, &a->ln_1_rstd, rows, "a LayerNorm's deviation");
    visit(w, &a->lse, tail_rows * (size_t)config->n_head, "the attention's log-sum-exp");
    visit(w, &a->x_middle, tail_rows * C, "the residual after attention");
    visit(w, &a->ln_2_mean, tail_rows, "a LayerNorm's mean");
    visit(w, &a->ln_2_rstd, tail_rows, "a LayerNorm's deviation");
    visit(w, &a->fc, tail_rows * inner, "the MLP's hidden layer before GELU");
}

/* What a block keeps in 16 bits but its input: what cannot be made again from that by operations on
 * single elements and rows. The log-sum-exp is small, and a float. */
static void visit_kept_halves(walk *w, clm_block_activations *a, const clm_model_config *config,
                              size_t rows) {
    const size_t C = (size_t)config->n_embd;
    visit_halves(w, &a->qkv, rows * 3 * C, "queries, keys and values in 16 bits");
    visit(w, &a->lse, rows * (size_t)config->n_head, "the attention's log-sum-exp");
    visit_halves(w, &a->attention, rows * C, "the attention's output in 16 bits");
    visit_halves(w, &a->x_middle, rows * C, "the residual after attention in 16 bits");
    visit_halves(w, &a->fc, rows * (size_t)clm_model_config_inner(config),
                 "the MLP's hidden layer before GELU in 16 bits");
}

static int first_trained_layer(clm_train_policy policy, int n_layer) {
    const int blocks = policy == CLM_TRAIN_ALL               ? n_layer
                       : policy == CLM_TRAIN_LAST_TWO_BLOCKS ? 2
                       : policy == CLM_TRAIN_LAST_BLOCK      ? 1
                                                             : 0;
    return blocks < n_layer ? n_layer - blocks : 0;
}

/* What every pass needs. */
static void visit_pass(walk *w, clm_activations *a, const clm_model_config *config, int B, int T) {
    const size_t sequences = (size_t)B;
    const size_t rows = sequences * (size_t)T;
    const size_t C = (size_t)config->n_embd;
    visit_block(w, &a->scratch, config, rows, rows);
    visit(w, &a->x, rows * C, "the residual stream");
    visit(w, &a->tokens, rows, "tokens");
    visit(w, &a->pooled_rows, sequences, "pooled rows");
    visit(w, &a->pooled_x, sequences * C, "the pooled positions' input");
    visit(w, &a->pooled_ln_1, sequences * C, "the pooled positions' first LayerNorm");
    visit(w, &a->query, sequences * C, "the pooled positions' queries");
    visit(w, &a->pooled, sequences * C, "the pooled positions");
    visit(w, &a->ln_f, sequences * C, "the final LayerNorm's output");
    visit(w, &a->ln_f_mean, sequences, "the final LayerNorm's mean");
    visit(w, &a->ln_f_rstd, sequences, "the final LayerNorm's deviation");
    visit(w, &a->logits, sequences * (size_t)config->n_labels, "logits");
}

/* What is kept for the backward pass, and what that needs itself. */
static void visit_training(walk *w, clm_activations *a, const clm_model_config *config,
                           clm_train_policy policy, int B, int T) {
    const size_t sequences = (size_t)B;
    const size_t rows = sequences * (size_t)T;
    const size_t C = (size_t)config->n_embd;
    const size_t inner = (size_t)clm_model_config_inner(config);
    clm_block_activations none = {0};
    const int first = first_trained_layer(policy, config->n_layer);
    size_t most_tail_rows = 0;
    for (int l = first; l < config->n_layer; l++) {
        clm_block_activations *block = a->kept != NULL ? &a->kept[l] : &none;
        const bool top = l == config->n_layer - 1;
        const size_t tail_rows = top && !w->whole_top_block ? sequences : rows;
        if (!w->recompute && !w->halves) {
            visit_block(w, block, config, rows, tail_rows);
            visit_kept(w, block, config, rows, tail_rows);
        } else if (!w->recompute && !top) {
            visit_kept_halves(w, block, config, rows);
        }
        if (l > first && !w->halves) { /* that one reads the stream that the frozen ones leave */
            visit(w, &block->x, rows * C, "a block's input");
        } else if (l > first && !top) {
            visit_halves(w, &block->x, rows * C, "a block's input in 16 bits");
        }
        most_tail_rows = tail_rows > most_tail_rows ? tail_rows : most_tail_rows;
    }
    if ((w->recompute || w->halves) && first < config->n_layer) {
        visit_kept(w, &a->shared, config, rows, most_tail_rows);
    }
    if (w->halves && first < config->n_layer - 1) {
        visit(w, &a->shared.x, rows * C, "the residual stream of trained blocks");
    }
    if (w->whole_top_block) {
        visit(w, &a->x_top, rows * C, "the top block's output");
    }
    visit(w, &a->dlogits, sequences * (size_t)config->n_labels, "the gradient of the logits");
    visit(w, &a->dln_f, sequences * C, "the gradient of the final LayerNorm");
    visit(w, &a->dpooled, sequences * C, "the gradient of the pooled positions");
    if (policy >= CLM_TRAIN_LAST_BLOCK) {
        visit(w, &a->dquery, sequences * C, "the gradient of the queries");
        visit(w, &a->dx, rows * C, "the gradient of the residual stream");
        visit(w, &a->dln, rows * C, "the gradient of a LayerNorm");
        visit(w, &a->dhidden, rows * (inner > 3 * C ? inner : 3 * C),
              "the gradient of a hidden layer");
    }
}

void clm_activations_free(clm_model *model) {
    clm_activations *a = &model->activations;
    walk w = walk_over(model, walk_release);
    visit_pass(&w, a, &model->config, 0, 0);
    if (a->kept != NULL) {
        visit_training(&w, a, &model->config, model->policy, 0, 0);
    }
    clm_free(a->kept);
    *a = (clm_activations){0};
}

/* Buffers are shaped by rows, sequences and rows x heads, so each of both must be large enough. */
static bool is_large_enough(const clm_pass_size *size, int B, int T) {
    return size->B >= B && (size_t)size->B * (size_t)size->T >= (size_t)B * (size_t)T;
}

static void enlarge(clm_pass_size *size, int B, int T) {
    size->B = size->B > B ? size->B : B;
    size->T = size->T > T ? size->T : T;
}

static clm_status reserve_training(clm_model *model, int B, int T) {
    clm_activations *a = &model->activations;
    if (a->kept == NULL) {
        clm_status status = clm_allocate(&a->kept, (size_t)model->config.n_layer, sizeof *a->kept,
                                         "the list of activations");
        if (status != CLM_OK) {
            return status;
        }
    }
    if (!is_large_enough(&a->training, B, T)) {
        walk release = walk_over(model, walk_release);
        visit_training(&release, a, &model->config, model->policy, 0, 0);
        enlarge(&a->training, B, T);
    }
    walk w = walk_over(model, walk_create);
    visit_training(&w, a, &model->config, model->policy, a->training.B, a->training.T);
    return w.status;
}

clm_status clm_activations_reserve(clm_model *model, int B, int T, bool training) {
    clm_activations *a = &model->activations;
    if (!is_large_enough(&a->pass, B, T)) {
        walk release = walk_over(model, walk_release);
        visit_pass(&release, a, &model->config, 0, 0);
        enlarge(&a->pass, B, T);
    }
    walk w = walk_over(model, walk_create);
    visit_pass(&w, a, &model->config, a->pass.B, a->pass.T);
    return w.status == CLM_OK && training ? reserve_training(model, B, T) : w.status;
}

void clm_activations_estimate(const clm_model_config *config, const clm_memory_plan *plan,
                              uint64_t *total_bytes, uint64_t *largest_bytes) {
    walk w = {.what = walk_estimate,
              .whole_top_block = plan->whole_top_block,
              .recompute = plan->recompute,
              .halves = plan->kept_storage != CLM_F32};
    clm_activations none = {0};
    visit_pass(&w, &none, config, plan->B, plan->T);
    if (plan->train != CLM_TRAIN_NOTHING) {
        visit_training(&w, &none, config, plan->train, plan->B, plan->T);
    }
    *total_bytes = w.total_bytes;
    *largest_bytes = w.largest_bytes;
}

int clm_model_wide_batch(const clm_model *model, int T, uint64_t taken_bytes) {
    enum { positions = 4096 };
    const clm_device_info *info = clm_device_get_info(model->device);
    const uint64_t room_bytes =
        info->memory_size_bytes > taken_bytes ? (info->memory_size_bytes - taken_bytes) / 8 : 0;
    for (int B = positions / T; B > 1; B /= 2) {
        uint64_t total_bytes = 0;
        uint64_t largest_bytes = 0;
        const clm_memory_plan plan = {.train = CLM_TRAIN_NOTHING, .B = B, .T = T};
        clm_activations_estimate(&model->config, &plan, &total_bytes, &largest_bytes);
        if (total_bytes <= room_bytes && largest_bytes <= info->max_allocation_size_bytes) {
            return B;
        }
    }
    return 1;
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "train/evaluate.h"

#include <string.h>

#include "base/memory.h"

clm_status clm_batch_make(clm_batch *batch, clm_model *model, int capacity, int pass, int longest) {
    *batch = (clm_batch){
        .model = model, .capacity = capacity, .pass = pass, .T = longest, .longest = longest};
    const size_t rows = (size_t)capacity;
    const size_t pass_rows = (size_t)pass;
    const size_t n_labels = (size_t)model->config.n_labels;
    clm_status status = CLM_OK;
    CLM_TRY(clm_allocate(&batch->tokens, rows * (size_t)longest, sizeof *batch->tokens, "a batch"));
    CLM_TRY(clm_allocate(&batch->rows, rows, sizeof *batch->rows, "a batch"));
    CLM_TRY(clm_allocate(&batch->labels, rows, sizeof *batch->labels, "a batch"));
    CLM_TRY(clm_allocate(&batch->lengths, rows, sizeof *batch->lengths, "a batch"));
    CLM_TRY(clm_allocate(&batch->losses, rows, sizeof *batch->losses, "a batch"));
    CLM_TRY(clm_allocate(&batch->logits, rows * n_labels, sizeof *batch->logits, "a batch"));
    if (pass < capacity) {
        CLM_TRY(clm_buffer_create(&batch->pass_losses, model->device, pass_rows * sizeof(float),
                                  "losses"));
    }
    CLM_TRY(
        clm_buffer_create(&batch->device_losses, model->device, rows * sizeof(float), "losses"));
cleanup:
    return status;
}

void clm_batch_free(clm_batch *batch) {
    clm_free(batch->tokens);
    clm_free(batch->rows);
    clm_free(batch->labels);
    clm_free(batch->lengths);
    clm_free(batch->losses);
    clm_free(batch->logits);
    clm_buffer_release(batch->device_losses);
    clm_buffer_release(batch->pass_losses);
    *batch = (clm_batch){0};
}

clm_status clm_batch_take(clm_batch *batch, const clm_dataset *dataset, const int32_t *rows,
                          size_t count) {
    if (count > (size_t)batch->capacity || clm_dataset_length(dataset) > batch->longest) {
        return clm_fail(CLM_ERROR_SHAPE, "a batch of %zu x %d tokens where %d x %d fit", count,
                        clm_dataset_length(dataset), batch->capacity, batch->longest);
    }
    batch->count = (int)count;
    batch->T = clm_dataset_length(dataset);
    batch->set = dataset;
    memcpy(batch->rows, rows, count * sizeof *rows);
    for (size_t i = 0; i < count; i++) {
        batch->lengths[i] = clm_dataset_lengths(dataset)[rows[i]];
    }
    return clm_dataset_gather(dataset, rows, count, batch->tokens, batch->labels);
}

clm_status clm_batch_pass(clm_batch *batch, int first, int count, float scale, bool from_features) {
    clm_buffer *losses = batch->pass_losses != NULL ? batch->pass_losses : batch->device_losses;
    const int32_t *tokens = batch->tokens + (size_t)first * (size_t)batch->T;
    clm_status status = CLM_OK;
    CLM_TRY(clm_model_pass(batch->model, &(clm_pass){.B = count,
                                                     .T = batch->T,
                                                     .tokens = from_features ? NULL : tokens,
                                                     .lengths = batch->lengths + first,
                                                     .targets = batch->labels + first,
                                                     .losses = losses,
                                                     .scale = scale}));
    if (losses != batch->device_losses) {
        CLM_TRY(clm_buffer_copy(batch->device_losses, (size_t)first * sizeof(float), losses, 0,
                                (size_t)count * sizeof(float)));
    }
cleanup:
    return status;
}

clm_status clm_batch_forward(clm_batch *batch, int first, int count, float scale) {
    const bool from_features = batch->features != NULL;
    clm_status status = CLM_OK;
    if (from_features) {
        CLM_TRY(clm_features_take(batch->features, batch->set, batch->rows + first, (size_t)count));
    }
    CLM_TRY(clm_batch_pass(batch, first, count, scale, from_features));
cleanup:
    return status;
}

static int pass_at(const clm_batch *batch, int first) {
    return batch->count - first < batch->pass ? batch->count - first : batch->pass;
}

clm_status clm_batch_backward(clm_batch *batch) {
    const float scale = 1.0F / (float)batch->count;
    clm_status status = CLM_OK;
    for (int first = 0; first < batch->count && status == CLM_OK; first += batch->pass) {
        status = clm_batch_forward(batch, first, pass_at(batch, first), scale);
    }
    return status;
}

clm_status clm_batch_mean_loss(clm_batch *batch, double *loss) {
    clm_status status = clm_buffer_read(batch->device_losses, 0, batch->losses,
                                        (size_t)batch->count * sizeof *batch->losses);
    double sum = 0.0;
    for (int i = 0; i < batch->count; i++) {
        sum += (double)batch->losses[i];
    }
    *loss = sum / batch->count;
    return status;
}

/* The mean of the present batch's losses, and how many answers are right. */
static clm_status evaluate_batch(clm_batch *batch, double *loss, int64_t *correct) {
    const size_t n_labels = (size_t)batch->model->config.n_labels;
    clm_status status = CLM_OK;
    for (int first = 0; first < batch->count; first += batch->pass) {
        const size_t count = (size_t)pass_at(batch, first);
        CLM_TRY(clm_batch_forward(batch, first, (int)count, 0.0F));
        CLM_TRY(clm_buffer_read(clm_model_pass_logits(batch->model), 0,
                                batch->logits + (size_t)first * n_labels,
                                count * n_labels * sizeof *batch->logits));
    }
    CLM_TRY(clm_batch_mean_loss(batch, loss));
    for (int i = 0; i < batch->count; i++) {
        const float *logits = batch->logits + (size_t)i * n_labels;
        *correct += clm_largest_logit(logits, (int)n_labels) == batch->labels[i];
    }
cleanup:
    return status;
}

clm_status clm_evaluate_batches(clm_evaluation *evaluation, clm_batch *batch,
                                const clm_dataset *dataset, clm_loader *loader, int64_t most,
                                const clm_evaluate_hooks *hooks) {
    *evaluation = (clm_evaluation){0};
    clm_status status = CLM_OK;
    const int32_t *rows = NULL;
    clm_loader_begin(loader);
    for (;;) {
        /* The batch after the last is fetched too, as a Python loop that breaks in its body does:
         * whether the sampler has drawn depends on it. */
        const size_t count = clm_loader_next(loader, &rows);
        if (count == 0 || (most > 0 && evaluation->batches == most)) {
            return CLM_OK;
        }
        double loss = 0.0;
        CLM_TRY(clm_batch_take(batch, dataset, rows, count));
        CLM_TRY(evaluate_batch(batch, &loss, &evaluation->correct));
        evaluation->loss_sum += loss;
        evaluation->rows += batch->count;
        evaluation->batches++;
        if (hooks->progress != NULL) {
            hooks->progress(hooks->context, evaluation->batches);
        }
    }
cleanup:
    return status;
}

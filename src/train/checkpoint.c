/* SPDX-License-Identifier: Apache-2.0 */
#include "train/checkpoint.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "base/number.h"
#include "base/progress.h"
#include "base/string.h"
#include "model/formats/safetensors.h"

const char clm_checkpoint_name[] = "checkpoint.safetensors";

static const char random_name[] = "random_state";
static const char *const suffixes[3] = {"", ".first_moment", ".second_moment"};

/* The numbers of a state, in one line of metadata. */
#define STATE_FORMAT                                                         \
    "stage=%d step=%" PRId64 " epoch=%d seconds=%.6f metrics_bytes=%" PRIu64 \
    " sampler_seed=%" PRId64 " next_batch=%" PRIu64 " begun=%d drawn=%d"
#define STATE_SCAN                                                                \
    "stage=%d step=%" SCNd64 " epoch=%d seconds=%31[0-9.] metrics_bytes=%" SCNu64 \
    " sampler_seed=%" SCNd64 " next_batch=%" SCNu64 " begun=%d drawn=%d"

/* No run takes as long: a checkpoint with more seconds, or with NaN, is damaged. */
#define MOST_SECONDS 1e12

static clm_buffer *buffer_of(const clm_optimizer *optimizer, size_t parameter, int which) {
    return which == 0   ? optimizer->model->parameters->stored[parameter].value
           : which == 1 ? optimizer->first_moments.tensors[parameter]
                        : optimizer->second_moments.tensors[parameter];
}

static clm_status tensor_name(clm_string *name, const clm_parameter *about, int which) {
    clm_string_clear(name);
    clm_string_add(name, about->name);
    clm_string_add(name, suffixes[which]);
    return clm_string_status(name);
}

static clm_status declare(clm_safetensors_writer *writer, const clm_optimizer *optimizer) {
    const clm_parameters *parameters = optimizer->model->parameters;
    clm_string name = {0};
    clm_status status = CLM_OK;
    for (size_t i = 0; i < parameters->table.count; i++) {
        const clm_parameter *about = parameters->stored[i].about;
        for (int which = 0; which < 3 && parameters->stored[i].trained; which++) {
            CLM_TRY(tensor_name(&name, about, which));
            CLM_TRY(clm_safetensors_writer_declare(writer, name.text, CLM_F32, about->rank,
                                                   about->shape));
        }
    }
    const size_t random_bytes = CLM_TORCH_RANDOM_STATE_BYTES;
    CLM_TRY(clm_safetensors_writer_declare(writer, random_name, CLM_U8, 1, &random_bytes));
cleanup:
    clm_string_free(&name);
    return status;
}

typedef struct saving {
    clm_safetensors_writer *writer;
    bool (*should_abandon)(void *context);
    void *context;
    uint64_t done_bytes, all_bytes;
} saving;

static clm_status tell_saving(const saving *s) {
    clm_progress_tell("saving the checkpoint", (int64_t)s->done_bytes, (int64_t)s->all_bytes,
                      "bytes");
    return s->should_abandon != NULL && s->should_abandon(s->context)
               ? clm_fail(CLM_ERROR_INTERRUPTED, "saving the checkpoint was stopped")
               : CLM_OK;
}

static clm_status add_tensors(saving *s, const clm_optimizer *optimizer) {
    const clm_parameters *parameters = optimizer->model->parameters;
    float *values = NULL;
    clm_status status = CLM_OK;
    size_t largest = 0;
    for (size_t i = 0; i < parameters->table.count; i++) {
        const size_t count = parameters->stored[i].trained ? parameters->stored[i].about->count : 0;
        s->all_bytes += 3 * count * sizeof *values;
        largest = count > largest ? count : largest;
    }
    CLM_TRY(clm_allocate(&values, largest, sizeof *values, "a checkpoint"));
    for (size_t i = 0; i < parameters->table.count; i++) {
        const size_t size_bytes = parameters->stored[i].about->count * sizeof *values;
        for (int which = 0; which < 3 && parameters->stored[i].trained; which++) {
            CLM_TRY(tell_saving(s));
            CLM_TRY(clm_buffer_read(buffer_of(optimizer, i, which), 0, values, size_bytes));
            CLM_TRY(clm_safetensors_writer_add(s->writer, values, size_bytes));
            s->done_bytes += size_bytes;
        }
    }
    CLM_TRY(tell_saving(s));
cleanup:
    clm_free(values);
    return status;
}

clm_status clm_checkpoint_save(const clm_folder *folder, const clm_checkpoint *checkpoint,
                               const clm_optimizer *optimizer,
                               bool (*should_abandon)(void *context), void *context) {
    saving s = {.should_abandon = should_abandon, .context = context};
    clm_string numbers = {0};
    clm_status status = CLM_OK;
    const clm_train_state *state = &checkpoint->state;
    const clm_loader_position *position = &state->position;
    clm_string_add_format(&numbers, STATE_FORMAT, (int)state->stage, state->step, state->epoch,
                          state->seconds, checkpoint->metrics_bytes, position->sampler_seed,
                          position->next_batch, position->begun, position->drawn);
    CLM_TRY(clm_string_status(&numbers));
    CLM_TRY(clm_safetensors_writer_open_in(&s.writer, folder, clm_checkpoint_name));
    CLM_TRY(clm_safetensors_writer_metadata(s.writer, "state", numbers.text));
    CLM_TRY(clm_safetensors_writer_metadata(s.writer, "run", checkpoint->fingerprint));
    CLM_TRY(declare(s.writer, optimizer));
    CLM_TRY(add_tensors(&s, optimizer));
    CLM_TRY(clm_safetensors_writer_add(s.writer, state->random, sizeof state->random));
    CLM_TRY(clm_safetensors_writer_commit(s.writer));
cleanup:
    clm_safetensors_writer_discard(s.writer);
    clm_string_free(&numbers);
    return status;
}

static clm_status find_tensor(const clm_safetensors_tensor **tensor, const clm_safetensors *file,
                              const char *name, clm_dtype dtype, size_t size_bytes) {
    *tensor = clm_safetensors_find(file, name);
    if (*tensor == NULL || (*tensor)->dtype != dtype || (*tensor)->size_bytes != size_bytes) {
        return clm_fail(CLM_ERROR_FORMAT, "%s: has no tensor %s of %zu bytes, as this model needs",
                        clm_safetensors_path(file), name, size_bytes);
    }
    return CLM_OK;
}

/* A piece at a time. */
static clm_status copy_to_device(const clm_safetensors *file, const clm_safetensors_tensor *tensor,
                                 clm_buffer *buffer) {
    const size_t piece_bytes = (size_t)1 << 20;
    const size_t most = tensor->size_bytes < piece_bytes ? tensor->size_bytes : piece_bytes;
    clm_status status = CLM_OK;
    unsigned char *bytes = NULL;
    CLM_TRY(clm_allocate(&bytes, most, sizeof *bytes, "a checkpoint"));
    for (size_t at = 0; at < tensor->size_bytes; at += most) {
        const size_t left = tensor->size_bytes - at;
        const size_t now = left < most ? left : most;
        CLM_TRY(clm_safetensors_read(file, tensor, at, bytes, now));
        CLM_TRY(clm_buffer_write(buffer, at, bytes, now));
    }
cleanup:
    clm_free(bytes);
    return status;
}

/* With `write` false only looks whether all is there, so that a bad checkpoint changes nothing. */
static clm_status read_tensors(const clm_safetensors *file, const clm_optimizer *optimizer,
                               bool write) {
    const clm_parameters *parameters = optimizer->model->parameters;
    clm_string name = {0};
    clm_status status = CLM_OK;
    for (size_t i = 0; i < parameters->table.count; i++) {
        const clm_parameter *about = parameters->stored[i].about;
        for (int which = 0; which < 3 && parameters->stored[i].trained; which++) {
            const clm_safetensors_tensor *tensor = NULL;
            CLM_TRY(tensor_name(&name, about, which));
            CLM_TRY(find_tensor(&tensor, file, name.text, CLM_F32, about->count * sizeof(float)));
            if (write) {
                CLM_TRY(copy_to_device(file, tensor, buffer_of(optimizer, i, which)));
            }
        }
    }
cleanup:
    clm_string_free(&name);
    return status;
}

static clm_status read_state(const clm_safetensors *file, clm_train_state *state,
                             uint64_t *metrics_bytes) {
    const char *numbers = clm_safetensors_metadata(file, "state");
    const clm_safetensors_tensor *random = NULL;
    char seconds[32] = "";
    int stage = 0;
    int begun = 0;
    int drawn = 0;
    clm_loader_position *position = &state->position;
    if (numbers == NULL ||
        sscanf(numbers, STATE_SCAN, &stage, &state->step, &state->epoch, seconds, metrics_bytes,
               &position->sampler_seed, &position->next_batch, &begun, &drawn) != 9 ||
        !clm_number_parse(seconds, strlen(seconds), &state->seconds) ||
        stage < CLM_STAGE_EPOCH_BEGIN || stage > CLM_STAGE_DONE || state->step < 0 ||
        state->epoch < 0 || !(state->seconds >= 0.0 && state->seconds <= MOST_SECONDS)) {
        return clm_fail(CLM_ERROR_FORMAT, "%s: is not a checkpoint of clm",
                        clm_safetensors_path(file));
    }
    state->stage = (clm_train_stage)stage;
    position->begun = begun != 0;
    position->drawn = drawn != 0;
    clm_status status =
        find_tensor(&random, file, random_name, CLM_U8, CLM_TORCH_RANDOM_STATE_BYTES);
    if (status == CLM_OK) {
        status = clm_safetensors_read(file, random, 0, state->random, sizeof state->random);
    }
    return status;
}

clm_status clm_checkpoint_check_state(const clm_train_state *state, int64_t batches,
                                      const char *path) {
    const int64_t before = batches * state->epoch; /* steps of the epochs that are done */
    const int64_t in_epoch = state->step - before;
    bool right = state->step >= 0 && state->step < INT32_MAX && state->epoch >= 0 &&
                 state->seconds >= 0.0 && isfinite(state->seconds) &&
                 state->position.next_batch <= (uint64_t)batches;
    switch (state->stage) {
        case CLM_STAGE_EPOCH_BEGIN:
            right = right && in_epoch == 0;
            break;
        case CLM_STAGE_BATCH:
        case CLM_STAGE_EVALUATE:
        case CLM_STAGE_EPOCH_END:
            right =
                right && state->position.begun && in_epoch == (int64_t)state->position.next_batch;
            break;
        case CLM_STAGE_FINAL: /* after an epoch, or in its midst where the steps were limited */
        case CLM_STAGE_DONE:
            right = right && (in_epoch == 0 || in_epoch == (int64_t)state->position.next_batch);
            break;
    }
    return right ? CLM_OK
                 : clm_fail(CLM_ERROR_FORMAT,
                            "%s: its numbers contradict each other or the run: step %" PRId64
                            ", %d epochs of %" PRId64 " steps done, batch %" PRIu64
                            " of the next, stage %d",
                            path, state->step, state->epoch, batches, state->position.next_batch,
                            (int)state->stage);
}

clm_status clm_checkpoint_load(const char *path, clm_checkpoint *checkpoint, int64_t batches,
                               const clm_optimizer *optimizer) {
    clm_safetensors *file = NULL;
    clm_checkpoint read = {.fingerprint = checkpoint->fingerprint};
    clm_status status = CLM_OK;
    CLM_TRY(clm_safetensors_open(&file, path));
    CLM_TRY(read_state(file, &read.state, &read.metrics_bytes));
    const char *run = clm_safetensors_metadata(file, "run");
    if (run == NULL || strcmp(run, checkpoint->fingerprint) != 0) {
        status = clm_fail(CLM_ERROR_ARGUMENT,
                          "%s: is of a run with other options, so that it cannot be resumed with "
                          "these; it was: %s; now: %s",
                          path, run != NULL ? run : "unknown", checkpoint->fingerprint);
        goto cleanup;
    }
    CLM_TRY(clm_checkpoint_check_state(&read.state, batches, path));
    CLM_TRY(read_tensors(file, optimizer, false));
    CLM_TRY(read_tensors(file, optimizer, true));
    *checkpoint = read;
cleanup:
    clm_safetensors_close(file);
    return status;
}

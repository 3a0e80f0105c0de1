/* Any bytes as a run's checkpoint: refused with a message and without a write to the device, or a
 * state that makes sense and is the same when it is saved and loaded again. The device is in this
 * file: its buffers are memory.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <math.h>
#include <string.h>

#include "base/memory.h"
#include "fuzz.h"
#include "model/declare.h"
#include "train/checkpoint.h"

static const char *const words[] = {"__metadata__",
                                    "state",
                                    "run",
                                    "random_state",
                                    "stage=1 step=2",
                                    "epoch=",
                                    "seconds=",
                                    "metrics_bytes=",
                                    "sampler_seed=",
                                    "next_batch=",
                                    "begun=1",
                                    "drawn=1",
                                    ".first_moment",
                                    ".second_moment",
                                    "score.weight",
                                    "ln_f.weight",
                                    "F32",
                                    "U8",
                                    "-1",
                                    "nan",
                                    "99999999999999999999",
                                    NULL};
const fuzz_target fuzz_this = {FUZZ_SAFETENSORS, words, 1 << 18, 1024};

static const char fingerprint[] = "fuzz";

/* ---- the device ---- */

enum { most_parameters = 32, tensors = 3 * most_parameters, most_floats = 16 };
static float memory[tensors][most_floats];
static size_t writes;

static clm_buffer *buffer_at(size_t index) {
    return (clm_buffer *)(void *)memory[index];
}

/* The linker's names (--wrap). */
clm_status __wrap_clm_buffer_write(clm_buffer *buffer, size_t offset_bytes, const void *host,
                                   size_t size_bytes);
clm_status __wrap_clm_buffer_read(const clm_buffer *buffer, size_t offset_bytes, void *host,
                                  size_t size_bytes);

clm_status __wrap_clm_buffer_write(clm_buffer *buffer, size_t offset_bytes, const void *host,
                                   size_t size_bytes) {
    FUZZ_CHECK(offset_bytes + size_bytes <= sizeof *memory);
    memcpy((char *)(void *)buffer + offset_bytes, host, size_bytes);
    writes++;
    return CLM_OK;
}

clm_status __wrap_clm_buffer_read(const clm_buffer *buffer, size_t offset_bytes, void *host,
                                  size_t size_bytes) {
    FUZZ_CHECK(offset_bytes + size_bytes <= sizeof *memory);
    memcpy(host, (const char *)(const void *)buffer + offset_bytes, size_bytes);
    return CLM_OK;
}

/* ---- the model: its last layers are trained ---- */

static clm_optimizer *make_optimizer(void) {
    static clm_optimizer optimizer;
    static clm_model model;
    static clm_parameters store;
    static clm_stored_parameter parameters[most_parameters];
    static clm_buffer *first[most_parameters];
    static clm_buffer *second[most_parameters];
    if (optimizer.model != NULL) {
        return &optimizer;
    }
    clm_model_config config = CLM_MODEL_CONFIG_DEFAULT;
    config.n_vocab = config.n_ctx = config.n_embd = config.n_labels = 2;
    config.n_head = config.n_layer = 1;
    FUZZ_CHECK(clm_model_declare(&store.table, &config) == CLM_OK);
    FUZZ_CHECK(store.table.count <= most_parameters);
    for (size_t i = 0; i < store.table.count; i++) {
        const clm_parameter *about = &store.table.parameters[i];
        parameters[i].about = about;
        parameters[i].trained =
            strncmp(about->name, "ln_f.", 5) == 0 || strncmp(about->name, "score.", 6) == 0;
        parameters[i].value = buffer_at(3 * i);
        first[i] = buffer_at(3 * i + 1);
        second[i] = buffer_at(3 * i + 2);
    }
    model.config = config;
    store.stored = parameters;
    model.parameters = &store;
    optimizer.model = &model;
    optimizer.first_moments.tensors = first;
    optimizer.second_moments.tensors = second;
    return &optimizer;
}

static void check_same(const clm_train_state *a, const clm_train_state *b) {
    FUZZ_CHECK(a->stage == b->stage && a->step == b->step && a->epoch == b->epoch);
    FUZZ_CHECK(fabs(a->seconds - b->seconds) <= 1e-6 * (1.0 + fabs(a->seconds)));
    FUZZ_CHECK(a->position.sampler_seed == b->position.sampler_seed);
    FUZZ_CHECK(a->position.next_batch == b->position.next_batch);
    FUZZ_CHECK(a->position.begun == b->position.begun && a->position.drawn == b->position.drawn);
    FUZZ_CHECK(memcmp(a->random, b->random, sizeof a->random) == 0);
}

enum { BATCHES = 5 }; /* steps of an epoch */

void fuzz_one(const uint8_t *data, size_t size) {
    const char *path = fuzz_write("checkpoint.safetensors", data, size);
    const clm_optimizer *optimizer = make_optimizer();
    clm_checkpoint read = {.fingerprint = fingerprint};
    clm_checkpoint back = {.fingerprint = fingerprint};
    clm_folder folder = {0};
    writes = 0;
    clm_status status = clm_checkpoint_load(path, &read, BATCHES, optimizer);
    if (status != CLM_OK) {
        fuzz_check_refused(status);
        FUZZ_CHECK(writes == 0);
        return;
    }
    const clm_train_state *state = &read.state;
    FUZZ_CHECK(state->stage >= CLM_STAGE_EPOCH_BEGIN && state->stage <= CLM_STAGE_DONE);
    FUZZ_CHECK(state->step >= 0 && state->epoch >= 0 && isfinite(state->seconds));
    FUZZ_CHECK(state->seconds >= 0.0);
    FUZZ_CHECK(clm_folder_open(&folder, fuzz_path(".")) == CLM_OK);
    FUZZ_CHECK(clm_checkpoint_save(&folder, &read, optimizer, NULL, NULL) == CLM_OK);
    clm_folder_close(&folder);
    const char *again = fuzz_path(clm_checkpoint_name);
    FUZZ_CHECK(clm_checkpoint_load(again, &back, BATCHES, optimizer) == CLM_OK);
    FUZZ_CHECK(back.metrics_bytes == read.metrics_bytes);
    check_same(&read.state, &back.state);
}

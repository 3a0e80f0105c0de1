/* RUN/checkpoint.safetensors: everything that a stopped run needs to continue with the same bits.
 * Trained parameters under their names, AdamW's moments under "<name>.first_moment" and
 * "<name>.second_moment", the random stream's state, and numbers as metadata.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef CLM_TRAIN_CHECKPOINT_H
#define CLM_TRAIN_CHECKPOINT_H

#include "base/folder.h"
#include "clm/data.h"
#include "train/optimizer.h"

extern const char clm_checkpoint_name[]; /* "checkpoint.safetensors" */

/* The next stage of a run. Each is completed or not done at all. */
typedef enum clm_train_stage {
    CLM_STAGE_EPOCH_BEGIN = 0,
    CLM_STAGE_BATCH,
    CLM_STAGE_EVALUATE,
    CLM_STAGE_EPOCH_END,
    CLM_STAGE_FINAL,
    CLM_STAGE_DONE
} clm_train_stage;

typedef struct clm_train_state {
    clm_train_stage stage;
    int64_t step; /* steps done */
    int epoch;    /* epochs done */
    double seconds;
    clm_loader_position position; /* in the training batches */
    uint8_t random[CLM_TORCH_RANDOM_STATE_BYTES];
} clm_train_state;

/* What a checkpoint holds beside the parameters and their moments. */
typedef struct clm_checkpoint {
    clm_train_state state;
    const char *fingerprint; /* the options on which the steps depend; lent */
    uint64_t metrics_bytes;  /* of metrics.jsonl, up to this checkpoint */
} clm_checkpoint;

/* Saves into the folder, as clm_checkpoint_name. Reads parameters and moments from the device:
 * blocks. `should_abandon` (may be NULL) is called between tensors; true ends with
 * CLM_ERROR_INTERRUPTED. After any failure the previous checkpoint stays. */
clm_status clm_checkpoint_save(const clm_folder *folder, const clm_checkpoint *checkpoint,
                               const clm_optimizer *optimizer,
                               bool (*should_abandon)(void *context), void *context);

/* Reads a checkpoint of a run with checkpoint->fingerprint and `batches` steps an epoch to the
 * device and to *checkpoint. CLM_ERROR_FORMAT if it is damaged, contradicts itself or belongs to
 * another model, CLM_ERROR_ARGUMENT if its fingerprint differs (the message shows both); nothing is
 * changed then. */
clm_status clm_checkpoint_load(const char *path, clm_checkpoint *checkpoint, int64_t batches,
                               const clm_optimizer *optimizer);

/* Checks that the numbers of a state agree with each other and with `batches` steps an epoch; else
 * CLM_ERROR_FORMAT, with `path` in the message. */
clm_status clm_checkpoint_check_state(const clm_train_state *state, int64_t batches,
                                      const char *path);

#endif

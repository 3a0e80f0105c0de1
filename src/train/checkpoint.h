/* RUN/checkpoint.safetensors: all that a stopped run needs to go on in the same bits. Trained
 * parameters under their names, AdamW's moments under "<name>.first_moment" and
 * "<name>.second_moment", the random stream's state, and numbers as metadata.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef CLM_TRAIN_CHECKPOINT_H
#define CLM_TRAIN_CHECKPOINT_H

#include "base/folder.h"
#include "clm/data.h"
#include "train/optimizer.h"

extern const char clm_checkpoint_name[]; /* "checkpoint.safetensors" */

/* What comes next in a run. Each stage is done whole or not at all. */
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
    const char *fingerprint; /* tells runs apart whose steps differ; lent */
    uint64_t metrics_bytes;  /* of metrics.jsonl, which belong to the run */
} clm_checkpoint;

/* Into the folder, as clm_checkpoint_name. Reads parameters and moments back from the device:
 * blocks. `should_abandon` (may be NULL) is
 * asked between tensors; true ends with CLM_ERROR_INTERRUPTED. Whatever goes wrong, the checkpoint
 * that was there stays. */
clm_status clm_checkpoint_save(const clm_folder *folder, const clm_checkpoint *checkpoint,
                               const clm_optimizer *optimizer,
                               bool (*should_abandon)(void *context), void *context);

/* Reads a checkpoint of a run with checkpoint->fingerprint and `batches` steps an epoch to the
 * device and to *checkpoint. CLM_ERROR_FORMAT when it is damaged, contradicts itself or is not of
 * this model, CLM_ERROR_ARGUMENT when its fingerprint is another (the message shows both). Nothing
 * is changed then. */
clm_status clm_checkpoint_load(const char *path, clm_checkpoint *checkpoint, int64_t batches,
                               const clm_optimizer *optimizer);

/* That the numbers of a state agree with each other and with `batches` steps an epoch; `path` names
 * the checkpoint in the error, CLM_ERROR_FORMAT. */
clm_status clm_checkpoint_check_state(const clm_train_state *state, int64_t batches,
                                      const char *path);

#endif

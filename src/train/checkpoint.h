/* RUN/checkpoint.safetensors: all that a stopped run needs to go on in the same bits. Trained
 * parameters under their names, AdamW's moments under "<name>.first_moment" and
 * "<name>.second_moment", the random stream's state, and numbers as metadata.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef CLM_TRAIN_CHECKPOINT_H
#define CLM_TRAIN_CHECKPOINT_H

#include "clm/data.h"
#include "train/optimizer.h"

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

/* `fingerprint` tells runs apart whose steps differ. Reads parameters and moments back from the
 * device: blocks. */
clm_status clm_checkpoint_save(const char *path, const clm_train_state *state,
                               const char *fingerprint, uint64_t metrics_bytes,
                               const clm_optimizer *optimizer);

/* Reads a checkpoint to the device and to *state. CLM_ERROR_FORMAT when it is damaged or is not of
 * this model, CLM_ERROR_ARGUMENT when its fingerprint is another (the message shows both). Nothing
 * is changed then. */
clm_status clm_checkpoint_load(const char *path, clm_train_state *state, const char *fingerprint,
                               uint64_t *metrics_bytes, const clm_optimizer *optimizer);

#endif

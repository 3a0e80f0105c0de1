/* What lies below the lowest trained layer gives the same output, here called features, for a text
 * in every epoch and evaluation. So it is computed once and kept: on the device, in host memory or
 * in a file, in 32 or 16 bits. Equal texts that are padded to the same length share theirs.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef CLM_TRAIN_FEATURES_H
#define CLM_TRAIN_FEATURES_H

#include "clm/data.h"
#include "clm/train.h"
#include "model/opened.h"

enum { CLM_FEATURES_SETS_MOST = 3 };

typedef struct clm_features clm_features;

typedef struct clm_features_plan {
    clm_feature_place place; /* AUTO: the first of device, host and disk where all of them fit */
    clm_feature_storage storage;
    uint64_t budget_bytes;   /* 0: what is free there, less a reserve */
    uint64_t training_bytes; /* of the device, which training itself takes */
    const char *folder;      /* of the file, which has no name there and goes with the process */
    int batch;               /* texts that go through the model together */
    /* Told before each pass that computes features: how many are kept already, and how many will
     * be. May be NULL. */
    void (*on_compute)(void *context, size_t done, size_t all);
    void *context;
} clm_features_plan;

/* For the texts of `sets` (`set_count` of them), which are borrowed like the model, through
 * *features, for the caller to free. Nothing is computed yet. *features is NULL when the plan, the
 * model's policy or the budget leave nothing to keep. Where not all fits, the first are kept and
 * the others computed each time. The log says how many and where. */
clm_status clm_features_make(clm_features **features, clm_model *model,
                             const clm_dataset *const *sets, size_t set_count,
                             const clm_features_plan *plan);
void clm_features_free(clm_features *features); /* NULL is fine */

/* Leaves the features of rows (count, at most the plan's batch) of `set`, one of those above, in
 * clm_model_features(), where a pass without tokens begins; computes what is not there yet, in
 * passes of one size for each length of texts, so that the bits of a text's features do not depend
 * on when they were asked for. Blocks only to move features from and to host memory. */
clm_status clm_features_take(clm_features *features, const clm_dataset *set, const int32_t *rows,
                             size_t count);

/* How many texts went through the frozen layers so far, repeats included; 0 for NULL. */
uint64_t clm_features_computed(const clm_features *features);

/* How many texts have a place but no features yet; 0 for NULL. */
size_t clm_features_missing(const clm_features *features);

#endif

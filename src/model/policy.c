/* What is trained, and how a model is stored, by name.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "model/gpt2.h"
#include "model/opened.h"
#include "model/tasks/classify.h"

static const char *const policy_names[] = {
    [CLM_TRAIN_NOTHING] = "nothing",
    [CLM_TRAIN_HEAD] = "head",
    [CLM_TRAIN_LAST_BLOCK] = "last-block",
    [CLM_TRAIN_LAST_TWO_BLOCKS] = "last-two-blocks",
    [CLM_TRAIN_ALL] = "all",
};

clm_status clm_train_policy_parse(clm_train_policy *policy, const char *text) {
    for (int i = CLM_TRAIN_HEAD; i <= CLM_TRAIN_ALL; i++) {
        if (strcmp(text, policy_names[i]) == 0) {
            *policy = (clm_train_policy)i;
            return CLM_OK;
        }
    }
    return clm_fail(CLM_ERROR_ARGUMENT,
                    "\"%s\" is not a training policy: use head, last-block, last-two-blocks or all",
                    text);
}

const char *clm_train_policy_name(clm_train_policy policy) {
    return policy_names[policy];
}

bool clm_trains_by_policy(void *context, const char *name) {
    const clm_trained_part *part = context;
    const char *rest = NULL;
    const int layer = clm_gpt2_layer(name, &rest);
    if (part->policy == CLM_TRAIN_NOTHING || part->policy == CLM_TRAIN_ALL) {
        return part->policy == CLM_TRAIN_ALL;
    }
    if (layer >= 0) {
        const int from_top = part->n_layer - 1 - layer;
        return from_top < (int)part->policy - (int)CLM_TRAIN_HEAD;
    }
    return clm_classify_is_head(name) ||
           (part->policy >= CLM_TRAIN_LAST_BLOCK && strncmp(name, "ln_f.", 5) == 0);
}

clm_status clm_precision_parse(clm_precision *precision, const char *text) {
    static const char *const names[] = {[CLM_PRECISION_AUTO] = "auto",
                                        [CLM_PRECISION_F32] = "f32",
                                        [CLM_PRECISION_F16] = "f16",
                                        [CLM_PRECISION_BF16] = "bf16"};
    for (int i = CLM_PRECISION_AUTO; i <= CLM_PRECISION_BF16; i++) {
        if (strcmp(text, names[i]) == 0) {
            *precision = (clm_precision)i;
            return CLM_OK;
        }
    }
    return clm_fail(CLM_ERROR_ARGUMENT, "\"%s\" is not a precision: use auto, f32, f16 or bf16",
                    text);
}

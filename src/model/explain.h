/* Passes of a model, explained: before anything is loaded, or after they were executed.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef CLM_MODEL_EXPLAIN_H
#define CLM_MODEL_EXPLAIN_H

#include "graph/check.h"
#include "graph/explain.h"
#include "model/opened.h"

typedef struct clm_pass_explanation {
    int kind; /* CLM_PASS_... */
    clm_explanation plan;
    clm_parameters_memory memory; /* of all parameters */
    size_t parameter_count, trained_count;
    clm_shape features; /* what the frozen part computes; rank 0: nothing is frozen */
} clm_pass_explanation;

/* The pass that `plan` and `kind` tell, on the device; of two classes where the config has none.
 * Nothing is loaded or allocated on the device. Free it in any case. */
clm_status clm_pass_explain(clm_pass_explanation *explanation, clm_device *device,
                            const clm_model_config *config, const clm_memory_plan *plan, int kind);
void clm_pass_explanation_free(clm_pass_explanation *explanation);

/* The same of an opened model, on a device that was opened to profile; executes the pass, with
 * tokens and classes at random, so that kernels and times are known. Blocks. */
clm_status clm_model_profile(clm_pass_explanation *explanation, clm_model *model, int kind, int B,
                             int T);

/* Executes the pass beside plain C, likewise; `explanation` becomes its plan's. `check` gets what
 * agreed, and need not be filled before. See clm_plan_check_run(). Free the explanation in any
 * case. */
clm_status clm_model_check(clm_plan_check *check, clm_pass_explanation *explanation,
                           clm_model *model, int kind, int B, int T);

#endif

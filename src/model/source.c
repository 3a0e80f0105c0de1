/* SPDX-License-Identifier: Apache-2.0 */
#include "clm/config.h"
#include "model/weights.h"

clm_status clm_model_config_open(clm_model_config *config, const char *source) {
    clm_weights *weights = NULL;
    *config = (clm_model_config){0};
    clm_status status = clm_weights_open(&weights, source);
    if (status == CLM_OK) {
        status = clm_model_config_copy(config, clm_weights_config(weights));
    }
    clm_weights_close(weights);
    return status;
}

/* The model's config; see clm/config.h.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef CLM_MODEL_CONFIG_H
#define CLM_MODEL_CONFIG_H

#include "clm/config.h"

/* The name of label i: its own, or "LABEL_<i>" written to `fallback`. */
const char *clm_model_config_label(const clm_model_config *config, int i, char fallback[32]);

#endif

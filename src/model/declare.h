/* The parameters that a config has.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef CLM_MODEL_DECLARE_H
#define CLM_MODEL_DECLARE_H

#include "clm/config.h"
#include "graph/parameters.h"

/* Those of the model and, with labels, of its head, in the order of the forward pass. Free the
 * table in any case. CLM_ERROR_SHAPE when the config cannot be. */
clm_status clm_model_declare(clm_parameter_table *table, const clm_model_config *config);

#endif

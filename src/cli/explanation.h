/* Prints the plans of a command: for `clm explain`, and for other commands with --explain.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef CLM_CLI_EXPLANATION_H
#define CLM_CLI_EXPLANATION_H

#include "cli/explained.h"

/* Explains the plans of passes of a model's config that is not opened, and prints them. With
 * `features`, and if anything is frozen, the two parts of a training step. Members of `explained`
 * other than its parts are set by the caller. */
clm_status clm_cli_explain(clm_cli_explained *explained, clm_device *device,
                           const clm_model_config *config, bool features);

/* What weights and kept activations are stored in; with CLM_PRECISION_AUTO, floats: nobody asks
 * whether they fit. */
clm_dtype clm_cli_storage_of(clm_precision precision);

clm_status clm_cli_print_explained(const clm_cli_explained *explained);

#endif

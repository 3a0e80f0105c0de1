/* An explanation as one JSON object.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef CLM_CLI_EXPLANATION_JSON_H
#define CLM_CLI_EXPLANATION_JSON_H

#include "cli/explained.h"

void clm_cli_add_explained_json(clm_string *json, const clm_cli_explained *explained);

#endif

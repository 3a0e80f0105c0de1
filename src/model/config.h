/* The model's config; see clm/config.h.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef CLM_MODEL_CONFIG_H
#define CLM_MODEL_CONFIG_H

#include <stdbool.h>

#include "base/folder.h"
#include "clm/config.h"

/* clm_model_config_read() for weights that are known to have a classification head: the classes are
 * read whatever "architectures" says. */
clm_status clm_model_config_read_head(clm_model_config *config, const char *path, bool has_head);

/* Writes config.json into the open folder, wherever its path leads by now. */
clm_status clm_model_config_write_in(const clm_model_config *config, const clm_folder *folder);

#endif

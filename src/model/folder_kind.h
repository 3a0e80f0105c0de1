/* Folders with a model in a form that clm does not read: what they are, and what to do.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef CLM_MODEL_FOLDER_KIND_H
#define CLM_MODEL_FOLDER_KIND_H

#include "base/error.h"

/* Fails if the folder has an adapter, which transformers would apply to another model, whatever
 * else it has; else CLM_OK. */
clm_status clm_folder_check_adapter(const char *folder);

/* Always fails: the folder has no model.safetensors, and the message says what it has. */
clm_status clm_folder_has_no_model(const char *folder);

#endif

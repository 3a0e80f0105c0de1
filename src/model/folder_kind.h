/* Folders that hold a model in a form which clm does not read: what they are, and what to do.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef CLM_MODEL_FOLDER_KIND_H
#define CLM_MODEL_FOLDER_KIND_H

#include "base/error.h"

/* Fails when the folder is an adapter, which transformers would put upon another model, whatever
 * else is in it; else CLM_OK. */
clm_status clm_folder_check_adapter(const char *folder);

/* Fails in any case: the folder has no model.safetensors, and the message says what it has. */
clm_status clm_folder_has_no_model(const char *folder);

#endif

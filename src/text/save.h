/* Saving a tokenizer beside a model that is being saved.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef CLM_TEXT_SAVE_H
#define CLM_TEXT_SAVE_H

#include "base/folder.h"
#include "clm/text.h"

/* clm_tokenizer_save() into an open folder, wherever its path leads by now. `options` is there. */
clm_status clm_tokenizer_save_in(const clm_tokenizer *tokenizer, const clm_folder *folder,
                                 const clm_tokenizer_save_options *options);

#endif

/* Reading a tokenizer from memory; clm_tokenizer_open() reads the files.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef CLM_TEXT_LOAD_FILES_H
#define CLM_TEXT_LOAD_FILES_H

#include "text/settings.h"
#include "text/tokenizer.h"

/* A tokenizer from the files of a folder. */
clm_status clm_load_files(clm_tokenizer **tokenizer, const clm_tokenizer_files *files);

/* The same from only a pair of files, or only a tokenizer.json. */
clm_status clm_load_pair(clm_tokenizer **tokenizer, const clm_source *vocab,
                         const clm_source *merges);
clm_status clm_load_tokenizer_json(clm_tokenizer **tokenizer, const clm_source *source);

#endif

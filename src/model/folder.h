/* A model as a folder that Hugging Face transformers opens: config.json and
 * model.safetensors. The tokenizer's files beside them are clm_tokenizer_save()'s.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef CLM_MODEL_FOLDER_H
#define CLM_MODEL_FOLDER_H

#include "base/folder.h"
#include "clm/config.h"
#include "clm/model.h"
#include "graph/parameters.h"

/* Writes the `parameter->count` floats of one parameter of the model to `out`. */
typedef clm_status (*clm_parameter_reader)(void *context, const clm_parameter *parameter,
                                           float *out);

/* Writes the folder, which is created if missing; files with these names are replaced, each whole
 * or not at all, config.json last. Parameters are read one by one, some twice, and held one at a
 * time; they are written in F32 under transformers' names, including "transformer.".
 *
 * transformers' head has no bias. clm's is folded into ln_f.bias (head_fold.h), so that the logits
 * are the same; if that is not possible, score.bias is written, which only clm reads, with a note
 * in the log. A zero or folded bias is not written and is zero when the folder is read. */
clm_status clm_model_folder_write(const char *folder, const clm_model_config *config,
                                  clm_parameter_reader read, void *context);

/* The same into an open folder, wherever its path leads by now. */
clm_status clm_model_folder_write_in(const clm_folder *folder, const clm_model_config *config,
                                     clm_parameter_reader read, void *context);

/* clm_model_save() into an open folder. */
clm_status clm_model_save_in(clm_model *model, const clm_folder *folder);

#endif

/* Where a model's parameters come from: a folder of Hugging Face transformers, a safetensors file,
 * or random numbers as GPT-2 begins with.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef CLM_MODEL_WEIGHTS_H
#define CLM_MODEL_WEIGHTS_H

#include <stdbool.h>

#include "base/error.h"
#include "clm/config.h"
#include "model/parameters.h"

typedef struct clm_weights clm_weights;

/* Opens `model`:
 *   a folder with config.json and model.safetensors, or model.safetensors.index.json and the
 *     files that it names;
 *   a .safetensors file: the config comes from the config.json beside it if there is one, else from
 *     the shapes (n_head is then n_embd / 64, and dropout gpt2's);
 *   "random:..." as clm_model_config_parse() reads it, initialised as GPT-2 is.
 *
 * Names may begin with "transformer.". Attention's mask buffers are ignored, and so is
 * lm_head.weight when it equals wte.weight; when it differs, CLM_ERROR_UNSUPPORTED. Every parameter
 * of the config must be there, in F32, F16, BF16 or F64, and of the right shape: CLM_ERROR_FORMAT
 * names the first that are missing, CLM_ERROR_SHAPE the one that does not fit. A head without
 * score.bias has a zero one. Other tensors are ignored with a note in the log.
 *
 * Files stay mapped until clm_weights_close(). Reads no data yet, but for comparing lm_head. */
clm_status clm_weights_open(clm_weights **weights, const char *model);

/* Lent. A caller that wants another head copies it and makes its own table of parameters. */
const clm_model_config *clm_weights_config(const clm_weights *weights);

/* Whether clm_weights_read() can give this parameter: of that name, and of its shape. */
bool clm_weights_has(const clm_weights *weights, const clm_parameter *parameter);

/* `parameter->count` floats to `out`. Random ones depend on the seed and the parameter's name
 * only, not on what else was read. CLM_ERROR_NOT_FOUND when there is none of that name,
 * CLM_ERROR_SHAPE when it has another shape. */
clm_status clm_weights_read(const clm_weights *weights, const clm_parameter *parameter, float *out);

/* The same without a copy, lent until clm_weights_close(), when the file holds aligned F32; else
 * NULL. */
const float *clm_weights_data(const clm_weights *weights, const clm_parameter *parameter);

/* Fills a parameter as GPT-2 initialises it, from a seed and its name. */
void clm_parameter_fill(const clm_parameter *parameter, uint64_t seed, float *out);

/* Lets the system take back the memory of values that were read; they can be read again. */
void clm_weights_forget(const clm_weights *weights);

void clm_weights_close(clm_weights *weights); /* NULL is fine */

#endif

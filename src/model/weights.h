/* Where a model's parameters come from: a folder of Hugging Face transformers, a safetensors file,
 * or random numbers initialised like GPT-2.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef CLM_MODEL_WEIGHTS_H
#define CLM_MODEL_WEIGHTS_H

#include <stdbool.h>

#include "base/error.h"
#include "clm/config.h"
#include "graph/parameters.h"

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
 * score.bias gets a zero one. Other tensors are ignored with a note in the log.
 *
 * Files stay open until clm_weights_close(). Reads no data yet, except to compare lm_head. A file
 * that is cut short or written to while it is open is CLM_ERROR_IO wherever it is read. */
clm_status clm_weights_open(clm_weights **weights, const char *model);

/* Lent. A caller that wants another head copies it and makes its own table of parameters. */
const clm_model_config *clm_weights_config(const clm_weights *weights);

/* Whether clm_weights_read() has this parameter, with its name and shape. */
bool clm_weights_has(const clm_weights *weights, const clm_parameter *parameter);

/* `parameter->count` floats to `out`. Random ones depend on the seed and the parameter's name
 * only, not on what else was read. CLM_ERROR_NOT_FOUND when there is none of that name,
 * CLM_ERROR_SHAPE when it has another shape. */
clm_status clm_weights_read(const clm_weights *weights, const clm_parameter *parameter, float *out);

/* Elements [first, first + count) of it, for weights that are not random. */
clm_status clm_weights_read_part(const clm_weights *weights, const clm_parameter *parameter,
                                 size_t first, size_t count, float *out);

/* Whether they are random numbers and not in a file. */
bool clm_weights_are_drawn(const clm_weights *weights);

/* The values in the mapped file, through *values, lent until clm_weights_close(). NULL if the file
 * does not have them as aligned F32. clm_weights_check() right before and after they are used says
 * whether they still are what they were; a file that shrinks in between ends the process. */
clm_status clm_weights_map(const clm_weights *weights, const clm_parameter *parameter,
                           const float **values);
/* CLM_ERROR_IO when a file that is mapped was cut short or written to since it was opened. */
clm_status clm_weights_check(const clm_weights *weights);

/* Fills a parameter as GPT-2 initialises it, from a seed and its name. */
void clm_parameter_fill(const clm_parameter *parameter, uint64_t seed, float *out);

void clm_weights_close(clm_weights *weights); /* NULL is fine */

#endif

/* The random stream that decides the order of batches and the head's initial values.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef CLM_RANDOM_H
#define CLM_RANDOM_H

#include <stddef.h>
#include <stdint.h>

#include "clm/status.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Mirrors PyTorch's generator for the CPU (torch.Generator, torch.manual_seed): the same seed and
 * the same draws give the same numbers. Not safe for two threads at once. */
typedef struct clm_torch_random clm_torch_random;

/* Size of the state that clm_torch_random_save() writes. */
#define CLM_TORCH_RANDOM_STATE_BYTES 2508

/* Creates a generator in the state after torch.manual_seed(seed), through *random; the caller frees
 * it. As in PyTorch, only the low 32 bits of the seed count. CLM_ERROR_MEMORY. */
CLM_API clm_status clm_torch_random_create(clm_torch_random **random, uint64_t seed);
CLM_API void clm_torch_random_free(clm_torch_random *random); /* NULL is fine */

/* torch.manual_seed(seed) on an existing generator. */
CLM_API void clm_torch_random_seed(clm_torch_random *random, uint64_t seed);

/* The state as bytes that are the same on every machine: 624 words and the position, each 32 bits,
 * then the seed with 64, little-endian. */
CLM_API void clm_torch_random_save(const clm_torch_random *random,
                                   uint8_t state[CLM_TORCH_RANDOM_STATE_BYTES]);

/* Restores such a state. CLM_ERROR_FORMAT, with the generator unchanged, when the bytes are not a
 * state that clm_torch_random_save() could have written. */
CLM_API clm_status clm_torch_random_restore(clm_torch_random *random,
                                            const uint8_t state[CLM_TORCH_RANDOM_STATE_BYTES]);

/* The initial values of torch.nn.Linear(in, out), bit for bit: weight (out,in) row-major, then
 * bias (out), each uniform between -1/sqrt(in) and 1/sqrt(in). `bias` may be NULL (bias=False).
 * Source: torch/nn/modules/linear.py, reset_parameters: kaiming_uniform_(a=sqrt(5)).
 * CLM_ERROR_SHAPE when out or in is not positive. */
CLM_API clm_status clm_torch_linear_init(clm_torch_random *random, float *weight, float *bias,
                                         int out, int in);

#ifdef __cplusplus
}
#endif
#endif

/* Folds the bias of the classification head into a parameter that transformers has.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef CLM_MODEL_HEAD_FOLD_H
#define CLM_MODEL_HEAD_FOLD_H

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"

/* GPT2ForSequenceClassification computes score(ln_f(x)) without a bias. The bias of ln_f can carry
 * the head's: with n = ln_f.bias + W^T (W W^T)^-1 b, W n = W ln_f.bias + b, so every logit is the
 * same. W (K, C), b (K); ln_f_bias (C) is changed. Computed in double and rounded to float once.
 *
 * *folded is false, and ln_f_bias untouched, when W W^T is singular (more labels than channels,
 * equal or zero rows), or the rounded result misses b by more than 1e-5 max(1, |b|). With b zero
 * there is nothing to do: *folded is true and ln_f_bias untouched. */
clm_status clm_head_fold_bias(const float *weight, const float *bias, float *ln_f_bias,
                              size_t label_count, size_t channel_count, bool *folded);

#endif

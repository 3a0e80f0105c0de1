/* Answers from a trained model: texts in, classes out.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef CLM_INFER_H
#define CLM_INFER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "clm/device.h"
#include "clm/model.h"
#include "clm/status.h"

#ifdef __cplusplus
extern "C" {
#endif

/* A model with its tokenizer. One thread at a time may use it. */
typedef struct clm_classifier clm_classifier;

typedef struct clm_classifier_options {
    int batch; /* texts per pass; 0: as many as keep the device busy */
    /* Where the model's answer does not depend on padding (CLM_POOLING_LAST_TOKEN), texts of
     * similar length are batched together to reduce padding. True: keep the given order. */
    bool in_order;
    clm_precision precision; /* of the model's weights on the device */
    bool one_pass;           /* for one or a few texts only: see clm_model_options */
} clm_classifier_options;

#define CLM_CLASSIFIER_OPTIONS_DEFAULT \
    { 0, false, CLM_PRECISION_AUTO, false }

/* Opens a folder that clm_model_save() or clm_finetune_classifier() wrote: the model on `device`,
 * which is borrowed until clm_classifier_close(), and the tokenizer beside it. `options` may be
 * NULL. The caller closes *classifier, which is NULL after a failure. CLM_ERROR_SHAPE when the
 * tokenizer has more tokens than the model's vocabulary; CLM_ERROR_ARGUMENT for a batch below 0;
 * errors of clm_tokenizer_open() and clm_model_open(). Blocks. */
CLM_API clm_status clm_classifier_open(clm_classifier **classifier, clm_device *device,
                                       const char *folder, const clm_classifier_options *options);
CLM_API void clm_classifier_close(clm_classifier *classifier); /* NULL is fine */

/* The number of classes, and the name of each, counted from 0 and lent until the classifier is
 * closed. */
CLM_API int clm_classifier_label_count(const clm_classifier *classifier);
CLM_API const char *clm_classifier_label_name(const clm_classifier *classifier, int label);

/* labels (count) and logits (count, label_count), row-major, of texts (count), each of
 * lengths_bytes[i] bytes (NULL: NUL-terminated); labels and logits may be NULL. Answers are in the
 * order of the texts; the batch size changes logits by rounding only. Texts are padded as in
 * training and cut at the length the model was trained on, or at its context;
 * clm_classifier_cut_count() counts the cut ones. Errors name the text by its number from 1:
 * CLM_ERROR_FORMAT (empty), CLM_ERROR_ENCODING (invalid UTF-8 or a NUL byte); nothing is computed
 * then. Also errors of the device and CLM_ERROR_MEMORY, after which the contents of labels and
 * logits are undefined. Blocks. */
CLM_API clm_status clm_classify(clm_classifier *classifier, const char *const *texts,
                                const size_t *lengths_bytes, size_t count, int *labels,
                                float *logits);

/* Texts that were cut since the classifier was opened. */
CLM_API uint64_t clm_classifier_cut_count(const clm_classifier *classifier);

/* probabilities (count) = softmax(logits (count)), computed in double; count is at least 1, and
 * both may be the same array. */
CLM_API void clm_softmax(float *probabilities, const float *logits, int count);

/* How well one class is distinguished from the others. */
typedef struct clm_class_scores {
    int64_t rows;                 /* texts of the class */
    double precision, recall, f1; /* 0 where undefined */
} clm_class_scores;

/* The result of an evaluation. The report owns its arrays. */
typedef struct clm_evaluation_report {
    int64_t rows; /* texts */
    int64_t correct;
    double loss;     /* mean cross-entropy, in nats */
    double accuracy; /* correct / rows, 0 to 1 */
    int label_count;
    int64_t *confusion;        /* (label_count,label_count): rows: true class, columns: answer */
    clm_class_scores *classes; /* (label_count) */
} clm_evaluation_report;

/* Classifies texts (count) with known labels (count) and scores the answers. The caller frees
 * *report with clm_evaluation_report_free(); after a failure it is zeroed, with nothing to free.
 * CLM_ERROR_SHAPE for no texts, CLM_ERROR_FORMAT for a label that is not one of the model's
 * classes, errors of clm_classify(). Blocks. */
CLM_API clm_status clm_evaluate(clm_classifier *classifier, const char *const *texts,
                                const size_t *lengths_bytes, const int *labels, size_t count,
                                clm_evaluation_report *report);
CLM_API void clm_evaluation_report_free(clm_evaluation_report *report); /* fine on a zeroed one */

#ifdef __cplusplus
}
#endif
#endif

/* SPDX-License-Identifier: Apache-2.0 */
#include "infer/classify.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/memory.h"
#include "base/progress.h"
#include "base/string.h"
#include "clm/infer.h"
#include "clm/text.h"
#include "model/opened.h"

struct clm_classifier {
    clm_tokenizer *tokenizer;
    clm_model *model;
    int batch; /* 0: as many as fill the device */
    bool in_order;
    int32_t pad_token;
    int most_tokens; /* longer texts are cut here */
    uint64_t cut_count;
};

static clm_status choose_padding(clm_classifier *classifier, const char *folder) {
    const clm_model_config *config = clm_model_get_config(classifier->model);
    const int32_t vocab = clm_tokenizer_vocab_size(classifier->tokenizer);
    if (vocab > config->n_vocab) {
        return clm_fail(CLM_ERROR_SHAPE,
                        "%s: the tokenizer has %d tokens, the model a vocabulary of %d", folder,
                        (int)vocab, config->n_vocab);
    }
    classifier->pad_token = config->pad_token;
    if (classifier->pad_token < 0 || classifier->pad_token >= config->n_vocab) {
        classifier->pad_token = clm_tokenizer_pad_token(classifier->tokenizer);
    }
    if (classifier->pad_token < 0) {
        return clm_fail(CLM_ERROR_FORMAT,
                        "%s: neither config.json nor the tokenizer says which "
                        "token fills up short texts",
                        folder);
    }
    classifier->most_tokens = config->padded_length > 0 ? config->padded_length : config->n_ctx;
    return CLM_OK;
}

clm_status clm_classifier_open(clm_classifier **classifier, clm_device *device, const char *folder,
                               const clm_classifier_options *options) {
    static const clm_classifier_options defaults = CLM_CLASSIFIER_OPTIONS_DEFAULT;
    options = options != NULL ? options : &defaults;
    *classifier = NULL;
    if (options->batch < 0) {
        return clm_fail(CLM_ERROR_ARGUMENT, "a batch of %d texts", options->batch);
    }
    clm_model_options model_options = CLM_MODEL_OPTIONS_DEFAULT;
    clm_classifier *opened = NULL;
    clm_status status = CLM_OK;
    CLM_TRY(clm_allocate(&opened, 1, sizeof *opened, "a classifier"));
    opened->batch = options->batch;
    opened->in_order = options->in_order;
    CLM_TRY(clm_tokenizer_open(&opened->tokenizer, folder));
    model_options.precision = options->precision;
    model_options.one_pass = options->one_pass;
    CLM_TRY(clm_model_open(&opened->model, device, folder, &model_options));
    CLM_TRY(choose_padding(opened, folder));
    *classifier = opened;
    opened = NULL;
cleanup:
    clm_classifier_close(opened);
    return status;
}

void clm_classifier_close(clm_classifier *classifier) {
    if (classifier != NULL) {
        clm_model_close(classifier->model);
        clm_tokenizer_close(classifier->tokenizer);
        clm_free(classifier);
    }
}

int clm_classifier_label_count(const clm_classifier *classifier) {
    return clm_model_get_config(classifier->model)->n_labels;
}

const char *clm_classifier_label_name(const clm_classifier *classifier, int label) {
    return clm_model_get_config(classifier->model)->labels[label];
}

uint64_t clm_classifier_cut_count(const clm_classifier *classifier) {
    return classifier->cut_count;
}

clm_status clm_classify_check_text(const char *text, size_t length_bytes) {
    if (length_bytes == 0) {
        return clm_fail(CLM_ERROR_FORMAT, "the text is empty");
    }
    const size_t valid = clm_utf8_check(text, length_bytes);
    const char *nul = memchr(text, '\0', valid);
    if (nul != NULL) {
        return clm_fail(CLM_ERROR_ENCODING, "byte %zu of the text is NUL", (size_t)(nul - text));
    }
    if (valid < length_bytes) {
        return clm_fail(CLM_ERROR_ENCODING, "byte %zu of the text, 0x%02X, is not valid UTF-8",
                        valid, (unsigned)(unsigned char)text[valid]);
    }
    return CLM_OK;
}

/* Texts and their tokens, in the order in which they go through the model. */
typedef struct encoded_text {
    int32_t *ids;
    int length;
    size_t place; /* among the texts that were given */
} encoded_text;

static int compare_lengths(const void *a, const void *b) {
    const encoded_text *left = a;
    const encoded_text *right = b;
    if (left->length != right->length) {
        return left->length < right->length ? -1 : 1;
    }
    return left->place < right->place ? -1 : 1;
}

static void encoded_free(encoded_text *encoded, size_t count) {
    for (size_t i = 0; encoded != NULL && i < count; i++) {
        clm_tokens_free(encoded[i].ids);
    }
    clm_free(encoded);
}

static clm_status encode(encoded_text *encoded, clm_classifier *classifier,
                         const char *const *texts, const size_t *lengths, size_t count) {
    clm_status status = CLM_OK;
    /* As the texts were read that the model learned from. */
    static const clm_encode_options as_transformers = {.special_tokens = true};
    for (size_t i = 0; i < count; i++) {
        size_t token_count = 0;
        CLM_TRY(clm_tokenizer_encode(classifier->tokenizer, texts[i],
                                     lengths != NULL ? lengths[i] : strlen(texts[i]),
                                     &as_transformers, &encoded[i].ids, &token_count));
        if (token_count > (size_t)classifier->most_tokens) {
            token_count = clm_tokenizer_cut(classifier->tokenizer, encoded[i].ids, token_count,
                                            (size_t)classifier->most_tokens);
            classifier->cut_count++;
        }
        encoded[i].length = (int)token_count;
        encoded[i].place = i;
    }
    if (clm_model_get_config(classifier->model)->pooling == CLM_POOLING_LAST_TOKEN &&
        !classifier->in_order) {
        qsort(encoded, count, sizeof *encoded, compare_lengths);
    }
cleanup:
    return status;
}

/* A head on the last position has learnt what that many paddings do; one on the last token does not
 * see them. */
static int padded_length(const clm_classifier *classifier, const encoded_text *batch,
                         size_t count) {
    const clm_model_config *config = clm_model_get_config(classifier->model);
    if (config->pooling == CLM_POOLING_LAST_POSITION && config->padded_length > 0) {
        return config->padded_length;
    }
    int longest = 1;
    for (size_t i = 0; i < count; i++) {
        longest = batch[i].length > longest ? batch[i].length : longest;
    }
    return longest;
}

/* How many of the texts that are left (count) go through the model together: what was asked for, or
 * what the device takes well at the length of the longest among them. */
static clm_status choose_batch(size_t *size, const clm_classifier *classifier,
                               const encoded_text *left, size_t count) {
    clm_status status = CLM_OK;
    if (classifier->batch > 0) {
        *size = count < (size_t)classifier->batch ? count : (size_t)classifier->batch;
        return CLM_OK;
    }
    *size = 1;
    while (*size < count) {
        int wide = 1;
        CLM_TRY(clm_model_wide_batch(classifier->model, padded_length(classifier, left, *size + 1),
                                     0, &wide));
        if (*size >= (size_t)wide) {
            break;
        }
        (*size)++;
    }
cleanup:
    return status;
}

/* The tokens up to the last that is not padding. transformers cannot tell a text's own last tokens
 * from padding when they are the same. */
static int pooled_length(const encoded_text *text, int32_t pad_token) {
    int length = text->length;
    while (length > 1 && text->ids[length - 1] == pad_token) {
        length--;
    }
    return length;
}

/* logits (count,n_labels) of one batch. */
static clm_status classify_batch(clm_classifier *classifier, const encoded_text *batch,
                                 size_t count, float *logits) {
    const size_t T = (size_t)padded_length(classifier, batch, count);
    int32_t *tokens = NULL;
    int32_t *lengths = NULL;
    clm_status status = CLM_OK;
    CLM_TRY(clm_allocate(&tokens, count * T, sizeof *tokens, "a batch"));
    CLM_TRY(clm_allocate(&lengths, count, sizeof *lengths, "a batch"));
    for (size_t i = 0; i < count; i++) {
        lengths[i] = pooled_length(&batch[i], classifier->pad_token);
        for (size_t t = 0; t < T; t++) {
            tokens[i * T + t] =
                t < (size_t)batch[i].length ? batch[i].ids[t] : classifier->pad_token;
        }
    }
    CLM_TRY(clm_model_logits(classifier->model, tokens, lengths, (int)count, (int)T, logits));
cleanup:
    clm_free(tokens);
    clm_free(lengths);
    return status;
}

/* Texts that are encoded, ordered and answered together; labels and logits as in clm_classify(), of
 * whose `total` texts `before` are answered. */
static clm_status classify_window(clm_classifier *classifier, const char *const *texts,
                                  const size_t *lengths, size_t count, size_t before, size_t total,
                                  int *labels, float *logits) {
    const size_t n_labels = (size_t)clm_classifier_label_count(classifier);
    encoded_text *encoded = NULL;
    float *own = NULL;
    clm_status status = CLM_OK;
    CLM_TRY(clm_allocate(&encoded, count, sizeof *encoded, "texts"));
    CLM_TRY(clm_allocate(&own, count * n_labels, sizeof *own, "logits"));
    CLM_TRY(encode(encoded, classifier, texts, lengths, count));
    for (size_t at = 0; at < count;) {
        size_t size = 0;
        CLM_TRY(choose_batch(&size, classifier, encoded + at, count - at));
        clm_progress_tell("classifying", (int64_t)(before + at), (int64_t)total, "texts");
        CLM_TRY(clm_progress_check());
        CLM_TRY(classify_batch(classifier, encoded + at, size, own + at * n_labels));
        at += size;
    }
    for (size_t i = 0; i < count; i++) {
        const float *row = own + i * n_labels;
        const size_t place = encoded[i].place;
        if (labels != NULL) {
            labels[place] = clm_largest_logit(row, (int)n_labels);
        }
        if (logits != NULL) {
            memcpy(logits + place * n_labels, row, n_labels * sizeof *row);
        }
    }
cleanup:
    encoded_free(encoded, count);
    clm_free(own);
    return status;
}

clm_status clm_classify(clm_classifier *classifier, const char *const *texts,
                        const size_t *lengths_bytes, size_t count, int *labels, float *logits) {
    enum { window = 4096 }; /* the tokens of so many are held at once */
    const size_t n_labels = (size_t)clm_classifier_label_count(classifier);
    clm_status status = CLM_OK;
    for (size_t i = 0; i < count; i++) {
        status = clm_classify_check_text(
            texts[i], lengths_bytes != NULL ? lengths_bytes[i] : strlen(texts[i]));
        if (status != CLM_OK) {
            return clm_error_prefix(status, "text %zu", i + 1);
        }
    }
    for (size_t at = 0; at < count && status == CLM_OK; at += window) {
        status = classify_window(
            classifier, texts + at, lengths_bytes != NULL ? lengths_bytes + at : NULL,
            count - at < window ? count - at : window, at, count,
            labels != NULL ? labels + at : NULL, logits != NULL ? logits + at * n_labels : NULL);
    }
    return status;
}

void clm_softmax(float *probabilities, const float *logits, int count) {
    const double most = (double)logits[clm_largest_logit(logits, count)];
    double sum = 0.0;
    for (int i = 0; i < count; i++) {
        sum += exp((double)logits[i] - most);
    }
    for (int i = 0; i < count; i++) {
        probabilities[i] = (float)(exp((double)logits[i] - most) / sum);
    }
}

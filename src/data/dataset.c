/* Data sets: texts as token ids of equal length.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "data/dataset.h"

#include <limits.h>
#include <string.h>

#include "base/error.h"
#include "base/log.h"
#include "base/memory.h"

static const clm_dataset_options usual_options = CLM_DATASET_OPTIONS_DEFAULT;

void clm_dataset_free(clm_dataset *dataset) {
    if (dataset != NULL) {
        clm_free(dataset->tokens);
        clm_free(dataset->labels);
        clm_free(dataset->lengths);
        clm_free(dataset);
    }
}

size_t clm_dataset_count(const clm_dataset *dataset) {
    return dataset->count;
}

int clm_dataset_length(const clm_dataset *dataset) {
    return dataset->length;
}

const int32_t *clm_dataset_tokens(const clm_dataset *dataset) {
    return dataset->tokens;
}

const int32_t *clm_dataset_labels(const clm_dataset *dataset) {
    return dataset->labels;
}

const int32_t *clm_dataset_lengths(const clm_dataset *dataset) {
    return dataset->lengths;
}

size_t clm_dataset_cut_count(const clm_dataset *dataset) {
    return dataset->cut_count;
}

/* T, from the options and the longest text. */
static clm_status choose_length(int *length, const size_t *lengths, size_t count,
                                const clm_dataset_options *options) {
    size_t longest = 0;
    for (size_t row = 0; row < count; row++) {
        if (lengths[row] == 0) {
            return clm_fail(CLM_ERROR_ARGUMENT, "text %zu has no tokens", row);
        }
        longest = lengths[row] > longest ? lengths[row] : longest;
    }
    const int least = options->length > 0 ? options->length : options->length_least;
    if (count == 0 || options->length < 0 || options->length_limit < 0 || least < 0) {
        return clm_fail(CLM_ERROR_ARGUMENT,
                        "a data set of %zu texts with %d tokens each, at most %d, is impossible",
                        count, least, options->length_limit);
    }
    if (options->length_limit > 0 && least > options->length_limit) {
        return clm_fail(CLM_ERROR_SHAPE, "texts of %d tokens do not fit into a context of %d",
                        least, options->length_limit);
    }
    const size_t most = options->length_limit > 0 ? (size_t)options->length_limit : (size_t)INT_MAX;
    longest = longest > (size_t)least ? longest : (size_t)least;
    *length = options->length > 0 ? options->length : (int)(longest < most ? longest : most);
    return CLM_OK;
}

static void fill_row(clm_dataset *dataset, size_t row, const int32_t *ids, size_t count,
                     int32_t pad_token) {
    size_t length = (size_t)dataset->length;
    size_t kept = count < length ? count : length;
    int32_t *tokens = dataset->tokens + row * length;
    memcpy(tokens, ids, kept * sizeof *tokens);
    for (size_t t = kept; t < length; t++) {
        tokens[t] = pad_token;
    }
    dataset->cut_count += kept < count;
    /* transformers cannot tell a text's own last tokens from padding when they are the same. */
    while (kept > 1 && tokens[kept - 1] == pad_token) {
        kept--;
    }
    dataset->lengths[row] = (int32_t)kept;
}

clm_status clm_dataset_create_from_ids(clm_dataset **dataset, const int32_t *const *ids,
                                       const size_t *lengths, const int32_t *labels, size_t count,
                                       const clm_dataset_options *options) {
    *dataset = NULL;
    options = options != NULL ? options : &usual_options;
    clm_status status = CLM_OK;
    clm_dataset *fresh = NULL;
    CLM_TRY(clm_allocate(&fresh, 1, sizeof *fresh, "a data set"));
    CLM_TRY(choose_length(&fresh->length, lengths, count, options));
    fresh->count = count;
    CLM_TRY(clm_allocate(&fresh->tokens, count, (size_t)fresh->length * sizeof *fresh->tokens,
                         "the tokens of a data set"));
    CLM_TRY(clm_allocate(&fresh->labels, count, sizeof *fresh->labels, "the labels of a data set"));
    CLM_TRY(clm_allocate(&fresh->lengths, count, sizeof *fresh->lengths, "the lengths of texts"));
    memcpy(fresh->labels, labels, count * sizeof *labels);
    for (size_t row = 0; row < count; row++) {
        fill_row(fresh, row, ids[row], lengths[row], options->pad_token);
    }
    if (fresh->cut_count > 0) {
        clm_log(CLM_LOG_WARNING, "%zu of %zu %s were cut to %d tokens", fresh->cut_count, count,
                options->name != NULL ? options->name : "texts", fresh->length);
    }
    *dataset = fresh;
    fresh = NULL;
cleanup:
    clm_dataset_free(fresh);
    return status;
}

clm_status clm_dataset_gather(const clm_dataset *dataset, const int32_t *rows, size_t count,
                              int32_t *tokens, int32_t *labels) {
    size_t length = (size_t)dataset->length;
    for (size_t i = 0; i < count; i++) {
        if (rows[i] < 0 || (size_t)rows[i] >= dataset->count) {
            return clm_fail(CLM_ERROR_ARGUMENT, "row %d of a data set with %zu rows", (int)rows[i],
                            dataset->count);
        }
        if (tokens != NULL) {
            memcpy(tokens + i * length, dataset->tokens + (size_t)rows[i] * length,
                   length * sizeof *tokens);
        }
        if (labels != NULL) {
            labels[i] = dataset->labels[rows[i]];
        }
    }
    return CLM_OK;
}

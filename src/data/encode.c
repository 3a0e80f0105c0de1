/* Data sets from tables: where texts meet the tokenizer.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "base/error.h"
#include "base/memory.h"
#include "clm/data.h"
#include "clm/text.h"

clm_status clm_dataset_create(clm_dataset **dataset, const clm_table *table,
                              const struct clm_tokenizer *tokenizer,
                              const clm_dataset_options *options) {
    /* A special token such as <url> is one token in texts that a model learns from, as it is where
     * transformers reads them. */
    static const clm_encode_options as_transformers = {.special_tokens = true};
    *dataset = NULL;
    clm_status status = CLM_OK;
    size_t count = clm_table_count(table);
    const int limit = options == NULL       ? 0
                      : options->length > 0 ? options->length
                                            : options->length_limit;
    const size_t most = limit > 0 ? (size_t)limit : 0;
    int32_t **ids = NULL;
    size_t *lengths = NULL;
    int32_t *labels = NULL;
    CLM_TRY(clm_allocate(&ids, count, sizeof *ids, "the tokens of texts"));
    CLM_TRY(clm_allocate(&lengths, count, sizeof *lengths, "the lengths of texts"));
    CLM_TRY(clm_allocate(&labels, count, sizeof *labels, "the labels of texts"));
    for (size_t row = 0; row < count; row++) {
        size_t length_bytes = 0;
        const char *text = clm_table_text(table, row, &length_bytes);
        status = clm_tokenizer_encode(tokenizer, text, length_bytes, &as_transformers, &ids[row],
                                      &lengths[row]);
        if (status != CLM_OK) {
            status = clm_error_prefix(status, "text %zu", row);
            goto cleanup;
        }
        if (most > 0) {
            /* The data set cuts and counts; here only what ends a text moves to where it does. */
            (void)clm_tokenizer_cut(tokenizer, ids[row], lengths[row], most);
        }
        labels[row] = clm_table_label(table, row);
    }
    CLM_TRY(clm_dataset_create_from_ids(dataset, (const int32_t *const *)ids, lengths, labels,
                                        count, options));
cleanup:
    for (size_t row = 0; ids != NULL && row < count; row++) {
        clm_tokens_free(ids[row]);
    }
    clm_free(ids);
    clm_free(lengths);
    clm_free(labels);
    return status;
}

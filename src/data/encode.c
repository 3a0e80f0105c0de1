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
    *dataset = NULL;
    clm_status status = CLM_OK;
    size_t count = clm_table_count(table);
    int32_t **ids = NULL;
    size_t *lengths = NULL;
    int32_t *labels = NULL;
    CLM_TRY(clm_allocate(&ids, count, sizeof *ids, "the tokens of texts"));
    CLM_TRY(clm_allocate(&lengths, count, sizeof *lengths, "the lengths of texts"));
    CLM_TRY(clm_allocate(&labels, count, sizeof *labels, "the labels of texts"));
    for (size_t row = 0; row < count; row++) {
        size_t length_bytes = 0;
        const char *text = clm_table_text(table, row, &length_bytes);
        status =
            clm_tokenizer_encode(tokenizer, text, length_bytes, NULL, &ids[row], &lengths[row]);
        if (status != CLM_OK) {
            status = clm_error_prefix(status, "text %zu", row);
            goto cleanup;
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

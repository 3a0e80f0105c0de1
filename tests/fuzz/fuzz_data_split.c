/* Any files as a folder of train.csv, validation.csv, test.csv and labels.json: refused with a
 * message, or three tables of the same classes, which are the same when they are written and read
 * again.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "clm/data.h"
#include "fuzz.h"

static const char *const words[] = {"Label,Text,Name\n",
                                    "Label,Text\n",
                                    "0,",
                                    "1,",
                                    "2,",
                                    "ham",
                                    "spam",
                                    "\"a\",",
                                    "=== labels.json\n",
                                    "=== data.json\n",
                                    "guesses",
                                    "warnings",
                                    "schema",
                                    "clm data 1",
                                    "=== train.csv\n",
                                    "\r\n",
                                    NULL};
const fuzz_target fuzz_this = {FUZZ_FILES, words, 1 << 17, 4096};

static void check_same(const clm_table *a, const clm_table *b) {
    FUZZ_CHECK(clm_table_count(a) == clm_table_count(b));
    FUZZ_CHECK(clm_table_label_count(a) == clm_table_label_count(b));
    for (size_t row = 0; row < clm_table_count(a); row++) {
        const int label = clm_table_label(a, row);
        FUZZ_CHECK(strcmp(clm_table_text(a, row, NULL), clm_table_text(b, row, NULL)) == 0);
        FUZZ_CHECK(clm_table_label(b, row) == label);
        FUZZ_CHECK(strcmp(clm_table_label_name(a, label), clm_table_label_name(b, label)) == 0);
    }
}

static void check_written(const clm_split *split, const char *folder, clm_table_columns columns) {
    clm_split back = {0};
    clm_status status = clm_split_write(split, folder, columns, false);
    if (columns == CLM_TABLE_LABEL_TEXT && status == CLM_ERROR_FORMAT) {
        return; /* a class is named by another's number */
    }
    FUZZ_CHECK(status == CLM_OK);
    FUZZ_CHECK(clm_split_write(split, folder, columns, false) == CLM_OK); /* it is the same */
    FUZZ_CHECK(clm_split_read(&back, folder) == CLM_OK);
    check_same(split->train, back.train);
    check_same(split->validation, back.validation);
    check_same(split->test, back.test);
    clm_split_free(&back);
}

void fuzz_one(const uint8_t *data, size_t size) {
    clm_split split = {0};
    fuzz_unpack(data, size);
    clm_status status = clm_split_read(&split, fuzz_folder());
    if (status != CLM_OK) {
        FUZZ_CHECK(split.train == NULL && split.validation == NULL && split.test == NULL);
        fuzz_check_refused(status);
        return;
    }
    FUZZ_CHECK(clm_table_label_count(split.train) >= 2);
    check_written(&split, fuzz_path("plain"), CLM_TABLE_LABEL_TEXT);
    check_written(&split, fuzz_path("named"), CLM_TABLE_LABEL_TEXT_NAME);
    const clm_table_columns columns = CLM_TABLE_LABEL_TEXT_NAME;
    FUZZ_CHECK(clm_split_write(&split, fuzz_folder(), columns, false) == CLM_ERROR_EXISTS);
    FUZZ_CHECK(clm_split_write(&split, fuzz_folder(), columns, true) == CLM_OK);
    clm_split_free(&split);
}

/* Any bytes as metrics.jsonl: refused with a message, or metrics in the order of their steps, and
 * plots in which every number is one.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <math.h>
#include <string.h>

#include "base/file.h"
#include "base/hash.h"
#include "base/memory.h"
#include "base/string.h"
#include "clm/report.h"
#include "fuzz.h"

static const char *const words[] = {
    "event",   "start",  "step", "eval",    "epoch",      "final",    "n_train",  "batch",
    "batches", "epochs", "loss", "seconds", "train_loss", "val_loss", "examples", "train_acc",
    "val_acc", "train",  "val",  "test",    "warning",    "resume",   NULL};
const fuzz_target fuzz_this = {FUZZ_JSON, words, 1 << 22, 4096};

static void check_metrics(const clm_metrics *m) {
    for (size_t i = 1; i < m->step_count; i++) {
        FUZZ_CHECK(m->steps[i].step > m->steps[i - 1].step);
    }
    for (size_t i = 1; i < m->eval_count; i++) {
        FUZZ_CHECK(m->evals[i].step > m->evals[i - 1].step);
    }
    for (size_t i = 0; i < m->epoch_count; i++) {
        const clm_metrics_epoch *epoch = &m->epochs[i];
        FUZZ_CHECK(i == 0 || epoch->epoch > m->epochs[i - 1].epoch);
        FUZZ_CHECK(isnan(epoch->train_acc) || (epoch->train_acc >= 0 && epoch->train_acc <= 1));
        FUZZ_CHECK(isnan(epoch->val_acc) || (epoch->val_acc >= 0 && epoch->val_acc <= 1));
    }
    FUZZ_CHECK(m->batch >= 0 && m->batches >= 0 && m->train_size >= 0);
}

static void check_svg(const char *name) {
    static const char *const wrong[] = {"\"nan", "\"-nan", " nan", " -nan", ",nan",   ",-nan",
                                        "\"inf", " inf",   "-inf", ",inf",  "<script"};
    char *text = NULL;
    size_t size = 0;
    FUZZ_CHECK(clm_file_read(fuzz_path(name), CLM_FILE_REPORT, &text, &size) == CLM_OK);
    FUZZ_CHECK(size > 0 && strlen(text) == size && clm_utf8_check(text, size) == size);
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        FUZZ_CHECK(strstr(text, wrong[i]) == NULL);
    }
    clm_free(text);
}

/* PDF and PNG take cairo tenths of a second, so with them only some inputs are drawn. */
static int is_drawn(const uint8_t *data, size_t size) {
    return !CLM_WITH_CAIRO || clm_hash(CLM_HASH_START, data, size) % 512 == 0;
}

void fuzz_one(const uint8_t *data, size_t size) {
    clm_metrics metrics = {0};
    clm_status status = clm_metrics_read(&metrics, fuzz_write("metrics.jsonl", data, size));
    if (status == CLM_OK) {
        check_metrics(&metrics);
        if (is_drawn(data, size)) {
            status = clm_report_plot_run(fuzz_folder());
            FUZZ_CHECK(status == CLM_OK || status == CLM_ERROR_FORMAT);
        }
        if (is_drawn(data, size) && status == CLM_OK) {
            check_svg("loss.svg");
            check_svg("accuracy.svg");
        }
    } else {
        fuzz_check_refused(status);
    }
    clm_metrics_free(&metrics);
}

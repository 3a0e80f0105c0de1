/* Any files as the folder of a run that is resumed: run.json and metrics.jsonl (a checkpoint, whose
 * content is not looked at here, lies beside them). Refused with a message, or settings and notes
 * that are the same when they are written and read again.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <string.h>
#include <unistd.h>

#include "base/json.h"
#include "base/memory.h"
#include "fuzz.h"
#include "train/checkpoint.h"
#include "train/run.h"

static const char *const words[] = {"format",
                                    "clm-run-1",
                                    "clm",
                                    "device",
                                    "settings",
                                    "model",
                                    "lr",
                                    "event",
                                    "note",
                                    "text",
                                    "{\"event\":\"note\",\"text\":",
                                    "step",
                                    "final",
                                    "=== run.json\n",
                                    "=== metrics.jsonl\n",
                                    NULL};
const fuzz_target fuzz_this = {FUZZ_FILES, words, 1 << 18, 2048};

static const char *const names[] = {"model", "data", "lr", "epochs", ""};
enum { name_count = sizeof names / sizeof *names };

static void check_same(const char *a, const char *b) {
    FUZZ_CHECK((a == NULL) == (b == NULL) && (a == NULL || strcmp(a, b) == 0));
}

static clm_status open_metrics(clm_metrics_writer *metrics, const clm_folder *run) {
    static const clm_train_event events[] = {{.kind = CLM_TRAIN_STEP, .step = 1, .loss = 0.5F},
                                             {.kind = CLM_TRAIN_EVAL, .step = 1},
                                             {.kind = CLM_TRAIN_EPOCH, .epoch = 1},
                                             {.kind = CLM_TRAIN_FINAL}};
    const clm_finetune_options options = CLM_FINETUNE_OPTIONS_DEFAULT;
    char *text = NULL;
    size_t size = 0;
    if (!clm_file_exists(fuzz_path(clm_metrics_name))) {
        FUZZ_CHECK(clm_metrics_writer_open(metrics, run, 0) == CLM_OK);
        FUZZ_CHECK(clm_metrics_writer_start(metrics, &options, 4, 2, 8) == CLM_OK);
        for (size_t i = 0; i < sizeof events / sizeof *events; i++) {
            FUZZ_CHECK(clm_metrics_writer_add(metrics, &events[i]) == CLM_OK);
        }
        return CLM_OK;
    }
    FUZZ_CHECK(clm_file_read(fuzz_path(clm_metrics_name), CLM_FILE_METRICS, &text, &size) ==
               CLM_OK);
    clm_free(text);
    FUZZ_CHECK(clm_metrics_writer_open(metrics, run, size + 1) != CLM_OK);
    fuzz_check_refused(CLM_ERROR_FORMAT);
    clm_error_clear();
    return clm_metrics_writer_open(metrics, run, size);
}

/* Notes of the file come first; what is added is written once. */
static void check_notes(clm_run *run) {
    clm_metrics_writer metrics = {0};
    FUZZ_CHECK(open_metrics(&metrics, clm_run_open_folder(run)) == CLM_OK);
    const clm_status status = clm_run_read_notes(run, &metrics);
    if (status != CLM_OK) {
        fuzz_check_refused(status);
        clm_error_clear();
        clm_metrics_writer_close(&metrics);
        return;
    }
    FUZZ_CHECK(clm_run_note(run, "a note") == CLM_OK);
    FUZZ_CHECK(clm_run_write_notes(run, &metrics) == CLM_OK);
    const uint64_t bytes = metrics.size_bytes;
    FUZZ_CHECK(clm_run_write_notes(run, &metrics) == CLM_OK && metrics.size_bytes == bytes);
    clm_metrics_writer_close(&metrics);
}

void fuzz_one(const uint8_t *data, size_t size) {
    clm_run *run = NULL;
    clm_run *back = NULL;
    fuzz_unpack(data, size);
    (void)fuzz_write(clm_checkpoint_name, "", 0);
    const clm_status status = clm_run_open(&run, fuzz_folder(), CLM_RUN_RESUME);
    if (status != CLM_OK) {
        FUZZ_CHECK(run == NULL);
        fuzz_check_refused(status);
        return;
    }
    FUZZ_CHECK(clm_run_is_resumed(run));
    check_notes(run);
    char *kept[name_count] = {NULL};
    FUZZ_CHECK(clm_run_set(run, "lr", "1e-3") == CLM_OK &&
               clm_run_set(run, "data", NULL) == CLM_OK);
    for (int i = 0; i < name_count; i++) {
        const char *value = clm_run_get(run, names[i]);
        FUZZ_CHECK(value == NULL || clm_duplicate(&kept[i], value) == CLM_OK);
    }
    FUZZ_CHECK(clm_run_begin(run, "a \"device\"") == CLM_OK);
    clm_run_close(run);
    FUZZ_CHECK(clm_run_open(&back, fuzz_folder(), CLM_RUN_RESUME) == CLM_OK);
    for (int i = 0; i < name_count; i++) {
        check_same(kept[i], clm_run_get(back, names[i]));
        clm_free(kept[i]);
    }
    clm_run_close(back);
}

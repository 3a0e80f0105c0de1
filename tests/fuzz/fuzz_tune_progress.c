/* Any bytes as the trials of an earlier `clm tune`: lines that are none are left out, no other text
 * than theirs is believed, and what is added is there again when the file is read once more.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "base/memory.h"
#include "fuzz.h"
#include "ops/tuning_file.h"
#include "tune/progress.h"

static const char *const words[] = {
    "kind",     "preset", "round",    "settings", "outcome",     "speed", "why",
    "products", "others", "backends", "ok",       "slow",        "wrong", "failed",
    "crashed",  "hung",   "stopped",  "started",  "gemm.rows=4", "\n",    NULL};
const fuzz_target fuzz_this = {FUZZ_JSON, words, 1 << 20, 1024};

static clm_tune_trial make_trial(int number) {
    clm_tune_trial trial = {.kind = (clm_tune_kind)(number % 2), .settings = clm_tuning_defaults()};
    FUZZ_CHECK(number < 2 || clm_tuning_add(&trial.settings, "gemm.rows=4") == CLM_OK);
    return trial;
}

/* Whatever the file says, an answer is one that ends a trial, in one line. */
static bool check_find(const clm_tune_progress *progress, const clm_tune_trial *trial, int round) {
    clm_tune_score score = {.outcome = CLM_TUNE_OUTCOMES};
    if (!clm_tune_progress_find(progress, trial, round, &score)) {
        return false;
    }
    FUZZ_CHECK(score.outcome < CLM_TUNE_STOPPED);
    FUZZ_CHECK(memchr(score.why, '\0', sizeof score.why) != NULL);
    return true;
}

void fuzz_one(const uint8_t *data, size_t size) {
    clm_tune_progress progress = {0};
    clm_tune_progress back = {0};
    clm_tune_score wrong = {.outcome = CLM_TUNE_WRONG, .speed = 0.5, .why = "a \"why\""};
    char *path = NULL;
    fuzz_empty();
    FUZZ_CHECK(setenv("CLM_CACHE_DIR", fuzz_folder(), 1) == 0);
    FUZZ_CHECK(clm_tuned_path(&path, fuzz_device(), "progress.jsonl") == CLM_OK);
    FILE *file = fopen(path, "we");
    FUZZ_CHECK(file != NULL && fwrite(data, 1, size, file) == size && fclose(file) == 0);
    FUZZ_CHECK(clm_tune_progress_open(&progress, fuzz_device(), false) == CLM_OK);
    for (int i = 0; i < 4; i++) {
        const clm_tune_trial trial = make_trial(i);
        (void)check_find(&progress, &trial, i);
        if (!check_find(&progress, &trial, 0)) {
            FUZZ_CHECK(clm_tune_progress_add(&progress, &trial, 0, &wrong) == CLM_OK);
            FUZZ_CHECK(check_find(&progress, &trial, 0));
        }
    }
    FUZZ_CHECK(clm_tune_progress_open(&back, fuzz_device(), false) == CLM_OK);
    FUZZ_CHECK(back.count == progress.count);
    for (int i = 0; i < 4; i++) {
        const clm_tune_trial trial = make_trial(i);
        FUZZ_CHECK(check_find(&back, &trial, 0));
    }
    clm_tune_progress_close(&back);
    FUZZ_CHECK(clm_tune_progress_open(&back, fuzz_device(), true) == CLM_OK && back.count == 0);
    clm_tune_progress_close(&back);
    clm_tune_progress_close(&progress);
    clm_free(path);
}

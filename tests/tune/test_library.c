/* clm/tune.h without a helper, and its parts: the checks see what is wrong, lists hold only what a
 * device can run.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/memory.h"
#include "clm/tune.h"
#include "ops/tuning_file.h"
#include "support/test_devices.h"
#include "tune/candidates.h"
#include "tune/trial.h"

static bool takes_long(const clm_device *device) {
    const char *name = clm_device_get_info(device)->name;
    return strstr(name, "llvmpipe") != NULL || strstr(name, "Oclgrind") != NULL;
}

/* ---- lists ---- */

static void lists_on(clm_device *device) {
    const clm_tuning nothing = clm_tuning_defaults();
    int total[4] = {0};
    for (int preset = CLM_TUNE_NORMAL; preset <= CLM_TUNE_SMALL; preset++) {
        for (int i = 0; i < clm_tune_stage_count; i++) {
            clm_tune_candidate *list[2] = {NULL};
            int count[2] = {0};
            const clm_tune_stage *stage = &clm_tune_stages[i];
            if (!clm_tune_stage_is_for(stage, device, (clm_tune_preset)preset)) {
                continue;
            }
            for (int n = 0; n < 2; n++) {
                assert_ok(clm_tune_list(&list[n], &count[n], stage, device, (clm_tune_preset)preset,
                                        &nothing));
            }
            /* The same each time, or a search could not go on. */
            assert_int_equal(count[0], count[1]);
            for (int c = 0; c < count[0]; c++) {
                assert_ok(clm_tuning_check(&list[0][c].settings, device));
                assert_memory_equal(&list[0][c].settings, &list[1][c].settings, sizeof nothing);
                assert_memory_not_equal(&list[0][c].settings, &nothing, sizeof nothing);
                assert_true(list[0][c].label[0] != '\0');
            }
            total[preset] += count[0];
            clm_free(list[0]);
            clm_free(list[1]);
        }
    }
    assert_true(total[CLM_TUNE_SMALL] > 0);
    assert_true(total[CLM_TUNE_NORMAL] > total[CLM_TUNE_SMALL]);
    assert_true(total[CLM_TUNE_FULL] > total[CLM_TUNE_NORMAL]);
}
CLM_ON_EACH_DEVICE(lists_on)

/* ---- measuring ---- */

static void measures_on(clm_device *device) {
    static const clm_tune_kind kinds[] = {CLM_TUNE_PRODUCTS, CLM_TUNE_OTHERS};
    static const char *const settings[] = {"gemm.k_block=48", "ops.flat_group=32,ops.width=8"};
    for (int i = 0; i < 2; i++) {
        clm_tune_score score;
        clm_tune_trial trial = {
            .kind = kinds[i], .preset = CLM_TUNE_SMALL, .settings = clm_tuning_defaults()};
        assert_ok(clm_tuning_add(&trial.settings, settings[i]));
        assert_ok(clm_tune_measure(device, &trial, &score));
        assert_string_equal("", score.why);
        assert_int_equal(CLM_TUNE_RIGHT, score.outcome);
        assert_true(isfinite(score.speed) && score.speed > 0);
        if (takes_long(device)) { /* what follows is the host's work, and the same for all */
            continue;
        }
        /* One wrong element in one result is seen. */
        trial.spoil = true;
        assert_ok(clm_tune_measure(device, &trial, &score));
        assert_int_equal(CLM_TUNE_WRONG, score.outcome);
        assert_true(strstr(score.why, "element") != NULL);
    }
    assert_ok(clm_tuning_use(device, NULL));
}
CLM_ON_EACH_DEVICE(measures_on)

/* A candidate that cannot be is an outcome, not an error. */
static void impossible_on(clm_device *device) {
    clm_tune_score score;
    clm_tune_trial trial = {
        .kind = CLM_TUNE_PRODUCTS, .preset = CLM_TUNE_SMALL, .settings = clm_tuning_defaults()};
    assert_ok(clm_tuning_add(&trial.settings, "gemm.width=16,gemm.vectors=16"));
    assert_ok(clm_tune_measure(device, &trial, &score));
    assert_int_equal(CLM_TUNE_FAILED, score.outcome);
    assert_true(strstr(score.why, "gemm.vectors") != NULL);
}
CLM_ON_EACH_DEVICE(impossible_on)

/* ---- the search in this process ---- */

typedef struct heard {
    int events;
    int asked;
    int stop_after; /* questions; 0: never */
    bool refused;
} heard;

static void hear(void *context, const clm_tune_event *event) {
    heard *h = context;
    h->events++;
    h->refused = h->refused || event->why[0] != '\0';
    assert_true(event->number >= 1 && event->number <= event->count);
}

static bool stop_at(void *context) {
    heard *h = context;
    h->asked++;
    return h->stop_after > 0 && h->asked > h->stop_after;
}

static void searches_on(clm_device *device) {
    heard h = {.stop_after = 2};
    clm_tune_result result;
    clm_tune_options options = CLM_TUNE_OPTIONS_DEFAULT;
    char *text = NULL;
    if (takes_long(device)) {
        return;
    }
    assert_int_equal(0, setenv("CLM_CACHE_DIR", clm_test_path("cache"), 1));
    options.preset = CLM_TUNE_SMALL;
    options.on_event = hear;
    options.should_stop = stop_at;
    options.context = &h;
    assert_ok(clm_tune_reset(device));
    assert_status(CLM_ERROR_INTERRUPTED, clm_tune(device, &options, &result));
    const int first = h.events;
    assert_true(first > 0);
    h = (heard){0};
    assert_ok(clm_tune(device, &options, &result));
    assert_false(h.refused);
    assert_true(h.events > first);
    assert_int_equal(0, result.refused);
    assert_false(result.slow_device);
    assert_true(result.known > 0);
    assert_true(result.gain >= 1);
    assert_ok(clm_tune_describe(&text, device));
    assert_non_null(strstr(text, "\"preset\": \"small\""));
    assert_ok(clm_tune_export(device, clm_test_path("shared.json")));
    assert_ok(clm_tune_reset(device));
    assert_ok(clm_tune_import(device, clm_test_path("shared.json"), false));
    char *again = NULL;
    assert_ok(clm_tune_describe(&again, device));
    assert_string_equal(text, again);
    clm_tune_text_free(text);
    clm_tune_text_free(again);

    options.limit_seconds = 0;
    assert_status(CLM_ERROR_ARGUMENT, clm_tune(device, &options, &result));
    options.limit_seconds = 60;
    options.helper = clm_test_path("no such command");
    options.restart = true;
    assert_status(CLM_ERROR_NOT_FOUND, clm_tune(device, &options, &result));
    assert_message_has("no such command");
    assert_ok(clm_tuning_use(device, NULL));
}
CLM_ON_EACH_DEVICE(searches_on)

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lists_on_test),
        cmocka_unit_test(measures_on_test),
        cmocka_unit_test(impossible_on_test),
        cmocka_unit_test(searches_on_test),
    };
    return cmocka_run_group_tests(tests, NULL, clm_test_close_devices);
}

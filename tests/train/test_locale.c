/* A program that has called setlocale() for its users trains, stops, resumes and reads what it
 * wrote.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "recipe.h"

#include <locale.h>
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/memory.h"
#include "clm/model.h"
#include "ops/tuning_file.h"

static int leave_locale(void **state) {
    (void)state;
    (void)setlocale(LC_ALL, "C");
    return 0;
}

static bool stop_at(void *context) {
    int *left = context;
    return --*left == 0;
}

static void assert_written_alike(const char *run_a, const char *run_b) {
    assert_same_run(run_a, run_b);
    assert_same_file(run_a, run_b, "config.json");
}

/* Begun in one locale, gone on with in another, and again in the first. */
static void a_run_does_not_depend_on_the_locale(clm_device *device) {
    char whole[512];
    char run[512];
    clm_finetune_options options = recipe();
    options.epochs = 2;
    options.max_steps = 9;
    (void)snprintf(whole, sizeof whole, "%s", fresh_run());
    assert_ok(train(device, CLM_TRAIN_LAST_BLOCK, whole, &options, NULL));

    static const char *const ways[][3] = {{"de_DE.UTF-8", "C", "tr_TR.UTF-8"},
                                          {"C", "de_DE.UTF-8", "de_DE.UTF-8"}};
    for (size_t way = 0; way < 2; way++) {
        (void)snprintf(run, sizeof run, "%s", fresh_run());
        int left = 0;
        options.should_stop = stop_at;
        options.context = &left;
        for (int session = 0; session < 3; session++) {
            clm_test_set_locale(ways[way][session]);
            left = session < 2 ? 200 : 0;
            run_use = session > 0 ? CLM_RUN_RESUME : CLM_RUN_NEW;
            assert_status(session < 2 ? CLM_ERROR_INTERRUPTED : CLM_OK,
                          train(device, CLM_TRAIN_LAST_BLOCK, run, &options, NULL));
        }
        assert_written_alike(whole, run);
        clm_metrics metrics = {0};
        read_metrics(&metrics, run);
        clm_metrics_free(&metrics);
        (void)setlocale(LC_ALL, "C");
    }
}

/* Written in one locale, read in another. */
static void settings_do_not_depend_on_the_locale(clm_device *device) {
    const char *path = clm_test_path("settings.json");
    clm_tuned tuned = clm_tuned_nothing();
    clm_tuned again = clm_tuned_nothing();
    tuned.gain = 1.25;
    tuned.own_gflops = 200.5;
    clm_test_set_locale("de_DE.UTF-8");
    assert_ok(clm_tuned_write(&tuned, path, device));
    (void)setlocale(LC_ALL, "C");
    assert_ok(clm_tuned_read(&again, path, device, false));
    assert_true(again.gain == 1.25 && again.own_gflops == 200.5);
    clm_test_set_locale("tr_TR.UTF-8");
    assert_ok(clm_tuned_read(&again, path, device, false));
    assert_true(again.gain == 1.25 && again.own_gflops == 200.5);
}

CLM_ON_EACH_DEVICE(settings_do_not_depend_on_the_locale)
CLM_ON_EACH_DEVICE(a_run_does_not_depend_on_the_locale)

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(settings_do_not_depend_on_the_locale_test, leave_locale),
        cmocka_unit_test_teardown(a_run_does_not_depend_on_the_locale_test, leave_locale),
    };
    return cmocka_run_group_tests(tests, NULL, clm_test_close_devices);
}

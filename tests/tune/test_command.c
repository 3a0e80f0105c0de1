/* `clm tune`: candidates that crash, hang or are wrong cost only themselves; what was tried is kept
 * when the search is stopped or killed; settings are printed, shared and forgotten.
 *
 * On PoCL, because devices that tests must wait for are of no use here.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/folder.h"
#include "base/memory.h"
#include "ops/tuning_file.h"
#include "support/test_command.h"

static char kept_path[512];     /* the device's settings */
static char progress_path[512]; /* and what was tried, from the test's folder on */

/* A device's file as the quick preset leaves it, so that a search goes on to the candidates. */
static void write_quick(clm_device *device) {
    clm_tuned tuned = clm_tuned_nothing();
    assert_ok(clm_tuning_add(&tuned.settings, "gemm.backend=own"));
    (void)snprintf(tuned.preset, sizeof tuned.preset, "quick");
    tuned.peak_gflops = 100;
    tuned.own_gflops = 90;
    assert_ok(clm_tuned_write(&tuned, clm_test_path("quick.json"), device));
}

static int find_device(void **state) {
    (void)state;
    clm_device *device = NULL;
    char *path = NULL;
    clm_device_options options = CLM_DEVICE_OPTIONS_DEFAULT;
    options.pattern = "pocl";
    if (clm_device_open(&device, &options) != CLM_OK) {
        return 0; /* each test skips */
    }
    assert_int_equal(0, setenv("CLM_CACHE_DIR", clm_test_path("cache"), 1));
    assert_int_equal(0, setenv("CLM_DEVICE", "pocl", 1));
    assert_ok(clm_tuned_path(&path, device, "json"));
    (void)snprintf(kept_path, sizeof kept_path, "%s", path);
    clm_free(path);
    assert_ok(clm_tuned_path(&path, device, "progress.jsonl"));
    (void)snprintf(progress_path, sizeof progress_path, "cache/tuning/%s", clm_path_name(path));
    clm_free(path);
    write_quick(device);
    clm_device_close(device);
    return 0;
}

/* Nothing kept but the quick preset's choice. */
static void begin(void) {
    if (kept_path[0] == '\0') {
        skip();
    }
    assert_done(run_clm("tune", "--reset"));
    assert_false(clm_file_exists(kept_path));
    assert_done(run_clm("tune", "--import", "quick.json"));
}

/* CLBlast takes long to build, and is only needed where the test is about it. */
#define NO_CLBLAST "crash:gemm.backend=clblast"
/* Nor may noise decide. */
#define NO_WINNER NO_CLBLAST ";lose:gemm"
#define SMALL "tune", "--preset", "small"

static const char *printed(void) {
    clm_test_outcome outcome = run_clm("tune", "--print");
    assert_done(outcome);
    return outcome.output;
}

static void faults_cost_only_themselves(void **state) {
    (void)state;
    static const clm_test_surroundings faulty = {
        .environment = {"CLM_TUNE_FAULT=" NO_CLBLAST
                        ";crash:gemm.vectors=1;hang:gemm.vectors=2,gemm.rows=4;"
                        "wrong:gemm.vectors=2,gemm.rows=8"}};
    begin();
    clm_test_outcome outcome = run_clm_in(&faulty, SMALL, "--limit", "8");
    assert_done(outcome);
    assert_has(outcome.output, "gemm.vectors=1,gemm.rows=8: crashed: ended by signal 6 (abort)\n");
    assert_has(outcome.output, "gemm.vectors=2,gemm.rows=4: hung: not done after 8 seconds\n");
    assert_has(outcome.output, "gemm.vectors=2,gemm.rows=8: wrong: 1x1x2: element 0 is ");
    assert_has(outcome.output, "its own parameters: crashed");
    assert_has(outcome.output, "4 tried, 0 known from earlier runs, 4 of all rejected");
    assert_has(printed(), "\"settings\": {\n  \"gemm.backend\": \"own\"\n }}");

    /* None of them is tried again, though nothing is wrong with them now. */
    outcome = run_clm(SMALL);
    assert_done(outcome);
    assert_has(outcome.output, "gemm.rows=8: crashed: ended by signal 6 (abort) (known)");
    assert_has(outcome.output, "0 tried, 4 known from earlier runs, 4 of all rejected");

    /* A terminal shows how much is left; a pipe does not. */
    assert_string_equal(outcome.errors, "");
    outcome = run_clm_in(&(clm_test_surroundings){.at_terminal = true}, SMALL);
    assert_int_equal(outcome.status, 0);
    assert_has(outcome.output, "tuning: 0 of 3 candidates; ");
    assert_has(outcome.output, "tuning: 2 of 3 candidates; ");
    assert_has(outcome.output, ", stage 2 of ");

    /* Unless the user wants it. */
    static const clm_test_surroundings no_winner = {.environment = {"CLM_TUNE_FAULT=" NO_WINNER}};
    outcome = run_clm_in(&no_winner, SMALL, "--restart");
    assert_done(outcome);
    assert_null(strstr(outcome.output, "(known)"));
    assert_has(outcome.output, "gemm.vectors=2,gemm.rows=8: 0.100 of the default's speed\n");
    assert_has(outcome.output, "4 tried, 0 known from earlier runs, 1 of all rejected");
    assert_has(printed(), "\"settings\": {\n  \"gemm.backend\": \"own\"\n }}");
}

/* Its own parameters are at a tenth of the speed, so the others are not tried. */
static void a_hopeless_clblast_is_left_alone(void **state) {
    (void)state;
    static const clm_test_surroundings slow = {
        .environment = {"CLM_TUNE_FAULT=lose:gemm", "CLM_LOG="}};
    if (!CLM_WITH_CLBLAST) {
        skip();
    }
    begin();
    clm_test_outcome outcome = run_clm_in(&slow, SMALL);
    assert_done(outcome);
    assert_has(outcome.output, "CLBlast 1/1: its own parameters: 0.100 of the default's speed\n");
    assert_has(outcome.errors, "CLBlast's parameters is left out: with 0.100 of the speed");
    assert_null(strstr(outcome.output, "CLBlast's Copy"));
    assert_has(outcome.output, "4 tried, 0 known from earlier runs, 0 of all rejected");
}

/* What wins, and wins again, is kept, and what follows goes on from it. */
static void a_winner_is_kept(void **state) {
    (void)state;
    static const clm_test_surroundings boast = {
        .environment = {"CLM_TUNE_FAULT=" NO_CLBLAST ";win:gemm.vectors=2,gemm.rows=4;lose:gemm"}};
    begin();
    clm_test_outcome outcome = run_clm_in(&boast, SMALL);
    assert_done(outcome);
    assert_has(outcome.output, "once more 2/3: gemm.vectors=2,gemm.rows=4: ");
    const char *kept = printed();
    assert_has(kept, "\"gemm.vectors\": 2");
    assert_has(kept, "\"gemm.rows\": 4");
    assert_has(kept, "\"preset\": \"small\"");
    assert_has(kept, "\"gain\": 1000.000");
    /* Switched off, nothing of it is used. */
    static const clm_test_surroundings off = {.environment = {"CLM_TUNE=off"}};
    outcome = run_clm_in(&off, "tune", "--print");
    assert_done(outcome);
    assert_has(outcome.output, "\"settings\": {\n }}");
}

static pid_t start_hanging(void) {
    static const clm_test_surroundings hangs = {
        .environment = {"CLM_TUNE_FAULT=" NO_WINNER ";hang:gemm.vectors=2,gemm.rows=4"}};
    /* So short a limit that the candidate, when its parent is killed, ends soon as well. */
    return clm_test_start(&hangs, (const char *const[]){SMALL, "--limit", "20", NULL});
}

/* Until so many lines are in the file of progress. */
static void wait_for_lines(pid_t child, int lines) {
    const double start = clm_seconds();
    for (;;) {
        char *text = NULL;
        size_t count = 0;
        int have = 0;
        assert_true(clm_test_wait_for_file(child, progress_path, 1));
        assert_ok(clm_file_read(clm_test_path(progress_path), CLM_FILE_TEXT, &text, &count));
        for (size_t i = 0; i < count; i++) {
            have += text[i] == '\n';
        }
        clm_free(text);
        if (have >= lines) {
            return;
        }
        assert_true(clm_seconds() - start < 50);
    }
}

static void a_signal_keeps_what_was_found(void **state) {
    (void)state;
    static const clm_test_surroundings no_winner = {.environment = {"CLM_TUNE_FAULT=" NO_WINNER}};
    begin();
    const pid_t child = start_hanging();
    wait_for_lines(child, 3); /* one is done, the second has begun */
    (void)kill(child, SIGINT);
    clm_test_outcome outcome = clm_test_wait(child);
    assert_fails(outcome, 130, "the tuning was stopped", "continues");
    outcome = run_clm_in(&no_winner, SMALL);
    assert_done(outcome);
    assert_has(outcome.output, "3 tried, 1 known from earlier runs");
}

static void a_killed_search_continues(void **state) {
    (void)state;
    static const clm_test_surroundings no_winner = {.environment = {"CLM_TUNE_FAULT=" NO_WINNER}};
    begin();
    for (int round = 0; round < 2; round++) {
        const pid_t child = start_hanging();
        wait_for_lines(child, 3 + 2 * round); /* the one that was cut short counts */
        (void)kill(child, SIGKILL);
        assert_int_equal(128 + SIGKILL, clm_test_wait(child).status);
        /* As if the power had gone while a line was written. */
        if (round == 0) {
            char *text = NULL;
            size_t count = 0;
            assert_ok(clm_file_read(clm_test_path(progress_path), CLM_FILE_TEXT, &text, &count));
            clm_test_write(clm_test_path(progress_path), text, count);
            assert_ok(clm_cache_append(clm_test_path(progress_path), "{\"kind\": \"prod", 14));
            clm_free(text);
        }
    }
    /* A candidate that started twice without finishing may have crashed the machine. */
    clm_test_outcome outcome = run_clm_in(&no_winner, SMALL);
    assert_done(outcome);
    assert_has(outcome.output, "gemm.vectors=1,gemm.rows=8: ");
    assert_has(outcome.output, "started 2 times and never finished (known)");
    assert_has(outcome.output, "2 tried, 2 known from earlier runs");
}

static void settings_are_shared(void **state) {
    (void)state;
    begin();
    assert_done(run_clm("tune", "--export", "shared.json"));
    char *text = NULL;
    size_t count = 0;
    assert_ok(clm_file_read(clm_test_path("shared.json"), CLM_FILE_TEXT, &text, &count));
    assert_string_equal(text, printed());
    char *at = strstr(text, "\"driver\": \"");
    assert_non_null(at);
    at[11] = at[11] == '9' ? '8' : '9';
    clm_test_write(clm_test_path("other.json"), text, count);
    clm_free(text);
    clm_test_outcome outcome = run_clm("tune", "--import", "other.json");
    assert_fails(outcome, 3, "other.json: tuned for driver", "--force");
    assert_done(run_clm("tune", "--import", "other.json", "--force"));
    assert_done(run_clm("tune", "--import", "shared.json"));
    outcome = run_clm("tune", "--import", "missing.json");
    assert_fails(outcome, 3, "missing.json");
    clm_test_write(clm_test_path("broken.json"), "{\"format\":", 10);
    outcome = run_clm("tune", "--import", "broken.json", "--force");
    assert_fails(outcome, 3, "broken.json", "not valid JSON");
    assert_done(run_clm("tune", "--reset"));
    assert_has(printed(), "\"preset\": \"\"");
    assert_done(run_clm("tune", "--reset"));
}

static void the_quick_preset_chooses_a_gemm(void **state) {
    (void)state;
    begin();
    assert_done(run_clm("tune", "--reset"));
    clm_test_outcome outcome = run_clm("tune", "--preset", "quick");
    assert_done(outcome);
    assert_has(outcome.output, "GEMM 1/1: gemm.backend=");
    const char *kept = printed();
    assert_has(kept, "\"preset\": \"quick\"");
    assert_has(kept, "\"gemm.backend\"");
}

static void wrong_usage_is_reported(void **state) {
    (void)state;
    clm_test_outcome outcome = run_clm("tune", "--preset", "fast");
    assert_fails(outcome, 2, "fast");
    outcome = run_clm("tune", "everything");
    assert_fails(outcome, 2, "everything");
    outcome = run_clm("tune", "--print", "--reset");
    assert_fails(outcome, 2, "exclude");
    outcome = run_clm("tune", "--all", "--device", "0");
    assert_fails(outcome, 2, "exclude");
    outcome = run_clm("tune", "--limit", "0");
    assert_fails(outcome, 2, "--limit");
    outcome = run_clm("tune", "--device", "no such device");
    assert_fails(outcome, 4, "no such device");
    outcome = run_clm("tune", "--candidate", "9", "0", "0", "0", "gemm.rows=4", "5");
    assert_int_equal(3, outcome.status);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(faults_cost_only_themselves),
        cmocka_unit_test(a_hopeless_clblast_is_left_alone),
        cmocka_unit_test(a_winner_is_kept),
        cmocka_unit_test(a_signal_keeps_what_was_found),
        cmocka_unit_test(a_killed_search_continues),
        cmocka_unit_test(settings_are_shared),
        cmocka_unit_test(the_quick_preset_chooses_a_gemm),
        cmocka_unit_test(wrong_usage_is_reported),
    };
    return cmocka_run_group_tests(tests, find_device, NULL);
}

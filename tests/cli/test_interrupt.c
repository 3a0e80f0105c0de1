/* Runs that are stopped at any moment, and go on as if they had not been.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/folder.h"
#include "base/memory.h"
#include "fixture.h"

/* Long enough for a signal to come in its midst: 60 epochs of 5 batches. */
#define LONG_RUN(out) TRAIN, "--epochs", "60", "--eval-every", "4", "--out", out

static double whole_seconds; /* of a run from its start to its end */

/* "whole": the run that is never stopped, which the others must equal. */
static int make_whole_run(void **state) {
    (void)make_inputs(state);
    assert_done(
        run_clm(LONG_RUN("warm"), "--max-steps", "1")); /* kernels come from the cache now */
    const double start = clm_seconds();
    assert_done(run_clm(LONG_RUN("whole")));
    whole_seconds = clm_seconds() - start;
    return 0;
}

static void assert_equals_whole(const char *run) {
    char name[64];
    (void)snprintf(name, sizeof name, "%s/model.safetensors", run);
    assert_same_bytes("whole/model.safetensors", name);
    assert_same_metrics("whole", run);
}

static pid_t start_long(const char *out, bool resume) {
    const char *const arguments[] = {LONG_RUN(out), resume ? "--resume" : NULL, NULL};
    return clm_test_start(NULL, arguments);
}

static void a_signal_stops_with_a_checkpoint(void **state) {
    (void)state;
    static const int signals[] = {SIGINT, SIGTERM};
    static const char *const runs[] = {"interrupted", "terminated"};
    for (size_t i = 0; i < 2; i++) {
        char name[64];
        (void)snprintf(name, sizeof name, "%s/metrics.jsonl", runs[i]);
        const pid_t child = start_long(runs[i], false);
        assert_true(clm_test_wait_for_file(child, name, 3000));
        (void)kill(child, signals[i]);
        clm_test_outcome outcome = clm_test_wait(child);
        (void)snprintf(name, sizeof name, "%s/checkpoint.safetensors", runs[i]);
        assert_fails(outcome, 130, "stopped after ", " of 300 steps", name, "--resume");
        assert_true(clm_file_exists(clm_test_path(name)));
        assert_no_parts();
        (void)snprintf(name, sizeof name, "%s/model.safetensors", runs[i]);
        assert_false(clm_file_exists(clm_test_path(name)));
        outcome = run_clm(LONG_RUN(runs[i]), "--resume");
        assert_done(outcome);
        assert_has(outcome.output, "Resumed after step ");
        assert_equals_whole(runs[i]);
    }
}

/* A signal before the first step waits for it. */
static void a_signal_at_once_stops_too(void **state) {
    (void)state;
    const pid_t child = start_long("early", false);
    assert_true(clm_test_wait_for_file(child, "early/metrics.jsonl", 1));
    (void)kill(child, SIGINT);
    assert_fails(clm_test_wait(child), 130, "stopped after ");
    assert_done(run_clm(LONG_RUN("early"), "--resume"));
    assert_equals_whole("early");
}

/* LLVM's own handler, in PoCL, would take the compiler's files away. */
static void a_signal_while_kernels_are_built(void **state) {
    (void)state;
    for (int round = 0; round < 2; round++) {
        char cache[4096 + 32];
        char out[64];
        (void)snprintf(cache, sizeof cache, "POCL_CACHE_DIR=%s/cold%d", clm_test_folder(), round);
        (void)snprintf(out, sizeof out, "building%d", round);
        const char *const arguments[] = {LONG_RUN(out), NULL};
        const pid_t child =
            clm_test_start(&(clm_test_surroundings){.environment = {cache}}, arguments);
        (void)snprintf(out, sizeof out, "building%d/metrics.jsonl", round);
        assert_true(clm_test_wait_for_file(child, out, 1));
        (void)usleep((useconds_t)(1e6F * clm_test_uniform(0.0F, 1.0F)));
        (void)kill(child, SIGTERM);
        assert_fails(clm_test_wait(child), 130, "stopped after ");
    }
}

/* Who insists is obeyed at once; what was saved before stays. */
static void a_second_signal_ends_at_once(void **state) {
    (void)state;
    const pid_t child = start_long("twice", false);
    assert_true(clm_test_wait_for_file(child, "twice/checkpoint.safetensors", 1));
    (void)kill(child, SIGINT);
    (void)kill(child, SIGINT);
    clm_test_outcome outcome = clm_test_wait(child);
    assert_int_equal(outcome.status, 128 + SIGINT);
    assert_done(run_clm(LONG_RUN("twice"), "--resume"));
    assert_equals_whole("twice");
    assert_no_parts();
}

/* The model is saved before the final accuracies begin. */
static void a_signal_in_the_final_evaluation(void **state) {
    (void)state;
    const pid_t child = start_long("final", false);
    assert_true(clm_test_wait_for_file(child, "final/model.safetensors", 1));
    (void)kill(child, SIGINT);
    clm_test_outcome outcome = clm_test_wait(child);
    if (outcome.status != 0) { /* the evaluation is short: it may have been over */
        assert_fails(outcome, 130, "stopped after 300 of 300 steps");
        assert_done(run_clm(LONG_RUN("final"), "--resume"));
    }
    assert_equals_whole("final");
    /* A run that is done can be resumed as well, and stays as it is. */
    assert_done(run_clm(LONG_RUN("final"), "--resume"));
    assert_equals_whole("final");
}

static void killed_before_the_first_checkpoint_it_starts_afresh(void **state) {
    (void)state;
    const char *const arguments[] = {LONG_RUN("fresh"), NULL};
    const pid_t child = clm_test_start(NULL, arguments);
    assert_true(clm_test_wait_for_file(child, "fresh/metrics.jsonl", 1));
    (void)kill(child, SIGKILL);
    assert_int_equal(clm_test_wait(child).status, 128 + SIGKILL);
    (void)unlink(clm_test_path("fresh/checkpoint.safetensors")); /* should it have been as fast */
    clm_test_outcome outcome = run_clm(LONG_RUN("fresh"));
    assert_fails(outcome, 3, "fresh: ", "--resume");
    outcome = run_clm(LONG_RUN("fresh"), "--resume");
    assert_done(outcome);
    assert_has(outcome.errors, "warning: fresh: has no checkpoint");
    assert_has(outcome.errors, "afresh");
    assert_equals_whole("fresh");
}

/* However often it is killed, and wherever. */
static void killed_at_random_moments_it_ends_in_the_same_bits(void **state) {
    (void)state;
    int killed = 0;
    bool resume = false;
    for (int round = 0; round < 8; round++) {
        const double seconds = (double)clm_test_uniform(0.0F, (float)whole_seconds);
        const pid_t child = start_long("killed", resume);
        (void)usleep((useconds_t)(1e6 * seconds));
        (void)kill(child, SIGKILL);
        killed += clm_test_wait(child).status == 128 + SIGKILL;
        resume = true;
    }
    assert_true(killed > 0);
    assert_done(run_clm(LONG_RUN("killed"), "--resume"));
    assert_equals_whole("killed");
    assert_no_parts();
}

/* An end that was set by --max-steps is one, too. */
static void more_steps_may_follow(void **state) {
    (void)state;
    assert_done(run_clm(LONG_RUN("some"), "--max-steps", "7"));
    assert_done(run_clm(LONG_RUN("some"), "--max-steps", "10", "--resume"));
    assert_done(run_clm(LONG_RUN("some"), "--resume"));
    char *some = NULL;
    read_file(&some, NULL, "some/metrics.jsonl");
    assert_has(some, "\"step\":299,");
    clm_free(some);
    assert_same_bytes("whole/model.safetensors", "some/model.safetensors");
}

static void only_the_same_run_goes_on(void **state) {
    (void)state;
    clm_test_outcome outcome = run_clm(LONG_RUN("whole"), "--resume", "--batch", "2");
    assert_fails(outcome, 2, "whole/checkpoint.safetensors: ", "batch 4", "batch 2");
    outcome = run_clm(LONG_RUN("whole"), "--resume", "--pooling", "last-token");
    assert_fails(outcome, 2, "whole/checkpoint.safetensors: ", "last-position", "last-token");
    /* The other run's model must not be lost to a slip of the hand. */
    assert_ok(clm_folder_make(clm_test_path("mine")));
    clm_test_write(clm_test_path("mine/model.safetensors"), "precious", 8);
    outcome = run_clm(LONG_RUN("mine"), "--resume");
    assert_fails(outcome, 3, "mine: ", "no checkpoint");
    outcome = run_clm(LONG_RUN("mine"));
    assert_fails(outcome, 3, "mine: ");
    char *bytes = NULL;
    read_file(&bytes, NULL, "mine/model.safetensors");
    assert_string_equal(bytes, "precious");
    clm_free(bytes);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_signal_stops_with_a_checkpoint),
        cmocka_unit_test(a_signal_at_once_stops_too),
        cmocka_unit_test(a_signal_while_kernels_are_built),
        cmocka_unit_test(a_second_signal_ends_at_once),
        cmocka_unit_test(a_signal_in_the_final_evaluation),
        cmocka_unit_test(killed_before_the_first_checkpoint_it_starts_afresh),
        cmocka_unit_test(killed_at_random_moments_it_ends_in_the_same_bits),
        cmocka_unit_test(more_steps_may_follow),
        cmocka_unit_test(only_the_same_run_goes_on),
    };
    return cmocka_run_group_tests(tests, make_whole_run, NULL);
}

/* Runs that are stopped at any moment, and go on as if they had not been.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/folder.h"
#include "base/memory.h"
#include "clm/report.h"
#include "clm/run.h"
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
    static const int signals[] = {SIGINT, SIGTERM, SIGHUP};
    static const char *const runs[] = {"interrupted", "terminated", "hung-up"};
    for (size_t i = 0; i < 3; i++) {
        char name[64];
        (void)snprintf(name, sizeof name, "%s/metrics.jsonl", runs[i]);
        const pid_t child = start_long(runs[i], false);
        assert_true(clm_test_wait_for_file(child, name, 3000));
        (void)kill(child, signals[i]);
        clm_test_outcome outcome = clm_test_wait(child);
        (void)snprintf(name, sizeof name, "%s/checkpoint.safetensors", runs[i]);
        assert_fails(outcome, 130, "stopped after ", " of 300 steps", name, "--resume");
        assert_has(outcome.errors, "stopping: ");
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

/* What whoever started it had it ignore is ignored, and a second hangup is no insisting. */
static void hangups(void **state) {
    (void)state;
    const char *const arguments[] = {LONG_RUN("nohup"), NULL};
    pid_t child = clm_test_start(&(clm_test_surroundings){.ignored_signal = SIGHUP}, arguments);
    assert_true(clm_test_wait_for_file(child, "nohup/checkpoint.safetensors", 1));
    (void)kill(child, SIGHUP);
    clm_test_outcome outcome = clm_test_wait(child);
    assert_done(outcome);
    assert_null(strstr(outcome.errors, "stopping"));
    assert_equals_whole("nohup");

    child = start_long("hangups", false);
    assert_true(clm_test_wait_for_file(child, "hangups/checkpoint.safetensors", 1));
    for (int i = 0; i < 5; i++) {
        (void)kill(child, SIGHUP);
        (void)usleep(1000);
    }
    assert_fails(clm_test_wait(child), 130, "stopped after ");
    assert_done(run_clm("finetune", "--resume", "--out", "hangups"));
    assert_equals_whole("hangups");
}

/* One run, two processes: the second keeps out, and comes in at once when the first was killed. */
static void a_run_is_one_process(void **state) {
    (void)state;
    const pid_t child = start_long("shared", false);
    assert_true(clm_test_wait_for_file(child, "shared/checkpoint.safetensors", 1));
    (void)kill(child, SIGSTOP);
    clm_run *run = NULL;
    assert_status(CLM_ERROR_BUSY, clm_run_open(&run, clm_test_path("shared"), CLM_RUN_RESUME));
    char number[32];
    (void)snprintf(number, sizeof number, "%ld", (long)child);
    assert_message_has(number);
    assert_status(CLM_ERROR_BUSY, clm_run_open(&run, clm_test_path("shared"), CLM_RUN_REPLACE));
    (void)kill(child, SIGKILL);
    assert_int_equal(clm_test_wait(child).status, 128 + SIGKILL);
    assert_done(run_clm("finetune", "--resume", "--out", "shared"));
    assert_equals_whole("shared");
}

/* What somebody else put into the folder is neither followed nor written. */
static void links_lead_nowhere(void **state) {
    (void)state;
    static const char *const names[] = {"metrics.jsonl", "checkpoint.safetensors",
                                        "run.json",      "README.md",
                                        "config.json",   "model.safetensors"};
    assert_done(run_clm(LONG_RUN("linked"), "--max-steps", "3"));
    clm_test_write(clm_test_path("precious"), "precious", 8);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char name[64];
        char kept[1024];
        (void)snprintf(name, sizeof name, "linked/%s", names[i]);
        (void)snprintf(kept, sizeof kept, "%s", clm_test_path(name));
        assert_int_equal(rename(kept, clm_test_path("kept")), 0);
        assert_int_equal(symlink("../precious", kept), 0);
        const clm_test_outcome outcome = run_clm(LONG_RUN("linked"), "--resume");
        if (i == 0 || outcome.status != 0) {
            assert_fails(outcome, 3, names[i]);
        }
        char *bytes = NULL;
        read_file(&bytes, NULL, "precious");
        assert_string_equal(bytes, "precious");
        clm_free(bytes);
        (void)unlink(kept);
        assert_int_equal(rename(clm_test_path("kept"), kept), 0);
    }
    assert_done(run_clm(LONG_RUN("linked"), "--resume", "--max-steps", "0"));
    assert_equals_whole("linked");
}

/* A run stays in the folder that it was begun in, should its path lead elsewhere meanwhile: what is
 * saved at the end does not go where somebody else would like it. */
static void a_run_stays_in_its_folder(void **state) {
    (void)state;
    char path[1024];
    const pid_t child = start_long("moving", false);
    assert_true(clm_test_wait_for_file(child, "moving/metrics.jsonl", 1));
    (void)kill(child, SIGSTOP);
    (void)snprintf(path, sizeof path, "%s", clm_test_path("moving"));
    assert_int_equal(rename(path, clm_test_path("moved")), 0);
    assert_ok(clm_folder_make(clm_test_path("elsewhere")));
    assert_int_equal(symlink("elsewhere", path), 0);
    (void)kill(child, SIGCONT);
    assert_done(clm_test_wait(child));
    assert_int_equal(rmdir(clm_test_path("elsewhere")), 0); /* nothing came there */
    assert_equals_whole("moved");
    static const char *const names[] = {"config.json", "tokenizer.json", "tokenizer_config.json",
                                        "README.md", "checkpoint.safetensors"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char name[64];
        (void)snprintf(name, sizeof name, "moved/%s", names[i]);
        assert_true(clm_file_exists(clm_test_path(name)));
    }
}

static void copy_golden(const char *name) {
    char *bytes = NULL;
    size_t size_bytes = 0;
    char from[64];
    char to[64];
    (void)snprintf(from, sizeof from, "golden/old-run/%s", name);
    (void)snprintf(to, sizeof to, "old-run/%s", name);
    assert_ok(clm_file_read(clm_test_source(from), CLM_FILE_METRICS, &bytes, &size_bytes));
    clm_test_write(clm_test_path(to), bytes, size_bytes);
    clm_free(bytes);
}

/* A folder of before run.json (tests/golden/old-run/README.md tells how it was made) goes on, with
 * last-position, which was the default, and ends as that version did. The same bits would need the
 * same processor: sums are taken in the order that suits it, which is some roundings of 6e-8. */
static void a_run_of_an_earlier_version_goes_on(void **state) {
    (void)state;
    static const char *const names[] = {"metrics.jsonl", "checkpoint.safetensors", "config.json",
                                        "model.safetensors", "whole.jsonl"};
    clm_metrics got;
    clm_metrics want;
    assert_ok(clm_folder_make(clm_test_path("old-run")));
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        copy_golden(names[i]);
    }
    assert_fails(run_clm("finetune", "--resume", "--out", "old-run"), 2, "run.json", "--model");
#define OLD_RUN TRAIN, "--epochs", "3", "--eval-every", "4", "--out", "old-run", "--resume"
    assert_fails(run_clm(OLD_RUN, "--pooling", "last-token"), 2, "last-position");
    assert_done(run_clm(OLD_RUN));
    assert_ok(clm_metrics_read(&got, clm_test_path("old-run/metrics.jsonl")));
    assert_ok(clm_metrics_read(&want, clm_test_path("old-run/whole.jsonl")));
    assert_int_equal(got.step_count, want.step_count);
    assert_int_equal(got.step_count, 15);
    for (size_t i = 0; i < got.step_count; i++) {
        assert_close(got.steps[i].loss, want.steps[i].loss, 1e-4, 0.0);
    }
    clm_metrics_free(&got);
    clm_metrics_free(&want);
    /* From now on it is a run like any other. */
    assert_done(run_clm("finetune", "--resume", "--out", "old-run"));
}

/* Whether the self-test has left word of what it is at. */
static bool has_mark(void) {
    char command[4096 + 64];
    (void)snprintf(command, sizeof command, "test -n \"$(find '%s' -name '*.mark' 2>/dev/null)\"",
                   clm_test_path("tested"));
    return system(command) == 0;
}

/* Its kernels are no crashes of the driver then. */
static void hangups_in_the_self_test(void **state) {
    (void)state;
    char cache[4096 + 32];
    const char *const arguments[] = {LONG_RUN("testing"), NULL};
    (void)snprintf(cache, sizeof cache, "CLM_CACHE_DIR=%s/tested", clm_test_folder());
    const clm_test_surroundings around = {.environment = {cache, "CLM_SELFTEST=on"}};
    for (int round = 0; round < 2; round++) {
        const pid_t child = clm_test_start(&around, arguments);
        const double start = clm_seconds();
        while (!has_mark() && clm_seconds() - start < 60.0) {
            (void)usleep(1000);
        }
        (void)kill(child, SIGHUP);
        (void)kill(child, SIGHUP);
        assert_fails(clm_test_wait(child), 130, "self-test was stopped");
        assert_false(has_mark());
    }
}

/* A signal before the first step ends has nothing to wait for. */
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

static void killed_before_the_first_checkpoint_it_starts_over_with_force(void **state) {
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
    assert_fails(outcome, 3, "fresh: has no checkpoint", "--force");
    assert_done(run_clm(LONG_RUN("fresh"), "--resume", "--force"));
    assert_equals_whole("fresh");
    /* A run is replaced only by force, too. */
    assert_fails(run_clm(LONG_RUN("fresh")), 3, "fresh: ", "--force");
    assert_done(run_clm(LONG_RUN("fresh"), "--force"));
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
        resume = clm_file_exists(clm_test_path("killed/checkpoint.safetensors"));
        if (!resume) { /* killed before the first */
            char command[4096 + 16];
            (void)snprintf(command, sizeof command, "rm -rf '%s'", clm_test_path("killed"));
            assert_int_equal(system(command), 0);
        }
    }
    assert_true(killed > 0);
    assert_done(run_clm(LONG_RUN("killed"), "--resume", "--force"));
    assert_equals_whole("killed");
    assert_no_parts();
}

/* An end that was set by --max-steps is one, too. */
static void more_steps_may_follow(void **state) {
    (void)state;
    assert_done(run_clm(LONG_RUN("some"), "--max-steps", "7"));
    assert_done(run_clm(LONG_RUN("some"), "--max-steps", "10", "--resume"));
    /* What was recorded last holds, until something else is said. */
    assert_done(run_clm("finetune", "--resume", "--out", "some"));
    assert_done(run_clm(LONG_RUN("some"), "--resume", "--max-steps", "0"));
    char *some = NULL;
    read_file(&some, NULL, "some/metrics.jsonl");
    assert_has(some, "\"step\":299,");
    clm_free(some);
    assert_same_bytes("whole/model.safetensors", "some/model.safetensors");
}

/* From anywhere, with nothing said but the folder. */
static void resume_alone_goes_on_in_the_same_bits(void **state) {
    (void)state;
    assert_done(run_clm(LONG_RUN("alone"), "--max-steps", "13"));
    assert_done(run_clm("finetune", "--resume", "--out", "alone", "--max-steps", "27"));
    const char *const arguments[] = {
        "finetune", "--resume", "--max-steps", "0", "--out", clm_test_path("alone"), NULL};
    assert_done(clm_test_run(&(clm_test_surroundings){.folder = "/"}, arguments));
    assert_equals_whole("alone");
}

/* What does not change the bits may be given otherwise; the rest is named, old and new. */
static void only_the_same_run_goes_on(void **state) {
    (void)state;
    clm_test_outcome outcome = run_clm("finetune", "--resume", "--out", "whole", "--batch", "2",
                                       "--pooling", "last-position", "--lr", "1e-3");
    assert_fails(outcome, 2, "whole: ", "--batch 4 (not 2)",
                 "--pooling last-token (not last-position)");
    assert_null(strstr(outcome.errors, "--lr"));
    outcome = run_clm("finetune", "--resume", "--out", "whole", "--recipe");
    assert_fails(outcome, 2, "--pooling last-token (not last-position)", "--batch 4 (not 8)",
                 "--lr 0.001 (not 5e-05)");
    outcome = run_clm("finetune", "--resume", "--out", "whole", "--model",
                      "random:n_layer=2,n_embd=16,n_head=2,n_ctx=256,n_vocab=300");
    assert_fails(outcome, 2, "--model random:n_layer=1", "(not random:n_layer=2");
    outcome = run_clm_in(&(clm_test_surroundings){.environment = {"CLM_LOG=info"}}, "finetune",
                         "--resume", "--out", "whole", "--data", "./data", "--no-overlap");
    assert_done(outcome);
    assert_has(outcome.errors, "from now on --no-overlap is yes, where it was no");
    assert_null(strstr(outcome.errors, "--data"));
    assert_equals_whole("whole");
    outcome = run_clm("finetune", "--resume", "--out", "nowhere");
    assert_fails(outcome, 3, "nowhere: there is no such run");
    outcome = run_clm("finetune", "--resume", "--force", "--out", "nowhere");
    assert_fails(outcome, 2, "nowhere: ", "--model");
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
        cmocka_unit_test(hangups),
        cmocka_unit_test(hangups_in_the_self_test),
        cmocka_unit_test(a_run_is_one_process),
        cmocka_unit_test(links_lead_nowhere),
        cmocka_unit_test(a_run_stays_in_its_folder),
        cmocka_unit_test(a_run_of_an_earlier_version_goes_on),
        cmocka_unit_test(a_signal_at_once_stops_too),
        cmocka_unit_test(a_signal_while_kernels_are_built),
        cmocka_unit_test(a_second_signal_ends_at_once),
        cmocka_unit_test(a_signal_in_the_final_evaluation),
        cmocka_unit_test(killed_before_the_first_checkpoint_it_starts_over_with_force),
        cmocka_unit_test(killed_at_random_moments_it_ends_in_the_same_bits),
        cmocka_unit_test(more_steps_may_follow),
        cmocka_unit_test(resume_alone_goes_on_in_the_same_bits),
        cmocka_unit_test(only_the_same_run_goes_on),
    };
    return cmocka_run_group_tests(tests, make_whole_run, NULL);
}

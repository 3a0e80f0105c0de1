/* The command as a person has it at a terminal: questions, prompts, lines of progress, Ctrl-C.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <dirent.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/folder.h"
#include "base/memory.h"
#include "fixture.h"

static const clm_test_surroundings watched = {.at_terminal = true};

static clm_test_surroundings typed(const char *input) {
    return (clm_test_surroundings){.at_terminal = true, .input = input};
}

/* ---- questions ---- */

#define RESUME_NOTHING TRAIN, "--epochs", "1", "--max-steps", "2", "--resume", "--out"

/* Only a clear yes trains from the start; whatever else is said, nothing changes. */
static void a_resume_without_checkpoint_asks(void **state) {
    (void)state;
    static const char *const refusals[] = {"n\n", "\n", "no, yes\n", "\x04"};
    clm_test_surroundings around = typed(NULL);
    assert_ok(clm_folder_make(clm_test_path("asked")));
    for (size_t i = 0; i < sizeof refusals / sizeof *refusals; i++) {
        around.input = refusals[i];
        const clm_test_outcome outcome = run_clm_in(&around, RESUME_NOTHING, "asked");
        assert_int_equal(outcome.status, 3);
        assert_has(outcome.output,
                   "asked has no checkpoint to resume from. Train from the start? ");
        assert_has(outcome.output, "clm: asked: has no checkpoint to resume from; --force trains");
        assert_false(clm_file_exists(clm_test_path("asked/metrics.jsonl")));
    }
    around.input = "y\n";
    const clm_test_outcome outcome = run_clm_in(&around, RESUME_NOTHING, "asked");
    assert_int_equal(outcome.status, 0);
    assert_true(clm_file_exists(clm_test_path("asked/checkpoint.safetensors")));
    /* Now that there is one, nobody is asked. */
    around.input = NULL;
    const clm_test_outcome again = run_clm_in(&around, RESUME_NOTHING, "asked");
    assert_int_equal(again.status, 0);
    assert_null(strstr(again.output, "Train from the start?"));
}

static size_t count(const char *text, const char *part) {
    size_t found = 0;
    for (; (text = strstr(text, part)) != NULL; text += strlen(part)) {
        found++;
    }
    return found;
}

static void classify_prompts(void **state) {
    (void)state;
    const clm_test_surroundings around = typed("Win cash now\nsee you at home\n\x04");
    const clm_test_outcome outcome = run_clm_in(&around, "classify", "--model", "run");
    assert_int_equal(outcome.status, 0);
    assert_int_equal(count(outcome.output, "Each line is a text; Ctrl-D ends.\n"), 1);
    /* Before each line and before the end; lines that come together may have one prompt. */
    assert_true(count(outcome.output, "> ") >= 2);
    /* The terminal echoes what is typed, and the answer has the text again. */
    assert_int_equal(count(outcome.output, "Win cash now"), 2);
    assert_int_equal(count(outcome.output, "see you at home"), 2);
}

/* ---- progress ---- */

/* What a terminal shows as it goes is in no pipe. */
static void work_shows_how_much_is_left(void **state) {
    (void)state;
    clm_test_outcome outcome = run_clm_in(&watched, "selftest", "gelu", "layernorm");
    assert_int_equal(outcome.status, 0);
    assert_has(outcome.output, "testing the device: 0 of 2 operations");
    assert_has(outcome.output, "testing the device: 1 of 2 operations");
    assert_has(outcome.output, "\r\033[K   1/2 gelu"); /* the line gives way */
    outcome = run_clm("selftest", "gelu");
    assert_done(outcome);
    assert_string_equal(outcome.errors, "");
#define MEASURE "bench", "layernorm", "--quick", "--seconds", "0.01", "--no-selftest"
    outcome = run_clm_in(&watched, MEASURE);
    assert_int_equal(outcome.status, 0);
    assert_has(outcome.output, "measuring: 0 of 2 cases; the device's limits");
    assert_has(outcome.output, "measuring: 1 of 2 cases; layernorm/backward");
    outcome = run_clm(MEASURE);
    assert_done(outcome);
    assert_string_equal(outcome.errors, "");
}

/* ---- Ctrl-C ---- */

#define LONG_RUN(out) TRAIN, "--epochs", "1000", "--eval-every", "0", "--out", out

static void ctrl_c_stops_a_run(void **state) {
    (void)state;
    const char *const arguments[] = {LONG_RUN("stopped"), NULL};
    const pid_t child = clm_test_start(&watched, arguments);
    assert_true(clm_test_wait_for_text(child, "training: "));
    clm_test_type("\x03");
    const clm_test_outcome outcome = clm_test_wait(child);
    assert_int_equal(outcome.status, 130);
    assert_has(outcome.output, "\r\033[Kstopping");
    assert_has(outcome.output, "saving the checkpoint: ");
    assert_has(outcome.output, " steps; everything is in stopped/checkpoint.safetensors");
}

/* ---- a second Ctrl-C while the checkpoint is saved ---- */

/* Large enough that saving takes a while: 38 MB in 48 pieces. */
#define WIDE_RUN                                                                          \
    "finetune", "classify", "--model",                                                    \
        "random:n_layer=1,n_embd=512,n_head=8,n_ctx=256,n_vocab=300", "--vocab", "vocab", \
        "--data", "data", "--batch", "4", "--lr", "1e-4", "--train", "all", "--no-final", \
        "--eval-every", "0", "--epochs", "1000", "--out", "wide"

/* Bytes of the part that is being written in the folder; 0 when there is none. */
static size_t part_bytes(const char *folder) {
    size_t bytes = 0;
    DIR *stream = opendir(folder);
    for (const struct dirent *entry = NULL;
         stream != NULL && (entry = readdir(stream)) != NULL && bytes == 0;) {
        struct stat about;
        if (strncmp(entry->d_name, ".clm-part-", 10) == 0 &&
            fstatat(dirfd(stream), entry->d_name, &about, 0) == 0) {
            bytes = (size_t)about.st_size;
        }
    }
    if (stream != NULL) {
        (void)closedir(stream);
    }
    return bytes;
}

/* Waits until a part has some bytes, and holds the child there; false when the child ended. */
static bool hold_in_saving(pid_t child) {
    const char *folder = clm_test_path("wide");
    siginfo_t ended = {0};
    while (part_bytes(folder) == 0) {
        if (waitid(P_PID, (id_t)child, &ended, WEXITED | WNOHANG | WNOWAIT) != 0 ||
            ended.si_pid == child) {
            return false;
        }
    }
    (void)kill(child, SIGSTOP);
    return true;
}

/* One try: whether the second signal came while the checkpoint was being written. Otherwise it was
 * whole by then, or the signal ended the process before the saving began; both are right. */
static bool skip_saving(void) {
    const char *const arguments[] = {WIDE_RUN, "--resume", "--max-steps", "0", NULL};
    struct stat before;
    assert_int_equal(stat(clm_test_path("wide/metrics.jsonl"), &before), 0);
    const pid_t child = clm_test_start(NULL, arguments);
    assert_true(clm_test_wait_for_file(child, "wide/metrics.jsonl", (size_t)before.st_size + 1));
    (void)kill(child, SIGINT);
    if (hold_in_saving(child)) {
        (void)kill(child, SIGINT);
        (void)kill(child, SIGCONT);
    }
    const clm_test_outcome outcome = clm_test_wait(child);
    assert_int_equal(outcome.status, 128 + SIGINT);
    assert_no_parts();
    if (strstr(outcome.errors, "the checkpoint was not saved") == NULL) {
        return false;
    }
    assert_fails(outcome, 130, "stopped after ", "--resume continues after step 2");
    return true;
}

static void a_second_ctrl_c_skips_the_saving(void **state) {
    (void)state;
    enum { most_tries = 20 };
    bool skipped = false;
    for (int i = 0; i < most_tries && !skipped; i++) {
        char command[4096 + 16];
        (void)snprintf(command, sizeof command, "rm -rf '%s'", clm_test_path("wide"));
        assert_int_equal(system(command), 0);
        assert_done(run_clm(WIDE_RUN, "--max-steps", "2"));
        assert_int_equal(
            rename(clm_test_path("wide/checkpoint.safetensors"), clm_test_path("kept.safetensors")),
            0);
        assert_int_equal(
            link(clm_test_path("kept.safetensors"), clm_test_path("wide/checkpoint.safetensors")),
            0);
        skipped = skip_saving();
    }
    assert_true(skipped);
    /* The one before is there, and the run goes on from it. */
    assert_same_bytes("kept.safetensors", "wide/checkpoint.safetensors");
    const clm_test_outcome outcome = run_clm(WIDE_RUN, "--resume", "--max-steps", "3");
    assert_done(outcome);
    assert_has(outcome.output, "Resumed after step 2");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_resume_without_checkpoint_asks), cmocka_unit_test(classify_prompts),
        cmocka_unit_test(work_shows_how_much_is_left),      cmocka_unit_test(ctrl_c_stops_a_run),
        cmocka_unit_test(a_second_ctrl_c_skips_the_saving),
    };
    return cmocka_run_group_tests(tests, make_run, NULL);
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "tune/child.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/memory.h"
#include "base/number.h"
#include "tune/trial.h"

extern char **environ;

enum { ANSWER_BYTES = 4096, POLL_MS = 20 };

/* How long a killed child may take to go. One that sits in a broken driver may never: it is left
 * behind. */
static const double grace_seconds = 5.0;

/* ---- what is passed ---- */

static void add_answer(clm_string *answer, const clm_tune_score *score) {
    const clm_gemm_measurement *b = &score->backends;
    clm_string_add(answer, "{\"clm\": ");
    clm_json_add_string(answer, clm_version());
    clm_string_add_format(
        answer, ", \"outcome\": \"%s\", \"speed\": ", clm_tune_outcome_name(score->outcome));
    clm_json_add_double(answer, score->speed);
    clm_string_add(answer, ", \"why\": ");
    clm_json_add_string(answer, score->why);
    clm_string_add_format(answer,
                          ", \"peak\": %.6g, \"own\": %.6g, \"clblast\": %.6g, "
                          "\"backend\": %d}\n",
                          b->peak_flops, b->own_flops, b->clblast_flops, (int)b->backend);
}

static clm_status read_answer(clm_tune_score *score, const char *text, size_t length,
                              const char *helper) {
    clm_status status = CLM_OK;
    cJSON *json = NULL;
    const char *version = NULL;
    const char *outcome = NULL;
    const char *why = NULL;
    int backend = 0;
    clm_gemm_measurement *b = &score->backends;
    CLM_TRY(clm_json_parse(&json, text, length, helper));
    CLM_TRY(clm_json_get_string(json, "clm", true, &version, helper));
    if (strcmp(version, clm_version()) != 0) {
        status = clm_fail(CLM_ERROR_ARGUMENT, "%s is clm %s, and this is %s", helper, version,
                          clm_version());
        goto cleanup;
    }
    CLM_TRY(clm_json_get_string(json, "outcome", true, &outcome, helper));
    CLM_TRY(clm_json_get_string(json, "why", true, &why, helper));
    CLM_TRY(clm_json_get_double(json, "speed", true, &score->speed, helper));
    CLM_TRY(clm_json_get_double(json, "peak", true, &b->peak_flops, helper));
    CLM_TRY(clm_json_get_double(json, "own", true, &b->own_flops, helper));
    CLM_TRY(clm_json_get_double(json, "clblast", true, &b->clblast_flops, helper));
    CLM_TRY(clm_json_get_int(json, "backend", true, 0, CLM_GEMM_OWN_TILED, &backend, helper));
    b->backend = (clm_gemm_backend)backend;
    score->outcome = CLM_TUNE_FAILED;
    for (int i = 0; i < CLM_TUNE_OUTCOMES; i++) {
        if (strcmp(outcome, clm_tune_outcome_name((clm_tune_outcome)i)) == 0) {
            score->outcome = (clm_tune_outcome)i;
        }
    }
    (void)snprintf(score->why, sizeof score->why, "%s", why);
cleanup:
    cJSON_Delete(json);
    return status;
}

/* ---- the parent ---- */

static void nap(void) {
    const struct timespec time = {.tv_nsec = POLL_MS * 1000000L};
    (void)nanosleep(&time, NULL);
}

/* Standard output becomes the pipe, the others nothing; a group of its own keeps the terminal's
 * signals away, and lets what the driver started be killed with it. No signal is blocked there,
 * whatever this process blocks. */
static clm_status start_child(pid_t *child, const char *helper, char *const *arguments,
                              int output) {
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    sigset_t none;
    (void)sigemptyset(&none);
    int failed = posix_spawn_file_actions_init(&actions);
    if (failed != 0) {
        return clm_fail_errno(failed, "%s cannot be run", helper);
    }
    failed = posix_spawnattr_init(&attributes);
    if (failed == 0) {
        const bool set = posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null",
                                                          O_RDONLY, 0) == 0 &&
                         posix_spawn_file_actions_adddup2(&actions, output, STDOUT_FILENO) == 0 &&
                         posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, "/dev/null",
                                                          O_WRONLY, 0) == 0 &&
                         posix_spawnattr_setflags(
                             &attributes, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK) == 0 &&
                         posix_spawnattr_setsigmask(&attributes, &none) == 0 &&
                         posix_spawnattr_setpgroup(&attributes, 0) == 0;
        failed =
            set ? posix_spawnp(child, helper, &actions, &attributes, arguments, environ) : ENOMEM;
        (void)posix_spawnattr_destroy(&attributes);
    }
    (void)posix_spawn_file_actions_destroy(&actions);
    return failed == 0 ? CLM_OK : clm_fail_errno(failed, "%s cannot be run", helper);
}

static void kill_child(pid_t child) {
    int status = 0;
    (void)kill(-child, SIGKILL);
    for (const double start = clm_seconds(); clm_seconds() - start < grace_seconds; nap()) {
        if (waitpid(child, &status, WNOHANG) != 0) {
            return;
        }
    }
}

/* Everything the child says, until it ends: true when it ended by itself, with *status. */
static bool listen_to_child(pid_t child, int input, char *answer, size_t *length, int limit_seconds,
                            bool (*should_stop)(void *context), void *context,
                            clm_tune_score *score, int *status) {
    const double start = clm_seconds();
    bool open = true;
    for (;;) {
        struct pollfd ready = {.fd = input, .events = POLLIN};
        if (open && poll(&ready, 1, POLL_MS) > 0) {
            const ssize_t count = read(input, answer + *length, ANSWER_BYTES - *length);
            open = count > 0;
            *length += count > 0 ? (size_t)count : 0;
            continue;
        }
        if (!open) {
            if (waitpid(child, status, WNOHANG) == child) {
                return true;
            }
            nap();
        }
        const bool stop = should_stop != NULL && should_stop(context);
        if (stop || clm_seconds() - start > limit_seconds) {
            score->outcome = stop ? CLM_TUNE_STOPPED : CLM_TUNE_HUNG;
            (void)snprintf(score->why, sizeof score->why,
                           stop ? "stopped" : "not done after %d seconds", limit_seconds);
            kill_child(child);
            return false;
        }
    }
}

clm_status clm_tune_in_child(const char *helper, int device_index, const clm_tune_trial *trial,
                             int limit_seconds, bool (*should_stop)(void *context), void *context,
                             clm_tune_score *score) {
    clm_status status = CLM_OK;
    clm_string settings = {0};
    char answer[ANSWER_BYTES];
    char numbers[5][32];
    size_t length = 0;
    int ends[2] = {-1, -1};
    int ended = 0;
    pid_t child = 0;
    *score = (clm_tune_score){.outcome = CLM_TUNE_CRASHED};
    clm_tuning_describe(&settings, &trial->settings);
    CLM_TRY(clm_string_status(&settings));
    (void)snprintf(numbers[0], sizeof numbers[0], "%d", (int)trial->kind);
    (void)snprintf(numbers[1], sizeof numbers[1], "%d", (int)trial->preset);
    (void)snprintf(numbers[2], sizeof numbers[2], "%d", device_index);
    (void)clm_format(numbers[3], sizeof numbers[3], "%.6g", trial->beat);
    (void)snprintf(numbers[4], sizeof numbers[4], "%d", limit_seconds);
    const char *const arguments[] = {
        helper,     "tune",     "--candidate", numbers[0],
        numbers[1], numbers[2], numbers[3],    settings.text != NULL ? settings.text : "",
        numbers[4], NULL};
    if (pipe(ends) != 0 || fcntl(ends[0], F_SETFD, FD_CLOEXEC) != 0 ||
        fcntl(ends[1], F_SETFD, FD_CLOEXEC) != 0) {
        status = clm_fail_errno(errno, "a pipe to %s cannot be made", helper);
        goto cleanup;
    }
    CLM_TRY(start_child(&child, helper, (char *const *)arguments, ends[1]));
    (void)close(ends[1]);
    ends[1] = -1;
    if (!listen_to_child(child, ends[0], answer, &length, limit_seconds, should_stop, context,
                         score, &ended)) {
        goto cleanup;
    }
    if (WIFSIGNALED(ended)) {
        (void)snprintf(score->why, sizeof score->why, "ended by signal %d%s", WTERMSIG(ended),
                       WTERMSIG(ended) == SIGSEGV   ? " (segmentation fault)"
                       : WTERMSIG(ended) == SIGABRT ? " (abort)"
                       : WTERMSIG(ended) == SIGKILL ? " (killed, perhaps for want of memory)"
                                                    : "");
    } else if (WEXITSTATUS(ended) == 127 && length == 0) {
        status =
            access(helper, X_OK) != 0
                ? clm_fail_errno(errno, "%s cannot be run", helper)
                : clm_fail(CLM_ERROR_NOT_FOUND, "%s cannot be run: it is not a program", helper);
    } else if (WEXITSTATUS(ended) != 0 || length == 0) {
        (void)snprintf(score->why, sizeof score->why, "ended with status %d", WEXITSTATUS(ended));
    } else {
        status = read_answer(score, answer, length, helper);
    }
cleanup:
    for (int i = 0; i < 2; i++) {
        if (ends[i] >= 0) {
            (void)close(ends[i]);
        }
    }
    clm_string_free(&settings);
    return status;
}

/* ---- the child ---- */

clm_status clm_tune_child_parse(clm_tune_trial *trial, int *device_index, char *const *arguments,
                                int count) {
    clm_status status = CLM_OK;
    if (count != 6) {
        return clm_fail(CLM_ERROR_FORMAT, "a candidate has 6 arguments, not %d", count);
    }
    const long kind = strtol(arguments[0], NULL, 10);
    const long preset = strtol(arguments[1], NULL, 10);
    if (kind < 0 || kind > CLM_TUNE_BACKENDS || preset < 0 || preset > CLM_TUNE_SMALL) {
        return clm_fail(CLM_ERROR_FORMAT, "there is no kind %ld or preset %ld", kind, preset);
    }
    *trial = (clm_tune_trial){.kind = (clm_tune_kind)kind,
                              .preset = (clm_tune_preset)preset,
                              .settings = clm_tuning_defaults()};
    if (!clm_number_parse(arguments[3], strlen(arguments[3]), &trial->beat)) {
        return clm_fail(CLM_ERROR_FORMAT, "a speed is a number, not \"%s\"", arguments[3]);
    }
    *device_index = (int)strtol(arguments[2], NULL, 10);
    CLM_TRY(clm_tuning_add(&trial->settings, arguments[4]));
cleanup:
    return status;
}

clm_status clm_tune_child_answer(clm_string *answer, const clm_tune_trial *trial,
                                 int device_index) {
    clm_status status = CLM_OK;
    clm_device *device = NULL;
    clm_device_options options = CLM_DEVICE_OPTIONS_DEFAULT;
    clm_tune_score score = {0};
    char pattern[16];
    (void)snprintf(pattern, sizeof pattern, "%d", device_index);
    options.pattern = pattern;
    CLM_TRY(clm_device_open(&device, &options));
    CLM_TRY(clm_tune_measure(device, trial, &score));
    add_answer(answer, &score);
    CLM_TRY(clm_string_status(answer));
cleanup:
    clm_device_close(device);
    return status;
}

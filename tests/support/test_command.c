/* SPDX-License-Identifier: Apache-2.0 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* posix_openpt */
#endif
#include "support/test_command.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/memory.h"

static const double most_seconds = 60.0;
static const char *const input_name = ".input";
static const char *const output_name = ".output";
static const char *const errors_name = ".errors";

/* ---- a terminal ---- */

/* The side of the pseudo-terminal that a person sits at; -1 when there is none. The other is kept
 * open as well, so that what was shown stays until it is read. */
static int person = -1;
static int command_side = -1;
static char *shown; /* everything that was shown, with a NUL */
static size_t shown_bytes;

static void open_terminal(void) {
    person = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
    assert_true(person >= 0);
    assert_int_equal(grantpt(person), 0);
    assert_int_equal(unlockpt(person), 0);
    command_side = open(ptsname(person), O_RDWR | O_NOCTTY | O_CLOEXEC);
    assert_true(command_side >= 0);
    struct termios modes;
    assert_int_equal(tcgetattr(command_side, &modes), 0);
    modes.c_oflag &= ~(tcflag_t)OPOST; /* "\n" stays what it is */
    assert_int_equal(tcsetattr(command_side, TCSANOW, &modes), 0);
    assert_int_equal(fcntl(person, F_SETFL, O_NONBLOCK), 0);
    shown_bytes = 0;
    assert_ok(clm_reallocate(&shown, 1, 1, "a terminal's text"));
    shown[0] = '\0';
}

/* A terminal that nobody reads from holds up who writes to it. */
static void look_at_terminal(void) {
    char piece[4096];
    ssize_t got = 0;
    while (person >= 0 && (got = read(person, piece, sizeof piece)) > 0) {
        assert_ok(clm_reallocate(&shown, shown_bytes + (size_t)got + 1, 1, "a terminal's text"));
        memcpy(shown + shown_bytes, piece, (size_t)got);
        shown_bytes += (size_t)got;
        shown[shown_bytes] = '\0';
    }
}

static void close_terminal(void) {
    look_at_terminal();
    (void)close(person);
    (void)close(command_side);
    person = command_side = -1;
}

void clm_test_type(const char *text) {
    const size_t length = strlen(text);
    assert_int_equal(write(person, text, length), length);
}

/* In the child: the terminal becomes the controlling one of a session of its own, so that Ctrl-C
 * reaches the child and nobody else. */
static void sit_at_terminal(void) {
    const char *name = ptsname(person);
    if (setsid() < 0 || name == NULL) {
        _exit(99);
    }
    const int terminal = open(name, O_RDWR); /* without O_NOCTTY */
    for (int target = 0; target < 3; target++) {
        if (terminal < 0 || dup2(terminal, target) < 0) {
            _exit(99);
        }
    }
    if (terminal > STDERR_FILENO) {
        (void)close(terminal);
    }
}

/* ---- the child ---- */

/* In the child: what goes wrong here shows as status 99. */
static void redirect(int target, int descriptor) {
    if (descriptor < 0 || dup2(descriptor, target) < 0) {
        _exit(99);
    }
    if (descriptor != target) {
        (void)close(descriptor);
    }
}

static void redirect_output(const clm_test_surroundings *around) {
    if (around->output_is_closed_pipe) {
        int ends[2];
        if (pipe(ends) != 0) {
            _exit(99);
        }
        (void)close(ends[0]);
        redirect(STDOUT_FILENO, ends[1]);
        return;
    }
    const char *name = around->output != NULL ? around->output : output_name;
    redirect(STDOUT_FILENO, open(name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666));
}

static void redirect_streams(const clm_test_surroundings *around) {
    const char *input = around->input != NULL ? input_name : "/dev/null";
    redirect(STDIN_FILENO, open(input, O_RDONLY | O_CLOEXEC));
    redirect_output(around);
    redirect(STDERR_FILENO, open(errors_name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666));
}

static void limit_files(long most_bytes) {
    const struct rlimit limit = {(rlim_t)most_bytes, (rlim_t)most_bytes};
    if (setrlimit(RLIMIT_FSIZE, &limit) != 0) {
        _exit(99);
    }
}

static void become_clm(const clm_test_surroundings *around, const char *const *arguments) {
    const char *program = around->program != NULL ? around->program : CLM_TEST_COMMAND;
    const char *all[64] = {program};
    for (size_t i = 0; arguments[i] != NULL && i + 2 < sizeof all / sizeof *all; i++) {
        all[i + 1] = arguments[i];
    }
    if (chdir(clm_test_folder()) != 0 || setenv("CLM_LOG", "quiet", 1) != 0) {
        _exit(99);
    }
    /* It has tests of its own, and takes long where kernels are not built yet. */
    if (setenv("CLM_SELFTEST", "off", 0) != 0) {
        _exit(99);
    }
    for (size_t i = 0; i < 4 && around->environment[i] != NULL; i++) {
        if (putenv((char *)(uintptr_t)around->environment[i]) != 0) {
            _exit(99);
        }
    }
    if (around->at_terminal) {
        sit_at_terminal();
    } else {
        redirect_streams(around);
    }
    if (around->file_limit_bytes > 0) {
        limit_files(around->file_limit_bytes);
    }
    if ((around->folder != NULL && chdir(around->folder) != 0) ||
        (around->ignored_signal != 0 && signal(around->ignored_signal, SIG_IGN) == SIG_ERR)) {
        _exit(99);
    }
    (void)execv(program, (char *const *)(uintptr_t)all);
    _exit(99);
}

pid_t clm_test_start(const clm_test_surroundings *around, const char *const *arguments) {
    static const clm_test_surroundings usual;
    around = around != NULL ? around : &usual;
    clm_test_write(clm_test_path(output_name), "", 0);
    if (around->at_terminal) {
        clm_test_write(clm_test_path(errors_name), "", 0);
        open_terminal();
        clm_test_type(around->input != NULL ? around->input : "");
    } else if (around->input != NULL) {
        clm_test_write(clm_test_path(input_name), around->input, around->input_size_bytes);
    }
    (void)fflush(NULL);
    const pid_t child = fork();
    if (child == 0) {
        become_clm(around, arguments);
    }
    assert_true(child > 0);
    return child;
}

static void nap(void) {
    const struct timespec millisecond = {.tv_nsec = 1000000};
    (void)nanosleep(&millisecond, NULL);
}

static const char *keep(char **kept, const char *name, size_t *size_bytes) {
    clm_free(*kept);
    *kept = NULL;
    assert_ok(clm_file_read(clm_test_path(name), CLM_FILE_TEXT, kept, size_bytes));
    return *kept;
}

clm_test_outcome clm_test_wait(pid_t child) {
    static char *output;
    static char *errors;
    clm_test_outcome outcome = {0};
    size_t errors_size_bytes = 0;
    int status = 0;
    const double start = clm_seconds();
    while (waitpid(child, &status, WNOHANG) == 0) {
        if (clm_seconds() - start > most_seconds) {
            (void)kill(child, SIGKILL);
            (void)waitpid(child, &status, 0);
            fail_msg("the command ran for more than %g seconds", most_seconds);
        }
        look_at_terminal();
        nap();
    }
    outcome.status = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    outcome.output = keep(&output, output_name, &outcome.output_size_bytes);
    outcome.errors = keep(&errors, errors_name, &errors_size_bytes);
    if (person >= 0) {
        close_terminal();
        outcome.output = shown;
        outcome.output_size_bytes = shown_bytes;
    }
    return outcome;
}

clm_test_outcome clm_test_run(const clm_test_surroundings *around, const char *const *arguments) {
    return clm_test_wait(clm_test_start(around, arguments));
}

/* Only looks: clm_test_wait() is to get the status. */
static bool has_ended(pid_t child) {
    siginfo_t ended = {0};
    return waitid(P_PID, (id_t)child, &ended, WEXITED | WNOHANG | WNOWAIT) != 0 ||
           ended.si_pid == child;
}

bool clm_test_wait_for_file(pid_t child, const char *name, size_t size_bytes) {
    const char *path = clm_test_path(name);
    const double start = clm_seconds();
    for (;;) {
        struct stat information;
        if (stat(path, &information) == 0 && (size_t)information.st_size >= size_bytes) {
            return true;
        }
        if (has_ended(child) || clm_seconds() - start > most_seconds) {
            return false;
        }
        look_at_terminal();
        nap();
    }
}

bool clm_test_wait_for_text(pid_t child, const char *text) {
    const double start = clm_seconds();
    for (;;) {
        const bool last = has_ended(child) || clm_seconds() - start > most_seconds;
        look_at_terminal();
        if (strstr(shown, text) != NULL || last) {
            return strstr(shown, text) != NULL;
        }
        nap();
    }
}

void clm_test_assert_has(const char *text, const char *part, const char *file, int line) {
    if (strstr(text, part) == NULL) {
        print_error("%s:%d: \"%s\" does not say \"%s\"\n", file, line, text, part);
        _fail(file, line);
    }
}

static bool begins(const char *text, const char *with) {
    return strncmp(text, with, strlen(with)) == 0;
}

void clm_test_assert_fails(clm_test_outcome outcome, int status, const char *const *parts,
                           const char *file, int line) {
    char error[2048] = "";
    int errors = 0;
    int others = 0;
    for (const char *at = outcome.errors; *at != '\0';) {
        const size_t length = strcspn(at, "\n");
        if (begins(at, "clm: ")) {
            (void)snprintf(error, sizeof error, "%.*s", (int)length, at);
            errors++;
        } else {
            others += !begins(at, "warning: ") && !begins(at, "stopping");
        }
        at += length + (at[length] == '\n');
    }
    if (outcome.status != status || errors != 1 || others != 0) {
        print_error("%s:%d: status %d, where %d and one line \"clm: ...\" were expected, after\n",
                    file, line, outcome.status, status);
        (void)fputs(outcome.errors, stderr);
        _fail(file, line);
    }
    for (; *parts != NULL; parts++) {
        clm_test_assert_has(error, *parts, file, line);
    }
}

void clm_test_assert_done(clm_test_outcome outcome, const char *file, int line) {
    if (outcome.status != 0) {
        print_error("%s:%d: status %d after\n", file, line, outcome.status);
        /* Not through cmocka, which cuts at 1024 bytes: a sanitizer's report is longer. */
        (void)fprintf(stderr, "%s%s", outcome.output, outcome.errors);
        _fail(file, line);
    }
}

void assert_no_parts(void) {
    char command[600];
    (void)snprintf(command, sizeof command,
                   "test -z \"$(find '%s' -name '*-part-*' | tee /dev/stderr)\"",
                   clm_test_folder());
    assert_int_equal(system(command), 0);
}

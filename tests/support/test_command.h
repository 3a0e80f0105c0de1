/* Runs the command `clm` as a person or a script does: in a process of its own, which starts in the
 * test's folder, so that messages name files as they were given.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef CLM_TEST_COMMAND_H
#define CLM_TEST_COMMAND_H

#include "support/test_support.h"

#include <sys/types.h>

/* What surrounds a run; all zero for the usual: no input, output and errors kept. */
typedef struct clm_test_surroundings {
    const char *program; /* NULL: the command; else another that takes its arguments */
    const char *input;   /* standard input; NULL: none */
    size_t input_size_bytes;
    const char *output;         /* a file that takes standard output; NULL: it is kept */
    bool output_is_closed_pipe; /* nobody reads standard output */
    long file_limit_bytes;      /* RLIMIT_FSIZE, beyond which writing fails; 0: none */
    const char *folder;         /* where it starts; NULL: the test's folder */
    int ignored_signal;         /* as nohup ignores SIGHUP; 0: none */
    const char *environment[4]; /* "NAME=value", up to the first NULL */
    /* Input, output and errors are one terminal, where `input` is typed: "\x04" ends it, "\x03"
     * interrupts. What it shows becomes the outcome's output. */
    bool at_terminal;
} clm_test_surroundings;

/* What a run left. Texts end with a NUL that the size does not count; both are lent until the next
 * run. */
typedef struct clm_test_outcome {
    int status; /* the exit status; 128 + the signal that ended it */
    const char *output;
    size_t output_size_bytes;
    const char *errors;
} clm_test_outcome;

/* `clm` with arguments up to NULL. A run of more than a minute is killed and fails the test. */
clm_test_outcome clm_test_run(const clm_test_surroundings *around, const char *const *arguments);
#define run_clm(...) clm_test_run(NULL, (const char *const[]){__VA_ARGS__, NULL})
#define run_clm_in(around, ...) clm_test_run((around), (const char *const[]){__VA_ARGS__, NULL})

/* The same in two parts, with time for signals between. Only one runs at a time. */
pid_t clm_test_start(const clm_test_surroundings *around, const char *const *arguments);
clm_test_outcome clm_test_wait(pid_t child);

/* Waits until a file in the test's folder has at least so many bytes; false when the child ended
 * before it. */
bool clm_test_wait_for_file(pid_t child, const char *name, size_t size_bytes);

/* Waits until the terminal of a child that was started at one shows the text; false when the child
 * ended before it. */
bool clm_test_wait_for_text(pid_t child, const char *text);

/* Types at that terminal. */
void clm_test_type(const char *text);

/* Fails unless `text` has the part. */
#define assert_has(text, part) clm_test_assert_has((text), (part), __FILE__, __LINE__)
void clm_test_assert_has(const char *text, const char *part, const char *file, int line);

/* Fails unless the run ended with the status and exactly one line of its errors begins "clm: ",
 * which has all parts (up to NULL), and all others are warnings. */
#define assert_fails(outcome, status, ...)                                                         \
    clm_test_assert_fails((outcome), (status), (const char *const[]){__VA_ARGS__, NULL}, __FILE__, \
                          __LINE__)
void clm_test_assert_fails(clm_test_outcome outcome, int status, const char *const *parts,
                           const char *file, int line);

/* Fails unless the run ended with status 0. */
#define assert_done(outcome) clm_test_assert_done((outcome), __FILE__, __LINE__)
void clm_test_assert_done(clm_test_outcome outcome, const char *file, int line);

/* Fails when anything in the test's folder is called *-part-*. */
void assert_no_parts(void);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/stop.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stddef.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static atomic_bool stop_requested;
static atomic_bool end_requested;
static atomic_bool is_saving;
static atomic_bool ends_at_first;
static _Atomic(const char *) notice = "stopping; once more ends at once\n";

/* The signals for an orderly stop, except those that were ignored when the process started: nohup
 * ignores SIGHUP, and a shell ignores SIGINT for background jobs. */
static void list_signals(sigset_t *signals) {
    static const int numbers[] = {SIGINT, SIGTERM, SIGHUP};
    (void)sigemptyset(signals);
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        struct sigaction action;
        if (sigaction(numbers[i], NULL, &action) == 0 && action.sa_handler != SIG_IGN) {
            (void)sigaddset(signals, numbers[i]);
        }
    }
}

/* At once, whatever the other threads do. Replaces the line of progress. */
static void acknowledge(void) {
    const char *text = atomic_load(&notice);
    const char *clear = isatty(STDERR_FILENO) != 0 ? "\r\033[K" : "";
    if (write(STDERR_FILENO, clear, strlen(clear)) < 0 ||
        write(STDERR_FILENO, text, strlen(text)) < 0) {
        return; /* the terminal hung up */
    }
}

/* Waits for a second SIGINT or SIGTERM. A second SIGHUP does not count: closing a terminal sends
 * one from the terminal and one from its shell. */
static int wait_for_second(const sigset_t *signals) {
    int number = SIGHUP;
    while (number == SIGHUP) {
        (void)sigwait(signals, &number);
    }
    return number;
}

static void *wait_for_signals(void *context) {
    (void)context;
    sigset_t signals;
    int number = 0;
    list_signals(&signals);
    (void)sigwait(&signals, &number);
    if (!atomic_load(&ends_at_first)) {
        atomic_store(&stop_requested, true);
        acknowledge();
        number = wait_for_second(&signals);
    }
    atomic_store(&end_requested, true);
    if (atomic_load(&is_saving)) { /* time to tidy up */
        const struct timespec moment = {.tv_sec = 1};
        (void)nanosleep(&moment, NULL);
    }
    (void)signal(number, SIG_DFL);
    (void)pthread_sigmask(SIG_UNBLOCK, &signals, NULL);
    (void)raise(number);
    return NULL;
}

bool clm_cli_catch_stops(void) {
    static bool caught;
    sigset_t signals;
    pthread_t thread;
    if (caught) {
        return false;
    }
    caught = true;
    list_signals(&signals);
    /* Threads inherit the mask, including those that OpenCL drivers start. */
    (void)pthread_sigmask(SIG_BLOCK, &signals, NULL);
    if (pthread_create(&thread, NULL, wait_for_signals, NULL) == 0) {
        (void)pthread_detach(thread);
    } else { /* better an abrupt end than none */
        (void)pthread_sigmask(SIG_UNBLOCK, &signals, NULL);
    }
    return true;
}

void clm_cli_let_stops_end(void) {
    atomic_store(&ends_at_first, true);
}

void clm_cli_say_on_stop(const char *text) {
    atomic_store(&notice, text);
}

bool clm_cli_stop_was_requested(void *context) {
    (void)context;
    return atomic_load(&stop_requested);
}

bool clm_cli_end_was_requested(void *context) {
    (void)context;
    atomic_store(&is_saving, true);
    return atomic_load(&end_requested);
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/stop.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stddef.h>

static atomic_bool stop_requested;
static atomic_bool nobody_asks;

static void list_signals(sigset_t *signals) {
    (void)sigemptyset(signals);
    (void)sigaddset(signals, SIGINT);
    (void)sigaddset(signals, SIGTERM);
}

static void *wait_for_signals(void *context) {
    (void)context;
    sigset_t signals;
    int number = 0;
    list_signals(&signals);
    (void)sigwait(&signals, &number);
    if (!atomic_load(&nobody_asks)) {
        atomic_store(&stop_requested, true);
        (void)sigwait(&signals, &number);
    }
    /* Who insists is obeyed. */
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
    /* Threads inherit what is blocked, those that the OpenCL drivers start too. */
    (void)pthread_sigmask(SIG_BLOCK, &signals, NULL);
    if (pthread_create(&thread, NULL, wait_for_signals, NULL) == 0) {
        (void)pthread_detach(thread);
    } else { /* better no good order than no end */
        (void)pthread_sigmask(SIG_UNBLOCK, &signals, NULL);
    }
    return true;
}

void clm_cli_let_stops_end(void) {
    atomic_store(&nobody_asks, true);
}

bool clm_cli_stop_was_requested(void *context) {
    (void)context;
    return atomic_load(&stop_requested);
}

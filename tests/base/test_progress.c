/* Progress is told to the watcher of the thread that works, and to no other.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "base/progress.h"
#include "support/test_support.h"

typedef struct heard {
    int count;
    clm_progress last;
    bool has_detail;
    bool stop;
} heard;

static void hear(void *context, const clm_progress *progress) {
    heard *h = context;
    h->count++;
    h->last = *progress;
    h->has_detail = progress->detail != NULL && strcmp(progress->detail, "building gelu") == 0;
}

static bool wants_end(void *context) {
    return ((const heard *)context)->stop;
}

static void *work_unwatched(void *context) {
    (void)context;
    clm_progress_tell("elsewhere", 1, 2, "things");
    return clm_progress_check() == CLM_OK ? NULL : context;
}

static void the_thread_is_watched(void **state) {
    (void)state;
    heard h = {0};
    clm_progress_tell("before", 1, 2, "things"); /* nobody watches yet */
    clm_watch(&(clm_watcher){.on_progress = hear, .should_stop = wants_end, .context = &h});
    assert_int_equal(h.count, 0);
    clm_progress_tell("loading", 3, 7, "tensors");
    assert_int_equal(h.count, 1);
    assert_string_equal(h.last.stage, "loading");
    assert_int_equal(h.last.done, 3);
    assert_int_equal(h.last.total, 7);
    assert_string_equal(h.last.unit, "tensors");
    assert_true(h.last.seconds_left < 0.0);
    assert_false(h.has_detail);
    clm_progress_detail("building gelu");
    assert_int_equal(h.count, 2);
    assert_string_equal(h.last.stage, "loading");
    assert_true(h.has_detail);
    clm_progress_tell_left("loading", 4, 7, "tensors", 2.5);
    assert_false(h.has_detail);
    assert_true(h.last.seconds_left > 2.4);

    h.stop = true;
    pthread_t thread;
    void *failed = NULL;
    assert_int_equal(pthread_create(&thread, NULL, work_unwatched, &h), 0);
    assert_int_equal(pthread_join(thread, &failed), 0);
    assert_null(failed);
    assert_int_equal(h.count, 3);

    assert_status(CLM_ERROR_INTERRUPTED, clm_progress_check());
    assert_message_has("while loading");
    clm_watch(NULL);
    assert_ok(clm_progress_check());
    clm_progress_send(&(clm_progress){.stage = "nobody", .unit = "things", .detail = "hears"});
    clm_progress_detail("nobody hears");
    assert_int_equal(h.count, 3);
}

typedef struct kept {
    int count;
    char last[64];
} kept;

static void keep(void *context, const char *message) {
    kept *k = context;
    k->count++;
    (void)snprintf(k->last, sizeof k->last, "%s", message);
}

static void *warn_elsewhere(void *context) {
    clm_log(CLM_LOG_WARNING, "of another thread");
    return context;
}

/* Whatever the sink wants to hear. */
static void recorders_hear_warnings_and_guesses_of_their_thread(void **state) {
    (void)state;
    kept outer = {0};
    kept inner = {0};
    clm_log_recorder one = {.take = keep, .context = &outer};
    clm_log_recorder two = {.take = keep, .context = &inner};
    clm_log_record(&one);
    clm_log(CLM_LOG_WARNING, "%d texts", 3);
    clm_log(CLM_LOG_INFO, "no warning");
    assert_int_equal(outer.count, 1);
    assert_string_equal(outer.last, "3 texts");
    clm_log_record(&two);
    clm_log_guess("taken for %s", "a header");
    assert_int_equal(outer.count, 2);
    assert_int_equal(inner.count, 1);
    assert_string_equal(inner.last, "taken for a header");
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, warn_elsewhere, NULL), 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(outer.count, 2);
    clm_log_stop_recording(&one); /* in any order */
    clm_log_guess("again");
    assert_int_equal(outer.count, 2);
    assert_int_equal(inner.count, 2);
    clm_log_stop_recording(&two);
    clm_log(CLM_LOG_WARNING, "unheard");
    assert_int_equal(inner.count, 2);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_thread_is_watched),
        cmocka_unit_test(recorders_hear_warnings_and_guesses_of_their_thread),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* Host code in several threads, as the headers allow it, on a fake OpenCL: run plainly, and under
 * ThreadSanitizer (preset tsan), which names both sides of a race.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "support/test_support.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/memory.h"
#include "device/device.h"
#include "fake_opencl.h"
#include "job.h"
#include "ops/ops.h"

enum { THREADS = 4, ROUNDS = 20 };

/* What one thread is to do; false, and `said`, when something is wrong. */
typedef struct worker {
    int number;
    const void *shared;
    bool (*work)(struct worker *w);
    bool is_right;
    char said[1024];
} worker;

static void *work(void *context) {
    worker *w = context;
    w->is_right = w->work(w);
    return NULL;
}

/* The same in all threads at once. */
static void in_threads(bool (*what)(worker *w), const void *shared) {
    pthread_t threads[THREADS];
    worker workers[THREADS];
    for (int i = 0; i < THREADS; i++) {
        workers[i] = (worker){.number = i, .shared = shared, .work = what};
        assert_int_equal(pthread_create(&threads[i], NULL, work, &workers[i]), 0);
    }
    for (int i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    }
    for (int i = 0; i < THREADS; i++) {
        if (!workers[i].is_right) {
            fail_msg("thread %d: %s", i, workers[i].said);
        }
    }
}

static bool is_ok(worker *w, clm_status status, const char *what) {
    if (status != CLM_OK) {
        (void)snprintf(w->said, sizeof w->said, "%s: %.900s", what, clm_error_message());
    }
    return status == CLM_OK;
}

/* ---- messages ---- */

static bool fail_by_number(worker *w) {
    char path[64];
    (void)snprintf(path, sizeof path, "/no/such/vocab-%d", w->number);
    for (int i = 0; i < ROUNDS * 10; i++) {
        clm_tokenizer *tokenizer = NULL;
        if (clm_tokenizer_open(&tokenizer, path) == CLM_OK ||
            strstr(clm_error_message(), path) == NULL) {
            (void)snprintf(w->said, sizeof w->said, "%.900s", clm_error_message());
            return false;
        }
    }
    return true;
}

static void messages_are_a_threads_own(void **state) {
    (void)state;
    clm_error_clear();
    in_threads(fail_by_number, NULL);
    assert_string_equal(clm_error_message(), "");
}

/* ---- devices ---- */

/* Two threads a device. Kernels come from the cache as soon as one thread has put them there. */
static bool use_a_device(worker *w) {
    enum { COUNT = 1000 };
    float values[COUNT];
    float back[COUNT];
    for (int i = 0; i < COUNT; i++) {
        values[i] = (float)(w->number * COUNT + i);
    }
    for (int round = 0; round < ROUNDS; round++) {
        clm_device *device = NULL;
        clm_device_info *list = NULL;
        clm_buffer *buffer = NULL;
        size_t count = 0;
        clm_device_options options = CLM_DEVICE_OPTIONS_DEFAULT;
        options.pattern = w->number % 2 == 0 ? "one" : "two";
        options.profile = round % 2 == 0;
        if (!is_ok(w, clm_device_list(&list, &count), "list") ||
            !is_ok(w, clm_device_open(&device, &options), "open") ||
            !is_ok(w, clm_buffer_create(&buffer, device, sizeof values, "a test"), "create") ||
            !is_ok(w, clm_buffer_write(buffer, 0, values, sizeof values), "write") ||
            !is_ok(w, clm_residual_forward(device, buffer, buffer, buffer, COUNT), "launch") ||
            !is_ok(w, clm_buffer_read(buffer, 0, back, sizeof back), "read")) {
            return false;
        }
        clm_buffer_release(buffer);
        clm_device_close(device);
        clm_device_list_free(list);
        if (count != 2 || memcmp(values, back, sizeof back) != 0) {
            (void)snprintf(w->said, sizeof w->said, "%zu devices, or other bytes", count);
            return false;
        }
    }
    return true;
}

static void devices_are_used_at_once(void **state) {
    (void)state;
    in_threads(use_a_device, NULL);
    assert_int_equal(fake_opencl_objects(), 0);
}

/* ---- the log ---- */

typedef struct sink {
    int notes; /* not atomic: one note at a time, and none after the sink was taken away */
    bool is_gone;
    bool called_after_removal;
} sink;

static void note(void *context, clm_log_level level, const char *message) {
    sink *s = context;
    (void)level;
    s->notes += message[0] != '\0';
    s->called_after_removal = s->called_after_removal || s->is_gone;
    clm_log(CLM_LOG_DEBUG, "%s", ""); /* a sink may call clm */
}

static atomic_bool noisy;
static atomic_int noise_makers;

static bool make_noise(worker *w) {
    (void)atomic_fetch_add(&noise_makers, 1);
    while (atomic_load(&noisy)) {
        clm_log(CLM_LOG_INFO, "thread %d", w->number);
    }
    return true;
}

static void *change_sinks(void *context) {
    sink *sinks = context;
    while (atomic_load(&noise_makers) < THREADS) {
        (void)sched_yield();
    }
    for (int i = 0; i < 200; i++) {
        sink *s = &sinks[i];
        clm_log_set_sink(note, s, CLM_LOG_INFO);
        clm_log(CLM_LOG_INFO, "one at least");
        clm_log_set_sink(NULL, NULL, CLM_LOG_INFO);
        s->is_gone = true;
    }
    atomic_store(&noisy, false);
    return NULL;
}

static void the_sink_changes_while_others_log(void **state) {
    (void)state;
    static sink sinks[200];
    pthread_t changer;
    atomic_store(&noisy, true);
    assert_int_equal(pthread_create(&changer, NULL, change_sinks, sinks), 0);
    in_threads(make_noise, NULL);
    assert_int_equal(pthread_join(changer, NULL), 0);
    for (int i = 0; i < 200; i++) {
        assert_true(sinks[i].notes >= 1);
        assert_false(sinks[i].called_after_removal);
    }
}

/* ---- tokenizers ---- */

static bool encode_and_decode(worker *w) {
    const job_inputs *inputs = w->shared;
    for (int i = 0; i < ROUNDS; i++) {
        char text[100];
        int32_t *ids = NULL;
        char *back = NULL;
        size_t count = 0;
        size_t length = 0;
        (void)snprintf(text, sizeof text, "win a free prize at %d, it's gr\xC3\xBC\xC3\x9F %d",
                       w->number, i);
        if (!is_ok(w,
                   clm_tokenizer_encode(inputs->tokenizer, text, strlen(text), NULL, &ids, &count),
                   "encode") ||
            !is_ok(w, clm_tokenizer_decode(inputs->tokenizer, ids, count, &back, &length),
                   "decode")) {
            return false;
        }
        const bool same = strcmp(text, back) == 0;
        clm_tokens_free(ids);
        clm_text_free(back);
        if (!same) {
            (void)snprintf(w->said, sizeof w->said, "%s came back as another text", text);
            return false;
        }
    }
    return true;
}

static void a_tokenizer_is_shared(void **state) {
    (void)state;
    job_inputs inputs = {0};
    job_make_inputs(&inputs);
    in_threads(encode_and_decode, &inputs);
    job_free_inputs(&inputs);
}

/* ---- whole runs ---- */

/* No kernel runs here, so all that is compared is that nothing got in each other's way. */
static void runs_are_trained_at_once(void **state) {
    (void)state;
    job_inputs inputs = {0};
    job jobs[THREADS];
    job_make_inputs(&inputs);
    for (int i = 0; i < THREADS; i++) {
        char name[32];
        jobs[i] = (job){.inputs = &inputs};
        (void)snprintf(jobs[i].device, sizeof jobs[i].device, "%d", i % 2);
        (void)snprintf(name, sizeof name, "run%d", i);
        (void)snprintf(jobs[i].run, sizeof jobs[i].run, "%s", clm_test_path(name));
    }
    job_do_at_once(jobs, THREADS);
    for (int i = 0; i < THREADS; i++) {
        if (jobs[i].status != CLM_OK) {
            fail_msg("job %d: %s", i, jobs[i].message);
        }
        assert_int_equal(jobs[i].weights_bytes, jobs[0].weights_bytes);
        assert_memory_equal(jobs[i].weights, jobs[0].weights, jobs[0].weights_bytes);
    }
    for (int i = 0; i < THREADS; i++) {
        clm_free(jobs[i].weights);
    }
    job_free_inputs(&inputs);
    assert_int_equal(fake_opencl_objects(), 0);
}

/* The cache in a folder of the test's own, so that its entries are made here, by all at once; and
 * no CLBlast, which asks OpenCL for more than the fake has. */
static int begin(void **state) {
    (void)state;
    return setenv("CLM_CACHE_DIR", clm_test_path("cache"), 1) + setenv("CLM_GEMM", "own", 1);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(devices_are_used_at_once), /* the first call of OpenCL comes from all */
        cmocka_unit_test(messages_are_a_threads_own),
        cmocka_unit_test(the_sink_changes_while_others_log),
        cmocka_unit_test(a_tokenizer_is_shared),
        cmocka_unit_test(runs_are_trained_at_once),
    };
    return cmocka_run_group_tests(tests, begin, NULL);
}

/* Two devices in two threads train and classify at the same time, with the bits that each gives
 * alone. With one device only, it is opened twice.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "support/test_support.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "device/device.h"
#include "job.h"

enum { MOST = 2 };

static size_t choose(int chosen[MOST]) {
    clm_device_info *list = NULL;
    size_t count = 0;
    size_t found = 0;
    if (clm_device_list(&list, &count) != CLM_OK) {
        if (getenv("CLM_DEMAND_DEVICES") != NULL) {
            fail_msg("no OpenCL device");
        }
        skip();
    }
    for (size_t i = 0; i < count && found < MOST; i++) {
        /* Simulators would take minutes. */
        if (strstr(list[i].platform, "Oclgrind") == NULL) {
            print_message("thread %zu: %s\n", found, list[i].name);
            chosen[found++] = list[i].index;
        }
    }
    clm_device_list_free(list);
    if (found == 1) {
        chosen[found++] = chosen[0];
    }
    return found;
}

static void make_job(job *j, const job_inputs *inputs, int device, const char *run) {
    *j = (job){.inputs = inputs};
    (void)snprintf(j->device, sizeof j->device, "%d", device);
    (void)snprintf(j->run, sizeof j->run, "%s", clm_test_path(run));
}

static void assert_done(const job *j) {
    if (j->status != CLM_OK) {
        fail_msg("device %s: %s", j->device, j->message);
    }
}

static void two_at_once_give_what_each_gives_alone(void **state) {
    (void)state;
    job_inputs inputs = {0};
    job alone[MOST];
    job together[MOST];
    int chosen[MOST] = {0};
    if (choose(chosen) == 0) {
        skip();
    }
    job_make_inputs(&inputs);
    for (int i = 0; i < MOST; i++) {
        make_job(&alone[i], &inputs, chosen[i], i == 0 ? "alone0" : "alone1");
        make_job(&together[i], &inputs, chosen[i], i == 0 ? "together0" : "together1");
        job_do_at_once(&alone[i], 1);
        assert_done(&alone[i]);
    }
    job_do_at_once(together, MOST);
    for (int i = 0; i < MOST; i++) {
        assert_done(&together[i]);
        assert_int_equal(together[i].weights_bytes, alone[i].weights_bytes);
        assert_memory_equal(together[i].weights, alone[i].weights, alone[i].weights_bytes);
        assert_memory_equal(together[i].answers, alone[i].answers, sizeof alone[i].answers);
        clm_free(together[i].weights);
        clm_free(alone[i].weights);
    }
    job_free_inputs(&inputs);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(two_at_once_give_what_each_gives_alone)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

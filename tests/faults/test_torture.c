/* Every call of OpenCL and every allocation that the main jobs make fails once in turn, and some
 * for good: no crash, the right error, nothing left behind, files whole, and the job can be done
 * again. Usually a call site is its last return addresses, and fails at its first passing, once for
 * all jobs; with CLM_FAULTS=all it is more of the way there, and fails in each job, at its first
 * and its last passing.
 *
 * Building kernels takes longer than all else, so a job runs on a device that is open already, and
 * only what is not called there fails in a run that opens one.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "support/test_devices.h"

#include <dirent.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/string.h"
#include "clm/log.h"
#include "device/internal.h"
#include "faults.h"
#include "jobs.h"

enum {
    shallow = 4,    /* return addresses that make a site, usually */
    deep = 8,       /* and with CLM_FAULTS=all */
    most_told = 40, /* defects that are told of */
    most_done = 1 << 14
};

typedef struct torture {
    const job *job;
    clm_device *device; /* that is open already; NULL: the job opens one */
    bool all;
    size_t share; /* of the sites, by the remainder of their number */
    int depth;
    clm_fault fault;
    char message[1024]; /* of the job */
    char warning[1024]; /* its last */
    size_t defects;
    size_t turns;
    size_t injected[CLM_FAULT_KINDS];
    size_t for_good[CLM_FAULT_KINDS];
    size_t borne[CLM_FAULT_KINDS]; /* faults that the job got over */
    size_t missed;                 /* calls that did not come this time */
} torture;

static bool is_talkative(void) {
    return getenv("CLM_FAULTS_VERBOSE") != NULL;
}

static int open_files(void) {
    int count = 0;
    DIR *stream = opendir("/proc/self/fd");
    while (stream != NULL && readdir(stream) != NULL) {
        count++;
    }
    if (stream != NULL) {
        (void)closedir(stream);
    }
    return count;
}

static void defect(torture *t, const char *what, const char *more) {
    if (t->defects++ < most_told) {
        print_error("%s: %s%s%s; after %s fault at passing %" PRIu64 " of %s (way %016" PRIx64
                    "), which said \"%s\"\n",
                    t->job->name, what, more[0] != '\0' ? ": " : "", more,
                    t->fault.for_good ? "a lasting" : "one", t->fault.number, t->fault.call,
                    t->fault.way, t->message);
    }
}

/* ---- one run ---- */

/* What an open device keeps for the next job. */
static void forget_kept(const torture *t) {
    if (t->device != NULL) {
        clm_profile_close(t->device);
        clm_staging_close(t->device);
        (void)clm_buffer_pool_trim(t->device);
    }
}

static void check_nothing_left(torture *t) {
    char left[256];
    if (clm_faults_left(left, sizeof left) > 0) {
        defect(t, "not released", left);
        if (is_talkative()) {
            clm_faults_print_left();
        }
    }
}

/* The class of an error says who can mend it, and its message what happened. */
static void check_error(torture *t, clm_status status) {
    const char *message = t->message;
    if (t->fault.kind == CLM_FAULT_MEMORY) {
        if (status != CLM_ERROR_MEMORY) {
            defect(t, "no CLM_ERROR_MEMORY", clm_status_name(status));
        } else if (strstr(message, "out of memory: no room for") == NULL) {
            defect(t, "the message does not say what there was no room for", "");
        }
        return;
    }
    if (status != CLM_ERROR_OPENCL && status != CLM_ERROR_BUILD &&
        status != CLM_ERROR_DEVICE_MEMORY && status != CLM_ERROR_NO_DEVICE) {
        defect(t, "no error of the device", clm_status_name(status));
    }
    /* What came first may have been borne where all fails from then on. */
    const char *code = t->fault.for_good ? "CL_" : clm_opencl_error_name(clm_faults_fired_code());
    /* A device that does not tell its name is not found by it. */
    const bool nameless =
        status == CLM_ERROR_NO_DEVICE && strcmp(t->fault.call, "clGetDeviceInfo") == 0;
    if (strstr(message, code) == NULL && strstr(t->warning, code) == NULL && !nameless) {
        defect(t, "the message does not name", clm_opencl_error_name(clm_faults_fired_code()));
    }
}

static void run_again(torture *t) {
    const clm_status status = t->job->run(true);
    forget_kept(t);
    if (status != CLM_OK) {
        defect(t, "the job cannot be done again", clm_status_name(status));
        return;
    }
    const char *differs = t->job->differs();
    if (differs != NULL) {
        defect(t, "done again", differs);
    }
}

static void tell_of_fault(const torture *t, clm_status status, double seconds) {
    if (is_talkative()) {
        (void)fprintf(stderr,
                      "%s: %s, way %016" PRIx64 ", passing %" PRIu64 "%s: %s after %.3f s%s%s\n",
                      t->job->name, t->fault.call, t->fault.way, t->fault.number,
                      t->fault.for_good ? ", for good" : "",
                      clm_faults_fired() == 0 ? "not reached" : clm_status_name(status), seconds,
                      status != CLM_OK ? ": " : "", status != CLM_OK ? t->message : "");
    }
}

static void keep_warning(void *context, clm_log_level level, const char *message) {
    torture *t = context;
    (void)level;
    (void)snprintf(t->warning, sizeof t->warning, "%s", message);
}

static void fail_once(torture *t) {
    static const size_t often = 8;
    const size_t kind = t->fault.kind;
    t->job->prepare();
    clm_error_clear();
    t->warning[0] = '\0';
    clm_log_set_sink(keep_warning, t, CLM_LOG_WARNING);
    const double start = clm_seconds();
    clm_faults_inject(&t->fault, t->depth);
    const clm_status status = t->job->run(false);
    (void)snprintf(t->message, sizeof t->message, "%s", clm_error_message());
    clm_faults_stop();
    forget_kept(t);
    check_nothing_left(t);
    clm_faults_end();
    clm_log_set_sink(NULL, NULL, CLM_LOG_WARNING);
    t->turns++;
    tell_of_fault(t, status, clm_seconds() - start);
    if (clm_faults_fired() == 0) {
        t->missed++;
        return;
    }
    t->injected[kind] += !t->fault.for_good;
    t->for_good[kind] += t->fault.for_good;
    if (status == CLM_OK) {
        t->borne[kind]++;
        const char *differs = t->job->differs();
        if (differs != NULL) {
            defect(t, "it went on, but", differs);
        }
        return;
    }
    check_error(t, status);
    const char *damaged = t->job->damaged();
    if (damaged != NULL) {
        defect(t, "damaged", damaged);
    }
    if (t->all || t->turns % often == 0) {
        run_again(t);
    }
}

/* ---- all of them ---- */

static void fail_at(torture *t, const clm_fault_site *site, uint64_t number, bool for_good) {
    t->fault = (clm_fault){.kind = site->kind,
                           .way = site->way,
                           .call = site->call,
                           .number = number,
                           .for_good = for_good};
    fail_once(t);
}

static void fail_site(torture *t, const clm_fault_site *site, size_t turn) {
    fail_at(t, site, 1, false);
    /* Who only lets go is not told. */
    if ((t->all || turn % 4 == 0) && strncmp(site->call, "clRelease", 9) != 0) {
        fail_at(t, site, 1, true);
    }
    if (t->all && site->count > 1) {
        fail_at(t, site, site->count, false);
    }
}

static void report(const torture *t, size_t site_count, double seconds) {
    print_message(
        "%s, %s: %zu sites; calls of OpenCL failed: %zu once, %zu for good, %zu borne; "
        "allocations failed: %zu once, %zu for good, %zu borne; %zu not reached; %zu "
        "defects; %.1f s\n",
        t->job->name, t->device != NULL ? "on an open device" : "with opening the device",
        site_count, t->injected[CLM_FAULT_OPENCL], t->for_good[CLM_FAULT_OPENCL],
        t->borne[CLM_FAULT_OPENCL], t->injected[CLM_FAULT_MEMORY], t->for_good[CLM_FAULT_MEMORY],
        t->borne[CLM_FAULT_MEMORY], t->missed, t->defects, seconds);
}

/* Sites that had their turn. */
static uint64_t done[most_done];
static size_t done_count;

static bool is_done(uint64_t way) {
    size_t i = 0;
    while (i < done_count && done[i] != way) {
        i++;
    }
    return i < done_count;
}

/* The plain run, twice: the first builds kernels and has drivers open what they keep. */
static void run_whole(torture *t) {
    char left[256];
    for (int time = 0; time < 2; time++) {
        t->job->prepare();
        const double start = clm_seconds();
        clm_faults_record(t->depth);
        const clm_status status = t->job->run(false);
        clm_faults_stop();
        forget_kept(t);
        clm_faults_end();
        assert_status(CLM_OK, status);
        if (time > 0) {
            print_message("%s: a run takes %.3f s\n", t->job->name, clm_seconds() - start);
        }
    }
    if (clm_faults_left(left, sizeof left) > 0) {
        clm_faults_print_left();
        fail_msg("%s leaves %s", t->job->name, left);
    }
    t->job->keep();
}

/* All sites that have not had their turn. */
static void fail_sites(torture *t, size_t stride) {
    const size_t first = t->share % stride;
    run_whole(t);
    const int files = open_files();
    const double start = clm_seconds();
    size_t count = 0;
    size_t turn = 0;
    const clm_fault_site *sites = clm_faults_sites(&count);
    for (size_t i = 0; i < count; i++) {
        if (!is_done(sites[i].way)) {
            if (turn % stride == first) {
                fail_site(t, &sites[i], turn / stride);
            }
            turn++;
            assert_true(done_count < most_done);
            done[done_count++] = sites[i].way;
        }
    }
    report(t, turn, clm_seconds() - start);
    if (open_files() > files) {
        fail_msg("%s: %d files are open that were not before", t->job->name, open_files() - files);
    }
    assert_int_equal(t->defects, 0);
}

#if defined(__SANITIZE_ADDRESS__)
static const bool is_sanitized = true;
#else
static const bool is_sanitized = false;
#endif

/* Usually only each so-manieth site fails in runs that open the device, and of others on a build
 * without sanitizers or on an implementation that is slow. */
static void torture_job(clm_device *device, const job *what, size_t cold_stride) {
    const char *asked = getenv("CLM_FAULTS");
    const char *only = getenv("CLM_FAULTS_JOB");
    if (only != NULL && strcmp(only, what->name) != 0) {
        return;
    }
    if (clm_test_is_simulator(device) && asked == NULL) {
        print_message("left out: a simulator takes hours for it\n");
        return;
    }
    char pattern[256];
    (void)snprintf(pattern, sizeof pattern, "%s", clm_device_get_info(device)->name);
    jobs_use(pattern, NULL);
    jobs_make_inputs();
    torture t = {.job = what, .all = asked != NULL && strcmp(asked, "all") == 0};
    t.depth = t.all ? deep : shallow;
    /* What a fault leaves behind is for the sanitizers to see: each site has its turn there. */
    const size_t usual = is_sanitized ? 1 : 3;
    size_t stride = t.all ? 1 : clm_contains_ignoring_case(pattern, "llvmpipe") ? 24 : usual;
    if (t.all && getenv("CLM_FAULTS_SHARE") != NULL) {
        assert_int_equal(sscanf(getenv("CLM_FAULTS_SHARE"), "%zu/%zu", &t.share, &stride), 2);
        assert_true(stride > 0);
    }
    if (t.all) {
        done_count = 0;
    }
    assert_ok(jobs_open_device(&t.device, what->profile));
    jobs_use(pattern, t.device);
    fail_sites(&t, stride);
    clm_device_close(t.device);
    torture cold = {.job = what, .all = t.all, .depth = t.depth, .share = t.share};
    jobs_use(pattern, NULL);
    fail_sites(&cold, t.all ? stride : stride * cold_stride);
}

static void fine_tuning_survives(clm_device *device) {
    torture_job(device, &job_finetune, 5);
}

static void fine_tuning_of_all_layers_survives(clm_device *device) {
    torture_job(device, &job_finetune_all, 5);
}

static void going_on_survives(clm_device *device) {
    torture_job(device, &job_resume, 5);
}

static void classification_survives(clm_device *device) {
    torture_job(device, &job_classify, 2);
}

static void loading_and_saving_survives(clm_device *device) {
    torture_job(device, &job_save, 1);
}

CLM_ON_EACH_DEVICE(fine_tuning_survives)
CLM_ON_EACH_DEVICE(fine_tuning_of_all_layers_survives)
CLM_ON_EACH_DEVICE(going_on_survives)
CLM_ON_EACH_DEVICE(classification_survives)
CLM_ON_EACH_DEVICE(loading_and_saving_survives)

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(loading_and_saving_survives_test),
        cmocka_unit_test(classification_survives_test),
        cmocka_unit_test(fine_tuning_survives_test),
        cmocka_unit_test(going_on_survives_test),
        cmocka_unit_test(fine_tuning_of_all_layers_survives_test),
    };
    return cmocka_run_group_tests(tests, NULL, clm_test_close_devices);
}

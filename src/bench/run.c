/* The run over the cases.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/memory.h"
#include "base/number.h"
#include "base/progress.h"
#include "bench/bench.h"

static const char *const whole_model = "random:gpt2";
static const char *const quick_model = "random:n_layer=2,n_embd=128,n_ctx=128,n_vocab=1000";

enum { LEAST_SAMPLES = 7 };

/* Above it, what is measured says more about the machine's other work. */
static const double noise_limit = 0.1;

/* Repeats that would take longer at the device's limits, relative to the time of a case, are left
 * out. */
static const double too_long = 10.0;

typedef struct bench_run {
    clm_device *device;
    clm_bench_options options; /* with the defaults filled in */
    clm_bench_report *report;
    size_t result_capacity, case_count;
    clm_bench_limits limits;
    clm_bench_model model;
    bool has_model;
} bench_run;

clm_status clm_bench_check(const clm_bench_options *options) {
    if (!(options->seconds >= 0.0) || !isfinite(options->seconds) || options->samples < 0) {
        return clm_fail(CLM_ERROR_ARGUMENT, "%d samples in %g seconds cannot be measured",
                        options->samples, options->seconds);
    }
    return clm_bench_check_names(options);
}

static clm_status take_options(bench_run *run, const clm_bench_options *options) {
    static const clm_bench_options defaults = CLM_BENCH_OPTIONS_DEFAULT;
    run->options = options != NULL ? *options : defaults;
    const clm_status status = clm_bench_check(&run->options);
    if (run->options.seconds == 0.0) {
        run->options.seconds = run->options.quick ? 0.2 : 1.0;
    }
    if (run->options.samples == 0) {
        run->options.samples = LEAST_SAMPLES;
    }
    if (run->options.model == NULL) {
        run->options.model = run->options.quick ? quick_model : whole_model;
    }
    return status;
}

static clm_status begin_report(bench_run *run) {
    const clm_device_info *info = clm_device_get_info(run->device);
    clm_bench_report *report = run->report;
    clm_gemm_backend backend = CLM_GEMM_AUTO;
    const time_t now = time(NULL);
    struct tm utc = {0};
    clm_bench_copy_text(report->program, sizeof report->program, "clm");
    clm_bench_copy_text(report->program_version, sizeof report->program_version, clm_version());
    if (gmtime_r(&now, &utc) != NULL) {
        (void)strftime(report->date, sizeof report->date, "%Y-%m-%dT%H:%M:%SZ", &utc);
    }
    clm_bench_copy_text(report->device, sizeof report->device, info->name);
    clm_bench_copy_text(report->vendor, sizeof report->vendor, info->vendor);
    clm_bench_copy_text(report->platform, sizeof report->platform, info->platform);
    clm_bench_copy_text(report->driver, sizeof report->driver, info->driver);
    clm_bench_copy_text(report->device_version, sizeof report->device_version, info->version);
    clm_bench_copy_text(report->type, sizeof report->type, clm_device_type_name(info->type));
    report->compute_units = info->compute_units;
    report->quick = run->options.quick;
    report->seconds = run->options.seconds;
    report->least_samples = run->options.samples;
    clm_bench_copy_text(report->model, sizeof report->model, run->options.model);
    report->noise_limit = noise_limit;
    const clm_status status = clm_gemm_backend_for(run->device, &backend);
    clm_bench_copy_text(report->gemm, sizeof report->gemm, clm_gemm_backend_name(backend));
    return status;
}

static void tell_progress(const bench_run *run, const char *detail) {
    clm_progress_send(&(clm_progress){.stage = "measuring",
                                      .done = (int64_t)run->report->result_count,
                                      .total = (int64_t)run->case_count,
                                      .unit = "cases",
                                      .detail = detail,
                                      .seconds_left = -1.0});
}

static clm_status measure_limits(bench_run *run) {
    tell_progress(run, "the device's limits");
    const clm_status status =
        clm_bench_measure_limits(&run->limits, run->device, run->options.quick);
    if (status == CLM_OK) {
        run->report->peak_gflops = run->limits.peak_flops * 1e-9;
        run->report->copy_gbytes_second = run->limits.copy_bytes_second * 1e-9;
        run->report->noise = clm_bench_noise(&run->limits);
    }
    return status;
}

static void send_result(const bench_run *run, const clm_bench_result *result) {
    if (run->options.on_result != NULL) {
        run->options.on_result(run->options.context, run->report, result);
    }
}

/* Says in the result why the case would take too long. */
static void check_duration(const bench_run *run, clm_bench_result *result) {
    const double seconds =
        fmax(result->flop / run->limits.peak_flops, result->bytes / run->limits.copy_bytes_second);
    if (seconds > too_long * run->options.seconds) {
        (void)clm_format(result->skipped, sizeof result->skipped,
                         "would take %.3g s or more each time, too long for %g s a case", seconds,
                         run->options.seconds);
    }
}

static clm_status make_model(bench_run *run) {
    clm_status status = CLM_OK;
    CLM_TRY(clm_bench_model_make(&run->model, run->device, run->options.model));
    CLM_TRY(clm_buffer_pool_trim(run->device));
    run->has_model = true;
cleanup:
    return status;
}

static clm_status run_case(bench_run *run, const clm_bench_entry *entry, clm_bench_result *result) {
    const clm_bench_timing timing = {run->options.seconds, run->options.samples,
                                     run->options.should_stop, run->options.context};
    clm_bench_subject subject = {
        .device = run->device, .entry = entry, .result = result, .source = &run->model};
    clm_status status = CLM_OK;
    if (entry->kind->needs_model && !run->has_model) {
        CLM_TRY(make_model(run));
    }
    if (entry->kind->count_work != NULL) {
        entry->kind->count_work(entry, result);
        check_duration(run, result);
    }
    if (result->skipped[0] == '\0') {
        CLM_TRY(entry->kind->prepare(&subject));
    }
    if (result->skipped[0] == '\0') {
        check_duration(run, result);
    }
    if (result->skipped[0] == '\0') {
        CLM_TRY(clm_bench_time(&subject, &timing));
    }
cleanup:
    if (status == CLM_ERROR_DEVICE_MEMORY) {
        clm_bench_copy_text(result->skipped, sizeof result->skipped, clm_error_message());
        clm_error_clear();
        status = CLM_OK;
    }
    clm_bench_subject_release(&subject);
    return status;
}

static size_t count_chosen(const clm_bench_options *options) {
    const clm_bench_entry *entry = NULL;
    size_t count = 0;
    for (size_t i = 0; (entry = clm_bench_entry_at(i)) != NULL; i++) {
        count += clm_bench_is_chosen(entry, options);
    }
    return count;
}

static clm_status add_case(bench_run *run, const clm_bench_entry *entry) {
    clm_bench_report *report = run->report;
    clm_bench_result result = {0};
    clm_status status = CLM_OK;
    CLM_TRY(clm_reserve(&report->results, &run->result_capacity, report->result_count + 1,
                        sizeof *report->results, "the results of a benchmark"));
    (void)snprintf(result.name, sizeof result.name, "%s", entry->name);
    clm_bench_describe(result.parameters, sizeof result.parameters, entry);
    tell_progress(run, entry->name);
    CLM_TRY(run_case(run, entry, &result));
    CLM_TRY(clm_buffer_pool_trim(run->device));
    clm_bench_derive_result(report, &result);
    report->results[report->result_count++] = result;
    send_result(run, &result);
cleanup:
    return status;
}

/* The limits are measured again whenever a group has ended, and so at the end. */
static clm_status run_all(bench_run *run) {
    const clm_bench_entry *entry = NULL;
    const clm_bench_entry *last = NULL;
    clm_status status = CLM_OK;
    run->case_count = count_chosen(&run->options);
    CLM_TRY(measure_limits(run));
    send_result(run, NULL);
    for (size_t i = 0; (entry = clm_bench_entry_at(i)) != NULL; i++) {
        if (!clm_bench_is_chosen(entry, &run->options)) {
            continue;
        }
        const size_t group = clm_bench_group_length(entry->name);
        if (last != NULL && strncmp(last->name, entry->name, group + 1) != 0) {
            CLM_TRY(measure_limits(run));
        }
        CLM_TRY(add_case(run, entry));
        last = entry;
    }
    CLM_TRY(measure_limits(run));
cleanup:
    return status;
}

clm_status clm_bench_run(clm_bench_report *report, clm_device *device,
                         const clm_bench_options *options) {
    *report = (clm_bench_report){0};
    bench_run run = {.device = device, .report = report};
    clm_status status = CLM_OK;
    CLM_TRY(take_options(&run, options));
    CLM_TRY(begin_report(&run));
    CLM_TRY(run_all(&run));
    clm_bench_derive(report);
cleanup:
    clm_bench_model_remove(&run.model);
    return status;
}

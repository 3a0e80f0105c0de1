/* Cases as they run on each device.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "support/test_devices.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/folder.h"
#include "base/memory.h"
#include "bench/bench.h"
#include "device/internal.h"
#include "ops/common.h"

#define TINY_MODEL "random:n_layer=3,n_embd=16,n_head=2,n_ctx=128,n_vocab=300"

/* What a run told as it went. */
typedef struct heard {
    int starts, results;
    int asked;
    int stop_when_asked; /* so often; 0: never */
} heard;

static void hear(void *context, const clm_bench_report *report, const clm_bench_result *result) {
    heard *h = context;
    assert_true(report->peak_gflops > 0.0 && report->copy_gbytes_second > 0.0);
    if (result == NULL) {
        assert_int_equal(h->results, 0);
        h->starts++;
    } else {
        assert_string_equal(result->name, report->results[h->results].name);
        h->results++;
    }
}

static bool stop(void *context) {
    heard *h = context;
    return ++h->asked == h->stop_when_asked;
}

/* Time enough that nothing small is skipped, on any device. */
static clm_bench_options options_for(const char *const *names, size_t count, heard *h) {
    clm_bench_options options = CLM_BENCH_OPTIONS_DEFAULT;
    options.names = names;
    options.name_count = count;
    options.seconds = 0.05;
    options.samples = 3;
    options.quick = true;
    options.model = TINY_MODEL;
    options.on_result = hear;
    options.should_stop = stop;
    options.context = h;
    return options;
}

static void assert_timed(const clm_bench_result *result) {
    assert_string_equal(result->skipped, "");
    assert_true(result->samples >= 1 && result->repeats >= 1);
    assert_true(result->minimum > 0.0 && result->minimum <= result->lower_quartile);
    assert_true(result->lower_quartile <= result->median);
    assert_true(result->median <= result->upper_quartile && isfinite(result->upper_quartile));
}

static void a_run_fills_the_report(clm_device *device) {
    const char *const names[] = {"layernorm/forward", "embedding"};
    heard h = {0};
    const clm_bench_options options = options_for(names, 2, &h);
    clm_bench_report report;
    const uint64_t used = clm_device_memory_bytes(device);
    assert_ok(clm_bench_run(&report, device, &options));
    assert_int_equal(clm_device_memory_bytes(device), used);
    assert_string_equal(report.program, "clm");
    assert_string_equal(report.program_version, clm_version());
    assert_string_equal(report.device, clm_device_get_info(device)->name);
    assert_int_equal(strlen(report.date), 20);
    assert_true(report.quick && report.seconds == 0.05 && report.least_samples == 3);
    assert_true(report.noise >= 0.0 && report.noise < 1.0);
    assert_true(report.noisy == (report.noise > report.noise_limit));
    assert_int_equal(h.starts, 1);
    assert_int_equal(h.results, 3);
    assert_int_equal(report.result_count, 3);
    assert_string_equal(report.results[0].name, "layernorm/forward");
    assert_string_equal(report.results[0].parameters, "rows=960 C=768");
    assert_string_equal(report.results[1].name, "embedding/forward");
    assert_string_equal(report.results[2].name, "embedding/backward");
    for (size_t i = 0; i < report.result_count; i++) {
        assert_timed(&report.results[i]);
        assert_true(report.results[i].bandwidth_share > 0.0);
        assert_true(report.results[i].peak_share == 0.0);
    }
    assert_true(report.results[0].bytes == 2.0 * 4.0 * 960 * 768);
    clm_bench_report_free(&report);
}

static void jobs_run_on_a_model(clm_device *device) {
    const char *const names[] = {"train/last-block", "train/last-block-features",
                                 "classify/message", "open"};
    heard h = {0};
    const clm_bench_options options = options_for(names, 4, &h);
    clm_bench_report report;
    char *folder = NULL;
    assert_ok(clm_bench_run(&report, device, &options));
    assert_int_equal(report.result_count, 4);
    const clm_bench_result *train = &report.results[0];
    const clm_bench_result *features = &report.results[1];
    const clm_bench_result *message = &report.results[2];
    const clm_bench_result *opening = &report.results[3];
    for (int i = 0; i < 4; i++) {
        assert_timed(&report.results[i]);
    }
    assert_string_equal(train->parameters, "B=8 T=120 L=3 C=16 V=300");
    assert_string_equal(train->item, "texts");
    assert_true(train->items == 8.0 && train->items_second > 0.0);
    assert_string_equal(message->parameters, "B=1 T=120 L=3 C=16 V=300");
    assert_string_equal(opening->parameters, "L=3 C=16 V=300");
    /* C = 16, T = 120. For each position: q, k, v 2 * 3 C^2 = 1536, attention 2 C T = 3840,
     * projection and MLP 2 * 9 C^2 = 4608. In the top block, keys and values, 1024, for each
     * position; for the one that the head sees the query, 512, attention 4 C T = 7680, and 4608.
     * The head of two classes: 4 C = 64 a text. */
    const double top = 120.0 * 1024.0 + 512.0 + 4608.0;
    const double forward = 120.0 * 2 * (1536.0 + 3840.0 + 4608.0) + top + 7680.0 + 64.0;
    assert_true(message->flop == forward);
    /* Backward through the top block and the head: twice the products, 2.5 times the attention. */
    const double backward = 2.0 * top + 2.5 * 7680.0 + 2 * 64.0;
    assert_true(train->flop == 8.0 * (forward + backward));
    assert_true(features->flop == 8.0 * (top + 7680.0 + 64.0 + backward));
    /* The model's file went with the run. */
    assert_ok(clm_cache_folder(&folder, "."));
    char *path = NULL;
    assert_ok(clm_path_join(&path, folder, "bench-1"));
    assert_false(clm_file_exists(path));
    clm_free(path);
    clm_free(folder);
    clm_bench_report_free(&report);
}

/* Runs at the same time keep their models apart; what a killed one left is taken over. */
static void models_do_not_collide(clm_device *device) {
    static const char source[] = "random:n_layer=1,n_embd=16,n_head=2,n_ctx=64,n_vocab=300";
    clm_bench_model models[3];
    char *folder = NULL;
    assert_ok(clm_cache_folder(&folder, "bench-1"));
    assert_ok(clm_bench_model_make(&models[0], device, source));
    assert_ok(clm_bench_model_make(&models[1], device, source));
    assert_string_equal(clm_bench_model_path(&models[0]), folder);
    assert_true(clm_bench_model_is_file(&models[1]));
    assert_string_not_equal(clm_bench_model_path(&models[1]), folder);
    clm_bench_model_remove(&models[0]);
    assert_false(clm_file_exists(folder));
    assert_ok(clm_bench_model_make(&models[2], device, source));
    assert_string_equal(clm_bench_model_path(&models[2]), folder);
    clm_model *model = NULL;
    assert_ok(clm_model_open(&model, device, clm_bench_model_path(&models[1]), NULL));
    clm_model_close(model);
    clm_bench_model_remove(&models[1]);
    clm_bench_model_remove(&models[2]);
    assert_false(clm_file_exists(folder));
    clm_free(folder);
}

static void what_cannot_be_measured_says_why(clm_device *device) {
    const char *const names[] = {"classify/batch"};
    heard h = {0};
    clm_bench_options options = options_for(names, 1, &h);
    clm_bench_report report;
    options.model = "random:n_layer=1,n_embd=16,n_head=2,n_ctx=64,n_vocab=300";
    assert_ok(clm_bench_run(&report, device, &options));
    assert_int_equal(report.result_count, 1);
    assert_string_equal(report.results[0].skipped, "the model has a context of 64 tokens");
    assert_int_equal(report.results[0].samples, 0);
    clm_bench_report_free(&report);
    /* An embedding of 24 GiB in one piece, where that cannot be had. */
    h = (heard){0};
    options.model = "random:n_layer=1,n_embd=384,n_ctx=128,n_vocab=16777216";
    if (clm_device_get_info(device)->max_allocation_size_bytes < (uint64_t)24 << 30) {
        assert_ok(clm_bench_run(&report, device, &options));
        assert_int_equal(report.result_count, 1);
        assert_non_null(strstr(report.results[0].skipped, "MiB"));
        clm_bench_report_free(&report);
    }
    h = (heard){0};
    options.model = TINY_MODEL;
    options.seconds = 1e-12;
    assert_ok(clm_bench_run(&report, device, &options));
    assert_non_null(strstr(report.results[0].skipped, "too long for 1e-12 s a case"));
    clm_bench_report_free(&report);
    h = (heard){0};
    options.model = "no such folder";
    assert_status(CLM_ERROR_NOT_FOUND, clm_bench_run(&report, device, &options));
    clm_bench_report_free(&report);
}

static void a_run_can_be_stopped(clm_device *device) {
    const char *const names[] = {"train/last-block"};
    const uint64_t used = clm_device_memory_bytes(device);
    for (int when = 1; when <= 2; when++) {
        heard h = {.stop_when_asked = when};
        const clm_bench_options options = options_for(names, 1, &h);
        clm_bench_report report;
        assert_status(CLM_ERROR_INTERRUPTED, clm_bench_run(&report, device, &options));
        assert_int_equal(h.asked, when);
        clm_bench_report_free(&report);
        assert_int_equal(clm_device_memory_bytes(device), used);
    }
}

/* The copy that bandwidth is measured by does copy, all of it and no more. */
static void the_copy_copies(clm_device *device) {
    enum { COUNT = 16 * 321 };
    const clm_ops_variant variant = clm_ops_variant_for(device, "bench");
    float x[COUNT];
    float out[COUNT];
    clm_test_fill_normal(x, COUNT, 1.0F);
    clm_buffer *from = clm_test_buffer(device, x, COUNT);
    clm_buffer *to = clm_test_buffer(device, NULL, COUNT);
    clm_launch launch = clm_launch_begin(device, "bench", "bench_copy", variant.options);
    clm_launch_buffer(&launch, to);
    clm_launch_buffer(&launch, from);
    clm_launch_ulong(&launch, COUNT);
    assert_ok(clm_ops_launch_flat(&launch, &variant, COUNT));
    clm_test_buffer_read(to, out, COUNT);
    assert_memory_equal(out, x, sizeof x);
    clm_test_buffer_check(from, COUNT);
    clm_test_buffer_check(to, COUNT);
}

/* All that --list tells, in whole sizes on a device of its own; of one that is emulated, what takes
 * a moment. */
static void every_case_runs(clm_device *device) {
    clm_bench_limits limits = {0};
    heard h = {0};
    clm_bench_options options = options_for(NULL, 0, &h);
    clm_bench_report report;
    clm_bench_case *cases = NULL;
    size_t count = 0;
    assert_ok(clm_bench_measure_limits(&limits, device, true));
    const bool fast =
        limits.peak_flops > 20e9 && !clm_quirk_is_emulation(clm_device_get_info(device));
    options.quick = false;
    options.seconds = fast ? 0.03 : 1e-4;
    options.samples = 1;
    assert_ok(clm_bench_list(&cases, &count));
    assert_ok(clm_bench_run(&report, device, &options));
    assert_int_equal(report.result_count, count);
    for (size_t i = 0; i < count; i++) {
        const clm_bench_result *result = &report.results[i];
        assert_string_equal(result->name, cases[i].name);
        assert_memory_equal(result->parameters, cases[i].parameters, strlen(cases[i].parameters));
        assert_true(result->flop > 0.0 || result->bytes > 0.0);
        const double seconds = fmax(result->flop / (report.peak_gflops * 1e9),
                                    result->bytes / (report.copy_gbytes_second * 1e9));
        if (result->skipped[0] != '\0') {
            assert_non_null(strstr(result->skipped, "too long"));
            assert_true(seconds > 9.99 * options.seconds);
        } else {
            assert_timed(result);
            assert_true(seconds < 10.01 * options.seconds);
        }
    }
    clm_bench_cases_free(cases);
    clm_bench_report_free(&report);
}

static void unknown_names_are_refused(void **state) {
    (void)state;
    const char *const names[] = {"gemm", "attention/sideways"};
    clm_bench_options options = CLM_BENCH_OPTIONS_DEFAULT;
    options.names = names;
    options.name_count = 2;
    assert_status(CLM_ERROR_ARGUMENT, clm_bench_check(&options));
    assert_message_has(
        "no benchmark \"attention/sideways\"; there is attention/forward, "
        "attention/backward");
    static const char *const others[] = {"gem", "gemm/", "", "/", "Gemm", "gemm/qkv-"};
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        options.names = &others[i];
        options.name_count = 1;
        assert_status(CLM_ERROR_ARGUMENT, clm_bench_check(&options));
        assert_message_has("gemm");
    }
    options.names = names;
    assert_ok(clm_bench_check(&options));
    static const char *const not_quick[] = {"train/head"};
    options.names = not_quick;
    assert_ok(clm_bench_check(&options));
    options.quick = true;
    assert_status(CLM_ERROR_ARGUMENT, clm_bench_check(&options));
    options.quick = false;
    options.seconds = -1.0;
    assert_status(CLM_ERROR_ARGUMENT, clm_bench_check(&options));
    options.seconds = NAN;
    assert_status(CLM_ERROR_ARGUMENT, clm_bench_check(&options));
}

CLM_ON_EACH_DEVICE(a_run_fills_the_report)
CLM_ON_EACH_DEVICE(jobs_run_on_a_model)
CLM_ON_EACH_DEVICE(models_do_not_collide)
CLM_ON_EACH_DEVICE(what_cannot_be_measured_says_why)
CLM_ON_EACH_DEVICE(a_run_can_be_stopped)
CLM_ON_EACH_DEVICE(the_copy_copies)
CLM_ON_EACH_DEVICE(every_case_runs)

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(unknown_names_are_refused),
        cmocka_unit_test(a_run_fills_the_report_test),
        cmocka_unit_test(jobs_run_on_a_model_test),
        cmocka_unit_test(models_do_not_collide_test),
        cmocka_unit_test(what_cannot_be_measured_says_why_test),
        cmocka_unit_test(a_run_can_be_stopped_test),
        cmocka_unit_test(the_copy_copies_test),
        cmocka_unit_test(every_case_runs_test),
    };
    return cmocka_run_group_tests(tests, NULL, clm_test_close_devices);
}

/* The self-test passes where nothing is wrong, puts stand-ins in the place of what is, and
 * remembers; and its own comparisons see what they should.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "support/test_devices.h"

#include <dirent.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/memory.h"
#include "broken.h"
#include "clm/log.h"
#include "clm/selftest.h"
#include "ops/common.h"
#include "ops/gemm.h"
#include "ops/tuning_file.h"
#include "selftest/record.h"
#include "selftest/run.h"

static int warnings;
static char last_warning[1024];

static void count_warnings(void *context, clm_log_level level, const char *message) {
    (void)context;
    if (level == CLM_LOG_WARNING) {
        warnings++;
        (void)snprintf(last_warning, sizeof last_warning, "%s", message);
    }
}

static void begin_without_records(void) {
    char command[600];
    (void)snprintf(command, sizeof command, "rm -rf '%s'", clm_test_path("cache"));
    assert_int_equal(system(command), 0);
    warnings = 0;
}

/* ---- a file that is no record ---- */

/* Overwrites every record below the test's cache. */
static int spoil_records(const char *text) {
    int count = 0;
    DIR *folder = opendir(clm_test_path("cache/tuning"));
    assert_non_null(folder);
    for (const struct dirent *entry = readdir(folder); entry != NULL; entry = readdir(folder)) {
        if (strstr(entry->d_name, ".selftest-") != NULL) {
            char name[300];
            (void)snprintf(name, sizeof name, "cache/tuning/%s", entry->d_name);
            clm_test_write(clm_test_path(name), text, strlen(text));
            count++;
        }
    }
    (void)closedir(folder);
    return count;
}

static void what_cannot_be_read_is_no_record(clm_device *device) {
    static const char *const texts[] = {"",
                                        "{",
                                        "[]",
                                        "{\"format\": 1}",
                                        "{\"format\": 2}",
                                        "{\"format\": 1, \"key\": \"another\", \"gemm\": \"own\", "
                                        "\"outcome\": \"passed\", \"replaced\": \"\", \"why\": "
                                        "\"\", \"comparisons\": 1, \"seconds\": 1}"};
    clm_selftest_report kept;
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        assert_true(spoil_records(texts[i]) > 0);
        assert_ok(clm_selftest_recall(&kept, device));
        assert_int_equal(kept.outcome, CLM_SELFTEST_UNKNOWN);
    }
}

/* One of the right key, with what clm never writes. */
static void a_record_that_was_tampered_with_is_none(clm_device *device) {
    static char longest[2000];
    const char *const changes[][2] = {
        {"\"passed\"", "\"perfect\""},
        {"\"seconds\": ", "\"seconds\": -"},
        {"\"seconds\": ", "\"seconds\": 1e99"},
        {"\"comparisons\": ", "\"comparisons\": 9999999999"},
        {"\"why\": \"", "\"why\": \"\\u001b[2J"},
        {"\"replaced\": \"", "\"replaced\": \"gelu=\\nitem"},
        {"\"why\": \"", longest},
    };
    char *path = NULL;
    char *key = NULL;
    char *text = NULL;
    size_t length = 0;
    clm_selftest_report kept;
    memset(longest, 'x', sizeof longest - 1);
    memcpy(longest, "\"why\": \"", 8);
    assert_ok(clm_selftest_record_place(&path, &key, device, "json"));
    assert_ok(clm_file_read(path, CLM_FILE_SETTINGS, &text, &length));
    for (size_t i = 0; i < sizeof changes / sizeof *changes; i++) {
        char changed[8192];
        const char *at = strstr(text, changes[i][0]);
        assert_non_null(at);
        (void)snprintf(changed, sizeof changed, "%.*s%s%s", (int)(at - text), text, changes[i][1],
                       at + strlen(changes[i][0]));
        clm_test_write(path, changed, strlen(changed));
        assert_ok(clm_selftest_recall(&kept, device));
        assert_int_equal(kept.outcome, CLM_SELFTEST_UNKNOWN);
        assert_string_equal(kept.why, "");
        assert_string_equal(kept.replaced, "");
    }
    clm_test_write(path, text, length);
    assert_ok(clm_selftest_recall(&kept, device));
    assert_int_equal(kept.outcome, CLM_SELFTEST_PASSED);
    clm_free(text);
    clm_free(path);
    clm_free(key);
}

/* ---- passing, and remembering that ---- */

static int results;

static void count_result(void *context, const clm_selftest_result *result) {
    (void)context;
    assert_string_equal(result->operation, clm_selftest_operation((size_t)results));
    assert_int_equal(result->number, ++results);
    assert_int_equal(result->outcome, CLM_SELFTEST_PASSED);
    assert_true(result->comparisons > 0);
    assert_string_equal(result->why, "");
}

static void a_sound_device_passes_and_is_remembered(clm_device *device) {
    clm_selftest_report report;
    clm_selftest_report kept;
    clm_selftest_options options = CLM_SELFTEST_OPTIONS_DEFAULT;
    options.on_result = count_result;
    results = 0;
    begin_without_records();
    clm_device *own = clm_test_open_again(device);
    assert_ok(clm_selftest_recall(&kept, own));
    assert_int_equal(kept.outcome, CLM_SELFTEST_UNKNOWN);
    assert_ok(clm_selftest_run(&report, own, &options));
    assert_int_equal(report.outcome, CLM_SELFTEST_PASSED);
    assert_string_equal(report.replaced, "");
    assert_null(clm_selftest_operation((size_t)results));
    print_message("%d comparisons in %.1f s\n", report.comparisons, report.seconds);
    assert_ok(clm_selftest_recall(&kept, own));
    assert_int_equal(kept.outcome, CLM_SELFTEST_PASSED);
    assert_int_equal(kept.comparisons, report.comparisons);
    if (clm_test_is_simulator(own)) { /* what follows is the same for all */
        clm_device_close(own);
        return;
    }
    /* Another form of kernels is another thing to test; so are other sources. */
    const clm_ops_form usual = clm_ops_form_of(own, "gelu");
    assert_int_equal(setenv("CLM_OPS_VARIANT", usual == CLM_OPS_ITEM ? "group" : "item", 1), 0);
    assert_ok(clm_selftest_recall(&kept, own));
    assert_int_equal(kept.outcome, CLM_SELFTEST_UNKNOWN);
    assert_int_equal(unsetenv("CLM_OPS_VARIANT"), 0);
    break_kernel(&(broken_kernel){"gelu", "gelu.cl", "void gelu_forward(", "/* the same */"});
    assert_ok(clm_selftest_recall(&kept, own));
    assert_int_equal(kept.outcome, CLM_SELFTEST_UNKNOWN);
    mend_kernels();
    /* Nothing has to be tested again, and nothing is said. */
    assert_ok(clm_selftest_ensure(own, NULL));
    assert_int_equal(warnings, 0);
    a_record_that_was_tampered_with_is_none(own);
    what_cannot_be_read_is_no_record(own);
    clm_device_close(own);
}

/* ---- stand-ins ---- */

/* Wrong in the form that the device usually runs, right in the other. */
static broken_kernel half_broken(const clm_device *device) {
    static const broken_kernel item = {"gelu", "gelu.cl", "void gelu_forward(",
                                       "\n#if LOCAL == 1\nx += 1;\n#endif\n"};
    static const broken_kernel group = {"gelu", "gelu.cl", "void gelu_forward(",
                                        "\n#if LOCAL > 1\nx += 1;\n#endif\n"};
    return clm_ops_form_of(device, "gelu") == CLM_OPS_ITEM ? item : group;
}

static void a_wrong_form_is_replaced(clm_device *device) {
    if (clm_test_is_simulator(device)) {
        return;
    }
    const broken_kernel broken = half_broken(device);
    const clm_ops_form usual = clm_ops_form_of(device, "gelu");
    clm_selftest_report kept;
    begin_without_records();
    break_kernel(&broken);
    clm_log_set_sink(count_warnings, NULL, CLM_LOG_WARNING);
    clm_device *own = clm_test_open_again(device);
    assert_ok(clm_selftest_ensure(own, NULL));
    assert_int_equal(warnings, 1);
    assert_non_null(strstr(last_warning, usual == CLM_OPS_ITEM ? "gelu=group" : "gelu=item"));
    assert_non_null(strstr(last_warning, "kernel gelu_forward at count="));
    assert_true(clm_ops_form_of(own, "gelu") != usual);
    assert_true(clm_ops_form_of(own, "layernorm") == usual);
    clm_device_close(own);
    /* The next one gets the stand-in at once. */
    own = clm_test_open_again(device);
    assert_ok(clm_selftest_recall(&kept, own));
    assert_int_equal(kept.outcome, CLM_SELFTEST_REPLACED);
    assert_true(clm_ops_form_of(own, "gelu") == usual);
    assert_ok(clm_selftest_ensure(own, NULL));
    assert_true(clm_ops_form_of(own, "gelu") != usual);
    assert_int_equal(warnings, 1);
    clm_device_close(own);
    clm_log_set_sink(NULL, NULL, CLM_LOG_WARNING);
    mend_kernels();
}

static void a_wrong_gemm_is_replaced(clm_device *device) {
    if (clm_test_is_simulator(device)) {
        return;
    }
    static const char *const gemm = "gemm";
    clm_gemm_backend usual = CLM_GEMM_AUTO;
    clm_selftest_report report;
    clm_selftest_options options = CLM_SELFTEST_OPTIONS_DEFAULT;
    options.operations = &gemm;
    options.operation_count = 1;
    clm_device *own = clm_test_open_again(device);
    assert_ok(clm_gemm_resolve(own, &usual));
    const bool panels = usual == CLM_GEMM_OWN_PANELS;
    break_kernel(&(broken_kernel){
        "gemm", "gemm.cl", panels ? "void gemm_panels(" : "void gemm_tiled(", "a_buffer += 1;"});
    assert_ok(clm_selftest_run(&report, own, &options));
    assert_int_equal(report.outcome, CLM_SELFTEST_REPLACED);
    assert_string_equal(report.replaced, panels ? "gemm=own-tiled" : "gemm=own-panels");
    assert_non_null(strstr(report.why, panels ? "gemm_panels" : "gemm_tiled"));
    clm_gemm_backend now = CLM_GEMM_AUTO;
    assert_ok(clm_gemm_resolve(own, &now));
    assert_int_equal(now, panels ? CLM_GEMM_OWN_TILED : CLM_GEMM_OWN_PANELS);
    clm_device_close(own);
    mend_kernels();
}

/* ---- refusing ---- */

/* Wrong in both forms, but reads nothing that is not there, which a simulator would tell of. */
static void a_wrong_kernel_is_named(clm_device *device) {
    static const char *const residual = "residual";
    clm_selftest_report report;
    clm_selftest_options options = CLM_SELFTEST_OPTIONS_DEFAULT;
    options.operations = &residual;
    options.operation_count = 1;
    break_kernel(&(broken_kernel){"residual", "residual.cl", "void residual_forward(", "b = a;"});
    clm_device *own = clm_test_open_again(device);
    assert_status(CLM_ERROR_DEVICE_WRONG, clm_selftest_run(&report, own, &options));
    assert_int_equal(report.outcome, CLM_SELFTEST_REFUSED);
    assert_message_has(clm_device_get_info(own)->name);
    assert_message_has("residual_forward");
    assert_message_has("count=");
    clm_device_close(own);
    mend_kernels();
}

static void a_device_without_a_stand_in_is_refused(clm_device *device) {
    if (clm_test_is_simulator(device)) {
        return;
    }
    begin_without_records();
    break_kernel(&(broken_kernel){"convert", "convert.cl", "void convert_##NAME(__global ushort",
                                  "x += 1;"});
    clm_device *own = clm_test_open_again(device);
    for (int i = 0; i < 2; i++) { /* found, and remembered */
        assert_status(CLM_ERROR_DEVICE_WRONG, clm_selftest_ensure(own, NULL));
        assert_message_has(clm_device_get_info(own)->name);
        assert_message_has("convert_f32_to_f16");
        assert_message_has("count=");
        assert_message_has(" is right");
    }
    assert_message_has("clm selftest --force");
    assert_int_equal(setenv("CLM_SELFTEST", "off", 1), 0);
    assert_ok(clm_selftest_ensure(own, NULL));
    assert_int_equal(unsetenv("CLM_SELFTEST"), 0);
    clm_device_close(own);
    /* So is one whose compiler does not take a kernel. */
    break_kernel(&(broken_kernel){"convert", "convert.cl", "void convert_##NAME(__global ushort",
                                  "no_such_function(x);"});
    own = clm_test_open_again(device);
    assert_status(CLM_ERROR_DEVICE_WRONG, clm_selftest_ensure(own, NULL));
    assert_message_has("convert.cl");
    clm_device_close(own);
    mend_kernels();
}

/* ---- marks ---- */

static clm_selftest_mark marked(const clm_device *device, const char *operation) {
    clm_selftest_mark mark;
    clm_selftest_mark_open(&mark, device);
    (void)snprintf(mark.now.operation, sizeof mark.now.operation, "%s", operation);
    (void)snprintf(mark.now.variant, sizeof mark.now.variant, "item");
    (void)snprintf(mark.now.kernel, sizeof mark.now.kernel, "a_kernel");
    clm_selftest_mark_write(&mark);
    return mark;
}

/* As a process ends: without a word. */
static void lose(clm_selftest_mark *mark) {
    assert_int_equal(close(mark->descriptor), 0);
    clm_free(mark->path);
    clm_free(mark->key);
}

/* The mark of a process that lives is none of a crash, and who finds it leaves none. One of a
 * process that is gone is a doubt, two are a crash. */
static void marks_are_of_processes_that_are_gone(clm_device *device) {
    begin_without_records();
    clm_selftest_mark living = marked(device, "gelu");
    assert_true(living.descriptor >= 0);
    assert_false(clm_selftest_mark_is_left(device));
    clm_selftest_mark second = marked(device, "rows");
    assert_true(second.descriptor < 0);
    clm_selftest_mark_close(&second, false);
    lose(&living);
    assert_true(clm_selftest_mark_is_left(device));
    clm_selftest_mark doubted = marked(device, "gelu");
    assert_int_equal(doubted.crash_count, 1);
    assert_null(clm_selftest_mark_find(&doubted, "gelu", "item"));
    lose(&doubted);
    /* One crash after the other is kept. */
    clm_selftest_mark third = marked(device, "rows");
    assert_non_null(clm_selftest_mark_find(&third, "gelu", "item"));
    assert_string_equal(clm_selftest_mark_find(&third, "gelu", "item")->kernel, "a_kernel");
    assert_null(clm_selftest_mark_find(&third, "gelu", "group"));
    assert_null(clm_selftest_mark_find(&third, "rows", "item"));
    lose(&third);
    clm_selftest_mark fourth = marked(device, "reduce");
    assert_int_equal(fourth.crash_count, 3);
    clm_selftest_mark_forget(&fourth, "gelu");
    (void)snprintf(fourth.now.operation, sizeof fourth.now.operation, "rows");
    clm_selftest_mark_keep(&fourth); /* seen to hang, so without a doubt */
    clm_selftest_mark_close(&fourth, false);
    clm_selftest_mark fifth = marked(device, "reduce");
    assert_int_equal(fifth.crash_count, 3);
    assert_non_null(clm_selftest_mark_find(&fifth, "rows", "item"));
    /* What is no line of a mark is passed over. */
    assert_int_equal(pwrite(fifth.descriptor, "{\"key\": 1}\n\n[", 14, 0), 14);
    lose(&fifth);
    clm_selftest_mark sixth = marked(device, "reduce");
    assert_true(sixth.descriptor >= 0);
    clm_selftest_mark_close(&sixth, true);
    assert_false(clm_selftest_mark_is_left(device));
}

static int asked;

static bool stop_soon(void *context) {
    (void)context;
    return ++asked == 3;
}

/* Who is asked to stop does so before a kernel, and leaves no mark. */
static void a_stopped_test_leaves_no_mark(clm_device *device) {
    clm_selftest_report report;
    clm_selftest_options options = CLM_SELFTEST_OPTIONS_DEFAULT;
    options.should_stop = stop_soon;
    begin_without_records();
    asked = 0;
    assert_status(CLM_ERROR_INTERRUPTED, clm_selftest_run(&report, device, &options));
    assert_int_equal(asked, 3);
    assert_false(clm_selftest_mark_is_left(device));
    assert_ok(clm_selftest_recall(&report, device));
    assert_int_equal(report.outcome, CLM_SELFTEST_UNKNOWN);
}

/* ---- the comparisons themselves ---- */

static void comparisons_see_what_they_should(clm_device *device) {
    static const double expected[3] = {1.0, -2.0, 3.0};
    static const struct {
        float got[3];
        bool wrong;
    } cases[] = {{{1.0F, -2.0F, 3.0F}, false},
                 {{1.0F, -2.0F, 3.00001F}, false},
                 {{1.0F, -2.0F, 3.0002F}, true},
                 {{1.0F, -2.0F, NAN}, true},
                 {{INFINITY, -2.0F, 3.0F}, true}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        clm_selftest_context run = {.device = device};
        clm_selftest_shape(&run, "case %zu", i);
        const clm_value value = clm_selftest_copy(&run, cases[i].got, 3);
        assert_ok(run.status);
        clm_selftest_compare(&run, "x", &value, expected, 1e-5, 1e-5);
        assert_int_equal(run.wrong, cases[i].wrong);
        assert_int_equal(strstr(run.why, "case") != NULL, cases[i].wrong);
        clm_selftest_clear(&run);
        assert_false(run.wrong);
    }
    /* A write behind a buffer is seen. */
    clm_selftest_context run = {.device = device};
    const float zero = 0.0F;
    const clm_value value = clm_selftest_empty(&run, 5);
    assert_ok(run.status);
    clm_selftest_check_guards(&run);
    assert_false(run.wrong);
    assert_ok(clm_buffer_write(value.buffer, 5 * sizeof zero, &zero, sizeof zero));
    clm_selftest_check_guards(&run);
    assert_true(run.wrong);
    assert_non_null(strstr(run.why, "element 5"));
    clm_selftest_clear(&run);
}

CLM_ON_EACH_DEVICE(comparisons_see_what_they_should)
CLM_ON_EACH_DEVICE(marks_are_of_processes_that_are_gone)
CLM_ON_EACH_DEVICE(a_stopped_test_leaves_no_mark)

/* With halves, emulated, so that there is every operation. */
static void a_sound_device_with_halves(clm_device *device) {
    assert_int_equal(setenv("CLM_HALF_ARITHMETIC", "emulated", 1), 0);
    a_sound_device_passes_and_is_remembered(device);
    assert_int_equal(unsetenv("CLM_HALF_ARITHMETIC"), 0);
}

CLM_ON_EACH_DEVICE(a_sound_device_with_halves)
CLM_ON_EACH_DEVICE(a_wrong_form_is_replaced)
CLM_ON_EACH_DEVICE(a_wrong_gemm_is_replaced)
CLM_ON_EACH_DEVICE(a_wrong_kernel_is_named)
CLM_ON_EACH_DEVICE(a_device_without_a_stand_in_is_refused)

static void outcomes_have_names(void **state) {
    (void)state;
    assert_string_equal(clm_selftest_outcome_name(CLM_SELFTEST_UNKNOWN), "not tested");
    assert_string_equal(clm_selftest_outcome_name(CLM_SELFTEST_REFUSED), "refused");
}

static int close_all(void **state) {
    mend_kernels();
    return clm_test_close_devices(state);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(outcomes_have_names),
        cmocka_unit_test(comparisons_see_what_they_should_test),
        cmocka_unit_test(marks_are_of_processes_that_are_gone_test),
        cmocka_unit_test(a_stopped_test_leaves_no_mark_test),
        cmocka_unit_test(a_sound_device_with_halves_test),
        cmocka_unit_test(a_wrong_form_is_replaced_test),
        cmocka_unit_test(a_wrong_gemm_is_replaced_test),
        cmocka_unit_test(a_wrong_kernel_is_named_test),
        cmocka_unit_test(a_device_without_a_stand_in_is_refused_test),
    };
    /* No GEMM is measured, and nothing is kept outside the test's folder. */
    if (setenv("CLM_TUNE", "off", 1) != 0 ||
        setenv("CLM_CACHE_DIR", clm_test_path("cache"), 1) != 0) {
        return 1;
    }
    return cmocka_run_group_tests(tests, NULL, close_all);
}

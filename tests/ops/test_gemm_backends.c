/* CLBlast behind clm_gemm, and the choice between it and the own kernel.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/folder.h"
#include "base/memory.h"
#include "clm/log.h"
#include "gemm_cases.h"
#include "ops/gemm_backend.h"

/* ---- CLBlast ---- */

/* A single random case also proves determinism and guards; few sizes, because CLBlast compiles for
 * a minute on some devices and each of its programs once more. */
static void clblast_on(clm_device *device) {
    if (!CLM_WITH_CLBLAST || clm_test_is_simulator(device)) {
        return;
    }
    const double start = clm_seconds();
    for (int i = 0; i < 16; i++) {
        const gemm_case test = gemm_random_case(200);
        gemm_check_case(device, CLM_GEMM_CLBLAST, &test);
    }
    /* Wrong in CLBlast 1.5.3 on some devices, so never given to it. */
    for (int i = 0; i < 4; i++) {
        const gemm_case test = {
            .M = 33, .N = 17, .K = 1, .a_transposed = i & 1, .b_transposed = i & 2};
        gemm_check_case(device, CLM_GEMM_CLBLAST, &test);
    }
    /* 900 and above go another way inside CLBlast, through copies. */
    const gemm_case large = {.M = 900, .N = 901, .K = 903, .bias = true, .packing = PACKED};
    gemm_check_case(device, CLM_GEMM_CLBLAST, &large);
    print_message("CLBlast: %.1f s\n", clm_seconds() - start);
}

static void test_clblast(void **state) {
    (void)state;
    clm_test_each_device(clblast_on);
}

static void unsupported_on(clm_device *device) {
    clm_buffer *buffer = clm_test_buffer(device, NULL, 16);
    clm_buffer *c = clm_test_buffer(device, NULL, 16);
    const clm_gemm_arguments product = {.M = 2, .N = 2, .K = 2, .a = buffer, .b = buffer, .c = c};
    if (!CLM_WITH_CLBLAST) {
        assert_status(CLM_ERROR_UNSUPPORTED, gemm_by(device, CLM_GEMM_CLBLAST, &product));
        assert_message_has("CLM_WITH_CLBLAST");
    }
    clm_test_buffer_check(buffer, 16);
    clm_test_buffer_check(c, 16);
}

static void test_unsupported(void **state) {
    (void)state;
    clm_test_each_device(unsupported_on);
}

/* ---- the choice ---- */

static char notes[8][512];
static size_t note_count;

static void keep_note(void *context, clm_log_level level, const char *message) {
    (void)context;
    (void)level;
    if (note_count < sizeof notes / sizeof *notes &&
        (strncmp(message, "gemm", 4) == 0 || strncmp(message, "tuning", 6) == 0)) {
        (void)snprintf(notes[note_count++], sizeof notes[0], "%s", message);
    }
}

static bool was_noted(const char *part) {
    for (size_t i = 0; i < note_count; i++) {
        if (strstr(notes[i], part) != NULL) {
            return true;
        }
    }
    return false;
}

typedef clm_status choice(clm_device *device, clm_gemm_backend *backend);

/* A choice is kept with a device until it is closed, so each of these opens PoCL anew. */
static clm_gemm_backend choose_afresh(choice *choose) {
    clm_device *device = NULL;
    clm_device_options options = CLM_DEVICE_OPTIONS_DEFAULT;
    options.pattern = "pocl";
    clm_gemm_backend backend = CLM_GEMM_AUTO;
    note_count = 0;
    assert_ok(clm_device_open(&device, &options));
    clm_status status = choose(device, &backend);
    clm_device_close(device);
    assert_ok(status);
    return backend;
}

static bool has_pocl(void) {
    clm_device *device = NULL;
    clm_device_options options = CLM_DEVICE_OPTIONS_DEFAULT;
    options.pattern = "pocl";
    bool has = clm_device_open(&device, &options) == CLM_OK;
    clm_device_close(device);
    return has;
}

static void test_choice_is_forced(void **state) {
    (void)state;
    if (!has_pocl()) {
        skip();
    }
    assert_int_equal(0, setenv("CLM_GEMM", "own", 1));
    assert_int_equal(CLM_GEMM_OWN, choose_afresh(clm_gemm_backend_for));
    assert_int_equal(0, setenv("CLM_GEMM", "clblast", 1));
    assert_int_equal(CLM_GEMM_CLBLAST, choose_afresh(clm_gemm_backend_for));
    assert_int_equal(0, setenv("CLM_GEMM", "fastest", 1));
    clm_device *device = NULL;
    clm_gemm_backend backend = CLM_GEMM_AUTO;
    assert_ok(clm_device_open(&device, NULL));
    clm_status status = clm_gemm_backend_for(device, &backend);
    clm_device_close(device);
    assert_status(CLM_ERROR_ARGUMENT, status);
    assert_message_has("fastest");
    assert_int_equal(0, unsetenv("CLM_GEMM"));
}

/* Without being measured: CLBlast's order of a sum depends on the number of rows. */
static void test_processors_take_the_own_kernel(void **state) {
    (void)state;
    if (!has_pocl()) {
        skip();
    }
    assert_int_equal(0, setenv("CLM_CACHE_DIR", clm_test_path("untouched"), 1));
    clm_log_set_sink(keep_note, NULL, CLM_LOG_DEBUG);
    assert_int_equal(CLM_GEMM_OWN, choose_afresh(clm_gemm_backend_for));
    assert_false(was_noted("measured"));
    assert_false(clm_file_exists(clm_test_path("untouched")));
    clm_log_set_sink(NULL, NULL, CLM_LOG_DEBUG);
}

/* On what is no processor: measured once, remembered, and measured again when the file is damaged.
 */
static void test_choice_is_remembered(void **state) {
    (void)state;
    if (!has_pocl()) {
        skip();
    }
    assert_int_equal(0, setenv("CLM_CACHE_DIR", clm_test_path("cache"), 1));
    clm_log_set_sink(keep_note, NULL, CLM_LOG_DEBUG);
    const clm_gemm_backend first = choose_afresh(clm_gemm_choose_faster);
    assert_true(was_noted("measured now"));
    assert_int_equal(first, choose_afresh(clm_gemm_choose_faster));
    assert_true(was_noted("measured before"));

    char *folder = NULL;
    char command[512];
    assert_ok(clm_cache_folder(&folder, "tuning"));
    (void)snprintf(command, sizeof command, "for f in '%s'/*.json; do echo '{' >\"$f\"; done",
                   folder);
    clm_free(folder);
    assert_int_equal(0, system(command));
    assert_int_equal(first, choose_afresh(clm_gemm_choose_faster));
    assert_true(was_noted("moved aside"));
    assert_true(was_noted("measured now"));

    /* Nowhere to keep it: measured, used, and said. */
    clm_test_write(clm_test_path("file"), "", 0);
    assert_int_equal(0, setenv("CLM_CACHE_DIR", clm_test_path("file"), 1));
    assert_int_equal(first, choose_afresh(clm_gemm_choose_faster));
    assert_true(was_noted("cannot be kept"));
    clm_log_set_sink(NULL, NULL, CLM_LOG_DEBUG);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_unsupported),
        cmocka_unit_test(test_choice_is_forced),
        cmocka_unit_test(test_processors_take_the_own_kernel),
        cmocka_unit_test(test_choice_is_remembered),
        cmocka_unit_test(test_clblast),
    };
    return cmocka_run_group_tests(tests, NULL, clm_test_close_devices);
}

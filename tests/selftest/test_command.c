/* `clm selftest`, and the commands that test a device before they use it.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "support/test_command.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/folder.h"
#include "broken.h"
#include "clm/selftest.h"

static const clm_test_surroundings tested = {.environment = {"CLM_SELFTEST=on"}};

/* The commands that compute read a model's config before they open the device, and its tokenizer
 * and weights afterwards: of a folder without them it shows which of the two they refuse. */
#define EVAL "eval", "--model", "hollow", "--data", "hollow/test.csv"
#define CLASSIFY "classify", "--model", "hollow", "text"

static void make_hollow_model(void) {
    static const char config[] =
        "{\"architectures\": [\"GPT2ForSequenceClassification\"], \"model_type\": \"gpt2\", "
        "\"n_layer\": 1, \"n_embd\": 8, \"n_head\": 1, \"n_positions\": 8, \"vocab_size\": 300}";
    static const char table[] = "Label,Text\nLABEL_0,a text\nLABEL_1,another\n";
    assert_ok(clm_folder_make(clm_test_path("hollow")));
    clm_test_write(clm_test_path("hollow/config.json"), config, sizeof config - 1);
    clm_test_write(clm_test_path("hollow/test.csv"), table, sizeof table - 1);
}

/* Tests the default device here, where there is no limit of time: the record is then there for the
 * command, and so is what the driver keeps of built kernels. */
static int test_here(void **state) {
    (void)state;
    clm_device *device = NULL;
    clm_selftest_report report;
    assert_int_equal(0, setenv("CLM_CACHE_DIR", clm_test_path("cache"), 1));
    assert_int_equal(0, setenv("CLM_TUNE", "off", 1));
    if (run_clm("devices").status != 0 && getenv("CLM_DEMAND_DEVICES") == NULL) {
        print_message("skipped: no OpenCL device\n");
        exit(77);
    }
    assert_ok(clm_device_open(&device, NULL));
    assert_ok(clm_selftest_run(&report, device, NULL));
    clm_device_close(device);
    make_hollow_model();
    return 0;
}

static void the_result_is_printed_and_stored(void **state) {
    (void)state;
    clm_test_outcome outcome = run_clm("selftest");
    assert_done(outcome);
    assert_has(outcome.output, "passed before (--force tests again): ");
    assert_null(strstr(outcome.output, "layernorm"));
    /* Of halves, emulated, it is another record. */
    assert_int_equal(setenv("CLM_HALF_ARITHMETIC", "emulated", 1), 0);
    outcome = run_clm("selftest");
    assert_done(outcome);
    assert_int_equal(unsetenv("CLM_HALF_ARITHMETIC"), 0);
    for (size_t i = 0; clm_selftest_operation(i) != NULL; i++) {
        assert_has(outcome.output, clm_selftest_operation(i));
    }
    assert_has(outcome.output, "\npassed: ");
    outcome = run_clm("selftest", "--force");
    assert_done(outcome);
    assert_has(outcome.output, "\npassed: ");
    outcome = run_clm("devices");
    assert_done(outcome);
    assert_has(outcome.output, "self-test   passed (");
}

static void operations_are_tested_by_name(void **state) {
    (void)state;
    clm_test_outcome outcome = run_clm("selftest", "rows", "gelu");
    assert_done(outcome);
    assert_has(outcome.output, "2/2 gelu");
    assert_null(strstr(outcome.output, "convert"));
    outcome = run_clm("selftest", "no-such-thing");
    assert_fails(outcome, 2, "no operation \"no-such-thing\"");
    outcome = run_clm("selftest", "--all", "--device", "0");
    assert_fails(outcome, 2, "exclude");
    outcome = run_clm("selftest", "--device", "no such device");
    assert_fails(outcome, 4, "no such device");
}

static void a_wrong_device_is_refused_by_commands(void **state) {
    (void)state;
    break_kernel(
        &(broken_kernel){"convert", "convert.cl", "void convert_##NAME(__global uint", "x += 1;"});
    clm_test_outcome outcome = run_clm("selftest");
    assert_fails(outcome, 4, "convert_f16_to_f32", "computes wrongly");
    assert_has(outcome.output, "WRONG");
    assert_fails(run_clm_in(&tested, EVAL), 4, "convert_f16_to_f32", "--force");
    assert_fails(run_clm_in(&tested, CLASSIFY), 4, "convert_f16_to_f32");
    assert_fails(run_clm_in(&tested, "bench", "residual", "--quick"), 4, "convert_f16_to_f32");
    assert_fails(run_clm_in(&tested, EVAL, "--no-selftest"), 3, "hollow: no tokenizer here");
    assert_fails(run_clm_in(&tested, CLASSIFY, "--no-selftest"), 3, "hollow: no tokenizer here");
    assert_fails(run_clm(EVAL), 3, "hollow: no tokenizer here"); /* CLM_SELFTEST=off */
    outcome = run_clm("selftest");
    assert_fails(outcome, 4, "convert_f16_to_f32", "--force");
    outcome = run_clm("devices");
    assert_done(outcome);
    assert_has(outcome.output, "self-test   refused");
    assert_has(outcome.output, "wrong: convert: ");
    mend_kernels();
    /* With the right kernels, the record from before counts again. */
    assert_fails(run_clm_in(&tested, EVAL), 3, "hollow: no tokenizer here");
}

/* ---- drivers that crash or hang: PoCL, whose kernels run in the process ---- */

#define POCL "--device", "portable"

static bool has_pocl(void) {
    const clm_test_outcome outcome = run_clm("devices");
    return outcome.status == 0 && strstr(outcome.output, "Portable Computing Language") != NULL;
}

static broken_kernel convert_with(const char *statement) {
    return (broken_kernel){"convert", "convert.cl", "void convert_##NAME(__global ushort",
                           statement};
}

static void a_crash_is_remembered(void **state) {
    (void)state;
    if (!has_pocl()) {
        skip();
    }
    const broken_kernel broken = convert_with("*(volatile __global int *)64 = 1;");
    break_kernel(&broken);
    for (int i = 0; i < 2; i++) { /* and what is remembered can be tried again */
        clm_test_outcome outcome;
        /* One process may have been killed. */
        for (int once = 0; once < 2; once++) {
            outcome = run_clm("selftest", POCL, i == 0 || once == 1 ? NULL : "--force");
            assert_true(outcome.status > 128);
            assert_null(strstr(outcome.errors, "crashed or hung"));
        }
        /* Its other form is tried, and crashes as well. */
        for (int once = 0; once < 2; once++) {
            outcome = run_clm("selftest", POCL);
            assert_true(outcome.status > 128);
            assert_has(outcome.errors, "crashed or hung");
            assert_has(outcome.errors, "convert_f32_to_f16");
            assert_has(outcome.errors, "trying group instead");
        }
        outcome = run_clm_in(&tested, EVAL, POCL);
        assert_fails(outcome, 4, "convert_f32_to_f16", "count=", "crashed or hung", "--force");
        assert_null(strstr(outcome.errors, "computes wrongly"));
        assert_fails(run_clm_in(&tested, EVAL, POCL), 4, "crashed or hung", "--force");
        assert_fails(run_clm_in(&tested, EVAL, POCL, "--no-selftest"), 3,
                     "hollow: no tokenizer here");
        assert_fails(run_clm(EVAL, POCL), 3, "hollow: no tokenizer here"); /* CLM_SELFTEST=off */
        outcome = run_clm("devices");
        assert_done(outcome);
        assert_has(outcome.output, "self-test   refused");
        assert_has(outcome.output, "crashed or hung");
    }
    /* By name it is tested in any case. */
    assert_true(run_clm("selftest", "convert", POCL).status > 128);
    mend_kernels();
}

static void what_crashes_in_one_form_is_replaced(void **state) {
    (void)state;
    if (!has_pocl()) {
        skip();
    }
    const broken_kernel broken = convert_with("if (LOCAL == 1) *(volatile __global int *)64 = 2;");
    break_kernel(&broken);
    assert_true(run_clm("selftest", POCL).status > 128);
    assert_true(run_clm("selftest", POCL).status > 128);
    const clm_test_outcome outcome = run_clm("selftest", POCL);
    assert_done(outcome);
    assert_has(outcome.output, "stand-ins: convert=group\n");
    assert_has(outcome.output, "convert_f32_to_f16 at ");
    assert_has(outcome.output, "crashed or hung");
    mend_kernels();
}

static void what_hangs_in_one_form_is_replaced(void **state) {
    (void)state;
    if (!has_pocl()) {
        skip();
    }
    const clm_test_surroundings limited = {.environment = {"CLM_DEVICE_TIMEOUT=5"}};
    const broken_kernel broken = convert_with("for (volatile int i = 0; LOCAL == 1 && i == 0;) {}");
    break_kernel(&broken);
    assert_fails(run_clm_in(&limited, "selftest", POCL), 4, "convert_f32_to_f16");
    const clm_test_outcome outcome = run_clm_in(&limited, "selftest", POCL);
    assert_done(outcome);
    assert_has(outcome.output, "stand-ins: convert=group\n");
    mend_kernels();
}

/* A crash of a driver is to end clm with a signal, as it does for its users: in a build with
 * AddressSanitizer too, which would end it with a report. */
static void leave_crashes_alone(void) {
    char options[512];
    const char *given = getenv("ASAN_OPTIONS");
    (void)snprintf(options, sizeof options, "%s:handle_segv=0", given != NULL ? given : "");
    (void)setenv("ASAN_OPTIONS", options, 1);
}

int main(void) {
    leave_crashes_alone();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_result_is_printed_and_stored),
        cmocka_unit_test(operations_are_tested_by_name),
        cmocka_unit_test(a_wrong_device_is_refused_by_commands),
        cmocka_unit_test(a_crash_is_remembered),
        cmocka_unit_test(what_crashes_in_one_form_is_replaced),
        cmocka_unit_test(what_hangs_in_one_form_is_replaced),
    };
    return cmocka_run_group_tests(tests, test_here, NULL);
}

/* Every kernel, broken on purpose, is caught by the self-test and named: in both forms, on each
 * device.
 *
 * What is added to a kernel makes it read its operand from the next element on, so that every
 * result is wrong, by about as much as operands differ.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "support/test_devices.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "broken.h"
#include "clm/selftest.h"

/* Those that exist in one form only are looked for in that. */
typedef struct case_of {
    broken_kernel broken;
    const char *name; /* as the message has it */
    const char *only; /* "item", "group", or NULL */
} case_of;

#define IN(operation, file, name, statement) \
    { {operation, file, "void " name "(", statement}, name, NULL }
#define ONLY(operation, file, name, statement, form) \
    { {operation, file, "void " name "(", statement}, name, form }

static const case_of cases[] = {
    {{"convert", "convert.cl", "void convert_##NAME(__global ushort", "x += 1;"},
     "convert_f32_to_f16",
     NULL},
    {{"convert", "convert.cl", "void convert_##NAME(__global uint", "x += 1;"},
     "convert_f16_to_f32",
     NULL},
    IN("reduce", "reduce.cl", "reduce_sum", "x += 1;"),
    IN("reduce", "reduce.cl", "reduce_square_sum", "x += 1;"),
    IN("reduce", "reduce.cl", "reduce_nonfinite", "x += 1;"),
    IN("reduce", "reduce.cl", "reduce_columns", "x += 1;"),
    IN("residual", "residual.cl", "residual_forward", "a += 1;"),
    IN("rows", "rows.cl", "rows_gather", "x += 1;"),
    IN("rows", "rows.cl", "rows_scatter", "x += 1;"),
    IN("rows", "rows.cl", "rows_add", "y += 1;"),
    IN("rows", "rows.cl", "rows_append", "x += 1;"),
    IN("gelu", "gelu.cl", "gelu_forward", "x += 1;"),
    IN("gelu", "gelu.cl", "gelu_backward", "dout += 1;"),
    IN("silu_gate", "silu_gate.cl", "silu_gate_forward", "up += 1;"),
    IN("silu_gate", "silu_gate.cl", "silu_gate_backward", "dout += 1;"),
    IN("rope", "rope.cl", "rope_forward", "x += 1;"),
    IN("rmsnorm", "rmsnorm.cl", "rmsnorm_forward", "x += 1;"),
    IN("rmsnorm", "rmsnorm.cl", "rmsnorm_backward", "dout += 1;"),
    IN("dropout", "dropout.cl", "dropout_forward", "x += 1;"),
    IN("adamw", "adamw.cl", "adamw_step", "gradient += 1;"),
    IN("embedding", "embedding.cl", "embedding_forward", "wpe += 1;"),
    IN("embedding", "embedding.cl", "embedding_backward_wte", "dout += 1;"),
    IN("embedding", "embedding.cl", "embedding_backward_wpe", "dout += 1;"),
    IN("layernorm", "layernorm.cl", "layernorm_forward", "x += 1;"),
    IN("layernorm", "layernorm.cl", "layernorm_backward", "dout += 1;"),
    IN("attention_one", "attention_one.cl", "attention_one_forward", "k += 1;"),
    IN("attention_one", "attention_one.cl", "attention_one_backward", "dout += 1;"),
    IN("crossentropy", "crossentropy.cl", "crossentropy_forward", "logits += 1;"),
    IN("crossentropy", "crossentropy.cl", "crossentropy_backward", "logits += 1;"),
    ONLY("attention", "attention.cl", "attention_forward_item", "k += 1;", "item"),
    ONLY("attention", "attention.cl", "attention_backward_item", "dout += 1;", "item"),
    ONLY("attention", "attention.cl", "attention_forward_group", "k += 1;", "group"),
    ONLY("attention", "attention.cl", "attention_backward_group_query", "dout += 1;", "group"),
    ONLY("attention", "attention.cl", "attention_backward_group_key", "dout += 1;", "group"),
};

/* Those of products, by what has to be forced for them to be used. */
static const case_of products[] = {
    ONLY("gemm", "gemm.cl", "gemm_pack_columns", "source += 1;", "own-panels"),
    ONLY("gemm", "gemm.cl", "gemm_pack_columns_transposed", "source += 1;", "own-panels"),
    ONLY("gemm", "gemm.cl", "gemm_pack_rows", "source += 1;", "own-panels"),
    ONLY("gemm", "gemm.cl", "gemm_panels", "a_buffer += 1;", "own-panels"),
    ONLY("gemm", "gemm.cl", "gemm_tiled", "a_buffer += 1;", "own-tiled"),
    ONLY("gemm", "gemm.cl", "gemm_copy", "source += 1;", "own-tiled"),
    {{"gemm", "gemm_few_panels.clh", "void PANELS(", "a_buffer += 1;"},
     "gemm_few_panels_1",
     "own-panels"},
    ONLY("gemm", "gemm_few.cl", "gemm_few_rows", "a_buffer += 1;", "own-panels"),
    ONLY("gemm", "gemm_few.cl", "gemm_few_columns", "a_buffer += 1;", "own-panels"),
    ONLY("gemm", "gemm_few.cl", "gemm_few_group", "a_buffer += 1;", "own-tiled"),
    ONLY("gemm", "gemm_few.cl", "gemm_few_group_columns", "a_buffer += 1;", "own-tiled"),
    ONLY("gemm", "gemm_few.cl", "gemm_few_add", "sums += 1;", "own-panels"),
    ONLY("gemm", "gemm_few.cl", "gemm_few_widen", "source += 1;", "own-tiled"),
    ONLY("gemm", "gemm_few.cl", "gemm_few_find_overflow", "found[0] = limit;", "own-tiled"),
    ONLY("gemm", "gemm_outer.cl", "gemm_outer", "a_buffer += 1;", "own-panels"),
    ONLY("gemm", "gemm_outer.cl", "gemm_outer", "a_buffer += 1;", "own-tiled"),
};

/* Runs one operation of the self-test on a device of its own, because built kernels stay with a
 * device. */
static clm_status run_alone(clm_selftest_report *report, const clm_device *device,
                            const char *operation) {
    char index[24];
    clm_device *alone = NULL;
    clm_device_options options = CLM_DEVICE_OPTIONS_DEFAULT;
    clm_selftest_options selftest = CLM_SELFTEST_OPTIONS_DEFAULT;
    (void)snprintf(index, sizeof index, "%d", clm_device_get_info(device)->index);
    options.pattern = index;
    selftest.operations = &operation;
    selftest.operation_count = 1;
    assert_ok(clm_device_open(&alone, &options));
    const clm_status status = clm_selftest_run(report, alone, &selftest);
    clm_device_close(alone);
    return status;
}

static void is_caught(clm_device *device, const case_of *c, const char *form) {
    clm_selftest_report report;
    print_message("%s as %s\n", c->name, form);
    break_kernel(&c->broken);
    assert_status(CLM_ERROR_DEVICE_WRONG, run_alone(&report, device, c->broken.operation));
    assert_message_has(c->name);
    assert_message_has(clm_device_get_info(device)->name);
    assert_int_equal(report.outcome, CLM_SELFTEST_REFUSED);
    assert_non_null(strstr(report.why, c->name));
    assert_non_null(strstr(report.why, c->broken.operation));
    mend_kernels();
}

/* Whether the item form of attention is there: only where vectors are wide. */
static bool has_form(const clm_device *device, const case_of *c, const char *form) {
    return (c->only == NULL || strcmp(c->only, form) == 0) &&
           (strstr(c->name, "_item") == NULL || clm_device_vector_width(device) >= 8);
}

static void each_kernel_is_caught(clm_device *device) {
    static const char *const forms[] = {"item", "group"};
    if (clm_test_is_simulator(device)) {
        return;
    }
    for (size_t f = 0; f < 2; f++) {
        assert_int_equal(setenv("CLM_OPS_VARIANT", forms[f], 1), 0);
        for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
            if (has_form(device, &cases[i], forms[f])) {
                is_caught(device, &cases[i], forms[f]);
            }
        }
    }
    assert_int_equal(unsetenv("CLM_OPS_VARIANT"), 0);
}

static void each_kernel_of_products_is_caught(clm_device *device) {
    if (clm_test_is_simulator(device)) {
        return;
    }
    for (size_t i = 0; i < sizeof products / sizeof *products; i++) {
        assert_int_equal(setenv("CLM_GEMM", products[i].only, 1), 0);
        is_caught(device, &products[i], products[i].only);
    }
    assert_int_equal(unsetenv("CLM_GEMM"), 0);
}

/* Floats take the place of halves that are wrong; without any there is nothing to test. */
static void halves_are_replaced(clm_device *device) {
    static const broken_kernel broken = {"gemm_half", "gemm_half.cl", "void gemm_half(",
                                         "a_buffer += 1;"};
    clm_selftest_report report;
    if (!clm_device_get_info(device)->has_fp16) {
        assert_status(CLM_ERROR_UNSUPPORTED, run_alone(&report, device, broken.operation));
        assert_message_has(clm_device_get_info(device)->name);
    }
    assert_int_equal(setenv("CLM_HALF_ARITHMETIC", "emulated", 1), 0);
    assert_ok(run_alone(&report, device, broken.operation));
    assert_int_equal(report.outcome, CLM_SELFTEST_PASSED);
    assert_int_equal(report.comparisons, 2);
    break_kernel(&broken);
    assert_ok(run_alone(&report, device, broken.operation));
    assert_int_equal(report.outcome, CLM_SELFTEST_REPLACED);
    assert_string_equal(report.replaced, "gemm_half=floats");
    assert_non_null(strstr(report.why, "gemm_half at M="));
    mend_kernels();
    assert_int_equal(unsetenv("CLM_HALF_ARITHMETIC"), 0);
}

CLM_ON_EACH_DEVICE(each_kernel_is_caught)
CLM_ON_EACH_DEVICE(each_kernel_of_products_is_caught)
CLM_ON_EACH_DEVICE(halves_are_replaced)

static int close_all(void **state) {
    mend_kernels();
    return clm_test_close_devices(state);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_kernel_is_caught_test),
        cmocka_unit_test(each_kernel_of_products_is_caught_test),
        cmocka_unit_test(halves_are_replaced_test),
    };
    /* No GEMM is measured, and no settings of the machine are read. */
    if (setenv("CLM_TUNE", "off", 1) != 0) {
        return 1;
    }
    return cmocka_run_group_tests(tests, NULL, close_all);
}

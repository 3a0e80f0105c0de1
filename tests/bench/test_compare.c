/* Two reports of known numbers, compared.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "support/test_support.h"

#include <math.h>

#include "made.h"

static void ratios_and_their_means(void **state) {
    (void)state;
    clm_bench_result in_a[] = {
        made_result("gemm/qkv", "M=1", 2.0),   made_result("gemm/qkv", "M=8", 1.0),
        made_result("gelu/forward", "", 3.0),  made_result("gemm/fc", "M=1", 1.0),
        made_result("train/all", "L=12", 5.0), made_skipped("open/model", "", "too little memory"),
        made_result("gemmx/fc", "", 1.0),      made_result("adamw/step", "n=1", 1.0),
    };
    clm_bench_result in_b[] = {
        made_result("gemm/fc", "M=1", 8.0),  made_result("gemm/qkv", "M=8", 0.5),
        made_result("gemm/qkv", "M=1", 1.0), made_result("gelu/forward", "", 3.3),
        made_result("open/model", "", 1.0),  made_result("train/all", "L=2", 5.0),
        made_result("gemmx/fc", "", 0.25),   made_skipped("adamw/step", "n=1", "too little memory"),
    };
    const clm_bench_report a = {.results = in_a, .result_count = 8};
    const clm_bench_report b = {.results = in_b, .result_count = 8};
    clm_bench_comparison c;
    assert_ok(clm_bench_compare(&c, &a, &b));
    assert_int_equal(c.pair_count, 5);
    assert_true(c.pairs[0].a == &in_a[0] && c.pairs[0].b == &in_b[2]);
    assert_true(c.pairs[0].ratio == 2.0 && !c.pairs[0].overlap);
    assert_true(c.pairs[1].ratio == 2.0);
    assert_true(c.pairs[2].overlap); /* 2.7 to 3.3 and 2.97 to 3.63 */
    assert_close(c.pairs[2].ratio, 3.0 / 3.3, 0.0, 1e-15);
    assert_true(c.pairs[3].a == &in_a[3] && c.pairs[3].ratio == 0.125);
    assert_true(c.pairs[4].ratio == 4.0);

    assert_int_equal(c.group_count, 3);
    assert_string_equal(c.groups[0].group, "gemm");
    assert_int_equal(c.groups[0].count, 3);
    assert_close(c.groups[0].ratio, cbrt(2.0 * 2.0 * 0.125), 0.0, 1e-14); /* a few roundings */
    assert_string_equal(c.groups[1].group, "gelu");
    assert_int_equal(c.groups[1].count, 1);
    assert_string_equal(c.groups[2].group, "gemmx");
    assert_close(c.groups[2].ratio, 4.0, 0.0, 1e-14);

    assert_int_equal(c.only_a_count, 2);
    assert_true(c.only_a[0] == &in_a[4] && c.only_a[1] == &in_a[7]);
    assert_int_equal(c.only_b_count, 2);
    assert_true(c.only_b[0] == &in_b[4] && c.only_b[1] == &in_b[5]);
    clm_bench_comparison_free(&c);
    clm_bench_comparison_free(&c);
}

static void an_empty_report_has_no_pairs(void **state) {
    (void)state;
    clm_bench_result one[] = {made_result("gemm/qkv", "M=1", 2.0)};
    const clm_bench_report empty = {0};
    const clm_bench_report report = {.results = one, .result_count = 1};
    clm_bench_comparison c;
    assert_ok(clm_bench_compare(&c, &empty, &report));
    assert_int_equal(c.pair_count, 0);
    assert_int_equal(c.group_count, 0);
    assert_int_equal(c.only_a_count, 0);
    assert_int_equal(c.only_b_count, 1);
    clm_bench_comparison_free(&c);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ratios_and_their_means),
        cmocka_unit_test(an_empty_report_has_no_pairs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

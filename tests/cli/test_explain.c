/* `clm explain`: what it prints, for people and as JSON.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cjson/cJSON.h>

#include "../selftest/broken.h"
#include "fixture.h"

#define DEEP "random:n_layer=6,n_embd=32,n_head=2,n_ctx=64,n_vocab=300"

static size_t count_lines_with(const char *text, const char *part) {
    size_t count = 0;
    for (const char *at = text; (at = strstr(at, part)) != NULL; at += strlen(part)) {
        count++;
    }
    return count;
}

/* One line tells what is explained; blocks that are equal are told once. */
static void equal_blocks_are_shown_once(void **state) {
    (void)state;
    clm_test_outcome outcome = run_clm("explain", "--model", DEEP, "--batch", "2", "--tokens", "8");
    assert_done(outcome);
    assert_has(outcome.output, DEEP ", finetune: 2 texts of 8 tokens; last-block is trained, ");
    assert_has(outcome.output, "cut: what lies below the trained part gives (2,8,32)");
    assert_has(outcome.output, "\nh.1 to h.3: as h.0\n");
    assert_has(outcome.output, "backward pass");
    const size_t once = count_lines_with(outcome.output, "mlp.c_fc");
    outcome = run_clm("explain", "--model", DEEP, "--batch", "2", "--tokens", "8", "--all");
    assert_done(outcome);
    assert_null(strstr(outcome.output, ": as "));
    assert_has(outcome.output, " view");
    assert_true(count_lines_with(outcome.output, "mlp.c_fc") > once);
}

static void what_was_done_is_noted(void **state) {
    (void)state;
    clm_test_outcome outcome = run_clm("explain", "finetune", "--model", DEEP, "--train", "all",
                                       "--tokens", "8", "--recompute", "--precision", "f16");
    assert_done(outcome);
    assert_has(outcome.output, "+bias +gelu");
    assert_has(outcome.output, "+residual");
    assert_has(outcome.output, "picked-rows");
    assert_has(outcome.output, "kept-in-16-bits");
    assert_has(outcome.output, " again");
    assert_has(outcome.output, "in-place");
    outcome = run_clm("explain", "classify", "--model", DEEP, "--tokens", "8");
    assert_done(outcome);
    assert_has(outcome.output, ", classify: 8 texts of 8 tokens\n");
    assert_null(strstr(outcome.output, "backward"));
}

static const cJSON *member(const cJSON *object, const char *name) {
    const cJSON *found = cJSON_GetObjectItemCaseSensitive(object, name);
    if (found == NULL) {
        fail_msg("no member \"%s\"", name);
    }
    return found;
}

static double number(const cJSON *object, const char *name) {
    const cJSON *found = member(object, name);
    assert_true(cJSON_IsNumber(found));
    return found->valuedouble;
}

/* Sums over operations are the totals. */
static void check_plan(const cJSON *plan) {
    double flops = 0.0;
    double read_bytes = 0.0;
    const cJSON *operation = NULL;
    cJSON_ArrayForEach(operation, member(plan, "operations")) {
        assert_true(cJSON_IsString(member(operation, "operation")));
        assert_true(cJSON_IsString(member(operation, "name")));
        assert_true(cJSON_IsArray(member(operation, "notes")));
        assert_true(cJSON_IsArray(member(operation, "dropped")));
        assert_true(number(operation, "section") < cJSON_GetArraySize(member(plan, "sections")));
        flops += number(operation, "flops");
        read_bytes += number(operation, "read_bytes");
    }
    assert_true(flops == number(member(plan, "totals"), "flops"));
    assert_true(read_bytes == number(member(plan, "totals"), "read_bytes"));
    assert_true(number(member(plan, "counts"), "fused") ==
                cJSON_GetArraySize(member(plan, "operations")));
    assert_true(number(member(plan, "memory"), "workspace_bytes") >=
                number(member(plan, "memory"), "peak_bytes"));
}

static void json_has_all_of_it(void **state) {
    (void)state;
    const clm_test_outcome outcome = run_clm("explain", "--model", DEEP, "--batch", "2", "--tokens",
                                             "8", "--features", "--json");
    assert_done(outcome);
    cJSON *json = cJSON_Parse(outcome.output);
    assert_non_null(json);
    assert_string_equal(member(json, "model")->valuestring, DEEP);
    assert_string_equal(member(json, "train")->valuestring, "last-block");
    assert_true(number(json, "batch") == 2.0 && number(json, "tokens") == 8.0);
    assert_true(number(json, "trained") < number(json, "parameters"));
    const cJSON *plans = member(json, "plans");
    assert_int_equal(cJSON_GetArraySize(plans), 2);
    assert_string_equal(member(cJSON_GetArrayItem(plans, 0), "part")->valuestring, "frozen");
    assert_string_equal(member(cJSON_GetArrayItem(plans, 1), "part")->valuestring, "trained");
    check_plan(cJSON_GetArrayItem(plans, 0));
    check_plan(cJSON_GetArrayItem(plans, 1));
    cJSON_Delete(json);
}

/* Execution adds kernels and times, and changes nothing else. */
static void run_adds_kernels(void **state) {
    (void)state;
    const clm_test_outcome outcome = run_clm("explain", "--model", TINY_MODEL, "--batch", "2",
                                             "--tokens", "8", "--run", "--json", "--no-selftest");
    assert_done(outcome);
    cJSON *json = cJSON_Parse(outcome.output);
    assert_non_null(json);
    const cJSON *plan = cJSON_GetArrayItem(member(json, "plans"), 0);
    const cJSON *operation = NULL;
    check_plan(plan);
    cJSON_ArrayForEach(operation, member(plan, "operations")) {
        const cJSON *kernels = member(operation, "kernels");
        const bool computes = number(operation, "written_bytes") > 0.0;
        assert_true(number(operation, "seconds") >= 0.0);
        assert_int_equal(cJSON_GetArraySize(kernels) > 0, computes);
        if (strcmp(member(operation, "operation")->valuestring, "layernorm") == 0) {
            assert_has(cJSON_GetArrayItem(kernels, 0)->valuestring, "layernorm_forward");
        }
    }
    cJSON_Delete(json);
}

/* Every kind of operation, in each way that plans save memory. */
static void check_finds_nothing_wrong(void **state) {
    (void)state;
    static const char *const ways[][4] = {
        {"--train", "all"},
        {"--recompute", "--precision", "f16"},
        {"--whole-top-block", "--precision", "bf16"},
    };
    for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) {
        const clm_test_outcome outcome =
            clm_test_run(NULL, (const char *const[]){"explain", "--check", ways[i][0], ways[i][1],
                                                     ways[i][2], ways[i][3], NULL});
        assert_done(outcome);
        assert_has(outcome.output, " agrees with plain C: ");
    }
    const clm_test_outcome outcome = run_clm("explain", "classify", "--check", "--tokens", "8");
    assert_done(outcome);
    assert_has(outcome.output, " agrees with plain C: ");
}

/* A kernel that computes wrongly is found at the operation that launches it, forward or backward,
 * and not at one that reads its results. */
static void check_names_what_is_wrong(void **state) {
    (void)state;
    static const struct {
        broken_kernel broken;
        const char *operation;
    } faults[] = {
        {{"", "layernorm.cl", "layernorm_forward", "x += 1;"}, "h.0.ln_1 layernorm: out[0,0,"},
        {{"", "layernorm.cl", "layernorm_backward", "dout += 1;"}, "ln_f layernorm_backward: d"},
        {{"", "gelu.cl", "gelu_backward", "dout += 1;"}, "h.1 gelu_backward: dx["},
    };
    for (size_t i = 0; i < sizeof faults / sizeof *faults; i++) {
        break_kernel(&faults[i].broken);
        const clm_test_outcome outcome = run_clm("explain", "--check");
        mend_kernels();
        /* A kernel that was changed may make the driver's compiler warn, too. */
        assert_int_equal(outcome.status, 4);
        assert_has(outcome.errors, faults[i].operation);
        assert_has(outcome.errors, " instead of ");
        assert_has(outcome.errors, faults[i].broken.kernel);
    }
}

/* The command's own model, texts and options; nothing is trained or written. */
static void other_commands_explain(void **state) {
    (void)state;
    clm_test_outcome outcome = run_clm(TRAIN, "--train", "head", "--features", "off", "--explain");
    assert_done(outcome);
    assert_has(outcome.output, TINY_MODEL ", finetune: 4 texts of ");
    assert_has(outcome.output, "head is trained, ");
    assert_has(outcome.output, "\ntraining step\n");
    outcome = run_clm(TRAIN, "--recipe", "--out", "never", "--explain");
    assert_done(outcome);
    assert_has(outcome.output, "\ntrained part, each step\n");
    assert_null(strstr(outcome.output, "accuracy"));
    assert_int_not_equal(access(clm_test_path("never"), F_OK), 0);
    outcome = run_clm("classify", "--model", "run", "--explain", "see you", "ok");
    assert_done(outcome);
    assert_has(outcome.output, "run, classify: 2 texts of ");
    outcome = run_clm("classify", "--model", "run", "--explain", "--json", "--batch", "3");
    assert_done(outcome);
    cJSON *json = cJSON_Parse(outcome.output);
    assert_non_null(json);
    assert_true(number(json, "batch") == 3.0 && number(json, "tokens") == 256.0);
    cJSON_Delete(json);
    assert_fails(run_clm(TRAIN, "--resume", "--out", "run", "--explain"), 2, "--resume",
                 "--explain");
}

static void mistakes_are_told(void **state) {
    (void)state;
    assert_fails(run_clm("explain", "--tokens", "4096"), 2, "--tokens 4096", "1024");
    assert_fails(run_clm("explain", "--model", "nowhere"), 3, "nowhere");
    assert_fails(run_clm("explain", "--check", "--json"), 2, "--check", "--json");
    assert_fails(run_clm("explain", "generate"), 2, "finetune or classify");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(equal_blocks_are_shown_once), cmocka_unit_test(what_was_done_is_noted),
        cmocka_unit_test(json_has_all_of_it),          cmocka_unit_test(run_adds_kernels),
        cmocka_unit_test(check_finds_nothing_wrong),   cmocka_unit_test(check_names_what_is_wrong),
        cmocka_unit_test(other_commands_explain),      cmocka_unit_test(mistakes_are_told),
    };
    return cmocka_run_group_tests(tests, make_run, NULL);
}

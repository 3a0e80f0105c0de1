/* What the command says about itself, and to arguments that cannot be.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>

#include <cjson/cJSON.h>

#include "base/file.h"
#include "base/memory.h"
#include "fixture.h"

static const char *const commands[] = {"devices",  "fetch", "data", "tokenize", "finetune", "eval",
                                       "classify", "plot",  "tune", "bench",    "selftest", "help"};
enum { command_count = sizeof commands / sizeof *commands };

static void each_command_has_help(void **state) {
    (void)state;
    clm_test_outcome all = run_clm("--help");
    assert_done(all);
    char list[4096];
    (void)snprintf(list, sizeof list, "%s", all.output);
    for (size_t i = 0; i < command_count; i++) {
        char part[64];
        assert_has(list, commands[i]);
        clm_test_outcome help = run_clm(commands[i], "--help");
        assert_done(help);
        assert_string_equal(help.errors, "");
        (void)snprintf(part, sizeof part, "usage: clm %s ", commands[i]);
        assert_has(help.output, part);
        assert_has(help.output, "--help");
        for (const char *at = help.output; *at != '\0';) {
            const size_t length = strcspn(at, "\n");
            if (length > 80 || (length > 0 && at[length - 1] == ' ')) {
                fail_msg("clm %s --help: %.*s|", commands[i], (int)length, at);
            }
            at += length + (at[length] == '\n');
        }
        char long_help[8192];
        (void)snprintf(long_help, sizeof long_help, "%s", help.output);
        assert_string_equal(run_clm(commands[i], "-h").output, long_help);
        assert_string_equal(run_clm("help", commands[i]).output, long_help);
    }
    clm_test_outcome version = run_clm("--version");
    assert_done(version);
    assert_has(version.output, clm_version());
    assert_has(run_clm("-V").output, clm_version());
    assert_has(run_clm("finetune", "-V").output, clm_version());
    assert_string_equal(run_clm("help").output, list);
}

static void no_command_is_status_2(void **state) {
    (void)state;
    clm_test_outcome nothing = run_clm(NULL);
    assert_int_equal(nothing.status, 2);
    assert_has(nothing.errors, "usage: clm COMMAND");
    assert_fails(run_clm("nonsense"), 2, "no command \"nonsense\"", "clm --help");
    assert_fails(run_clm("--verbose"), 2, "\"--verbose\"");
}

/* Arguments that are wrong, and what the line must name. */
static void wrong_usage_is_status_2(void **state) {
    (void)state;
#define CASE(part, ...)       \
    {                         \
        part, {               \
            __VA_ARGS__, NULL \
        }                     \
    }
#define NEEDED "finetune", "classify", "--model", "m", "--vocab", "v", "--data", "d", "--out", "o"
    static const struct {
        const char *part;
        const char *arguments[24];
    } wrong[] = {
        CASE("\"x\"", "devices", "x"),
        CASE("--json", "devices", "--json=yes"),
        CASE("NAME", "fetch"),
        CASE("\"gpt3\"", "fetch", "gpt2", "gpt3"),
        CASE("gpt3", "fetch", "gpt3"),
        CASE("spam", "data"),
        CASE("--input", "data", "spam", "--out", "o"),
        CASE("--vocab", "tokenize", "a"),
        CASE("exclude", "tokenize", "--vocab", "v", "--ids", "--decode", "1"),
        CASE("--out", "tokenize", "--train", "f"),
        CASE("TASK is missing: classify", "finetune"),
        CASE("TASK is classify, not \"regress\"", "finetune", "regress"),
        CASE("unexpected argument \"x\"", "finetune", "classify", "x"),
        CASE("--model", "finetune", "classify"),
        CASE("--vocab", "finetune", "classify", "--model", "m"),
        CASE("--data", "finetune", "classify", "--model", "m", "--vocab", "v"),
        CASE("--out", "finetune", "classify", "--model", "m", "--vocab", "v", "--data", "d"),
        CASE("--epochs must be at least 1, not 0", NEEDED, "--epochs", "0"),
        CASE("--epochs", NEEDED, "--epochs", "1.5"),
        CASE("--epochs", NEEDED, "--epochs", "99999999999"),
        CASE("--epochs", NEEDED, "--epochs="),
        CASE("--epochs needs a value", NEEDED, "--epochs"),
        CASE("--batch", NEEDED, "--batch", "-1"),
        CASE("--accumulate", NEEDED, "--accumulate", "0"),
        CASE("\"f8\"", NEEDED, "--precision", "f8"),
        CASE("--eval-every", NEEDED, "--eval-every", "-1"),
        CASE("--eval-batches", NEEDED, "--eval-batches", "0"),
        CASE("--max-steps", NEEDED, "--max-steps", "-1"),
        CASE("--seed", NEEDED, "--seed", "-1"),
        CASE("--lr must be more than 0, not 0", NEEDED, "--lr", "0"),
        CASE("--lr", NEEDED, "--lr", "-1e-3"),
        CASE("--lr", NEEDED, "--lr", "nan"),
        CASE("--lr", NEEDED, "--lr", "inf"),
        CASE("--lr", NEEDED, "--lr", "fast"),
        CASE("--weight-decay", NEEDED, "--weight-decay", "-0.1"),
        CASE("--train is head, last-block, last-two-blocks or all, not", NEEDED, "--train",
             "everything"),
        CASE("last-token", NEEDED, "--pooling", "mean"),
        CASE("no option --learning-rate (did you mean --lr?)", NEEDED, "--learning-rate", "1"),
        CASE("--model", "eval", "--data", "d"),
        CASE("--data", "eval", "--model", "m"),
        CASE("\"x\"", "eval", "--model", "m", "--data", "d", "x"),
        CASE("--batch", "eval", "--model", "m", "--data", "d", "--batch", "0"),
        CASE("--model", "classify", "a text"),
        CASE("--file", "classify", "--model", "m", "--file", "f", "a text"),
        CASE("--batch", "classify", "--model", "m", "--batch", "0", "a text"),
        CASE("\"f8\"", "classify", "--model", "m", "--precision", "f8", "a text"),
        CASE("bf16", "eval", "--model", "m", "--data", "d", "--precision", "F16"),
        CASE("-x", "classify", "--model", "m", "-x"),
        CASE("RUN is missing", "plot"),
        CASE("unexpected argument \"b\"", "plot", "a", "b"),
        CASE("\"soup\"; there is gemm, attention", "bench", "soup"),
        CASE("no quick case", "bench", "--quick", "train/head"),
        CASE("two files", "bench", "--compare"),
        CASE("two files", "bench", "--compare", "a"),
        CASE("--compare and --quick exclude each other", "bench", "--compare", "a", "b", "--quick"),
        CASE("--list", "bench", "--list", "gemm"),
        CASE("exclude", "bench", "--all", "--device", "0"),
        CASE("--seconds", "bench", "--seconds", "-1"),
        CASE("--samples", "bench", "--samples", "-1"),
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        clm_test_outcome outcome = clm_test_run(NULL, wrong[i].arguments);
        assert_fails(outcome, 2, wrong[i].part);
        assert_string_equal(outcome.output, "");
    }
}

/* What was mistyped, and what was meant; NULL where nothing is near. */
static void mistakes_get_a_suggestion(void **state) {
    (void)state;
    static const struct {
        const char *typed;
        const char *meant;
    } commands_typed[] = {
        {"finetun", "finetune"},   {"fine-tune", "finetune"}, {"train", "finetune"},
        {"clasify", "classify"},   {"predict", "classify"},   {"evaluate", "eval"},
        {"benchmark", "bench"},    {"device", "devices"},     {"tokenise", "tokenize"},
        {"self-test", "selftest"}, {"download", "fetch"},     {"hlep", "help"},
    };
    static const struct {
        const char *command;
        const char *typed;
        const char *meant;
    } options_typed[] = {
        {"finetune", "--epoch", "--epochs"},     {"finetune", "--num_train_epochs", "--epochs"},
        {"finetune", "--batch-size", "--batch"}, {"finetune", "--batch_size=8", "--batch"},
        {"finetune", "--bacth", "--batch"},      {"finetune", "--learning_rate", "--lr"},
        {"finetune", "--output-dir", "--out"},   {"finetune", "--wieght-decay", "--weight-decay"},
        {"classify", "--batch-size", "--batch"}, {"eval", "--dataset", "--data"},
        {"data", "--sep", "--separator"},        {"tune", "--gpu", "--device"},
        {"bench", "--hlep", "--help"},
    };
    char part[96];
    for (size_t i = 0; i < sizeof commands_typed / sizeof *commands_typed; i++) {
        (void)snprintf(part, sizeof part, "did you mean 'clm %s'?", commands_typed[i].meant);
        assert_fails(run_clm(commands_typed[i].typed), 2, part);
    }
    for (size_t i = 0; i < sizeof options_typed / sizeof *options_typed; i++) {
        (void)snprintf(part, sizeof part, "(did you mean %s?)", options_typed[i].meant);
        assert_fails(run_clm(options_typed[i].command, options_typed[i].typed), 2, part);
    }
    assert_null(strstr(run_clm("nonsense").errors, "mean"));
    assert_null(strstr(run_clm("finetune", "--nonsense").errors, "mean"));
}

/* An empty path is a variable that was not set, not a file of that name. */
static void empty_paths_are_refused(void **state) {
    (void)state;
    static const char *const options[][2] = {
        {"finetune", "--out"},  {"finetune", "--model"},  {"finetune", "--vocab"},
        {"finetune", "--data"}, {"finetune", "--device"}, {"classify", "--model"},
        {"classify", "--file"}, {"eval", "--data"},       {"eval", "--model"},
        {"data", "--input"},    {"data", "--out"},        {"tokenize", "--vocab"},
        {"tokenize", "--out"},  {"tokenize", "--train"},  {"fetch", "--to"},
        {"bench", "--json"},    {"bench", "--csv"},       {"bench", "--report"},
        {"tune", "--export"},   {"tune", "--import"},     {"selftest", "--device"},
    };
    char part[64];
    for (size_t i = 0; i < sizeof options / sizeof *options; i++) {
        (void)snprintf(part, sizeof part, "%s is empty", options[i][1]);
        assert_fails(run_clm(options[i][0], options[i][1], ""), 2, part);
        (void)snprintf(part, sizeof part, "%s=", options[i][1]);
        assert_fails(run_clm(options[i][0], part), 2, "is empty");
    }
    assert_fails(run_clm("plot", ""), 2, "RUN is empty");
    assert_fails(run_clm("bench", "--compare", "a.json", ""), 2, "NAME is empty");
}

/* A file is written where it is asked for: into what is no regular file, and into a pipe that
 * gets nothing else. */
static void outputs_may_be_anything(void **state) {
    (void)state;
    const clm_test_surroundings full = {.output = "/dev/full"};
    const clm_test_surroundings closed = {.output_is_closed_pipe = true};
#define BENCH "bench", "layernorm/forward", "--quick", "--seconds", "0.01"
    clm_test_outcome outcome = run_clm(BENCH, "--json", "-");
    assert_done(outcome);
    cJSON *report = cJSON_Parse(outcome.output);
    assert_non_null(report);
    cJSON_Delete(report);
    assert_has(outcome.errors, "GFLOP/s"); /* the table */
    assert_done(run_clm(BENCH, "--json", "/dev/null", "--csv", "/dev/null"));
    assert_fails(run_clm("bench", "--json", "-", "--csv=-"), 2, "both standard output");
    assert_fails(run_clm(BENCH, "--json", "/dev/full"), 5, "/dev/full");
    outcome = run_clm_in(&full, BENCH, "--json", "-");
    assert_int_equal(outcome.status, 5);
    assert_has(outcome.errors, "clm: standard output: cannot be written: No space");
    outcome = run_clm_in(&closed, BENCH, "--json", "-");
    assert_int_equal(outcome.status, 3);
    assert_has(outcome.errors, "Broken pipe");
    assert_done(run_clm("tune", "--export", "/dev/null"));
    outcome = run_clm("tune", "--export", "-");
    assert_done(outcome);
    report = cJSON_Parse(outcome.output);
    assert_non_null(report);
    cJSON_Delete(report);
    assert_false(clm_file_exists(clm_test_path("-")));
}

/* Where nothing can be written, nothing is measured, trained or read before that is said. */
static void outputs_are_tried_first(void **state) {
    (void)state;
    static const clm_test_surroundings no_device = {.environment = {"OCL_ICD_VENDORS=nowhere"}};
    clm_test_write(clm_test_path("a-file"), "old", 3);
#define NOWHERE "no-such-folder/file"
    static const char *const lines[][7] = {
        {"bench", "--json", NOWHERE},
        {"bench", "--csv", NOWHERE},
        {"bench", "--json", "a-file/below"},
        {"bench", "--report", "no-such-folder/r.md", "missing.json"},
        {"tune", "--export", NOWHERE},
        {"data", "spam", "--input", "missing.tsv", "--out", "a-file"},
        {"tokenize", "--train", "missing.txt", "--out", "a-file/below"},
        {"fetch", "gpt2", "--to", "a-file"},
    };
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
        const clm_test_outcome outcome = clm_test_run(&no_device, lines[i]);
        assert_fails(outcome, 3, "cannot be written: ");
        assert_true(strstr(outcome.errors, "no-such-folder/") != NULL ||
                    strstr(outcome.errors, "a-file") != NULL);
    }
    /* What can be written stays as it is when the command fails for another reason. */
    assert_fails(run_clm_in(&no_device, "bench", "--json", "a-file"), 4, "OpenCL");
    assert_fails(run_clm_in(&no_device, "bench", "--json", "new-file"), 4, "OpenCL");
    char *bytes = NULL;
    read_file(&bytes, NULL, "a-file");
    assert_string_equal(bytes, "old");
    clm_free(bytes);
    assert_false(clm_file_exists(clm_test_path("new-file")));
    assert_no_parts();
}

/* Platforms that have no device, or no platform at all: advice, not silence. */
static void all_commands_report_a_missing_device(void **state) {
    (void)state;
    const clm_test_surroundings none = {.environment = {"OCL_ICD_VENDORS=nowhere"}};
    assert_fails(run_clm_in(&none, "bench", "--all"), 4, "OpenCL");
    assert_fails(run_clm_in(&none, "selftest", "--all"), 4, "OpenCL");
    assert_fails(run_clm_in(&none, "tune", "--all"), 4, "OpenCL");
    assert_fails(run_clm_in(&none, "devices"), 4, "OpenCL");
}

static void devices_are_listed(void **state) {
    (void)state;
    clm_test_outcome table = run_clm("devices");
    assert_done(table);
    assert_has(table.output, "* ");
    static const char *const headings[] = {"rank  ",     "platform  ", "driver  ",
                                           "units  ",    "memory  ",   "extensions  ",
                                           "self-test ", "tuning  ",   "CLM_DEVICE"};
    for (size_t i = 0; i < sizeof headings / sizeof *headings; i++) {
        assert_has(table.output, headings[i]);
    }
    clm_test_outcome outcome = run_clm("devices", "--json");
    assert_done(outcome);
    cJSON *list = cJSON_Parse(outcome.output);
    assert_true(cJSON_IsArray(list) && cJSON_GetArraySize(list) > 0);
    int chosen = 0;
    const cJSON *device = NULL;
    cJSON_ArrayForEach(device, list) {
        assert_true(cJSON_IsString(cJSON_GetObjectItem(device, "name")));
        assert_true(cJSON_IsNumber(cJSON_GetObjectItem(device, "memory_size_bytes")));
        assert_true(cJSON_IsTrue(cJSON_GetObjectItem(device, "default")) ==
                    (cJSON_GetObjectItem(device, "rank")->valueint == 1));
        const cJSON *selftest = cJSON_GetObjectItem(device, "selftest");
        assert_true(cJSON_IsString(cJSON_GetObjectItem(selftest, "outcome")));
        assert_true(
            cJSON_IsString(cJSON_GetObjectItem(cJSON_GetObjectItem(device, "tuning"), "preset")));
        const cJSON *quirk = NULL;
        cJSON_ArrayForEach(quirk, cJSON_GetObjectItem(device, "quirks")) {
            assert_true(cJSON_IsString(cJSON_GetObjectItem(quirk, "see")));
        }
        chosen += cJSON_IsTrue(cJSON_GetObjectItem(device, "default"));
    }
    assert_int_equal(chosen, 1);
    cJSON_Delete(list);
}

/* The line lists what there is instead. */
static void an_unknown_device_is_status_4(void **state) {
    (void)state;
    const clm_test_surroundings elsewhere = {.environment = {"CLM_DEVICE=no such device"}};
    clm_test_outcome outcome = run_clm_in(&elsewhere, TRAIN, "--out", "nowhere");
    assert_fails(outcome, 4, "\"no such device\"", "there is 0: ");
    outcome = run_clm(TRAIN, "--out", "nowhere", "--device", "nonesuch");
    assert_fails(outcome, 4, "\"nonesuch\"", "there is 0: ");
}

static void tokens_go_both_ways(void **state) {
    (void)state;
    clm_test_outcome outcome = run_clm("tokenize", "--vocab", "vocab", "--ids", "see you");
    assert_done(outcome);
    char ids[256];
    (void)snprintf(ids, sizeof ids, "%.*s", (int)strcspn(outcome.output, "\n"), outcome.output);
    outcome = run_clm("tokenize", "--vocab", "vocab", "--decode", ids);
    assert_done(outcome);
    assert_string_equal(outcome.output, "see you\n");
    assert_fails(run_clm("tokenize", "--vocab", "vocab", "--decode", "1 one"), 3, "byte 2",
                 "\"one");
    assert_fails(run_clm("tokenize", "--vocab", "vocab", "--decode", "300"), 2, "300", "299");
    assert_fails(run_clm("tokenize", "--vocab", "none", "a"), 3, "none: ");
    assert_fails(run_clm("tokenize", "--train", "none", "--out", "v"), 3, "none: ");
}

/* A full disk, and a reader that went away, at the end of every way to answer. */
static void lost_output_is_a_failure(void **state) {
    (void)state;
    const clm_test_surroundings full = {.output = "/dev/full"};
    const clm_test_surroundings closed = {.output_is_closed_pipe = true};
    assert_fails(run_clm_in(&full, "--help"), 5, "standard output", "No space");
    assert_fails(run_clm_in(&full, "plot", "--help"), 5, "standard output");
    assert_fails(run_clm_in(&full, "devices"), 5, "standard output");
    assert_fails(run_clm_in(&full, "tokenize", "--vocab", "vocab", "a"), 5, "standard output");
    assert_fails(run_clm_in(&closed, "--version"), 1, "standard output", "Broken pipe");
    assert_fails(run_clm_in(&closed, "devices", "--json"), 1, "Broken pipe");
    assert_fails(run_clm_in(&closed, "tokenize", "--vocab", "vocab", "a"), 1, "Broken pipe");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_command_has_help),
        cmocka_unit_test(no_command_is_status_2),
        cmocka_unit_test(wrong_usage_is_status_2),
        cmocka_unit_test(devices_are_listed),
        cmocka_unit_test(an_unknown_device_is_status_4),
        cmocka_unit_test(tokens_go_both_ways),
        cmocka_unit_test(lost_output_is_a_failure),
        cmocka_unit_test(mistakes_get_a_suggestion),
        cmocka_unit_test(empty_paths_are_refused),
        cmocka_unit_test(outputs_may_be_anything),
        cmocka_unit_test(outputs_are_tried_first),
        cmocka_unit_test(all_commands_report_a_missing_device),
    };
    return cmocka_run_group_tests(tests, make_inputs, NULL);
}

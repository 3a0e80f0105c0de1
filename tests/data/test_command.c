/* Runs `clm data` as a person does.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "support/test_command.h"

#include <string.h>

#include "base/file.h"
#include "base/folder.h"
#include "base/memory.h"

static int make_messages(void **state) {
    (void)state;
    char *bytes = NULL;
    size_t size_bytes = 0;
    assert_ok(
        clm_file_read(clm_test_source("data/messages.tsv"), CLM_FILE_TEXT, &bytes, &size_bytes));
    clm_test_write(clm_test_path("messages.tsv"), bytes, size_bytes);
    clm_free(bytes);
    return 0;
}

#define DATA_SPAM(...) run_clm("data", "spam", __VA_ARGS__)
#define DATA_CLASSES(...) run_clm("data", "classes", __VA_ARGS__)
#define MESSAGES "--input", "messages.tsv"

static void it_says_what_it_did(void **state) {
    (void)state;
    clm_test_outcome outcome = DATA_SPAM(MESSAGES, "--out", "made/here");
    assert_done(outcome);
    assert_string_equal(
        outcome.output,
        "messages.tsv: 49 rows: 34 ham, 15 spam\n"
        "balanced: 30 rows: 15 ham, 15 spam\n"
        "made/here: train.csv 21, validation.csv 3, test.csv 6 rows, labels.json, data.json\n");
    assert_string_equal(outcome.errors, "");
    outcome =
        DATA_CLASSES("--no-balance", "--split=0.5,0.2", "--seed", "7", "--out", "all/", MESSAGES);
    assert_done(outcome);
    assert_has(outcome.output, "train.csv 24, validation.csv 9, test.csv 16 rows");
    clm_test_write(clm_test_path("s.csv"), "a;b\nx;1\ny;0\nz;1\nw;0\nv;0\n", 24);
    outcome = DATA_CLASSES("--input", "s.csv", "--text-column", "a", "--label-column", "b",
                           "--separator", ";", "--split", "0.4,0.3", "--no-balance", "--out", "s");
    assert_done(outcome);
    assert_has(outcome.output, "3 0, 2 1");
}

static void wrong_usage_is_status_2(void **state) {
    (void)state;
    assert_fails(run_clm("data"), 2, "spam or classes");
    assert_fails(run_clm("data", "nothing", MESSAGES, "--out", "w"), 2, "spam or classes");
    assert_fails(DATA_SPAM(MESSAGES), 2, "--out");
    assert_fails(DATA_SPAM("--out", "w"), 2, "--input");
    static const char *const wrong[][3] = {
        {"--split", "0.7", "--split"},     {"--split", "0.7,x", "--split"},
        {"--split", "0.7,0.3", "--split"}, {"--split", "nan,0.3", "--split"},
        {"--seed", "-1", "--seed"},        {"--separator", "ab", "--separator"},
        {"--separator", "\"", "a quote"},  {"--unknown", NULL, "--unknown"},
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        assert_fails(DATA_SPAM(MESSAGES, "--out", "w", wrong[i][0], wrong[i][1]), 2, wrong[i][2]);
    }
    assert_false(clm_file_exists(clm_test_path("w")));
}

static void bad_input_is_status_3(void **state) {
    (void)state;
    assert_fails(DATA_SPAM("--input", "none.tsv", "--out", "w"), 3, "clm: none.tsv: ");
    assert_fails(DATA_SPAM("--input", ".", "--out", "w"), 3, "clm: ");
    clm_test_write(clm_test_path("bad.csv"), "label,text\nham,a\nspam\n", 22);
    assert_fails(DATA_SPAM("--input", "bad.csv", "--out", "w"), 3, "clm: bad.csv:3:1: ");
    assert_fails(DATA_SPAM(MESSAGES, "--text-column", "body", "--out", "w"), 3,
                 "no text column (body)");
    assert_fails(DATA_SPAM(MESSAGES, "--split", "0.9,0.01", "--out", "w"), 3, "too few");
    assert_false(clm_file_exists(clm_test_path("w")));
}

static void a_folder_in_use_needs_force(void **state) {
    (void)state;
    assert_done(DATA_SPAM(MESSAGES, "--out", "used"));
    assert_done(DATA_SPAM(MESSAGES, "--out", "used")); /* the same again */
    assert_fails(DATA_SPAM(MESSAGES, "--out", "used", "--seed", "1"), 3, "clm: used: ");
    assert_done(DATA_SPAM(MESSAGES, "--out", "used", "--seed", "1", "--force"));
}

static void write_text(const char *name, const char *text) {
    clm_test_write(clm_test_path(name), text, strlen(text));
}

static void a_header_may_be_missing(void **state) {
    (void)state;
    write_text("first.tsv", "one\tham\ntwo\tspam\nthree\tham\nfour\tspam\nfive\tham\n");
    assert_fails(DATA_SPAM("--input", "first.tsv", "--out", "w"), 3,
                 "first.tsv:1:1: ", "make 5 classes of 5 rows", "--label-column", "--text-column",
                 "--no-header");
    clm_test_outcome outcome =
        DATA_SPAM("--input", "first.tsv", "--out", "first", "--no-header", "--label-column", "2",
                  "--split", "0.5,0.25", "--no-balance");
    assert_done(outcome);
    assert_has(outcome.output, "first.tsv: 5 rows: 3 ham, 2 spam");
    write_text("plain.csv", "ham,one\nspam,two\n");
    assert_fails(DATA_SPAM("--input", "plain.csv", "--out", "w"), 3,
                 "plain.csv:1:1: ", "--text-column", "--label-column", "--no-header");
}

static void classes_named_by_numbers_need_names(void **state) {
    (void)state;
    write_text("stars.csv", "label,text\n1,a\n2,b\n1,c\n2,d\n1,e\n2,f\n1,g\n2,h\n");
    assert_fails(DATA_SPAM("--input", "stars.csv", "--out", "w", "--split", "0.5,0.25"), 3,
                 "stars.csv: ", "clm data classes");
    assert_false(clm_file_exists(clm_test_path("w")));
    assert_done(DATA_CLASSES("--input", "stars.csv", "--out", "stars", "--split", "0.5,0.25"));
    char *text = NULL;
    size_t size_bytes = 0;
    assert_ok(clm_file_read(clm_test_path("stars/train.csv"), CLM_FILE_TABLE, &text, &size_bytes));
    assert_has(text, "Label,Text,Name\n");
    clm_free(text);
}

/* A pipe is read to its end; a device that has none is refused. */
static void pipes_are_read_and_devices_are_not(void **state) {
    (void)state;
    const clm_test_surroundings piped = {.input = "label,text\nham,a\nspam,b\nham,c\nspam,d\n",
                                         .input_size_bytes = 37};
    assert_done(run_clm_in(&piped, "data", "spam", "--input", "/dev/stdin", "--out", "piped",
                           "--split", "0.5,0.25"));
    assert_fails(DATA_SPAM("--input", "/dev/zero", "--out", "w"), 3, "clm: /dev/zero: ");
}

/* No such device, and no weights: the table is looked at first. */
static void eval_checks_the_table_first(void **state) {
    (void)state;
    assert_ok(clm_folder_make(clm_test_path("model")));
    write_text("model/config.json",
               "{\"architectures\":[\"GPT2ForSequenceClassification\"],\"model_type\":\"gpt2\","
               "\"id2label\":{\"0\":\"ham\",\"1\":\"spam\"},\"label2id\":{\"ham\":0,\"spam\":1}}");
    write_text("eggs.csv", "label,text\nham,a\neggs,b\n");
    assert_fails(run_clm("eval", "--model", "model", "--data", "eggs.csv", "--device", "nonesuch"),
                 3, "clm: eggs.csv:3:1: unknown label \"eggs\"");
    assert_fails(run_clm("eval", "--model", "model", "--data", "none.csv", "--device", "nonesuch"),
                 3, "clm: none.csv: ");
}

/* A file may have 512 bytes, which train.csv does not fit into. */
static void incomplete_files_do_not_appear(void **state) {
    (void)state;
    const clm_test_surroundings around = {.file_limit_bytes = 512};
    const char *const arguments[] = {"data", "spam", MESSAGES, "--out", "full", NULL};
    const clm_test_outcome outcome = clm_test_run(&around, arguments);
    assert_true(outcome.status == 3 || outcome.status == 5);
    assert_fails(outcome, outcome.status, "clm: full/train.csv: cannot be written");
    assert_false(clm_file_exists(clm_test_path("full")));
    assert_no_parts();
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_says_what_it_did),
        cmocka_unit_test(wrong_usage_is_status_2),
        cmocka_unit_test(bad_input_is_status_3),
        cmocka_unit_test(a_folder_in_use_needs_force),
        cmocka_unit_test(a_header_may_be_missing),
        cmocka_unit_test(classes_named_by_numbers_need_names),
        cmocka_unit_test(pipes_are_read_and_devices_are_not),
        cmocka_unit_test(eval_checks_the_table_first),
        cmocka_unit_test(incomplete_files_do_not_appear),
    };
    return cmocka_run_group_tests(tests, make_messages, NULL);
}

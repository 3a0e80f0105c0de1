/* Input that is wrong, disks that are full, numbers that explode: one clear line, the documented
 * status, and nothing lost that was saved.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/folder.h"
#include "base/memory.h"
#include "fixture.h"

#define CLASSIFY "classify", "--model", "run"
#define EVAL "eval", "--model", "run", "--data"

static void write_text(const char *name, const char *text) {
    clm_test_write(clm_test_path(name), text, strlen(text));
}

static void copy(const char *from, const char *to) {
    char *bytes = NULL;
    size_t size_bytes = 0;
    read_file(&bytes, &size_bytes, from);
    clm_test_write(clm_test_path(to), bytes, size_bytes);
    clm_free(bytes);
}

/* A folder with run/'s files, for a test to spoil. */
static void copy_run(const char *folder) {
    static const char *const files[] = {"config.json", "model.safetensors", "tokenizer.json",
                                        "vocab.json", "merges.txt"};
    assert_ok(clm_folder_make(clm_test_path(folder)));
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        char from[64];
        char to[64];
        (void)snprintf(from, sizeof from, "run/%s", files[i]);
        (void)snprintf(to, sizeof to, "%s/%s", folder, files[i]);
        copy(from, to);
    }
}

/* As root, permissions hide nothing: a folder and a link to nowhere cannot be read by anybody. */
static void missing_and_unreadable_files(void **state) {
    (void)state;
    assert_ok(clm_folder_make(clm_test_path("folder")));
    assert_int_equal(symlink("nowhere", clm_test_path("dangling")), 0);
    static const char *const names[] = {"missing", "folder", "dangling"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char start[32];
        (void)snprintf(start, sizeof start, "clm: %s", names[i]);
        assert_fails(run_clm(EVAL, names[i]), 3, start);
        assert_fails(run_clm(CLASSIFY, "--file", names[i]), 3, start);
        assert_fails(run_clm("classify", "--model", names[i], "a text"), 3, start);
        assert_fails(run_clm("plot", names[i]), 3, start);
        assert_fails(run_clm("data", "spam", "--input", names[i], "--out", "w"), 3, start);
        assert_fails(run_clm("finetune", "classify", "--model", names[i], "--vocab", "vocab",
                             "--data", "data", "--out", "w"),
                     3, start);
        assert_fails(run_clm("finetune", "classify", "--model", TINY_MODEL, "--vocab", names[i],
                             "--data", "data", "--out", "w"),
                     3, start);
        assert_fails(run_clm("finetune", "classify", "--model", TINY_MODEL, "--vocab", "vocab",
                             "--data", names[i], "--out", "w"),
                     3, start);
    }
    assert_false(clm_file_exists(clm_test_path("w")));
}

/* What eval says of a table, with its place. */
static void files_that_are_no_table(void **state) {
    (void)state;
    static const struct {
        const char *text;
        const char *place;
        const char *what;
    } tables[] = {
        {"", "clm: t.csv", "empty"},
        {"just some words\nand more of them\n", "clm: t.csv:1:1: ", "column"},
        {"Label,Text\nham,a\nspam\n", "clm: t.csv:3:", ""},
        {"Label,Text\nham,\"never closed\n", "clm: t.csv:2:", ""},
        {"Label,Text\neggs,hello\n", "clm: t.csv:2:1: ", "unknown label \"eggs\""},
        {"Label,Text\nham,ok\nspam,\n", "clm: t.csv:3:", "empty"},
        {"Label,Text\nham,a\xFF\n", "clm: t.csv:2:6: ", "0xFF"},
    };
    for (size_t i = 0; i < sizeof tables / sizeof *tables; i++) {
        write_text("t.csv", tables[i].text);
        assert_fails(run_clm(EVAL, "t.csv"), 3, tables[i].place, tables[i].what);
    }
    clm_test_write(clm_test_path("t.csv"), "Label,Text\nham,a\0b\n", 19);
    assert_fails(run_clm(EVAL, "t.csv"), 3, "clm: t.csv:2:6: ", "NUL");
    assert_fails(run_clm(EVAL, "data/test.csv", "--text-column", "body"), 3,
                 "clm: data/test.csv:1:1: ", "body", "\"Label\", \"Text\"");
    assert_fails(run_clm(EVAL, "data/test.csv", "--label-column", "kind"), 3,
                 "clm: data/test.csv:1:1: ", "kind");
}

/* The training data too, and with all three files. */
static void training_data_is_checked(void **state) {
    (void)state;
    assert_ok(clm_folder_make(clm_test_path("spoilt")));
    copy("data/train.csv", "spoilt/train.csv");
    copy("data/validation.csv", "spoilt/validation.csv");
    copy("data/labels.json", "spoilt/labels.json");
#define ON_SPOILT                                                                           \
    "finetune", "classify", "--model", TINY_MODEL, "--vocab", "vocab", "--data", "spoilt/", \
        "--out", "w"
    assert_fails(run_clm(ON_SPOILT), 3, "spoilt/test.csv", "No such file");
    write_text("spoilt/test.csv", "Label,Text\n0,a\n2,b\n");
    assert_fails(run_clm(ON_SPOILT), 3, "spoilt/test.csv:3:1: ", "\"2\"");
    copy("data/test.csv", "spoilt/test.csv");
    write_text("spoilt/labels.json", "[\"ham\"");
    assert_fails(run_clm(ON_SPOILT), 3, "spoilt/labels.json");
    assert_false(clm_file_exists(clm_test_path("w")));
}

static size_t count_rows(const char *output, bool with_answer) {
    size_t count = 0;
    for (const char *at = output; *at != '\0'; at += strcspn(at, "\n") + 1) {
        count += (*at != '\t') == with_answer;
    }
    return count;
}

/* What has no answer costs no other text its own; with --strict it ends the command, and lines
 * before it are answered. */
static void bad_lines_are_named(void **state) {
    (void)state;
    static const struct {
        const char *bytes;
        size_t size_bytes;
        const char *what;
    } bad[] = {
        {"one\ntwo\n\nfour\n", 14, "empty"},
        {"one\ntwo\nt\xFFo\nfour\n", 17, "byte 1 of the text, 0xFF, is not valid UTF-8"},
        {"one\ntwo\nto\0o\nfour\n", 18, "byte 2 of the text is NUL"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        const clm_test_surroundings piped = {.input = bad[i].bytes,
                                             .input_size_bytes = bad[i].size_bytes};
        clm_test_write(clm_test_path("lines"), bad[i].bytes, bad[i].size_bytes);
        static const char *const batches[] = {"1", "2", "8"};
        for (size_t k = 0; k < 3; k++) {
            clm_test_outcome outcome = run_clm(CLASSIFY, "--file", "lines", "--batch", batches[k]);
            assert_fails(outcome, 3, "1 of 4 texts has no answer");
            assert_has(outcome.errors, "warning: lines:3: ");
            assert_has(outcome.errors, bad[i].what);
            assert_int_equal(count_rows(outcome.output, true), 3);
            assert_int_equal(count_rows(outcome.output, false), 1);
            outcome = run_clm(CLASSIFY, "--strict", "--file", "lines", "--batch", batches[k]);
            assert_fails(outcome, 3, "clm: lines:3: ", bad[i].what);
            assert_int_equal(count_rows(outcome.output, true), 2);
            assert_int_equal(count_rows(outcome.output, false), 0);
        }
        clm_test_outcome outcome = run_clm_in(&piped, CLASSIFY);
        assert_fails(outcome, 3, "1 of 4 texts");
        assert_has(outcome.errors, "warning: standard input:3: ");
        outcome = run_clm_in(&piped, CLASSIFY, "--strict");
        assert_fails(outcome, 3, "clm: standard input:3: ", bad[i].what);
        outcome = run_clm_in(&piped, CLASSIFY, "--json");
        assert_has(outcome.output,
                   "{\"label\":null,\"probability\":null,\"probabilities\":null,"
                   "\"error\":\"standard input:3: ");
        assert_fails(outcome, 3, "1 of 4 texts");
    }
    clm_test_outcome outcome = run_clm(CLASSIFY, "fine", "", "\xC3(");
    assert_fails(outcome, 3, "2 of 3 texts have no answer");
    assert_has(outcome.errors, "warning: text 2: ");
    assert_has(outcome.errors, "warning: text 3: ");
    assert_int_equal(count_rows(outcome.output, true), 1);
    outcome = run_clm(CLASSIFY, "--strict", "fine", "");
    assert_fails(outcome, 3, "clm: text 2: ", "empty");
    assert_int_equal(count_rows(outcome.output, true), 1);
}

/* Nothing is opened for a command that cannot succeed: no device is asked, though there is none. */
static void files_are_looked_at_before_the_device(void **state) {
    (void)state;
    const clm_test_surroundings nowhere = {.environment = {"CLM_DEVICE=no such device"}};
    assert_fails(run_clm_in(&nowhere, CLASSIFY, "--file", "missing"), 3, "missing");
    assert_fails(run_clm_in(&nowhere, "classify", "--model", "missing", "a"), 3, "missing");
    assert_fails(run_clm_in(&nowhere, "eval", "--model", "missing", "--data", "data/test.csv"), 3,
                 "missing");
    assert_fails(run_clm_in(&nowhere, EVAL, "missing"), 3, "missing");
    assert_fails(run_clm_in(&nowhere, EVAL, "data/test.csv", "--text-column", "body"), 3, "body");
    assert_fails(run_clm_in(&nowhere, CLASSIFY, "a"), 4, "no such device");
}

static void long_texts_are_cut_and_counted(void **state) {
    (void)state;
    char text[4001];
    for (size_t i = 0; i < sizeof text; i++) {
        text[i] = i % 3 == 2 ? ' ' : 'x';
    }
    text[sizeof text - 1] = '\0';
    clm_test_outcome outcome = run_clm(CLASSIFY, "short", text, "b");
    assert_done(outcome);
    assert_string_equal(outcome.errors,
                        "warning: 1 text is longer than the model reads and was cut\n");
    outcome = run_clm(CLASSIFY, text, "short", text);
    assert_string_equal(outcome.errors,
                        "warning: 2 texts are longer than the model reads and were cut\n");
    outcome = run_clm("finetune", "classify", "--model",
                      "random:n_layer=1,n_embd=16,n_head=2,n_ctx=8,n_vocab=300", "--vocab", "vocab",
                      "--data", "data", "--out", "cut", "--epochs", "1");
    assert_done(outcome);
    assert_has(outcome.errors, "of 21 training texts were cut to 8 tokens");
}

/* A safetensors file that is cut short, that lies about itself, or that is none. */
static void bad_weights(void **state) {
    (void)state;
    copy_run("bad");
    char *bytes = NULL;
    size_t size_bytes = 0;
    read_file(&bytes, &size_bytes, "run/model.safetensors");
    const size_t sizes[] = {0, 5, 8, 100, size_bytes - 1};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        clm_test_write(clm_test_path("bad/model.safetensors"), bytes, sizes[i]);
        assert_fails(run_clm("classify", "--model", "bad", "a"), 3, "bad/model.safetensors: ");
    }
    /* A header that claims to be as large as the world, and one that is no JSON. */
    memset(bytes, 0xFF, 7);
    clm_test_write(clm_test_path("bad/model.safetensors"), bytes, size_bytes);
    assert_fails(run_clm("classify", "--model", "bad", "a"), 3, "bad/model.safetensors: ");
    clm_free(bytes);
    read_file(&bytes, &size_bytes, "run/model.safetensors");
    bytes[8] = '[';
    clm_test_write(clm_test_path("bad/model.safetensors"), bytes, size_bytes);
    assert_fails(run_clm("classify", "--model", "bad", "a"), 3, "bad/model.safetensors: ");
    bytes[8] = '{';
    /* A tensor that lies about its shape: (300,16) has as many digits as (200,16). */
    char *shape = NULL;
    for (size_t i = 0; i + 8 < size_bytes && shape == NULL; i++) {
        shape = memcmp(bytes + i, "[300,16]", 8) == 0 ? bytes + i : NULL;
    }
    assert_non_null(shape);
    shape[1] = '2';
    clm_test_write(clm_test_path("bad/model.safetensors"), bytes, size_bytes);
    assert_fails(run_clm("classify", "--model", "bad", "a"), 3, "bad/model.safetensors: ", "wte");
    clm_free(bytes);
}

/* Replaces the first `from` in run/config.json by `to`, in spoilt_config/. */
static clm_test_outcome with_config(const char *from, const char *to) {
    char *text = NULL;
    char changed[4096];
    read_file(&text, NULL, "run/config.json");
    const char *at = strstr(text, from);
    assert_non_null(at);
    (void)snprintf(changed, sizeof changed, "%.*s%s%s", (int)(at - text), text, to,
                   at + strlen(from));
    clm_free(text);
    copy_run("config");
    write_text("config/config.json", changed);
    return run_clm("classify", "--model", "config", "a");
}

static void shapes_that_contradict_the_config(void **state) {
    (void)state;
    assert_done(with_config("\"n_layer\": 1", "\"n_layer\": 1"));
    assert_fails(with_config("\"n_embd\": 16", "\"n_embd\": 32"), 3,
                 "config/model.safetensors: ", "16");
    assert_fails(with_config("\"n_layer\": 1", "\"n_layer\": 2"), 3, "config", "h.1.");
    assert_fails(with_config("\"vocab_size\": 300", "\"vocab_size\": 301"), 3,
                 "config/model.safetensors: ", "wte.weight", "(300, 16)");
    assert_fails(with_config("\"n_head\": 2", "\"n_head\": 3"), 3,
                 "config/config.json: ", "n_head");
    assert_fails(with_config("\"n_layer\": 1", "\"n_layer\": \"one\""), 3,
                 "config/config.json: ", "n_layer");
    assert_fails(with_config("{", "["), 3, "config/config.json");
}

static void vocabularies_of_another_size(void **state) {
    (void)state;
    assert_fails(run_clm("finetune", "classify", "--model",
                         "random:n_layer=1,n_embd=16,n_head=2,n_ctx=64,n_vocab=299", "--vocab",
                         "vocab", "--data", "data", "--out", "w"),
                 3, "vocab: ", "300", "299");
    assert_done(
        run_clm("tokenize", "--train", "messages.tsv", "--vocab-size", "310", "--out", "larger"));
    copy_run("mixed");
    copy("larger/tokenizer.json", "mixed/tokenizer.json");
    assert_fails(run_clm("classify", "--model", "mixed", "a"), 3, "mixed: ", "310", "300");
    assert_false(clm_file_exists(clm_test_path("w")));
}

static void folders_without_a_run_are_refused(void **state) {
    (void)state;
    assert_fails(run_clm("classify", "--model", "vocab", "a"), 3, "vocab/");
    assert_fails(run_clm("eval", "--model", "data", "--data", "data/test.csv"), 3, "data");
    assert_fails(run_clm("plot", "data"), 3, "data/metrics.jsonl");
    assert_fails(run_clm(TRAIN, "--out", "messages.tsv"), 3, "messages.tsv");
}

/* ---- what was saved stays ---- */

static void a_second_run_into_the_same_folder(void **state) {
    (void)state;
    copy("run/model.safetensors", "model.before");
    copy("run/metrics.jsonl", "metrics.before");
    assert_fails(run_clm(TRAIN, "--out", "run"), 3, "clm: run: ", "--resume");
    assert_same_bytes("model.before", "run/model.safetensors");
    assert_same_bytes("metrics.before", "run/metrics.jsonl");
}

/* OpenCL drivers write files of their own, so the limits are above what those need: a checkpoint of
 * the last block (9.5 MB), and a model (3.5 MB) whose head alone is trained, do not fit. */
static void no_room_to_save(void **state) {
    (void)state;
#define WIDE_RUN(out, train)                                                                       \
    "finetune", "classify", "--model",                                                             \
        "random:n_layer=1,n_embd=256,n_head=2,n_ctx=64,n_vocab=300", "--vocab", "vocab", "--data", \
        "data", "--batch", "4", "--out", out, "--epochs", "2", "--train", train
    const clm_test_surroundings limit = {.file_limit_bytes = 3000000};
    /* So that all kernels come from the caches. */
    assert_done(run_clm(WIDE_RUN("wide", "last-block")));
    assert_done(run_clm(WIDE_RUN("wide-head", "head")));
    assert_fails(run_clm_in(&limit, WIDE_RUN("full", "last-block")), 5,
                 "full/checkpoint.safetensors: ", "File too large");
    assert_no_parts();
    assert_done(run_clm(WIDE_RUN("full", "last-block"), "--resume", "--force"));
    assert_fails(run_clm_in(&limit, WIDE_RUN("full-head", "head")), 5,
                 "full-head/model.safetensors: ", "File too large");
    assert_no_parts();
    assert_true(clm_file_exists(clm_test_path("full-head/checkpoint.safetensors")));
    assert_done(run_clm(WIDE_RUN("full-head", "head"), "--resume"));
    assert_done(run_clm("classify", "--model", "full-head", "a"));
    /* What is there is not lost when the same is saved again without room. */
    copy("full/model.safetensors", "model.before");
    copy("full/checkpoint.safetensors", "checkpoint.before");
    assert_fails(run_clm_in(&limit, WIDE_RUN("full", "last-block"), "--resume"), 5, "full/");
    assert_same_bytes("model.before", "full/model.safetensors");
    assert_same_bytes("checkpoint.before", "full/checkpoint.safetensors");
    assert_no_parts();
}

static void no_room_for_tables_and_vocabularies(void **state) {
    (void)state;
    const clm_test_surroundings little = {.file_limit_bytes = 400};
    assert_fails(run_clm_in(&little, "data", "spam", "--input", "messages.tsv", "--out", "w"), 5,
                 "train.csv", "File too large");
    assert_fails(run_clm_in(&little, "tokenize", "--train", "messages.tsv", "--vocab-size", "300",
                            "--out", "w"),
                 5, "w/", "File too large");
    assert_no_parts();
}

static void numbers_that_explode(void **state) {
    (void)state;
#define EXPLODE(out) TRAIN, "--lr", "1e30", "--out", out
    /* Without an evaluation the next step finds it, and names its batch. */
    clm_test_outcome outcome = run_clm(EXPLODE("nan"), "--eval-every", "0");
    assert_fails(outcome, 6, "nan: ", "loss of step 1 ", "batch 2 of epoch 1", "training texts ",
                 "learning rate");
    assert_false(clm_file_exists(clm_test_path("nan/model.safetensors")));
    /* With one, that does. */
    outcome = run_clm(EXPLODE("nan1"), "--max-steps", "1");
    assert_fails(outcome, 6, "nan1: ", "after step 0", "batch 1 of epoch 1");
    assert_false(clm_file_exists(clm_test_path("nan1/model.safetensors")));
    outcome = run_clm(EXPLODE("nan2"), "--max-steps", "1", "--eval-every", "0");
    assert_fails(outcome, 6, "nan2: ", "after step 0");
    assert_no_parts();
}

/* Weights near the end of all floats, smuggled into a checkpoint, make the next step explode; that
 * must not be saved over what is there. */
static void the_last_checkpoint_stays(void **state) {
    (void)state;
    assert_done(run_clm(TRAIN, "--out", "huge", "--epochs", "1"));
    char *bytes = NULL;
    size_t size_bytes = 0;
    uint64_t header = 0;
    const float huge = 3e38F;
    read_file(&bytes, &size_bytes, "huge/checkpoint.safetensors");
    memcpy(&header, bytes, sizeof header);
    for (size_t i = 0; i < 64; i++) {
        memcpy(bytes + 8 + header + 4 * i, &huge, sizeof huge);
    }
    clm_test_write(clm_test_path("huge/checkpoint.safetensors"), bytes, size_bytes);
    clm_free(bytes);
    copy("huge/checkpoint.safetensors", "huge.before");
    assert_fails(run_clm(TRAIN, "--out", "huge", "--epochs", "2", "--resume"), 6,
                 "huge: ", "step 5");
    assert_same_bytes("huge.before", "huge/checkpoint.safetensors");
}

/* A checkpoint that is damaged is not trained on. */
static void bad_checkpoints(void **state) {
    (void)state;
    assert_done(run_clm(TRAIN, "--out", "damaged", "--epochs", "1"));
    char *bytes = NULL;
    size_t size_bytes = 0;
    read_file(&bytes, &size_bytes, "damaged/checkpoint.safetensors");
    clm_test_write(clm_test_path("damaged/checkpoint.safetensors"), bytes, size_bytes / 2);
    assert_fails(run_clm(TRAIN, "--out", "damaged", "--epochs", "2", "--resume"), 3,
                 "damaged/checkpoint.safetensors: ");
    copy("run/model.safetensors", "damaged/checkpoint.safetensors");
    assert_fails(run_clm(TRAIN, "--out", "damaged", "--epochs", "2", "--resume"), 3,
                 "damaged/checkpoint.safetensors: ", "not a checkpoint of clm");
    clm_test_write(clm_test_path("damaged/checkpoint.safetensors"), bytes, size_bytes);
    write_text("damaged/metrics.jsonl", "{\"event\":\"start\"}\n");
    assert_fails(run_clm(TRAIN, "--out", "damaged", "--epochs", "2", "--resume"), 3,
                 "damaged/metrics.jsonl: ");
    clm_free(bytes);
}

static void answers_without_a_reader(void **state) {
    (void)state;
    const clm_test_surroundings full = {.output = "/dev/full"};
    const clm_test_surroundings closed = {.output_is_closed_pipe = true};
    assert_fails(run_clm_in(&full, CLASSIFY, "a", "b"), 5, "standard output", "No space left");
    assert_fails(run_clm_in(&full, EVAL, "data/test.csv"), 5, "standard output");
    assert_fails(run_clm_in(&closed, CLASSIFY, "--file", "messages.tsv"), 1, "Broken pipe");
    assert_fails(run_clm_in(&closed, EVAL, "data/test.csv", "--json"), 1, "Broken pipe");
    /* Training is not given up for want of a reader: the model is there. */
    assert_fails(
        run_clm_in(&closed, TRAIN, "--out", "unheard", "--epochs", "2", "--eval-every", "3"), 1,
        "Broken pipe");
    assert_same_bytes("run/model.safetensors", "unheard/model.safetensors");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(missing_and_unreadable_files),
        cmocka_unit_test(files_that_are_no_table),
        cmocka_unit_test(training_data_is_checked),
        cmocka_unit_test(bad_lines_are_named),
        cmocka_unit_test(files_are_looked_at_before_the_device),
        cmocka_unit_test(long_texts_are_cut_and_counted),
        cmocka_unit_test(bad_weights),
        cmocka_unit_test(shapes_that_contradict_the_config),
        cmocka_unit_test(vocabularies_of_another_size),
        cmocka_unit_test(folders_without_a_run_are_refused),
        cmocka_unit_test(a_second_run_into_the_same_folder),
        cmocka_unit_test(no_room_to_save),
        cmocka_unit_test(no_room_for_tables_and_vocabularies),
        cmocka_unit_test(numbers_that_explode),
        cmocka_unit_test(the_last_checkpoint_stays),
        cmocka_unit_test(bad_checkpoints),
        cmocka_unit_test(answers_without_a_reader),
    };
    return cmocka_run_group_tests(tests, make_run, NULL);
}

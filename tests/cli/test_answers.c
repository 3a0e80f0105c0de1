/* Training a model, measuring it, asking it.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cjson/cJSON.h>

#include "base/file.h"
#include "base/folder.h"
#include "base/memory.h"
#include "base/string.h"
#include "fixture.h"

enum { most_answers = 32 };

/* The lines that `clm classify --json` printed. */
typedef struct answers {
    char labels[most_answers][32];
    double ham[most_answers];
    size_t count;
} answers;

static answers parse_answers(const char *text) {
    answers a = {0};
    for (const char *at = text; *at != '\0'; at += strcspn(at, "\n") + 1) {
        cJSON *line = cJSON_ParseWithOpts(at, NULL, false);
        const cJSON *label = cJSON_GetObjectItem(line, "label");
        const cJSON *probabilities = cJSON_GetObjectItem(line, "probabilities");
        const cJSON *ham = cJSON_GetObjectItem(probabilities, "ham");
        const cJSON *spam = cJSON_GetObjectItem(probabilities, "spam");
        assert_true(cJSON_IsString(label) && cJSON_IsNumber(ham) && cJSON_IsNumber(spam));
        assert_true(a.count < most_answers);
        /* Two floats, each rounded once. */
        assert_close(ham->valuedouble + spam->valuedouble, 1.0, 1e-6, 0.0);
        const char *likelier = ham->valuedouble >= spam->valuedouble ? "ham" : "spam";
        assert_string_equal(label->valuestring, likelier);
        assert_true(cJSON_GetObjectItem(line, "probability")->valuedouble ==
                    cJSON_GetObjectItem(probabilities, likelier)->valuedouble);
        (void)snprintf(a.labels[a.count], sizeof a.labels[0], "%s", label->valuestring);
        a.ham[a.count++] = ham->valuedouble;
        cJSON_Delete(line);
    }
    return a;
}

/* Labels are equal, and probabilities too: other batches change the order of no sum that matters,
 * but GEMM may block them differently, hence 1e-5. */
static void assert_same_answers(const answers *a, const answers *b) {
    assert_int_equal(a->count, b->count);
    for (size_t i = 0; i < a->count; i++) {
        assert_string_equal(a->labels[i], b->labels[i]);
        assert_close(a->ham[i], b->ham[i], 1e-5, 0.0);
    }
}

/* Messages of different lengths, so that an answer at the wrong place shows. */
static const char *const texts[] = {
    "see you at 8",
    "WIN a FREE prize now, call 80082",
    "ok",
    "where are you",
    "FREE ringtone, reply 82",
    "Forgot my keys again",
    "She left a lamp",
    "URGENT! Claim 500 cash",
    "no",
    "thanks for the cake",
    "STOP to end",
};
enum { text_count = sizeof texts / sizeof *texts };

static void join_texts(char *joined, size_t capacity, const char *end) {
    joined[0] = '\0';
    for (size_t i = 0; i < text_count; i++) {
        const size_t length = strlen(joined);
        (void)snprintf(joined + length, capacity - length, "%s%s", texts[i], end);
    }
}

static answers ask(const char *batch) {
    const char *arguments[text_count + 8] = {"classify", "--model", "run",
                                             "--json",   "--batch", batch};
    memcpy(arguments + 6, texts, sizeof texts);
    clm_test_outcome outcome = clm_test_run(NULL, arguments);
    assert_done(outcome);
    return parse_answers(outcome.output);
}

static void answers_do_not_depend_on_the_batch(void **state) {
    (void)state;
    const answers one = ask("1");
    const answers eight = ask("8");
    const answers four = ask("4");
    assert_int_equal(one.count, text_count);
    assert_same_answers(&one, &eight);
    assert_same_answers(&one, &four);
    double least = 1.0;
    double most = 0.0;
    for (size_t i = 0; i < text_count; i++) {
        least = fmin(least, one.ham[i]);
        most = fmax(most, one.ham[i]);
    }
    assert_true(most - least > 1e-3); /* else the order of answers would not show */
}

static void every_way_to_ask_gets_the_same_answers(void **state) {
    (void)state;
    const answers by_arguments = ask("8");
    char input[1024];
    join_texts(input, sizeof input, "\n");
    clm_test_write(clm_test_path("messages.txt"), input, strlen(input));
    const clm_test_surroundings piped = {.input = input, .input_size_bytes = strlen(input)};
    clm_test_outcome outcome =
        run_clm("classify", "--model", "run", "--json", "--file", "messages.txt");
    assert_done(outcome);
    assert_string_equal(outcome.errors, "");
    answers a = parse_answers(outcome.output);
    assert_same_answers(&by_arguments, &a);
    outcome = run_clm_in(&piped, "classify", "--model", "run", "--json");
    a = parse_answers(outcome.output);
    assert_same_answers(&by_arguments, &a);
    outcome = run_clm_in(&piped, "classify", "--json", "-", "--model=run", "--batch=3");
    a = parse_answers(outcome.output);
    assert_same_answers(&by_arguments, &a);
    /* Lines that end as on Windows, the last one not at all. */
    join_texts(input, sizeof input, "\r\n");
    const clm_test_surroundings windows = {.input = input, .input_size_bytes = strlen(input) - 2};
    outcome = run_clm_in(&windows, "classify", "--model", "run", "--json");
    a = parse_answers(outcome.output);
    assert_same_answers(&by_arguments, &a);
}

/* Weights of 11 bits (f16) and 8 (bf16) give other probabilities, but not by more than the weights
 * change: a probability moves by a quarter of what the difference of two logits does. */
static void weights_may_have_16_bits(void **state) {
    (void)state;
    static const char *const types[] = {"f32", "f16", "bf16"};
    static const double most[] = {0.0, 0x1p-10, 0x1p-7};
    char input[1024];
    join_texts(input, sizeof input, "\n");
    const clm_test_surroundings piped = {.input = input, .input_size_bytes = strlen(input)};
    clm_test_outcome outcome = run_clm_in(&piped, "classify", "--model", "run", "--json");
    const answers plain = parse_answers(outcome.output);
    for (size_t i = 0; i < 3; i++) {
        outcome =
            run_clm_in(&piped, "classify", "--model", "run", "--json", "--precision", types[i]);
        assert_done(outcome);
        const answers a = parse_answers(outcome.output);
        double moved = 0.0;
        assert_int_equal(a.count, plain.count);
        for (size_t k = 0; k < text_count; k++) {
            moved = fmax(moved, fabs(a.ham[k] - plain.ham[k]));
            assert_close(a.ham[k], plain.ham[k], most[i], 0.0);
        }
        assert_true(i == 0 || moved > 0.0);
    }
    assert_done(run_clm("eval", "--model", "run", "--data", "messages.tsv", "--precision", "bf16"));
}

static void plain_answers_are_a_label_and_a_probability(void **state) {
    (void)state;
    const answers known = ask("8");
    const char *arguments[text_count + 4] = {"classify", "--model", "run"};
    memcpy(arguments + 3, texts, sizeof texts);
    clm_test_outcome outcome = clm_test_run(NULL, arguments);
    assert_done(outcome);
    const char *at = outcome.output;
    for (size_t i = 0; i < text_count; i++) {
        char line[64];
        const double probability = fmax(known.ham[i], 1.0 - known.ham[i]);
        (void)snprintf(line, sizeof line, "%s\t%.4f\n", known.labels[i], probability);
        assert_true(strlen(at) >= strlen(line));
        if (strncmp(at, known.labels[i], strlen(known.labels[i])) != 0 ||
            at[strlen(known.labels[i])] != '\t') {
            fail_msg("answer %zu: %s, not %s", i, at, line);
        }
        /* Four digits. */
        assert_close(strtod(at + strlen(known.labels[i]) + 1, NULL), probability, 0.6e-4, 0.0);
        at += strcspn(at, "\n") + 1;
    }
    assert_string_equal(at, "");
    const clm_test_surroundings nothing = {.input = "", .input_size_bytes = 0};
    outcome = run_clm_in(&nothing, "classify", "--model", "run");
    assert_done(outcome);
    assert_string_equal(outcome.output, "");
}

/* Text that begins with a dash comes after "--". */
static void a_text_may_look_like_an_option(void **state) {
    (void)state;
    assert_fails(run_clm("classify", "--model", "run", "--free--"), 2, "--free--");
    assert_done(run_clm("classify", "--model", "run", "--", "--free--"));
}

static void eval_counts_what_classify_answers(void **state) {
    (void)state;
    clm_test_outcome outcome =
        run_clm("eval", "--model", "run", "--data", "messages.tsv", "--json");
    assert_done(outcome);
    assert_string_equal(outcome.errors, "");
    cJSON *report = cJSON_Parse(outcome.output);
    assert_non_null(report);
    const cJSON *confusion = cJSON_GetObjectItem(report, "confusion");
    const cJSON *classes = cJSON_GetObjectItem(report, "classes");
    assert_int_equal(cJSON_GetObjectItem(report, "rows")->valueint, 49);
    assert_int_equal(cJSON_GetArraySize(confusion), 2);
    assert_int_equal(cJSON_GetArraySize(classes), 2);
    int cells[2][2];
    for (int i = 0; i < 4; i++) {
        cells[i / 2][i % 2] =
            cJSON_GetArrayItem(cJSON_GetArrayItem(confusion, i / 2), i % 2)->valueint;
    }
    assert_int_equal(cells[0][0] + cells[0][1], 34);
    assert_int_equal(cells[1][0] + cells[1][1], 15);
    const double accuracy = cJSON_GetObjectItem(report, "accuracy")->valuedouble;
    /* Both are quotients of the same small integers. */
    assert_close(accuracy, (cells[0][0] + cells[1][1]) / 49.0, 1e-12, 0.0);
    const cJSON *spam = cJSON_GetArrayItem(classes, 1);
    assert_string_equal(cJSON_GetObjectItem(spam, "label")->valuestring, "spam");
    assert_close(cJSON_GetObjectItem(spam, "recall")->valuedouble, cells[1][1] / 15.0, 1e-12, 0.0);
    const double loss = cJSON_GetObjectItem(report, "loss")->valuedouble;
    assert_true(loss > 0.0 && loss < 5.0);
    cJSON_Delete(report);

    char part[64];
    outcome = run_clm("eval", "--model", "run", "--data", "messages.tsv", "--batch", "5");
    assert_done(outcome);
    (void)snprintf(part, sizeof part, "accuracy  %.2f%% (%d of 49)", 100.0 * accuracy,
                   cells[0][0] + cells[1][1]);
    assert_has(outcome.output, part);
    assert_has(outcome.output, "precision");
    assert_has(outcome.output, "confusion");
    const clm_test_surroundings talking = {.environment = {"CLM_LOG="}};
    static const char rows[] = "label;text\nham;a, b\nspam;c, d\nham;e\nspam;f\n";
    clm_test_write(clm_test_path("rows.csv"), rows, sizeof rows - 1);
    outcome = run_clm_in(&talking, "eval", "--model", "run", "--data", "rows.csv");
    assert_done(outcome);
    assert_has(outcome.errors, "rows.csv: separator: ';', by the first rows; header: ");
    outcome = run_clm("eval", "--model", "run", "--data", "rows.csv", "--json");
    assert_done(outcome);
    report = cJSON_Parse(outcome.output);
    const cJSON *notes = cJSON_GetObjectItem(report, "notes");
    assert_true(cJSON_IsArray(notes) && cJSON_IsString(notes->child));
    assert_has(notes->child->valuestring, "separator: ';'");
    cJSON_Delete(report);
}

/* Both spellings of a label: its name, and the number that `clm data` writes. */
static void eval_reads_what_data_writes(void **state) {
    (void)state;
    assert_done(run_clm("eval", "--model", "run", "--data", "data/test.csv"));
    const char *line = "{\"body\":\"a\",\"kind\":\"ham\"}\n";
    clm_test_write(clm_test_path("other.jsonl"), line, strlen(line));
    assert_done(run_clm("eval", "--model", "run", "--data", "other.jsonl", "--text-column", "body",
                        "--label-column", "kind"));
}

static double number_in(const cJSON *object, const char *name) {
    const cJSON *number = cJSON_GetObjectItem(object, name);
    assert_true(cJSON_IsNumber(number));
    return number->valuedouble;
}

/* The last line of a run's metrics.jsonl that tells of such an event; the caller deletes it. */
static cJSON *last_event(const char *metrics, const char *event) {
    char *text = NULL;
    cJSON *last = NULL;
    read_file(&text, NULL, metrics);
    for (const char *line = text; *line != '\0'; line += strcspn(line, "\n") + 1) {
        cJSON *object = cJSON_ParseWithOpts(line, NULL, false);
        if (strcmp(cJSON_GetObjectItem(object, "event")->valuestring, event) == 0) {
            cJSON_Delete(last);
            last = object;
        } else {
            cJSON_Delete(object);
        }
    }
    clm_free(text);
    assert_non_null(last);
    return last;
}

static cJSON *report_of(const char *model, const char *data) {
    clm_test_outcome outcome = run_clm("eval", "--model", model, "--data", data, "--json");
    assert_done(outcome);
    assert_string_equal(outcome.errors, "");
    cJSON *report = cJSON_Parse(outcome.output);
    assert_non_null(report);
    return report;
}

/* Copies a file of data/ to longer/, with a text behind it that is longer than any other. */
static void lengthen(const char *name, const char *word, int times) {
    char path[64];
    char *text = NULL;
    clm_string longer = {0};
    (void)snprintf(path, sizeof path, "data/%s", name);
    read_file(&text, NULL, path);
    clm_string_add_format(&longer, "%s1,", text);
    for (int i = 0; i < times; i++) {
        clm_string_add(&longer, word);
    }
    clm_string_add(&longer, "\n");
    (void)snprintf(path, sizeof path, "longer/%s", name);
    clm_test_write(clm_test_path(path), longer.text, times > 0 ? longer.length : strlen(text));
    clm_string_free(&longer);
    clm_free(text);
}

/* A text of the validation set that is longer than all training texts is read whole in training,
 * too: with four validation texts in one batch its loss is the set's. */
static void a_run_evaluates_as_eval_does(void **state) {
    (void)state;
    assert_ok(clm_folder_make(clm_test_path("longer")));
    lengthen("train.csv", "", 0);
    lengthen("validation.csv", "win a prize now ", 12);
    lengthen("test.csv", "are you there? ", 15);
    static const char *const poolings[] = {"last-token", "last-position"};
    for (size_t p = 0; p < 2; p++) {
        const bool is_cut = p == 1;
        clm_test_outcome outcome =
            run_clm("finetune", "classify", "--model", TINY_MODEL, "--vocab", "vocab", "--data",
                    "longer", "--batch", "4", "--lr", "1e-3", "--epochs", "1", "--eval-every", "1",
                    "--pooling", poolings[p], "--out", poolings[p]);
        assert_done(outcome);
        assert_true((strstr(outcome.errors, "cut") != NULL) == is_cut);
        if (is_cut) {
            assert_has(outcome.errors, "1 of 4 validation texts were cut");
            continue;
        }
        assert_string_equal(outcome.errors, "");
        cJSON *eval = last_event("last-token/metrics.jsonl", "eval");
        cJSON *final = last_event("last-token/metrics.jsonl", "final");
        cJSON *validation = report_of("last-token", "longer/validation.csv");
        cJSON *test = report_of("last-token", "longer/test.csv");
        assert_int_equal((int)number_in(validation, "rows"), 4);
        assert_close(number_in(validation, "accuracy"), number_in(final, "val"), 1e-12, 0.0);
        assert_close(number_in(test, "accuracy"), number_in(final, "test"), 1e-12, 0.0);
        /* Computed in floats on the device, and from logits by the host. */
        assert_close(number_in(validation, "loss"), number_in(eval, "val_loss"), 1e-6, 1e-6);
        cJSON_Delete(eval);
        cJSON_Delete(final);
        cJSON_Delete(validation);
        cJSON_Delete(test);
    }
}

/* ---- what a run leaves ---- */

static void assert_keys(const cJSON *line, const char *const *keys) {
    for (; *keys != NULL; keys++) {
        if (!cJSON_IsNumber(cJSON_GetObjectItem(line, *keys))) {
            char *text = cJSON_PrintUnformatted(line);
            fail_msg("%s: no number \"%s\"", text, *keys);
        }
    }
}

static void metrics_are_as_documented(void **state) {
    (void)state;
    enum { ANY_NUMBER = -1 };
    static const struct {
        const char *name;
        const char *keys[10];
        int expected; /* two epochs of 5 steps, an evaluation every 3 */
    } events[] = {
        {"start",
         {"n_train", "batch", "accumulate", "batches", "length", "epochs", "seed", "lr",
          "weight_decay"},
         1},
        {"step", {"step", "loss", "seconds"}, 10},
        {"eval", {"step", "train_loss", "val_loss", "epoch", "examples"}, 4},
        {"epoch", {"epoch", "train_acc", "val_acc", "step", "examples"}, 2},
        {"final", {"train", "val", "test", "seconds"}, 1},
        {"note", {NULL}, ANY_NUMBER},
    };
    enum { event_count = sizeof events / sizeof *events };
    int counts[event_count] = {0};
    int steps = 0;
    char *text = NULL;
    read_file(&text, NULL, "run/metrics.jsonl");
    for (const char *at = text; *at != '\0'; at += strcspn(at, "\n") + 1) {
        cJSON *line = cJSON_ParseWithOpts(at, NULL, false);
        assert_non_null(line);
        const char *event = cJSON_GetObjectItem(line, "event")->valuestring;
        size_t i = 0;
        while (i < event_count && strcmp(events[i].name, event) != 0) {
            i++;
        }
        assert_true(i < event_count);
        assert_keys(line, events[i].keys);
        counts[i]++;
        if (strcmp(event, "step") == 0) {
            assert_int_equal(cJSON_GetObjectItem(line, "step")->valueint, steps++);
        }
        cJSON_Delete(line);
    }
    for (size_t i = 0; i < event_count; i++) {
        if (events[i].expected != ANY_NUMBER) {
            assert_int_equal(counts[i], events[i].expected);
        }
    }
    clm_free(text);
}

static void a_run_says_what_it_does(void **state) {
    (void)state;
    clm_test_outcome outcome =
        run_clm(TRAIN, "--out", "said", "--epochs", "1", "--eval-every", "2", "--train", "head");
    assert_done(outcome);
    assert_string_equal(outcome.errors, "");
    static const char *const parts[] = {
        "21 training, 3 validation and 6 test texts of ",
        "Ep 1 (Step 000000): Train loss ",
        "Ep 1 (Step 000004): Train loss ",
        "Training accuracy: ",
        "Validation accuracy: ",
        "Training completed in ",
        "Test accuracy: ",
        "The model and its plots are in said\n",
    };
    const char *at = outcome.output;
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        at = strstr(at, parts[i]);
        if (at == NULL) {
            fail_msg("%s: no \"%s\" at its place", outcome.output, parts[i]);
        }
    }
    static const char *const files[] = {"said/config.json",   "said/model.safetensors",
                                        "said/vocab.json",    "said/merges.txt",
                                        "said/metrics.jsonl", "said/checkpoint.safetensors",
                                        "said/loss.svg",      "said/accuracy.svg"};
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        assert_true(clm_file_exists(clm_test_path(files[i])));
    }
    assert_no_parts();
}

/* The same seed gives the same bits, another other ones. */
static void a_run_can_be_repeated(void **state) {
    (void)state;
    assert_done(run_clm(TRAIN, "--out", "again", "--epochs", "2", "--eval-every", "3"));
    assert_same_bytes("run/model.safetensors", "again/model.safetensors");
    assert_same_metrics("run", "again");
    assert_done(run_clm(TRAIN, "--out", "other", "--epochs", "2", "--seed", "7"));
    char *a = NULL;
    char *b = NULL;
    size_t size_bytes = 0;
    read_file(&a, NULL, "run/model.safetensors");
    read_file(&b, &size_bytes, "other/model.safetensors");
    assert_true(memcmp(a, b, size_bytes) != 0);
    clm_free(a);
    clm_free(b);
}

/* With CLM_LOG unset the notes say which device was taken and what memory is needed. */
static void notes_go_to_standard_error(void **state) {
    (void)state;
    const clm_test_surroundings talkative = {.environment = {"CLM_LOG=info"}};
    clm_test_outcome outcome =
        run_clm_in(&talkative, TRAIN, "--out", "noted", "--epochs", "1", "--no-final");
    assert_done(outcome);
    assert_has(outcome.errors, "device: ");
    assert_has(outcome.errors, "memory: ");
    assert_null(strstr(outcome.output, "device: "));
    assert_null(strstr(outcome.output, "Test accuracy"));
}

static void a_profile_names_the_kernels(void **state) {
    (void)state;
    clm_test_outcome outcome = run_clm(TRAIN, "--out", "profiled", "--max-steps", "2", "--no-final",
                                       "--eval-every", "0", "--profile");
    assert_done(outcome);
    assert_has(outcome.errors, "attention_one_backward");
    assert_has(outcome.errors, " calls  adamw_step");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(answers_do_not_depend_on_the_batch),
        cmocka_unit_test(every_way_to_ask_gets_the_same_answers),
        cmocka_unit_test(weights_may_have_16_bits),
        cmocka_unit_test(plain_answers_are_a_label_and_a_probability),
        cmocka_unit_test(a_text_may_look_like_an_option),
        cmocka_unit_test(eval_counts_what_classify_answers),
        cmocka_unit_test(eval_reads_what_data_writes),
        cmocka_unit_test(a_run_evaluates_as_eval_does),
        cmocka_unit_test(metrics_are_as_documented),
        cmocka_unit_test(a_run_says_what_it_does),
        cmocka_unit_test(a_run_can_be_repeated),
        cmocka_unit_test(notes_go_to_standard_error),
        cmocka_unit_test(a_profile_names_the_kernels),
    };
    return cmocka_run_group_tests(tests, make_run, NULL);
}

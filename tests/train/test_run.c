/* A run's folder, its record and notes, the checks of a checkpoint's numbers, estimates of time,
 * and texts of others in the model card: what needs no device.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "base/memory.h"
#include "support/test_support.h"
#include "train/card.h"
#include "train/pace.h"
#include "train/run.h"

static const char *place(const char *name) {
    static char path[512];
    (void)snprintf(path, sizeof path, "%s/%s", clm_test_folder(), name);
    return path;
}

static void put(const char *name, const char *text) {
    assert_ok(clm_file_write(place(name), text, strlen(text)));
}

static bool is_there(const char *name) {
    return clm_file_exists(place(name));
}

static clm_status open_and_close(const char *name, clm_run_use use) {
    clm_run *run = NULL;
    const clm_status status = clm_run_open(&run, place(name), use);
    assert_true((run != NULL) == (status == CLM_OK));
    clm_run_close(run);
    return status;
}

static void make(const char *name) {
    assert_ok(clm_folder_make(place(name)));
}

/* ---- the folder ---- */

static void a_folder_is_used_as_it_was_asked_for(void **state) {
    (void)state;
    clm_run *run = NULL;
    assert_status(CLM_ERROR_ARGUMENT, clm_run_open(&run, "", CLM_RUN_NEW));
    assert_ok(open_and_close("new", CLM_RUN_NEW));
    assert_false(is_there("new")); /* nobody used it */
    assert_status(CLM_ERROR_NOT_FOUND, open_and_close("new", CLM_RUN_RESUME));
    assert_false(is_there("new"));

    make("empty");
    assert_ok(open_and_close("empty", CLM_RUN_NEW));
    assert_true(is_there("empty"));
    assert_status(CLM_ERROR_NOT_FOUND, open_and_close("empty", CLM_RUN_RESUME));
    assert_message_has("no checkpoint");
    assert_ok(open_and_close("empty", CLM_RUN_RESUME_OR_NEW));

    make("run");
    put("run/metrics.jsonl", "{\"event\":\"start\"}\n");
    assert_status(CLM_ERROR_EXISTS, open_and_close("run", CLM_RUN_NEW));
    assert_message_has("holds a run already");
    assert_status(CLM_ERROR_NOT_FOUND, open_and_close("run", CLM_RUN_RESUME));
    assert_ok(open_and_close("run", CLM_RUN_RESUME_OR_NEW));
    assert_ok(open_and_close("run", CLM_RUN_REPLACE));
    put("run/checkpoint.safetensors", "not looked at yet");
    assert_ok(clm_run_open(&run, place("run"), CLM_RUN_RESUME));
    assert_true(clm_run_is_resumed(run));
    assert_string_equal(clm_run_folder(run), place("run"));
    clm_run_close(run);
    assert_ok(clm_run_open(&run, place("run"), CLM_RUN_REPLACE));
    assert_false(clm_run_is_resumed(run));
    clm_run_close(run);
    assert_true(is_there("run/checkpoint.safetensors"));
}

/* A model that is no run's is not lost to any use. */
static void a_model_of_somebody_is_left_alone(void **state) {
    (void)state;
    static const clm_run_use uses[] = {CLM_RUN_NEW, CLM_RUN_RESUME, CLM_RUN_RESUME_OR_NEW,
                                       CLM_RUN_REPLACE};
    make("mine");
    put("mine/model.safetensors", "precious");
    for (size_t i = 0; i < 4; i++) {
        assert_status(CLM_ERROR_EXISTS, open_and_close("mine", uses[i]));
        assert_message_has("no checkpoint");
    }
    /* That of a run whose checkpoint was removed may be replaced. */
    put("mine/metrics.jsonl", "");
    assert_ok(open_and_close("mine", CLM_RUN_REPLACE));
    assert_status(CLM_ERROR_EXISTS, open_and_close("mine", CLM_RUN_RESUME));
}

static void a_folder_that_cannot_be_written_is_found_at_once(void **state) {
    (void)state;
    put("file", "no folder");
    assert_int_not_equal(open_and_close("file", CLM_RUN_NEW), CLM_OK);
    assert_message_has("file");
    if (geteuid() != 0) { /* who may do anything is stopped by nothing */
        make("closed");
        assert_int_equal(chmod(place("closed"), 0555), 0);
        assert_status(CLM_ERROR_IO, open_and_close("closed", CLM_RUN_NEW));
        assert_int_equal(chmod(place("closed"), 0755), 0);
    }
}

/* ---- what it keeps ---- */

static void settings_come_back(void **state) {
    (void)state;
    clm_run *run = NULL;
    static const char odd[] = "a \"b\" \\ \xC3\xBC \t|";
    assert_ok(clm_run_open(&run, place("kept"), CLM_RUN_NEW));
    assert_ok(clm_run_set(run, "model", "gpt2"));
    assert_ok(clm_run_set(run, "lr", "5e-05"));
    assert_ok(clm_run_set(run, "data", odd));
    assert_ok(clm_run_set(run, "lr", "0.001"));
    assert_ok(clm_run_set(run, "model", NULL));
    assert_ok(clm_run_set(run, "model", NULL));
    assert_null(clm_run_get(run, "model"));
    assert_ok(clm_run_begin(run, "a device"));
    clm_run_close(run);
    assert_true(is_there("kept/run.json"));
    put("kept/checkpoint.safetensors", "");
    assert_ok(clm_run_open(&run, place("kept"), CLM_RUN_RESUME));
    assert_string_equal(clm_run_get(run, "lr"), "0.001");
    assert_string_equal(clm_run_get(run, "data"), odd);
    assert_null(clm_run_get(run, "model"));
    clm_run_close(run);
    /* A run that is replaced starts with nothing. */
    assert_ok(clm_run_open(&run, place("kept"), CLM_RUN_REPLACE));
    assert_null(clm_run_get(run, "lr"));
    assert_ok(clm_run_begin(run, "a device"));
    assert_false(is_there("kept/checkpoint.safetensors"));
    clm_run_close(run);
}

static void a_bad_record_is_refused(void **state) {
    (void)state;
    static const char *const bad[] = {"{",
                                      "[]",
                                      "{}",
                                      "{\"format\": \"clm-run-2\", \"settings\": {}}",
                                      "{\"format\": \"clm-run-1\"}",
                                      "{\"format\": \"clm-run-1\", \"settings\": {\"lr\": 3}}"};
    make("bad");
    put("bad/checkpoint.safetensors", "");
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        put("bad/run.json", bad[i]);
        assert_status(CLM_ERROR_FORMAT, open_and_close("bad", CLM_RUN_RESUME));
        assert_message_has("run.json");
    }
    /* Runs of earlier versions have none. */
    assert_int_equal(unlink(place("bad/run.json")), 0);
    assert_ok(open_and_close("bad", CLM_RUN_RESUME));
}

static void write_notes(clm_run *run, uint64_t from) {
    clm_metrics_writer metrics = {0};
    assert_ok(clm_metrics_writer_open(&metrics, clm_run_open_folder(run), from));
    if (from > 0) {
        assert_ok(clm_run_read_notes(run, &metrics));
    }
    assert_ok(clm_run_write_notes(run, &metrics));
    assert_ok(clm_run_write_notes(run, &metrics)); /* nothing is written twice */
    clm_metrics_writer_close(&metrics);
}

static void warnings_are_kept_once(void **state) {
    (void)state;
    clm_run *run = NULL;
    char *text = NULL;
    size_t size_bytes = 0;
    clm_log(CLM_LOG_WARNING, "before the run");
    assert_ok(clm_run_open(&run, place("notes"), CLM_RUN_NEW));
    clm_log(CLM_LOG_WARNING, "3 texts were cut");
    clm_log(CLM_LOG_INFO, "nothing to note");
    clm_log_guess("taken for a \"header\"");
    clm_log(CLM_LOG_WARNING, "3 texts were cut");
    assert_ok(clm_run_begin(run, "a device"));
    write_notes(run, 0);
    clm_run_close(run);
    clm_log(CLM_LOG_WARNING, "after it");
    static const char expected[] =
        "{\"event\":\"note\",\"text\":\"3 texts were cut\"}\n"
        "{\"event\":\"note\",\"text\":\"taken for a \\\"header\\\"\"}\n";
    assert_ok(clm_file_read(place("notes/metrics.jsonl"), CLM_FILE_METRICS, &text, &size_bytes));
    assert_string_equal(text, expected);
    clm_free(text);
    /* Going on, it tells what is new. */
    put("notes/checkpoint.safetensors", "");
    assert_ok(clm_run_open(&run, place("notes"), CLM_RUN_RESUME));
    assert_ok(clm_run_note(run, "something else"));
    clm_log(CLM_LOG_WARNING, "3 texts were cut");
    write_notes(run, sizeof expected - 1);
    assert_int_equal(clm_run_note_count(run), 3);
    assert_string_equal(clm_run_note_at(run, 0), "3 texts were cut");
    assert_string_equal(clm_run_note_at(run, 2), "something else");
    clm_run_close(run);
    assert_ok(clm_file_read(place("notes/metrics.jsonl"), CLM_FILE_METRICS, &text, &size_bytes));
    assert_int_equal(strncmp(text, expected, sizeof expected - 1), 0);
    assert_string_equal(text + sizeof expected - 1,
                        "{\"event\":\"note\",\"text\":\"something else\"}\n");
    clm_free(text);
}

/* ---- before a device is opened ---- */

static clm_dataset *texts_of(size_t count, int length, int32_t label) {
    static const int32_t tokens[8] = {1, 2, 3, 4, 5, 6, 7, 8};
    const int32_t *rows[8];
    size_t lengths[8];
    int32_t labels[8];
    for (size_t i = 0; i < count; i++) {
        rows[i] = tokens;
        lengths[i] = (size_t)length;
        labels[i] = label;
    }
    clm_dataset *set = NULL;
    assert_ok(clm_dataset_create_from_ids(&set, rows, lengths, labels, count, NULL));
    return set;
}

static void what_does_not_go_together_is_told_early(void **state) {
    (void)state;
    clm_finetune_options options = CLM_FINETUNE_OPTIONS_DEFAULT;
    clm_dataset *train = texts_of(8, 5, 1);
    clm_dataset *rest = texts_of(2, 5, 0);
    assert_ok(clm_finetune_check(&options, train, rest, rest, 2));
    assert_status(CLM_ERROR_FORMAT, clm_finetune_check(&options, train, rest, rest, 1));
    assert_status(CLM_ERROR_FORMAT, clm_finetune_check(&options, train, train, rest, 1));
    options.accumulate = 2;
    assert_status(CLM_ERROR_SHAPE, clm_finetune_check(&options, train, rest, rest, 2));
    assert_message_has("8 training texts do not fill one step of 16");
    options.accumulate = 1;
    options.epochs = 0;
    assert_status(CLM_ERROR_ARGUMENT, clm_finetune_check(&options, train, rest, rest, 2));
    clm_dataset_free(train);
    clm_dataset_free(rest);

    clm_model_config config = {0};
    assert_ok(clm_model_config_open(&config, "random:n_layer=3,n_embd=16,n_head=2,n_vocab=300"));
    assert_int_equal(config.n_layer, 3);
    assert_int_equal(config.n_vocab, 300);
    clm_model_config_free(&config);
    assert_status(CLM_ERROR_NOT_FOUND, clm_model_config_open(&config, place("no-model")));
    clm_model_config_free(&config);
}

/* ---- a checkpoint's numbers ---- */

static void numbers_that_contradict_each_other_are_refused(void **state) {
    (void)state;
    const clm_train_state good[] = {
        {.stage = CLM_STAGE_EPOCH_BEGIN},
        {.stage = CLM_STAGE_EPOCH_BEGIN, .step = 10, .epoch = 2, .position = {.next_batch = 5}},
        {.stage = CLM_STAGE_BATCH,
         .step = 7,
         .epoch = 1,
         .position = {.begun = true, .next_batch = 2}},
        {.stage = CLM_STAGE_EVALUATE, .step = 5, .position = {.begun = true, .next_batch = 5}},
        {.stage = CLM_STAGE_EPOCH_END, .step = 5, .position = {.begun = true, .next_batch = 5}},
        {.stage = CLM_STAGE_FINAL,
         .step = 10,
         .epoch = 2,
         .position = {.begun = true, .next_batch = 5}},
        {.stage = CLM_STAGE_FINAL,
         .step = 7,
         .epoch = 1,
         .position = {.begun = true, .next_batch = 2}},
    };
    const size_t count = sizeof good / sizeof *good;
    for (size_t i = 0; i < count; i++) {
        clm_train_state bad = good[i];
        assert_ok(clm_checkpoint_check_state(&bad, 5, "it"));
        bad.step = -1;
        assert_status(CLM_ERROR_FORMAT, clm_checkpoint_check_state(&bad, 5, "it"));
        bad = good[i];
        bad.step += 1;
        assert_status(CLM_ERROR_FORMAT, clm_checkpoint_check_state(&bad, 5, "it"));
        bad = good[i];
        bad.epoch += 1;
        assert_status(CLM_ERROR_FORMAT, clm_checkpoint_check_state(&bad, 5, "it"));
        bad = good[i];
        bad.epoch = -1;
        assert_status(CLM_ERROR_FORMAT, clm_checkpoint_check_state(&bad, 5, "it"));
        bad = good[i];
        bad.position.next_batch = 6;
        assert_status(CLM_ERROR_FORMAT, clm_checkpoint_check_state(&bad, 5, "it"));
        bad = good[i];
        bad.seconds = -1.0;
        assert_status(CLM_ERROR_FORMAT, clm_checkpoint_check_state(&bad, 5, "it"));
        bad.seconds = 0.0 / (double)(i * 0);
        assert_status(CLM_ERROR_FORMAT, clm_checkpoint_check_state(&bad, 5, "it"));
        assert_message_has("it: ");
    }
    const clm_train_state huge = {.stage = CLM_STAGE_FINAL, .step = INT64_MAX, .epoch = INT32_MAX};
    assert_status(CLM_ERROR_FORMAT, clm_checkpoint_check_state(&huge, INT32_MAX, "it"));
}

/* ---- time ---- */

static void the_first_step_says_nothing(void **state) {
    (void)state;
    clm_pace pace = {0};
    const clm_work_left steps = {.steps = 10};
    assert_true(clm_pace_left(&pace, &steps) < 0.0);
    clm_pace_step(&pace, 60.0, 0); /* kernels were built */
    assert_true(clm_pace_left(&pace, &steps) < 0.0);
    clm_pace_step(&pace, 2.0, 0);
    assert_close(clm_pace_left(&pace, &steps), 20.0, 1e-9, 0.0);
}

/* Features are computed once: what they take does not belong to all steps that are left. */
static void features_count_once(void **state) {
    (void)state;
    clm_pace pace = {0};
    clm_pace_step(&pace, 30.0, 32);
    clm_pace_step(&pace, 0.5, 0);
    assert_true(clm_pace_left(&pace, &(clm_work_left){.steps = 10, .texts = 100}) < 0.0);
    clm_pace_step(&pace, 8.5, 32); /* 8 s for 32 texts */
    assert_close(clm_pace_left(&pace, &(clm_work_left){.steps = 10, .texts = 100}), 5.0 + 25.0,
                 1e-9, 0.0);
    /* A batch takes no longer than a step, until one has been seen. */
    assert_close(clm_pace_left(&pace, &(clm_work_left){.batches = 4}), 2.0, 1e-9, 0.0);
    clm_pace_evaluation(&pace, 1.0, 10, 0);
    assert_close(clm_pace_left(&pace, &(clm_work_left){.steps = 2, .batches = 4}), 1.4, 1e-9, 0.0);
    assert_close(clm_pace_left(&pace, &(clm_work_left){0}), 0.0, 0.0, 0.0);
}

/* Where not all features have room, every step computes some. */
static void steps_that_always_compute_features_count(void **state) {
    (void)state;
    clm_pace pace = {0};
    clm_pace_step(&pace, 30.0, 32);
    clm_pace_step(&pace, 3.0, 8);
    assert_close(clm_pace_left(&pace, &(clm_work_left){.steps = 10}), 30.0, 1e-9, 0.0);
}

/* ---- texts in the card ---- */

static void texts_of_others_stay_texts(void **state) {
    (void)state;
    static const struct {
        const char *text;
        const char *shown;
    } cases[] = {
        {"ham", "ham"},
        {"a|b", "a\\|b"},
        {"- # 1.", "\\- # 1."},
        {"<script>*_`", "\\<script\\>\\*\\_\\`"},
        {"[x](y)", "\\[x\\](y)"},
        {"two\nlines\x1B[2J", "two\xEF\xBF\xBDlines\xEF\xBF\xBD\\[2J"},
        {"gr\xC3\xBC\xC3\x9F \xF0\x9F\x98\x80", "gr\xC3\xBC\xC3\x9F \xF0\x9F\x98\x80"},
        {"\xE2\x80\xAEtxt.exe", "\xEF\xBF\xBDtxt.exe"},
        {"\xD8\x9C\xE2\x80\x8B", "\xEF\xBF\xBD\xEF\xBF\xBD"},
        {"\xC3(", "\xEF\xBF\xBD("},
        {"\xF0\x9F", "\xEF\xBF\xBD\xEF\xBF\xBD"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        clm_string out = {0};
        clm_card_add_text(&out, cases[i].text);
        assert_ok(clm_string_status(&out));
        assert_string_equal(out.text, cases[i].shown);
        clm_string_free(&out);
    }
}

static void folders_are_words_of_a_shell(void **state) {
    (void)state;
    static const struct {
        const char *text;
        const char *shown;
    } cases[] = {
        {"build/run-1", "build/run-1"},
        {"my run", "'my run'"},
        {"it's", "'it'\\''s'"},
        {"$(rm)", "'$(rm)'"},
        {"-x", "'-x'"},
        {"a\n```\nb", "RUN"},
        {"\xE2\x80\xAEx", "RUN"},
        {"\xC3\xBC", "'\xC3\xBC'"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        clm_string out = {0};
        clm_card_add_word(&out, cases[i].text);
        assert_ok(clm_string_status(&out));
        assert_string_equal(out.text, cases[i].shown);
        clm_string_free(&out);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_folder_is_used_as_it_was_asked_for),
        cmocka_unit_test(a_model_of_somebody_is_left_alone),
        cmocka_unit_test(a_folder_that_cannot_be_written_is_found_at_once),
        cmocka_unit_test(settings_come_back),
        cmocka_unit_test(a_bad_record_is_refused),
        cmocka_unit_test(warnings_are_kept_once),
        cmocka_unit_test(what_does_not_go_together_is_told_early),
        cmocka_unit_test(numbers_that_contradict_each_other_are_refused),
        cmocka_unit_test(the_first_step_says_nothing),
        cmocka_unit_test(features_count_once),
        cmocka_unit_test(steps_that_always_compute_features_count),
        cmocka_unit_test(texts_of_others_stay_texts),
        cmocka_unit_test(folders_are_words_of_a_shell),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

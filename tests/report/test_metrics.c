/* SPDX-License-Identifier: Apache-2.0 */
#include "support/test_support.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "clm/log.h"
#include "clm/report.h"

static const char *written(const char *text) {
    const char *path = clm_test_path("metrics.jsonl");
    clm_test_write(path, text, strlen(text));
    return path;
}

#define STEP_0 "{\"event\":\"step\",\"step\":0,\"loss\":2.5,\"seconds\":0.25}\n"
#define STEP_1 "{\"event\":\"step\",\"step\":1,\"loss\":1.5,\"seconds\":0.5}\n"
#define EVAL_0 "{\"event\":\"eval\",\"step\":0,\"train_loss\":2.25,\"val_loss\":2.375}\n"
#define EPOCH_1 "{\"event\":\"epoch\",\"epoch\":1,\"train_acc\":0.75,\"val_acc\":0.5}\n"
#define FINAL "{\"event\":\"final\",\"train\":0.875,\"val\":0.75,\"test\":0.5,\"seconds\":9.5}\n"

static void the_promised_members_are_enough(void **state) {
    (void)state;
    clm_metrics m;
    assert_ok(clm_metrics_read(&m, written(STEP_0 EVAL_0 STEP_1 EPOCH_1 FINAL)));
    assert_int_equal(m.step_count, 2);
    assert_int_equal(m.steps[1].step, 1);
    assert_close(m.steps[1].loss, 1.5, 0.0, 0.0);
    assert_close(m.steps[1].seconds, 0.5, 0.0, 0.0);
    assert_int_equal(m.eval_count, 1);
    assert_close(m.evals[0].train_loss, 2.25, 0.0, 0.0);
    assert_close(m.evals[0].val_loss, 2.375, 0.0, 0.0);
    assert_int_equal(m.batches, 2);
    assert_close(m.evals[0].epoch, 0.5, 0.0, 0.0);
    assert_true(isnan(m.evals[0].examples));
    assert_int_equal(m.epoch_count, 1);
    assert_close(m.epochs[0].train_acc, 0.75, 0.0, 0.0);
    assert_close(m.epochs[0].val_acc, 0.5, 0.0, 0.0);
    assert_true(m.has_final);
    assert_close(m.final_train, 0.875, 0.0, 0.0);
    assert_close(m.final_val, 0.75, 0.0, 0.0);
    assert_close(m.final_test, 0.5, 0.0, 0.0);
    assert_close(m.final_seconds, 9.5, 0.0, 0.0);
    assert_false(m.has_damaged_end);
    clm_metrics_free(&m);
}

static void a_start_line_tells_more(void **state) {
    (void)state;
    clm_metrics m;
    assert_ok(clm_metrics_read(&m, written("{\"event\":\"start\",\"n_train\":1045,\"batch\":8,"
                                           "\"epochs\":5,\"device\":\"x\"}\n" EVAL_0
                                           "{\"event\":\"note\",\"step\":\"?\"}\n\n")));
    assert_int_equal(m.train_size, 1045);
    assert_int_equal(m.batch, 8);
    assert_int_equal(m.batches, 130);
    assert_int_equal(m.planned_epochs, 5);
    assert_close(m.evals[0].examples, 8.0, 0.0, 0.0);
    assert_close(m.evals[0].epoch, 1.0 / 130.0, 0.0, 1e-15);
    assert_false(m.has_final);
    assert_true(isnan(m.final_test));
    clm_metrics_free(&m);
}

static void null_is_a_loss_that_was_not_finite(void **state) {
    (void)state;
    clm_metrics m;
    assert_ok(clm_metrics_read(
        &m, written("{\"event\":\"step\",\"step\":0,\"loss\":null}\n"
                    "{\"event\":\"eval\",\"step\":0,\"train_loss\":1,\"val_loss\":null}\n")));
    assert_true(isnan(m.steps[0].loss));
    assert_true(isnan(m.steps[0].seconds));
    assert_close(m.evals[0].train_loss, 1.0, 0.0, 0.0);
    assert_true(isnan(m.evals[0].val_loss));
    clm_metrics_free(&m);
}

static void a_resumed_run_replaces_what_it_repeats(void **state) {
    (void)state;
    clm_metrics m;
    assert_ok(clm_metrics_read(
        &m, written(STEP_0 EVAL_0 STEP_1 EPOCH_1
                    "{\"event\":\"start\",\"batch\":4}\n"
                    "{\"event\":\"step\",\"step\":1,\"loss\":7}\n"
                    "{\"event\":\"epoch\",\"epoch\":1,\"train_acc\":1,\"val_acc\":1}\n")));
    assert_int_equal(m.step_count, 2);
    assert_close(m.steps[0].loss, 2.5, 0.0, 0.0);
    assert_close(m.steps[1].loss, 7.0, 0.0, 0.0);
    assert_int_equal(m.epoch_count, 1);
    assert_close(m.epochs[0].val_acc, 1.0, 0.0, 0.0);
    clm_metrics_free(&m);
}

static void remember(void *context, clm_log_level level, const char *message) {
    assert_int_equal(level, CLM_LOG_WARNING);
    (void)snprintf(context, 256, "%s", message);
}

static void a_damaged_last_line_is_ignored_with_a_warning(void **state) {
    (void)state;
    static const char *const ends[] = {"{\"event\":\"st", "{\"event\":\"step\",\"step\":1\n",
                                       "\xC3", "{} {}\n \n"};
    char message[256];
    clm_log_set_sink(remember, message, CLM_LOG_WARNING);
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) {
        char text[256];
        message[0] = '\0';
        (void)snprintf(text, sizeof text, "%s%s", STEP_0, ends[i]);
        clm_metrics m;
        assert_ok(clm_metrics_read(&m, written(text)));
        assert_true(m.has_damaged_end);
        assert_int_equal(m.step_count, 1);
        assert_non_null(strstr(message, "metrics.jsonl: line 2: "));
        clm_metrics_free(&m);
    }
    clm_log_set_sink(NULL, NULL, CLM_LOG_WARNING);
}

static void damage_elsewhere_names_the_line(void **state) {
    (void)state;
    static const struct {
        const char *text;
        const char *says;
    } cases[] = {
        {STEP_0 "{\"event\":\"st\n" STEP_1, "line 2"},
        {"\xFF\n" STEP_1, "line 1"},
        {STEP_0 "\n\n[1]\n", "line 4: not a JSON object"},
        {STEP_0 "{\"step\":1}\n", "line 2: \"event\" is missing"},
        {"{\"event\":3}\n", "line 1"},
        {"{\"event\":\"step\",\"loss\":1}\n", "\"step\" is missing"},
        {"{\"event\":\"step\",\"step\":1}\n", "\"loss\" is missing"},
        {"{\"event\":\"step\",\"step\":-1,\"loss\":1}\n", "\"step\""},
        {"{\"event\":\"step\",\"step\":1.5,\"loss\":1}\n", "\"step\""},
        {"{\"event\":\"step\",\"step\":1,\"loss\":\"1\"}\n", "\"loss\""},
        {"{\"event\":\"eval\",\"step\":1,\"train_loss\":1}\n", "\"val_loss\" is missing"},
        {"{\"event\":\"epoch\",\"epoch\":0,\"train_acc\":1,\"val_acc\":1}\n", "\"epoch\""},
        {"{\"event\":\"epoch\",\"epoch\":1,\"train_acc\":97.5,\"val_acc\":1}\n", "from 0 to 1"},
        {"{\"event\":\"final\",\"train\":1,\"val\":1,\"test\":-0.5}\n", "from 0 to 1"},
        {"{\"event\":\"start\",\"batch\":-8}\n", "\"batch\""},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        clm_metrics m;
        assert_status(CLM_ERROR_FORMAT, clm_metrics_read(&m, written(cases[i].text)));
        assert_message_has("metrics.jsonl: line ");
        assert_message_has(cases[i].says);
        clm_metrics_free(&m);
    }
}

static void a_file_that_is_not_there_is_named(void **state) {
    (void)state;
    clm_metrics m;
    assert_status(CLM_ERROR_NOT_FOUND, clm_metrics_read(&m, clm_test_path("none.jsonl")));
    assert_message_has("none.jsonl");
    clm_metrics_free(&m);
    assert_status(CLM_ERROR_IO, clm_metrics_read(&m, clm_test_folder()));
    clm_metrics_free(&m);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_promised_members_are_enough),
        cmocka_unit_test(a_start_line_tells_more),
        cmocka_unit_test(null_is_a_loss_that_was_not_finite),
        cmocka_unit_test(a_resumed_run_replaces_what_it_repeats),
        cmocka_unit_test(a_damaged_last_line_is_ignored_with_a_warning),
        cmocka_unit_test(damage_elsewhere_names_the_line),
        cmocka_unit_test(a_file_that_is_not_there_is_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

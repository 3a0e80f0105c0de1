/* SPDX-License-Identifier: Apache-2.0 */
#include "support/test_support.h"

#include <stdio.h>
#include <string.h>

#include "base/random.h"
#include "clm/data.h"
#include "clm/log.h"
#include "golden/batches_golden.h"

/* Texts of 1 to 5 tokens: row r has the ids 100 * r, 100 * r + 1, ... and the label r % 3. */
static clm_status make_dataset(clm_dataset **dataset, size_t count,
                               const clm_dataset_options *options) {
    enum { most = 64 };
    static int32_t ids[most][5];
    const int32_t *pointers[most];
    size_t lengths[most];
    int32_t labels[most];
    for (size_t row = 0; row < count; row++) {
        for (size_t t = 0; t < 5; t++) {
            ids[row][t] = (int32_t)(100 * row + t);
        }
        pointers[row] = ids[row];
        lengths[row] = 1 + row % 5;
        labels[row] = (int32_t)(row % 3);
    }
    return clm_dataset_create_from_ids(dataset, pointers, lengths, labels, count, options);
}

static void texts_are_filled_up(void **state) {
    (void)state;
    clm_dataset *dataset = NULL;
    assert_ok(make_dataset(&dataset, 7, NULL));
    assert_int_equal(clm_dataset_count(dataset), 7);
    assert_int_equal(clm_dataset_length(dataset), 5);
    assert_int_equal(clm_dataset_cut_count(dataset), 0);
    static const int32_t row_1[5] = {100, 101, 50256, 50256, 50256};
    static const int32_t row_4[5] = {400, 401, 402, 403, 404};
    assert_memory_equal(clm_dataset_tokens(dataset) + 5, row_1, sizeof row_1);
    assert_memory_equal(clm_dataset_tokens(dataset) + 20, row_4, sizeof row_4);
    assert_int_equal(clm_dataset_lengths(dataset)[1], 2);
    assert_int_equal(clm_dataset_labels(dataset)[5], 2);

    static const int32_t rows[3] = {4, 1, 4};
    int32_t tokens[15];
    int32_t labels[3];
    assert_ok(clm_dataset_gather(dataset, rows, 3, tokens, labels));
    assert_memory_equal(tokens + 5, row_1, sizeof row_1);
    assert_memory_equal(tokens + 10, row_4, sizeof row_4);
    assert_int_equal(labels[0], 1);
    assert_ok(clm_dataset_gather(dataset, rows, 3, NULL, NULL));
    static const int32_t outside[2] = {0, 7};
    assert_status(CLM_ERROR_ARGUMENT, clm_dataset_gather(dataset, outside, 2, tokens, labels));
    clm_dataset_free(dataset);
}

/* transformers pools the last token that is not padding, so that is where a text ends. */
static void padding_at_the_end_of_a_text_is_padding(void **state) {
    (void)state;
    static const int32_t text[4] = {7, 9, 7, 9};
    static const int32_t nothing[2] = {9, 9};
    const int32_t *const ids[] = {text, nothing};
    const clm_dataset_options options = {.pad_token = 9};
    clm_dataset *dataset = NULL;
    assert_ok(clm_dataset_create_from_ids(&dataset, ids, (const size_t[]){4, 2},
                                          (const int32_t[]){0, 1}, 2, &options));
    assert_int_equal(clm_dataset_lengths(dataset)[0], 3);
    assert_int_equal(clm_dataset_lengths(dataset)[1], 1);
    clm_dataset_free(dataset);
}

static void keep_line(void *context, clm_log_level level, const char *message) {
    assert_int_equal(level, CLM_LOG_WARNING);
    (void)snprintf(context, 200, "%s", message);
}

static void long_texts_are_cut_and_counted(void **state) {
    (void)state;
    char line[200] = "";
    clm_dataset *dataset = NULL;
    clm_dataset_options options = CLM_DATASET_OPTIONS_DEFAULT;
    clm_log_set_sink(keep_line, line, CLM_LOG_WARNING);
    options.length_limit = 3;
    assert_ok(make_dataset(&dataset, 10, &options));
    assert_int_equal(clm_dataset_length(dataset), 3);
    assert_int_equal(clm_dataset_cut_count(dataset), 4);
    assert_string_equal(line, "4 of 10 texts were cut to 3 tokens");
    assert_int_equal(clm_dataset_lengths(dataset)[4], 3);
    assert_int_equal(clm_dataset_tokens(dataset)[14], 402);
    clm_dataset_free(dataset);
    line[0] = '\0';
    options.name = "test texts";
    assert_ok(make_dataset(&dataset, 10, &options));
    assert_string_equal(line, "4 of 10 test texts were cut to 3 tokens");
    clm_dataset_free(dataset);
    line[0] = '\0';
    options = (clm_dataset_options){.length = 8, .length_limit = 8, .pad_token = -1};
    assert_ok(make_dataset(&dataset, 10, &options));
    assert_int_equal(clm_dataset_length(dataset), 8);
    assert_int_equal(clm_dataset_tokens(dataset)[7], -1);
    assert_string_equal(line, "");
    clm_dataset_free(dataset);
    /* The longest of these texts has 5 tokens. */
    for (int least = 0; least <= 8; least++) {
        options = (clm_dataset_options){.length_least = least, .length_limit = 8};
        assert_ok(make_dataset(&dataset, 10, &options));
        assert_int_equal(clm_dataset_length(dataset), least > 5 ? least : 5);
        clm_dataset_free(dataset);
    }
    assert_string_equal(line, "");
    options.length_least = 9;
    assert_status(CLM_ERROR_SHAPE, make_dataset(&dataset, 10, &options));
    options = (clm_dataset_options){.length = 8, .length_limit = 8, .pad_token = -1};
    clm_log_set_sink(NULL, NULL, CLM_LOG_WARNING);
    options.length_limit = 7;
    assert_status(CLM_ERROR_SHAPE, make_dataset(&dataset, 10, &options));
    assert_null(dataset);
    assert_status(CLM_ERROR_ARGUMENT, make_dataset(&dataset, 0, NULL));
    const int32_t *ids = &options.pad_token;
    size_t no_length = 0;
    int32_t label = 0;
    assert_status(CLM_ERROR_ARGUMENT,
                  clm_dataset_create_from_ids(&dataset, &ids, &no_length, &label, 1, NULL));
}

/* What make_batches.py says was drawn, and how far it was compared. */
static size_t golden_at;

static void assert_golden(int32_t value) {
    assert_true(golden_at < sizeof golden_batches / sizeof *golden_batches);
    assert_int_equal(value, golden_batches[golden_at]);
    golden_at++;
}

static void assert_golden_batch(const int32_t *rows, size_t count) {
    for (size_t i = 0; i < count; i++) {
        assert_golden(rows[i]);
    }
    assert_golden(-1);
}

/* `for i, batch in enumerate(loader)`, which fetches a batch before it breaks. */
static void take(clm_loader *loader, size_t most) {
    const int32_t *rows = NULL;
    clm_loader_begin(loader);
    size_t count = clm_loader_next(loader, &rows);
    for (size_t i = 0; count > 0 && i < most; i++) {
        assert_golden_batch(rows, count);
        count = clm_loader_next(loader, &rows);
    }
    assert_golden(-2);
}

/* The loaders of make_batches.py. */
typedef struct recipe {
    clm_torch_random *random;
    clm_dataset *train_rows;
    clm_dataset *validation_rows;
    clm_loader *train;
    clm_loader *train_again; /* for evaluation while `train` is under way */
    clm_loader *validation;
} recipe;

static void open_recipe(recipe *r) {
    clm_loader_options options = {.batch = 4, .shuffle = true, .drop_last = true};
    assert_ok(clm_torch_random_create(&r->random, 123));
    assert_ok(make_dataset(&r->train_rows, 21, NULL));
    assert_ok(make_dataset(&r->validation_rows, 6, NULL));
    assert_ok(clm_loader_create(&r->train, r->train_rows, r->random, &options));
    assert_ok(clm_loader_create(&r->train_again, r->train_rows, r->random, &options));
    options.shuffle = options.drop_last = false;
    assert_ok(clm_loader_create(&r->validation, r->validation_rows, r->random, &options));
    assert_int_equal(clm_loader_batch_count(r->train), 5);
    assert_int_equal(clm_loader_batch_count(r->validation), 2);
}

static void close_recipe(recipe *r) {
    clm_loader_free(r->train);
    clm_loader_free(r->train_again);
    clm_loader_free(r->validation);
    clm_dataset_free(r->train_rows);
    clm_dataset_free(r->validation_rows);
    clm_torch_random_free(r->random);
}

/* Everything is thrown away and made again from what a checkpoint would hold. */
static void stop_and_resume(recipe *r) {
    static uint8_t random_state[CLM_TORCH_RANDOM_STATE_BYTES];
    clm_loader_position position;
    clm_torch_random_save(r->random, random_state);
    clm_loader_save(r->train, &position);
    close_recipe(r);
    open_recipe(r);
    assert_ok(clm_torch_random_restore(r->random, random_state));
    assert_ok(clm_loader_restore(r->train, &position));
}

static void run_recipe(bool interrupted) {
    recipe r;
    const int32_t *rows = NULL;
    int step = 0;
    open_recipe(&r);
    golden_at = 0;
    assert_int_equal(clm_loader_next(r.train, &rows), 0);
    for (int epoch = 0; epoch < 3; epoch++) {
        clm_loader_begin(r.train);
        if (interrupted) {
            stop_and_resume(&r);
        }
        for (;;) {
            size_t count = clm_loader_next(r.train, &rows);
            if (count == 0) {
                break;
            }
            assert_golden_batch(rows, count);
            if (step++ % 2 == 0) {
                take(r.train_again, 2);
                take(r.validation, 2);
            }
            if (interrupted) {
                stop_and_resume(&r);
            }
        }
        take(r.train_again, 1);
        take(r.validation, 1);
    }
    take(r.train_again, 1000);
    assert_int_equal(golden_at, sizeof golden_batches / sizeof *golden_batches);
    assert_true(clm_torch_random_int64(r.random) == golden_after_batches);
    close_recipe(&r);
}

static void batches_are_torchs(void **state) {
    (void)state;
    run_recipe(false);
}

static void interrupted_batches_are_the_same(void **state) {
    (void)state;
    run_recipe(true);
}

static void impossible_loaders_are_refused(void **state) {
    (void)state;
    recipe r;
    clm_loader *loader = NULL;
    open_recipe(&r);
    clm_loader_options options = {.batch = 0};
    assert_status(CLM_ERROR_SHAPE, clm_loader_create(&loader, r.train_rows, r.random, &options));
    options = (clm_loader_options){.batch = 22, .drop_last = true};
    assert_status(CLM_ERROR_SHAPE, clm_loader_create(&loader, r.train_rows, r.random, &options));
    assert_message_has("21 texts do not fill one batch of 22");
    options.drop_last = false;
    assert_ok(clm_loader_create(&loader, r.train_rows, r.random, &options));
    const int32_t *rows = NULL;
    clm_loader_begin(loader);
    assert_int_equal(clm_loader_next(loader, &rows), 21);
    assert_int_equal(clm_loader_next(loader, &rows), 0);
    assert_int_equal(clm_loader_next(loader, &rows), 0);
    clm_loader_position bad[] = {
        {.next_batch = 1},
        {.next_batch = 2, .begun = true},
        {.begun = true, .drawn = true},
        {.sampler_seed = -1, .begun = true},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_status(CLM_ERROR_FORMAT, clm_loader_restore(loader, &bad[i]));
    }
    clm_loader_position undrawn = {.next_batch = 1, .begun = true};
    assert_status(CLM_ERROR_FORMAT, clm_loader_restore(r.train, &undrawn));
    assert_ok(clm_loader_restore(loader, &undrawn));
    clm_loader_free(loader);
    close_recipe(&r);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(texts_are_filled_up),
        cmocka_unit_test(padding_at_the_end_of_a_text_is_padding),
        cmocka_unit_test(long_texts_are_cut_and_counted),
        cmocka_unit_test(batches_are_torchs),
        cmocka_unit_test(interrupted_batches_are_the_same),
        cmocka_unit_test(impossible_loaders_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "support/test_support.h"

#include <string.h>

#include "clm/data.h"
#include "clm/text.h"
#include "golden/dataset_golden.h"

/* The hash of make_random.py. */
static uint64_t hash_words(const int32_t *words, size_t count) {
    uint64_t hash = 0xCBF29CE484222325U;
    for (size_t i = 0; i < count; i++) {
        for (unsigned shift = 0; shift < 32; shift += 8) {
            hash = (hash ^ ((uint32_t)words[i] >> shift & 0xFFU)) * 0x100000001B3U;
        }
    }
    return hash;
}

static void the_recipes_ids_are_those_of_tokenizers(void **state) {
    (void)state;
    const char *collection = clm_test_shared_data("sms/SMSSpamCollection");
    const char *vocab = clm_test_shared_data("gpt2");
    if (collection == NULL || vocab == NULL) {
        skip();
    }
    clm_tokenizer *tokenizer = NULL;
    clm_table *table = NULL;
    clm_table *balanced = NULL;
    clm_split split;
    assert_ok(clm_tokenizer_open(&tokenizer, vocab));
    assert_ok(clm_table_read(&table, collection, NULL));
    assert_ok(clm_table_balance(&balanced, table, 123));
    assert_ok(clm_table_split(&split, balanced, 0.7, 0.1, 123));
    const clm_table *tables[3] = {split.train, split.validation, split.test};
    clm_dataset_options options = CLM_DATASET_OPTIONS_DEFAULT;
    for (int i = 0; i < 3; i++) {
        clm_dataset *dataset = NULL;
        assert_ok(clm_dataset_create(&dataset, tables[i], tokenizer, &options));
        options.length = clm_dataset_length(dataset); /* the training texts' for the others */
        size_t count = clm_dataset_count(dataset);
        assert_int_equal(count, golden_datasets[i].count);
        assert_int_equal(options.length, golden_datasets[i].length);
        assert_int_equal(clm_dataset_cut_count(dataset), golden_datasets[i].cut_count);
        assert_true(hash_words(clm_dataset_tokens(dataset), count * (size_t)options.length) ==
                    golden_datasets[i].tokens);
        assert_true(hash_words(clm_dataset_labels(dataset), count) == golden_datasets[i].labels);
        clm_dataset_free(dataset);
    }
    clm_split_free(&split);
    clm_table_free(balanced);
    clm_table_free(table);
    clm_tokenizer_close(tokenizer);
}

static void tables_become_ids(void **state) {
    (void)state;
    static const char *const texts[] = {"abc", "a", "abcab"};
    static const size_t lengths[] = {3, 1, 5};
    static const int labels[] = {1, 0, 1};
    static const char *const names[] = {"no", "yes"};
    const clm_tokenizer_train_options bytes_only = {
        .vocab_size = 257, .min_frequency = 1, .end_of_text = true};
    clm_tokenizer *tokenizer = NULL;
    clm_table *table = NULL;
    clm_dataset *dataset = NULL;
    assert_ok(clm_tokenizer_train(&tokenizer, texts, lengths, 3, &bytes_only));
    assert_ok(clm_table_create(&table, texts, labels, 3, names, 2));
    clm_dataset_options options = {.length_limit = 4,
                                   .pad_token = clm_tokenizer_end_of_text(tokenizer)};
    assert_ok(clm_dataset_create(&dataset, table, tokenizer, &options));
    assert_int_equal(clm_dataset_length(dataset), 4);
    assert_int_equal(clm_dataset_cut_count(dataset), 1);
    const int32_t *tokens = clm_dataset_tokens(dataset);
    int32_t a = tokens[4];
    const int32_t expected[12] = {a, a + 1, a + 2, 256, a, 256, 256, 256, a, a + 1, a + 2, a};
    assert_memory_equal(tokens, expected, sizeof expected);
    assert_int_equal(clm_dataset_labels(dataset)[2], 1);
    clm_dataset_free(dataset);
    clm_table_free(table);
    clm_tokenizer_close(tokenizer);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_recipes_ids_are_those_of_tokenizers),
        cmocka_unit_test(tables_become_ids),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

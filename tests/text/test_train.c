/* SPDX-License-Identifier: Apache-2.0 */
#include "support/test_support.h"

#include <string.h>

#include "base/file.h"
#include "base/memory.h"
#include "clm/text.h"
#include "text/tokenizer.h"

static void assert_same_file(const char *one, const char *other) {
    char *texts[2] = {NULL, NULL};
    size_t lengths[2] = {0, 0};
    assert_ok(clm_file_read(one, CLM_FILE_TEXT, &texts[0], &lengths[0]));
    assert_ok(clm_file_read(other, CLM_FILE_TEXT, &texts[1], &lengths[1]));
    assert_int_equal(lengths[0], lengths[1]);
    assert_memory_equal(texts[0], texts[1], lengths[0]);
    clm_free(texts[0]);
    clm_free(texts[1]);
}

static void assert_equal_tokenizers(const clm_tokenizer *one, const clm_tokenizer *other) {
    int32_t size = clm_tokenizer_vocab_size(one);
    assert_int_equal(size, clm_tokenizer_vocab_size(other));
    for (int32_t id = 0; id < size; id++) {
        const char *bytes[2] = {NULL, NULL};
        size_t lengths[2] = {0, 0};
        assert_ok(clm_tokenizer_token(one, id, &bytes[0], &lengths[0]));
        assert_ok(clm_tokenizer_token(other, id, &bytes[1], &lengths[1]));
        assert_int_equal(lengths[0], lengths[1]);
        assert_memory_equal(bytes[0], bytes[1], lengths[0]);
        assert_int_equal(clm_tokenizer_is_special(one, id), clm_tokenizer_is_special(other, id));
    }
    assert_int_equal(one->merge_count, other->merge_count);
    assert_memory_equal(one->merges, other->merges, one->merge_count * sizeof *one->merges);
    assert_int_equal(clm_tokenizer_end_of_text(one), clm_tokenizer_end_of_text(other));
}

/* tests/golden/tokens was trained by Hugging Face tokenizers on the same text. */
static void training_gives_the_golden_vocabulary(void **state) {
    (void)state;
    char *text = NULL;
    size_t length = 0;
    clm_tokenizer *trained = NULL;
    clm_tokenizer *golden = NULL;
    clm_tokenizer_train_options options = CLM_TOKENIZER_TRAIN_OPTIONS_DEFAULT;
    options.vocab_size = 400;
    assert_ok(
        clm_file_read(clm_test_source("golden/tokens/train.txt"), CLM_FILE_TEXT, &text, &length));
    assert_ok(clm_tokenizer_train(&trained, (const char *const *)&text, &length, 1, &options));
    assert_ok(clm_tokenizer_open(&golden, clm_test_source("golden/tokens")));
    assert_equal_tokenizers(trained, golden);
    assert_ok(clm_tokenizer_save(trained, clm_test_path("trained"), NULL));
    assert_same_file(clm_test_path("trained/merges.txt"),
                     clm_test_source("golden/tokens/merges.txt"));
    clm_tokenizer_close(trained);
    clm_tokenizer_close(golden);
    clm_free(text);
}

static void ties_go_to_the_lower_ids(void **state) {
    (void)state;
    /* Each pair once a text: "ab" and "cd" are equally frequent, and so are "ef" and "eg". */
    const char *const texts[] = {"cd", "ab", "eg", "ef"};
    const size_t lengths[] = {2, 2, 2, 2};
    clm_tokenizer *tokenizer = NULL;
    clm_tokenizer_train_options options = {.vocab_size = 260, .min_frequency = 1};
    assert_ok(clm_tokenizer_train(&tokenizer, texts, lengths, 4, &options));
    static const char *const expected[] = {"ab", "cd", "ef", "eg"};
    for (int32_t i = 0; i < 4; i++) {
        const char *bytes = NULL;
        size_t length = 0;
        assert_ok(clm_tokenizer_token(tokenizer, 256 + i, &bytes, &length));
        assert_int_equal(length, 2);
        assert_memory_equal(bytes, expected[i], 2);
    }
    assert_int_equal(clm_tokenizer_end_of_text(tokenizer), -1);
    clm_tokenizer_close(tokenizer);
}

static void training_stops_at_the_minimum_frequency(void **state) {
    (void)state;
    const char *const texts[] = {"ab ab ab cd cd", ""};
    const size_t lengths[] = {14, 0};
    clm_tokenizer *tokenizer = NULL;
    clm_tokenizer_train_options options = CLM_TOKENIZER_TRAIN_OPTIONS_DEFAULT;
    options.min_frequency = 3;
    assert_ok(clm_tokenizer_train(&tokenizer, texts, lengths, 2, &options));
    assert_int_equal(clm_tokenizer_vocab_size(tokenizer), 256 + 1 + 1); /* "ab" and the end */
    assert_int_equal(clm_tokenizer_end_of_text(tokenizer), 257);
    clm_tokenizer_close(tokenizer);
    assert_ok(clm_tokenizer_train(&tokenizer, NULL, NULL, 0, NULL));
    assert_int_equal(clm_tokenizer_vocab_size(tokenizer), 257);
    clm_tokenizer_close(tokenizer);
}

static void random_training_round_trips(void **state) {
    (void)state;
    for (int round = 0; round < 20; round++) {
        char text[2000];
        for (size_t i = 0; i < sizeof text; i++) {
            uint32_t draw = clm_test_random();
            text[i] = draw % 16 == 0 ? (char)(draw >> 8) : "aab \n"[draw / 16 % 5];
        }
        const char *texts[] = {text};
        const size_t length = sizeof text;
        clm_tokenizer *trained = NULL;
        clm_tokenizer *opened = NULL;
        clm_tokenizer_train_options options = CLM_TOKENIZER_TRAIN_OPTIONS_DEFAULT;
        options.min_frequency = 1 + round % 3;
        options.end_of_text = round % 2 == 0;
        options.vocab_size = 257 + round * 40;
        assert_ok(clm_tokenizer_train(&trained, texts, &length, 1, &options));
        assert_true(clm_tokenizer_vocab_size(trained) <= options.vocab_size);
        const char *folder = clm_test_path("random");
        assert_ok(clm_tokenizer_save(trained, folder, NULL));
        assert_ok(clm_tokenizer_open(&opened, folder));
        assert_equal_tokenizers(trained, opened);
        int32_t *ids = NULL;
        size_t count = 0;
        char *decoded = NULL;
        size_t decoded_length = 0;
        assert_ok(clm_tokenizer_encode(opened, text, length, NULL, &ids, &count));
        assert_ok(clm_tokenizer_decode(opened, ids, count, &decoded, &decoded_length));
        assert_int_equal(decoded_length, length);
        assert_memory_equal(decoded, text, length);
        clm_tokens_free(ids);
        clm_text_free(decoded);
        clm_tokenizer_close(trained);
        clm_tokenizer_close(opened);
    }
}

static void wrong_options_are_refused(void **state) {
    (void)state;
    clm_tokenizer *tokenizer = (clm_tokenizer *)1;
    clm_tokenizer_train_options options = CLM_TOKENIZER_TRAIN_OPTIONS_DEFAULT;
    options.vocab_size = 256;
    assert_status(CLM_ERROR_ARGUMENT, clm_tokenizer_train(&tokenizer, NULL, NULL, 0, &options));
    assert_message_has("at least 257");
    assert_null(tokenizer);
    options.vocab_size = 300;
    options.min_frequency = 0;
    assert_status(CLM_ERROR_ARGUMENT, clm_tokenizer_train(&tokenizer, NULL, NULL, 0, &options));
    assert_message_has("at least 1");
}

static void saving_says_what_went_wrong(void **state) {
    (void)state;
    clm_tokenizer *tokenizer = NULL;
    assert_ok(clm_tokenizer_train(&tokenizer, NULL, NULL, 0, NULL));
    clm_test_write(clm_test_path("file"), "x", 1);
    assert_status(CLM_ERROR_EXISTS, clm_tokenizer_save(tokenizer, clm_test_path("file"), NULL));
    assert_message_has("/file");
    clm_tokenizer_close(tokenizer);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(training_gives_the_golden_vocabulary),
        cmocka_unit_test(ties_go_to_the_lower_ids),
        cmocka_unit_test(training_stops_at_the_minimum_frequency),
        cmocka_unit_test(random_training_round_trips),
        cmocka_unit_test(wrong_options_are_refused),
        cmocka_unit_test(saving_says_what_went_wrong),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

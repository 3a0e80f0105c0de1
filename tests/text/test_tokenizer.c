/* SPDX-License-Identifier: Apache-2.0 */
#include "support/test_support.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/folder.h"
#include "base/json.h"
#include "base/memory.h"
#include "clm/text.h"
#include "text/alphabet.h"
#include "text/tokenizer.h"

static clm_tokenizer *small_tokenizer(void) {
    clm_tokenizer *tokenizer = NULL;
    assert_ok(clm_tokenizer_open(&tokenizer, clm_test_source("golden/tokens")));
    return tokenizer;
}

static void assert_ids(const int32_t *expected, size_t expected_count, const int32_t *ids,
                       size_t count, const char *what) {
    if (count != expected_count || memcmp(ids, expected, count * sizeof *ids) != 0) {
        fail_msg("%s: %zu ids, expected %zu, or another id", what, count, expected_count);
    }
}

static void assert_round_trip(const clm_tokenizer *tokenizer, const void *text, size_t length,
                              const int32_t *ids, size_t count) {
    char *decoded = NULL;
    size_t decoded_length = 0;
    assert_ok(clm_tokenizer_decode(tokenizer, ids, count, &decoded, &decoded_length));
    assert_int_equal(decoded_length, length);
    assert_memory_equal(decoded, text, length);
    assert_int_equal(decoded[length], '\0');
    clm_text_free(decoded);
}

static size_t read_hexadecimal(const char *text, unsigned char *bytes) {
    size_t count = strlen(text) / 2;
    for (size_t i = 0; i < count; i++) {
        const char digits[3] = {text[2 * i], text[2 * i + 1], '\0'};
        bytes[i] = (unsigned char)strtoul(digits, NULL, 16);
    }
    return count;
}

/* Encodes each text of tokens.json, and compares with its ids under `key`. */
static void check_golden(const clm_tokenizer *tokenizer, const char *key) {
    enum { most = 4096 };
    cJSON *golden = NULL;
    size_t rows = 0;
    assert_ok(clm_json_read(&golden, clm_test_source("golden/tokens.json"), CLM_FILE_CONFIG));
    const cJSON *row = NULL;
    cJSON_ArrayForEach(row, golden) {
        unsigned char text[most];
        int32_t expected[most];
        size_t expected_count = 0;
        const char *hexadecimal = cJSON_GetStringValue(cJSON_GetObjectItem(row, "text"));
        assert_non_null(hexadecimal);
        assert_true(strlen(hexadecimal) <= 2 * most);
        size_t length = read_hexadecimal(hexadecimal, text);
        const cJSON *id = NULL;
        cJSON_ArrayForEach(id, cJSON_GetObjectItem(row, key)) {
            expected[expected_count++] = id->valueint;
        }
        int32_t *ids = NULL;
        size_t count = 0;
        assert_ok(clm_tokenizer_encode(tokenizer, (const char *)text, length, NULL, &ids, &count));
        assert_ids(expected, expected_count, ids, count, hexadecimal);
        assert_round_trip(tokenizer, text, length, ids, count);
        clm_tokens_free(ids);
        rows++;
    }
    cJSON_Delete(golden);
    assert_true(rows >= 150);
}

static void small_vocabulary_gives_the_golden_tokens(void **state) {
    (void)state;
    clm_tokenizer *tokenizer = small_tokenizer();
    assert_int_equal(clm_tokenizer_vocab_size(tokenizer), 400);
    assert_int_equal(clm_tokenizer_end_of_text(tokenizer), 399);
    check_golden(tokenizer, "small");
    check_golden(tokenizer, "small"); /* again, now that it remembers whole words */
    clm_tokenizer_close(tokenizer);
}

/* Copies golden files under other names into a folder of the test's own. */
static void copy(const char *folder, const char *const names[][2], size_t count) {
    assert_ok(clm_folder_make(clm_test_path(folder)));
    for (size_t i = 0; i < count; i++) {
        char name[128];
        char *bytes = NULL;
        size_t size_bytes = 0;
        (void)snprintf(name, sizeof name, "golden/tokens/%s", names[i][0]);
        assert_ok(clm_file_read(clm_test_source(name), CLM_FILE_TEXT, &bytes, &size_bytes));
        (void)snprintf(name, sizeof name, "%s/%s", folder, names[i][1]);
        clm_test_write(clm_test_path(name), bytes, size_bytes);
        clm_free(bytes);
    }
}

static void every_layout_is_the_same_tokenizer(void **state) {
    (void)state;
    const char *const hugging_face[][2] = {{"vocab.json", "vocab.json"},
                                           {"merges.txt", "merges.txt"}};
    const char *const openai[][2] = {{"vocab.json", "encoder.json"}, {"merges.txt", "vocab.bpe"}};
    static const char *const folders[] = {"hugging_face", "openai"};
    copy(folders[0], hugging_face, 2);
    copy(folders[1], openai, 2);
    for (size_t i = 0; i < 2; i++) {
        clm_tokenizer *tokenizer = NULL;
        assert_ok(clm_tokenizer_open(&tokenizer, clm_test_path(folders[i])));
        assert_int_equal(clm_tokenizer_end_of_text(tokenizer), 399);
        assert_true(clm_tokenizer_is_special(tokenizer, 399));
        assert_false(clm_tokenizer_is_special(tokenizer, 398));
        assert_false(clm_tokenizer_is_special(tokenizer, 400));
        check_golden(tokenizer, "small");
        clm_tokenizer_close(tokenizer);
    }
}

static void gpt2_gives_the_golden_tokens(void **state) {
    (void)state;
    const char *folder = clm_test_shared_data("gpt2");
    if (folder == NULL) {
        skip();
    }
    clm_tokenizer *tokenizer = NULL;
    assert_ok(clm_tokenizer_open(&tokenizer, folder));
    assert_int_equal(clm_tokenizer_vocab_size(tokenizer), 50257);
    assert_int_equal(clm_tokenizer_end_of_text(tokenizer), 50256);
    size_t added = 0;
    (void)clm_added_tokens(tokenizer->added, &added);
    assert_int_equal(added, 1);
    check_golden(tokenizer, "gpt2");
    const char *path = clm_test_shared_data("text/the-verdict.txt");
    if (path != NULL) {
        char *text = NULL;
        size_t length = 0;
        int32_t *ids = NULL;
        size_t count = 0;
        assert_ok(clm_file_read(path, CLM_FILE_TEXT, &text, &length));
        assert_ok(clm_tokenizer_encode(tokenizer, text, length, NULL, &ids, &count));
        assert_int_equal(count, 5145); /* LLMs-from-scratch, chapter 2 */
        assert_round_trip(tokenizer, text, length, ids, count);
        clm_tokens_free(ids);
        clm_free(text);
    }
    clm_tokenizer_close(tokenizer);
}

/* BPE as the paper says it, one merge at a time over the whole piece: slow and obvious. */
static size_t merge_slowly(const clm_tokenizer *tokenizer, const unsigned char *piece,
                           size_t length, int32_t *ids) {
    size_t count = length;
    for (size_t i = 0; i < length; i++) {
        ids[i] = tokenizer->byte_ids[piece[i]];
    }
    for (;;) {
        const clm_pair_slot *best = NULL;
        size_t at = 0;
        for (size_t i = 0; i + 1 < count; i++) {
            const clm_pair_slot *slot = clm_tokenizer_pair(tokenizer, ids[i], ids[i + 1]);
            if (slot != NULL && (best == NULL || slot->rank < best->rank)) {
                best = slot;
                at = i;
            }
        }
        if (best == NULL) {
            return count;
        }
        ids[at] = best->result;
        count--;
        memmove(ids + at + 1, ids + at + 2, (count - at - 1) * sizeof *ids);
    }
}

static void short_and_long_pieces_merge_alike(void **state) {
    (void)state;
    static const char letters[] = "theandins \xC3\xA9";
    clm_tokenizer *tokenizer = small_tokenizer();
    clm_merge_space space = {0};
    for (int round = 0; round < 3000; round++) {
        unsigned char piece[200];
        int32_t ids[200];
        int32_t expected[200];
        size_t length = 1 + clm_test_random() % (round % 2 == 0 ? 12 : sizeof piece);
        for (size_t i = 0; i < length; i++) {
            piece[i] = (unsigned char)letters[clm_test_random() % (sizeof letters - 1)];
        }
        size_t count = 0;
        size_t expected_count = merge_slowly(tokenizer, piece, length, expected);
        assert_ok(clm_merge_piece(tokenizer, piece, length, &space, ids, &count));
        assert_ids(expected, expected_count, ids, count, "a random piece");
    }
    clm_merge_space_free(&space);
    clm_tokenizer_close(tokenizer);
}

static void any_bytes_come_back(void **state) {
    (void)state;
    clm_tokenizer *tokenizer = small_tokenizer();
    const clm_encode_options special = {.special_tokens = true};
    for (int round = 0; round < 3000; round++) {
        unsigned char text[300];
        size_t length = clm_test_random() % sizeof text;
        bool all = round % 2 == 0;
        for (size_t i = 0; i < length; i++) {
            uint32_t draw = clm_test_random();
            text[i] = (unsigned char)(all || draw % 8 == 0 ? draw >> 8 : ' ' + (draw >> 8) % 95);
        }
        int32_t *ids = NULL;
        size_t count = 0;
        assert_ok(clm_tokenizer_encode(tokenizer, (const char *)text, length,
                                       round % 3 == 0 ? &special : NULL, &ids, &count));
        assert_round_trip(tokenizer, text, length, ids, count);
        clm_tokens_free(ids);
    }
    clm_tokenizer_close(tokenizer);
}

static void invalid_bytes_stand_apart(void **state) {
    (void)state;
    clm_tokenizer *tokenizer = small_tokenizer();
    /* What is around them is cut as texts of their own, so the tokens are those of the parts. */
    const struct {
        const char *text;
        size_t length;
    } parts[] = {{" the  ", 6}, {"\xFF\xC3", 2}, {" the end", 8}, {"\xF0\x9F\x98", 3}};
    char whole[64];
    size_t length = 0;
    int32_t expected[64];
    size_t expected_count = 0;
    int32_t *ids = NULL;
    size_t count = 0;
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        memcpy(whole + length, parts[i].text, parts[i].length);
        length += parts[i].length;
        assert_ok(
            clm_tokenizer_encode(tokenizer, parts[i].text, parts[i].length, NULL, &ids, &count));
        memcpy(expected + expected_count, ids, count * sizeof *ids);
        expected_count += count;
        clm_tokens_free(ids);
    }
    assert_ok(clm_tokenizer_encode(tokenizer, whole, length, NULL, &ids, &count));
    assert_ids(expected, expected_count, ids, count, "text with invalid bytes");
    assert_true(clm_utf8_check(whole, length) == 6);
    clm_tokens_free(ids);
    clm_tokenizer_close(tokenizer);
}

static void special_tokens_only_on_request(void **state) {
    (void)state;
    static const char text[] = "a<|endoftext|><|endoftext|";
    clm_tokenizer *tokenizer = small_tokenizer();
    const clm_encode_options special = {.special_tokens = true};
    int32_t *ids = NULL;
    size_t count = 0;
    assert_ok(clm_tokenizer_encode(tokenizer, text, sizeof text - 1, NULL, &ids, &count));
    for (size_t i = 0; i < count; i++) {
        assert_int_not_equal(ids[i], 399);
    }
    clm_tokens_free(ids);
    assert_ok(clm_tokenizer_encode(tokenizer, text, sizeof text - 1, &special, &ids, &count));
    size_t found = 0;
    for (size_t i = 0; i < count; i++) {
        found += ids[i] == 399;
    }
    assert_int_equal(found, 1);
    assert_int_equal(ids[1], 399);
    assert_round_trip(tokenizer, text, sizeof text - 1, ids, count);
    clm_tokens_free(ids);
    assert_ok(clm_tokenizer_encode(tokenizer, NULL, 0, &special, &ids, &count));
    assert_int_equal(count, 0);
    assert_non_null(ids);
    clm_tokens_free(ids);
    clm_tokenizer_close(tokenizer);
}

static void an_unknown_id_is_refused(void **state) {
    (void)state;
    clm_tokenizer *tokenizer = small_tokenizer();
    const int32_t bad[] = {400, -1};
    char *text = NULL;
    const char *bytes = NULL;
    size_t length = 0;
    for (size_t i = 0; i < 2; i++) {
        assert_status(CLM_ERROR_ARGUMENT,
                      clm_tokenizer_decode(tokenizer, &bad[i], 1, &text, &length));
        assert_message_has("ends at 399");
        assert_null(text);
        assert_status(CLM_ERROR_ARGUMENT, clm_tokenizer_token(tokenizer, bad[i], &bytes, &length));
    }
    assert_ok(clm_tokenizer_token(tokenizer, 399, &bytes, &length));
    assert_int_equal(length, 13);
    assert_memory_equal(bytes, "<|endoftext|>", 13);
    clm_tokenizer_close(tokenizer);
}

/* The pieces of one text, with machine code or without, as their lengths. */
static size_t split_lengths(bool jit, const char *text, size_t length, size_t *lengths,
                            size_t most) {
    clm_splitter *splitter = NULL;
    clm_split split = {0};
    size_t count = 0;
    assert_ok(clm_splitter_open(&splitter, jit));
    assert_ok(clm_split_begin(&split, splitter));
    clm_split_text(&split, text, length);
    for (;;) {
        const unsigned char *piece = NULL;
        size_t piece_length = 0;
        assert_ok(clm_split_next(&split, &piece, &piece_length));
        if (piece_length == 0) {
            break;
        }
        assert_true(count < most);
        lengths[count++] = piece_length;
    }
    clm_split_end(&split);
    clm_splitter_close(splitter);
    return count;
}

static void the_pattern_interpreted_cuts_alike(void **state) {
    (void)state;
    enum { length = 1 << 20 };
    char *text = NULL;
    size_t with[64];
    size_t without[64];
    assert_ok(clm_allocate(&text, length, 1, "a text"));
    for (int kind = 0; kind < 3; kind++) {
        memset(text, "a !"[kind], length);
        memcpy(text + length - 5, "'ll x", 5);
        size_t count = split_lengths(true, text, length, with, 64);
        assert_int_equal(split_lengths(false, text, length, without, 64), count);
        assert_memory_equal(with, without, count * sizeof *with);
        assert_true(count >= 2 && count <= 4);
    }
    clm_free(text);
}

/* Whether side, code point, side are one piece. */
static bool joins(clm_split *split, char side, uint32_t code_point) {
    unsigned char text[6] = {(unsigned char)side};
    size_t length = 1 + clm_utf8_encode(code_point, text + 1);
    text[length++] = (unsigned char)side;
    const unsigned char *piece = NULL;
    size_t piece_length = 0;
    clm_split_text(split, text, length);
    assert_ok(clm_split_next(split, &piece, &piece_length));
    return piece_length == length;
}

/* golden/tokens/classes.txt says what Hugging Face tokenizers, of Unicode 16, take for letters,
 * numbers and white space. A newer PCRE2 may know more letters and numbers, but never fewer. */
static void every_code_point_is_of_its_class(void **state) {
    (void)state;
    enum { last_code_point = 0x10FFFF };
    char *classes = NULL;
    assert_ok(clm_allocate(&classes, last_code_point + 1, 1, "classes"));
    FILE *file = fopen(clm_test_source("golden/tokens/classes.txt"), "r");
    assert_non_null(file);
    char name = 0;
    unsigned first = 0;
    unsigned last = 0;
    while (fscanf(file, " %c %x %x", &name, &first, &last) == 3) {
        assert_true(first <= last && last <= last_code_point);
        memset(classes + first, name, last - first + 1);
    }
    assert_int_equal(fclose(file), 0);
    clm_splitter *splitter = NULL;
    clm_split split = {0};
    size_t newer = 0;
    assert_ok(clm_splitter_open(&splitter, true));
    assert_ok(clm_split_begin(&split, splitter));
    for (uint32_t code = 0; code <= last_code_point; code++) {
        if (code >= 0xD800 && code <= 0xDFFF) {
            continue;
        }
        char got = joins(&split, 'a', code)    ? 'L'
                   : joins(&split, '1', code)  ? 'N'
                   : !joins(&split, '-', code) ? 'S'
                                               : '\0';
        if (got != classes[code] && (classes[code] != '\0' || got == 'S')) {
            fail_msg("U+%04X is of class %c, not %c", code, got, classes[code]);
        }
        newer += got != classes[code];
    }
    assert_true(newer == 0 || clm_splitter_unicode_version() > 16);
    clm_split_end(&split);
    clm_splitter_close(splitter);
    clm_free(classes);
}

/* The time of one letter repeated must not grow with its square: a million took 0.2 s when this was
 * written, and would take some ten minutes. ctest's time limit is the judge. */
static void a_megabyte_of_one_letter(void **state) {
    (void)state;
    enum { length = 1000000 };
    clm_tokenizer *tokenizer = small_tokenizer();
    char *text = NULL;
    int32_t *ids = NULL;
    size_t count = 0;
    assert_ok(clm_allocate(&text, length, 1, "a text"));
    memset(text, 'e', length);
    assert_ok(clm_tokenizer_encode(tokenizer, text, length, NULL, &ids, &count));
    assert_round_trip(tokenizer, text, length, ids, count);
    clm_tokens_free(ids);
    clm_free(text);
    clm_tokenizer_close(tokenizer);
}

typedef struct shared_work {
    const clm_tokenizer *tokenizer;
    const char *text;
    size_t length;
    const int32_t *expected;
    size_t expected_count;
    int wrong;
} shared_work;

static void *encode_in_thread(void *argument) {
    shared_work *work = argument;
    for (int i = 0; i < 50; i++) {
        int32_t *ids = NULL;
        size_t count = 0;
        if (clm_tokenizer_encode(work->tokenizer, work->text, work->length, NULL, &ids, &count) !=
                CLM_OK ||
            count != work->expected_count ||
            memcmp(ids, work->expected, count * sizeof *ids) != 0) {
            work->wrong++;
        }
        clm_tokens_free(ids);
    }
    return NULL;
}

static void threads_share_a_tokenizer(void **state) {
    (void)state;
    enum { thread_count = 4 };
    char *text = NULL;
    size_t length = 0;
    int32_t *expected = NULL;
    size_t expected_count = 0;
    assert_ok(
        clm_file_read(clm_test_source("golden/tokens/train.txt"), CLM_FILE_TEXT, &text, &length));
    clm_tokenizer *first = small_tokenizer();
    assert_ok(clm_tokenizer_encode(first, text, length, NULL, &expected, &expected_count));
    clm_tokenizer_close(first);
    clm_tokenizer *tokenizer = small_tokenizer(); /* which remembers nothing yet */
    pthread_t threads[thread_count];
    shared_work works[thread_count];
    for (int i = 0; i < thread_count; i++) {
        works[i] = (shared_work){tokenizer, text, length, expected, expected_count, 0};
        assert_int_equal(pthread_create(&threads[i], NULL, encode_in_thread, &works[i]), 0);
    }
    for (int i = 0; i < thread_count; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
        assert_int_equal(works[i].wrong, 0);
    }
    clm_tokenizer_close(tokenizer);
    clm_tokens_free(expected);
    clm_free(text);
}

static void the_alphabet_is_gpt2s(void **state) {
    (void)state;
    bool seen[256] = {false};
    uint32_t before = 0;
    for (size_t n = 0; n < 256; n++) {
        unsigned char byte = clm_alphabet_byte(n);
        assert_false(seen[byte]);
        seen[byte] = true;
        assert_true(clm_alphabet_code_point(byte) > before);
        before = clm_alphabet_code_point(byte);
        clm_string out = {0};
        unsigned char back[4];
        size_t length = 0;
        clm_alphabet_add(&out, &byte, 1);
        assert_true(clm_alphabet_read(out.text, out.length, back, &length));
        assert_int_equal(length, 1);
        assert_int_equal(back[0], byte);
        clm_string_free(&out);
    }
    assert_int_equal(clm_alphabet_code_point(' '), 0x120);
    assert_int_equal(clm_alphabet_code_point('\n'), 0x10A);
    assert_int_equal(clm_alphabet_code_point(0xAD), 0x143);
    assert_int_equal(clm_alphabet_code_point('A'), 'A');
    unsigned char bytes[4];
    size_t length = 0;
    assert_false(clm_alphabet_read(" ", 1, bytes, &length));
    assert_false(clm_alphabet_read("\xC5\x84", 2, bytes, &length)); /* U+0144, one too many */
    assert_false(clm_alphabet_read("\xC2\xA0", 2, bytes, &length));
    assert_false(clm_alphabet_read("\xC4", 1, bytes, &length));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_alphabet_is_gpt2s),
        cmocka_unit_test(small_vocabulary_gives_the_golden_tokens),
        cmocka_unit_test(every_layout_is_the_same_tokenizer),
        cmocka_unit_test(gpt2_gives_the_golden_tokens),
        cmocka_unit_test(short_and_long_pieces_merge_alike),
        cmocka_unit_test(any_bytes_come_back),
        cmocka_unit_test(invalid_bytes_stand_apart),
        cmocka_unit_test(special_tokens_only_on_request),
        cmocka_unit_test(an_unknown_id_is_refused),
        cmocka_unit_test(the_pattern_interpreted_cuts_alike),
        cmocka_unit_test(every_code_point_is_of_its_class),
        cmocka_unit_test(a_megabyte_of_one_letter),
        cmocka_unit_test(threads_share_a_tokenizer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

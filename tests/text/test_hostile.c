/* Time and memory are bounded by the size of what is read, whatever it says.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "support/test_support.h"

#include <string.h>
#include <time.h>

#include "base/json.h"
#include "base/memory.h"
#include "base/random.h"
#include "text/alphabet.h"
#include "text/load.h"
#include "text/load_files.h"

/* Processor time, because other programs run beside this one. */
static double seconds(void) {
    return (double)clock() / (double)CLOCKS_PER_SEC;
}

/* What must not depend on the contents: a hostile file takes at most this many times as long as a
 * harmless one of its size. It was 40 and more for each case here before; the rest is for a machine
 * that is busy. */
static const double most_times = 8;
static const double clock_floor = 0.05; /* below this the clock tells nothing */

static void assert_as_fast(double hostile, double harmless) {
    if (!(hostile <= most_times * harmless + clock_floor)) {
        fail_msg("%.3f s, where a harmless one takes %.3f s", hostile, harmless);
    }
}

/* The hash that vocabularies had: without a key, and made of steps that can be undone. */
static const uint64_t old_factor = 0x9E3779B97F4A7C15U;

static uint64_t undo_old_step(uint64_t value) {
    uint64_t inverse = old_factor;
    for (int i = 0; i < 6; i++) {
        inverse *= 2 - old_factor * inverse;
    }
    value ^= value >> 32;
    return value * inverse;
}

/* A vocabulary of the bytes and `count` words of eight bytes, all with the same old hash or with
 * any. */
static void add_vocab(clm_string *out, size_t count, bool hostile) {
    clm_string_add(out, "{");
    for (size_t id = 0; id < 256 + count; id++) {
        clm_string name = {0};
        unsigned char bytes[8] = {clm_alphabet_byte(id % 256)};
        const uint64_t high = (uint64_t)(id + 1) << 32;
        uint64_t word = hostile ? undo_old_step(undo_old_step(undo_old_step(high))) ^ 8
                                : (high ^ id) * 0xD1B54A32D192ED03U;
        if (id >= 256) {
            memcpy(bytes, &word, 8);
        }
        clm_alphabet_add(&name, bytes, id >= 256 ? 8 : 1);
        clm_string_add(out, id > 0 ? ", " : "");
        clm_json_add_bytes(out, name.text, name.length);
        clm_string_add_format(out, ": %zu", id);
        clm_string_free(&name);
    }
    clm_string_add(out, "}");
    assert_ok(clm_string_status(out));
}

static double time_vocab(size_t count, bool hostile) {
    clm_string text = {0};
    clm_tokenizer *tokenizer = NULL;
    add_vocab(&text, count, hostile);
    const clm_source vocab = {text.text, text.length, "vocab"};
    const clm_source merges = {"", 0, "merges"};
    const double start = seconds();
    assert_ok(clm_load_pair(&tokenizer, &vocab, &merges));
    const double taken = seconds() - start;
    clm_tokenizer_close(tokenizer);
    clm_string_free(&text);
    return taken;
}

static void words_of_one_hash(void **state) {
    (void)state;
    enum { count = 60000 };
    assert_as_fast(time_vocab(count, true), time_vocab(count, false));
}

static double time_merges(size_t count, bool hostile) {
    clm_string text = {0};
    clm_tokenizer *tokenizer = NULL;
    clm_merge *list = NULL;
    size_t repeated = 0;
    add_vocab(&text, 0, false);
    const clm_source vocab = {text.text, text.length, "vocab"};
    cJSON *json = NULL;
    clm_vocab_reader reader = {.where = "vocab"};
    assert_ok(clm_source_parse(&json, &vocab));
    assert_ok(clm_vocab_reader_take_vocab(&reader, json));
    assert_ok(clm_tokenizer_make(&tokenizer, reader.tokens, 256));
    assert_ok(clm_allocate(&list, count, sizeof *list, "merges"));
    for (size_t i = 0; i < count; i++) {
        const uint64_t high = (uint64_t)(i + 1) << 32;
        const uint64_t pair = hostile ? undo_old_step(high) : (high ^ i) * 0xD1B54A32D192ED03U;
        list[i] = (clm_merge){(int32_t)(pair >> 32), (int32_t)(uint32_t)pair, 0};
    }
    const double start = seconds();
    assert_ok(clm_tokenizer_take_merges(tokenizer, list, count, &repeated));
    const double taken = seconds() - start;
    clm_tokenizer_close(tokenizer);
    clm_vocab_reader_free(&reader);
    cJSON_Delete(json);
    clm_string_free(&text);
    return taken;
}

static void merges_of_one_hash(void **state) {
    (void)state;
    enum { count = 60000 };
    assert_as_fast(time_merges(count, true), time_merges(count, false));
}

/* tokenizer.json with the bytes and these added tokens: the n-th is `first`, n in decimal, `last`.
 */
static clm_tokenizer *with_added(const char *first, const char *last, size_t count,
                                 const char *flags) {
    clm_string text = {0};
    clm_tokenizer *tokenizer = NULL;
    clm_string_add(&text, "{\"added_tokens\": [");
    for (size_t i = 0; i < count; i++) {
        clm_string_add_format(&text, "%s{\"id\": %zu, \"content\": \"%s%zu%s\"%s}",
                              i > 0 ? ", " : "", 256 + i, first, i, last, flags);
    }
    clm_string_add(&text,
                   "], \"pre_tokenizer\": {\"type\": \"ByteLevel\", "
                   "\"add_prefix_space\": false}, \"model\": {\"merges\": [], \"vocab\": ");
    add_vocab(&text, 0, false);
    clm_string_add(&text, "}}");
    assert_ok(clm_string_status(&text));
    const clm_source source = {text.text, text.length, "x"};
    assert_ok(clm_load_tokenizer_json(&tokenizer, &source));
    clm_string_free(&text);
    return tokenizer;
}

static void encode_and_count(const clm_tokenizer *tokenizer, const clm_string *text,
                             size_t expected) {
    const clm_encode_options special = {.special_tokens = true};
    int32_t *ids = NULL;
    size_t count = 0;
    assert_ok(clm_string_status(text));
    assert_ok(clm_tokenizer_encode(tokenizer, text->text, text->length, &special, &ids, &count));
    assert_int_equal(count, expected);
    clm_tokens_free(ids);
}

/* They took 6 s when they were sorted by insertion, and each place of a text was compared with each
 * of them. Ten thousand times as many comparisons do not fit into ctest's time limit. */
static void a_hundred_thousand_special_tokens(void **state) {
    (void)state;
    enum { count = 100000 };
    clm_tokenizer *tokenizer = with_added("<", ">", count, ", \"special\": true");
    clm_string text = {0};
    for (size_t i = 0; i < count; i++) {
        clm_string_add_format(&text, "<%zu>", (i * 7919) % count);
    }
    encode_and_count(tokenizer, &text, count);
    clm_string_clear(&text);
    for (size_t i = 0; i < 1000000; i++) {
        clm_string_add(&text, "<");
    }
    encode_and_count(tokenizer, &text, 1000000);
    clm_string_free(&text);
    clm_tokenizer_close(tokenizer);
}

/* Tokens that begin alike and differ at their ends; white space that each of many tokens would
 * strip. */
static void texts_that_nearly_match(void **state) {
    (void)state;
    clm_string text = {0};
    char letters[4001];
    memset(letters, 'a', sizeof letters - 1);
    letters[sizeof letters - 1] = '\0';
    clm_tokenizer *tokenizer = with_added(letters, "", 1, "");
    for (size_t i = 0; i < 1000; i++) {
        clm_string_add(&text, letters);
    }
    encode_and_count(tokenizer, &text, 4000000);
    clm_tokenizer_close(tokenizer);
    clm_string_clear(&text);
    tokenizer = with_added("\\t", "", 10, ", \"lstrip\": true, \"rstrip\": true");
    for (size_t i = 0; i < 200000; i++) {
        clm_string_add(&text, "\t0 ");
    }
    encode_and_count(tokenizer, &text, 200000);
    clm_string_clear(&text);
    for (size_t i = 0; i < 1000000; i++) {
        clm_string_add(&text, "\t");
    }
    encode_and_count(tokenizer, &text, 1000000);
    clm_string_free(&text);
    clm_tokenizer_close(tokenizer);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(words_of_one_hash),
        cmocka_unit_test(merges_of_one_hash),
        cmocka_unit_test(a_hundred_thousand_special_tokens),
        cmocka_unit_test(texts_that_nearly_match),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* Added tokens, and what else the settings beside a vocabulary change.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "support/test_support.h"

#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/folder.h"
#include "base/json.h"
#include "base/memory.h"
#include "base/string.h"
#include "clm/text.h"
#include "text/split.h"

/* golden/tokens/words.txt says what Hugging Face tokenizers, of Unicode 16, take for part of a
 * word. A newer PCRE2 may know more of it, but never less. */
static void every_code_point_is_a_word_character_or_not(void **state) {
    (void)state;
    enum { last_code_point = 0x10FFFF };
    bool *expected = NULL;
    assert_ok(clm_allocate(&expected, last_code_point + 1, sizeof *expected, "classes"));
    FILE *file = fopen(clm_test_source("golden/tokens/words.txt"), "r");
    assert_non_null(file);
    unsigned first = 0;
    unsigned last = 0;
    while (fscanf(file, " %x %x", &first, &last) == 2) {
        assert_true(first <= last && last <= last_code_point);
        for (unsigned code = first; code <= last; code++) {
            expected[code] = true;
        }
    }
    assert_int_equal(fclose(file), 0);
    clm_word_class *words = NULL;
    size_t newer = 0;
    assert_ok(clm_word_class_open(&words));
    for (uint32_t code = 0; code <= last_code_point; code++) {
        if (code >= 0xD800 && code <= 0xDFFF) {
            continue;
        }
        unsigned char bytes[4];
        const size_t length = clm_utf8_encode(code, bytes);
        bool has = false;
        assert_ok(clm_word_class_has(words, bytes, length, &has));
        if (expected[code] && !has) {
            fail_msg("U+%04X is part of a word", code);
        }
        newer += has != expected[code];
    }
    if (newer > 0 && clm_splitter_unicode_version() <= 16) {
        fail_msg("%zu characters are no part of a word", newer);
    }
    clm_word_class_close(words);
    clm_free(expected);
}

/* --- Folders that transformers has read --- */

static void read_golden(char **text, const char *name) {
    size_t length = 0;
    assert_ok(clm_file_read(clm_test_source(name), CLM_FILE_TOKENIZER, text, &length));
}

/* The merges of merges.txt as a JSON array of strings, or of pairs. */
static char *merges_as_json(const char *merges, bool pairs) {
    clm_string out = {0};
    const char *line = strchr(merges, '\n') + 1;
    clm_string_add(&out, "[");
    while (*line != '\0') {
        const char *space = strchr(line, ' ');
        const char *end = strchr(line, '\n');
        clm_string_add(&out, out.length > 1 ? ", " : "");
        clm_string_add(&out, pairs ? "[" : "");
        clm_json_add_bytes(&out, line, (size_t)((pairs ? space : end) - line));
        if (pairs) {
            clm_string_add(&out, ", ");
            clm_json_add_bytes(&out, space + 1, (size_t)(end - space - 1));
            clm_string_add(&out, "]");
        }
        line = end + 1;
    }
    clm_string_add(&out, "]");
    assert_ok(clm_string_status(&out));
    return out.text;
}

typedef struct marks {
    char *vocab;
    char *merges;
    char *strings;
    char *pairs;
} marks;

static void read_marks(marks *m) {
    read_golden(&m->vocab, "golden/tokens/vocab.json");
    read_golden(&m->merges, "golden/tokens/merges.txt");
    m->strings = merges_as_json(m->merges, false);
    m->pairs = merges_as_json(m->merges, true);
}

static void free_marks(marks *m) {
    clm_free(m->vocab);
    clm_free(m->merges);
    clm_free(m->strings);
    clm_free(m->pairs);
}

/* Writes one file, with what its marks stand for in their place. */
static void write_file(const char *path, const cJSON *contents, const marks *m) {
    const struct {
        const char *mark;
        const char *text;
    } known[] = {{"\"@VOCAB@\"", m->vocab},
                 {"\"@MERGES.TXT@\"", m->merges},
                 {"\"@STRINGS@\"", m->strings},
                 {"\"@PAIRS@\"", m->pairs}};
    clm_string out = {0};
    char *text = cJSON_PrintUnformatted(contents);
    const char *at = text;
    while (*at != '\0') {
        const char *put = NULL;
        for (size_t i = 0; i < sizeof known / sizeof *known && put == NULL; i++) {
            if (strncmp(at, known[i].mark, strlen(known[i].mark)) == 0) {
                put = known[i].text;
                at += strlen(known[i].mark);
            }
        }
        if (put != NULL) {
            clm_string_add(&out, put);
        } else {
            clm_string_add_bytes(&out, at++, 1);
        }
    }
    assert_ok(clm_string_status(&out));
    clm_test_write(path, out.text, out.length);
    clm_string_free(&out);
    cJSON_free(text);
}

static size_t from_hex(const char *hex, unsigned char *bytes) {
    size_t length = 0;
    for (; hex[2 * length] != '\0'; length++) {
        unsigned value = 0;
        assert_int_equal(sscanf(hex + 2 * length, "%2x", &value), 1);
        bytes[length] = (unsigned char)value;
    }
    return length;
}

static void check_ids(const clm_tokenizer *tokenizer, const cJSON *row, bool special,
                      const char *name, const char *how) {
    unsigned char text[1024];
    const char *hex = cJSON_GetStringValue(cJSON_GetObjectItem(row, "text"));
    const cJSON *expected = cJSON_GetObjectItem(row, "split");
    const clm_encode_options options = {.special_tokens = special};
    int32_t *ids = NULL;
    size_t count = 0;
    if (special || expected == NULL) {
        expected = cJSON_GetObjectItem(row, "ids");
    }
    assert_true(strlen(hex) < 2 * sizeof text);
    const size_t length = from_hex(hex, text);
    assert_ok(clm_tokenizer_encode(tokenizer, (const char *)text, length, &options, &ids, &count));
    bool same = count == (size_t)cJSON_GetArraySize(expected);
    const cJSON *item = expected->child;
    for (size_t i = 0; same && i < count; i++, item = item->next) {
        same = ids[i] == item->valueint;
    }
    clm_tokens_free(ids);
    if (!same) {
        fail_msg("%s, %s, text %s, %s special tokens: other ids", name, how, hex,
                 special ? "with" : "without");
    }
}

static void check_texts(const char *folder, const cJSON *folder_case, const char *how) {
    clm_tokenizer *tokenizer = NULL;
    const char *name = cJSON_GetStringValue(cJSON_GetObjectItem(folder_case, "name"));
    const cJSON *row = NULL;
    if (clm_tokenizer_open(&tokenizer, folder) != CLM_OK) {
        fail_msg("%s, %s: %s", name, how, clm_error_message());
    }
    cJSON_ArrayForEach(row, cJSON_GetObjectItem(folder_case, "texts")) {
        check_ids(tokenizer, row, true, name, how);
        check_ids(tokenizer, row, false, name, how);
    }
    assert_ok(clm_tokenizer_save(tokenizer, clm_test_path("saved"), NULL));
    clm_tokenizer_close(tokenizer);
}

/* golden/tokenizers.json; and what is saved of each folder gives the same ids again. */
static void folders_give_the_ids_of_transformers(void **state) {
    (void)state;
    static const char *const names[] = {"tokenizer.json",   "vocab.json",
                                        "merges.txt",       "tokenizer_config.json",
                                        "config.json",      "special_tokens_map.json",
                                        "added_tokens.json"};
    cJSON *cases = NULL;
    marks m = {0};
    const cJSON *one = NULL;
    size_t count = 0;
    read_marks(&m);
    assert_ok(clm_json_read(&cases, clm_test_source("golden/tokenizers.json"), CLM_FILE_TOKENIZER));
    cJSON_ArrayForEach(one, cases) {
        char folder[32];
        (void)snprintf(folder, sizeof folder, "case%zu", count++);
        assert_ok(clm_folder_make(clm_test_path(folder)));
        for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
            const cJSON *contents =
                cJSON_GetObjectItem(cJSON_GetObjectItem(one, "files"), names[i]);
            char path[64];
            (void)snprintf(path, sizeof path, "%s/%s", folder, names[i]);
            if (contents != NULL) {
                write_file(clm_test_path(path), contents, &m);
            }
        }
        check_texts(clm_test_path(folder), one, "as given");
        check_texts(clm_test_path("saved"), one, "as saved");
    }
    assert_true(count > 80);
    cJSON_Delete(cases);
    free_marks(&m);
}

/* --- What surrounds a text, and saving --- */

/* The small vocabulary with <url> (normal), <pad> (special), and END round each text. */
static clm_tokenizer *framed_tokenizer(void) {
    static const char config[] =
        "{\"tokenizer_class\": \"GPT2Tokenizer\", \"add_bos_token\": true, \"add_eos_token\": "
        "true, "
        "\"model_max_length\": 1e30, \"pad_token\": \"<pad>\"}";
    static const char added[] = "{\"<url>\": 400, \"<pad>\": 401}";
    marks m = {0};
    clm_tokenizer *tokenizer = NULL;
    read_marks(&m);
    assert_ok(clm_folder_make(clm_test_path("framed")));
    clm_test_write(clm_test_path("framed/vocab.json"), m.vocab, strlen(m.vocab));
    clm_test_write(clm_test_path("framed/merges.txt"), m.merges, strlen(m.merges));
    clm_test_write(clm_test_path("framed/tokenizer_config.json"), config, sizeof config - 1);
    clm_test_write(clm_test_path("framed/added_tokens.json"), added, sizeof added - 1);
    free_marks(&m);
    assert_ok(clm_tokenizer_open(&tokenizer, clm_test_path("framed")));
    return tokenizer;
}

static void cutting_keeps_what_ends_a_text(void **state) {
    (void)state;
    const clm_encode_options bare = {.bare = true};
    clm_tokenizer *tokenizer = framed_tokenizer();
    int32_t *ids = NULL;
    size_t count = 0;
    assert_ok(clm_tokenizer_encode(tokenizer, "1<url>Q7", 8, NULL, &ids, &count));
    assert_int_equal(count, 6);
    const int32_t whole[] = {399, 16, 400, 48, 22, 399};
    assert_memory_equal(ids, whole, sizeof whole);
    assert_int_equal(clm_tokenizer_cut(tokenizer, ids, count, 9), 6);
    assert_int_equal(clm_tokenizer_cut(tokenizer, ids, count, 4), 4);
    const int32_t cut[] = {399, 16, 400, 399};
    assert_memory_equal(ids, cut, sizeof cut);
    assert_int_equal(clm_tokenizer_cut(tokenizer, ids, 4, 1), 1);
    assert_int_equal(clm_tokenizer_cut(tokenizer, ids, 1, 0), 0);
    clm_tokens_free(ids);
    assert_ok(clm_tokenizer_encode(tokenizer, "1<url>Q7", 8, &bare, &ids, &count));
    assert_int_equal(count, 4);
    assert_memory_equal(ids, whole + 1, 4 * sizeof *ids);
    clm_tokens_free(ids);
    clm_tokenizer_close(tokenizer);
}

static void assert_config_says(const char *name, const char *expected) {
    cJSON *json = NULL;
    assert_ok(clm_json_read(&json, clm_test_path("told/tokenizer_config.json"), CLM_FILE_CONFIG));
    const cJSON *item = cJSON_GetObjectItem(json, name);
    if (expected == NULL) {
        assert_null(item);
    } else {
        char *text = cJSON_PrintUnformatted(item);
        assert_string_equal(text, expected);
        cJSON_free(text);
    }
    cJSON_Delete(json);
}

static void saving_tells_padding_and_length(void **state) {
    (void)state;
    clm_tokenizer *tokenizer = framed_tokenizer();
    clm_tokenizer *again = NULL;
    clm_tokenizer_save_options options = CLM_TOKENIZER_SAVE_OPTIONS_DEFAULT;
    const char *folder = clm_test_path("told");
    assert_int_equal(clm_tokenizer_pad_token(tokenizer), 401);
    assert_int_equal(clm_tokenizer_end_of_text(tokenizer), 399);
    assert_ok(clm_tokenizer_save(tokenizer, folder, NULL));
    assert_config_says("pad_token", "\"<pad>\"");
    assert_config_says("model_max_length", NULL);
    assert_config_says("padding_side", "\"right\"");
    options.pad_token = 399;
    options.max_length = 120;
    assert_ok(clm_tokenizer_save(tokenizer, folder, &options));
    assert_config_says("pad_token", "\"<|endoftext|>\"");
    assert_config_says("model_max_length", "120");
    assert_ok(clm_tokenizer_open(&again, folder));
    assert_int_equal(clm_tokenizer_pad_token(again), 399);
    assert_true(clm_tokenizer_is_special(again, 401));
    assert_false(clm_tokenizer_is_special(again, 400));
    assert_ok(clm_tokenizer_save(again, folder, NULL));
    assert_config_says("model_max_length", "120");
    /* A token of the vocabulary, or a normal one, would become special by it. */
    for (int32_t id = 300; id <= 400; id += 100) {
        options.pad_token = id;
        assert_ok(clm_tokenizer_save(tokenizer, folder, &options));
        assert_config_says("pad_token", NULL);
    }
    options.pad_token = 402;
    assert_status(CLM_ERROR_ARGUMENT, clm_tokenizer_save(tokenizer, folder, &options));
    assert_message_has("402");
    options = (clm_tokenizer_save_options){-1, -1};
    assert_status(CLM_ERROR_ARGUMENT, clm_tokenizer_save(tokenizer, folder, &options));
    clm_tokenizer_close(again);
    clm_tokenizer_close(tokenizer);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(folders_give_the_ids_of_transformers),
        cmocka_unit_test(cutting_keeps_what_ends_a_text),
        cmocka_unit_test(saving_tells_padding_and_length),
        cmocka_unit_test(every_code_point_is_a_word_character_or_not),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

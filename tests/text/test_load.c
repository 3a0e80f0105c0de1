/* Every way in which a vocabulary can be wrong has a message that names the file and the place.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "support/test_support.h"

#include <string.h>

#include "base/file.h"
#include "base/folder.h"
#include "base/json.h"
#include "base/memory.h"
#include "text/alphabet.h"
#include "text/load_files.h"

/* {"!": 0, ... all 256 bytes ..., <more>}: a vocabulary to which a test adds its fault. */
static void add_byte_vocab(clm_string *out, const char *more) {
    clm_string_add(out, "{");
    for (size_t n = 0; n < 256; n++) {
        clm_string name = {0};
        unsigned char byte = clm_alphabet_byte(n);
        clm_alphabet_add(&name, &byte, 1);
        clm_string_add(out, n > 0 ? ", " : "");
        clm_json_add_bytes(out, name.text, name.length);
        clm_string_add_format(out, ": %zu", n);
        clm_string_free(&name);
    }
    clm_string_add(out, more);
    clm_string_add(out, "}");
    assert_ok(clm_string_status(out));
}

static void assert_pair_refused(const char *vocab, const char *merges, const char *message) {
    const clm_source vocab_source = {vocab, strlen(vocab), "vocab.json"};
    const clm_source merges_source = {merges, strlen(merges), "merges.txt"};
    clm_tokenizer *tokenizer = (clm_tokenizer *)1;
    assert_status(CLM_ERROR_FORMAT, clm_load_pair(&tokenizer, &vocab_source, &merges_source));
    assert_null(tokenizer);
    assert_message_has(message);
}

static void a_bad_vocabulary_is_refused(void **state) {
    (void)state;
    assert_pair_refused("{\"a\": 0,", "", "vocab.json: byte");
    assert_pair_refused("[1]", "", "vocab.json: the vocabulary must be an object");
    assert_pair_refused("{\"a\": 0, \"b\": 0}", "",
                        "vocab.json: id 0 appears twice, for \"a\" and for \"b\"");
    assert_pair_refused("{\"a\": 0, \"b\": 2}", "",
                        "vocab.json: id 1 has no token, though ids go up to 2");
    assert_pair_refused("{\"a\": 1, \"b\": 3000000}", "",
                        "vocab.json: id 0 has no token, though ids go up to 3000000");
    assert_pair_refused("{\"a\": -1}", "", "vocab.json: the id of token \"a\"");
    assert_pair_refused("{\"a\": 0.5}", "", "vocab.json: the id of token \"a\"");
    assert_pair_refused("{\"a\": 1e99}", "", "vocab.json: the id of token \"a\"");
    assert_pair_refused("{\"a\": \"0\"}", "", "vocab.json: the id of token \"a\"");
    assert_pair_refused("{\"\": 0}", "", "vocab.json: token 0 is empty");
    assert_pair_refused("{\"a\": 0, \"a\": 1}", "", "vocab.json: the ids 0 and 1 are the same");
    assert_pair_refused("{\"a\": 0}", "", "vocab.json: no token stands for the byte 0x00");
    assert_pair_refused("{}", "", "vocab.json: no token stands for the byte 0x00");
    assert_pair_refused("{\"\\\\\\u0000a\": 0}", "", "vocab.json: byte 4: a NUL character");
    assert_pair_refused("{\"a\xFF\": 0}", "", "vocab.json: byte 3: not valid UTF-8");
}

static void a_bad_merge_is_refused(void **state) {
    (void)state;
    clm_string vocab = {0};
    add_byte_vocab(&vocab, ", \"th\": 256, \"the\": 257, \"<|endoftext|>\": 258");
    const struct {
        const char *merges;
        const char *message;
    } cases[] = {
        {"#version: 0.2\nt h\nth q\n", "merges.txt: line 3: \"th\" and \"q\" make a token"},
        {"t h\nth xx\n", "merges.txt: line 2: \"xx\" is not in the vocabulary"},
        {"xx h\n", "merges.txt: line 1: \"xx\" is not in the vocabulary"},
        {"t h\nthe\n", "merges.txt: line 2: a merge is two tokens"},
        {"t h\nt h e\n", "merges.txt: line 2: a merge is two tokens"},
        {"t h\n\nth e\n", "merges.txt: line 2: a merge is two tokens"},
        {" h\n", "merges.txt: line 1: a merge is two tokens"},
        {"t \n", "merges.txt: line 1: a merge is two tokens"},
        {"t h\nth e\nt h\n", "merges.txt: line 3: a pair is merged twice"},
        {"#version: 0.2\nt h\nt h\n", "merges.txt: line 3: a pair is merged twice"},
        {"t \xC4\n", "merges.txt: line 1: \"\xEF\xBF\xBD\" is not"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_pair_refused(vocab.text, cases[i].merges, cases[i].message);
    }
    /* What is right after all of that: an empty last line, carriage returns, no last newline. */
    const char *const good[] = {"t h\nth e\n\n", "#version: 0.2\r\nt h\r\nth e", "t h\nth e",
                                "t h\rth e"};
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        const clm_source vocab_source = {vocab.text, vocab.length, "vocab.json"};
        const clm_source merges_source = {good[i], strlen(good[i]), "merges.txt"};
        clm_tokenizer *tokenizer = NULL;
        int32_t *ids = NULL;
        size_t count = 0;
        assert_ok(clm_load_pair(&tokenizer, &vocab_source, &merges_source));
        assert_ok(clm_tokenizer_encode(tokenizer, "the", 3, NULL, &ids, &count));
        assert_int_equal(count, 1);
        assert_int_equal(ids[0], 257);
        assert_int_equal(clm_tokenizer_end_of_text(tokenizer), 258);
        clm_tokens_free(ids);
        clm_tokenizer_close(tokenizer);
    }
    clm_string_free(&vocab);
}

/* tokenizer.json with the vocabulary of bytes and "th"; empty arguments leave the defaults. */
static void add_tokenizer_json(clm_string *out, const char *top, const char *cut, const char *model,
                               const char *merges) {
    clm_string_add_format(out, "{%s", top);
    clm_string_add_format(
        out, "\"pre_tokenizer\": %s, \"model\": {%s \"vocab\": ",
        cut[0] != '\0' ? cut : "{\"type\": \"ByteLevel\", \"add_prefix_space\": false}", model);
    add_byte_vocab(out, ", \"th\": 256");
    clm_string_add_format(out, ", \"merges\": %s}}", merges[0] != '\0' ? merges : "[\"t h\"]");
}

static void a_tokenizer_of_another_kind_is_refused(void **state) {
    (void)state;
    const struct {
        const char *top;
        const char *cut;
        const char *model;
        const char *merges;
        clm_status status;
        const char *message;
    } cases[] = {
        {"\"normalizer\": {\"type\": \"NFC\"},", "", "", "", CLM_ERROR_UNSUPPORTED,
         "x: \"normalizer\""},
        {"", "null", "", "", CLM_ERROR_UNSUPPORTED, "x: \"pre_tokenizer\""},
        {"", "{\"type\": \"Whitespace\"}", "", "", CLM_ERROR_UNSUPPORTED, "x: \"pre_tokenizer\""},
        {"", "{\"type\": \"ByteLevel\"}", "", "", CLM_ERROR_FORMAT,
         "x: \"pre_tokenizer\": \"add_prefix_space\" must"},
        {"", "{\"type\": \"ByteLevel\", \"add_prefix_space\": false, \"use_regex\": false}", "", "",
         CLM_ERROR_UNSUPPORTED, "x: \"pre_tokenizer\""},
        {"", "", "\"type\": \"Unigram\",", "", CLM_ERROR_UNSUPPORTED, "only BPE"},
        {"", "", "\"dropout\": 0.1,", "", CLM_ERROR_UNSUPPORTED, "x: \"dropout\""},
        {"", "", "\"end_of_word_suffix\": \"</w>\",", "", CLM_ERROR_UNSUPPORTED,
         "x: \"end_of_word_suffix\""},
        {"", "", "\"continuing_subword_prefix\": \"##\",", "", CLM_ERROR_UNSUPPORTED,
         "x: \"continuing_subword_prefix\""},
        {"\"version\": \"2.0\",", "", "", "", CLM_ERROR_UNSUPPORTED, "x: \"version\""},
        {"",
         "{\"type\": \"Sequence\", \"pretokenizers\": [{\"type\": \"Digits\"}, {\"type\": "
         "\"ByteLevel\"}]}",
         "", "", CLM_ERROR_UNSUPPORTED, "x: \"pre_tokenizer\" is \"Sequence\""},
        {"\"post_processor\": {\"type\": \"RobertaProcessing\"},", "", "", "",
         CLM_ERROR_UNSUPPORTED, "x: \"post_processor\" is \"RobertaProcessing\""},
        {"\"post_processor\": {\"type\": \"TemplateProcessing\", \"single\": [{\"Sequence\": "
         "{\"id\": "
         "\"A\"}}, {\"Sequence\": {\"id\": \"A\"}}]},",
         "", "", "", CLM_ERROR_UNSUPPORTED, "x: \"post_processor\": a template must be"},
        {"\"post_processor\": {\"type\": \"TemplateProcessing\", \"single\": [{\"SpecialToken\": "
         "{\"id\": \"e\"}}], \"special_tokens\": {\"e\": {\"ids\": [257]}}},",
         "", "", "", CLM_ERROR_FORMAT, "x: \"post_processor\": \"e\" has an id that no token has"},
        {"\"post_processor\": {\"type\": \"TemplateProcessing\", \"single\": []},", "", "", "",
         CLM_ERROR_UNSUPPORTED, "x: \"post_processor\": the template has no place"},
        {"\"post_processor\": {\"type\": \"TemplateProcessing\", \"single\": 1},", "", "", "",
         CLM_ERROR_FORMAT, "x: \"post_processor\": \"single\" must"},
        {"", "", "", "{}", CLM_ERROR_FORMAT, "x: \"merges\" must be an array"},
        {"", "", "", "[\"t h\", \"t q\"]", CLM_ERROR_FORMAT, "x: merge 1: \"t\" and \"q\" make"},
        {"", "", "", "[[\"t\", \"h\"], [\"t\"]]", CLM_ERROR_FORMAT, "x: merge 1: not two tokens"},
        {"", "", "", "[\"t h e\"]", CLM_ERROR_FORMAT, "x: merge 0: not two tokens"},
        {"", "", "", "[5]", CLM_ERROR_FORMAT, "x: merge 0: not two tokens"},
        {"", "", "", "[\"t h\", [\"t\", \"h\"]]", CLM_ERROR_FORMAT,
         "x: merge 1: a pair is merged twice"},
        {"\"added_tokens\": [{\"id\": 258, \"content\": \"<e>\"}],", "", "", "", CLM_ERROR_FORMAT,
         "x: added token \"<e>\" says that its id is 258, but it gets 257"},
        {"\"added_tokens\": [{\"id\": 256, \"content\": \"<e>\"}],", "", "", "", CLM_ERROR_FORMAT,
         "x: added token \"<e>\" says that its id is 256, but it gets 257"},
        {"\"added_tokens\": [{\"id\": 257}],", "", "", "", CLM_ERROR_FORMAT,
         "added token 0: x: \"content\" is missing"},
        {"\"added_tokens\": [{\"id\": 257, \"content\": \"\"}],", "", "", "", CLM_ERROR_FORMAT,
         "x: added token 257 is empty"},
        {"\"added_tokens\": [{\"id\": 257, \"content\": \"<e>\", \"lstrip\": 1}],", "", "", "",
         CLM_ERROR_FORMAT, "x: \"lstrip\""},
        {"\"added_tokens\": 3,", "", "", "", CLM_ERROR_FORMAT, "x: \"added_tokens\""},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        clm_string text = {0};
        clm_tokenizer *tokenizer = (clm_tokenizer *)1;
        add_tokenizer_json(&text, cases[i].top, cases[i].cut, cases[i].model, cases[i].merges);
        const clm_source source = {text.text, text.length, "x"};
        assert_status(cases[i].status, clm_load_tokenizer_json(&tokenizer, &source));
        assert_null(tokenizer);
        assert_message_has(cases[i].message);
        clm_string_free(&text);
    }
}

/* Each of the settings beside tokenizer.json that cannot be read or honoured. */
static void bad_settings_are_refused(void **state) {
    (void)state;
    const struct {
        const char *config;
        const char *map;
        const char *added;
        const char *model;
        clm_status status;
        const char *message;
    } cases[] = {
        {"[]", NULL, NULL, NULL, CLM_ERROR_FORMAT, "config: "},
        {"{\"tokenizer_class\": \"LlamaTokenizer\"}", NULL, NULL, NULL, CLM_ERROR_UNSUPPORTED,
         "config: \"tokenizer_class\" is \"LlamaTokenizer\": clm reads GPT2Tokenizer"},
        {NULL, NULL, NULL, "{\"tokenizer_class\": \"RobertaTokenizerFast\"}", CLM_ERROR_UNSUPPORTED,
         "model: \"tokenizer_class\" is \"RobertaTokenizerFast\""},
        {"{\"tokenizer_class\": 5}", NULL, NULL, NULL, CLM_ERROR_FORMAT,
         "config: \"tokenizer_class\""},
        {"{\"add_prefix_space\": \"yes\"}", NULL, NULL, NULL, CLM_ERROR_FORMAT,
         "config: \"add_prefix_space\""},
        {"{\"vocab\": {\"a\": 0}}", NULL, NULL, NULL, CLM_ERROR_UNSUPPORTED, "config: \"vocab\""},
        {"{\"init_inputs\": [1]}", NULL, NULL, NULL, CLM_ERROR_UNSUPPORTED,
         "config: \"init_inputs\""},
        {"{\"pad_token\": 3}", NULL, NULL, NULL, CLM_ERROR_FORMAT,
         "config: \"pad_token\" must be a token"},
        {"{\"pad_token\": {}}", NULL, NULL, NULL, CLM_ERROR_FORMAT,
         "\"pad_token\": config: \"content\" is missing"},
        {"{\"additional_special_tokens\": 3}", NULL, NULL, NULL, CLM_ERROR_FORMAT,
         "config: \"additional_special_tokens\" must be a list"},
        {"{\"added_tokens_decoder\": []}", NULL, NULL, NULL, CLM_ERROR_FORMAT,
         "config: \"added_tokens_decoder\" must be an object"},
        {"{\"added_tokens_decoder\": {\"a\": {\"content\": \"b\"}}}", NULL, NULL, NULL,
         CLM_ERROR_FORMAT, "config: \"added_tokens_decoder\": \"a\" is not an id"},
        {"{\"added_tokens_decoder\": {\"9999999999\": {\"content\": \"b\"}}}", NULL, NULL, NULL,
         CLM_ERROR_FORMAT, "config: \"added_tokens_decoder\": \"9999999999\" is not an id"},
        {"{\"added_tokens_decoder\": {\"258\": {\"content\": \"<url>\"}}}", NULL, NULL, NULL,
         CLM_ERROR_FORMAT,
         "config: added token \"<url>\" says that its id is 258, but it gets 257"},
        {"{\"added_tokens_decoder\": {\"257\": {\"content\": \"\"}}}", NULL, NULL, NULL,
         CLM_ERROR_FORMAT, "config: added token 257 is empty"},
        {"{\"pad_token\": \"a\\u0000b\"}", NULL, NULL, NULL, CLM_ERROR_FORMAT,
         "config: byte 16: a NUL character"},
        {NULL, "{\"eos_token\": 1}", NULL, NULL, CLM_ERROR_FORMAT, "map: \"eos_token\" must be"},
        {NULL, NULL, "[]", NULL, CLM_ERROR_FORMAT, "added: not a JSON object"},
        {NULL, "[\"a\"]", NULL, NULL, CLM_ERROR_FORMAT, "map: not a JSON object"},
        {"[]", NULL, NULL, NULL, CLM_ERROR_FORMAT, "config: not a JSON object"},
        {NULL, NULL, "{\"<url>\": -1}", NULL, CLM_ERROR_FORMAT, "added: the id of token \"<url>\""},
        {NULL, NULL, "{\"<url>\": 300}", NULL, CLM_ERROR_FORMAT,
         "added: added token \"<url>\" says that its id is 300"},
    };
    clm_string text = {0};
    add_tokenizer_json(&text, "", "", "", "");
    const clm_source json = {text.text, text.length, "x"};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const char *const texts[] = {cases[i].config, cases[i].map, cases[i].added, cases[i].model};
        const char *const names[] = {"config", "map", "added", "model"};
        clm_source sources[4];
        const clm_source *used[4];
        for (size_t j = 0; j < 4; j++) {
            sources[j] = (clm_source){texts[j], texts[j] != NULL ? strlen(texts[j]) : 0, names[j]};
            used[j] = texts[j] != NULL ? &sources[j] : NULL;
        }
        const clm_tokenizer_files files = {.json = &json,
                                           .config = used[0],
                                           .special_map = used[1],
                                           .added = used[2],
                                           .model_config = used[3]};
        clm_tokenizer *tokenizer = (clm_tokenizer *)1;
        assert_status(cases[i].status, clm_load_files(&tokenizer, &files));
        assert_null(tokenizer);
        assert_message_has(cases[i].message);
    }
    clm_string_free(&text);
}

static void ignore_merges_needs_the_other_class(void **state) {
    (void)state;
    static const char config[] = "{\"tokenizer_class\": \"GPT2Tokenizer\"}";
    const clm_source config_source = {config, sizeof config - 1, "config"};
    clm_string text = {0};
    clm_tokenizer *tokenizer = NULL;
    add_tokenizer_json(&text, "", "", "\"ignore_merges\": true,", "[]");
    const clm_source json = {text.text, text.length, "x"};
    const clm_tokenizer_files files = {.json = &json, .config = &config_source};
    assert_status(CLM_ERROR_UNSUPPORTED, clm_load_files(&tokenizer, &files));
    assert_message_has("x: \"ignore_merges\": is true, which the tokenizer_class GPT2Tokenizer");
    clm_string_free(&text);
}

static void added_tokens_may_be_words_too(void **state) {
    (void)state;
    clm_string text = {0};
    clm_tokenizer *tokenizer = NULL;
    int32_t *ids = NULL;
    size_t count = 0;
    const clm_encode_options special = {.special_tokens = true};
    add_tokenizer_json(&text,
                       "\"added_tokens\": [{\"id\": 256, \"content\": \"th\"}, "
                       "{\"id\": 257, \"content\": \"<e>\"}, {\"id\": 258, \"content\": \"<e>>\"}, "
                       "{\"id\": 259, \"content\": \"caf\\u00e9 \"}],",
                       "", "", "[[\"t\", \"h\"]]");
    const clm_source source = {text.text, text.length, "x"};
    assert_ok(clm_load_tokenizer_json(&tokenizer, &source));
    assert_int_equal(clm_tokenizer_vocab_size(tokenizer), 260);
    assert_int_equal(clm_tokenizer_end_of_text(tokenizer), -1);
    assert_ok(clm_tokenizer_encode(tokenizer, "th", 2, NULL, &ids, &count));
    assert_int_equal(count, 1);
    assert_int_equal(ids[0], 256);
    clm_tokens_free(ids);
    /* Of two that start at the same place, the longer. */
    static const char said[] = "<e>><e>caf\xC3\xA9 t";
    assert_ok(clm_tokenizer_encode(tokenizer, said, sizeof said - 1, &special, &ids, &count));
    assert_int_equal(count, 4);
    assert_int_equal(ids[0], 258);
    assert_int_equal(ids[1], 257);
    assert_int_equal(ids[2], 259);
    clm_tokens_free(ids);
    clm_tokenizer_close(tokenizer);
    clm_string_free(&text);
}

static void ignore_merges_takes_whole_tokens(void **state) {
    (void)state;
    for (int ignore = 0; ignore < 2; ignore++) {
        clm_string text = {0};
        clm_tokenizer *tokenizer = NULL;
        int32_t *ids = NULL;
        size_t count = 0;
        add_tokenizer_json(&text, "", "", ignore ? "\"ignore_merges\": true," : "", "[]");
        const clm_source source = {text.text, text.length, "x"};
        assert_ok(clm_load_tokenizer_json(&tokenizer, &source));
        /* Twice, because the first time it learns whether "th" merges to itself. */
        for (int time = 0; time < 2; time++) {
            assert_ok(clm_tokenizer_encode(tokenizer, "th", 2, NULL, &ids, &count));
            assert_int_equal(count, ignore ? 1 : 2);
            clm_tokens_free(ids);
        }
        clm_tokenizer_close(tokenizer);
        clm_string_free(&text);
    }
}

static void missing_files_are_named(void **state) {
    (void)state;
    clm_tokenizer *tokenizer = (clm_tokenizer *)1;
    const char *folder = clm_test_path("empty");
    assert_ok(clm_folder_make(folder));
    assert_status(CLM_ERROR_NOT_FOUND, clm_tokenizer_open(&tokenizer, folder));
    assert_null(tokenizer);
    assert_message_has("clm fetch gpt2");
    assert_message_has("/empty: ");
    clm_test_write(clm_test_path("empty/encoder.json"), "{}", 2);
    assert_status(CLM_ERROR_NOT_FOUND, clm_tokenizer_open(&tokenizer, folder));
    assert_message_has("empty/vocab.bpe");
    clm_test_write(clm_test_path("empty/tokenizer.json"), "{", 1);
    assert_status(CLM_ERROR_FORMAT, clm_tokenizer_open(&tokenizer, folder));
    assert_message_has("empty/tokenizer.json: byte");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_bad_vocabulary_is_refused),
        cmocka_unit_test(a_bad_merge_is_refused),
        cmocka_unit_test(a_tokenizer_of_another_kind_is_refused),
        cmocka_unit_test(bad_settings_are_refused),
        cmocka_unit_test(ignore_merges_needs_the_other_class),
        cmocka_unit_test(added_tokens_may_be_words_too),
        cmocka_unit_test(ignore_merges_takes_whole_tokens),
        cmocka_unit_test(missing_files_are_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

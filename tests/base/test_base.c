/* SPDX-License-Identifier: Apache-2.0 */
#include "support/test_support.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/file.h"
#include "base/folder.h"
#include "base/hash.h"
#include "base/json.h"
#include "base/keyed_hash.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/string.h"

static void nan_is_not_close(void **state) {
    (void)state;
    const float expected[3] = {1.0F, 2.0F, 3.0F};
    const float wrong[3] = {1.0F, NAN, 3.0F};
    const float off[3] = {1.0F, 2.0F, 3.1F};
    assert_int_equal(clm_test_worst(wrong, expected, 3, 1e-3, 1e-3), 1);
    assert_int_equal(clm_test_worst(off, expected, 3, 1e-3, 1e-3), 2);
    assert_int_equal(clm_test_worst(expected, wrong, 3, 1e9, 1e9), 1);
    assert_int_equal(clm_test_worst(expected, expected, 3, 0.0, 0.0), 3);
}

static void first_error_wins(void **state) {
    (void)state;
    assert_int_equal(clm_fail(CLM_ERROR_IO, "first"), CLM_ERROR_IO);
    clm_error_hold();
    assert_int_equal(clm_fail(CLM_ERROR_SHAPE, "second"), CLM_ERROR_SHAPE);
    clm_error_release();
    assert_string_equal(clm_error_message(), "first");
    assert_int_equal(clm_error_prefix(CLM_ERROR_IO, "while %d", 7), CLM_ERROR_IO);
    assert_string_equal(clm_error_message(), "while 7: first");
    assert_int_equal(clm_fail_errno(ENOSPC, "x"), CLM_ERROR_NO_SPACE);
    (void)clm_fail(CLM_ERROR_IO, "a \"%s\"", "b\nc\x1B[1m");
    assert_string_equal(clm_error_message(), "a \"b\\nc\\u001b[1m\"");
    (void)clm_fail(CLM_ERROR_IO, "%.3s, %s, %s", "ab\xC3\xA9", "\xC2\x9B", "\xC3\xA9\xFF");
    assert_string_equal(clm_error_message(), "ab\\xc3, \\u009b, \xC3\xA9\\xff"); /* cut inside */
}

/* What a file says can neither control a terminal nor pass for another line or text. */
static void texts_are_shown(void **state) {
    (void)state;
    static const struct {
        const char *text;
        const char *shown;
    } cases[] = {
        {"", ""},
        {"caf\xC3\xA9 \xE6\x97\xA5\xE6\x9C\xAC \xF0\x9F\x98\x80",
         "caf\xC3\xA9 \xE6\x97\xA5\xE6\x9C\xAC \xF0\x9F\x98\x80"},
        {"a\nb\rc\td", "a\\nb\\rc\\td"},
        {"\x1B]0;x\x07\x7F", "\\u001b]0;x\\u0007\\u007f"},
        {"\xC2\x80\xC2\x9F\xC2\xA0", "\\u0080\\u009f\xC2\xA0"},
        {"\xD8\x9C\xD8\x9B", "\\u061c\xD8\x9B"},
        {"\xE2\x80\x8A\xE2\x80\x8B\xE2\x80\x8F\xE2\x80\x90",
         "\xE2\x80\x8A\\u200b\\u200f\xE2\x80\x90"},
        {"\xE2\x80\xA8\xE2\x80\xAE\xE2\x80\xAF", "\\u2028\\u202e\xE2\x80\xAF"},
        {"\xE2\x81\xA5\xE2\x81\xA6\xE2\x81\xA9", "\xE2\x81\xA5\\u2066\\u2069"},
        {"\xFF\xC3(\xE2\x80", "\\xff\\xc3(\\xe2\\x80"},
        {"C:\\n", "C:\\n"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char shown[64];
        clm_string all = {0};
        clm_string_add(&all, ">");
        clm_string_add_visible(&all, cases[i].text, strlen(cases[i].text));
        assert_ok(clm_string_status(&all));
        assert_string_equal(all.text + 1, cases[i].shown);
        clm_string_free(&all);
        clm_show_text(shown, sizeof shown, cases[i].text);
        assert_string_equal(shown, cases[i].shown);
    }
    char little[6];
    clm_show_text(little, sizeof little, "abc\x1B");
    assert_string_equal(little, "abc"); /* no half of an escape */
}

static void the_version_is_three_numbers(void **state) {
    (void)state;
    const char *at = clm_version();
    for (int part = 0; part < 3; part++) {
        size_t digits = strspn(at, "0123456789");
        assert_in_range(digits, 1, 9);
        at += digits;
        assert_int_equal(*at, part < 2 ? '.' : '\0');
        at++;
    }
}

static void keep_note(void *context, clm_log_level level, const char *message) {
    clm_string_add_format(context, "%d %s\n", (int)level, message);
}

static void notes_reach_the_sink_from_its_level_on(void **state) {
    (void)state;
    clm_string notes = {0};
    clm_log(CLM_LOG_WARNING, "nobody listens");
    clm_log_set_sink(keep_note, &notes, CLM_LOG_INFO);
    clm_log(CLM_LOG_DEBUG, "too small");
    clm_log(CLM_LOG_INFO, "seen %d", 1);
    clm_log(CLM_LOG_WARNING, "seen %d", 2);
    clm_log_set_sink(NULL, NULL, CLM_LOG_DEBUG);
    clm_log(CLM_LOG_WARNING, "nobody listens any more");
    assert_string_equal(notes.text, "1 seen 1\n2 seen 2\n");
    clm_string_free(&notes);
}

static void a_message_is_forgotten_on_request(void **state) {
    (void)state;
    assert_int_equal(clm_fail(CLM_ERROR_IO, "something"), CLM_ERROR_IO);
    clm_error_clear();
    assert_string_equal(clm_error_message(), "");
}

static void allocation_overflow_is_refused(void **state) {
    (void)state;
    char *memory = (char *)1;
    assert_status(CLM_ERROR_MEMORY, clm_allocate(&memory, SIZE_MAX / 2, 4, "a test"));
    assert_null(memory);
    assert_message_has("a test");
}

static void pages_are_aligned_zeroed_and_refused(void **state) {
    (void)state;
    const size_t sizes[] = {1, (size_t)4 << 20, ((size_t)6 << 20) + 12345};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        unsigned char *memory = clm_pages_allocate(sizes[i]);
        assert_non_null(memory);
        assert_int_equal((uintptr_t)memory % ((uintptr_t)2 << 20), 0);
        assert_true(memory[0] == 0 && memory[sizes[i] / 2] == 0 && memory[sizes[i] - 1] == 0);
        memset(memory, 1, sizes[i]);
        clm_pages_free(memory);
    }
    assert_null(clm_pages_allocate(SIZE_MAX));
    assert_null(clm_pages_allocate(SIZE_MAX / 2));
    clm_pages_free(NULL);
}

static void a_file_appears_whole_or_not_at_all(void **state) {
    (void)state;
    const char *path = clm_test_path("whole");
    assert_ok(clm_file_write(path, "old", 3));
    clm_file_writer writer;
    assert_ok(clm_file_writer_open(&writer, path));
    assert_ok(clm_file_writer_add(&writer, "new", 3));
    clm_file_writer_discard(&writer);
    char *text = NULL;
    size_t size_bytes = 0;
    assert_ok(clm_file_read(path, CLM_FILE_TEXT, &text, &size_bytes));
    assert_string_equal(text, "old");
    clm_free(text);
    assert_status(CLM_ERROR_NOT_FOUND, clm_file_write(clm_test_path("no/such/folder"), "x", 1));
    assert_status(CLM_ERROR_IO,
                  clm_file_read(clm_test_folder(), CLM_FILE_TEXT, &text, &size_bytes));
    assert_message_has("is a folder");
    assert_ok(clm_folder_make(clm_test_path("a/b/c")));
    assert_true(clm_file_is_folder(clm_test_path("a/b/c")));
    assert_status(CLM_ERROR_EXISTS, clm_folder_make(path));
}

/* Bytes that met in the hash of vocabularies that clm had: all of these had one value there, as
 * whoever inverts two multiplications can arrange. */
static uint64_t unmix(uint64_t value) {
    uint64_t inverse = 1;
    for (int i = 0; i < 6; i++) { /* Newton: each step doubles the bits that are right */
        inverse *= 2 - 0x9E3779B97F4A7C15ULL * inverse;
    }
    return (value ^ value >> 32) * inverse;
}

static void hashes_cannot_be_chosen(void **state) {
    (void)state;
    enum { count = 4096 };
    static bool taken[count];
    int different = 0;
    for (uint64_t i = 0; i < count; i++) {
        const uint64_t word[2] = {unmix(unmix(unmix(i << 32)) ^ 0) ^ 8, i};
        const uint64_t hash = clm_keyed_hash(word, sizeof word) % count;
        different += !taken[hash];
        taken[hash] = true;
    }
    /* Random values leave a share of 1/e free: 0.632 * 4096 = 2589, deviation 31. */
    assert_true(different > 2300 && different < 2900);
    assert_true(clm_keyed_hash("abc", 3) == clm_keyed_hash("abc", 3));
    assert_true(clm_keyed_hash("abc", 3) != clm_keyed_hash("abc", 4));
    assert_true(clm_keyed_hash("", 0) != clm_keyed_hash("\0", 1));
    assert_true(clm_hash_key() == clm_hash_key());
    int ends[2]; /* another process has another key */
    uint64_t other = 0;
    assert_int_equal(pipe(ends), 0);
    (void)fflush(NULL);
    const char *self = "/proc/self/exe";
    if (!clm_file_exists(self)) {
        skip();
    }
    const pid_t child = fork();
    if (child == 0) {
        char descriptor[16];
        (void)snprintf(descriptor, sizeof descriptor, "%d", ends[1]);
        (void)execl(self, self, "--print-key", descriptor, (char *)NULL);
        _exit(1);
    }
    assert_int_equal(read(ends[0], &other, sizeof other), (int)sizeof other);
    assert_int_equal(waitpid(child, NULL, 0), child);
    assert_true(other != clm_hash_key());
    (void)close(ends[0]);
    (void)close(ends[1]);
}

static void json_is_bounded(void **state) {
    (void)state;
    static const char *const cut[] = {"{\"a\": \"x\\u0000y\"}", "{\"a\\u0000\": 1}", "\"\\u0000\"",
                                      "[\"\\\\\\u0000\"]"};
    static const char *const whole[] = {"\"\\\\u0000\"", "\"\\u00001\\u0001\" ",
                                        "\"\\u0001\\u1000\""};
    cJSON *json = NULL;
    for (size_t i = 0; i < sizeof cut / sizeof *cut; i++) {
        assert_status(CLM_ERROR_FORMAT, clm_json_parse(&json, cut[i], strlen(cut[i]), "here"));
        assert_message_has("a string contains \\u0000");
    }
    for (size_t i = 0; i < sizeof whole / sizeof *whole; i++) {
        const clm_status expected = i == 1 ? CLM_ERROR_FORMAT : CLM_OK; /* \u0000 and a digit 1 */
        assert_status(expected, clm_json_parse(&json, whole[i], strlen(whole[i]), "here"));
        cJSON_Delete(json);
    }
    char nested[2 * (CLM_JSON_MOST_DEPTH + 1) + 1];
    memset(nested, '[', CLM_JSON_MOST_DEPTH + 1);
    memset(nested + CLM_JSON_MOST_DEPTH + 1, ']', CLM_JSON_MOST_DEPTH + 1);
    nested[sizeof nested - 1] = '\0';
    assert_status(CLM_ERROR_FORMAT, clm_json_parse(&json, nested, sizeof nested - 1, "here"));
    assert_message_has("byte 128: the JSON is nested too deep");
    assert_ok(clm_json_parse(&json, nested + 1, sizeof nested - 3, "here"));
    cJSON_Delete(json);
    /* Two characters a value, and no more than the kind may have: nothing is allocated for it. */
    const size_t count = 2 * (size_t)clm_file_limit_of(CLM_FILE_CONFIG)->most_values + 4;
    char *many = NULL;
    assert_ok(clm_allocate(&many, count, 1, "a test"));
    many[0] = '[';
    for (size_t i = 1; i + 1 < count; i += 2) {
        many[i] = '1';
        many[i + 1] = ',';
    }
    many[count - 2] = '1';
    many[count - 1] = ']';
    const char *path = clm_test_path("many.json");
    clm_test_write(path, many, count);
    assert_status(CLM_ERROR_FORMAT, clm_json_read(&json, path, CLM_FILE_CONFIG));
    assert_message_has("has too many values");
    assert_null(json);
    clm_free(many);
}

static void utf8_is_checked_as_the_standard_says(void **state) {
    (void)state;
    static const char *const bad[] = {"\x80",         "\xC0\x80",         "\xC3",
                                      "\xED\xA0\x80", "\xF4\x90\x80\x80", "\xE2\x82"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_int_equal(clm_utf8_check(bad[i], strlen(bad[i])), 0);
        /* And behind ASCII of any length, which goes eight bytes at a time. */
        char text[40];
        for (size_t before = 0; before < 20; before++) {
            memset(text, 'a', sizeof text);
            memcpy(text + before, bad[i], strlen(bad[i]));
            assert_int_equal(clm_utf8_check(text, before + strlen(bad[i])), before);
            assert_int_equal(clm_utf8_check(text, sizeof text), before);
            assert_int_equal(clm_utf8_check(text, before), before);
        }
    }
    for (uint32_t code = 0; code <= 0x10FFFF; code++) {
        if (code >= 0xD800 && code <= 0xDFFF) {
            continue;
        }
        unsigned char bytes[4];
        uint32_t back = 0;
        size_t length = clm_utf8_encode(code, bytes);
        assert_int_equal(clm_utf8_decode(bytes, length, &back), length);
        assert_int_equal(back, code);
    }
}

/* Values published with the algorithm. */
static void hashes_are_fnv1a(void **state) {
    (void)state;
    assert_true(clm_hash(CLM_HASH_START, "", 0) == 0xCBF29CE484222325U);
    assert_true(clm_hash(CLM_HASH_START, "a", 1) == 0xAF63DC4C8601EC8CU);
    assert_true(clm_hash(CLM_HASH_START, "foobar", 6) == 0x85944171F73967E8U);
    assert_true(clm_hash(clm_hash(CLM_HASH_START, "foo", 3), "bar", 3) == 0x85944171F73967E8U);
}

static int allocations_left;

static void *allocate_few(size_t size) {
    if (allocations_left-- > 0) {
        return malloc(size);
    }
    errno = ENOMEM; /* as malloc does */
    return NULL;
}

static void json_tells_full_memory_from_bad_text(void **state) {
    (void)state;
    static const char text[] = "{\"a\": [1, \"b\", {\"c\": null}], \"d\": 2}";
    cJSON_Hooks hooks = {allocate_few, free};
    cJSON *json = NULL;
    int most = 0;
    cJSON_InitHooks(&hooks);
    for (; most < 100; most++) {
        allocations_left = most;
        const clm_status status = clm_json_parse(&json, text, strlen(text), "x.json");
        if (status == CLM_OK) {
            break;
        }
        assert_status(CLM_ERROR_MEMORY, status);
        assert_message_has("x.json: out of memory");
        assert_null(json);
    }
    assert_in_range(most, 8, 20); /* six values, three names, one text */
    cJSON_Delete(json);
    allocations_left = 100;
    assert_status(CLM_ERROR_FORMAT, clm_json_parse(&json, "{\"a\":}", 6, "x.json"));
    cJSON_InitHooks(NULL);
}

static void json_names_the_place(void **state) {
    (void)state;
    cJSON *json = NULL;
    assert_status(CLM_ERROR_FORMAT, clm_json_parse(&json, "{\"a\":}", 6, "x.json"));
    assert_message_has("x.json: byte");
    assert_status(CLM_ERROR_FORMAT, clm_json_parse(&json, "{} x", 4, "x.json"));
    assert_ok(clm_json_parse(&json, "{\"n\": 3, \"f\": 0.5} \n", 20, "x.json"));
    int n = 0;
    double f = 0;
    assert_ok(clm_json_get_int(json, "n", true, 1, 9, &n, "x"));
    assert_int_equal(n, 3);
    assert_status(CLM_ERROR_FORMAT, clm_json_get_int(json, "f", true, 0, 9, &n, "x"));
    assert_status(CLM_ERROR_FORMAT, clm_json_get_int(json, "n", true, 4, 9, &n, "x"));
    assert_status(CLM_ERROR_FORMAT, clm_json_get_double(json, "none", true, &f, "x"));
    assert_ok(clm_json_get_double(json, "none", false, &f, "x"));
    cJSON_Delete(json);
    clm_string out = {0};
    clm_json_add_string(&out, "a\"\\\n\x01\xFFz");
    clm_json_add_float(&out, 0.1F);
    clm_json_add_float(&out, NAN);
    assert_string_equal(out.text, "\"a\\\"\\\\\\n\\u0001\xEF\xBF\xBDz\"0.1null");
    clm_string_free(&out);
}

int main(int argc, char **argv) {
    if (argc == 3 && strcmp(argv[1], "--print-key") == 0) { /* see hashes_cannot_be_chosen() */
        const uint64_t key = clm_hash_key();
        return write(atoi(argv[2]), &key, sizeof key) != (ssize_t)sizeof key;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nan_is_not_close),
        cmocka_unit_test(first_error_wins),
        cmocka_unit_test(the_version_is_three_numbers),
        cmocka_unit_test(notes_reach_the_sink_from_its_level_on),
        cmocka_unit_test(a_message_is_forgotten_on_request),
        cmocka_unit_test(allocation_overflow_is_refused),
        cmocka_unit_test(pages_are_aligned_zeroed_and_refused),
        cmocka_unit_test(a_file_appears_whole_or_not_at_all),
        cmocka_unit_test(hashes_cannot_be_chosen),
        cmocka_unit_test(json_is_bounded),
        cmocka_unit_test(texts_are_shown),
        cmocka_unit_test(utf8_is_checked_as_the_standard_says),
        cmocka_unit_test(hashes_are_fnv1a),
        cmocka_unit_test(json_tells_full_memory_from_bad_text),
        cmocka_unit_test(json_names_the_place),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* Headers of HTTP answers, good and bad.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "support/test_support.h"

#include <string.h>

#include "fetch/answer.h"

#define HASH "0daed7749b4f02b8f76240d5444551d7b08712dab4d0adb8239c56ba823bb7b4"
#define OTHER "196139668be63f3b5d6574427317ae82f612a97c5d1cdaf36ed2256dbf636783"

static clm_answer answer;

static void take(const char *line) {
    assert_true(clm_answer_take(&answer, line, strlen(line), true));
}

static void ranges_are_read_whole_or_not_at_all(void **state) {
    (void)state;
    static const struct {
        const char *line;
        int64_t at, last, size;
    } cases[] = {
        {"Content-Range: bytes 100-199/1000\r\n", 100, 199, 1000},
        {"content-range:bytes 0-0/1", 0, 0, 1},
        {"Content-Range: bytes 100-199/*\r\n", 100, 199, -1},
        {"Content-Range: bytes */1000\r\n", -1, -1, 1000},
        {"Content-Range: bytes 199-100/1000\r\n", -1, -1, -1},
        {"Content-Range: bytes 100-1000/1000\r\n", -1, -1, -1},
        {"Content-Range: bytes 100-/1000\r\n", -1, -1, -1},
        {"Content-Range: bytes -1-199/1000\r\n", -1, -1, -1},
        {"Content-Range: bytes 100-199/1000x\r\n", -1, -1, -1},
        {"Content-Range: bytes 100-199\r\n", -1, -1, -1},
        {"Content-Range: items 100-199/1000\r\n", -1, -1, -1},
        {"Content-Range: bytes 0-9/99999999999999999999\r\n", -1, -1, -1},
        {"Content-Range: bytes 18446744073709551516-18446744073709551616/*\r\n", -1, -1, -1},
        {"Content-Range:\r\n", -1, -1, -1},
        {"Content-Range", -1, -1, -1},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        clm_answer_begin(&answer);
        take(cases[i].line);
        assert_int_equal(answer.range_at, cases[i].at);
        assert_int_equal(answer.range_last, cases[i].last);
        assert_int_equal(answer.range_size, cases[i].size);
    }
}

static void only_strong_tags_count(void **state) {
    (void)state;
    char longest[CLM_TAG_BYTES + 40];
    clm_answer_begin(&answer);
    take("ETag:   \"abc\" \r\n");
    assert_string_equal(answer.tag, "\"abc\"");
    const char *others[] = {"ETag: W/\"abc\"\r\n", "ETag: abc\r\n",     "ETag: \"abc\r\n",
                            "ETag: \"\r\n",        "ETag: \"a b\"\r\n", "ETag: \"a\"b\"\r\n",
                            "ETagged: \"abc\"\r\n"};
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        clm_answer_begin(&answer);
        take(others[i]);
        assert_string_equal(answer.tag, "");
    }
    memset(longest, 'x', sizeof longest);
    memcpy(longest, "ETag: \"", 7);
    memcpy(longest + sizeof longest - 4, "\"\r\n", 4);
    take(longest);
    assert_string_equal(answer.tag, "");
    clm_answer_begin(&answer);
    assert_true(clm_answer_take(&answer, "ETag: \"a\0b\"\r\n", 13, true));
    assert_string_equal(answer.tag, "");
    take("ETag: \"abc\"\r\n");
    take("HTTP/1.1 200 OK\r\n"); /* after a redirect */
    assert_string_equal(answer.tag, "");
}

static void the_first_hash_of_the_hub_counts(void **state) {
    (void)state;
    clm_answer_begin(&answer);
    take("HTTP/1.1 302 Found\r\n");
    take("X-Linked-Etag: \"" HASH "\"\r\n");
    take("X-Linked-Etag: " OTHER "\r\n");
    take("HTTP/1.1 200 OK\r\n");
    take("X-Linked-Etag: \"" OTHER "\"\r\n");
    assert_string_equal(answer.stated_sha256, HASH);
    static const char line[] = "X-Linked-Etag: " OTHER "\r\n";
    clm_answer_begin(&answer);
    assert_true(clm_answer_take(&answer, line, strlen(line), false));
    assert_string_equal(answer.stated_sha256, "");
    take("X-Linked-Etag: \"" HASH "0\"\r\n");
    take("X-Linked-Etag: \"abc\"\r\n");
    assert_string_equal(answer.stated_sha256, "");
}

static void bodies_are_told_apart(void **state) {
    (void)state;
    clm_answer_begin(&answer);
    take("Content-Encoding: identity\r\n");
    assert_false(answer.is_encoded);
    take("Content-Encoding: gzip\r\n");
    take("Transfer-Encoding: Chunked\r\n");
    assert_true(answer.is_encoded);
    assert_true(answer.is_chunked);
    take("HTTP/2 200\r\n");
    assert_false(answer.is_encoded);
    assert_false(answer.is_chunked);
}

static void headers_have_an_end(void **state) {
    (void)state;
    static const char line[] = "HTTP/1.1 100 Continue\r\n";
    size_t lines = 0;
    clm_answer_begin(&answer);
    while (clm_answer_take(&answer, line, strlen(line), true)) {
        assert_true(++lines < CLM_MOST_HEADER_BYTES);
    }
    assert_true(lines > 1000);
}

static void origins_are_compared_whole(void **state) {
    (void)state;
    assert_true(clm_same_origin("https://a.org/x", "https://A.org/y?z"));
    assert_true(clm_same_origin("https://a.org", "https://a.org"));
    assert_false(clm_same_origin("https://a.org/x", "http://a.org/x"));
    assert_false(clm_same_origin("https://a.org/x", "https://a.org.evil/x"));
    assert_false(clm_same_origin("https://a.org/x", "https://a.org:8080/x"));
    assert_false(clm_same_origin("https://a.org/x", "https://a.or"));
    assert_false(clm_same_origin("a.org", "a.org"));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ranges_are_read_whole_or_not_at_all),
        cmocka_unit_test(only_strong_tags_count),
        cmocka_unit_test(the_first_hash_of_the_hub_counts),
        cmocka_unit_test(bodies_are_told_apart),
        cmocka_unit_test(headers_have_an_end),
        cmocka_unit_test(origins_are_compared_whole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

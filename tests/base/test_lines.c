/* Lines from pipes that bring them in all sorts of portions.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "support/test_support.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/lines.h"

static void put(int descriptor, const char *bytes, size_t count) {
    assert_int_equal(write(descriptor, bytes, count), count);
}

static void assert_line(const clm_lines *lines, size_t i, const char *expected) {
    assert_true(i < lines->count);
    assert_int_equal(lines->lengths[i], strlen(expected));
    assert_memory_equal(lines->texts[i], expected, strlen(expected));
}

static void available_lines_are_returned_at_once(void **state) {
    (void)state;
    int ends[2];
    clm_lines lines;
    assert_int_equal(pipe(ends), 0);
    clm_lines_open(&lines, ends[0], "a pipe");
    put(ends[1], "one\ntwo\r\nthr", 12);
    assert_ok(clm_lines_read(&lines, 10)); /* does not wait for the rest of the third */
    assert_int_equal(lines.count, 2);
    assert_int_equal(lines.first, 1);
    assert_line(&lines, 0, "one");
    assert_line(&lines, 1, "two");
    put(ends[1], "ee\n\nfive\nsix", 12);
    assert_ok(clm_lines_read(&lines, 2)); /* no more than asked for */
    assert_int_equal(lines.count, 2);
    assert_int_equal(lines.first, 3);
    assert_line(&lines, 0, "three");
    assert_line(&lines, 1, "");
    (void)close(ends[1]);
    assert_ok(clm_lines_read(&lines, 10));
    assert_int_equal(lines.count, 2);
    assert_int_equal(lines.first, 5);
    assert_line(&lines, 0, "five");
    assert_line(&lines, 1, "six"); /* without an end of its own */
    for (int again = 0; again < 2; again++) {
        assert_ok(clm_lines_read(&lines, 10));
        assert_int_equal(lines.count, 0);
    }
    clm_lines_close(&lines);
    (void)close(ends[0]);
}

/* Lines of 0 to 200,000 bytes, longer than any portion, whatever number is asked for. */
static void long_lines_arrive_whole(void **state) {
    (void)state;
    static const size_t sizes[] = {0, 1, 65535, 65536, 65537, 200000, 3};
    enum { n_lines = sizeof sizes / sizeof *sizes };
    const char *path = clm_test_path("long");
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    for (size_t i = 0; i < n_lines; i++) {
        for (size_t k = 0; k < sizes[i]; k++) {
            (void)fputc('a' + (int)((i + k) % 23), file);
        }
        (void)fputc('\n', file);
    }
    assert_int_equal(fclose(file), 0);
    for (size_t most = 1; most <= n_lines; most++) {
        clm_lines lines;
        const int descriptor = open(path, O_RDONLY);
        size_t seen = 0;
        assert_true(descriptor >= 0);
        clm_lines_open(&lines, descriptor, path);
        do {
            assert_ok(clm_lines_read(&lines, most));
            assert_true(lines.count <= most);
            for (size_t i = 0; i < lines.count; i++, seen++) {
                assert_true(seen < n_lines);
                assert_int_equal(lines.lengths[i], sizes[seen]);
                for (size_t k = 0; k < sizes[seen]; k++) {
                    assert_int_equal(lines.texts[i][k], 'a' + (int)((seen + k) % 23));
                }
            }
        } while (lines.count > 0);
        assert_int_equal(seen, n_lines);
        clm_lines_close(&lines);
        (void)close(descriptor);
    }
}

static void a_folder_is_refused_as_lines(void **state) {
    (void)state;
    clm_lines lines;
    const int descriptor = open(clm_test_folder(), O_RDONLY);
    clm_lines_open(&lines, descriptor, "a folder");
    assert_status(CLM_ERROR_IO, clm_lines_read(&lines, 1));
    assert_message_has("a folder: cannot be read");
    clm_lines_close(&lines);
    (void)close(descriptor);
}

/* What the rules make of a text, however it is cut into portions. Lines are joined by '|'. */
static const struct {
    const char *bytes;
    size_t size_bytes;
    const char *lines;
} rules[] = {
    {"", 0, ""},
    {"\xEF\xBB\xBF", 3, ""},
    {"\xEF\xBB\xBF\n", 4, "|"},
    {"\xEF\xBB\xBF"
     "a",
     4, "a|"},
    {"\xEF\xBB", 2, "\xEF\xBB|"},
    {"a\n\xEF\xBB\xBF\nb", 7, "a|\xEF\xBB\xBF|b|"},
    {"a\r\nb\rc\nd", 8, "a|b|c|d|"},
    {"a\r\r\nb\n\rc\r", 9, "a||b||c|"},
    {"\n", 1, "|"},
    {"\r\n", 2, "|"},
    {"\r\n\r\n", 4, "||"},
    {" a \n", 4, " a |"},
    {"a\0b\nc", 5, "a\\0b|c|"},
};

/* Adds a line and '|' to `out`, a NUL as "\\0". */
static void show(char out[64], const char *line, size_t length) {
    size_t used = strlen(out);
    for (size_t i = 0; i < length && used + 4 < 64; i++) {
        if (line[i] == '\0') {
            out[used++] = '\\';
        }
        out[used++] = line[i] != '\0' ? line[i] : '0';
    }
    out[used++] = '|';
    out[used] = '\0';
}

static void the_rules_hold_for_text_in_memory(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof rules / sizeof *rules; i++) {
        char got[64] = "";
        const char *end = rules[i].bytes + rules[i].size_bytes;
        const char *at = rules[i].bytes + clm_text_mark(rules[i].bytes, rules[i].size_bytes);
        const char *line = NULL;
        for (size_t length = 0; clm_text_next_line(&at, end, &line, &length);) {
            show(got, line, length);
        }
        assert_string_equal(got, rules[i].lines);
    }
}

/* Whether a line has just ended, so that a read does not wait. */
static bool has_line(const char *bytes, size_t sent) {
    return bytes[sent - 1] == '\r' ||
           (bytes[sent - 1] == '\n' && (sent == 1 || bytes[sent - 2] != '\r'));
}

static void read_lines(clm_lines *lines, char got[64]) {
    assert_ok(clm_lines_read(lines, 10));
    for (size_t k = 0; k < lines->count; k++) {
        const char after = lines->texts[k][lines->lengths[k]];
        assert_true(after == '\n' || after == '\r' || after == '\0');
        show(got, lines->texts[k], lines->lengths[k]);
    }
}

/* Each rule with a portion for each byte, which is read when it ends a line, and with one portion
 * for all. */
static void the_rules_hold_for_pipes(void **state) {
    (void)state;
    for (size_t i = 0; i < 2 * (sizeof rules / sizeof *rules); i++) {
        const bool one_by_one = i % 2 == 0;
        const char *bytes = rules[i / 2].bytes;
        char got[64] = "";
        int ends[2];
        clm_lines lines;
        assert_int_equal(pipe(ends), 0);
        clm_lines_open(&lines, ends[0], "a pipe");
        for (size_t sent = 0; sent < rules[i / 2].size_bytes; sent++) {
            put(ends[1], bytes + sent, 1);
            if (one_by_one && has_line(bytes, sent + 1)) {
                read_lines(&lines, got);
            }
        }
        (void)close(ends[1]);
        do {
            read_lines(&lines, got);
        } while (lines.count > 0);
        assert_string_equal(got, rules[i / 2].lines);
        clm_lines_close(&lines);
        (void)close(ends[0]);
    }
}

static void a_nul_is_named_and_others_are_read(void **state) {
    (void)state;
    static const char text[] = "\xEF\xBB\xBFone\r\nt\0o\nthree";
    int ends[2];
    clm_lines lines;
    assert_int_equal(pipe(ends), 0);
    put(ends[1], text, sizeof text - 1);
    (void)close(ends[1]);
    clm_lines_open(&lines, ends[0], "a pipe");
    assert_ok(clm_lines_read(&lines, 10));
    assert_int_equal(lines.count, 3);
    assert_ok(clm_lines_check(&lines, 0));
    assert_status(CLM_ERROR_ENCODING, clm_lines_check(&lines, 1));
    assert_message_has("a pipe:2: byte 1 of the line is NUL");
    assert_ok(clm_lines_check(&lines, 2));
    clm_lines_close(&lines);
    (void)close(ends[0]);
    assert_status(CLM_ERROR_ENCODING, clm_text_refuse_nul(text, sizeof text - 1, "memory"));
    assert_message_has("memory:2:2: a NUL byte");
    assert_ok(clm_text_refuse_nul(text, 6, "memory"));
}

static void a_line_without_an_end_is_an_error(void **state) {
    (void)state;
    clm_lines lines;
    const int descriptor = open("/dev/zero", O_RDONLY);
    assert_true(descriptor >= 0);
    clm_lines_open(&lines, descriptor, "/dev/zero");
    assert_status(CLM_ERROR_FORMAT, clm_lines_read(&lines, 10));
    assert_message_has("/dev/zero:1: the line does not end within 16 MiB");
    clm_lines_close(&lines);
    (void)close(descriptor);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_rules_hold_for_text_in_memory),
        cmocka_unit_test(the_rules_hold_for_pipes),
        cmocka_unit_test(a_nul_is_named_and_others_are_read),
        cmocka_unit_test(a_line_without_an_end_is_an_error),
        cmocka_unit_test(available_lines_are_returned_at_once),
        cmocka_unit_test(long_lines_arrive_whole),
        cmocka_unit_test(a_folder_is_refused_as_lines),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

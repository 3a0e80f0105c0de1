/* Lines from pipes that bring them in all sorts of portions.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "support/test_support.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/lines.h"

static void put(int descriptor, const char *bytes, size_t count) {
    assert_int_equal(write(descriptor, bytes, count), count);
}

static void assert_line(const clm_lines *lines, size_t i, const char *expected) {
    assert_true(i < lines->count);
    assert_int_equal(lines->lengths[i], strlen(expected));
    assert_memory_equal(lines->texts[i], expected, strlen(expected));
}

static void what_is_there_is_given_at_once(void **state) {
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

static void a_folder_is_no_file_of_lines(void **state) {
    (void)state;
    clm_lines lines;
    const int descriptor = open(clm_test_folder(), O_RDONLY);
    clm_lines_open(&lines, descriptor, "a folder");
    assert_status(CLM_ERROR_IO, clm_lines_read(&lines, 1));
    assert_message_has("a folder: cannot be read");
    clm_lines_close(&lines);
    (void)close(descriptor);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_there_is_given_at_once),
        cmocka_unit_test(long_lines_arrive_whole),
        cmocka_unit_test(a_folder_is_no_file_of_lines),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

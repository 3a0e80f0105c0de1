/* The rows of `clm classify` and `clm eval`: in a pipe, at a terminal, and when names are hostile.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#define _XOPEN_SOURCE 700 /* for pseudo-terminals */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#include <cjson/cJSON.h>

#include "base/file.h"
#include "base/memory.h"
#include "base/string.h"
#include "fixture.h"

/* What a command printed at a terminal. */
static const char *run_at_terminal(const char *const *arguments) {
    static char shown[4096];
    const int master = posix_openpt(O_RDWR | O_NOCTTY);
    assert_true(master >= 0 && grantpt(master) == 0 && unlockpt(master) == 0);
    const int slave = open(ptsname(master), O_RDWR | O_NOCTTY); /* keeps what was written */
    struct termios raw;
    assert_true(slave >= 0 && tcgetattr(slave, &raw) == 0);
    raw.c_oflag &= ~(tcflag_t)OPOST;
    assert_int_equal(tcsetattr(slave, TCSANOW, &raw), 0);
    const clm_test_surroundings terminal = {.output = ptsname(master)};
    assert_done(clm_test_run(&terminal, arguments));
    const ssize_t length = read(master, shown, sizeof shown - 1);
    assert_true(length > 0);
    shown[length] = '\0';
    (void)close(slave);
    (void)close(master);
    return shown;
}
#define at_terminal(...) run_at_terminal((const char *const[]){__VA_ARGS__, NULL})

static void rows_have_two_columns_in_a_pipe(void **state) {
    (void)state;
    clm_test_outcome outcome = run_clm("classify", "--model", "run", "see you", "a\tb");
    assert_done(outcome);
    size_t rows = 0;
    for (const char *at = outcome.output; *at != '\0'; rows++) {
        const size_t name = strcspn(at, "\t");
        assert_true((name == 3 && strncmp(at, "ham", 3) == 0) ||
                    (name == 4 && strncmp(at, "spam", 4) == 0));
        at += name + 1;
        assert_int_equal(strspn(at, "0123456789."), strlen("0.1234"));
        assert_true(at[0] == '1' || (at[0] == '0' && at[2] >= '5'));
        at += strlen("0.1234");
        assert_int_equal(*at++, '\n');
    }
    assert_int_equal(rows, 2);
}

static void a_terminal_shows_the_text(void **state) {
    (void)state;
    const char *shown =
        at_terminal("classify", "--model", "run", "see you", "\x1B[31mred\tb\xE2\x80\xAE");
    assert_has(shown, "\tsee you\n");
    assert_has(shown, "\t\\u001b[31mred\\tb\\u202e\n");
    assert_null(strchr(shown, '\x1B'));
    shown = at_terminal("classify", "--model", "run", "--json", "see you");
    assert_has(shown, "{\"label\":");
    assert_null(strstr(shown, "see you"));
}

/* Replaces `from`, which config.json has once or more, everywhere. */
static void rename_class(const char *folder, const char *from, const char *to) {
    char *bytes = NULL;
    char name[64];
    clm_string changed = {0};
    (void)snprintf(name, sizeof name, "%s/config.json", folder);
    read_file(&bytes, NULL, name);
    const char *at = bytes;
    for (const char *found; (found = strstr(at, from)) != NULL; at = found + strlen(from)) {
        clm_string_add_bytes(&changed, at, (size_t)(found - at));
        clm_string_add(&changed, to);
    }
    clm_string_add(&changed, at);
    assert_ok(clm_string_status(&changed));
    assert_true(at != bytes);
    clm_test_write(clm_test_path(name), changed.text, changed.length);
    clm_string_free(&changed);
    clm_free(bytes);
}

/* A name that clears the screen and forges a line, in a folder from somebody else. */
static void names_cannot_forge_rows(void **state) {
    (void)state;
    rename_class("run", "\"ham\"", "\"h\\u001b[2Jm\\nspam\\t1.0000\\u009b\\u202e\"");
    rename_class("run", "\"spam\"", "\"s\\u001b[2Jm\\nham\\t1.0000\\u009b\\u202e\"");
    static const char shown[] = "\\u001b[2Jm\\n";
    static const char end[] = "\\t1.0000\\u009b\\u202e";
    clm_test_outcome outcome = run_clm("classify", "--model", "run", "see you", "ok");
    assert_done(outcome);
    size_t lines = 0;
    for (const char *at = outcome.output; *at != '\0'; at++) {
        assert_true(*at == '\n' || *at == '\t' || (*at >= 0x20 && *at < 0x7F));
        lines += *at == '\n';
    }
    assert_int_equal(lines, 2);
    assert_has(outcome.output, shown);
    assert_has(outcome.output, end);
    outcome = run_clm("classify", "--model", "run", "--json", "see you");
    assert_done(outcome);
    cJSON *row = cJSON_Parse(outcome.output);
    const char *name = cJSON_GetStringValue(cJSON_GetObjectItem(row, "label"));
    assert_non_null(name);
    assert_has(name, "\x1B[2Jm\n"); /* whole, for a program */
    assert_has(name, "\t1.0000\xC2\x9B\xE2\x80\xAE");
    cJSON_Delete(row);
    for (const char *at = outcome.output; *at != '\0'; at++) {
        assert_true(*at == '\n' || (*at >= 0x20 && *at < 0x7F));
    }
    clm_test_write(clm_test_path("t.csv"), "Label,Text\n0,see you\n1,ok\n", 27);
    outcome = run_clm("eval", "--model", "run", "--data", "t.csv");
    assert_null(strchr(outcome.output, '\x1B'));
    assert_null(strstr(outcome.output, "\nspam\t1"));
    assert_null(strchr(outcome.errors, '\x1B'));
    if (outcome.status == 0) {
        assert_has(outcome.output, shown);
    }
}

/* A message quotes a file: it stays one line, and in order. */
static void errors_cannot_forge_lines(void **state) {
    (void)state;
    clm_test_outcome outcome = run_clm("eval", "--model", "a\nclm: fine\x1B[2J", "--data", "t.csv");
    assert_fails(outcome, 3, "a\\nclm: fine\\u001b[2J");
    outcome = run_clm("classify", "--model", "run", "--precision", "x\ny\xC2\x9B");
    assert_fails(outcome, 2, "x\\ny\\u009b");
    outcome = run_clm("what\nclm: is");
    assert_fails(outcome, 2, "what\\nclm: is");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_have_two_columns_in_a_pipe),
        cmocka_unit_test(a_terminal_shows_the_text),
        cmocka_unit_test(names_cannot_forge_rows),
        cmocka_unit_test(errors_cannot_forge_lines),
    };
    return cmocka_run_group_tests(tests, make_run, NULL);
}

/* Several reports side by side, as a page and as Markdown: what they say, and that nothing in a
 * report becomes markup.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "support/test_support.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/memory.h"
#include "bench/overview.h"
#include "made.h"

/* ---- a page must be what an XML reader takes, with nothing in it that loads or runs ---- */

static const char *const elements[] = {
    "html", "head",   "meta",       "title", "style", "body",   "main",  "h1",
    "h2",   "p",      "nav",        "a",     "div",   "table",  "thead", "tbody",
    "tr",   "th",     "td",         "span",  "b",     "br",     "small", "ul",
    "li",   "figure", "figcaption", "svg",   "path",  "circle", "text",  "code",
};
static const char *const attributes[] = {
    "lang",
    "charset",
    "name",
    "content",
    "http-equiv",
    "class",
    "id",
    "href",
    "xmlns",
    "width",
    "height",
    "viewBox",
    "role",
    "aria-label",
    "d",
    "fill",
    "stroke",
    "opacity",
    "cx",
    "cy",
    "r",
    "x",
    "y",
    "font-size",
    "text-anchor",
    "stroke-width",
    "stroke-linejoin",
    "stroke-linecap",
    "font-weight",
    "transform",
};

static bool is_known(const char *const *known, size_t count, const char *name, size_t length) {
    for (size_t i = 0; i < count; i++) {
        if (strlen(known[i]) == length && strncmp(known[i], name, length) == 0) {
            return true;
        }
    }
    return false;
}

static void fail_at(const char *why, const char *at) {
    fail_msg("%s: %.60s", why, at);
}

/* An '&' begins one of the few entities that are written. */
static void check_entity(const char *at) {
    static const char *const entities[] = {"&amp;", "&lt;", "&gt;", "&quot;", "&#39;", "&#177;"};
    for (size_t i = 0; i < sizeof entities / sizeof *entities; i++) {
        if (strncmp(at, entities[i], strlen(entities[i])) == 0) {
            return;
        }
    }
    fail_at("a stray &", at);
}

/* Attributes up to the end of a tag, which is returned. */
static const char *check_attributes(const char *at) {
    while (*at == ' ') {
        const char *name = ++at;
        const size_t length = strcspn(name, "= />");
        if (!is_known(attributes, sizeof attributes / sizeof *attributes, name, length) ||
            strncmp(name + length, "=\"", 2) != 0) {
            fail_at("an attribute", name);
        }
        at = name + length + 2;
        if (strncmp(name, "href", 4) == 0 && *at != '#') {
            fail_at("a link elsewhere", name);
        }
        for (; *at != '"'; at++) {
            if (*at == '\0' || *at == '<' || *at == '>') {
                fail_at("inside of an attribute", at);
            }
            if (*at == '&') {
                check_entity(at);
            }
        }
        at++;
    }
    return at;
}

static void check_page(const char *page) {
    static const char begin[] = "<!DOCTYPE html>\n";
    const char *open[32];
    size_t depth = 0;
    assert_memory_equal(page, begin, strlen(begin));
    for (const char *at = page + strlen(begin); *at != '\0';) {
        if (*at == '&') {
            check_entity(at);
        }
        if (*at != '<') {
            at++;
            continue;
        }
        const bool closes = at[1] == '/';
        const char *name = at + 1 + closes;
        const size_t length = strcspn(name, " />\n");
        if (!is_known(elements, sizeof elements / sizeof *elements, name, length)) {
            fail_at("an element", at);
        }
        at = closes ? name + length : check_attributes(name + length);
        if (closes) {
            const char *opened = depth > 0 ? open[--depth] : "";
            if (strcspn(opened, " />\n") != length || strncmp(opened, name, length) != 0) {
                fail_at("an end", name);
            }
        } else if (*at != '/') {
            assert_true(depth < 32);
            open[depth++] = name;
        }
        at += *at == '/';
        if (*at++ != '>') {
            fail_at("a tag", name);
        }
    }
    assert_int_equal(depth, 0);
}

/* Freed by the caller. */
static char *write_report(const clm_bench_report *reports, size_t count, clm_bench_format format) {
    char *text = NULL;
    size_t size = 0;
    assert_ok(clm_bench_write_report(reports, count, format, clm_test_path("out")));
    assert_ok(clm_file_read(clm_test_path("out"), CLM_FILE_TEXT, &text, &size));
    assert_int_equal(strlen(text), size);
    assert_int_equal(clm_utf8_check(text, size), size);
    return text;
}

static void assert_part(const char *text, const char *part) {
    if (strstr(text, part) == NULL) {
        fail_msg("there is no \"%s\"", part);
    }
}

/* Two devices that share a case, with one more each. */
typedef struct two {
    clm_bench_result first[4], second[3];
    clm_bench_report reports[2];
} two;

static void make_two(two *t) {
    t->first[0] = made_result("gemm/qkv", "M=960", 0.004);
    t->first[0].flop = 2e9;
    t->first[0].bytes = 1e7;
    t->first[1] = made_result("gelu/forward", "n=10", 0.00002);
    t->first[1].bytes = 1e5;
    t->first[2] = made_result("gemm/fc", "M=960", 0.001);
    t->first[3] = made_result("train/all", "B=8", 2.0);
    t->first[3].flop = 1e11;
    t->first[3].items = 8;
    (void)snprintf(t->first[3].item, sizeof t->first[3].item, "texts");
    t->second[0] = made_result("gemm/qkv", "M=960", 0.002);
    t->second[1] = made_result("gemm/qkv", "M=8", 0.0001);
    t->second[2] = made_skipped("train/all", "B=8", "needs 900 MiB");
    t->reports[0] = made_report("one", t->first, 4);
    t->reports[1] = made_report("another", t->second, 3);
}

static void rows_are_the_union(void **state) {
    (void)state;
    static const char *const names[] = {"train/all", "gemm/qkv", "gemm/fc", "gemm/qkv",
                                        "gelu/forward"};
    two t;
    clm_bench_overview o;
    make_two(&t);
    assert_ok(clm_bench_overview_make(&o, t.reports, 2));
    assert_int_equal(o.row_count, 5);
    for (size_t i = 0; i < 5; i++) {
        assert_string_equal(o.rows[i].name, names[i]);
    }
    assert_ptr_equal(o.rows[0].cells[1], &t.second[2]);
    assert_null(o.rows[0].fastest);
    assert_ptr_equal(o.rows[1].cells[0], &t.first[0]);
    assert_ptr_equal(o.rows[1].fastest, &t.second[0]);
    assert_null(o.rows[2].cells[1]);
    assert_null(o.rows[3].cells[0]);
    assert_int_equal(clm_bench_overview_group_end(&o, 0), 1);
    assert_int_equal(clm_bench_overview_group_end(&o, 1), 4);
    assert_int_equal(clm_bench_overview_group_end(&o, 4), 5);
    assert_null(o.notes.text);
    clm_bench_overview_free(&o);
}

static void markdown_has_a_line_a_case(void **state) {
    (void)state;
    two t;
    make_two(&t);
    char *text = write_report(t.reports, 2, CLM_BENCH_MARKDOWN);
    assert_part(text,
                "| A | one | p, d | 36 | 1,000 | 100 | clm 1.2.3, 1 s and 7 samples a "
                "case | 2026-11-21T04:30:00Z |\n");
    assert_part(text, "\n- B skipped train/all B=8: needs 900 MiB\n");
    assert_part(text, "| train/all | B=8 | 2.00 s; 4.00 texts/s | skipped |\n");
    assert_part(text, "| gemm/qkv | M=960 | 4.00 ms; 500 GFLOP/s, 50 % | **2.00 ms** |\n");
    assert_part(text, "| gemm/qkv | M=8 | not measured | 100 us |\n");
    assert_part(text, "| gelu/forward | n=10 | 20.0 us; 5.00 GB/s, 5 % | not measured |\n");
    assert_part(text, "| gemm | 2.00 (1) |\n");
    assert_part(text, "| gelu | none |\n");
    clm_free(text);
}

static void the_page_shows_them(void **state) {
    (void)state;
    two t;
    make_two(&t);
    char *page = write_report(t.reports, 2, CLM_BENCH_HTML);
    check_page(page);
    assert_part(page, "<td class=\"n best\"><b>2.00 ms</b>");
    assert_part(page, "<span class=\"soft\">not measured</span>");
    assert_part(page, " skipped train/all B=8: needs 900 MiB</li>");
    assert_part(page, "aria-label=\"A: one\"");
    assert_part(page, "<title>gemm/qkv M=960: 4.00 ms; 500 GFLOP/s, 50 %</title>");
    assert_null(strstr(page, "class=\"notes\""));
    char *again = write_report(t.reports, 2, CLM_BENCH_HTML);
    assert_string_equal(again, page);
    clm_free(again);
    clm_free(page);
    page = write_report(t.reports, 1, CLM_BENCH_HTML); /* nothing to stand beside */
    check_page(page);
    assert_null(strstr(page, "id=\"overall\""));
    clm_free(page);
}

static void differences_are_noted(void **state) {
    (void)state;
    two t;
    make_two(&t);
    (void)snprintf(t.reports[1].program_version, sizeof t.reports[1].program_version, "1.3");
    t.reports[1].quick = true;
    (void)snprintf(t.reports[1].model, sizeof t.reports[1].model, "random:tiny");
    t.reports[0].noise = 0.25;
    clm_bench_derive(&t.reports[0]);
    char *page = write_report(t.reports, 2, CLM_BENCH_HTML);
    assert_part(page, "the devices&#39;: A clm 1.2.3; B clm 1.3.</li>");
    assert_part(page, "options: A 1 s and 7 samples a case; B quick, 1 s and 7 samples");
    assert_part(page, "models: A random:gpt2; B random:tiny.</li>");
    assert_part(page, "A is noisy: its peak or its copy differed by 25 % during the run");
    clm_free(page);
}

/* Each text of a report and of its results, one after the other. */
static void nothing_becomes_markup(void **state) {
    (void)state;
    static const char *const texts[] = {
        "<script>alert(1)</script>",
        "\"><img src=x onerror=y>",
        "' onmouseover='x",
        "</title>",
        "</style><b>",
        "&lt;b&gt;",
        "a|b`c`*d*_e_[f](g)",
        "http://x.y www.z me@x",
        "\xC3\xBC\xE2\x82\xAC",
    };
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        two t;
        make_two(&t);
        clm_bench_report *r = &t.reports[0];
        char *const members[] = {r->program,  r->program_version, r->device,         r->vendor,
                                 r->platform, r->driver,          r->device_version, r->model};
        for (size_t k = 0; k < sizeof members / sizeof *members; k++) {
            (void)snprintf(members[k], 96, "%s", texts[i]);
        }
        clm_bench_copy_text(r->type, sizeof r->type, texts[i]);
        clm_bench_copy_text(r->gemm, sizeof r->gemm, texts[i]);
        clm_bench_copy_text(r->date, sizeof r->date, texts[i]);
        clm_bench_copy_text(t.first[3].item, sizeof t.first[3].item, texts[i]);
        (void)snprintf(t.first[0].name, sizeof t.first[0].name, "%.20s/%.20s", texts[i], texts[i]);
        (void)snprintf(t.first[0].parameters, sizeof t.first[0].parameters, "%s", texts[i]);
        (void)snprintf(t.second[2].skipped, sizeof t.second[2].skipped, "%s", texts[i]);
        char *page = write_report(t.reports, 2, CLM_BENCH_HTML);
        check_page(page);
        clm_free(page);
        char *text = write_report(t.reports, 2, CLM_BENCH_MARKDOWN);
        for (const char *at = text; *at != '\0'; at++) {
            const bool is_plain = at > text && at[-1] != '\\';
            assert_false(is_plain && (*at == '<' || *at == '`' || *at == '[' || *at == '@'));
            assert_false(is_plain && strncmp(at, "://", 3) == 0);
        }
        clm_free(text);
    }
}

/* What the reader of files lets through at most, and what only a caller can put there. */
static void odd_numbers_do_no_harm(void **state) {
    (void)state;
    static const double values[] = {0.0, 1e-20, 1e24, INFINITY, NAN};
    enum { COUNT = sizeof values / sizeof *values };
    for (size_t i = 0; i < (size_t)COUNT * COUNT; i++) {
        two t;
        make_two(&t);
        t.reports[0].peak_gflops = values[i % COUNT];
        t.reports[1].copy_gbytes_second = values[i / COUNT];
        t.first[0].flop = values[i / COUNT];
        t.first[0].bytes = values[i % COUNT];
        t.second[0].median = i % COUNT == 0 ? 1.0 : values[i % COUNT];
        clm_bench_derive(&t.reports[0]);
        clm_bench_derive(&t.reports[1]);
        char *page = write_report(t.reports, 2, CLM_BENCH_HTML);
        check_page(page);
        assert_null(strstr(page, "nan"));
        assert_null(strstr(page, "inf"));
        clm_free(page);
    }
}

static void what_does_not_fit_is_refused(void **state) {
    (void)state;
    clm_bench_report reports[CLM_BENCH_COLUMNS_MOST + 1];
    clm_bench_result *many = NULL;
    for (size_t i = 0; i < CLM_BENCH_COLUMNS_MOST + 1; i++) {
        reports[i] = made_report("x", NULL, 0);
    }
    const char *path = clm_test_path("none.html");
    assert_status(CLM_ERROR_ARGUMENT, clm_bench_write_report(reports, 0, CLM_BENCH_HTML, path));
    assert_status(CLM_ERROR_ARGUMENT, clm_bench_write_report(reports, CLM_BENCH_COLUMNS_MOST + 1,
                                                             CLM_BENCH_HTML, path));
    assert_message_has("33 reports do not fit: one page shows 1 to 32");
    char *page = write_report(reports, CLM_BENCH_COLUMNS_MOST, CLM_BENCH_HTML); /* of no result */
    check_page(page);
    assert_part(page, ">AF</span>");
    clm_free(page);
    assert_ok(clm_allocate(&many, CLM_BENCH_ROWS_MOST + 1, sizeof *many, "results"));
    for (int i = 0; i < CLM_BENCH_ROWS_MOST + 1; i++) {
        char parameters[24];
        (void)snprintf(parameters, sizeof parameters, "M=%d", i);
        many[i] = made_result("gemm/qkv", parameters, 1.0);
    }
    reports[0] = made_report("x", many, CLM_BENCH_ROWS_MOST + 1);
    assert_status(CLM_ERROR_FORMAT, clm_bench_write_report(reports, 1, CLM_BENCH_HTML, path));
    assert_message_has("2001 cases; one page shows up to 2000");
    assert_false(clm_file_exists(path));
    reports[0].result_count--;
    page = write_report(reports, 2, CLM_BENCH_HTML);
    check_page(page);
    clm_free(page);
    clm_free(many);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_are_the_union),
        cmocka_unit_test(markdown_has_a_line_a_case),
        cmocka_unit_test(the_page_shows_them),
        cmocka_unit_test(differences_are_noted),
        cmocka_unit_test(nothing_becomes_markup),
        cmocka_unit_test(odd_numbers_do_no_harm),
        cmocka_unit_test(what_does_not_fit_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

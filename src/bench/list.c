/* The cases by name.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>

#include "base/memory.h"
#include "base/string.h"
#include "bench/bench.h"

const clm_bench_entry *clm_bench_entry_at(size_t index) {
    const clm_bench_table tables[] = {clm_bench_gemm_table(), clm_bench_kernel_table(),
                                      clm_bench_job_table()};
    for (size_t i = 0; i < sizeof tables / sizeof *tables; i++) {
        if (index < tables[i].count) {
            return &tables[i].entries[index];
        }
        index -= tables[i].count;
    }
    return NULL;
}

void clm_bench_describe(char *text, size_t size, const clm_bench_entry *entry) {
    size_t length = 0;
    text[0] = '\0';
    for (int i = 0; i < CLM_BENCH_SIZES && entry->kind->letters[i] != NULL; i++) {
        const int put = snprintf(text + length, size - length, "%s%s=%d", i > 0 ? " " : "",
                                 entry->kind->letters[i], entry->sizes[i]);
        length += put > 0 ? (size_t)put : 0;
    }
}

size_t clm_bench_group_length(const char *name) {
    return strcspn(name, "/");
}

static bool is_named(const clm_bench_entry *entry, const char *name) {
    const size_t length = clm_bench_group_length(entry->name);
    return strcmp(entry->name, name) == 0 ||
           (strlen(name) == length && memcmp(entry->name, name, length) == 0);
}

bool clm_bench_is_chosen(const clm_bench_entry *entry, const clm_bench_options *options) {
    bool chosen = options->name_count == 0;
    for (size_t i = 0; i < options->name_count && !chosen; i++) {
        chosen = is_named(entry, options->names[i]);
    }
    return chosen && (entry->quick || !options->quick);
}

/* Whether an entry before it begins with the same `length` bytes, and ends there if `whole`. */
static bool appears_earlier(size_t index, size_t length, bool whole) {
    const char *name = clm_bench_entry_at(index)->name;
    for (size_t i = 0; i < index; i++) {
        const char *other = clm_bench_entry_at(i)->name;
        if (strncmp(other, name, length) == 0 && (!whole || other[length] == '\0')) {
            return true;
        }
    }
    return false;
}

/* The cases of the group that `name` begins with, else all groups. */
static void add_alternatives(clm_string *text, const char *name) {
    const size_t length = clm_bench_group_length(name);
    const clm_bench_entry *entry = NULL;
    bool any = false;
    for (size_t i = 0; (entry = clm_bench_entry_at(i)) != NULL; i++) {
        if (strncmp(entry->name, name, length) == 0 && entry->name[length] == '/' &&
            !appears_earlier(i, strlen(entry->name), true)) {
            clm_string_add_format(text, "%s%s", any ? ", " : "", entry->name);
            any = true;
        }
    }
    for (size_t i = 0; !any && (entry = clm_bench_entry_at(i)) != NULL; i++) {
        const size_t group = clm_bench_group_length(entry->name);
        if (!appears_earlier(i, group + 1, false)) {
            clm_string_add_format(text, "%s%.*s", i > 0 ? ", " : "", (int)group, entry->name);
        }
    }
}

clm_status clm_bench_check_names(const clm_bench_options *options) {
    for (size_t n = 0; n < options->name_count; n++) {
        const clm_bench_entry *entry = NULL;
        bool found = false;
        bool quick = false;
        for (size_t i = 0; (entry = clm_bench_entry_at(i)) != NULL; i++) {
            const bool named = is_named(entry, options->names[n]);
            found = found || named;
            quick = quick || (named && entry->quick);
        }
        if (!found) {
            clm_string text = {0};
            add_alternatives(&text, options->names[n]);
            const clm_status status =
                clm_string_status(&text) != CLM_OK
                    ? clm_string_status(&text)
                    : clm_fail(CLM_ERROR_ARGUMENT, "there is no benchmark \"%s\"; there is %s",
                               options->names[n], text.text);
            clm_string_free(&text);
            return status;
        }
        if (options->quick && !quick) {
            return clm_fail(CLM_ERROR_ARGUMENT, "%s has no quick case", options->names[n]);
        }
    }
    return CLM_OK;
}

clm_status clm_bench_list(clm_bench_case **cases, size_t *count) {
    const clm_bench_entry *entry = NULL;
    *cases = NULL;
    *count = 0;
    size_t all = 0;
    while (clm_bench_entry_at(all) != NULL) {
        all++;
    }
    const clm_status status = clm_allocate(cases, all, sizeof **cases, "the list of benchmarks");
    for (size_t i = 0; status == CLM_OK && i < all; i++) {
        clm_bench_case *item = &(*cases)[i];
        entry = clm_bench_entry_at(i);
        (void)snprintf(item->name, sizeof item->name, "%s", entry->name);
        clm_bench_describe(item->parameters, sizeof item->parameters, entry);
        item->quick = entry->quick;
        *count = i + 1;
    }
    return status;
}

void clm_bench_cases_free(clm_bench_case *cases) {
    clm_free(cases);
}

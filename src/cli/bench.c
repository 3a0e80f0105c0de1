/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>

#include "base/memory.h"
#include "base/number.h"
#include "base/string.h"
#include "bench/overview.h"
#include "cli/cli.h"
#include "cli/progress.h"
#include "cli/stop.h"
#include "clm/bench.h"

typedef struct settings {
    clm_cli_device device;
    const char *json;
    const char *csv;
    const char *report;
    bool list;
    bool compare;
    clm_bench_options options;
} settings;

/* ---- the table ---- */

/* "12.3 ms". */
static const char *time_text(char text[16], double seconds) {
    clm_string written = {0};
    clm_bench_add_time(&written, seconds);
    (void)snprintf(text, 16, "%s", clm_string_status(&written) == CLM_OK ? written.text : "?");
    clm_string_free(&written);
    return text;
}

/* A rate and its share of what the device can do; blanks for a rate that says nothing. */
static void print_rate(double rate, double share) {
    if (rate > 0.0) {
        clm_print(stdout, " %8.1f %5.2f", rate, share);
    } else {
        (void)printf(" %8s %5s", "", "");
    }
}

static void print_result(void *context, const clm_bench_report *report,
                         const clm_bench_result *result) {
    (void)context;
    char time[16];
    clm_cli_progress_pause();
    if (result == NULL) {
        (void)printf("%s (%s, driver %s), %d units\n", report->device, report->platform,
                     report->driver, report->compute_units);
        clm_print(stdout,
                  "peak %.1f GFLOP/s on registers, copy %.1f GB/s read and written; gemm: %s\n",
                  report->peak_gflops, report->copy_gbytes_second, report->gemm);
        clm_print(stdout, "%-26s %-28s %8s %4s %8s %5s %8s %5s\n", "case", "parameters", "median",
                  "+-%", "GFLOP/s", "share", "GB/s", "share");
    } else if (result->skipped[0] != '\0') {
        (void)printf("%-26s %-28s skipped: %s\n", result->name, result->parameters,
                     result->skipped);
    } else {
        const double spread =
            50.0 * (result->upper_quartile - result->lower_quartile) / result->median;
        clm_print(stdout, "%-26s %-28s %8s %4.0f", result->name, result->parameters,
                  time_text(time, result->median), spread);
        print_rate(result->gflops, result->peak_share);
        if (result->items > 0.0) {
            clm_print(stdout, " %8.1f %s/s", result->items_second, result->item);
        } else {
            print_rate(result->gbytes_second, result->bandwidth_share);
        }
        (void)putchar('\n');
    }
    (void)clm_cli_flush();
}

static void print_noise(const clm_bench_report *report) {
    clm_cli_progress_pause();
    if (report->noisy) {
        clm_print(
            stdout,
            "noisy: peak or copy differed by %.0f %% during the run (more than %.0f %%), so the "
            "machine\nwas busy or changed its clock; measure again\n",
            100.0 * report->noise, 100.0 * report->noise_limit);
    } else {
        clm_print(stdout, "quiet: peak and copy stayed within %.0f %% during the run\n",
                  100.0 * report->noise);
    }
    (void)clm_cli_flush();
}

/* ---- running ---- */

typedef struct reports {
    clm_bench_report *list;
    size_t count, capacity;
} reports;

typedef struct running {
    const settings *settings;
    reports done;
    bool began;
} running;

static clm_status run_on(void *context, const char *pattern) {
    running *r = context;
    clm_cli_device wanted = r->settings->device;
    clm_bench_report report = {0};
    clm_device *device = NULL;
    clm_status status = CLM_OK;
    (void)printf("%s", r->began ? "\n" : "");
    r->began = true;
    wanted.pattern = pattern;
    CLM_TRY(clm_cli_open_device(&device, &wanted, NULL));
    CLM_TRY(clm_bench_run(&report, device, &r->settings->options));
    print_noise(&report);
    CLM_TRY(clm_reserve(&r->done.list, &r->done.capacity, r->done.count + 1, sizeof report,
                        "the reports of benchmarks"));
    r->done.list[r->done.count++] = report;
    report = (clm_bench_report){0};
cleanup:
    clm_bench_report_free(&report);
    clm_device_close(device);
    return status;
}

/* One device that fails leaves the others their turn and their report; its error is the command's
 * in the end. */
static int measure(const settings *s) {
    running r = {.settings = s};
    int exit_status = CLM_EXIT_DONE;
    clm_status status = CLM_OK;
    CLM_TRY(clm_bench_check(&s->options));
    (void)clm_cli_catch_stops();
    exit_status = clm_cli_on_devices(run_on, &r, &s->device);
    const bool writes = r.done.count > 0 && exit_status != CLM_EXIT_INTERRUPTED;
    if (s->json != NULL && writes) {
        CLM_TRY(clm_bench_write_json(r.done.list, r.done.count, s->json));
    }
    if (s->csv != NULL && writes) {
        CLM_TRY(clm_bench_write_csv(r.done.list, r.done.count, s->csv));
    }
cleanup:
    clm_bench_reports_free(r.done.list, r.done.count);
    return status == CLM_OK ? exit_status : clm_cli_fail(status);
}

/* ---- listing ---- */

static int list_cases(void) {
    clm_bench_case *cases = NULL;
    size_t count = 0;
    const clm_status status = clm_bench_list(&cases, &count);
    for (size_t i = 0; status == CLM_OK && i < count; i++) {
        (void)printf("%-26s %-28s%s\n", cases[i].name, cases[i].parameters,
                     cases[i].quick ? " quick" : "");
    }
    clm_bench_cases_free(cases);
    return status == CLM_OK ? CLM_EXIT_DONE : clm_cli_fail(status);
}

/* ---- comparing ---- */

static void print_missing(char letter, const clm_bench_result *const *only, size_t count) {
    for (size_t i = 0; i < count; i++) {
        (void)printf("only in %c: %s %s\n", letter, only[i]->name, only[i]->parameters);
    }
}

static void print_source(char letter, const clm_bench_report *report) {
    (void)printf("%c: %s %s, %s, %s%s\n", letter, report->program, report->program_version,
                 report->device, report->date, report->noisy ? ", noisy" : "");
}

static clm_status compare_reports(const clm_bench_report *a, const clm_bench_report *b) {
    clm_bench_comparison comparison;
    const clm_status status = clm_bench_compare(&comparison, a, b);
    if (status == CLM_OK) {
        print_source('A', a);
        print_source('B', b);
        (void)printf("%-26s %-28s %9s %9s %7s\n", "case", "parameters", "A", "B", "A/B");
    }
    for (size_t i = 0; status == CLM_OK && i < comparison.pair_count; i++) {
        const clm_bench_pair *pair = &comparison.pairs[i];
        char a_time[16];
        char b_time[16];
        clm_print(stdout, "%-26s %-28s %9s %9s %7.3f%s\n", pair->a->name, pair->a->parameters,
                  time_text(a_time, pair->a->median), time_text(b_time, pair->b->median),
                  pair->ratio, pair->overlap ? " ~" : "");
    }
    for (size_t i = 0; status == CLM_OK && i < comparison.group_count; i++) {
        const clm_bench_group_ratio *group = &comparison.groups[i];
        clm_print(
            stdout, "%s%-12s %7.3f  over %zu %s\n",
            i == 0 ? "geometric means of A/B; above 1, B is faster; ~: quartiles overlap\n" : "",
            group->group, group->ratio, group->count, group->count == 1 ? "case" : "cases");
    }
    print_missing('A', comparison.only_a, comparison.only_a_count);
    print_missing('B', comparison.only_b, comparison.only_b_count);
    clm_bench_comparison_free(&comparison);
    return status;
}

static const clm_bench_report *find_device(const reports *in, const clm_bench_report *like) {
    for (size_t i = 0; i < in->count; i++) {
        if (strcmp(in->list[i].device, like->device) == 0 &&
            strcmp(in->list[i].platform, like->platform) == 0) {
            return &in->list[i];
        }
    }
    return NULL;
}

/* Files of one report each are compared whatever their devices are, others device by device. */
static clm_status compare_all(const reports *a, const reports *b) {
    clm_status status = CLM_OK;
    if (a->count == 1 && b->count == 1) {
        return compare_reports(a->list, b->list);
    }
    for (size_t i = 0; i < a->count && status == CLM_OK; i++) {
        const clm_bench_report *other = find_device(b, &a->list[i]);
        (void)printf("%s", i > 0 ? "\n" : "");
        if (other != NULL) {
            status = compare_reports(&a->list[i], other);
        } else {
            (void)printf("only in A: the device %s\n", a->list[i].device);
        }
    }
    for (size_t i = 0; i < b->count; i++) {
        if (find_device(a, &b->list[i]) == NULL) {
            (void)printf("only in B: the device %s\n", b->list[i].device);
        }
    }
    return status;
}

static int compare(const char *a_path, const char *b_path) {
    reports a = {0};
    reports b = {0};
    clm_status status = CLM_OK;
    CLM_TRY(clm_bench_read(&a.list, &a.count, a_path));
    CLM_TRY(clm_bench_read(&b.list, &b.count, b_path));
    CLM_TRY(compare_all(&a, &b));
cleanup:
    clm_bench_reports_free(a.list, a.count);
    clm_bench_reports_free(b.list, b.count);
    return status == CLM_OK ? CLM_EXIT_DONE : clm_cli_fail(status);
}

/* ---- the report of several ---- */

static bool ends_with(const char *text, const char *end) {
    const size_t length = strlen(text);
    return length > strlen(end) && strcmp(text + length - strlen(end), end) == 0;
}

/* By the name's end; false for another. */
static bool find_format(clm_bench_format *format, const char *path) {
    *format = ends_with(path, ".md") ? CLM_BENCH_MARKDOWN : CLM_BENCH_HTML;
    return ends_with(path, ".md") || ends_with(path, ".html");
}

/* The reports of a file move over to the end of the list. */
static clm_status add_file(reports *all, const char *path) {
    reports read = {0};
    clm_status status = CLM_OK;
    CLM_TRY(clm_bench_read(&read.list, &read.count, path));
    CLM_TRY(clm_reserve(&all->list, &all->capacity, all->count + read.count, sizeof *all->list,
                        "the reports of benchmarks"));
    memcpy(&all->list[all->count], read.list, read.count * sizeof *all->list);
    all->count += read.count;
    read.count = 0;
cleanup:
    clm_bench_reports_free(read.list, read.count);
    return status;
}

static int write_report(const settings *s) {
    reports all = {0};
    clm_bench_format format = CLM_BENCH_HTML;
    clm_status status = CLM_OK;
    (void)find_format(&format, s->report);
    for (size_t i = 0; i < s->options.name_count; i++) {
        CLM_TRY(add_file(&all, s->options.names[i]));
    }
    CLM_TRY(clm_bench_write_report(all.list, all.count, format, s->report));
cleanup:
    clm_bench_reports_free(all.list, all.count);
    return status == CLM_OK ? CLM_EXIT_DONE : clm_cli_fail(status);
}

/* ---- the command ---- */

#define RUNNING "--device --all --no-selftest --quick --seconds --samples --model --json --csv"

static const clm_cli_option run_options[] = {
    {"--quick", NULL, "fewer cases, a small model, 0.2 s for each case",
     CLM_CLI_FLAG_AT(settings, options.quick), .synonyms = "--fast"},
    {"--seconds", "S", "spent measuring each case", CLM_CLI_NUMBER_AT(settings, options.seconds),
     .fallback = "1, or 0.2 with --quick", .synonyms = "--time --duration"},
    {"--samples", "N", "least number per case, unless they take over 10 S",
     CLM_CLI_INT_AT(settings, options.samples), .fallback = "7",
     .synonyms = "--repeats --repetitions --iterations"},
    {"--model", "MODEL", "the model for the jobs, as for finetune",
     CLM_CLI_PATH_AT(settings, options.model), .fallback = "random:gpt2"},
    {NULL},
};

static const clm_cli_option output_options[] = {
    {"--json", "FILE", "write the report, for --compare and --report",
     CLM_CLI_OUTPUT_AT(settings, json), .synonyms = "--out --output"},
    {"--csv", "FILE", "write the report as a table", CLM_CLI_OUTPUT_AT(settings, csv)},
    {NULL},
};

static const clm_cli_option other_options[] = {
    {"--list", NULL, "list the cases, and which are quick", CLM_CLI_FLAG_AT(settings, list),
     .excludes = RUNNING " --compare --report"},
    {"--compare", NULL, "compare two JSON reports, case by case",
     CLM_CLI_FLAG_AT(settings, compare), .excludes = RUNNING " --report", .synonyms = "--diff"},
    {"--report", "OUT", "show JSON reports side by side, in OUT.html or OUT.md",
     CLM_CLI_OUTPUT_AT(settings, report), .excludes = RUNNING, .synonyms = "--html --markdown"},
    {NULL},
};

static const clm_cli_option positionals[] = {
    {"NAME", NULL,
     "a group (gemm, attention, train, ...) or a case (gemm/qkv) to measure; with --compare and "
     "--report, JSON reports",
     .kind = CLM_CLI_PATH, .repeats = true, .fallback = "all"},
    {NULL},
};

static const clm_cli_example examples[] = {
    {"clm bench --quick --json mine.json", "Measures the default device in about half a minute."},
    {"clm bench --compare before.json mine.json", "Shows what got faster and what got slower."},
    {"clm bench --report all.html examples/bench-results/*.json mine.json",
     "Makes a page that shows devices side by side."},
    {NULL, NULL},
};

static const settings defaults = {.options = CLM_BENCH_OPTIONS_DEFAULT};

/* What the table cannot tell: how many names there are, and how a report's name ends. */
static int check(const settings *s) {
    const size_t count = s->options.name_count;
    clm_bench_format format = CLM_BENCH_HTML;
    if (s->compare && count != 2) {
        return clm_cli_usage("bench", "--compare takes two files, not %zu", count);
    }
    if (s->report != NULL && count == 0) {
        return clm_cli_usage("bench", "--report takes the JSON files to show");
    }
    if (s->report != NULL && !find_format(&format, s->report)) {
        return clm_cli_usage("bench", "--report writes .html and .md, not \"%s\"", s->report);
    }
    if (s->list && count > 0) {
        return clm_cli_usage("bench", "--list takes no names");
    }
    return -1;
}

static int run(const clm_cli_arguments *arguments) {
    settings *s = arguments->settings;
    s->options.on_result = print_result;
    s->options.should_stop = clm_cli_stop_was_requested;
    s->options.names = (const char *const *)arguments->positionals;
    s->options.name_count = arguments->positional_count;
    const int result = check(s);
    if (result >= 0) {
        return result;
    }
    if (s->list) {
        return list_cases();
    }
    if (s->report != NULL) {
        return write_report(s);
    }
    return s->compare ? compare(s->options.names[0], s->options.names[1]) : measure(s);
}

const clm_cli_command clm_command_bench = {
    .name = "bench",
    .about = "measure how fast clm is on a device",
    .synopsis =
        "[NAME...] [OPTION...]\n--list\n--compare A.json B.json\n"
        "--report OUT.html|OUT.md A.json...",
    .description =
        "Measures kernels in GPT-2's shapes and whole jobs; this takes minutes on a CPU. Prints "
        "each median with half its interquartile range, and its share of the device's peak and of "
        "the bandwidth of a copy, which are both measured first. Bytes are those that must be read "
        "and written; data that fits in a cache may move faster than the copy.",
    .groups = {{"Measuring", run_options, 0},
               {"Output", output_options, 0},
               {"Device", clm_cli_device_option, offsetof(settings, device)},
               {NULL, clm_cli_test_option, offsetof(settings, device)},
               {NULL, clm_cli_all_option, offsetof(settings, device)},
               {"Instead of measuring", other_options, 0}},
    .positionals = positionals,
    .examples = examples,
    .ends = CLM_CLI_ENDS_INPUT | CLM_CLI_ENDS_DEVICE | CLM_CLI_ENDS_INTERRUPTED,
    .synonyms = "benchmark perf measure",
    .settings_size = sizeof(settings),
    .defaults = &defaults,
    .run = run,
};

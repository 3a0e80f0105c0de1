/* clm fetch: published weights and data sets.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "clm/fetch.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/number.h"
#include "base/string.h"
#include "cli/cli.h"
#include "cli/stop.h"

typedef struct meter {
    bool terminal;
    double last_s;   /* when the line was written */
    double start_s;  /* when the first byte of this run came */
    uint64_t before; /* bytes that were there then */
    char file[64];
} meter;

static void print_line(const meter *m, uint64_t done, uint64_t total, double now_s) {
    const double mb = 1e6;
    double elapsed_s = now_s - m->start_s;
    double rate = elapsed_s > 0.5 ? (double)(done - m->before) / elapsed_s : 0.0;
    clm_print(stderr, "\r\033[K%s: %.1f", m->file, (double)done / mb);
    if (total > 0) {
        clm_print(stderr, " of %.1f MB, %.0f %%", (double)total / mb,
                  100.0 * (double)done / (double)total);
    } else {
        (void)fprintf(stderr, " MB");
    }
    if (rate > 0.0) {
        clm_print(stderr, ", %.1f MB/s", rate / mb);
    }
    if (rate > 0.0 && total > done) {
        clm_print(stderr, ", %.0f s left", (double)(total - done) / rate);
    }
    (void)fflush(stderr);
}

static bool show_progress(void *context, const char *file, uint64_t done, uint64_t total) {
    meter *m = context;
    double now_s = clm_seconds();
    if (m->terminal && done > 0) {
        if (strcmp(m->file, file) != 0 || done < m->before) {
            (void)snprintf(m->file, sizeof m->file, "%.63s", file);
            m->start_s = now_s;
            m->before = done;
        }
        if (now_s - m->last_s >= 0.2 || done == total) {
            print_line(m, done, total, now_s);
            m->last_s = now_s;
        }
    }
    return !clm_cli_stop_was_requested(NULL);
}

static void print_files(const clm_fetched *fetched) {
    static const char *const trust[] = {
        [CLM_FETCH_VERIFIED] = "verified",
        [CLM_FETCH_STATED] = "as the server states it, unknown to clm",
        [CLM_FETCH_UNVERIFIED] = "unverified: nothing to compare it with",
    };
    for (size_t i = 0; i < clm_fetched_count(fetched); i++) {
        (void)printf("%s\n  %s, SHA-256 %s, %s\n", clm_fetched_path(fetched, i),
                     clm_fetched_is_new(fetched, i) ? "fetched" : "was there already",
                     clm_fetched_sha256(fetched, i), trust[clm_fetched_trust(fetched, i)]);
    }
}

static clm_status run(const char *name, const clm_fetch_options *options) {
    clm_fetched *fetched = NULL;
    clm_cli_catch_stops();
    clm_status status = clm_fetch(&fetched, name, options);
    const meter *m = options->progress_context;
    if (m->last_s > 0.0) {
        (void)fputs("\r\033[K", stderr);
    }
    if (status == CLM_OK) {
        print_files(fetched);
    }
    clm_fetched_free(fetched);
    return status;
}

int clm_command_fetch(int argc, char **argv) {
    meter m = {.terminal = isatty(STDERR_FILENO) == 1};
    clm_fetch_options fetch = CLM_FETCH_OPTIONS_DEFAULT;
    const clm_cli_option options[] = {
        {"--to", CLM_CLI_STRING, &fetch.folder, "DIR", "where to put it (default: the cache)"},
    };
    clm_string about = {0};
    clm_string_add(
        &about,
        "Downloads published weights or a data set, and checks it. An interrupted download\n"
        "goes on from where it was.\nCLM_FETCH_MIRROR: base URLs, separated by "
        "spaces, that have <base>/NAME/<file>.\n\nNAME is one of:");
    for (size_t i = 0; clm_fetch_name(i) != NULL; i++) {
        clm_string_add_format(&about, "\n  %-12s %s", clm_fetch_name(i), clm_fetch_about(i));
    }
    int positional = 0;
    int result = clm_cli_parse(argc, argv, options, sizeof options / sizeof *options,
                               "clm fetch NAME [--to DIR]", about.text != NULL ? about.text : "",
                               &positional);
    clm_string_free(&about);
    if (result >= 0) {
        return result;
    }
    if (positional != 1) {
        return clm_cli_usage("fetch", "one NAME is needed");
    }
    fetch.progress = show_progress;
    fetch.progress_context = &m;
    clm_status status = run(argv[1], &fetch);
    return status == CLM_OK ? CLM_EXIT_DONE : clm_cli_fail(status);
}

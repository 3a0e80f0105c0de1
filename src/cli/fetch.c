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
        [CLM_FETCH_STATED] = "as stated by the server, unknown to clm",
        [CLM_FETCH_UNVERIFIED] = "unverified: nothing to compare it with",
    };
    for (size_t i = 0; i < clm_fetched_count(fetched); i++) {
        (void)printf("%s\n  %s, SHA-256 %s, %s\n", clm_fetched_path(fetched, i),
                     clm_fetched_is_new(fetched, i) ? "fetched" : "already there",
                     clm_fetched_sha256(fetched, i), trust[clm_fetched_trust(fetched, i)]);
    }
}

static clm_status fetch(const char *name, const clm_fetch_options *options) {
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

typedef struct settings {
    const char *name;
    const char *folder;
} settings;

static bool name_at(clm_cli_choice *choice, size_t i) {
    *choice = (clm_cli_choice){clm_fetch_name(i), 0, NULL};
    if (choice->name != NULL) {
        choice->help = clm_fetch_about(i);
    }
    return choice->name != NULL;
}

static const clm_cli_option options[] = {
    {"--to", "DIR", "where to put it", CLM_CLI_FOLDER_AT(settings, folder), .fallback = "the cache",
     .synonyms = "--out --output --dir --output-dir"},
    {NULL},
};

static const clm_cli_option positionals[] = {
    {"NAME", NULL, "what to download", CLM_CLI_TEXT_AT(settings, name), .choice_at = name_at,
     .required = true},
    {NULL},
};

static const clm_cli_example examples[] = {
    {"clm fetch gpt2 --to gpt2", "Downloads GPT-2's weights and vocabulary into the folder gpt2."},
    {NULL, NULL},
};

static int run(const clm_cli_arguments *arguments) {
    const settings *s = arguments->settings;
    meter m = {.terminal = isatty(STDERR_FILENO) == 1};
    clm_fetch_options fetch_options = CLM_FETCH_OPTIONS_DEFAULT;
    fetch_options.folder = s->folder;
    fetch_options.progress = show_progress;
    fetch_options.progress_context = &m;
    const clm_status status = fetch(s->name, &fetch_options);
    return status == CLM_OK ? CLM_EXIT_DONE : clm_cli_fail(status);
}

const clm_cli_command clm_command_fetch = {
    .name = "fetch",
    .about = "download weights and data sets",
    .synopsis = "NAME [--to DIR]",
    .description =
        "Downloads published weights or a data set, and checks it. The same command "
        "resumes an interrupted download.\n\n"
        "CLM_FETCH_MIRROR in the environment: base URLs, separated by spaces, that have "
        "<base>/NAME/<file>.",
    .groups = {{"Output", options, 0}},
    .positionals = positionals,
    .examples = examples,
    .ends = CLM_CLI_ENDS_INPUT | CLM_CLI_ENDS_NETWORK | CLM_CLI_ENDS_INTERRUPTED,
    .synonyms = "download get pull",
    .settings_size = sizeof(settings),
    .run = run,
};

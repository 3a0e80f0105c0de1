/* clm fetch: published weights and data sets.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "clm/fetch.h"

#include <stdio.h>

#include "cli/cli.h"
#include "cli/progress.h"
#include "cli/stop.h"

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
    clm_cli_progress shown;
    clm_cli_catch_stops();
    clm_cli_progress_begin_at_terminal(&shown);
    const clm_status status = clm_fetch(&fetched, name, options);
    clm_cli_progress_end();
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
    {"--to", "DIR", "where to put it", CLM_CLI_TARGET_AT(settings, folder), .fallback = "the cache",
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
    clm_fetch_options fetch_options = CLM_FETCH_OPTIONS_DEFAULT;
    fetch_options.folder = s->folder;
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

/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/resume.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "base/file.h"
#include "base/log.h"
#include "base/memory.h"

/* Where relative paths begin; an option has another name, with dashes. */
static const char directory_setting[] = "directory";

static const char *preset_text(const clm_cli_value *preset, const char *name) {
    for (; preset != NULL && preset->name != NULL; preset++) {
        if (strcmp(preset->name, name) == 0) {
            return preset->text;
        }
    }
    return NULL;
}

clm_status clm_cli_apply_preset(const clm_cli_arguments *arguments, const char *name,
                                const clm_cli_value *preset) {
    clm_string given = {0};
    clm_status status = CLM_OK;
    for (; preset->name != NULL; preset++) {
        if (clm_cli_given_text(arguments, preset->name) == NULL) {
            CLM_TRY(clm_cli_set(arguments, preset->name, preset->text));
            continue;
        }
        clm_string_clear(&given);
        (void)clm_cli_add_value(&given, arguments, preset->name);
        CLM_TRY(clm_string_status(&given));
        if (strcmp(given.text, preset->text) != 0) {
            clm_log(CLM_LOG_INFO, "%s is %s, as given, where %s has %s", preset->name, given.text,
                    name, preset->text);
        }
    }
cleanup:
    clm_string_free(&given);
    return status;
}

/* ---- paths ---- */

clm_status clm_cli_resolve_path(char **resolved, const clm_run *run, const char *path) {
    const char *folder = run != NULL ? clm_run_get(run, directory_setting) : NULL;
    const bool is_relative = path[0] != '/' && strncmp(path, "random:", 7) != 0;
    return is_relative && folder != NULL && clm_run_is_resumed(run)
               ? clm_path_join(resolved, folder, path)
               : clm_duplicate(resolved, path);
}

/* Whether two spellings are of one file. */
static bool is_same_path(const clm_run *run, const char *recorded, const char *given) {
    char *resolved = NULL;
    clm_error_hold();
    const clm_status status = clm_cli_resolve_path(&resolved, run, recorded);
    clm_error_release();
    char *one = status == CLM_OK ? realpath(resolved, NULL) : NULL;
    char *other = realpath(given, NULL);
    const bool same = one != NULL && other != NULL && strcmp(one, other) == 0;
    free(one);
    free(other);
    clm_free(resolved);
    return same;
}

static bool is_path(const clm_cli_option *option) {
    return option->kind == CLM_CLI_PATH || option->kind == CLM_CLI_FOLDER;
}

/* ---- taking ---- */

typedef struct taking {
    clm_run *run;
    const clm_cli_arguments *arguments;
    const char *changeable;
    clm_string conflicts; /* "--batch 4 (not 2), --lr 0.001 (not 0.01)" */
    clm_string changes;   /* "--epochs is 8, where it was 5" */
} taking;

/* An option that was given otherwise than it is recorded. */
static clm_status take_given(taking *t, const clm_cli_option *option, const char *recorded,
                             const char *given) {
    const char *name = option->name;
    if (is_path(option) && is_same_path(t->run, recorded, given)) {
        return clm_cli_set(t->arguments, name, recorded);
    }
    if (!clm_cli_has_word(t->changeable, name, strlen(name))) {
        clm_string_add_format(&t->conflicts, "%s%s %s (not %s)",
                              t->conflicts.length > 0 ? ", " : "", name, recorded, given);
        return clm_string_status(&t->conflicts);
    }
    clm_string_add_format(&t->changes, "%s%s is %s, where it was %s",
                          t->changes.length > 0 ? ", and " : "", name, given, recorded);
    clm_status status = clm_string_status(&t->changes);
    if (is_path(option)) { /* kept so that it is found from anywhere */
        char *absolute = realpath(given, NULL);
        if (status == CLM_OK && absolute != NULL) {
            status = clm_run_set(t->run, name + 2, absolute);
            if (status == CLM_OK) {
                status = clm_cli_set(t->arguments, name, clm_run_get(t->run, name + 2));
            }
        }
        free(absolute);
    }
    return status;
}

static clm_status take_option(taking *t, const clm_cli_option *option, bool is_given) {
    const char *recorded = clm_run_get(t->run, option->name + 2);
    clm_string given = {0};
    clm_status status = CLM_OK;
    if (recorded == NULL) {
        return CLM_OK;
    }
    if (!is_given) {
        return clm_cli_set(t->arguments, option->name, recorded);
    }
    (void)clm_cli_add_value(&given, t->arguments, option->name);
    CLM_TRY(clm_string_status(&given));
    if (strcmp(given.text, recorded) != 0) {
        CLM_TRY(take_given(t, option, recorded, given.text));
    }
cleanup:
    clm_string_free(&given);
    return status;
}

clm_status clm_cli_take_options(clm_run *run, const clm_cli_arguments *arguments,
                                const clm_cli_value *preset, const char *changeable) {
    taking t = {.run = run, .arguments = arguments, .changeable = changeable};
    const clm_cli_option *option = NULL;
    clm_status status = CLM_OK;
    for (size_t i = 0; (option = clm_cli_option_at(arguments->command, i, NULL, NULL)) != NULL;
         i++) {
        CLM_TRY(take_option(&t, option,
                            clm_cli_given_text(arguments, option->name) != NULL ||
                                preset_text(preset, option->name) != NULL));
    }
    if (t.conflicts.length > 0) {
        status = clm_fail(CLM_ERROR_ARGUMENT,
                          "%s: goes on only with what it was started with: %s; leave that out, or "
                          "give it so",
                          clm_run_folder(run), t.conflicts.text);
    } else if (t.changes.length > 0) {
        clm_log(CLM_LOG_INFO, "from now on %s", t.changes.text);
    }
cleanup:
    clm_string_free(&t.conflicts);
    clm_string_free(&t.changes);
    return status;
}

/* ---- keeping ---- */

static clm_status keep_directory(clm_run *run) {
    char path[PATH_MAX];
    if (clm_run_get(run, directory_setting) != NULL && clm_run_is_resumed(run)) {
        return CLM_OK;
    }
    return getcwd(path, sizeof path) != NULL
               ? clm_run_set(run, directory_setting, path)
               : clm_fail_errno(errno, "the working directory is not known");
}

clm_status clm_cli_keep_options(clm_run *run, const clm_cli_arguments *arguments,
                                const char *except) {
    const clm_cli_option *option = NULL;
    clm_string value = {0};
    clm_status status = CLM_OK;
    CLM_TRY(keep_directory(run));
    for (size_t i = 0; (option = clm_cli_option_at(arguments->command, i, NULL, NULL)) != NULL;
         i++) {
        if (clm_cli_has_word(except, option->name, strlen(option->name))) {
            continue;
        }
        clm_string_clear(&value);
        if (clm_cli_add_value(&value, arguments, option->name)) {
            CLM_TRY(clm_string_status(&value));
            CLM_TRY(clm_run_set(run, option->name + 2, value.text));
        }
    }
cleanup:
    clm_string_free(&value);
    return status;
}

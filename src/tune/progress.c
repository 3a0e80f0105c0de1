/* SPDX-License-Identifier: Apache-2.0 */
#include "tune/progress.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/folder.h"
#include "base/json.h"
#include "base/memory.h"
#include "ops/tuning_file.h"

/* So many beginnings without an end, and a candidate is not tried again. */
enum { MOST_BEGINNINGS = 2 };

typedef struct clm_tune_record {
    clm_tune_kind kind;
    int preset;
    int round;
    const char *settings; /* owned by those in the list */
    clm_tune_outcome outcome;
    double speed;
    char why[sizeof((clm_tune_score *)NULL)->why];
} clm_tune_record;

static clm_status add_record(clm_tune_progress *progress, const clm_tune_record *record) {
    clm_status status = CLM_OK;
    char *settings = NULL;
    CLM_TRY(clm_reserve(&progress->records, &progress->capacity, progress->count + 1,
                        sizeof *record, "a tuning's progress"));
    CLM_TRY(clm_duplicate(&settings, record->settings));
    progress->records[progress->count] = *record;
    progress->records[progress->count].settings = settings;
    progress->count++;
cleanup:
    return status;
}

/* ---- reading ---- */

/* Fails for a line that is none. */
static clm_status parse_line(clm_tune_record *record, const cJSON *json, const char *path) {
    clm_status status = CLM_OK;
    const char *texts[4] = {NULL};
    static const char *const names[4] = {"kind", "settings", "outcome", "why"};
    for (int i = 0; i < 4; i++) {
        CLM_TRY(clm_json_get_string(json, names[i], true, &texts[i], path));
    }
    CLM_TRY(clm_json_get_int(json, "preset", true, 0, CLM_TUNE_SMALL, &record->preset, path));
    CLM_TRY(clm_json_get_int(json, "round", true, 0, 1 << 20, &record->round, path));
    CLM_TRY(clm_json_get_double(json, "speed", true, &record->speed, path));
    record->kind = CLM_TUNE_BACKENDS;
    for (int i = 0; i < CLM_TUNE_BACKENDS; i++) {
        if (strcmp(texts[0], clm_tune_kind_name((clm_tune_kind)i)) == 0) {
            record->kind = (clm_tune_kind)i;
        }
    }
    record->outcome = CLM_TUNE_STARTED;
    for (int i = 0; i < CLM_TUNE_OUTCOMES; i++) {
        if (strcmp(texts[2], clm_tune_outcome_name((clm_tune_outcome)i)) == 0) {
            record->outcome = (clm_tune_outcome)i;
        }
    }
    record->settings = texts[1]; /* copied by add_record() */
    (void)snprintf(record->why, sizeof record->why, "%s", texts[3]);
cleanup:
    return status;
}

static clm_status read_lines(clm_tune_progress *progress, const char *text, size_t count) {
    clm_status status = CLM_OK;
    for (size_t at = 0; at < count && status == CLM_OK;) {
        const char *end = memchr(text + at, '\n', count - at);
        const size_t length = end != NULL ? (size_t)(end - text) - at : count - at;
        cJSON *json = NULL;
        clm_tune_record record = {0};
        if (clm_json_parse(&json, text + at, length, progress->path) == CLM_OK &&
            parse_line(&record, json, progress->path) == CLM_OK) {
            status = add_record(progress, &record);
        } else {
            clm_error_clear();
        }
        cJSON_Delete(json);
        at += length + 1;
    }
    return status;
}

clm_status clm_tune_progress_open(clm_tune_progress *progress, const clm_device *device,
                                  bool restart) {
    clm_status status = CLM_OK;
    char *text = NULL;
    size_t count = 0;
    *progress = (clm_tune_progress){0};
    CLM_TRY(clm_tuned_path(&progress->path, device, "progress.jsonl"));
    if (restart && unlink(progress->path) != 0 && errno != ENOENT) {
        status = clm_fail_errno(errno, "%s cannot be removed", progress->path);
        goto cleanup;
    }
    if (clm_file_exists(progress->path)) {
        CLM_TRY(clm_file_read(progress->path, CLM_FILE_SETTINGS, &text, &count));
        CLM_TRY(read_lines(progress, text, count));
        if (count > 0 && text[count - 1] != '\n') { /* cut short: the next line is to stand alone */
            CLM_TRY(clm_cache_append(progress->path, "\n", 1));
        }
    }
cleanup:
    clm_free(text);
    return status;
}

void clm_tune_progress_close(clm_tune_progress *progress) {
    for (size_t i = 0; i < progress->count; i++) {
        clm_free((char *)progress->records[i].settings);
    }
    clm_free(progress->records);
    clm_free(progress->path);
    *progress = (clm_tune_progress){0};
}

/* ---- asking and adding ---- */

static bool is_refusal(clm_tune_outcome outcome) {
    return outcome == CLM_TUNE_WRONG || outcome == CLM_TUNE_FAILED || outcome == CLM_TUNE_CRASHED ||
           outcome == CLM_TUNE_HUNG;
}

bool clm_tune_progress_find(const clm_tune_progress *progress, const clm_tune_trial *trial,
                            int round, clm_tune_score *score) {
    clm_string settings = {0};
    bool found = false;
    int beginnings = 0;
    clm_tuning_describe(&settings, &trial->settings);
    const char *text = settings.text != NULL ? settings.text : "";
    for (size_t i = 0; i < progress->count && !found; i++) {
        const clm_tune_record *record = &progress->records[i];
        if (record->kind != trial->kind || strcmp(record->settings, text) != 0) {
            continue;
        }
        if (record->outcome == CLM_TUNE_STARTED) {
            beginnings++;
        } else if (record->outcome == CLM_TUNE_STOPPED) {
            beginnings--;
        } else if (is_refusal(record->outcome) ||
                   (record->preset == (int)trial->preset && record->round == round)) {
            *score = (clm_tune_score){.outcome = record->outcome, .speed = record->speed};
            (void)snprintf(score->why, sizeof score->why, "%s", record->why);
            found = true;
        } else {
            beginnings--;
        }
    }
    if (!found && beginnings >= MOST_BEGINNINGS) {
        *score = (clm_tune_score){.outcome = CLM_TUNE_CRASHED};
        (void)snprintf(score->why, sizeof score->why, "started %d times and never finished",
                       beginnings);
        found = true;
    }
    clm_string_free(&settings);
    return found;
}

clm_status clm_tune_progress_add(clm_tune_progress *progress, const clm_tune_trial *trial,
                                 int round, const clm_tune_score *score) {
    clm_status status = CLM_OK;
    clm_string settings = {0};
    clm_string line = {0};
    clm_tuning_describe(&settings, &trial->settings);
    CLM_TRY(clm_string_status(&settings));
    clm_tune_record record = {.kind = trial->kind,
                              .preset = (int)trial->preset,
                              .round = round,
                              .settings = settings.text,
                              .outcome = score->outcome,
                              .speed = score->speed};
    if (record.settings == NULL) {
        record.settings = "";
    }
    (void)snprintf(record.why, sizeof record.why, "%s", score->why);
    clm_string_add_format(&line,
                          "{\"kind\": \"%s\", \"preset\": %d, \"round\": %d, \"settings\": "
                          "\"%s\", \"outcome\": \"%s\", \"speed\": ",
                          clm_tune_kind_name(trial->kind), (int)trial->preset, round,
                          record.settings, clm_tune_outcome_name(score->outcome));
    clm_json_add_double(&line, score->speed);
    clm_string_add(&line, ", \"why\": ");
    clm_json_add_string(&line, score->why);
    clm_string_add(&line, "}\n");
    CLM_TRY(clm_string_status(&line));
    CLM_TRY(clm_cache_append(progress->path, line.text, line.length));
    CLM_TRY(add_record(progress, &record));
cleanup:
    clm_string_free(&line);
    clm_string_free(&settings);
    return status;
}

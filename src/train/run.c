/* SPDX-License-Identifier: Apache-2.0 */
#include "train/run.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "base/file.h"
#include "base/folder.h"
#include "base/json.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/string.h"
#include "train/checkpoint.h"

static const char record_name[] = "run.json";
static const char weights_name[] = "model.safetensors";

enum {
    NOTES_MOST = 200,   /* bad input may be warned of line by line */
    SETTINGS_MOST = 128 /* of a run.json that is read */
};

typedef struct setting {
    char *name;
    char *value;
} setting;

typedef struct note {
    char *text;
    bool written; /* metrics.jsonl has it */
} note;

struct clm_run {
    clm_folder folder;
    char *checkpoint_path; /* for what needs paths, and for messages */
    char *record_path;
    bool made_folder;
    bool begun;
    bool has_checkpoint;
    clm_run_use use;
    setting *settings;
    size_t setting_count, setting_capacity;
    note *notes;
    size_t note_count, note_capacity;
    clm_log_recorder recorder;
};

/* ---- settings ---- */

static setting *find_setting(const clm_run *run, const char *name) {
    for (size_t i = 0; i < run->setting_count; i++) {
        if (strcmp(run->settings[i].name, name) == 0) {
            return &run->settings[i];
        }
    }
    return NULL;
}

static void remove_setting(clm_run *run, setting *s) {
    const size_t at = (size_t)(s - run->settings);
    clm_free(s->name);
    clm_free(s->value);
    run->setting_count--;
    memmove(s, s + 1, (run->setting_count - at) * sizeof *s);
}

clm_status clm_run_set(clm_run *run, const char *name, const char *value) {
    setting *there = find_setting(run, name);
    setting fresh = {0};
    clm_status status = CLM_OK;
    if (value == NULL) {
        if (there != NULL) {
            remove_setting(run, there);
        }
        return CLM_OK;
    }
    if (there != NULL && strcmp(there->value, value) == 0) {
        return CLM_OK; /* what was lent of it stays */
    }
    CLM_TRY(clm_duplicate(&fresh.value, value));
    if (there != NULL) {
        clm_free(there->value);
        there->value = fresh.value;
        fresh.value = NULL;
        goto cleanup;
    }
    CLM_TRY(clm_reserve(&run->settings, &run->setting_capacity, run->setting_count + 1,
                        sizeof *run->settings, "settings"));
    CLM_TRY(clm_duplicate(&fresh.name, name));
    run->settings[run->setting_count++] = fresh;
    fresh = (setting){0};
cleanup:
    clm_free(fresh.name);
    clm_free(fresh.value);
    return status;
}

const char *clm_run_get(const clm_run *run, const char *name) {
    const setting *s = find_setting(run, name);
    return s != NULL ? s->value : NULL;
}

static clm_status write_record(const clm_run *run, const char *device) {
    clm_string text = {0};
    clm_status status = CLM_OK;
    clm_string_add(&text, "{\n  \"format\": \"clm-run-1\",\n  \"clm\": ");
    clm_json_add_string(&text, clm_version());
    clm_string_add(&text, ",\n  \"device\": ");
    clm_json_add_string(&text, device);
    clm_string_add(&text, ",\n  \"settings\": {");
    for (size_t i = 0; i < run->setting_count; i++) {
        clm_string_add(&text, i > 0 ? ",\n    " : "\n    ");
        clm_json_add_string(&text, run->settings[i].name);
        clm_string_add(&text, ": ");
        clm_json_add_string(&text, run->settings[i].value);
    }
    clm_string_add(&text, run->setting_count > 0 ? "\n  }\n}\n" : "}\n}\n");
    CLM_TRY(clm_string_status(&text));
    CLM_TRY(clm_folder_write(&run->folder, record_name, text.text, text.length));
cleanup:
    clm_string_free(&text);
    return status;
}

/* Runs of earlier versions have no record, so that who resumes them says everything again. */
static clm_status read_record(clm_run *run) {
    const char *path = run->record_path;
    const char *format = NULL;
    char *text = NULL;
    size_t size_bytes = 0;
    cJSON *json = NULL;
    clm_status status = CLM_OK;
    if (!clm_folder_has(&run->folder, record_name)) {
        return CLM_OK;
    }
    CLM_TRY(clm_folder_read(&run->folder, record_name, CLM_FILE_CONFIG, &text, &size_bytes));
    CLM_TRY(clm_json_parse(&json, text, size_bytes, path));
    CLM_TRY(clm_json_get_string(json, "format", true, &format, path));
    const cJSON *settings = cJSON_GetObjectItemCaseSensitive(json, "settings");
    if (strcmp(format, "clm-run-1") != 0) {
        status = clm_fail(CLM_ERROR_FORMAT, "%s: is not a record of a run that this version reads",
                          path);
        goto cleanup;
    }
    if (!cJSON_IsObject(settings) || cJSON_GetArraySize(settings) > SETTINGS_MOST) {
        status =
            clm_fail(CLM_ERROR_FORMAT, "%s: \"settings\" must be an object of up to %d members",
                     path, SETTINGS_MOST);
        goto cleanup;
    }
    for (const cJSON *s = settings->child; s != NULL; s = s->next) {
        if (cJSON_IsNull(s)) {
            continue;
        }
        if (!cJSON_IsString(s)) {
            status = clm_fail(CLM_ERROR_FORMAT, "%s: \"%.100s\" is not a string", path, s->string);
            goto cleanup;
        }
        CLM_TRY(clm_run_set(run, s->string, s->valuestring));
    }
cleanup:
    cJSON_Delete(json);
    clm_free(text);
    return status;
}

/* ---- notes ---- */

static size_t find_note(const clm_run *run, const char *text) {
    size_t i = 0;
    while (i < run->note_count && strcmp(run->notes[i].text, text) != 0) {
        i++;
    }
    return i;
}

/* A note that is there already stays where it is. */
static clm_status add_note(clm_run *run, const char *text, bool written) {
    clm_status status = CLM_OK;
    note fresh = {.written = written};
    if (find_note(run, text) < run->note_count || run->note_count >= NOTES_MOST) {
        return CLM_OK;
    }
    CLM_TRY(clm_reserve(&run->notes, &run->note_capacity, run->note_count + 1, sizeof *run->notes,
                        "notes"));
    CLM_TRY(clm_duplicate(&fresh.text, text));
    run->notes[run->note_count++] = fresh;
cleanup:
    return status;
}

clm_status clm_run_note(clm_run *run, const char *text) {
    return add_note(run, text, false);
}

/* Warnings come from calls that go on: one that cannot be kept is lost. */
static void take_warning(void *context, const char *message) {
    clm_error_hold();
    (void)clm_run_note(context, message);
    clm_error_release();
}

size_t clm_run_note_count(const clm_run *run) {
    return run->note_count;
}

const char *clm_run_note_at(const clm_run *run, size_t i) {
    return run->notes[i].text;
}

typedef struct taken_over {
    clm_run *run;
    size_t count;
} taken_over;

/* Those of the file come first, in its order. */
static clm_status take_note(void *context, const cJSON *line, const char *where) {
    taken_over *over = context;
    clm_run *run = over->run;
    const char *text = NULL;
    clm_status status = CLM_OK;
    CLM_TRY(clm_json_get_string(line, "text", true, &text, where));
    CLM_TRY(add_note(run, text, true));
    const size_t at = find_note(run, text);
    if (at >= over->count && at < run->note_count) {
        note moved = run->notes[at];
        moved.written = true;
        memmove(&run->notes[over->count + 1], &run->notes[over->count],
                (at - over->count) * sizeof moved);
        run->notes[over->count++] = moved;
    }
cleanup:
    return status;
}

clm_status clm_run_read_notes(clm_run *run, const clm_metrics_writer *metrics) {
    taken_over over = {.run = run};
    return clm_metrics_each(metrics, "note", take_note, &over);
}

clm_status clm_run_write_notes(clm_run *run, clm_metrics_writer *metrics) {
    clm_status status = CLM_OK;
    for (size_t i = 0; i < run->note_count; i++) {
        if (!run->notes[i].written) {
            CLM_TRY(clm_metrics_writer_note(metrics, run->notes[i].text));
            run->notes[i].written = true;
        }
    }
cleanup:
    return status;
}

/* ---- the folder ---- */

const char *clm_run_folder(const clm_run *run) {
    return run->folder.path;
}

const clm_folder *clm_run_open_folder(const clm_run *run) {
    return &run->folder;
}

const char *clm_run_checkpoint_path(const clm_run *run) {
    return run->checkpoint_path;
}

bool clm_run_is_resumed(const clm_run *run) {
    return run->has_checkpoint && (run->use == CLM_RUN_RESUME || run->use == CLM_RUN_RESUME_OR_NEW);
}

/* What is saved by paths must not lead elsewhere. */
static clm_status check_links(const clm_run *run) {
    static const char *const names[] = {"config.json",
                                        "model.safetensors",
                                        "tokenizer.json",
                                        "tokenizer_config.json",
                                        "special_tokens_map.json",
                                        "added_tokens.json",
                                        "vocab.json",
                                        "merges.txt"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        struct stat about;
        if (fstatat(run->folder.descriptor, names[i], &about, AT_SYMLINK_NOFOLLOW) == 0 &&
            S_ISLNK(about.st_mode)) {
            return clm_fail(CLM_ERROR_IO,
                            "%s/%s: is a symbolic link, through which nothing is saved",
                            run->folder.path, names[i]);
        }
    }
    return CLM_OK;
}

/* Whether what the folder holds is as `use` wants it. */
static clm_status check_contents(clm_run *run) {
    const char *folder = run->folder.path;
    const bool has_weights = clm_folder_has(&run->folder, weights_name);
    run->has_checkpoint = clm_folder_has(&run->folder, clm_checkpoint_name);
    const bool has_run = run->has_checkpoint || clm_folder_has(&run->folder, clm_metrics_name) ||
                         clm_folder_has(&run->folder, record_name);
    /* Every model that a run saves has a checkpoint beside it: this one is somebody's. */
    if (has_weights && !run->has_checkpoint && !(has_run && run->use == CLM_RUN_REPLACE)) {
        return clm_fail(CLM_ERROR_EXISTS,
                        "%s: holds a model but no checkpoint, so there is no run to resume; "
                        "choose another folder",
                        folder);
    }
    if (has_run && run->use == CLM_RUN_NEW) {
        return clm_fail(CLM_ERROR_EXISTS,
                        "%s: holds a run already; choose another folder, go on with --resume, or "
                        "replace it with --force",
                        folder);
    }
    if (!run->has_checkpoint && run->use == CLM_RUN_RESUME) {
        return clm_fail(CLM_ERROR_NOT_FOUND,
                        "%s: has no checkpoint to resume from; --force trains from the start",
                        folder);
    }
    return CLM_OK;
}

clm_status clm_run_open(clm_run **run, const char *folder, clm_run_use use) {
    clm_run *opened = NULL;
    clm_status status = CLM_OK;
    *run = NULL;
    if (folder[0] == '\0') {
        return clm_fail(CLM_ERROR_ARGUMENT, "the folder of the run has no name");
    }
    CLM_TRY(clm_allocate(&opened, 1, sizeof *opened, "a run"));
    opened->use = use;
    opened->recorder = (clm_log_recorder){.take = take_warning, .context = opened};
    clm_log_record(&opened->recorder);
    opened->made_folder = !clm_file_exists(folder);
    if (opened->made_folder && use == CLM_RUN_RESUME) {
        opened->made_folder = false;
        status = clm_fail(CLM_ERROR_NOT_FOUND, "%s: there is no such run to resume", folder);
        goto cleanup;
    }
    CLM_TRY(clm_folder_make(folder));
    CLM_TRY(clm_folder_open(&opened->folder, folder));
    CLM_TRY(clm_folder_path(&opened->checkpoint_path, &opened->folder, clm_checkpoint_name));
    CLM_TRY(clm_folder_path(&opened->record_path, &opened->folder, record_name));
    CLM_TRY(clm_folder_lock(&opened->folder));
    CLM_TRY(check_contents(opened));
    CLM_TRY(check_links(opened));
    if (clm_run_is_resumed(opened)) {
        CLM_TRY(read_record(opened));
    }
    *run = opened;
    opened = NULL;
cleanup:
    clm_run_close(opened);
    return status;
}

void clm_run_close(clm_run *run) {
    if (run == NULL) {
        return;
    }
    clm_log_stop_recording(&run->recorder);
    if (run->made_folder && !run->begun) {
        clm_folder_close_and_remove(&run->folder);
    } else {
        clm_folder_close(&run->folder);
    }
    while (run->setting_count > 0) {
        remove_setting(run, &run->settings[run->setting_count - 1]);
    }
    clm_free(run->settings);
    for (size_t i = 0; i < run->note_count; i++) {
        clm_free(run->notes[i].text);
    }
    clm_free(run->notes);
    clm_free(run->checkpoint_path);
    clm_free(run->record_path);
    clm_free(run);
}

/* ---- training begins ---- */

/* The checkpoint first: without it, what is left cannot be mistaken for a run to resume. */
static clm_status remove_old(const clm_run *run) {
    const char *const names[] = {clm_checkpoint_name, weights_name, clm_metrics_name, record_name};
    clm_status status = CLM_OK;
    for (size_t i = 0; i < sizeof names / sizeof *names && status == CLM_OK; i++) {
        status = clm_folder_remove(&run->folder, names[i]);
    }
    return status;
}

clm_status clm_run_begin(clm_run *run, const char *device) {
    clm_status status = CLM_OK;
    run->begun = true;
    clm_folder_remove_parts(&run->folder);
    if (!clm_run_is_resumed(run)) {
        CLM_TRY(remove_old(run));
    }
    CLM_TRY(write_record(run, device));
cleanup:
    return status;
}

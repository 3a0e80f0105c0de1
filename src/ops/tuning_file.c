/* SPDX-License-Identifier: Apache-2.0 */
#include "ops/tuning_file.h"

#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/folder.h"
#include "base/hash.h"
#include "base/json.h"
#include "base/log.h"
#include "base/memory.h"

/* Changes when what stands in the file does, or what it means. */
enum { FILE_FORMAT = 1 };

clm_tuned clm_tuned_nothing(void) {
    return (clm_tuned){.settings = clm_tuning_defaults()};
}

/* ---- the key ---- */

enum { KEY_TEXTS = 5 };

/* The texts of the key, by their names in the file. */
static void key_texts(const char *names[KEY_TEXTS], const char *texts[KEY_TEXTS],
                      const clm_device *device) {
    const clm_device_info *info = clm_device_get_info(device);
    static const char *const all[KEY_TEXTS] = {"device", "platform", "platform_version", "driver",
                                               "clm"};
    memcpy(names, all, sizeof all);
    texts[0] = info->name;
    texts[1] = info->platform;
    texts[2] = info->platform_version;
    texts[3] = info->driver;
    texts[4] = clm_version();
}

static void describe_key(clm_string *text, const clm_device *device) {
    const char *names[KEY_TEXTS];
    const char *texts[KEY_TEXTS];
    key_texts(names, texts, device);
    for (int i = 0; i < KEY_TEXTS; i++) {
        clm_string_add_format(text, " \"%s\": ", names[i]);
        clm_json_add_string(text, texts[i]);
        clm_string_add(text, ",\n");
    }
    clm_string_add_format(text, " \"compute_units\": %d,\n \"clblast\": %s,\n",
                          clm_device_get_info(device)->compute_units,
                          CLM_WITH_CLBLAST ? "true" : "false");
}

static clm_status compare_key(const cJSON *json, const clm_device *device, const char *path) {
    clm_status status = CLM_OK;
    const char *names[KEY_TEXTS];
    const char *texts[KEY_TEXTS];
    int units = 0;
    bool clblast = false;
    key_texts(names, texts, device);
    for (int i = 0; i < KEY_TEXTS; i++) {
        const char *kept = NULL;
        CLM_TRY(clm_json_get_string(json, names[i], true, &kept, path));
        if (strcmp(kept, texts[i]) != 0) {
            status = clm_fail(CLM_ERROR_FORMAT,
                              "%s: tuned for %s \"%s\", and this is \"%s\"; --force takes it "
                              "nevertheless",
                              path, names[i], kept, texts[i]);
            goto cleanup;
        }
    }
    CLM_TRY(clm_json_get_int(json, "compute_units", true, 0, 1 << 30, &units, path));
    CLM_TRY(clm_json_get_bool(json, "clblast", true, &clblast, path));
    if (units != clm_device_get_info(device)->compute_units || clblast != (CLM_WITH_CLBLAST != 0)) {
        status = clm_fail(CLM_ERROR_FORMAT,
                          "%s: tuned for %d compute units, %s CLBlast; --force takes it "
                          "nevertheless",
                          path, units, clblast ? "with" : "without");
    }
cleanup:
    return status;
}

clm_status clm_tuned_path(char **path, const clm_device *device, const char *ending) {
    clm_status status = CLM_OK;
    clm_string key = {0};
    clm_folder folder = {0};
    char name[64];
    *path = NULL;
    describe_key(&key, device);
    CLM_TRY(clm_string_status(&key));
    (void)snprintf(name, sizeof name, "%016llx.%s",
                   (unsigned long long)clm_hash(CLM_HASH_START, key.text, key.length), ending);
    CLM_TRY(clm_cache_open(&folder, "tuning"));
    CLM_TRY(clm_folder_path(path, &folder, name));
cleanup:
    clm_folder_close(&folder);
    clm_string_free(&key);
    return status;
}

/* ---- writing ---- */

void clm_tuned_describe(clm_string *text, const clm_tuned *tuned, const clm_device *device) {
    clm_string_add_format(text, "{\"format\": %d,\n", FILE_FORMAT);
    describe_key(text, device);
    clm_string_add(text, " \"preset\": ");
    clm_json_add_string(text, tuned->preset);
    clm_string_add_format(text, ",\n \"gain\": %.3f,\n", tuned->gain);
    clm_string_add_format(text,
                          " \"peak_gflops\": %.1f, \"own_gflops\": %.1f, "
                          "\"clblast_gflops\": %.1f,\n \"settings\": {",
                          tuned->peak_gflops, tuned->own_gflops, tuned->clblast_gflops);
    const char *comma = "\n";
    for (int i = 0; i < CLM_SETTING_COUNT; i++) {
        const clm_setting setting = (clm_setting)i;
        if (tuned->settings.values[i] != CLM_NOT_SET) {
            const char *quote = clm_setting_is_word(setting) ? "\"" : "";
            clm_string_add_format(text, "%s  \"%s\": %s", comma, clm_setting_name(setting), quote);
            clm_setting_describe(text, setting, tuned->settings.values[i]);
            clm_string_add(text, quote);
            comma = ",\n";
        }
    }
    clm_string_add(text, "\n }}\n");
}

clm_status clm_tuned_write(const clm_tuned *tuned, const char *path, const clm_device *device) {
    clm_status status = CLM_OK;
    clm_string text = {0};
    clm_tuned_describe(&text, tuned, device);
    CLM_TRY(clm_string_status(&text));
    CLM_TRY(clm_file_write(path, text.text, text.length));
cleanup:
    clm_string_free(&text);
    return status;
}

/* ---- reading ---- */

static clm_status read_settings(clm_tuning *settings, const cJSON *json, const char *path) {
    clm_status status = CLM_OK;
    const cJSON *all = cJSON_GetObjectItemCaseSensitive(json, "settings");
    const cJSON *item = NULL;
    if (!cJSON_IsObject(all)) {
        return clm_fail(CLM_ERROR_FORMAT, "%s: \"settings\" must be an object", path);
    }
    cJSON_ArrayForEach(item, all) {
        char number[24];
        if (cJSON_IsNull(item)) {
            continue;
        }
        const char *text = cJSON_IsString(item) ? item->valuestring : number;
        (void)snprintf(number, sizeof number, "%d", item->valueint);
        if (cJSON_IsNumber(item) && item->valuedouble != (double)item->valueint) {
            text = "a fraction";
        } else if (!cJSON_IsNumber(item) && !cJSON_IsString(item)) {
            text = "neither number nor text";
        }
        status = clm_tuning_set_text(settings, item->string, text);
        if (status != CLM_OK) {
            return clm_error_prefix(status, "%s", path);
        }
    }
    return status;
}

/* A ratio or a speed, as measuring gives it. */
static clm_status read_figure(double *figure, const cJSON *json, const char *name,
                              const char *path) {
    const clm_status status = clm_json_get_double(json, name, false, figure, path);
    if (status == CLM_OK && !(*figure >= 0.0 && *figure <= 1e12)) {
        return clm_fail(CLM_ERROR_FORMAT, "%s: \"%s\" is %g, which is implausible", path, name,
                        *figure);
    }
    return status;
}

static clm_status read_file(clm_tuned *tuned, const char *path, clm_file_kind kind,
                            const clm_device *device, bool any_device) {
    clm_status status = CLM_OK;
    cJSON *json = NULL;
    const char *preset = "";
    int format = 0;
    clm_tuned read = clm_tuned_nothing();
    CLM_TRY(clm_json_read(&json, path, kind));
    if (!cJSON_IsObject(json)) {
        status = clm_fail(CLM_ERROR_FORMAT, "%s: not a file of settings", path);
        goto cleanup;
    }
    CLM_TRY(clm_json_get_int(json, "format", true, FILE_FORMAT, FILE_FORMAT, &format, path));
    if (!any_device) {
        CLM_TRY(compare_key(json, device, path));
    }
    CLM_TRY(clm_json_get_line(json, "preset", true, &preset, path));
    (void)snprintf(read.preset, sizeof read.preset, "%s", preset);
    CLM_TRY(read_figure(&read.gain, json, "gain", path));
    CLM_TRY(read_figure(&read.peak_gflops, json, "peak_gflops", path));
    CLM_TRY(read_figure(&read.own_gflops, json, "own_gflops", path));
    CLM_TRY(read_figure(&read.clblast_gflops, json, "clblast_gflops", path));
    CLM_TRY(read_settings(&read.settings, json, path));
    status = clm_tuning_check(&read.settings, device);
    if (status != CLM_OK) {
        status = clm_error_prefix(status, "%s", path);
        goto cleanup;
    }
    *tuned = read;
cleanup:
    cJSON_Delete(json);
    return status;
}

clm_status clm_tuned_read(clm_tuned *tuned, const char *path, const clm_device *device,
                          bool any_device) {
    return read_file(tuned, path, CLM_FILE_REPORT, device, any_device);
}

/* ---- of a device ---- */

/* A person may have written it: what cannot be used is not overwritten. */
static void move_aside(const char *path) {
    clm_string aside = {0};
    clm_string_add_format(&aside, "%s.broken", path);
    if (clm_string_status(&aside) == CLM_OK) {
        (void)rename(path, aside.text);
    }
    clm_string_free(&aside);
}

void clm_tuned_load(clm_tuned *tuned, const clm_device *device) {
    char *path = NULL;
    *tuned = clm_tuned_nothing();
    if (clm_tuning_is_off()) {
        return;
    }
    /* Without a folder there is nothing to read; clm_tuned_keep() says so when it matters. */
    if (clm_tuned_path(&path, device, "json") != CLM_OK) {
        clm_error_clear();
        return;
    }
    if (clm_file_exists(path) &&
        read_file(tuned, path, CLM_FILE_SETTINGS, device, false) != CLM_OK) {
        clm_log(CLM_LOG_WARNING, "tuning: the defaults are used, and the file is moved aside: %s",
                clm_error_message());
        clm_error_clear();
        move_aside(path);
    }
    clm_free(path);
}

clm_status clm_tuned_store(const clm_tuned *tuned, const clm_device *device) {
    clm_status status = CLM_OK;
    clm_string text = {0};
    char *path = NULL;
    clm_tuned_describe(&text, tuned, device);
    CLM_TRY(clm_string_status(&text));
    CLM_TRY(clm_tuned_path(&path, device, "json"));
    CLM_TRY(clm_cache_write(path, text.text, text.length));
cleanup:
    clm_free(path);
    clm_string_free(&text);
    return status;
}

void clm_tuned_keep(const clm_tuned *tuned, const clm_device *device) {
    if (clm_tuned_store(tuned, device) != CLM_OK) {
        clm_log(CLM_LOG_WARNING, "tuning: what was measured cannot be kept: %s",
                clm_error_message());
        clm_error_clear();
    }
}

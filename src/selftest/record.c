/* SPDX-License-Identifier: Apache-2.0 */
#include "selftest/record.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/folder.h"
#include "base/hash.h"
#include "base/json.h"
#include "base/log.h"
#include "base/memory.h"
#include "ops/tuning_file.h"

/* Changes when the file's content does, or when the test covers more. */
enum { FILE_FORMAT = 1 };

const char *clm_selftest_outcome_name(clm_selftest_outcome outcome) {
    switch (outcome) {
        case CLM_SELFTEST_PASSED:
            return "passed";
        case CLM_SELFTEST_REPLACED:
            return "passed with stand-ins";
        case CLM_SELFTEST_REFUSED:
            return "refused";
        case CLM_SELFTEST_UNKNOWN:
            break;
    }
    return "not tested";
}

static const char *environment(const char *name) {
    const char *text = getenv(name);
    return text != NULL ? text : "";
}

/* The settings but for those which the first use of a device adds by itself: the GEMM, and the
 * arithmetic. */
static clm_status make_key(clm_string *key, const clm_device *device) {
    const clm_device_info *info = clm_device_get_info(device);
    clm_tuning settings = *clm_tuning_of(device);
    uint64_t sources = 0;
    clm_status status = clm_kernel_sources_hash(&sources);
    if (status != CLM_OK) {
        return status;
    }
    settings.values[CLM_SET_GEMM_BACKEND] = CLM_NOT_SET;
    settings.values[CLM_SET_GEMM_ARITHMETIC] = CLM_NOT_SET;
    clm_string_add_format(key, "%s | %s | %s | %s | %s | %d units | clm %s | kernels %016" PRIx64,
                          info->name, info->platform, info->platform_version, info->driver,
                          info->version, info->compute_units, clm_version(), sources);
    clm_string_add_format(key, " | CLBlast %d | form %s | gemm %s | halves %s | ", CLM_WITH_CLBLAST,
                          environment("CLM_OPS_VARIANT"), environment("CLM_GEMM"),
                          environment("CLM_HALF_ARITHMETIC"));
    clm_tuning_describe(key, &settings);
    return clm_string_status(key);
}

clm_status clm_selftest_record_place(char **path, char **key, const clm_device *device,
                                     const char *ending) {
    char name[48];
    clm_string text = {0};
    clm_status status = CLM_OK;
    *path = NULL;
    *key = NULL;
    CLM_TRY(make_key(&text, device));
    (void)snprintf(name, sizeof name, "selftest-%016" PRIx64 ".%s",
                   clm_hash(CLM_HASH_START, text.text, text.length), ending);
    CLM_TRY(clm_tuned_path(path, device, name));
    *key = text.text;
    text = (clm_string){0};
cleanup:
    clm_string_free(&text);
    return status;
}

/* ---- reading ---- */

/* Whether the GEMM that was tested is still the one that the device's settings name. */
static bool same_gemm(const char *tested, const clm_device *device) {
    const int backend = clm_tuning_get(clm_tuning_of(device), CLM_SET_GEMM_BACKEND, CLM_GEMM_AUTO);
    const bool was_clblast = strcmp(tested, clm_gemm_backend_name(CLM_GEMM_CLBLAST)) == 0;
    return environment("CLM_GEMM")[0] != '\0' || backend == CLM_GEMM_AUTO ||
           was_clblast == (backend == CLM_GEMM_CLBLAST);
}

static clm_status parse(clm_selftest_report *report, const cJSON *json, const char *key,
                        const char *path, const clm_device *device) {
    clm_selftest_report read = {0};
    clm_status status = CLM_OK;
    int format = 0;
    const char *texts[5] = {0};
    static const char *const names[5] = {"key", "gemm", "outcome", "replaced", "why"};
    CLM_TRY(clm_json_get_int(json, "format", true, FILE_FORMAT, FILE_FORMAT, &format, path));
    for (size_t i = 0; i < 5; i++) {
        CLM_TRY(clm_json_get_line(json, names[i], true, &texts[i], path));
    }
    CLM_TRY(clm_json_get_int(json, "comparisons", true, 0, 1 << 30, &read.comparisons, path));
    CLM_TRY(clm_json_get_double(json, "seconds", true, &read.seconds, path));
    for (int i = CLM_SELFTEST_PASSED; i <= CLM_SELFTEST_REFUSED; i++) {
        if (strcmp(texts[2], clm_selftest_outcome_name((clm_selftest_outcome)i)) == 0) {
            read.outcome = (clm_selftest_outcome)i;
        }
    }
    if (read.outcome == CLM_SELFTEST_UNKNOWN || !(read.seconds >= 0.0 && read.seconds <= 1e9) ||
        strlen(texts[3]) >= sizeof read.replaced || strlen(texts[4]) >= sizeof read.why) {
        status = clm_fail(CLM_ERROR_FORMAT, "%s: not what clm writes", path);
        goto cleanup;
    }
    (void)snprintf(read.replaced, sizeof read.replaced, "%s", texts[3]);
    (void)snprintf(read.why, sizeof read.why, "%s", texts[4]);
    if (strcmp(texts[0], key) == 0 && same_gemm(texts[1], device)) {
        *report = read;
    }
cleanup:
    return status;
}

clm_status clm_selftest_record_load(clm_selftest_report *report, clm_device *device) {
    char *path = NULL;
    cJSON *json = NULL;
    char *key = NULL;
    *report = (clm_selftest_report){0};
    clm_status status = clm_selftest_record_place(&path, &key, device, "json");
    if (status == CLM_OK && clm_file_exists(path)) {
        status = clm_json_read(&json, path, CLM_FILE_SETTINGS);
        if (status == CLM_OK) {
            status = parse(report, json, key, path, device);
        }
    }
    if (status != CLM_OK && status != CLM_ERROR_MEMORY) {
        clm_log(CLM_LOG_DEBUG, "self-test: the stored result cannot be read: %s",
                clm_error_message());
        clm_error_clear();
        status = CLM_OK;
    }
    cJSON_Delete(json);
    clm_free(key);
    clm_free(path);
    return status;
}

/* ---- writing ---- */

static void describe(clm_string *text, const clm_selftest_report *report, const char *key,
                     clm_gemm_backend gemm) {
    const struct {
        const char *name;
        const char *text;
    } members[] = {{"key", key},
                   {"gemm", clm_gemm_backend_name(gemm)},
                   {"outcome", clm_selftest_outcome_name(report->outcome)},
                   {"replaced", report->replaced},
                   {"why", report->why}};
    clm_string_add_format(text, "{\"format\": %d", FILE_FORMAT);
    for (size_t i = 0; i < sizeof members / sizeof *members; i++) {
        clm_string_add_format(text, ",\n \"%s\": ", members[i].name);
        clm_json_add_string(text, members[i].text);
    }
    clm_string_add_format(text, ",\n \"comparisons\": %d,\n \"seconds\": %.2f}\n",
                          report->comparisons, report->seconds);
}

bool clm_selftest_record_keep(const clm_selftest_report *report, clm_device *device,
                              clm_gemm_backend gemm) {
    char *path = NULL;
    char *key = NULL;
    clm_string text = {0};
    clm_error_aside aside;
    clm_error_set_aside(&aside);
    clm_status status = clm_selftest_record_place(&path, &key, device, "json");
    if (status == CLM_OK) {
        describe(&text, report, key, gemm);
        status = clm_string_status(&text);
    }
    if (status == CLM_OK) {
        status = clm_cache_write(path, text.text, text.length);
    }
    if (status != CLM_OK) {
        clm_log(CLM_LOG_WARNING,
                "self-test: its result cannot be kept, so it runs again the next time: %s",
                clm_error_message());
    }
    clm_error_put_back(&aside);
    clm_free(path);
    clm_free(key);
    clm_string_free(&text);
    return status == CLM_OK;
}

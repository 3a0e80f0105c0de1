/* Reports as JSON: {"schema": "clm-bench", "schema_version": 1, "reports": [...]}.
 *
 * What follows from other members (rates, shares, "noisy") is written for other readers, and not
 * read back: it is computed again.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "base/json.h"

#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/memory.h"
#include "bench/bench.h"

/* ---- members, in the order of the file ---- */

typedef struct text_member {
    const char *name;
    size_t offset, size;
} text_member;

typedef struct number_member {
    const char *name;
    size_t offset;
} number_member;

#define TEXT(type, member) \
    { #member, offsetof(type, member), sizeof(((type *)NULL)->member) }
#define NUMBER(type, member) \
    { #member, offsetof(type, member) }

static const text_member report_texts[] = {
    TEXT(clm_bench_report, program), TEXT(clm_bench_report, program_version),
    TEXT(clm_bench_report, date),    TEXT(clm_bench_report, device),
    TEXT(clm_bench_report, vendor),  TEXT(clm_bench_report, platform),
    TEXT(clm_bench_report, driver),  TEXT(clm_bench_report, device_version),
    TEXT(clm_bench_report, type),    TEXT(clm_bench_report, model),
    TEXT(clm_bench_report, gemm),
};
static const number_member report_numbers[] = {
    NUMBER(clm_bench_report, seconds),
    NUMBER(clm_bench_report, peak_gflops),
    NUMBER(clm_bench_report, copy_gbytes_second),
    NUMBER(clm_bench_report, noise),
    NUMBER(clm_bench_report, noise_limit),
};
static const text_member result_texts[] = {
    TEXT(clm_bench_result, name),
    TEXT(clm_bench_result, parameters),
    TEXT(clm_bench_result, skipped),
    TEXT(clm_bench_result, item),
};
static const number_member result_numbers[] = {
    NUMBER(clm_bench_result, flop),           NUMBER(clm_bench_result, bytes),
    NUMBER(clm_bench_result, items),          NUMBER(clm_bench_result, median),
    NUMBER(clm_bench_result, minimum),        NUMBER(clm_bench_result, lower_quartile),
    NUMBER(clm_bench_result, upper_quartile),
};
static const number_member derived_numbers[] = {
    NUMBER(clm_bench_result, gflops),          NUMBER(clm_bench_result, gbytes_second),
    NUMBER(clm_bench_result, items_second),    NUMBER(clm_bench_result, peak_share),
    NUMBER(clm_bench_result, bandwidth_share),
};
#define COUNT(array) (sizeof(array) / sizeof *(array))

/* ---- writing ---- */

static void add_texts(clm_string *out, const void *from, const text_member *members, size_t count) {
    for (size_t i = 0; i < count; i++) {
        clm_string_add_format(out, "\"%s\":", members[i].name);
        clm_json_add_string(out, (const char *)from + members[i].offset);
        clm_string_add(out, ",");
    }
}

static void add_numbers(clm_string *out, const void *from, const number_member *members,
                        size_t count) {
    for (size_t i = 0; i < count; i++) {
        double value = 0.0;
        memcpy(&value, (const char *)from + members[i].offset, sizeof value);
        clm_string_add_format(out, "\"%s\":", members[i].name);
        clm_json_add_double(out, value);
        clm_string_add(out, ",");
    }
}

static void add_result(clm_string *out, const clm_bench_result *result) {
    clm_string_add(out, "{");
    add_texts(out, result, result_texts, COUNT(result_texts));
    add_numbers(out, result, result_numbers, COUNT(result_numbers));
    add_numbers(out, result, derived_numbers, COUNT(derived_numbers));
    clm_string_add_format(out, "\"samples\":%d,\"repeats\":%d}", result->samples, result->repeats);
}

static void add_report(clm_string *out, const clm_bench_report *report) {
    clm_string_add(out, "{");
    add_texts(out, report, report_texts, COUNT(report_texts));
    add_numbers(out, report, report_numbers, COUNT(report_numbers));
    clm_string_add_format(
        out, "\"compute_units\":%d,\"least_samples\":%d,\"quick\":%s,\"noisy\":%s,\n \"results\":[",
        report->compute_units, report->least_samples, report->quick ? "true" : "false",
        report->noisy ? "true" : "false");
    for (size_t i = 0; i < report->result_count; i++) {
        clm_string_add(out, i > 0 ? ",\n  " : "\n  ");
        add_result(out, &report->results[i]);
    }
    clm_string_add(out, "]}");
}

clm_status clm_bench_write_json(const clm_bench_report *reports, size_t count, const char *path) {
    clm_string out = {0};
    clm_status status = CLM_OK;
    clm_string_add_format(&out, "{\"schema\":\"%s\",\"schema_version\":%d,\"reports\":[",
                          CLM_BENCH_SCHEMA, CLM_BENCH_SCHEMA_VERSION);
    for (size_t i = 0; i < count; i++) {
        clm_string_add(&out, i > 0 ? ",\n" : "\n");
        add_report(&out, &reports[i]);
    }
    clm_string_add(&out, "]}\n");
    CLM_TRY(clm_string_status(&out));
    CLM_TRY(clm_file_write(path, out.text, out.length));
cleanup:
    clm_string_free(&out);
    return status;
}

/* ---- reading ---- */

/* A text must come through clm_bench_copy_text() as it is: that fits, and has nothing that a
 * terminal would obey. */
static clm_status read_texts(void *to, const cJSON *from, const text_member *members, size_t count,
                             const char *where) {
    clm_status status = CLM_OK;
    for (size_t i = 0; i < count; i++) {
        const char *text = NULL;
        char *copy = (char *)to + members[i].offset;
        CLM_TRY(clm_json_get_string(from, members[i].name, true, &text, where));
        clm_bench_copy_text(copy, members[i].size, text);
        if (strcmp(copy, text) != 0) {
            status = clm_fail(CLM_ERROR_FORMAT,
                              "%s: \"%s\" is longer than %zu bytes or has control characters",
                              where, members[i].name, members[i].size - 1);
            goto cleanup;
        }
    }
cleanup:
    return status;
}

static clm_status read_numbers(void *to, const cJSON *from, const number_member *members,
                               size_t count, const char *where) {
    clm_status status = CLM_OK;
    for (size_t i = 0; i < count; i++) {
        double value = 0.0;
        CLM_TRY(clm_json_get_double(from, members[i].name, true, &value, where));
        if (!(value >= 0.0)) {
            status = clm_fail(CLM_ERROR_FORMAT, "%s: \"%s\" is negative", where, members[i].name);
            goto cleanup;
        }
        /* Quotients of what is left are finite. */
        if (value != 0.0 && !(value >= 1e-20 && value <= 1e24)) {
            status = clm_fail(CLM_ERROR_FORMAT, "%s: \"%s\" cannot be %g", where, members[i].name,
                              value);
            goto cleanup;
        }
        memcpy((char *)to + members[i].offset, &value, sizeof value);
    }
cleanup:
    return status;
}

static clm_status check_result(const clm_bench_result *result, const char *where) {
    const size_t group = clm_bench_group_length(result->name);
    if (group == 0 || result->name[group] != '/' || result->name[group + 1] == '\0') {
        return clm_fail(CLM_ERROR_FORMAT, "%s: \"name\" must be \"group/case\", not \"%s\"", where,
                        result->name);
    }
    if ((result->items > 0.0) != (result->item[0] != '\0')) {
        return clm_fail(CLM_ERROR_FORMAT, "%s: \"items\" and \"item\" contradict each other",
                        where);
    }
    if (result->skipped[0] != '\0') {
        if (result->samples > 0 || result->repeats > 0 || result->minimum > 0.0 ||
            result->lower_quartile > 0.0 || result->median > 0.0 || result->upper_quartile > 0.0) {
            return clm_fail(CLM_ERROR_FORMAT, "%s: is skipped and has times", where);
        }
        return CLM_OK;
    }
    if (result->samples < 1 || result->repeats < 1) {
        return clm_fail(CLM_ERROR_FORMAT, "%s: has no samples and is not skipped", where);
    }
    if (!(result->minimum > 0.0 && result->minimum <= result->lower_quartile &&
          result->lower_quartile <= result->median && result->median <= result->upper_quartile)) {
        return clm_fail(CLM_ERROR_FORMAT,
                        "%s: \"minimum\", \"lower_quartile\", \"median\" and \"upper_quartile\" "
                        "must be positive and rise",
                        where);
    }
    return CLM_OK;
}

static clm_status read_result(clm_bench_result *result, const cJSON *from, const char *where) {
    clm_status status = CLM_OK;
    if (!cJSON_IsObject(from)) {
        return clm_fail(CLM_ERROR_FORMAT, "%s: is no object", where);
    }
    CLM_TRY(read_texts(result, from, result_texts, COUNT(result_texts), where));
    CLM_TRY(read_numbers(result, from, result_numbers, COUNT(result_numbers), where));
    CLM_TRY(clm_json_get_int(from, "samples", true, 0, INT_MAX, &result->samples, where));
    CLM_TRY(clm_json_get_int(from, "repeats", true, 0, INT_MAX, &result->repeats, where));
    CLM_TRY(check_result(result, where));
cleanup:
    return status;
}

static clm_status check_twice(const clm_bench_report *report, const char *where) {
    const clm_bench_result *last = &report->results[report->result_count - 1];
    for (const clm_bench_result *other = report->results; other < last; other++) {
        if (strcmp(other->name, last->name) == 0 &&
            strcmp(other->parameters, last->parameters) == 0) {
            return clm_fail(CLM_ERROR_FORMAT, "%s: %s %s comes twice", where, last->name,
                            last->parameters);
        }
    }
    return CLM_OK;
}

/* The array that must be there, with up to `most` elements. */
static clm_status find_array(const cJSON **array, const cJSON *object, const char *name, int most,
                             const char *where) {
    *array = cJSON_GetObjectItemCaseSensitive(object, name);
    if (!cJSON_IsArray(*array)) {
        return clm_fail(CLM_ERROR_FORMAT, "%s: \"%s\" must be an array", where, name);
    }
    if (cJSON_GetArraySize(*array) > most) {
        return clm_fail(CLM_ERROR_FORMAT, "%s: \"%s\" has more than %d elements", where, name,
                        most);
    }
    return CLM_OK;
}

static clm_status read_report(clm_bench_report *report, const cJSON *from, const char *where) {
    clm_status status = CLM_OK;
    const cJSON *results = NULL;
    const cJSON *item = NULL;
    if (!cJSON_IsObject(from)) {
        return clm_fail(CLM_ERROR_FORMAT, "%s: is no object", where);
    }
    CLM_TRY(read_texts(report, from, report_texts, COUNT(report_texts), where));
    CLM_TRY(read_numbers(report, from, report_numbers, COUNT(report_numbers), where));
    CLM_TRY(
        clm_json_get_int(from, "compute_units", true, 0, INT_MAX, &report->compute_units, where));
    CLM_TRY(
        clm_json_get_int(from, "least_samples", true, 0, INT_MAX, &report->least_samples, where));
    CLM_TRY(clm_json_get_bool(from, "quick", true, &report->quick, where));
    CLM_TRY(find_array(&results, from, "results", CLM_BENCH_RESULTS_MOST, where));
    const int count = cJSON_GetArraySize(results);
    CLM_TRY(clm_allocate(&report->results, (size_t)count, sizeof *report->results,
                         "the results of a benchmark"));
    cJSON_ArrayForEach(item, results) {
        char place[512];
        (void)snprintf(place, sizeof place, "%s, result %zu", where, report->result_count + 1);
        CLM_TRY(read_result(&report->results[report->result_count], item, place));
        report->result_count++;
        CLM_TRY(check_twice(report, place));
    }
    clm_bench_derive(report);
cleanup:
    return status;
}

static clm_status check_schema(const cJSON *json, const char *where) {
    const char *schema = NULL;
    int version = 0;
    clm_status status = CLM_OK;
    if (!cJSON_IsObject(json)) {
        return clm_fail(CLM_ERROR_FORMAT, "%s: is not a JSON object, so not a report of clm bench",
                        where);
    }
    CLM_TRY(clm_json_get_string(json, "schema", true, &schema, where));
    if (strcmp(schema, CLM_BENCH_SCHEMA) != 0) {
        status =
            clm_fail(CLM_ERROR_FORMAT, "%s: \"schema\" is not \"%s\"", where, CLM_BENCH_SCHEMA);
        goto cleanup;
    }
    CLM_TRY(clm_json_get_int(json, "schema_version", true, 1, INT_MAX, &version, where));
    if (version != CLM_BENCH_SCHEMA_VERSION) {
        status =
            clm_fail(CLM_ERROR_FORMAT, "%s: is version %d of the schema; this clm reads version %d",
                     where, version, CLM_BENCH_SCHEMA_VERSION);
    }
cleanup:
    return status;
}

clm_status clm_bench_parse(clm_bench_report **reports, size_t *count, const char *text,
                           size_t size_bytes, const char *where) {
    clm_status status = CLM_OK;
    cJSON *json = NULL;
    const cJSON *array = NULL;
    const cJSON *item = NULL;
    *reports = NULL;
    *count = 0;
    CLM_TRY(clm_json_parse(&json, text, size_bytes, where));
    CLM_TRY(check_schema(json, where));
    CLM_TRY(find_array(&array, json, "reports", CLM_BENCH_REPORTS_MOST, where));
    if (cJSON_GetArraySize(array) == 0) {
        status = clm_fail(CLM_ERROR_FORMAT, "%s: has no report", where);
        goto cleanup;
    }
    CLM_TRY(clm_allocate(reports, (size_t)cJSON_GetArraySize(array), sizeof **reports,
                         "the reports of a benchmark"));
    cJSON_ArrayForEach(item, array) {
        char place[400];
        (void)snprintf(place, sizeof place, "%s: report %zu", where, *count + 1);
        CLM_TRY(read_report(&(*reports)[(*count)++], item, place));
    }
cleanup:
    cJSON_Delete(json);
    if (status != CLM_OK) {
        clm_bench_reports_free(*reports, *count);
        *reports = NULL;
        *count = 0;
    }
    return status;
}

clm_status clm_bench_read(clm_bench_report **reports, size_t *count, const char *path) {
    char *text = NULL;
    size_t size_bytes = 0;
    *reports = NULL;
    *count = 0;
    clm_status status = clm_file_read(path, CLM_FILE_REPORT, &text, &size_bytes);
    if (status == CLM_OK) {
        status = clm_bench_parse(reports, count, text, size_bytes, path);
    }
    clm_free(text);
    return status;
}

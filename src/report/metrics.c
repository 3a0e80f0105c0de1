/* SPDX-License-Identifier: Apache-2.0 */
#include <limits.h>
#include <math.h>
#include <string.h>

#include "base/file.h"
#include "base/json.h"
#include "base/log.h"
#include "base/memory.h"
#include "clm/report.h"

typedef struct reader {
    clm_metrics *metrics;
    size_t step_capacity;
    size_t eval_capacity;
    size_t epoch_capacity;
    const char *where; /* "<file>: line <number>" */
} reader;

/* The member must be there; null is how the writer says "not finite". */
static clm_status get_number_or_null(const cJSON *line, const char *name, double *value,
                                     const char *where) {
    *value = NAN;
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(line, name);
    return clm_json_get_double(line, name, !cJSON_IsNull(item), value, where);
}

static clm_status get_accuracy(const cJSON *line, const char *name, double *value,
                               const char *where) {
    clm_status status = get_number_or_null(line, name, value, where);
    if (status == CLM_OK && (*value < 0.0 || *value > 1.0)) {
        return clm_fail(CLM_ERROR_FORMAT, "%s: \"%s\" must be from 0 to 1", where, name);
    }
    return status;
}

static clm_status read_start(reader *r, const cJSON *line) {
    clm_metrics *m = r->metrics;
    const struct {
        const char *name;
        int *value;
    } members[] = {{"n_train", &m->train_size},
                   {"batch", &m->batch},
                   {"batches", &m->batches},
                   {"epochs", &m->planned_epochs}};
    clm_status status = CLM_OK;
    for (size_t i = 0; i < sizeof members / sizeof *members && status == CLM_OK; i++) {
        status =
            clm_json_get_int(line, members[i].name, false, 0, INT_MAX, members[i].value, r->where);
    }
    /* The last partial batch is dropped. */
    if (m->batches == 0 && m->batch > 0) {
        m->batches = m->train_size / m->batch;
    }
    return status;
}

static clm_status read_step(reader *r, const cJSON *line) {
    clm_metrics *m = r->metrics;
    clm_metrics_step entry = {.seconds = NAN};
    clm_status status = CLM_OK;
    CLM_TRY(clm_json_get_int(line, "step", true, 0, INT_MAX - 1, &entry.step, r->where));
    CLM_TRY(get_number_or_null(line, "loss", &entry.loss, r->where));
    CLM_TRY(clm_json_get_double(line, "seconds", false, &entry.seconds, r->where));
    while (m->step_count > 0 && m->steps[m->step_count - 1].step >= entry.step) {
        m->step_count--;
    }
    CLM_TRY(clm_reserve(&m->steps, &r->step_capacity, m->step_count + 1, sizeof entry, "metrics"));
    m->steps[m->step_count++] = entry;
cleanup:
    return status;
}

static clm_status read_eval(reader *r, const cJSON *line) {
    clm_metrics *m = r->metrics;
    clm_metrics_eval entry = {.epoch = NAN, .examples = NAN};
    clm_status status = CLM_OK;
    CLM_TRY(clm_json_get_int(line, "step", true, 0, INT_MAX - 1, &entry.step, r->where));
    CLM_TRY(get_number_or_null(line, "train_loss", &entry.train_loss, r->where));
    CLM_TRY(get_number_or_null(line, "val_loss", &entry.val_loss, r->where));
    CLM_TRY(clm_json_get_double(line, "epoch", false, &entry.epoch, r->where));
    CLM_TRY(clm_json_get_double(line, "examples", false, &entry.examples, r->where));
    while (m->eval_count > 0 && m->evals[m->eval_count - 1].step >= entry.step) {
        m->eval_count--;
    }
    CLM_TRY(clm_reserve(&m->evals, &r->eval_capacity, m->eval_count + 1, sizeof entry, "metrics"));
    m->evals[m->eval_count++] = entry;
cleanup:
    return status;
}

static clm_status read_epoch(reader *r, const cJSON *line) {
    clm_metrics *m = r->metrics;
    clm_metrics_epoch entry = {0};
    clm_status status = CLM_OK;
    CLM_TRY(clm_json_get_int(line, "epoch", true, 1, INT_MAX, &entry.epoch, r->where));
    CLM_TRY(get_accuracy(line, "train_acc", &entry.train_acc, r->where));
    CLM_TRY(get_accuracy(line, "val_acc", &entry.val_acc, r->where));
    while (m->epoch_count > 0 && m->epochs[m->epoch_count - 1].epoch >= entry.epoch) {
        m->epoch_count--;
    }
    CLM_TRY(
        clm_reserve(&m->epochs, &r->epoch_capacity, m->epoch_count + 1, sizeof entry, "metrics"));
    m->epochs[m->epoch_count++] = entry;
    if (m->batches == 0 && m->step_count > 0) {
        m->batches = (m->steps[m->step_count - 1].step + 1) / entry.epoch;
    }
cleanup:
    return status;
}

static clm_status read_final(reader *r, const cJSON *line) {
    clm_metrics *m = r->metrics;
    clm_status status = CLM_OK;
    CLM_TRY(get_accuracy(line, "train", &m->final_train, r->where));
    CLM_TRY(get_accuracy(line, "val", &m->final_val, r->where));
    CLM_TRY(get_accuracy(line, "test", &m->final_test, r->where));
    CLM_TRY(clm_json_get_double(line, "seconds", false, &m->final_seconds, r->where));
    m->has_final = true;
cleanup:
    return status;
}

static clm_status read_line(reader *r, const cJSON *line) {
    static const struct {
        const char *event;
        clm_status (*read)(reader *r, const cJSON *line);
    } events[] = {{"start", read_start},
                  {"step", read_step},
                  {"eval", read_eval},
                  {"epoch", read_epoch},
                  {"final", read_final}};
    if (!cJSON_IsObject(line)) {
        return clm_fail(CLM_ERROR_FORMAT, "%s: not a JSON object", r->where);
    }
    const char *event = NULL;
    clm_status status = clm_json_get_string(line, "event", true, &event, r->where);
    for (size_t i = 0; i < sizeof events / sizeof *events && status == CLM_OK; i++) {
        if (strcmp(event, events[i].event) == 0) {
            return events[i].read(r, line);
        }
    }
    return status;
}

static bool is_blank(const char *text, size_t count) {
    for (size_t i = 0; i < count; i++) {
        if (text[i] == '\0' || strchr(" \t\r\n", text[i]) == NULL) {
            return false;
        }
    }
    return true;
}

static void fill_in_evals(clm_metrics *m) {
    for (size_t i = 0; i < m->eval_count; i++) {
        clm_metrics_eval *eval = &m->evals[i];
        double done = (double)eval->step + 1.0;
        if (isnan(eval->epoch) && m->batches > 0) {
            eval->epoch = done / m->batches;
        }
        if (isnan(eval->examples) && m->batch > 0) {
            eval->examples = done * m->batch;
        }
    }
}

clm_status clm_metrics_read(clm_metrics *metrics, const char *path) {
    *metrics = (clm_metrics){
        .final_train = NAN, .final_val = NAN, .final_test = NAN, .final_seconds = NAN};
    reader r = {.metrics = metrics};
    clm_string where = {0};
    char *text = NULL;
    size_t size_bytes = 0;
    cJSON *json = NULL;
    clm_status status = CLM_OK;
    CLM_TRY(clm_file_read(path, CLM_FILE_METRICS, &text, &size_bytes));
    size_t number = 0;
    for (size_t at = 0, length = 0; at < size_bytes; at += length + 1) {
        const char *newline = memchr(text + at, '\n', size_bytes - at);
        length = newline != NULL ? (size_t)(newline - (text + at)) : size_bytes - at;
        number++;
        if (is_blank(text + at, length)) {
            continue;
        }
        clm_string_clear(&where);
        clm_string_add_format(&where, "%s: line %zu", path, number);
        CLM_TRY(clm_string_status(&where));
        r.where = where.text;
        status = clm_json_parse(&json, text + at, length, where.text);
        size_t rest = size_bytes - at - length;
        if (status == CLM_ERROR_FORMAT && is_blank(text + at + length, rest)) {
            clm_log(CLM_LOG_WARNING, "%s: not whole, left out (was the run killed?)", where.text);
            clm_error_clear();
            metrics->has_damaged_end = true;
            status = CLM_OK;
            break;
        }
        if (status == CLM_OK) {
            status = read_line(&r, json);
        }
        cJSON_Delete(json);
        CLM_TRY(status);
    }
    fill_in_evals(metrics);
cleanup:
    clm_string_free(&where);
    clm_free(text);
    return status;
}

void clm_metrics_free(clm_metrics *metrics) {
    clm_free(metrics->steps);
    clm_free(metrics->evals);
    clm_free(metrics->epochs);
    *metrics = (clm_metrics){0};
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "train/metrics.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/folder.h"
#include "base/json.h"
#include "base/memory.h"
#include "base/string.h"

const char clm_metrics_name[] = "metrics.jsonl";

clm_status clm_metrics_writer_open(clm_metrics_writer *metrics, const clm_folder *run,
                                   uint64_t size_bytes) {
    *metrics = (clm_metrics_writer){.folder = run, .size_bytes = size_bytes};
    clm_status status = CLM_OK;
    struct stat information;
    int descriptor = -1;
    CLM_TRY(clm_folder_path(&metrics->path, run, clm_metrics_name));
    CLM_TRY(clm_folder_open_file(&descriptor, run, clm_metrics_name, O_RDWR | O_CREAT));
    if (fstat(descriptor, &information) != 0) {
        status = clm_fail_errno(errno, "%s: cannot be examined", metrics->path);
        goto cleanup;
    }
    if ((uint64_t)information.st_size < size_bytes) {
        status =
            clm_fail(CLM_ERROR_FORMAT,
                     "%s: has %lld bytes, but the checkpoint beside it was saved after %llu",
                     metrics->path, (long long)information.st_size, (unsigned long long)size_bytes);
        goto cleanup;
    }
    if (ftruncate(descriptor, (off_t)size_bytes) != 0) {
        status = clm_fail_errno(errno, "%s: cannot be cut to %llu bytes", metrics->path,
                                (unsigned long long)size_bytes);
    }
cleanup:
    if (descriptor >= 0) {
        (void)close(descriptor);
    }
    if (status != CLM_OK) {
        clm_metrics_writer_close(metrics);
    }
    return status;
}

clm_status clm_metrics_writer_sync(const clm_metrics_writer *metrics) {
    int descriptor = -1;
    clm_status status =
        clm_folder_open_file(&descriptor, metrics->folder, clm_metrics_name, O_WRONLY);
    if (status != CLM_OK) {
        return status;
    }
    if (fsync(descriptor) != 0) {
        status = clm_fail_errno(errno, "%s: cannot be written", metrics->path);
    }
    (void)close(descriptor);
    return status;
}

void clm_metrics_writer_close(clm_metrics_writer *metrics) {
    clm_free(metrics->path);
    *metrics = (clm_metrics_writer){0};
}

static void add_number(clm_string *line, const char *key, double value) {
    clm_string_add_format(line, ",\"%s\":", key);
    clm_json_add_double(line, value);
}

/* Seconds to the microsecond: more digits only make the file hard to read. */
static void add_seconds(clm_string *line, double seconds) {
    clm_string_add_format(line, ",\"seconds\":%.6f", seconds);
}

static clm_status add_line(clm_metrics_writer *metrics, clm_string *line) {
    clm_string_add(line, "}\n");
    clm_status status = clm_string_status(line);
    if (status == CLM_OK) {
        status = clm_folder_append(metrics->folder, clm_metrics_name, line->text, line->length);
    }
    if (status == CLM_OK) {
        metrics->size_bytes += line->length;
    }
    clm_string_free(line);
    return status;
}

clm_status clm_metrics_writer_start(clm_metrics_writer *metrics,
                                    const clm_finetune_options *options, int64_t train_rows,
                                    int64_t batches, int length) {
    clm_string line = {0};
    clm_string_add_format(
        &line,
        "{\"event\":\"start\",\"clm\":\"%s\",\"n_train\":%lld,\"batch\":%d,"
        "\"accumulate\":%d,\"batches\":%lld,\"length\":%d,\"epochs\":%d,\"seed\":%llu",
        clm_version(), (long long)train_rows, options->batch * options->accumulate,
        options->accumulate, (long long)batches, length, options->epochs,
        (unsigned long long)options->seed);
    add_number(&line, "lr", options->learning_rate);
    add_number(&line, "weight_decay", options->weight_decay);
    return add_line(metrics, &line);
}

clm_status clm_metrics_writer_note(clm_metrics_writer *metrics, const char *text) {
    clm_string line = {0};
    clm_string_add(&line, "{\"event\":\"note\",\"text\":");
    clm_json_add_string(&line, text);
    return add_line(metrics, &line);
}

clm_status clm_metrics_each(const clm_metrics_writer *metrics, const char *event,
                            clm_status (*take)(void *context, const cJSON *line, const char *where),
                            void *context) {
    char *text = NULL;
    cJSON *line = NULL;
    size_t size_bytes = 0;
    clm_string start = {0};
    clm_status status = CLM_OK;
    /* As add_line()'s callers write it: a run has many more lines of other events. */
    clm_string_add_format(&start, "{\"event\":\"%s\"", event);
    CLM_TRY(clm_string_status(&start));
    CLM_TRY(
        clm_folder_read(metrics->folder, clm_metrics_name, CLM_FILE_METRICS, &text, &size_bytes));
    for (size_t at = 0; at < size_bytes;) {
        const size_t length = strcspn(text + at, "\n");
        if (strncmp(text + at, start.text, start.length) == 0) {
            CLM_TRY(clm_json_parse(&line, text + at, length, metrics->path));
            CLM_TRY(take(context, line, metrics->path));
            cJSON_Delete(line);
            line = NULL;
        }
        at += length + 1;
    }
cleanup:
    cJSON_Delete(line);
    clm_string_free(&start);
    clm_free(text);
    return status;
}

clm_status clm_metrics_writer_add(clm_metrics_writer *metrics, const clm_train_event *event) {
    clm_string line = {0};
    const long long step = (long long)event->step;
    const long long examples = (long long)event->examples;
    if (event->kind == CLM_TRAIN_STEP) {
        clm_string_add_format(&line, "{\"event\":\"step\",\"step\":%lld", step);
        add_number(&line, "loss", event->loss);
        add_seconds(&line, event->seconds);
    } else if (event->kind == CLM_TRAIN_EVAL) {
        clm_string_add_format(&line, "{\"event\":\"eval\",\"step\":%lld", step);
        add_number(&line, "train_loss", event->train_loss);
        add_number(&line, "val_loss", event->val_loss);
        clm_string_add_format(&line, ",\"epoch\":%d,\"examples\":%lld", event->epoch, examples);
    } else if (event->kind == CLM_TRAIN_EPOCH) {
        clm_string_add_format(&line, "{\"event\":\"epoch\",\"epoch\":%d", event->epoch);
        add_number(&line, "train_acc", event->train_accuracy);
        add_number(&line, "val_acc", event->val_accuracy);
        clm_string_add_format(&line, ",\"step\":%lld,\"examples\":%lld", step, examples);
    } else if (event->kind == CLM_TRAIN_FINAL) {
        clm_string_add(&line, "{\"event\":\"final\"");
        add_number(&line, "train", event->train_accuracy);
        add_number(&line, "val", event->val_accuracy);
        add_number(&line, "test", event->test_accuracy);
        add_seconds(&line, event->seconds);
    } else {
        return CLM_OK;
    }
    return add_line(metrics, &line);
}

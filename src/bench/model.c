/* The model that jobs run on.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>

#include "base/folder.h"
#include "base/log.h"
#include "bench/bench.h"

/* Runs that keep a model at the same time. */
enum { FOLDERS_MOST = 16 };

static bool is_random(const char *source) {
    return strcmp(source, "random") == 0 || strncmp(source, "random:", 7) == 0;
}

/* The lock goes last, so that no other process takes the folder before. */
static void remove_folder(clm_folder *folder) {
    clm_folder_remove_parts(folder);
    (void)clm_folder_remove(folder, "model.safetensors");
    (void)clm_folder_remove(folder, "config.json");
    clm_folder_close_and_remove(folder);
}

/* A folder of this run's own, "bench-1" or one of those after it. The lock is gone with its
 * process, so what a killed run left is taken over by the next. */
static clm_status take_folder(clm_bench_model *model) {
    clm_status status = CLM_ERROR_BUSY;
    /* Not found: another run ended, and took the folder away, between the two calls. */
    for (int i = 1;
         i <= FOLDERS_MOST && (status == CLM_ERROR_BUSY || status == CLM_ERROR_NOT_FOUND); i++) {
        char name[24];
        (void)snprintf(name, sizeof name, "bench-%d", i);
        status = clm_cache_open(&model->folder, name);
        if (status == CLM_OK) {
            status = clm_folder_lock(&model->folder);
        }
        if (status != CLM_OK) {
            clm_folder_close(&model->folder);
        }
    }
    return status;
}

static clm_status save(clm_device *device, clm_bench_model *made) {
    const clm_model_options options = {.n_labels = 2};
    clm_model *model = NULL;
    clm_status status = CLM_OK;
    CLM_TRY(clm_model_open(&model, device, made->source, &options));
    CLM_TRY(take_folder(made));
    CLM_TRY(clm_model_save(model, made->folder.path));
cleanup:
    clm_model_close(model);
    return status;
}

/* Without room for the file (half a GB), the model is drawn again for each job. */
clm_status clm_bench_model_make(clm_bench_model *model, clm_device *device, const char *source) {
    clm_status status = CLM_OK;
    *model = (clm_bench_model){.source = source};
    if (!is_random(source)) {
        return CLM_OK;
    }
    status = save(device, model);
    if (status == CLM_ERROR_IO || status == CLM_ERROR_NO_SPACE || status == CLM_ERROR_NOT_FOUND ||
        status == CLM_ERROR_BUSY) {
        clm_log(CLM_LOG_WARNING, "bench: the model is drawn again for each job: %s",
                clm_error_message());
        clm_error_clear();
        clm_bench_model_remove(model);
        status = CLM_OK;
    }
    if (status != CLM_OK) {
        clm_bench_model_remove(model);
    }
    return status;
}

void clm_bench_model_remove(clm_bench_model *model) {
    if (model->folder.path != NULL) {
        clm_error_hold();
        remove_folder(&model->folder);
        clm_error_release();
    }
}

const char *clm_bench_model_path(const clm_bench_model *model) {
    return model->folder.path != NULL ? model->folder.path : model->source;
}

bool clm_bench_model_is_file(const clm_bench_model *model) {
    return model->folder.path != NULL || !is_random(model->source);
}

/* The model that jobs run on.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "base/memory.h"
#include "bench/bench.h"

/* Runs that keep a model at the same time. */
enum { FOLDERS_MOST = 16 };

static bool is_random(const char *source) {
    return strcmp(source, "random") == 0 || strncmp(source, "random:", 7) == 0;
}

static void remove_file(const char *folder, const char *name) {
    char *path = NULL;
    if (clm_path_join(&path, folder, name) == CLM_OK) {
        (void)unlink(path);
    }
    clm_free(path);
}

/* The lock goes last: until then nobody else takes the folder. */
static void remove_folder(const char *folder) {
    clm_folder_remove_parts(folder);
    remove_file(folder, "model.safetensors");
    remove_file(folder, "config.json");
    remove_file(folder, "lock");
    (void)rmdir(folder);
}

/* Whether the file of that name is the one that is open, and not a later one after it was removed.
 */
static bool is_same_file(const char *path, int descriptor) {
    struct stat named;
    struct stat opened;
    return stat(path, &named) == 0 && fstat(descriptor, &opened) == 0 &&
           named.st_dev == opened.st_dev && named.st_ino == opened.st_ino;
}

/* A descriptor that holds the folder's lock; -1 when another run does, or it cannot be had. */
static int lock_folder(const char *folder) {
    char *path = NULL;
    int descriptor = -1;
    if (clm_path_join(&path, folder, "lock") == CLM_OK) {
        descriptor = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    }
    if (descriptor >= 0 &&
        (flock(descriptor, LOCK_EX | LOCK_NB) != 0 || !is_same_file(path, descriptor))) {
        (void)close(descriptor);
        descriptor = -1;
    }
    clm_free(path);
    return descriptor;
}

/* A folder of this run's own, "bench-1" or one of those after it. The lock is gone with its
 * process, so what a killed run left is taken over by the next. */
static clm_status take_folder(clm_bench_model *model) {
    clm_status status = CLM_OK;
    for (int i = 1; i <= FOLDERS_MOST; i++) {
        char name[24];
        char *folder = NULL;
        (void)snprintf(name, sizeof name, "bench-%d", i);
        CLM_TRY(clm_cache_folder(&folder, name));
        model->lock = lock_folder(folder);
        if (model->lock >= 0) {
            model->folder = folder;
            goto cleanup;
        }
        clm_free(folder);
    }
    status =
        clm_fail(CLM_ERROR_IO, "%d folders of the cache are in use by other runs", FOLDERS_MOST);
cleanup:
    return status;
}

static clm_status save(clm_device *device, clm_bench_model *made) {
    const clm_model_options options = {.n_labels = 2};
    clm_model *model = NULL;
    clm_status status = CLM_OK;
    CLM_TRY(clm_model_open(&model, device, made->source, &options));
    CLM_TRY(take_folder(made));
    CLM_TRY(clm_model_save(model, made->folder));
cleanup:
    clm_model_close(model);
    return status;
}

/* Room for half a GB is no condition: without it, the model is drawn anew for each job. */
clm_status clm_bench_model_make(clm_bench_model *model, clm_device *device, const char *source) {
    clm_status status = CLM_OK;
    *model = (clm_bench_model){.source = source};
    if (!is_random(source)) {
        return CLM_OK;
    }
    status = save(device, model);
    if (status == CLM_ERROR_IO || status == CLM_ERROR_NO_SPACE || status == CLM_ERROR_NOT_FOUND) {
        clm_log(CLM_LOG_WARNING, "bench: the model is drawn anew for each job: %s",
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
    if (model->folder != NULL) {
        clm_error_hold();
        remove_folder(model->folder);
        (void)close(model->lock);
        clm_error_release();
        clm_free(model->folder);
        model->folder = NULL;
    }
}

const char *clm_bench_model_path(const clm_bench_model *model) {
    return model->folder != NULL ? model->folder : model->source;
}

bool clm_bench_model_is_file(const clm_bench_model *model) {
    return model->folder != NULL || !is_random(model->source);
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "model/folder_kind.h"

#include <dirent.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/json.h"
#include "base/memory.h"
#include "base/string.h"

static bool has(const char *folder, const char *name) {
    char *path = NULL;
    const bool found = clm_path_join(&path, folder, name) == CLM_OK && clm_file_exists(path);
    clm_free(path);
    return found;
}

/* The base model that an adapter's config names; `base` begins zeroed and stays so when it does not
 * say. */
static void read_base(clm_string *base, const char *folder) {
    char *path = NULL;
    cJSON *json = NULL;
    const char *name = NULL;
    clm_error_hold();
    if (clm_path_join(&path, folder, "adapter_config.json") == CLM_OK &&
        clm_json_read(&json, path, CLM_FILE_CONFIG) == CLM_OK &&
        clm_json_get_string(json, "base_model_name_or_path", false, &name, path) == CLM_OK &&
        name != NULL) {
        clm_string_add_format(base, " (%.200s)", name);
    }
    clm_error_release();
    cJSON_Delete(json);
    clm_free(path);
}

clm_status clm_folder_check_adapter(const char *folder) {
    clm_string base = {0};
    if (!has(folder, "adapter_config.json")) {
        return CLM_OK;
    }
    read_base(&base, folder);
    const clm_status status = clm_fail(
        CLM_ERROR_UNSUPPORTED,
        "%s: is an adapter of PEFT (as LoRA), not a whole model: merge it into its base "
        "model%s with PEFT's merge_and_unload(), save that with save_pretrained() and take "
        "the new folder",
        folder, base.text != NULL ? base.text : "");
    clm_string_free(&base);
    return status;
}

/* By the name of a file or its end. */
static const struct {
    const char *name;
    const char *what;
} forms[] = {
    {"pytorch_model.bin", "pickles"},
    {"pytorch_model.bin.index.json", "pickles, in several files"},
    {"tf_model.h5", "TensorFlow's HDF5 files"},
    {"tf_model.h5.index.json", "TensorFlow's HDF5 files"},
    {"flax_model.msgpack", "Flax's files"},
    {"flax_model.msgpack.index.json", "Flax's files"},
    {"rust_model.ot", "the files of rust-bert"},
    {".ckpt.index", "TensorFlow's checkpoints"},
    {".gguf", "GGUF"},
    {".onnx", "ONNX"},
    {".bin", "pickles"},
    {".pt", "pickles"},
    {".pth", "pickles"},
};

static bool ends_with(const char *name, const char *end) {
    const size_t length = strlen(name);
    return length >= strlen(end) && strcmp(name + length - strlen(end), end) == 0;
}

/* What lies in the folder, of the names that say something. */
typedef struct contents {
    size_t form; /* of the first entry of `forms` that a file fits; their number when none does */
    char *file;  /* that file's name */
    char *safetensors; /* a file of safetensors by another name */
    char *checkpoint; /* the last folder "checkpoint-<steps>", as transformers' Trainer writes it */
    bool snapshots;
} contents;

static clm_status replace(char **kept, const char *name) {
    clm_free(*kept);
    return clm_duplicate(kept, name);
}

static clm_status look_at(contents *c, const char *name) {
    static const char step[] = "checkpoint-";
    const size_t form_count = sizeof forms / sizeof *forms;
    clm_status status = CLM_OK;
    for (size_t i = 0; i < c->form && i < form_count; i++) {
        if (ends_with(name, forms[i].name)) {
            CLM_TRY(replace(&c->file, name));
            c->form = i;
        }
    }
    if (ends_with(name, ".safetensors") &&
        (c->safetensors == NULL || strcmp(name, c->safetensors) < 0)) {
        CLM_TRY(replace(&c->safetensors, name));
    }
    if (strncmp(name, step, sizeof step - 1) == 0 && strchr(name, '.') == NULL &&
        (c->checkpoint == NULL || strtoul(name + sizeof step - 1, NULL, 10) >
                                      strtoul(c->checkpoint + sizeof step - 1, NULL, 10))) {
        CLM_TRY(replace(&c->checkpoint, name));
    }
    c->snapshots = c->snapshots || strcmp(name, "snapshots") == 0;
cleanup:
    return status;
}

static clm_status read_contents(contents *c, const char *folder) {
    clm_status status = CLM_OK;
    DIR *stream = opendir(folder);
    c->form = sizeof forms / sizeof *forms;
    for (const struct dirent *entry = NULL;
         status == CLM_OK && stream != NULL && (entry = readdir(stream)) != NULL;) {
        status = look_at(c, entry->d_name);
    }
    if (stream != NULL) {
        (void)closedir(stream);
    }
    return status;
}

static clm_status say(const contents *c, const char *folder) {
    if (c->form < sizeof forms / sizeof *forms) {
        return clm_fail(CLM_ERROR_UNSUPPORTED,
                        "%s/%s: clm reads safetensors, not %s: save the model again with "
                        "transformers' save_pretrained(), which writes model.safetensors",
                        folder, c->file, forms[c->form].what);
    }
    if (c->checkpoint != NULL) {
        return clm_fail(CLM_ERROR_NOT_FOUND, "%s: holds no model itself, but %s: name that folder",
                        folder, c->checkpoint);
    }
    if (c->snapshots) {
        return clm_fail(CLM_ERROR_NOT_FOUND,
                        "%s: is a folder of Hugging Face's cache: name the model's folder in its "
                        "'snapshots'",
                        folder);
    }
    if (c->safetensors != NULL) {
        return clm_fail(CLM_ERROR_NOT_FOUND,
                        "%s: has no model.safetensors and no model.safetensors.index.json, but %s: "
                        "name that file",
                        folder, c->safetensors);
    }
    return clm_fail(CLM_ERROR_NOT_FOUND,
                    "%s: holds no model: there is neither model.safetensors nor "
                    "model.safetensors.index.json",
                    folder);
}

clm_status clm_folder_has_no_model(const char *folder) {
    contents c = {0};
    clm_status status = read_contents(&c, folder);
    if (status == CLM_OK) {
        status = say(&c, folder);
    }
    clm_free(c.file);
    clm_free(c.safetensors);
    clm_free(c.checkpoint);
    return status;
}

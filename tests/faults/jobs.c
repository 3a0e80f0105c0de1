/* SPDX-License-Identifier: Apache-2.0 */
#include "jobs.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/memory.h"
#include "cli/fixture.h"

#define MODEL "random:n_layer=2,n_embd=16,n_head=2,n_ctx=32,n_vocab=300"

/* A path in the test's folder that stays. */
static const char *place(const char *name) {
    static char paths[16][1024];
    static char names[16][64];
    static size_t count;
    for (size_t i = 0; i < count; i++) {
        if (strcmp(names[i], name) == 0) {
            return paths[i];
        }
    }
    assert_true(count < 16 && strlen(name) < sizeof *names);
    (void)snprintf(names[count], sizeof *names, "%s", name);
    (void)snprintf(paths[count], sizeof *paths, "%s/%s", clm_test_folder(), name);
    return paths[count++];
}

static void shell(const char *format, const char *a, const char *b) {
    char command[2200];
    (void)snprintf(command, sizeof command, format, a, b);
    assert_int_equal(system(command), 0);
}

/* ---- files ---- */

/* A file as it was, and where it lies. */
typedef struct copy {
    char *bytes;
    size_t size_bytes;
} copy;

static void keep_file(copy *kept, const char *path) {
    clm_free(kept->bytes);
    assert_ok(clm_file_read(path, CLM_FILE_TEXT, &kept->bytes, &kept->size_bytes));
}

static bool is_same(const copy *kept, const char *path) {
    char *bytes = NULL;
    size_t size_bytes = 0;
    const bool same = clm_file_read(path, CLM_FILE_TEXT, &bytes, &size_bytes) == CLM_OK &&
                      size_bytes == kept->size_bytes && memcmp(bytes, kept->bytes, size_bytes) == 0;
    clm_free(bytes);
    return same;
}

static bool has_parts(const char *folder) {
    bool any = false;
    DIR *stream = opendir(folder);
    for (const struct dirent *entry = NULL; stream != NULL && (entry = readdir(stream)) != NULL;) {
        any = any || strstr(entry->d_name, "-part-") != NULL ||
              strncmp(entry->d_name, "scratch.", 8) == 0;
    }
    if (stream != NULL) {
        (void)closedir(stream);
    }
    return any;
}

/* ---- fine-tuning ---- */

typedef struct inputs {
    clm_tokenizer *tokenizer;
    clm_split split;
    clm_dataset *train, *validation, *test;
    clm_device *device;
    clm_model *model;
} inputs;

static const char *device_pattern;
static clm_device *open_already;

void jobs_use(const char *pattern, clm_device *device) {
    device_pattern = pattern;
    open_already = device;
}

clm_status jobs_open_device(clm_device **device, bool profile) {
    clm_device_options options = CLM_DEVICE_OPTIONS_DEFAULT;
    options.pattern = device_pattern;
    options.profile = profile;
    if (open_already != NULL) {
        *device = open_already;
        return CLM_OK;
    }
    return clm_device_open(device, &options);
}

static void close_device(clm_device *device) {
    if (device != open_already) {
        clm_device_close(device);
    }
}

static clm_status encode(inputs *in) {
    clm_dataset_options options = CLM_DATASET_OPTIONS_DEFAULT;
    clm_status status = CLM_OK;
    options.length = 24;
    options.pad_token = clm_tokenizer_end_of_text(in->tokenizer);
    CLM_TRY(clm_dataset_create(&in->train, in->split.train, in->tokenizer, &options));
    options.length = 32; /* features of two lengths */
    CLM_TRY(clm_dataset_create(&in->validation, in->split.validation, in->tokenizer, &options));
    CLM_TRY(clm_dataset_create(&in->test, in->split.test, in->tokenizer, &options));
cleanup:
    return status;
}

/* What `clm finetune` does. */
static clm_status finetune(const char *folder, clm_run_use use, clm_train_policy policy,
                           const clm_finetune_options *options) {
    inputs in = {0};
    clm_run *run = NULL;
    clm_model_options model_options = CLM_MODEL_OPTIONS_DEFAULT;
    clm_status status = CLM_OK;
    CLM_TRY(clm_run_open(&run, folder, use));
    CLM_TRY(clm_run_set(run, "data", place("data")));
    CLM_TRY(clm_tokenizer_open(&in.tokenizer, place("vocab")));
    CLM_TRY(clm_split_read(&in.split, place("data")));
    CLM_TRY(jobs_open_device(&in.device, false));
    model_options.train = policy;
    model_options.n_labels = clm_table_label_count(in.split.train);
    model_options.labels = clm_table_label_names(in.split.train);
    model_options.head_seed = 5;
    CLM_TRY(clm_model_open(&in.model, in.device, MODEL, &model_options));
    CLM_TRY(encode(&in));
    CLM_TRY(clm_model_set_pooling(in.model, CLM_POOLING_LAST_TOKEN,
                                  clm_tokenizer_end_of_text(in.tokenizer), 0));
    CLM_TRY(clm_finetune_classifier(in.model, in.tokenizer, in.train, in.validation, in.test, run,
                                    options, NULL));
cleanup:
    clm_model_close(in.model);
    close_device(in.device);
    clm_dataset_free(in.train);
    clm_dataset_free(in.validation);
    clm_dataset_free(in.test);
    clm_split_free(&in.split);
    clm_tokenizer_close(in.tokenizer);
    clm_run_close(run);
    return status;
}

static clm_finetune_options recipe(int64_t steps) {
    clm_finetune_options options = CLM_FINETUNE_OPTIONS_DEFAULT;
    options.epochs = 2;
    options.batch = 4;
    options.learning_rate = 1e-2;
    options.eval_every = 2;
    options.eval_batches = 1;
    options.max_steps = steps;
    return options;
}

static copy trained;
static char path_of_model[1100];

static void keep_trained(void) {
    keep_file(&trained, path_of_model);
}

static const char *trained_differs(void) {
    return is_same(&trained, path_of_model) ? NULL : "the trained model has other bits";
}

static void remove_out(void) {
    (void)snprintf(path_of_model, sizeof path_of_model, "%s/model.safetensors", place("out"));
    shell("rm -rf '%s'", place("out"), "");
}

static const char *out_damaged(void) {
    if (has_parts(place("out"))) {
        return "something unfinished lies in the run's folder";
    }
    return clm_file_exists(path_of_model) && !is_same(&trained, path_of_model)
               ? "a model was saved that is not the trained one"
               : NULL;
}

static clm_status run_finetune(bool again) {
    clm_finetune_options options = recipe(3);
    return finetune(place("out"), again ? CLM_RUN_RESUME_OR_NEW : CLM_RUN_NEW, CLM_TRAIN_LAST_BLOCK,
                    &options);
}

const job job_finetune = {.name = "fine-tuning",
                          .prepare = remove_out,
                          .run = run_finetune,
                          .keep = keep_trained,
                          .differs = trained_differs,
                          .damaged = out_damaged};

static clm_status run_finetune_all(bool again) {
    clm_finetune_options options = recipe(3);
    return finetune(place("out"), again ? CLM_RUN_RESUME_OR_NEW : CLM_RUN_NEW, CLM_TRAIN_ALL,
                    &options);
}

const job job_finetune_all = {.name = "fine-tuning all layers",
                              .prepare = remove_out,
                              .run = run_finetune_all,
                              .keep = keep_trained,
                              .differs = trained_differs,
                              .damaged = out_damaged};

/* ---- going on ---- */

static copy before_resume;

static void prepare_resume(void) {
    remove_out();
    shell("cp -r '%s' '%s'", place("done"), place("out"));
    if (before_resume.bytes == NULL) {
        keep_file(&before_resume, path_of_model);
    }
}

static clm_status run_resume(bool again) {
    (void)again;
    clm_finetune_options options = recipe(5);
    options.features = CLM_FEATURES_DISK;
    return finetune(place("out"), CLM_RUN_RESUME, CLM_TRAIN_LAST_BLOCK, &options);
}

/* That the checkpoint is whole shows when the run goes on. */
static const char *resume_damaged(void) {
    if (has_parts(place("out"))) {
        return "something unfinished lies in the run's folder";
    }
    return is_same(&before_resume, path_of_model) || is_same(&trained, path_of_model)
               ? NULL
               : "the model of the earlier run is neither as it was nor the new one";
}

const job job_resume = {.name = "going on with a run",
                        .prepare = prepare_resume,
                        .run = run_resume,
                        .keep = keep_trained,
                        .differs = trained_differs,
                        .damaged = resume_damaged};

/* ---- classification ---- */

enum { n_texts = 5, n_labels = 2 };
static const char *const texts[n_texts] = {"hello there", "win a prize now", "ok",
                                           "see you at the station at six",
                                           "gr\xC3\xBC\xC3\x9F dich"};
static const int known[n_texts] = {0, 1, 0, 0, 0};
static float answers[n_texts * n_labels];
static float kept_answers[n_texts * n_labels];
static double loss;
static double kept_loss;

static void prepare_nothing(void) {
    memset(answers, 0, sizeof answers);
    loss = 0.0;
}

static clm_status run_classify(bool again) {
    (void)again;
    clm_device *device = NULL;
    clm_classifier *classifier = NULL;
    clm_kernel_time *times = NULL;
    size_t time_count = 0;
    clm_evaluation_report report = {0};
    clm_status status = CLM_OK;
    CLM_TRY(jobs_open_device(&device, true));
    CLM_TRY(clm_classifier_open(&classifier, device, place("done"), NULL));
    CLM_TRY(clm_classify(classifier, texts, NULL, n_texts, NULL, answers));
    CLM_TRY(clm_evaluate(classifier, texts, NULL, known, n_texts, &report));
    CLM_TRY(clm_device_profile(device, &times, &time_count));
    loss = report.loss;
cleanup:
    clm_evaluation_report_free(&report);
    clm_kernel_times_free(times);
    clm_classifier_close(classifier);
    close_device(device);
    return status;
}

static void keep_answers(void) {
    memcpy(kept_answers, answers, sizeof answers);
    kept_loss = loss;
}

static const char *answers_differ(void) {
    return memcmp(kept_answers, answers, sizeof answers) == 0 && loss == kept_loss
               ? NULL
               : "the answers differ";
}

static const char *nothing_damaged(void) {
    return NULL;
}

const job job_classify = {.name = "classification",
                          .profile = true,
                          .prepare = prepare_nothing,
                          .run = run_classify,
                          .keep = keep_answers,
                          .differs = answers_differ,
                          .damaged = nothing_damaged};

/* ---- loading and saving ---- */

static const char *const saved_names[] = {"model.safetensors", "config.json", "vocab.json",
                                          "merges.txt"};
enum { saved_count = sizeof saved_names / sizeof *saved_names };
static copy old_files[saved_count];
static copy new_files[saved_count];

static const char *saved_path(size_t i) {
    static char path[1200];
    (void)snprintf(path, sizeof path, "%s/%s", place("over"), saved_names[i]);
    return path;
}

/* Another model, so that one can see which it is. */
static void prepare_over(void) {
    shell("rm -rf '%s' && mkdir '%s'", place("over"), place("over"));
    for (size_t i = 0; i < saved_count; i++) {
        char text[64];
        const int length = snprintf(text, sizeof text, "what %s was before", saved_names[i]);
        clm_test_write(saved_path(i), text, (size_t)length);
        if (old_files[i].bytes == NULL) {
            keep_file(&old_files[i], saved_path(i));
        }
    }
}

static clm_status run_save(bool again) {
    (void)again;
    clm_device *device = NULL;
    clm_model *model = NULL;
    clm_tokenizer *tokenizer = NULL;
    clm_status status = CLM_OK;
    CLM_TRY(clm_tokenizer_open(&tokenizer, place("done")));
    CLM_TRY(jobs_open_device(&device, false));
    CLM_TRY(clm_model_open(&model, device, place("done"), NULL));
    CLM_TRY(clm_tokenizer_save(tokenizer, place("over"), NULL));
    CLM_TRY(clm_model_save(model, place("over")));
cleanup:
    clm_model_close(model);
    close_device(device);
    clm_tokenizer_close(tokenizer);
    return status;
}

static void keep_saved(void) {
    for (size_t i = 0; i < saved_count; i++) {
        keep_file(&new_files[i], saved_path(i));
    }
}

static const char *saved_differs(void) {
    for (size_t i = 0; i < saved_count; i++) {
        if (!is_same(&new_files[i], saved_path(i))) {
            return saved_names[i];
        }
    }
    return NULL;
}

static const char *over_damaged(void) {
    if (has_parts(place("over"))) {
        return "something unfinished lies in the folder";
    }
    for (size_t i = 0; i < saved_count; i++) {
        if (!is_same(&old_files[i], saved_path(i)) && !is_same(&new_files[i], saved_path(i))) {
            return saved_names[i];
        }
    }
    return NULL;
}

const job job_save = {.name = "loading and saving",
                      .prepare = prepare_over,
                      .run = run_save,
                      .keep = keep_saved,
                      .differs = saved_differs,
                      .damaged = over_damaged};

/* ---- inputs ---- */

void jobs_make_inputs(void) {
    static bool made;
    clm_finetune_options options = recipe(3);
    if (!made) {
        (void)make_inputs(NULL);
        made = true;
    }
    shell("rm -rf '%s'", place("done"), "");
    assert_ok(finetune(place("done"), CLM_RUN_NEW, CLM_TRAIN_LAST_BLOCK, &options));
    clm_free(before_resume.bytes);
    before_resume = (copy){0};
}

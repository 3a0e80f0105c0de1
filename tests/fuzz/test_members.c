/* The members of the JSON files that clm writes: each in turn is taken out, and then set to null,
 * which counts as missing. The reader goes on with a default, or refuses with a message that names
 * the file and the member; which those are is listed here.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <math.h>
#include <string.h>
#include <unistd.h>

#include "base/json.h"
#include "base/log.h"
#include "base/memory.h"
#include "bench/overview.h"
#include "clm/data.h"
#include "clm/report.h"
#include "fuzz.h"
#include "ops/tuning_file.h"
#include "selftest/record.h"
#include "train/checkpoint.h"
#include "train/run.h"
#include "tune/progress.h"

/* Names the target for messages of fuzz_run(); nothing is changed at random here. */
const fuzz_target fuzz_this = {FUZZ_JSON, NULL, 1 << 30, 0};

void fuzz_one(const uint8_t *data, size_t size) {
    (void)data;
    (void)size;
}

typedef struct subject {
    const char *file;                     /* as messages name it */
    clm_status (*read)(const char *text); /* what is left of the file */
    const char *required;                 /* the members without which reading fails */
    const char *closed;                   /* a member whose own are not tried; NULL: none */
    const char *nullable;                 /* those for which null is a value; "*": any may be */
} subject;

/* Whether the name is one of those in a list, each with a space behind it. */
static bool is_listed(const char *list, const char *name) {
    const size_t length = strlen(name);
    for (const char *at = list; at != NULL && *at != '\0';) {
        const size_t listed = strcspn(at, " ");
        if (listed == length && at[length] == ' ' && memcmp(at, name, length) == 0) {
            return true;
        }
        at += listed + (at[listed] == ' ' ? 1 : 0);
    }
    return false;
}

static bool is_any(const char *list) {
    return list != NULL && strcmp(list, "*") == 0;
}

static void require(const subject *s, clm_string *required, const char *name) {
    const char *message = clm_error_message();
    if (strstr(message, s->file) == NULL || strstr(message, name) == NULL) {
        (void)fprintf(stderr, "without \"%s\", %s: %s\n", name, s->file, message);
        abort();
    }
    if (!is_listed(required->text, name)) {
        clm_string_add_format(required, "%s ", name);
    }
}

static clm_status read_again(const subject *s, const cJSON *root) {
    char *text = cJSON_PrintUnformatted(root);
    FUZZ_CHECK(text != NULL);
    clm_error_clear();
    const clm_status status = s->read(text);
    cJSON_free(text);
    return status;
}

/* Without the member, and with null in its place. */
static void try_member(const subject *s, const cJSON *root, cJSON *object, int i,
                       clm_string *required) {
    cJSON *item = cJSON_GetArrayItem(object, i);
    const int type = item->type;
    item->type = cJSON_NULL;
    const bool null = read_again(s, root) == CLM_OK;
    item->type = type;
    /* The list is mended by hand: cJSON puts nothing back in its place in an object. */
    cJSON *before = i > 0 ? item->prev : NULL;
    if (before != NULL) {
        before->next = item->next;
    } else {
        object->child = item->next;
    }
    const bool missing = read_again(s, root) == CLM_OK;
    if (!missing) {
        require(s, required, item->string);
    }
    if (before != NULL) {
        before->next = item;
    } else {
        object->child = item;
    }
    if (null != missing && !is_listed(s->nullable, item->string) && !is_any(s->nullable)) {
        (void)fprintf(stderr, "%s: \"%s\" may %sbe missing, but null is otherwise\n", s->file,
                      item->string, missing ? "" : "not ");
        abort();
    }
}

static void try_without(const subject *s, const cJSON *root, cJSON *object, clm_string *required) {
    const int count = cJSON_GetArraySize(object);
    for (int i = 0; i < count; i++) {
        cJSON *item = cJSON_GetArrayItem(object, i);
        if (cJSON_IsObject(object)) {
            try_member(s, root, object, i, required);
        }
        if (item->child != NULL &&
            (s->closed == NULL || item->string == NULL || strcmp(item->string, s->closed) != 0)) {
            try_without(s, root, item, required);
        }
    }
}

static void check(const subject *s, const char *text) {
    cJSON *root = cJSON_Parse(text);
    clm_string required = {0};
    clm_string_add(&required, "");
    FUZZ_CHECK(root != NULL);
    if (read_again(s, root) != CLM_OK) {
        (void)fprintf(stderr, "%s, whole: %s\n", s->file, clm_error_message());
        abort();
    }
    try_without(s, root, root, &required);
    if (strcmp(required.text, s->required) != 0) {
        (void)fprintf(stderr, "%s demands \"%s\", not \"%s\"\n", s->file, required.text,
                      s->required);
        abort();
    }
    clm_string_free(&required);
    cJSON_Delete(root);
}

static void write_text(const char *path, const char *text) {
    FILE *file = fopen(path, "we");
    FUZZ_CHECK(file != NULL && fputs(text, file) >= 0 && fclose(file) == 0);
}

static char *read_text(const char *path) {
    char *text = NULL;
    size_t size = 0;
    FUZZ_CHECK(clm_file_read(path, CLM_FILE_TEXT, &text, &size) == CLM_OK);
    return text;
}

/* ---- metrics.jsonl ---- */

static clm_status read_metrics(const char *text) {
    clm_metrics metrics = {0};
    write_text(fuzz_path("metrics.jsonl"), text);
    const clm_status status = clm_metrics_read(&metrics, fuzz_path("metrics.jsonl"));
    clm_metrics_free(&metrics);
    return status;
}

static void write_metrics(const char *path) {
    static const clm_train_event events[] = {
        {.kind = CLM_TRAIN_STEP, .step = 1, .loss = 0.5, .seconds = 1.0},
        {.kind = CLM_TRAIN_EVAL, .step = 1, .train_loss = 0.5, .val_loss = 0.5, .epoch = 1},
        {.kind = CLM_TRAIN_EPOCH, .epoch = 1, .train_accuracy = 0.5, .val_accuracy = 0.5},
        {.kind = CLM_TRAIN_FINAL, .train_accuracy = 0.5, .val_accuracy = 0.5, .seconds = 2.0}};
    const clm_finetune_options options = CLM_FINETUNE_OPTIONS_DEFAULT;
    clm_folder folder = {0};
    clm_metrics_writer writer = {0};
    FUZZ_CHECK(clm_folder_open(&folder, path) == CLM_OK);
    FUZZ_CHECK(clm_metrics_writer_open(&writer, &folder, 0) == CLM_OK);
    FUZZ_CHECK(clm_metrics_writer_start(&writer, &options, 40, 5, 64) == CLM_OK);
    FUZZ_CHECK(clm_metrics_writer_note(&writer, "a note") == CLM_OK);
    for (size_t i = 0; i < sizeof events / sizeof *events; i++) {
        FUZZ_CHECK(clm_metrics_writer_add(&writer, &events[i]) == CLM_OK);
    }
    clm_metrics_writer_close(&writer);
    clm_folder_close(&folder);
}

static void check_metrics(void) {
    static const char *const required[] = {"event ",
                                           "event ",
                                           "event step loss ",
                                           "event step train_loss val_loss ",
                                           "event epoch train_acc val_acc ",
                                           "event train val test "};
    static const char numbers[] = "loss train_loss val_loss train_acc val_acc train val test ";
    write_metrics(fuzz_folder());
    char *text = read_text(fuzz_path("metrics.jsonl"));
    size_t line = 0;
    for (char *at = text; *at != '\0';) {
        const size_t length = strcspn(at, "\n");
        FUZZ_CHECK(at[length] == '\n' && line < sizeof required / sizeof *required);
        at[length] = '\0';
        check(&(subject){"metrics.jsonl", read_metrics, required[line], NULL, numbers}, at);
        at += length + 1;
        line++;
    }
    FUZZ_CHECK(line == sizeof required / sizeof *required);
    clm_free(text);
}

/* ---- run.json ---- */

static clm_status read_run(const char *text) {
    clm_run *run = NULL;
    write_text(fuzz_path("run.json"), text);
    const clm_status status = clm_run_open(&run, fuzz_folder(), CLM_RUN_RESUME);
    clm_run_close(run);
    return status;
}

static void check_run(void) {
    clm_run *run = NULL;
    fuzz_empty();
    FUZZ_CHECK(clm_run_open(&run, fuzz_folder(), CLM_RUN_NEW) == CLM_OK);
    FUZZ_CHECK(clm_run_set(run, "lr", "1e-3") == CLM_OK);
    FUZZ_CHECK(clm_run_set(run, "model", "gpt2") == CLM_OK);
    FUZZ_CHECK(clm_run_begin(run, "a device") == CLM_OK);
    clm_run_close(run);
    (void)fuzz_write(clm_checkpoint_name, "", 0);
    char *text = read_text(fuzz_path("run.json"));
    check(&(subject){"run.json", read_run, "format settings ", NULL, NULL}, text);
    clm_free(text);
}

/* ---- data.json, beside the tables of a split ---- */

static clm_status read_split(const char *text) {
    clm_split split = {0};
    write_text(fuzz_path("data.json"), text);
    const clm_status status = clm_split_read(&split, fuzz_folder());
    clm_split_free(&split);
    return status;
}

static void check_split(void) {
    static const char rows[] = "Label,Text\n0,a\n1,b\n0,c\n1,d\n0,e\n1,f\n0,g\n1,h\n0,i\n1,j\n";
    clm_table *table = NULL;
    clm_split split = {0};
    fuzz_empty();
    const char *path = fuzz_write("rows.csv", rows, sizeof rows - 1);
    FUZZ_CHECK(clm_table_read(&table, path, NULL) == CLM_OK);
    FUZZ_CHECK(clm_table_split(&split, table, 0.4, 0.2, 1) == CLM_OK);
    const clm_status status =
        clm_split_write(&split, fuzz_path("."), CLM_TABLE_LABEL_TEXT_NAME, true);
    FUZZ_CHECK(status == CLM_OK);
    clm_split_free(&split);
    clm_table_free(table);
    char *text = read_text(fuzz_path("data.json"));
    check(&(subject){"data.json", read_split, "", NULL, NULL}, text);
    clm_free(text);
}

/* ---- reports of clm bench ---- */

static clm_status read_report(const char *text) {
    clm_bench_report *reports = NULL;
    size_t count = 0;
    const clm_status status = clm_bench_parse(&reports, &count, text, strlen(text), "report.json");
    clm_bench_reports_free(reports, count);
    return status;
}

static void check_report(const char *corpus) {
    char path[1024];
    (void)snprintf(path, sizeof path, "%s/bench_json/report.json", corpus);
    char *text = read_text(path);
    check(
        &(subject){
            "report.json", read_report,
            "schema schema_version reports program program_version date device vendor "
            "platform driver device_version type model gemm seconds peak_gflops "
            "copy_gbytes_second noise noise_limit compute_units least_samples quick "
            "results name parameters skipped item flop bytes items median minimum lower_quartile "
            "upper_quartile samples repeats ",
            NULL, NULL},
        text);
    clm_free(text);
}

/* ---- a device's settings, and the trials that led to them ---- */

static clm_status read_tuned(const char *text) {
    clm_tuned tuned;
    write_text(fuzz_path("tuned.json"), text);
    return clm_tuned_read(&tuned, fuzz_path("tuned.json"), fuzz_device(), false);
}

static void check_tuned(void) {
    clm_tuned tuned = clm_tuned_nothing();
    clm_string text = {0};
    FUZZ_CHECK(clm_tuning_add(&tuned.settings, "gemm.backend=own,gemm.rows=4") == CLM_OK);
    tuned.gain = 1.5;
    (void)snprintf(tuned.preset, sizeof tuned.preset, "normal");
    clm_tuned_describe(&text, &tuned, fuzz_device());
    FUZZ_CHECK(clm_string_status(&text) == CLM_OK);
    check(&(subject){"tuned.json", read_tuned,
                     "format device platform platform_version driver clm compute_units clblast "
                     "preset settings ",
                     NULL, NULL},
          text.text);
    clm_string_free(&text);
}

/* A line without something is left out, without a word: it may have been cut. */
static size_t count_trials(const char *text) {
    clm_tune_progress progress = {0};
    char *path = NULL;
    FUZZ_CHECK(clm_tuned_path(&path, fuzz_device(), "progress.jsonl") == CLM_OK);
    write_text(path, text);
    FUZZ_CHECK(clm_tune_progress_open(&progress, fuzz_device(), false) == CLM_OK);
    const size_t count = progress.count;
    clm_tune_progress_close(&progress);
    clm_free(path);
    return count;
}

static clm_status read_trial(const char *text) {
    return count_trials(text) == 1 ? CLM_OK
                                   : clm_fail(CLM_ERROR_FORMAT,
                                              "a trial lacks \"kind\", "
                                              "\"preset\", \"round\", \"settings\", \"outcome\", "
                                              "\"speed\" or \"why\"");
}

static void check_trial(void) {
    check(&(subject){"trial", read_trial, "kind preset round settings outcome speed why ", NULL,
                     NULL},
          "{\"kind\": \"products\", \"preset\": 1, \"round\": 0, \"settings\": \"gemm.rows=4\", "
          "\"outcome\": \"ok\", \"speed\": 1.02, \"why\": \"\"}");
}

/* ---- the self-test's record ---- */

static char record_path[1024];
static char last_log[1024];

static void take_log(void *context, clm_log_level level, const char *message) {
    (void)context;
    (void)level;
    (void)snprintf(last_log, sizeof last_log, "%s", message);
}

/* A record that cannot be read counts as none; why is a note for those who look for it. */
static clm_status read_record(const char *text) {
    clm_selftest_report report;
    write_text(record_path, text);
    last_log[0] = '\0';
    FUZZ_CHECK(clm_selftest_record_load(&report, fuzz_device()) == CLM_OK);
    return report.outcome == CLM_SELFTEST_PASSED ? CLM_OK
                                                 : clm_fail(CLM_ERROR_FORMAT, "%s", last_log);
}

static void check_record(void) {
    const clm_selftest_report report = {
        .outcome = CLM_SELFTEST_PASSED, .comparisons = 211, .seconds = 5.25};
    char *path = NULL;
    char *key = NULL;
    clm_log_set_sink(take_log, NULL, CLM_LOG_DEBUG);
    FUZZ_CHECK(clm_selftest_record_keep(&report, fuzz_device(), CLM_GEMM_OWN));
    FUZZ_CHECK(clm_selftest_record_place(&path, &key, fuzz_device(), "json") == CLM_OK);
    (void)snprintf(record_path, sizeof record_path, "%s", path);
    char *text = read_text(path);
    check(&(subject){record_path, read_record,
                     "format key gemm outcome replaced why comparisons seconds ", NULL, NULL},
          text);
    clm_log_set_sink(NULL, NULL, CLM_LOG_WARNING);
    clm_free(text);
    clm_free(path);
    clm_free(key);
}

/* ---- a model's and a tokenizer's ---- */

static clm_status read_config(const char *text) {
    clm_model_config config = CLM_MODEL_CONFIG_DEFAULT;
    write_text(fuzz_path("config.json"), text);
    const clm_status status = clm_model_config_read(&config, fuzz_path("config.json"));
    clm_model_config_free(&config);
    return status;
}

static void check_config(void) {
    clm_model_config config = CLM_MODEL_CONFIG_DEFAULT;
    config.n_labels = 3;
    config.pad_token = 50256;
    FUZZ_CHECK(clm_model_config_write(&config, fuzz_path("config.json")) == CLM_OK);
    char *text = read_text(fuzz_path("config.json"));
    /* What null means is transformers' affair, which model/config_members compares with. */
    check(&(subject){"config.json", read_config, "0 1 ", NULL, "*"}, text);
    clm_free(text);
}

static clm_status read_tokenizer(const char *name, const char *text) {
    clm_tokenizer *tokenizer = NULL;
    write_text(fuzz_path(name), text);
    const clm_status status = clm_tokenizer_open(&tokenizer, fuzz_folder());
    clm_tokenizer_close(tokenizer);
    return status;
}

static clm_status read_tokenizer_json(const char *text) {
    return read_tokenizer("tokenizer.json", text);
}

static clm_status read_tokenizer_config(const char *text) {
    return read_tokenizer("tokenizer_config.json", text);
}

static void check_tokenizer(void) {
    static const char lesson[] = "the cat sat on the mat";
    const char *texts = lesson;
    const size_t lengths = sizeof lesson - 1;
    clm_tokenizer *tokenizer = NULL;
    clm_tokenizer_train_options options = CLM_TOKENIZER_TRAIN_OPTIONS_DEFAULT;
    options.vocab_size = 262;
    fuzz_empty();
    FUZZ_CHECK(clm_tokenizer_train(&tokenizer, &texts, &lengths, 1, &options) == CLM_OK);
    FUZZ_CHECK(clm_tokenizer_save(tokenizer, fuzz_path("."), NULL) == CLM_OK);
    clm_tokenizer_close(tokenizer);
    char *json = read_text(fuzz_path("tokenizer.json"));
    char *config = read_text(fuzz_path("tokenizer_config.json"));
    check(&(subject){"tokenizer_config.json", read_tokenizer_config, "content ", NULL, "*"},
          config);
    write_text(fuzz_path("tokenizer_config.json"), config);
    check(&(subject){"tokenizer.json", read_tokenizer_json,
                     "id content pre_tokenizer type add_prefix_space model vocab merges ", "vocab",
                     "*"},
          json);
    clm_free(json);
    clm_free(config);
}

int main(int argc, char **argv) {
    FUZZ_CHECK(argc == 2); /* the folder of the targets' inputs */
    FUZZ_CHECK(setenv("CLM_CACHE_DIR", fuzz_folder(), 1) == 0);
    check_metrics();
    check_run();
    check_split();
    check_report(argv[1]);
    check_tuned();
    check_trial();
    check_record();
    check_config();
    check_tokenizer();
    (void)printf("each member may be missing, or is named\n");
    return 0;
}

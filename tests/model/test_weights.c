/* SPDX-License-Identifier: Apache-2.0 */
#include "support/test_support.h"

#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/folder.h"
#include "base/log.h"
#include "base/memory.h"
#include "model/declare.h"
#include "model/formats/safetensors.h"
#include "model/weights.h"

/* How the test's model is written: two layers, C = 8, V = 11. */
typedef struct variant {
    const char *prefix;
    clm_dtype dtype;      /* F32 or BF16, whose values are those of F32 cut to 16 bits */
    const char *without;  /* a parameter left out */
    const char *wider;    /* a parameter with one more row */
    const char *integers; /* a parameter stored as I32 */
    const char *extra;    /* a further tensor of one element */
    int shards;           /* files that the parameters are dealt to in turn; 0 means 1 */
    bool head;            /* with lm_head.weight equal to wte.weight */
    bool other_head;      /* with another lm_head.weight */
    bool masks;           /* with the attention's mask buffers */
    bool classifier;
} variant;

static clm_model_config tiny_config(bool classifier) {
    clm_model_config config = CLM_MODEL_CONFIG_DEFAULT;
    config.n_vocab = 11;
    config.n_ctx = 5;
    config.n_embd = 8;
    config.n_head = 2;
    config.n_layer = 2;
    config.n_labels = classifier ? 3 : 0;
    return config;
}

static uint16_t upper_half(float value) {
    uint32_t bits = 0;
    memcpy(&bits, &value, sizeof bits);
    return (uint16_t)(bits >> 16);
}

static bool is(const char *wanted, const char *name) {
    return wanted != NULL && strcmp(wanted, name) == 0;
}

static void declare(clm_safetensors_writer *writer, const variant *v, const clm_parameter *p) {
    char name[100];
    size_t shape[2] = {p->shape[0] + (is(v->wider, p->name) ? 1 : 0), p->shape[1]};
    bool bare = strncmp(p->name, "score.", 6) == 0;
    (void)snprintf(name, sizeof name, "%s%s", bare ? "" : v->prefix, p->name);
    assert_ok(clm_safetensors_writer_declare(
        writer, name, is(v->integers, p->name) ? CLM_I32 : v->dtype, p->rank, shape));
}

static void add_values(clm_safetensors_writer *writer, const variant *v, const clm_parameter *p) {
    float values[512];
    size_t count = p->count + (is(v->wider, p->name) ? p->count / p->shape[0] : 0);
    assert_true(count <= 512);
    clm_parameter longer = *p;
    longer.count = count;
    clm_parameter_fill(&longer, 3, values);
    if (v->dtype == CLM_F32) {
        assert_ok(clm_safetensors_writer_add(writer, values, count * sizeof *values));
        return;
    }
    for (size_t i = 0; i < count; i++) {
        uint16_t half = upper_half(values[i]);
        assert_ok(clm_safetensors_writer_add(writer, &half, sizeof half));
    }
}

static void write_shard(const char *path, const variant *v, size_t shard, size_t shards) {
    clm_model_config config = tiny_config(v->classifier);
    clm_parameter_table table;
    assert_ok(clm_model_declare(&table, &config));
    clm_safetensors_writer *writer = NULL;
    assert_ok(clm_safetensors_writer_open(&writer, path));
    for (int pass = 0; pass < 2; pass++) {
        void (*visit)(clm_safetensors_writer *, const variant *, const clm_parameter *) =
            pass == 0 ? declare : add_values;
        for (size_t i = 0; i < table.count; i++) {
            if (i % shards == shard && !is(v->without, table.parameters[i].name)) {
                visit(writer, v, &table.parameters[i]);
            }
        }
        clm_parameter head = table.parameters[0];
        (void)snprintf(head.name, sizeof head.name, "%s", v->other_head ? "another" : "wte.weight");
        if (pass == 0 && v->masks) {
            assert_ok(clm_safetensors_writer_declare(writer, "h.0.attn.bias", CLM_BOOL, 4,
                                                     (size_t[]){1, 1, 0, 0}));
            assert_ok(clm_safetensors_writer_declare(writer, "transformer.h.1.attn.masked_bias",
                                                     CLM_F32, 1, (size_t[]){0}));
        }
        if (pass == 0 && v->extra != NULL) {
            assert_ok(clm_safetensors_writer_declare(writer, v->extra, CLM_F32, 1, (size_t[]){0}));
        }
        if ((v->head || v->other_head) && pass == 0) {
            assert_ok(
                clm_safetensors_writer_declare(writer, "lm_head.weight", v->dtype, 2, head.shape));
        } else if (v->head || v->other_head) {
            add_values(writer, v, &head);
        }
    }
    assert_ok(clm_safetensors_writer_commit(writer));
    clm_safetensors_writer_discard(writer);
    clm_parameter_table_free(&table);
}

/* A folder of that name below the test's, with a config.json when `with_config`. */
static const char *write_model(const char *name, const variant *v, bool with_config) {
    char part[300];
    const char *folder = clm_test_path(name);
    assert_ok(clm_folder_make(folder));
    (void)snprintf(part, sizeof part, "%s/model.safetensors", name);
    if (v->shards <= 1) {
        write_shard(clm_test_path(part), v, 0, 1);
    }
    clm_model_config config = tiny_config(v->classifier);
    (void)snprintf(part, sizeof part, "%s/config.json", name);
    if (with_config) {
        assert_ok(clm_model_config_write(&config, clm_test_path(part)));
    }
    return folder;
}

static void assert_values(const char *model, const variant *v) {
    clm_weights *weights = NULL;
    assert_ok(clm_weights_open(&weights, model));
    const clm_model_config *config = clm_weights_config(weights);
    assert_int_equal(config->n_layer, 2);
    assert_int_equal(config->n_vocab, 11);
    clm_parameter_table table;
    assert_ok(clm_model_declare(&table, config));
    for (size_t i = 0; i < table.count; i++) {
        const clm_parameter *p = &table.parameters[i];
        float expected[512];
        float got[512];
        clm_parameter_fill(p, 3, expected);
        for (size_t k = 0; k < p->count && v->dtype == CLM_BF16; k++) {
            uint32_t bits = (uint32_t)upper_half(expected[k]) << 16;
            memcpy(&expected[k], &bits, sizeof bits);
        }
        assert_true(clm_weights_has(weights, p));
        assert_ok(clm_weights_read(weights, p, got));
        assert_memory_equal(got, expected, p->count * sizeof *got);
        const float *mapped = NULL;
        assert_ok(clm_weights_map(weights, p, &mapped));
        bool missing = is(v->without, p->name);
        assert_int_equal(mapped != NULL, v->dtype == CLM_F32 && !missing);
        if (mapped != NULL) {
            assert_memory_equal(mapped, expected, p->count * sizeof *got);
        }
    }
    clm_parameter_table_free(&table);
    clm_weights_close(weights);
}

static void models_are_read_in_every_form(void **state) {
    (void)state;
    const variant variants[] = {
        {.prefix = "", .dtype = CLM_F32},
        {.prefix = "transformer.", .dtype = CLM_F32, .masks = true, .head = true},
        {.prefix = "transformer.", .dtype = CLM_BF16, .masks = true, .head = true},
        {.prefix = "transformer.", .dtype = CLM_F32, .classifier = true},
        {.prefix = "", .dtype = CLM_F32, .classifier = true, .without = "score.bias"},
        {.prefix = "", .dtype = CLM_F32, .extra = "something.else"},
    };
    for (size_t i = 0; i < sizeof variants / sizeof *variants; i++) {
        char name[40];
        (void)snprintf(name, sizeof name, "form-%zu", i);
        assert_values(write_model(name, &variants[i], true), &variants[i]);
        (void)snprintf(name, sizeof name, "bare-%zu", i);
        (void)write_model(name, &variants[i], false);
        (void)snprintf(name, sizeof name, "bare-%zu/model.safetensors", i);
        assert_values(clm_test_path(name), &variants[i]);
    }
}

static void shards_are_put_together(void **state) {
    (void)state;
    const variant v = {.prefix = "transformer.", .dtype = CLM_F32, .shards = 2};
    const char *folder = write_model("sharded", &v, true);
    write_shard(clm_test_path("sharded/a.safetensors"), &v, 0, 2);
    write_shard(clm_test_path("sharded/b.safetensors"), &v, 1, 2);
    static const char index[] =
        "{\"metadata\": {\"total_size\": 1}, \"weight_map\": {\"transformer.wte.weight\": "
        "\"a.safetensors\", \"transformer.wpe.weight\": \"b.safetensors\"}}";
    clm_test_write(clm_test_path("sharded/model.safetensors.index.json"), index, sizeof index - 1);
    assert_values(folder, &v);
    static const struct {
        const char *index;
        const char *message;
    } bad[] = {
        {"{}", "\"weight_map\" must map"},
        {"{\"weight_map\": {\"transformer.wte.weight\": \"../a.safetensors\"}}",
         "no file beside it"},
        {"{\"weight_map\": {\"transformer.wte.weight\": 1}}", "must be a string"},
        {"{\"weight_map\": {\"transformer.wte.weight\": \"b.safetensors\"}}", "is not in"},
        {"{\"weight_map\": {\"transformer.wte.weight\": \"a.safetensors\"}}",
         "tensors are missing"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        clm_weights *weights = NULL;
        clm_test_write(clm_test_path("sharded/model.safetensors.index.json"), bad[i].index,
                       strlen(bad[i].index));
        assert_status(CLM_ERROR_FORMAT, clm_weights_open(&weights, clm_test_path("sharded")));
        assert_message_has(bad[i].message);
        assert_null(weights);
    }
}

static void wrong_models_are_refused_by_name(void **state) {
    (void)state;
    static const struct {
        variant v;
        clm_status status;
        const char *message;
    } bad[] = {
        {{.prefix = "", .without = "h.1.ln_2.bias"}, CLM_ERROR_FORMAT, "missing: h.1.ln_2.bias"},
        {{.prefix = "", .wider = "wte.weight"},
         CLM_ERROR_SHAPE,
         "its shape is (12, 8), and the model's config needs (11, 8): the vocabulary"},
        {{.prefix = "transformer.", .wider = "h.0.mlp.c_proj.weight"},
         CLM_ERROR_SHAPE,
         "model.safetensors: tensor \"transformer.h.0.mlp.c_proj.weight\": its shape is (33, 8)"},
        {{.prefix = "", .integers = "ln_f.weight"}, CLM_ERROR_UNSUPPORTED, "weights of I32"},
        {{.prefix = "", .other_head = true}, CLM_ERROR_UNSUPPORTED, "lm_head.weight"},
        {{.prefix = "", .extra = "h.2.ln_1.weight"}, CLM_ERROR_SHAPE, "has 2 layers only"},
        {{.prefix = "", .extra = "transformer.ln_f.bias"}, CLM_ERROR_FORMAT, "appears twice"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        char name[40];
        clm_weights *weights = NULL;
        (void)snprintf(name, sizeof name, "bad-%zu", i);
        assert_status(bad[i].status,
                      clm_weights_open(&weights, write_model(name, &bad[i].v, true)));
        assert_message_has(bad[i].message);
        assert_null(weights);
    }
    clm_weights *weights = NULL;
    assert_status(CLM_ERROR_NOT_FOUND, clm_weights_open(&weights, clm_test_path("nowhere")));
    assert_message_has("nowhere");
    assert_ok(clm_folder_make(clm_test_path("empty")));
    assert_status(CLM_ERROR_NOT_FOUND, clm_weights_open(&weights, clm_test_path("empty")));
    assert_message_has("empty: holds no model");
    clm_model_config config = tiny_config(true);
    assert_ok(clm_model_config_write(&config, clm_test_path("empty/config.json")));
    assert_status(CLM_ERROR_NOT_FOUND, clm_weights_open(&weights, clm_test_path("empty")));
    assert_message_has("model.safetensors");
    const variant headless = {.prefix = ""};
    write_shard(clm_test_path("empty/model.safetensors"), &headless, 0, 1);
    assert_status(CLM_ERROR_FORMAT, clm_weights_open(&weights, clm_test_path("empty")));
    assert_message_has("missing: score.weight");
    clm_test_write(clm_test_path("empty.safetensors"), "\2\0\0\0\0\0\0\0{}", 10);
    assert_status(CLM_ERROR_FORMAT, clm_weights_open(&weights, clm_test_path("empty.safetensors")));
    assert_message_has("\"wte.weight\" is missing: not a GPT-2");
}

/* Folders and files of other programs, and downloads that failed: each says what it is. */
static void other_formats_are_named(void **state) {
    (void)state;
    static const struct {
        const char *name; /* beside config.json in a folder, or with model.safetensors the file */
        const char *text;
        const char *message;
    } others[] = {
        {"pytorch_model.bin", "x", "pytorch_model.bin: clm reads safetensors, not pickles: save"},
        {"pytorch_model.bin.index.json", "{}", "not pickles, in several files"},
        {"tf_model.h5", "x", "TensorFlow"},
        {"model.ckpt.index", "x", "not TensorFlow's checkpoints"},
        {"flax_model.msgpack", "x", "Flax"},
        {"gpt2-q4.gguf", "x", "gpt2-q4.gguf: clm reads safetensors, not GGUF"},
        {"adapter_config.json", "{\"base_model_name_or_path\": \"openai-community/gpt2\"}",
         "is an adapter of PEFT (as LoRA), not a whole model: merge it into its base model "
         "(openai-community/gpt2)"},
        {"adapter_config.json", "{", "is an adapter of PEFT"},
        {"checkpoint-500", NULL, "but checkpoint-500: name that folder"},
        {"snapshots", NULL, "a folder of Hugging Face's cache"},
        {"other.safetensors", "x", "but other.safetensors: name that file"},
        {"model.safetensors", "", "model.safetensors: is empty: perhaps a download"},
        {"model.safetensors",
         "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 548105171\n",
         "is a Git LFS pointer"},
        {"model.safetensors", "\n<!DOCTYPE html><html>", "is a web page"},
        {"model.safetensors", "<HTML><head>", "is a web page"},
        {"model.safetensors", "Invalid username or password.",
         "is text that begins with \"Invalid username or password.\""},
        {"model.safetensors", "GGUF\3\1\1\1\1\1\1\1", "is a GGUF file"},
        {"model.safetensors", "PK\3\4\24\2\10\10\2\2", "is a zip archive, perhaps a pickle"},
        {"model.safetensors", "\x80\2\x8A\12\x6C\xFC\x9C\x46\xF9", "is a pickle of PyTorch"},
        {"model.safetensors", "\x89HDF\r\n\x1A\n", "is an HDF5 file"},
        {"config.json", "", "config.json: is empty"},
        {"config.json", "version https://git-lfs.github.com/spec/v1\n", "is a Git LFS pointer"},
        {"config.json", "<html>", "config.json: is a web page"},
        {"config.json", "{\"n_layer\": 2,}", "config.json: byte"},
    };
    const variant good = {.prefix = ""};
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        char name[40];
        char path[120];
        clm_weights *weights = NULL;
        (void)snprintf(name, sizeof name, "other-%zu", i);
        const char *folder = write_model(name, &good, true);
        (void)snprintf(path, sizeof path, "%s/model.safetensors", name);
        if (strncmp(others[i].name, "config", 6) != 0) {
            assert_int_equal(remove(clm_test_path(path)), 0);
        }
        (void)snprintf(path, sizeof path, "%s/%s", name, others[i].name);
        if (others[i].text == NULL) {
            assert_ok(clm_folder_make(clm_test_path(path)));
        } else {
            clm_test_write(clm_test_path(path), others[i].text, strlen(others[i].text));
        }
        assert_true(clm_weights_open(&weights, folder) != CLM_OK);
        assert_message_has(name);
        assert_message_has(others[i].message);
    }
}

/* A file that another program writes to while it is open ends in an error, never in a signal. */
static void a_file_that_changes_is_named(void **state) {
    (void)state;
    const variant v = {.prefix = "", .dtype = CLM_F32};
    for (int how = 0; how < 3; how++) {
        clm_weights *weights = NULL;
        clm_parameter_table table;
        float values[512];
        const float *mapped = NULL;
        const char *folder = write_model("changing", &v, true);
        const char *path = clm_test_path("changing/model.safetensors");
        assert_ok(clm_weights_open(&weights, folder));
        assert_ok(clm_model_declare(&table, clm_weights_config(weights)));
        assert_ok(clm_weights_check(weights));
        if (how == 0) {
            assert_int_equal(truncate(path, 600), 0);
        } else if (how == 1) {
            assert_int_equal(truncate(path, 1 << 20), 0);
        } else {
            const struct timespec times[2] = {{.tv_nsec = UTIME_NOW}, {.tv_sec = 1}};
            assert_int_equal(utimensat(AT_FDCWD, path, times, 0), 0);
        }
        for (size_t i = 0; i < table.count; i++) {
            assert_status(CLM_ERROR_IO, clm_weights_read(weights, &table.parameters[i], values));
            assert_message_has("changing/model.safetensors: was ");
        }
        assert_ok(clm_weights_check(weights)); /* nothing is mapped */
        assert_ok(clm_weights_map(weights, &table.parameters[0], &mapped));
        assert_status(CLM_ERROR_IO, clm_weights_check(weights));
        clm_parameter_table_free(&table);
        clm_weights_close(weights);
        assert_int_equal(remove(path), 0);
    }
}

/* With 154,368 draws the mean's standard error is 0.02 / 393 and that of the deviation a factor of
 * 1 / 555; the bounds are six of each. */
static void random_weights_are_as_gpt2_begins(void **state) {
    (void)state;
    clm_weights *weights = NULL;
    assert_ok(clm_weights_open(&weights, "random:n_layer=2,n_embd=256,n_vocab=603,n_ctx=7,seed=5"));
    clm_parameter_table table;
    assert_ok(clm_model_declare(&table, clm_weights_config(weights)));
    float *values = NULL;
    float *again = NULL;
    assert_ok(clm_allocate(&values, 262144, sizeof *values, "a test"));
    assert_ok(clm_allocate(&again, 262144, sizeof *values, "a test"));
    for (size_t i = 0; i < table.count; i++) {
        const clm_parameter *p = &table.parameters[i];
        assert_ok(clm_weights_read(weights, p, values));
        double sum = 0.0;
        double squares = 0.0;
        for (size_t k = 0; k < p->count; k++) {
            sum += (double)values[k];
            squares += (double)values[k] * (double)values[k];
        }
        double mean = sum / (double)p->count;
        double deviation = sqrt(squares / (double)p->count - mean * mean);
        bool residual = strstr(p->name, ".c_proj.weight") != NULL;
        double expected = p->rank == 1 ? 0.0 : residual ? 0.01 : 0.02;
        double six = 6.0 / sqrt((double)p->count);
        bool layer_norm = strstr(p->name, "ln_") != NULL && strstr(p->name, "weight") != NULL;
        assert_close(mean, layer_norm ? 1.0 : 0.0, expected * six, 0.0);
        assert_close(deviation, expected, expected * six / sqrt(2.0), 0.0);
    }
    const clm_parameter *wte = &table.parameters[0];
    assert_ok(clm_weights_read(weights, wte, values));
    clm_parameter_fill(wte, 5, again);
    assert_memory_equal(values, again, wte->count * sizeof *values);
    clm_parameter_fill(wte, 6, again);
    assert_int_equal(values[0] == again[0], false);
    clm_parameter missing = *wte;
    (void)snprintf(missing.name, sizeof missing.name, "score.weight");
    assert_false(clm_weights_has(weights, &missing));
    assert_status(CLM_ERROR_NOT_FOUND, clm_weights_read(weights, &missing, values));
    missing = *wte;
    missing.shape[0]++;
    assert_false(clm_weights_has(weights, &missing));
    assert_status(CLM_ERROR_SHAPE, clm_weights_read(weights, &missing, values));
    clm_free(values);
    clm_free(again);
    clm_parameter_table_free(&table);
    clm_weights_close(weights);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(models_are_read_in_every_form),
        cmocka_unit_test(shards_are_put_together),
        cmocka_unit_test(wrong_models_are_refused_by_name),
        cmocka_unit_test(other_formats_are_named),
        cmocka_unit_test(a_file_that_changes_is_named),
        cmocka_unit_test(random_weights_are_as_gpt2_begins),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "support/test_support.h"

#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/string.h"
#include "clm/config.h"
#include "model/declare.h"
#include "model/opened.h"

static void presets_have_the_published_sizes(void **state) {
    (void)state;
    static const struct {
        const char *name;
        size_t parameters;
    } presets[] = {{"gpt2", 124439808},
                   {"gpt2-medium", 354823168},
                   {"gpt2-large", 774030080},
                   {"gpt2-xl", 1557611200}};
    for (size_t i = 0; i < 4; i++) {
        clm_model_config config;
        clm_parameter_table table;
        assert_ok(clm_model_config_preset(&config, presets[i].name));
        assert_ok(clm_model_declare(&table, &config));
        assert_int_equal(table.total, presets[i].parameters);
        clm_parameter_table_free(&table);
    }
    clm_model_config config;
    assert_status(CLM_ERROR_ARGUMENT, clm_model_config_preset(&config, "gpt3"));
    assert_message_has("gpt3");
}

/* Every parameter is found by its name; the recipe's trained parameters, the last block,
 * final LayerNorm and head, are 7,090,946. */
static void the_table_is_whole(void **state) {
    (void)state;
    clm_model_config config = CLM_MODEL_CONFIG_DEFAULT;
    clm_parameter_table table;
    assert_ok(clm_model_config_set_labels(&config, 2, NULL));
    assert_ok(clm_model_declare(&table, &config));
    assert_int_equal(table.count, 2 + 12 * 12 + 4);
    size_t trained = 0;
    for (size_t i = 0; i < table.count; i++) {
        const clm_parameter *p = &table.parameters[i];
        assert_ptr_equal(clm_parameter_named(&table, p->name), p);
        assert_int_equal(p->count, p->rank == 1 ? p->shape[0] : p->shape[0] * p->shape[1]);
        clm_trained_part part = {.policy = CLM_TRAIN_LAST_BLOCK, .n_layer = 12};
        if (clm_trains_by_policy(&part, p->name)) {
            trained += p->count;
        }
    }
    assert_int_equal(trained, 7090946);
    assert_null(clm_parameter_named(&table, "h.12.ln_1.bias"));
    assert_null(clm_parameter_named(&table, "h.01.ln_1.bias"));
    assert_null(clm_parameter_named(&table, "h.1.ln_1.biases"));
    assert_null(clm_parameter_named(&table, "h.1.wte.weight"));
    const clm_parameter *fc = clm_parameter_named(&table, "h.3.mlp.c_fc.weight");
    assert_non_null(fc);
    assert_int_equal(fc->shape[0], 768);
    assert_int_equal(fc->shape[1], 3072);
    assert_true(fc->decays);
    const clm_parameter *proj = clm_parameter_named(&table, "h.3.mlp.c_proj.weight");
    /* 0.02 / sqrt(24), rounded to float. */
    assert_close(proj->spread, 0.02 / 4.898979485566356, 0.0, 1e-7);
    clm_parameter_table_free(&table);
    clm_model_config_free(&config);
}

static void random_specifications_are_read(void **state) {
    (void)state;
    clm_model_config config;
    uint64_t seed = 9;
    assert_ok(clm_model_config_parse(
        &config, &seed,
        "random:n_layer=2,n_embd=64,n_head=2,n_ctx=128,n_vocab=300,n_inner=100,seed=7"));
    assert_int_equal(config.n_layer, 2);
    assert_int_equal(config.n_embd, 64);
    assert_int_equal(config.n_head, 2);
    assert_int_equal(config.n_ctx, 128);
    assert_int_equal(config.n_vocab, 300);
    assert_int_equal(clm_model_config_inner(&config), 100);
    assert_int_equal(seed, 7);
    assert_ok(clm_model_config_parse(&config, &seed, "random:gpt2-medium,seed=1"));
    assert_int_equal(config.n_layer, 24);
    assert_int_equal(config.n_head, 16);
    assert_int_equal(seed, 1);
    assert_ok(clm_model_config_parse(&config, &seed, "random"));
    assert_int_equal(config.n_embd, 768);
    assert_int_equal(seed, 0);
    assert_ok(clm_model_config_parse(&config, &seed, "random:n_head=3,n_embd=24"));
    assert_int_equal(config.n_head, 3);
    assert_int_equal(clm_model_config_inner(&config), 96);
    assert_ok(clm_model_config_parse(&config, &seed, "random:n_embd=32"));
    assert_int_equal(config.n_head, 1);
    static const char *const bad[][2] = {
        {"randomly", "randomly"},
        {"random:n_layers=2", "n_layers=2"},
        {"random:n_layer=", "n_layer"},
        {"random:n_layer=0", "from 1"},
        {"random:n_layer=-2", "n_layer"},
        {"random:n_layer=2x", "n_layer"},
        {"random:n_layer=2,gpt2", "gpt2"},
        {"random:gpt9", "gpt9"},
        {"random:n_embd=65,n_head=2", "cannot be divided"},
        {"random:n_vocab=99999999999", "n_vocab"},
        {"random:,n_layer=1", "preset"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_status(CLM_ERROR_ARGUMENT, clm_model_config_parse(&config, &seed, bad[i][0]));
        assert_message_has(bad[i][1]);
    }
}

#define CLASSIFIER "\"architectures\": [\"GPT2ForSequenceClassification\"], "

static clm_status read_text(clm_model_config *config, const char *text) {
    const char *path = clm_test_path("config.json");
    clm_test_write(path, text, strlen(text));
    return clm_model_config_read(config, path);
}

/* In the shape of what Hugging Face's hub has for gpt2. */
static void a_config_of_transformers_is_read(void **state) {
    (void)state;
    clm_model_config config;
    assert_ok(
        read_text(&config,
                  "{\"activation_function\": \"gelu_new\", \"architectures\": "
                  "[\"GPT2LMHeadModel\"], \"attn_pdrop\": 0.2, \"bos_token_id\": 50256, "
                  "\"embd_pdrop\": 0.1, \"eos_token_id\": 50256, \"initializer_range\": 0.02, "
                  "\"layer_norm_epsilon\": 1e-05, \"model_type\": \"gpt2\", \"n_ctx\": 1024, "
                  "\"n_embd\": 1024, \"n_head\": 16, \"n_layer\": 24, \"n_positions\": 512, "
                  "\"n_inner\": null, \"resid_pdrop\": 0.1, \"task_specific_params\": "
                  "{\"text-generation\": {\"do_sample\": true}}, \"vocab_size\": 50257}"));
    assert_int_equal(config.n_embd, 1024);
    assert_int_equal(config.n_ctx, 512);
    assert_int_equal(config.n_inner, 0);
    assert_int_equal(config.n_labels, 0);
    assert_true(config.attn_dropout == 0.2F);
    assert_true(config.layer_norm_epsilon == 1e-5F);
    assert_ok(read_text(&config,
                        "{\"architectures\": [\"GPT2ForSequenceClassification\"], "
                        "\"id2label\": {\"1\": \"spam\", \"0\": \"ham\", \"2\": \"?\"}, "
                        "\"label2id\": {\"ham\": 0, \"spam\": 1, \"?\": 2}, \"pad_token_id\": 7}"));
    assert_int_equal(config.n_labels, 3);
    assert_string_equal(config.labels[1], "spam");
    assert_int_equal(config.pooling, CLM_POOLING_LAST_TOKEN);
    assert_int_equal(config.pad_token, 7);
    clm_model_config_free(&config);
    assert_ok(read_text(&config, "{\"architectures\": [\"GPT2ForSequenceClassification\"]}"));
    assert_int_equal(config.n_labels, 2);
    assert_string_equal(config.labels[0], "LABEL_0");
    assert_string_equal(config.labels[1], "LABEL_1");
    clm_model_config_free(&config);
    assert_ok(read_text(&config,
                        "{\"architectures\": [\"GPT2ForSequenceClassification\"], "
                        "\"id2label\": {\"0\": -1, \"1\": 12}}"));
    assert_string_equal(config.labels[0], "-1");
    assert_string_equal(config.labels[1], "12");
    clm_model_config_free(&config);
}

static int warnings;
static char last_warning[400];

static void count_warning(void *context, clm_log_level level, const char *message) {
    (void)context;
    (void)level;
    warnings++;
    (void)snprintf(last_warning, sizeof last_warning, "%s", message);
}

/* What transformers itself writes, and what other programs leave: read, with one warning. */
static void doubtful_tables_are_read_with_a_warning(void **state) {
    (void)state;
    clm_model_config config;
    clm_log_set_sink(count_warning, NULL, CLM_LOG_WARNING);
    warnings = 0;
    static const char *const same[] = {
        "{}", "{\"label2id\": {\"x\": 7}}",
        "{" CLASSIFIER "\"id2label\": {\"0\": \"a\", \"1\": \"b\"}, \"label2id\": null}",
        "{" CLASSIFIER
        "\"id2label\": {\"0\": \"a\", \"1\": \"b\"}, \"label2id\": {\"b\": 1, "
        "\"a\": 0}}"};
    for (size_t i = 0; i < sizeof same / sizeof *same; i++) {
        assert_ok(read_text(&config, same[i]));
        clm_model_config_free(&config);
        assert_int_equal(warnings, 0);
    }
    static const char *const other[] = {
        "{\"a\": 1, \"b\": 0}",         "{\"LABEL_0\": 0, \"LABEL_1\": 1}", "{\"a\": 0}", "[0, 1]",
        "{\"a\": \"0\", \"b\": \"1\"}", "{\"a\": 0, \"b\": 1e300}"};
    for (size_t i = 0; i < sizeof other / sizeof *other; i++) {
        char text[300];
        (void)snprintf(text, sizeof text,
                       "{" CLASSIFIER
                       "\"id2label\": {\"0\": \"a\", \"1\": \"b\"}, \"label2id\": %s}",
                       other[i]);
        warnings = 0;
        assert_ok(read_text(&config, text));
        assert_string_equal(config.labels[0], "a");
        assert_int_equal(warnings, 1);
        assert_non_null(strstr(last_warning, "label2id"));
        clm_model_config_free(&config);
    }
    warnings = 0;
    assert_ok(read_text(&config, "{\"n_embed\": 3, \"alibi\": true}"));
    assert_int_equal(warnings, 1);
    assert_non_null(strstr(last_warning, "\"n_embed\" and other members"));
    warnings = 0;
    assert_ok(read_text(&config,
                        "{\"pad_token_id\": 3, \"clm\": {\"pooling\": "
                        "\"last_position\"}}"));
    assert_int_equal(warnings, 1);
    assert_int_equal(config.pooling, CLM_POOLING_LAST_TOKEN);
    clm_log_set_sink(NULL, NULL, CLM_LOG_WARNING);
}

/* As many as a vocabulary: 40,000 took 11 seconds when each was looked for among all. */
static void many_labels_are_read_at_once(void **state) {
    (void)state;
    enum { many = 200000 };
    clm_string text = {0};
    clm_model_config config;
    clm_string_add(&text, "{" CLASSIFIER "\"id2label\": {");
    for (int i = 0; i < many; i++) {
        clm_string_add_format(&text, "%s\"%d\": \"c%d\"", i > 0 ? ", " : "", i, i);
    }
    clm_string_add(&text, "}, \"label2id\": {");
    for (int i = many - 1; i >= 0; i--) {
        clm_string_add_format(&text, "%s\"c%d\": %d", i < many - 1 ? ", " : "", i, i);
    }
    clm_string_add(&text, "}}");
    assert_ok(clm_string_status(&text));
    const double begin = clm_seconds();
    assert_ok(read_text(&config, text.text));
    assert_true(clm_seconds() - begin < 20.0); /* quadratic: minutes */
    assert_int_equal(config.n_labels, many);
    assert_string_equal(config.labels[many - 1], "c199999");
    clm_model_config_free(&config);
    clm_string_free(&text);
}

static void what_is_written_is_read(void **state) {
    (void)state;
    const char *path = clm_test_path("out.json");
    clm_model_config config = CLM_MODEL_CONFIG_DEFAULT;
    config.n_inner = 1000;
    config.layer_norm_epsilon = 3e-6F;
    config.pad_token = 50256;
    config.padded_length = 120;
    assert_ok(clm_model_config_set_labels(
        &config, 2, (const char *const[]){"ham", "sp\"\x1B[31m\t\nam\xC3\xA9"}));
    for (int pooling = 0; pooling < 2; pooling++) {
        clm_model_config back;
        config.pooling = (clm_pooling)pooling;
        assert_ok(clm_model_config_write(&config, path));
        assert_ok(clm_model_config_read(&back, path));
        assert_int_equal(back.n_inner, 1000);
        assert_int_equal(back.n_vocab, 50257);
        assert_true(back.layer_norm_epsilon == 3e-6F);
        assert_true(back.embd_dropout == 0.1F);
        assert_int_equal(back.pooling, pooling);
        assert_int_equal(back.pad_token, 50256);
        assert_int_equal(back.padded_length, 120);
        assert_int_equal(back.n_labels, 2);
        assert_string_equal(back.labels[1], "sp\"\x1B[31m\t\nam\xC3\xA9");
        clm_model_config copy;
        assert_ok(clm_model_config_copy(&copy, &back));
        clm_model_config_free(&back);
        assert_string_equal(copy.labels[0], "ham");
        clm_model_config_free(&copy);
    }
    assert_status(CLM_ERROR_ARGUMENT,
                  clm_model_config_set_labels(&config, 2, (const char *const[]){"a", "a"}));
    assert_status(CLM_ERROR_ENCODING,
                  clm_model_config_set_labels(&config, 1, (const char *const[]){"\xC3"}));
    assert_string_equal(config.labels[0], "ham");
    config.n_head = 7;
    assert_status(CLM_ERROR_SHAPE, clm_model_config_write(&config, path));
    clm_model_config_free(&config);
}

static void contradictions_are_named(void **state) {
    (void)state;
    static const struct {
        const char *text;
        clm_status status;
        const char *message;
    } bad[] = {
        {"[]", CLM_ERROR_FORMAT, "a JSON object"},
        {"{\"n_embd\": 768", CLM_ERROR_FORMAT, "byte"},
        {"{\"n_embd\": 770}", CLM_ERROR_SHAPE, "n_embd = 770 cannot be divided among n_head = 12"},
        {"{\"n_embd\": \"768\"}", CLM_ERROR_FORMAT, "\"n_embd\" must be a whole number"},
        {"{\"n_layer\": 1.5}", CLM_ERROR_FORMAT, "\"n_layer\" must be a whole number"},
        {"{\"n_layer\": 0}", CLM_ERROR_FORMAT, "\"n_layer\""},
        {"{\"vocab_size\": 2000000000}", CLM_ERROR_SHAPE, "n_vocab"},
        {"{\"embd_pdrop\": 1}", CLM_ERROR_SHAPE, "embd_pdrop is 1"},
        {"{\"embd_pdrop\": true}", CLM_ERROR_FORMAT, "embd_pdrop"},
        {"{\"layer_norm_epsilon\": 0}", CLM_ERROR_SHAPE, "layer_norm_epsilon"},
        {"{\"model_type\": \"llama\"}", CLM_ERROR_UNSUPPORTED, "llama"},
        {"{\"activation_function\": \"relu\"}", CLM_ERROR_UNSUPPORTED, "relu"},
        {"{\"scale_attn_weights\": false}", CLM_ERROR_UNSUPPORTED,
         "\"scale_attn_weights\" is false"},
        {"{\"architectures\": \"x\"}", CLM_ERROR_FORMAT, "architectures"},
        {"{" CLASSIFIER "\"num_labels\": 3, \"id2label\": {\"0\": \"a\"}}", CLM_ERROR_FORMAT,
         "\"num_labels\" is 3"},
        {"{" CLASSIFIER "\"id2label\": {\"0\": \"a\", \"2\": \"b\"}}", CLM_ERROR_FORMAT, "\"2\""},
        {"{" CLASSIFIER "\"id2label\": {\"0\": \"a\", \"00\": \"b\"}}", CLM_ERROR_FORMAT, "\"00\""},
        {"{" CLASSIFIER "\"id2label\": {\"0\": \"a\", \"1\": \"a\"}}", CLM_ERROR_FORMAT,
         "both called \"a\""},
        {"{" CLASSIFIER "\"id2label\": {\"0\": \"a\", \"1\": 0.5}}", CLM_ERROR_FORMAT,
         "the name of \"1\" must be a string"},
        {"{" CLASSIFIER "\"id2label\": {\"0\": \"a\"}}", CLM_ERROR_UNSUPPORTED, "one label"},
        {"{" CLASSIFIER "\"num_labels\": 1}", CLM_ERROR_UNSUPPORTED, "one label"},
        {"{" CLASSIFIER "\"problem_type\": \"regression\"}", CLM_ERROR_UNSUPPORTED,
         "\"problem_type\" is \"regression\""},
        {"{" CLASSIFIER "\"problem_type\": \"multi_label_classification\"}", CLM_ERROR_UNSUPPORTED,
         "\"multi_label_classification\""},
        {"{\"architectures\": [\"BertForMaskedLM\"]}", CLM_ERROR_UNSUPPORTED, "BertForMaskedLM"},
        {"{\"n_layer\": 2, \"n_layer\": 3}", CLM_ERROR_FORMAT, "\"n_layer\" appears twice"},
        {"{\"n_inner\": 0}", CLM_ERROR_FORMAT, "n_inner"},
        {"{\"n_embd\": 768, \"hidden_size\": 770}", CLM_ERROR_SHAPE, "n_embd = 770"},
        {"{\"clm\": {\"pooling\": \"mean\"}}", CLM_ERROR_UNSUPPORTED, "mean"},
        {"{\"clm\": {\"padded_length\": 2000}}", CLM_ERROR_FORMAT, "padded_length"},
        {"{\"clm\": 1}", CLM_ERROR_FORMAT, "\"clm\" must be an object"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        clm_model_config config;
        assert_status(bad[i].status, read_text(&config, bad[i].text));
        assert_message_has("config.json: ");
        assert_message_has(bad[i].message);
    }
}

static void sizes_that_cannot_be_are_named(void **state) {
    (void)state;
    clm_model_config config = CLM_MODEL_CONFIG_DEFAULT;
    assert_ok(clm_model_config_check(&config));
    config.n_head = 7;
    assert_status(CLM_ERROR_SHAPE, clm_model_config_check(&config));
    assert_message_has("n_head");
    config.n_head = 12;
    config.n_layer = 0;
    assert_status(CLM_ERROR_SHAPE, clm_model_config_check(&config));
    assert_message_has("n_layer");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(presets_have_the_published_sizes),
        cmocka_unit_test(the_table_is_whole),
        cmocka_unit_test(random_specifications_are_read),
        cmocka_unit_test(a_config_of_transformers_is_read),
        cmocka_unit_test(doubtful_tables_are_read_with_a_warning),
        cmocka_unit_test(many_labels_are_read_at_once),
        cmocka_unit_test(what_is_written_is_read),
        cmocka_unit_test(contradictions_are_named),
        cmocka_unit_test(sizes_that_cannot_be_are_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "train/card.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "base/file.h"
#include "base/json.h"
#include "base/log.h"
#include "base/memory.h"
#include "model/opened.h"

static const char card_name[] = "README.md";

/* What tells a card that clm wrote from one that somebody wrote by hand. */
static const char made_by[] =
    "<!-- Written by clm finetune, which replaces it when the run continues. -->\n";

/* ---- texts of others in Markdown ---- */

static bool is_shapeless(uint32_t code) {
    return code < 0x20 || (code >= 0x7F && code < 0xA0) || code == 0x61C ||
           (code >= 0x200B && code <= 0x200F) || (code >= 0x2028 && code <= 0x202E) ||
           (code >= 0x2060 && code <= 0x206F) || code == 0xFEFF;
}

/* The length of the character at `text`, and what it is; U+FFFD for a byte that is none. */
static size_t character_at(const char *text, uint32_t *code) {
    const size_t length = clm_utf8_decode((const unsigned char *)text, strnlen(text, 4), code);
    if (length == 0) {
        *code = 0xFFFD;
        return 1;
    }
    return length;
}

void clm_card_add_text(clm_string *out, const char *text) {
    static const char punctuation[] = "\\`*_{}[]<>|~&$:";
    static const char at_first[] = "#+-=.!)("; /* which mean something where a line begins */
    const char *first = text;
    uint32_t code = 0;
    for (size_t length = 0; *text != '\0'; text += length) {
        length = character_at(text, &code);
        if (code == 0xFFFD || is_shapeless(code)) {
            clm_string_add(out, "\xEF\xBF\xBD");
        } else {
            const bool means_something = strchr(punctuation, text[0]) != NULL ||
                                         (text == first && strchr(at_first, text[0]) != NULL);
            clm_string_add(out, means_something ? "\\" : "");
            clm_string_add_bytes(out, text, length);
        }
    }
}

static bool is_plain(const char *text) {
    uint32_t code = 0;
    for (; *text != '\0'; text += character_at(text, &code)) {
        (void)character_at(text, &code);
        if (code == 0xFFFD || is_shapeless(code)) {
            return false;
        }
    }
    return true;
}

void clm_card_add_word(clm_string *out, const char *text) {
    if (!is_plain(text)) {
        clm_string_add(out, "RUN");
        return;
    }
    if (text[strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_./-")] ==
            '\0' &&
        text[0] != '-' && text[0] != '\0') {
        clm_string_add(out, text);
        return;
    }
    clm_string_add(out, "'");
    for (; *text != '\0'; text++) {
        clm_string_add_bytes(out, text, 1);
        clm_string_add(out, *text == '\'' ? "\\''" : "");
    }
    clm_string_add(out, "'");
}

/* As a string of Python's. */
static void add_python(clm_string *out, const char *text) {
    if (is_plain(text)) {
        clm_json_add_string(out, text);
    } else {
        clm_string_add(out, "\"RUN\"");
    }
}

/* ---- how it was trained ---- */

static void add_row(clm_string *out, const char *name, const char *text) {
    if (text != NULL && text[0] != '\0') {
        clm_string_add_format(out, "| %s | ", name);
        clm_card_add_text(out, text);
        clm_string_add(out, " |\n");
    }
}

static void add_number(clm_string *out, double value) {
    clm_json_add_double(out, value);
}

static bool is_padded(const clm_trainer *t) {
    return t->model->config.pooling == CLM_POOLING_LAST_POSITION;
}

static void add_optimizer(clm_string *out, const clm_finetune_options *o) {
    clm_string_add(out, "| optimizer | AdamW, learning rate ");
    add_number(out, o->learning_rate);
    clm_string_add(out, ", weight decay ");
    add_number(out, o->weight_decay);
    clm_string_add(out, ", betas ");
    add_number(out, o->beta1);
    clm_string_add(out, " and ");
    add_number(out, o->beta2);
    clm_string_add(out, ", epsilon ");
    add_number(out, o->epsilon);
    clm_string_add(out, " |\n");
}

static void add_training(clm_string *out, const clm_trainer *t) {
    const clm_finetune_options *o = t->options;
    const clm_model *model = t->model;
    const clm_device_info *device = clm_device_get_info(model->device);
    clm_string_add(out, "## How it was trained\n\n| | |\n| --- | --- |\n");
    add_row(out, "started from", o->source);
    add_row(out, "vocabulary", clm_run_get(t->run, "vocab"));
    add_row(out, "data", clm_run_get(t->run, "data"));
    clm_string_add_format(
        out, "| texts | %zu for training, %zu for validation, %zu for the test |\n",
        clm_dataset_count(t->train), clm_dataset_count(t->validation), clm_dataset_count(t->test));
    clm_string_add_format(out, "| length | up to %d tokens%s |\n", clm_trainer_longest(t),
                          is_padded(t) ? ", all texts padded to that" : "");
    clm_string_add_format(out, "| the head sees | the last %s |\n",
                          is_padded(t) ? "position, behind the padding" : "token of each text");
    clm_string_add_format(out, "| trained | %s: %zu of %zu parameters |\n",
                          clm_train_policy_name(model->trained.policy),
                          clm_model_trained_count(model), clm_model_parameter_count(model));
    clm_string_add_format(
        out, "| steps | %" PRId64 ", each of %d texts, in %d epochs of %" PRId64 " |\n",
        t->state.step, clm_trainer_step_texts(t), o->epochs, t->batches);
    add_optimizer(out, o);
    clm_string_add_format(out, "| seed | %" PRIu64 " for the batches, %" PRIu64 " for the head |\n",
                          o->seed, model->head_seed);
    clm_string_add_format(out, "| frozen weights, kept values | %s, %s |\n",
                          clm_dtype_name(model->frozen_storage),
                          clm_dtype_name(model->kept_storage));
    add_row(out, "device", device->name);
    add_row(out, "driver", device->driver);
    add_row(out, "clm", clm_version());
    clm_string_add(out, "\n");
}

/* ---- its figures ---- */

static void add_figure(clm_string *out, const cJSON *line, const char *name, bool percent) {
    double value = NAN;
    clm_error_hold();
    (void)clm_json_get_double(line, name, false, &value, "");
    clm_error_release();
    clm_string_add(out, " | ");
    if (isnan(value)) {
        clm_string_add(out, "none");
    } else {
        clm_string_add_format(out, percent ? "%.2f %%" : "%.3f", percent ? 100.0 * value : value);
    }
}

static void add_count(clm_string *out, const cJSON *line, const char *name) {
    int value = 0;
    clm_error_hold();
    (void)clm_json_get_int(line, name, false, 0, INT32_MAX, &value, "");
    clm_error_release();
    clm_string_add_format(out, "| %d", value);
}

static clm_status add_epoch(void *context, const cJSON *line, const char *where) {
    clm_string *out = context;
    (void)where;
    add_count(out, line, "epoch");
    add_figure(out, line, "train_acc", true);
    add_figure(out, line, "val_acc", true);
    clm_string_add(out, " |\n");
    return CLM_OK;
}

/* Only the last one stays. */
static clm_status take_eval(void *context, const cJSON *line, const char *where) {
    clm_string *out = context;
    (void)where;
    clm_string_clear(out);
    add_count(out, line, "step");
    add_figure(out, line, "train_loss", false);
    add_figure(out, line, "val_loss", false);
    clm_string_add(out, " |\n");
    return CLM_OK;
}

static void add_final(clm_string *out, const clm_finetune_result *result) {
    const struct {
        const char *name;
        double value;
    } sets[] = {{"training", result->train_accuracy},
                {"validation", result->val_accuracy},
                {"test", result->test_accuracy}};
    clm_string_add(out, "Over the whole sets:\n\n| set | accuracy |\n| --- | ---: |\n");
    for (size_t i = 0; i < sizeof sets / sizeof *sets; i++) {
        clm_string_add_format(out, "| %s | %.2f %% |\n", sets[i].name, 100.0 * sets[i].value);
    }
    clm_string_add(out, "\n");
}

static clm_status add_figures(clm_string *out, const clm_trainer *t) {
    clm_string eval = {0};
    clm_string epochs = {0};
    clm_status status = CLM_OK;
    CLM_TRY(clm_metrics_each(&t->metrics, "eval", take_eval, &eval));
    CLM_TRY(clm_metrics_each(&t->metrics, "epoch", add_epoch, &epochs));
    CLM_TRY(clm_string_status(&eval));
    CLM_TRY(clm_string_status(&epochs));
    clm_string_add(out, "## Figures\n\n");
    if (!isnan(t->result.test_accuracy)) {
        add_final(out, &t->result);
    } else {
        clm_string_add(out, "The accuracies over the whole sets were not computed.\n\n");
    }
    if (epochs.length > 0) {
        clm_string_add_format(out,
                              "While it was trained, over up to %d batches of each set:\n\n"
                              "| epoch | training accuracy | validation accuracy |\n"
                              "| ---: | ---: | ---: |\n%s\n",
                              t->options->eval_batches, epochs.text);
    }
    if (eval.length > 0) {
        clm_string_add_format(out,
                              "| after step | training loss | validation loss |\n"
                              "| ---: | ---: | ---: |\n%s\n",
                              eval.text);
    }
cleanup:
    clm_string_free(&eval);
    clm_string_free(&epochs);
    return status;
}

/* ---- how to use it ---- */

static void add_transformers(clm_string *out, const clm_trainer *t) {
    clm_string_add(out,
                   "With transformers:\n\n```python\nfrom transformers import pipeline\n\n"
                   "classify = pipeline(\"text-classification\", model=");
    add_python(out, clm_run_folder(t->run));
    clm_string_add(out, ")\n");
    if (is_padded(t)) {
        clm_string_add_format(out,
                              "padding = dict(padding=\"max_length\", max_length=%d, "
                              "truncation=True,\n               return_attention_mask=False)\n"
                              "print(classify(\"a text\", **padding))\n```\n\n",
                              clm_dataset_length(t->train));
        clm_string_add_format(
            out,
            "**The padding is part of what this model was trained on.** Its head looks at the last "
            "position, behind the padding, so each text must be cut and padded on the right to "
            "exactly %d tokens with token %d, without an attention mask. transformers does not do "
            "so by itself: without the arguments above its answers differ from clm's, which pads "
            "by itself.\n\n",
            clm_dataset_length(t->train), t->model->config.pad_token);
    } else {
        const clm_model_config *config = &t->model->config;
        clm_string_add_format(out,
                              "print(classify(\"a text\", truncation=True, max_length=%d))\n```\n\n"
                              "Its answers do not depend on padding: the head looks at the last "
                              "token of the text.\n\n",
                              config->padded_length > 0 ? config->padded_length : config->n_ctx);
    }
}

static void add_use(clm_string *out, const clm_trainer *t) {
    clm_string_add(out, "## How to use it\n\nWith clm:\n\n```\nclm classify --model ");
    clm_card_add_word(out, clm_run_folder(t->run));
    clm_string_add(out, " 'a text'\n```\n\n");
    if (t->tokenizer != NULL) {
        add_transformers(out, t);
    }
}

/* ---- the card ---- */

static void add_head(clm_string *out, const clm_trainer *t) {
    const clm_model_config *config = &t->model->config;
    clm_string_add(out,
                   "---\nlibrary_name: transformers\npipeline_tag: text-classification\n"
                   "tags:\n- clm\n- gpt2\n- text-classification\nmetrics:\n- accuracy\n---\n");
    clm_string_add(out, made_by);
    clm_string_add(out, "\n# ");
    clm_card_add_text(out, clm_path_name(clm_run_folder(t->run)));
    clm_string_add_format(out,
                          "\n\nA GPT-2 of %d layers and %d channels that sorts texts into %d "
                          "classes:\n\n| number | class |\n| ---: | --- |\n",
                          config->n_layer, config->n_embd, config->n_labels);
    for (int i = 0; i < config->n_labels; i++) {
        clm_string_add_format(out, "| %d | ", i);
        clm_card_add_text(out, config->labels[i]);
        clm_string_add(out, " |\n");
    }
    clm_string_add(out, "\n");
}

static void add_notes(clm_string *out, const clm_run *run) {
    if (clm_run_note_count(run) > 0) {
        clm_string_add(out, "## Warnings, and what was taken for granted\n\n");
        for (size_t i = 0; i < clm_run_note_count(run); i++) {
            clm_string_add(out, "- ");
            clm_card_add_text(out, clm_run_note_at(run, i));
            clm_string_add(out, "\n");
        }
    }
}

/* Whether the file is there and is not clm's. */
static clm_status is_others(bool *others, const clm_folder *folder) {
    char *text = NULL;
    size_t size_bytes = 0;
    clm_status status = CLM_OK;
    *others = false;
    if (clm_folder_has(folder, card_name)) {
        status = clm_folder_read(folder, card_name, CLM_FILE_CONFIG, &text, &size_bytes);
        *others = status == CLM_OK && strstr(text, made_by) == NULL;
    }
    clm_free(text);
    return status;
}

clm_status clm_card_write(const clm_trainer *t) {
    const clm_folder *folder = clm_run_open_folder(t->run);
    clm_string text = {0};
    bool others = false;
    clm_status status = CLM_OK;
    CLM_TRY(is_others(&others, folder));
    if (others) {
        clm_log(CLM_LOG_INFO, "%s/%s: is not clm's, so the model card is not written", folder->path,
                card_name);
        goto cleanup;
    }
    add_head(&text, t);
    add_use(&text, t);
    CLM_TRY(add_figures(&text, t));
    add_training(&text, t);
    add_notes(&text, t->run);
    CLM_TRY(clm_string_status(&text));
    CLM_TRY(clm_folder_write(folder, card_name, text.text, text.length));
cleanup:
    clm_string_free(&text);
    return status;
}

/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "base/number.h"
#include "cli/cli.h"
#include "cli/explanation.h"
#include "cli/progress.h"

enum { FINETUNE, CLASSIFY };
enum { CHECKED_TEXTS = 2, CHECKED_TOKENS = 16 };

typedef struct settings {
    int command;
    const char *model;
    clm_train_policy train;
    clm_precision precision;
    clm_cli_device device;
    int batch, tokens;
    int labels;
    bool recompute;
    bool whole_top_block;
    bool features;
    bool json;
    bool all;
    bool run;
    bool check;
    bool new_head; /* the model's is replaced, or it has none */
} settings;

/* A classifier that was trained on one length keeps to it. */
static clm_status settle(settings *s, const clm_model_config *config) {
    const int most = config->padded_length > 0 ? config->padded_length : config->n_ctx;
    const int usual = s->check && most > CHECKED_TOKENS ? CHECKED_TOKENS : most;
    s->tokens = s->tokens > 0 ? s->tokens : usual;
    if (s->tokens > config->n_ctx) {
        return clm_fail(CLM_ERROR_ARGUMENT, "--tokens %d: the model's context is %d", s->tokens,
                        config->n_ctx);
    }
    return CLM_OK;
}

static clm_cli_explained explained_of(const settings *s) {
    const bool trains = s->command == FINETUNE;
    const clm_dtype storage = clm_cli_storage_of(s->precision);
    return (clm_cli_explained){.model = s->model,
                               .command = trains ? "finetune" : "classify",
                               .how = {.train = trains ? s->train : CLM_TRAIN_NOTHING,
                                       .frozen_storage = storage,
                                       .kept_storage = storage,
                                       .whole_top_block = s->whole_top_block,
                                       .recompute = s->recompute,
                                       .B = s->batch,
                                       .T = s->tokens},
                               .json = s->json,
                               .all = s->all};
}

static clm_status open_model(clm_model **model, clm_device *device, const settings *s) {
    clm_model_options options = CLM_MODEL_OPTIONS_DEFAULT;
    options.train = s->command == FINETUNE ? s->train : CLM_TRAIN_NOTHING;
    options.n_labels = s->new_head ? s->labels : 0;
    options.whole_top_block = s->whole_top_block;
    options.recompute = s->recompute;
    options.precision = s->precision;
    return clm_model_open(model, device, s->model, &options);
}

/* By executing it. */
static clm_status profile(const settings *s, clm_device *device) {
    const int whole = s->command == FINETUNE ? CLM_PASS_LOSSES | CLM_PASS_GRADIENTS : 0;
    clm_cli_explained explained = explained_of(s);
    clm_model *model = NULL;
    size_t features = 0;
    clm_status status = CLM_OK;
    CLM_TRY(open_model(&model, device, s));
    explained.device = device;
    explained.how = clm_model_plan(model, s->batch, s->tokens);
    explained.part_count = 1;
    if (s->features) {
        CLM_TRY(clm_model_count_features(model, s->tokens, &features));
    }
    if (features > 0) {
        explained.part_count = 2;
        CLM_TRY(
            clm_model_profile(&explained.parts[0], model, CLM_PASS_FEATURES, s->batch, s->tokens));
        CLM_TRY(clm_model_profile(&explained.parts[1], model, whole | CLM_PASS_FROM_FEATURES,
                                  s->batch, s->tokens));
    } else {
        CLM_TRY(clm_model_profile(&explained.parts[0], model, whole, s->batch, s->tokens));
    }
    clm_cli_progress_pause();
    CLM_TRY(clm_cli_print_explained(&explained));
cleanup:
    clm_pass_explanation_free(&explained.parts[0]);
    clm_pass_explanation_free(&explained.parts[1]);
    clm_model_close(model);
    return status;
}

/* By executing it beside plain C. */
static clm_status check(const settings *s, clm_device *device) {
    const int kind = s->command == FINETUNE ? CLM_PASS_LOSSES | CLM_PASS_GRADIENTS : 0;
    const clm_device_info *info = clm_device_get_info(device);
    clm_pass_explanation explanation = {0};
    clm_plan_check found;
    clm_model *model = NULL;
    clm_status status = CLM_OK;
    CLM_TRY(open_model(&model, device, s));
    status = clm_model_check(&found, &explanation, model, kind, s->batch, s->tokens);
    clm_cli_progress_pause();
    if (status == CLM_ERROR_DEVICE_WRONG) {
        status = clm_error_prefix(status, "%s (%s, driver %s)", info->name, info->platform,
                                  info->driver);
    }
    CLM_TRY(status);
    const char *name = clm_explained_name(&explanation.plan, found.largest_in);
    clm_print(stdout,
              "%s (%s, driver %s) agrees with plain C: %zu operations, %zu elements; the largest "
              "difference is %.1f %% of what is allowed, in %s%s%s\n",
              info->name, info->platform, info->driver, found.operations, found.elements,
              100.0 * found.largest, name, name[0] != '\0' ? " " : "",
              explanation.plan.operations[found.largest_in].operation);
cleanup:
    clm_pass_explanation_free(&explanation);
    clm_model_close(model);
    return status;
}

static clm_status explain(settings *s) {
    clm_device_options device_options = CLM_DEVICE_OPTIONS_DEFAULT;
    clm_device *device = NULL;
    clm_model_config config = {0};
    clm_status status = CLM_OK;
    device_options.profile = s->run;
    CLM_TRY(clm_model_config_open(&config, s->model));
    s->new_head = s->command == FINETUNE || config.n_labels == 0;
    if (s->new_head) {
        CLM_TRY(clm_model_config_set_labels(&config, s->labels, NULL));
    }
    CLM_TRY(settle(s, &config));
    /* What a wrong device computes wrongly is not to be found out by refusing it. */
    s->device.untested = s->device.untested || !s->run;
    CLM_TRY(clm_cli_open_device(&device, &s->device, &device_options));
    if (s->check) {
        CLM_TRY(check(s, device));
    } else if (s->run) {
        CLM_TRY(profile(s, device));
    } else {
        clm_cli_explained explained = explained_of(s);
        CLM_TRY(clm_cli_explain(&explained, device, &config, s->features));
    }
cleanup:
    clm_device_close(device);
    clm_model_config_free(&config);
    return status;
}

/* ---- the command ---- */

static const clm_cli_choice commands[] = {
    {"finetune", FINETUNE, "a step of training, forward and backward"},
    {"classify", CLASSIFY, "answers"},
    {NULL, 0, NULL},
};

static const clm_cli_option positionals[] = {
    {"COMMAND", NULL, "whose plan is explained", CLM_CLI_CHOICE_AT(settings, command),
     .choices = commands, .fallback = "finetune"},
    {NULL},
};

static const clm_cli_choice policies[] = {
    {"head", CLM_TRAIN_HEAD, NULL},
    {"last-block", CLM_TRAIN_LAST_BLOCK, NULL},
    {"last-two-blocks", CLM_TRAIN_LAST_TWO_BLOCKS, NULL},
    {"all", CLM_TRAIN_ALL, NULL},
    {NULL, 0, NULL},
};

static const clm_cli_option model_options[] = {
    {"--model", "MODEL", "as for finetune; values are not read", CLM_CLI_PATH_AT(settings, model),
     .synonyms = "--run --base --pretrained"},
    {"--batch", "N", "texts that go through together", CLM_CLI_INT_AT(settings, batch), .least = 1,
     .synonyms = "--batch-size --bs"},
    {"--tokens", "N", "of each text", CLM_CLI_INT_AT(settings, tokens), .least = 1,
     .fallback = "as many as the model takes", .synonyms = "--length --sequence-length"},
    {"--labels", "N", "classes of a new head", CLM_CLI_INT_AT(settings, labels), .least = 1,
     .synonyms = "--classes --num-labels"},
    {NULL},
};

static const clm_cli_option plan_options[] = {
    {"--train", "WHAT", "what is trained", CLM_CLI_CHOICE_AT(settings, train), .choices = policies,
     .synonyms = "--layers --trainable"},
    {"--precision", "TYPE", "of frozen weights and kept activations; auto is f32 here",
     CLM_CLI_CHOICE_AT(settings, precision), .choices = clm_cli_precisions,
     .synonyms = "--dtype --fp16"},
    {"--recompute", NULL, "run blocks again for their gradients",
     CLM_CLI_FLAG_AT(settings, recompute), .synonyms = "--checkpointing"},
    {"--features", NULL, "the frozen part and the trained part, apart",
     CLM_CLI_FLAG_AT(settings, features)},
    {"--whole-top-block", NULL, "for every position, not only for those the head sees",
     CLM_CLI_FLAG_AT(settings, whole_top_block)},
    {NULL},
};

static const clm_cli_option output_options[] = {
    {"--all", NULL, "show equal blocks, and operations that only look at others' results",
     CLM_CLI_FLAG_AT(settings, all), .synonyms = "--all-blocks --verbose"},
    {"--run", NULL,
     "load the model and execute the plan, with texts at random: adds the kernels "
     "and the time of each operation",
     CLM_CLI_FLAG_AT(settings, run), .synonyms = "--profile --execute"},
    {"--json", NULL, "print one JSON object", CLM_CLI_FLAG_AT(settings, json)},
    {NULL},
};

static const clm_cli_option check_option[] = {
    {"--check", NULL,
     "execute each operation beside plain C, and name the first one that the device computes "
     "wrongly",
     CLM_CLI_FLAG_AT(settings, check), .excludes = "--all --run --json --features --no-selftest",
     .synonyms = "--verify --validate"},
    {NULL},
};

static const clm_cli_example examples[] = {
    {"clm explain --batch 8 --tokens 120", "Explains a step of training the last block of GPT-2."},
    {"clm explain finetune --model gpt2 --train all --recompute --precision f16",
     "Shows what each of these does to the plan and its memory."},
    {"clm explain --check --device gpu", "Finds the operation that a driver computes wrongly."},
    {"clm explain classify --model run --run", "Shows the kernels of an answer, and their times."},
    {NULL, NULL},
};

static const settings defaults = {.model = "random:gpt2",
                                  .train = CLM_TRAIN_LAST_BLOCK,
                                  .precision = CLM_PRECISION_AUTO,
                                  .batch = 8,
                                  .labels = 2};

/* Plain C takes long for more than a small model, of which everything is trained. */
static void settle_check(const clm_cli_arguments *arguments, settings *s) {
    if (clm_cli_given_text(arguments, "--model") == NULL) {
        s->model = "random:n_layer=2,n_embd=64,n_head=2,n_ctx=64,n_vocab=256";
    }
    if (clm_cli_given_text(arguments, "--train") == NULL) {
        s->train = CLM_TRAIN_ALL;
    }
    if (clm_cli_given_text(arguments, "--batch") == NULL) {
        s->batch = CHECKED_TEXTS;
    }
}

static int run(const clm_cli_arguments *arguments) {
    settings *s = arguments->settings;
    if (s->check) {
        settle_check(arguments, s);
    }
    clm_cli_progress shown;
    clm_cli_progress_begin_at_terminal(&shown);
    const clm_status status = explain(s);
    clm_cli_progress_end();
    return status == CLM_OK ? CLM_EXIT_DONE : clm_cli_fail(status);
}

const clm_cli_command clm_command_explain = {
    .name = "explain",
    .about = "show what a command executes on the device, and its memory",
    .synopsis = "[finetune | classify] [--model MODEL] [OPTION...]",
    .description =
        "Prints the plan of a command: its operations in order, the bytes that each has to move "
        "and what it computes, what was fused, kept, recomputed, narrowed or dropped, and the "
        "memory that it takes. Nothing is executed or allocated on the device, and weights are not "
        "read, unless --run is given. Blocks that are equal to an earlier one are shown once.\n\n"
        "Notes: +bias, +gelu and +residual are fused into a product; picked-rows: for the "
        "positions alone that the head sees; kept-for-gradient, kept-in-16-bits: until the "
        "backward pass has read it; again: computed a second time instead; in-place: into the "
        "memory of what it reads; adds: to gradients of parameters; no-NAME: without this result, "
        "which nothing needs.\n\n"
        "With --check the plan is executed operation by operation, each from what the device has, "
        "and its results are compared with plain C in doubles. They may be off by 1e-5 of the "
        "largest element of the tensor, or of the operation's first operand; 2e-2 where weights "
        "are f16. If an operation differs, the command names the first, its element, both values "
        "and its kernels, and exits with status 4. It checks a small model, 2 texts of 16 tokens, "
        "and all gradients, unless something else is given.",
    .groups = {{"Model", model_options, 0},
               {"Plan", plan_options, 0},
               {"Output", output_options, 0},
               {"Checking", check_option, 0},
               {"Device", clm_cli_device_option, offsetof(settings, device)},
               {NULL, clm_cli_test_option, offsetof(settings, device)}},
    .positionals = positionals,
    .examples = examples,
    .ends = CLM_CLI_ENDS_INPUT | CLM_CLI_ENDS_DEVICE,
    .synonyms = "plan describe inspect why",
    .settings_size = sizeof(settings),
    .defaults = &defaults,
    .run = run,
};

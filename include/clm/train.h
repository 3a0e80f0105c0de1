/* Fine-tuning a classifier, as LLMs-from-scratch chapter 6 does it.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef CLM_TRAIN_H
#define CLM_TRAIN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "clm/data.h"
#include "clm/model.h"
#include "clm/run.h"
#include "clm/status.h"
#include "clm/text.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef enum clm_train_event_kind {
    CLM_TRAIN_STARTED = 0, /* a new run */
    CLM_TRAIN_RESUMED,     /* from a checkpoint: step and epoch say where */
    CLM_TRAIN_STEP,        /* step, loss, seconds */
    CLM_TRAIN_EVAL,        /* step, train_loss, val_loss */
    CLM_TRAIN_EPOCH,       /* epoch, train_accuracy, val_accuracy */
    CLM_TRAIN_FINAL,       /* train_accuracy, val_accuracy, test_accuracy, seconds */
    CLM_TRAIN_CHECKPOINT   /* one was saved */
} clm_train_event_kind;

typedef struct clm_train_event {
    clm_train_event_kind kind;
    int64_t step;       /* 0 for the first */
    int64_t step_count; /* of the whole run */
    int epoch;          /* 1 for the first */
    double loss, train_loss, val_loss;
    double train_accuracy, val_accuracy, test_accuracy; /* 0 to 1 */
    double seconds;       /* of this step; for CLM_TRAIN_FINAL of the run */
    double tokens_second; /* over the latest steps */
    double seconds_left;  /* estimated, of the whole run; negative when not known */
    int64_t examples;     /* seen in training */
} clm_train_event;

/* Where features are kept: the outputs of the layers below the lowest trained one, which are the
 * same for a text in every epoch and evaluation, and so are computed once. */
typedef enum clm_feature_place {
    CLM_FEATURES_AUTO = 0, /* the first of device, host and disk with room for all of them */
    CLM_FEATURES_OFF,      /* nowhere: frozen layers run in every step */
    CLM_FEATURES_DEVICE,
    CLM_FEATURES_HOST, /* memory of the host */
    CLM_FEATURES_DISK  /* an unnamed file in the run folder, which disappears with the process */
} clm_feature_place;

typedef enum clm_feature_storage {
    CLM_FEATURES_F32 = 0, /* the same losses, bit for bit, as with CLM_FEATURES_OFF */
    CLM_FEATURES_F16,     /* half the memory; values are rounded to 11 bits */
    CLM_FEATURES_BF16     /* half the memory, the range of floats; rounded to 8 bits */
} clm_feature_storage;

typedef struct clm_finetune_options {
    int epochs;
    int batch; /* texts that go through the model together */
    /* Passes of `batch` texts in a step (gradient_accumulation_steps in transformers): their
     * gradients are added up, and the loss is the mean over batch x accumulate texts. The order of
     * texts, the random streams, steps and evaluations are those of a batch of that size, losses
     * are equal but for rounding, and the memory is that of one pass. */
    int accumulate;
    double learning_rate;
    double weight_decay; /* on every trained parameter */
    double beta1, beta2, epsilon;
    int eval_every;    /* steps between evaluations; 0 for none */
    int eval_batches;  /* batches, as many texts as a step, of each set that an evaluation, or an
                          epoch's accuracy, looks at */
    int64_t max_steps; /* ends training early; 0 for no limit */
    uint64_t seed;     /* of the order of batches */
    bool final_accuracies; /* over the full sets at the end */
    /* Reads the losses of a step before the next one starts, not while it runs. The device then
     * waits for the host; the bits are the same. For comparison. */
    bool wait_for_each_step;
    clm_feature_place features;
    clm_feature_storage feature_storage;
    /* How many bytes features may take; those that do not fit are computed each time. 0: what is
     * free, less a reserve. */
    uint64_t feature_budget_bytes;
    /* The model's source and the data, in words, for the message when a run is resumed with
     * different ones; may be NULL. */
    const char *source;
    /* Called for each event; may be NULL. Progress is reported by clm/progress.h. */
    void (*on_event)(void *context, const clm_train_event *event);
    /* Called before each kernel; true drops the unfinished step and ends the run with a checkpoint.
     * May be NULL. */
    bool (*should_stop)(void *context);
    /* Called while the checkpoint of a stopped run is saved; true gives up, and the previous
     * checkpoint stays. May be NULL. */
    bool (*should_abandon)(void *context);
    void *context;
} clm_finetune_options;

/* The recipe's. */
#define CLM_FINETUNE_OPTIONS_DEFAULT                                                         \
    {                                                                                        \
        5, 8, 1, 5e-5, 0.1, 0.9, 0.999, 1e-8, 50, 5, 0, 123, true, false, CLM_FEATURES_AUTO, \
            CLM_FEATURES_F32, 0, NULL, NULL, NULL, NULL, NULL                                \
    }

typedef struct clm_finetune_result {
    int64_t steps; /* of the whole run, including those before it was resumed */
    double train_accuracy, val_accuracy, test_accuracy; /* NaN when not computed */
} clm_finetune_result;

/* Whether clm_finetune_classifier() accepts the options and sets with a model of `n_labels`
 * classes, as far as that can be checked before the model and the device are opened.
 * CLM_ERROR_ARGUMENT, CLM_ERROR_SHAPE, CLM_ERROR_FORMAT. */
CLM_API clm_status clm_finetune_check(const clm_finetune_options *options, const clm_dataset *train,
                                      const clm_dataset *validation, const clm_dataset *test,
                                      int n_labels);

/* Trains `model`, which was opened with a policy and a new head, on train, and evaluates on
 * validation and test. With CLM_POOLING_LAST_POSITION all are padded to one length; otherwise each
 * set has its own, up to the model's context. Batches come in the order of PyTorch's
 * DataLoader with the seed.
 *
 * Into the folder of `run` it writes metrics.jsonl as it goes (one object a line: see README.md),
 * checkpoint.safetensors after each epoch and when stopped, run.json, and at the end config.json,
 * model.safetensors, the tokenizer's files (`tokenizer` may be NULL) and README.md, the model card.
 * Where clm_run_is_resumed(), the run goes on from its checkpoint, and ends in the same bits as if
 * it had never stopped. A run is trained once: open it again to go on.
 *
 * CLM_ERROR_INTERRUPTED: stopped by should_stop; the message says where the run goes on.
 * CLM_ERROR_NOT_FINITE: the loss of a step is not a number; the message says which step and batch,
 * and the last checkpoint stays. CLM_ERROR_NO_SPACE: a file could not be written, and the last
 * checkpoint stays. CLM_ERROR_DEVICE_MEMORY: it does not fit; the message says what is needed and
 * the largest batch that fits. CLM_ERROR_SHAPE or CLM_ERROR_ARGUMENT: sets, model, options and
 * checkpoint that do not go together. Otherwise errors of files and of the device. Everything
 * passed in is borrowed for the call; `options` and `result` may be NULL. Blocks until the training
 * has ended; on_event, should_stop and should_abandon are called from this thread. */
CLM_API clm_status clm_finetune_classifier(clm_model *model, const clm_tokenizer *tokenizer,
                                           const clm_dataset *train, const clm_dataset *validation,
                                           const clm_dataset *test, clm_run *run,
                                           const clm_finetune_options *options,
                                           clm_finetune_result *result);

#ifdef __cplusplus
}
#endif
#endif

/* Every other operation, in the sizes it has in GPT-2 and beyond caches.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "base/memory.h"
#include "bench/bench.h"

static size_t elements_of(const clm_bench_entry *entry) {
    return (size_t)entry->sizes[0] * (size_t)entry->sizes[1];
}

static clm_status fill(clm_bench_subject *subject, int buffer, size_t count, float scale) {
    return clm_bench_fill(&subject->buffers[buffer], subject->device, count, scale);
}

/* ---- attention: sizes B, T ---- */

enum { FORWARD = 0, BACKWARD = 1 };
enum { QKV = 0, OUT, LSE, DOUT, DQKV };

static clm_attention_arguments attention_of(const clm_bench_subject *subject) {
    const int *sizes = subject->entry->sizes;
    return clm_attention_fused(subject->buffers[QKV], sizes[0], sizes[1], CLM_BENCH_HEADS,
                               CLM_BENCH_CHANNELS / CLM_BENCH_HEADS, true);
}

static clm_status attention_backward(clm_bench_subject *subject, const clm_attention_gradients *to,
                                     const clm_buffer *dout, const clm_buffer *out,
                                     const clm_buffer *lse,
                                     const clm_attention_arguments *arguments) {
    clm_device *device = subject->device;
    clm_buffer *scratch = NULL;
    clm_status status = CLM_OK;
    CLM_TRY(clm_scratch_take(device,
                             clm_attention_backward_scratch_bytes(device, &arguments->shape),
                             &scratch, "attention's delta"));
    CLM_TRY(clm_attention_backward(device, to, dout, out, lse, arguments, scratch));
cleanup:
    return status;
}

/* Scores and the weighted sum, 2 T C flop each for every position, half of it above the diagonal;
 * backward: the scores again, and four products for the gradients. */
static void count_attention(const clm_bench_entry *entry, clm_bench_result *result) {
    const double count = (double)elements_of(entry) * CLM_BENCH_CHANNELS;
    const bool backward = entry->form == BACKWARD;
    result->flop = (backward ? 5.0 : 2.0) * count * entry->sizes[1];
    result->bytes = sizeof(float) * (backward ? 8.0 : 4.0) * count;
}

/* The backward pass needs the forward pass's own log-sum-exp: others make infinities, which some
 * processors are slow with. */
static clm_status prepare_attention(clm_bench_subject *subject) {
    clm_buffer **b = subject->buffers;
    const size_t places = elements_of(subject->entry);
    const size_t count = places * CLM_BENCH_CHANNELS;
    const bool backward = subject->entry->form == BACKWARD;
    clm_status status = CLM_OK;
    CLM_TRY(fill(subject, QKV, 3 * count, 1.0F));
    CLM_TRY(fill(subject, OUT, count, 1.0F));
    CLM_TRY(fill(subject, LSE, places * CLM_BENCH_HEADS, 1.0F));
    const clm_attention_arguments arguments = attention_of(subject);
    CLM_TRY(clm_attention_forward(subject->device, b[OUT], b[LSE], &arguments));
    if (backward) {
        CLM_TRY(fill(subject, DOUT, count, 1.0F));
        CLM_TRY(fill(subject, DQKV, 3 * count, 1.0F));
    }
cleanup:
    return status;
}

static clm_status run_attention(clm_bench_subject *subject) {
    clm_buffer **b = subject->buffers;
    const clm_attention_arguments arguments = attention_of(subject);
    const clm_attention_gradients to = clm_attention_fused_gradients(
        b[DQKV], CLM_BENCH_HEADS, CLM_BENCH_CHANNELS / CLM_BENCH_HEADS);
    return subject->entry->form == FORWARD
               ? clm_attention_forward(subject->device, b[OUT], b[LSE], &arguments)
               : attention_backward(subject, &to, b[DOUT], b[OUT], b[LSE], &arguments);
}

static const clm_bench_kind attention = {.letters = {"B", "T", NULL},
                                         .count_work = count_attention,
                                         .prepare = prepare_attention,
                                         .run = run_attention};

/* ---- attention of the last position alone: sizes B, T ---- */

enum { Q = 0, KV, POOLED, POOLED_LSE, ROWS, DPOOLED, DQ, DKV };

/* Two products of one query with all positions; backward five. */
static void count_pooled(const clm_bench_entry *entry, clm_bench_result *result) {
    const double count = (double)elements_of(entry) * CLM_BENCH_CHANNELS;
    const bool backward = entry->form == BACKWARD;
    result->flop = (backward ? 10.0 : 4.0) * count;
    result->bytes = sizeof(float) * (backward ? 4.0 : 2.0) * count; /* k and v, and gradients */
}

static clm_attention_arguments pooled_of(const clm_bench_subject *subject) {
    clm_buffer *const *b = subject->buffers;
    clm_attention_arguments arguments = attention_of(subject);
    arguments.shape.Tq = 1;
    arguments.q = (clm_view){.buffer = b[Q]};
    arguments.k = (clm_view){.buffer = b[KV], .stride = 2 * CLM_BENCH_CHANNELS};
    arguments.v = (clm_view){b[KV], CLM_BENCH_CHANNELS, 2 * CLM_BENCH_CHANNELS};
    arguments.first = b[ROWS];
    arguments.first_step = arguments.shape.Tk;
    return arguments;
}

static clm_status pooled_forward(clm_bench_subject *subject) {
    clm_buffer **b = subject->buffers;
    const clm_attention_arguments arguments = pooled_of(subject);
    return clm_attention_forward(subject->device, b[POOLED], b[POOLED_LSE], &arguments);
}

static clm_status prepare_pooled(clm_bench_subject *subject) {
    const size_t B = (size_t)subject->entry->sizes[0];
    const size_t T = (size_t)subject->entry->sizes[1];
    const size_t C = CLM_BENCH_CHANNELS;
    const size_t counts[] = {B * C, 2 * B * T * C, B * C, B * CLM_BENCH_HEADS,
                             B,     B * C,         B * C, 2 * B * T * C};
    const bool backward = subject->entry->form == BACKWARD;
    clm_status status = CLM_OK;
    for (int i = 0; i < (backward ? 8 : DPOOLED); i++) {
        CLM_TRY(fill(subject, i, counts[i], 1.0F));
    }
    for (size_t i = 0; i < B; i++) {
        const int32_t row = (int32_t)(i * T + T - 1);
        CLM_TRY(clm_buffer_write(subject->buffers[ROWS], i * sizeof row, &row, sizeof row));
    }
    CLM_TRY(pooled_forward(subject)); /* the log-sum-exp */
cleanup:
    return status;
}

static clm_status run_pooled(clm_bench_subject *subject) {
    clm_buffer **b = subject->buffers;
    const clm_attention_arguments arguments = pooled_of(subject);
    const clm_attention_gradients to = {.dq = {.buffer = b[DQ]},
                                        .dk = {.buffer = b[DKV], .stride = 2 * CLM_BENCH_CHANNELS},
                                        .dv = {b[DKV], CLM_BENCH_CHANNELS, 2 * CLM_BENCH_CHANNELS}};
    return subject->entry->form == FORWARD
               ? pooled_forward(subject)
               : attention_backward(subject, &to, b[DPOOLED], b[POOLED], b[POOLED_LSE], &arguments);
}

static const clm_bench_kind pooled = {.letters = {"B", "T", NULL},
                                      .count_work = count_pooled,
                                      .prepare = prepare_pooled,
                                      .run = run_pooled};

/* ---- LayerNorm: sizes rows, C ---- */

enum { X = 0, NORMED, MEAN, RSTD, WEIGHT, BIAS, DY, DX, DWEIGHT, DBIAS };

static clm_status layernorm_forward(clm_bench_subject *subject) {
    clm_buffer **b = subject->buffers;
    const int *sizes = subject->entry->sizes;
    return clm_layernorm_forward(subject->device, b[NORMED], b[MEAN], b[RSTD], b[X], b[WEIGHT],
                                 b[BIAS], sizes[0], sizes[1], 1e-5F);
}

/* The residual stream's gradient is NORMED, which the forward pass wrote. */
static clm_status layernorm_backward(clm_bench_subject *subject) {
    clm_buffer **b = subject->buffers;
    const int *sizes = subject->entry->sizes;
    clm_buffer *scratch = NULL;
    clm_status status = CLM_OK;
    CLM_TRY(clm_scratch_take(
        subject->device, clm_layernorm_backward_scratch_bytes(subject->device, sizes[0], sizes[1]),
        &scratch, "parts of a norm's gradients"));
    CLM_TRY(clm_layernorm_backward(subject->device, b[DX], b[DWEIGHT], b[DBIAS], b[DY], b[X],
                                   b[WEIGHT], b[MEAN], b[RSTD], b[NORMED], sizes[0], sizes[1],
                                   scratch));
cleanup:
    return status;
}

static void count_layernorm(const clm_bench_entry *entry, clm_bench_result *result) {
    result->bytes =
        sizeof(float) * (entry->form == BACKWARD ? 4.0 : 2.0) * (double)elements_of(entry);
}

static clm_status prepare_layernorm(clm_bench_subject *subject) {
    const size_t rows = (size_t)subject->entry->sizes[0];
    const size_t C = (size_t)subject->entry->sizes[1];
    const size_t counts[] = {rows * C, rows * C, rows, rows, C, C, rows * C, rows * C, C, C};
    const bool backward = subject->entry->form == BACKWARD;
    clm_status status = CLM_OK;
    for (int i = 0; i < (backward ? 10 : DY); i++) {
        CLM_TRY(fill(subject, i, counts[i], 1.0F));
    }
    CLM_TRY(layernorm_forward(subject)); /* the mean and rstd of x */
cleanup:
    return status;
}

static clm_status run_layernorm(clm_bench_subject *subject) {
    return subject->entry->form == FORWARD ? layernorm_forward(subject)
                                           : layernorm_backward(subject);
}

static const clm_bench_kind layernorm = {.letters = {"rows", "C", NULL},
                                         .count_work = count_layernorm,
                                         .prepare = prepare_layernorm,
                                         .run = run_layernorm};

/* ---- embedding: sizes B, T ---- */

enum { WTE = 0, WPE, TOKENS, STREAM };

/* A row read and one written for each place, and the positions' rows; gradients are read, added to
 * and written. */
static void count_embedding(const clm_bench_entry *entry, clm_bench_result *result) {
    const double count = (double)elements_of(entry) * CLM_BENCH_CHANNELS;
    const double positions = (double)entry->sizes[1] * CLM_BENCH_CHANNELS;
    result->bytes = sizeof(float) * (entry->form == FORWARD ? 2.0 * count + positions
                                                            : 3.0 * count + 2.0 * positions);
}

static clm_status prepare_embedding(clm_bench_subject *subject) {
    const size_t places = elements_of(subject->entry);
    clm_status status = CLM_OK;
    CLM_TRY(fill(subject, WTE, (size_t)CLM_BENCH_VOCABULARY * CLM_BENCH_CHANNELS, 1.0F));
    CLM_TRY(fill(subject, WPE, (size_t)CLM_BENCH_CONTEXT * CLM_BENCH_CHANNELS, 1.0F));
    CLM_TRY(fill(subject, STREAM, places * CLM_BENCH_CHANNELS, 1.0F));
    CLM_TRY(clm_allocate(&subject->tokens, places, sizeof *subject->tokens, "tokens"));
    for (size_t i = 0; i < places; i++) {
        subject->tokens[i] = (int32_t)(i * 7919 % CLM_BENCH_VOCABULARY); /* all different */
    }
    CLM_TRY(clm_buffer_create(&subject->buffers[TOKENS], subject->device,
                              places * sizeof *subject->tokens, "tokens"));
    CLM_TRY(clm_buffer_write(subject->buffers[TOKENS], 0, subject->tokens,
                             places * sizeof *subject->tokens));
cleanup:
    return status;
}

static clm_status run_embedding(clm_bench_subject *subject) {
    clm_buffer **b = subject->buffers;
    const int *sizes = subject->entry->sizes;
    clm_buffer *scratch = NULL;
    clm_status status = CLM_OK;
    if (subject->entry->form == FORWARD) {
        return clm_embedding_forward(subject->device, b[STREAM], b[TOKENS], b[WTE], b[WPE],
                                     sizes[0], sizes[1], CLM_BENCH_CHANNELS, 0);
    }
    CLM_TRY(clm_scratch_take(
        subject->device, clm_embedding_backward_scratch_bytes(subject->device, sizes[0], sizes[1]),
        &scratch, "the sorted places of tokens"));
    CLM_TRY(clm_embedding_backward(subject->device, b[WTE], b[WPE], b[STREAM], subject->tokens,
                                   sizes[0], sizes[1], CLM_BENCH_CHANNELS, scratch));
cleanup:
    return status;
}

static const clm_bench_kind embedding = {.letters = {"B", "T", NULL},
                                         .count_work = count_embedding,
                                         .prepare = prepare_embedding,
                                         .run = run_embedding};

/* ---- cross-entropy: sizes rows, V ---- */

enum { LOGITS = 0, TARGETS, LOSSES, SUMS, DLOGITS };

static void count_crossentropy(const clm_bench_entry *entry, clm_bench_result *result) {
    result->bytes =
        sizeof(float) * (entry->form == BACKWARD ? 2.0 : 1.0) * (double)elements_of(entry);
}

static clm_status run_crossentropy_forward(clm_bench_subject *subject) {
    clm_buffer **b = subject->buffers;
    const int *sizes = subject->entry->sizes;
    return clm_crossentropy_forward(subject->device, b[LOSSES], b[SUMS], NULL, b[LOGITS],
                                    b[TARGETS], sizes[0], sizes[1]);
}

static clm_status prepare_crossentropy(clm_bench_subject *subject) {
    const size_t rows = (size_t)subject->entry->sizes[0];
    const size_t count = elements_of(subject->entry);
    const bool backward = subject->entry->form == BACKWARD;
    clm_status status = CLM_OK;
    CLM_TRY(fill(subject, LOGITS, count, 4.0F));
    CLM_TRY(fill(subject, LOSSES, rows, 1.0F));
    CLM_TRY(fill(subject, SUMS, 2 * rows, 1.0F));
    CLM_TRY(fill(subject, TARGETS, rows, 1.0F));
    CLM_TRY(clm_buffer_zero(subject->buffers[TARGETS], 0, rows * sizeof(int32_t)));
    if (backward) {
        CLM_TRY(fill(subject, DLOGITS, count, 1.0F));
        CLM_TRY(run_crossentropy_forward(subject));
    }
cleanup:
    return status;
}

static clm_status run_crossentropy(clm_bench_subject *subject) {
    clm_buffer **b = subject->buffers;
    const int *sizes = subject->entry->sizes;
    return subject->entry->form == FORWARD
               ? run_crossentropy_forward(subject)
               : clm_crossentropy_backward(subject->device, b[DLOGITS], b[LOGITS], b[SUMS],
                                           b[TARGETS], 1.0F / (float)sizes[0], sizes[0], sizes[1]);
}

static const clm_bench_kind crossentropy = {.letters = {"rows", "V", NULL},
                                            .count_work = count_crossentropy,
                                            .prepare = prepare_crossentropy,
                                            .run = run_crossentropy};

/* ---- AdamW: size n ---- */

enum { PARAMETER = 0, GRADIENT, FIRST, SECOND };

static void count_adamw(const clm_bench_entry *entry, clm_bench_result *result) {
    result->bytes = sizeof(float) * 7.0 * entry->sizes[0]; /* reads four, writes three */
}

static clm_status prepare_adamw(clm_bench_subject *subject) {
    const size_t count = (size_t)subject->entry->sizes[0];
    clm_status status = CLM_OK;
    for (int i = PARAMETER; i <= SECOND; i++) {
        CLM_TRY(fill(subject, i, count, 1.0F));
    }
    CLM_TRY(clm_buffer_zero(subject->buffers[SECOND], 0, count * sizeof(float)));
cleanup:
    return status;
}

static clm_status run_adamw(clm_bench_subject *subject) {
    clm_buffer **b = subject->buffers;
    const clm_adamw adamw = {.learning_rate = 1e-6,
                             .beta1 = 0.9,
                             .beta2 = 0.999,
                             .epsilon = 1e-8,
                             .weight_decay = 0.1,
                             .step = 3,
                             .gradient_scale = 1.0};
    return clm_adamw_step(subject->device, b[PARAMETER], b[GRADIENT], b[FIRST], b[SECOND],
                          (size_t)subject->entry->sizes[0], &adamw);
}

static const clm_bench_kind adamw = {.letters = {"n", NULL, NULL},
                                     .count_work = count_adamw,
                                     .prepare = prepare_adamw,
                                     .run = run_adamw};

/* ---- element by element, and sums: sizes rows, C ---- */

typedef enum stream_form {
    GELU_FORWARD,
    GELU_BACKWARD,
    RESIDUAL,
    DROPOUT,
    SQUARE_SUM,
    COLUMNS,
    TO_F16,
    FROM_F16,
    TO_BF16,
    FROM_BF16
} stream_form;

/* Read and written for each element. */
static const double stream_bytes[] = {
    [GELU_FORWARD] = 8.0, [GELU_BACKWARD] = 12.0, [RESIDUAL] = 12.0, [DROPOUT] = 8.0,
    [SQUARE_SUM] = 4.0,   [COLUMNS] = 4.0,        [TO_F16] = 6.0,    [FROM_F16] = 6.0,
    [TO_BF16] = 6.0,      [FROM_BF16] = 6.0};

static void count_stream(const clm_bench_entry *entry, clm_bench_result *result) {
    result->bytes = stream_bytes[entry->form] * (double)elements_of(entry);
}

static clm_status prepare_stream(clm_bench_subject *subject) {
    const size_t count = elements_of(subject->entry);
    const int form = subject->entry->form;
    clm_status status = CLM_OK;
    CLM_TRY(fill(subject, 0, count, 2.0F));
    CLM_TRY(fill(subject, 1, count, 2.0F));
    if (form == GELU_BACKWARD || form == RESIDUAL) {
        CLM_TRY(fill(subject, 2, count, 2.0F));
    }
    if (form == FROM_F16 || form == FROM_BF16) { /* numbers, not what the bits of floats make */
        CLM_TRY(clm_buffer_zero(subject->buffers[1], 0, count * sizeof(uint16_t)));
    }
cleanup:
    return status;
}

static clm_status run_square_sum(clm_device *device, clm_buffer *out, const clm_buffer *x,
                                 size_t count) {
    clm_buffer *scratch = NULL;
    clm_status status = CLM_OK;
    CLM_TRY(clm_scratch_take(device, clm_reduce_scratch_bytes(device, count), &scratch,
                             "partial sums"));
    CLM_TRY(clm_reduce_square_sum(device, out, 0, x, count, scratch));
cleanup:
    return status;
}

static clm_status run_columns(clm_device *device, clm_buffer *out, const clm_buffer *x, int rows,
                              int N) {
    clm_buffer *scratch = NULL;
    clm_status status = CLM_OK;
    CLM_TRY(clm_scratch_take(device, clm_reduce_columns_scratch_bytes(device, rows, N), &scratch,
                             "partial column sums"));
    CLM_TRY(clm_reduce_columns(device, out, 0, x, 0, rows, N, true, scratch));
cleanup:
    return status;
}

static clm_status run_stream(clm_bench_subject *subject) {
    clm_device *device = subject->device;
    clm_buffer *out = subject->buffers[0];
    clm_buffer *x = subject->buffers[1];
    clm_buffer *y = subject->buffers[2];
    const int *sizes = subject->entry->sizes;
    const size_t count = elements_of(subject->entry);
    switch ((stream_form)subject->entry->form) {
        case GELU_FORWARD:
            return clm_gelu_forward(device, out, x, count);
        case GELU_BACKWARD:
            return clm_gelu_backward(device, out, y, x, count);
        case RESIDUAL:
            return clm_residual_forward(device, out, x, y, count);
        case DROPOUT:
            return clm_dropout(device, out, x, count, 0.1F, 1, 2);
        case SQUARE_SUM:
            return run_square_sum(device, out, x, count);
        case COLUMNS:
            return run_columns(device, out, x, sizes[0], sizes[1]);
        case TO_F16:
            return clm_convert_f32_to_f16(device, out, x, count);
        case FROM_F16:
            return clm_convert_f16_to_f32(device, out, x, count);
        case TO_BF16:
            return clm_convert_f32_to_bf16(device, out, x, count);
        case FROM_BF16:
            return clm_convert_bf16_to_f32(device, out, x, count);
    }
    return clm_fail(CLM_ERROR_INTERNAL, "%s: no such form", subject->entry->name);
}

static const clm_bench_kind stream = {.letters = {"rows", "C", NULL},
                                      .count_work = count_stream,
                                      .prepare = prepare_stream,
                                      .run = run_stream};

/* ---- the table ---- */

enum {
    INNER = 4 * CLM_BENCH_CHANNELS,
    MANY = CLM_BENCH_B * CLM_BENCH_CONTEXT, /* rows of a batch of whole contexts */
    RECIPE_TRAINS = 7090946                 /* parameters of the head, ln_f and the last block */
};

static const clm_bench_entry entries[] = {
    {"attention/forward", &attention, {CLM_BENCH_B, 64, 0}, FORWARD, false},
    {"attention/forward", &attention, {CLM_BENCH_B, CLM_BENCH_T, 0}, FORWARD, true},
    {"attention/forward", &attention, {CLM_BENCH_B, 256, 0}, FORWARD, false},
    {"attention/forward", &attention, {CLM_BENCH_B, 512, 0}, FORWARD, false},
    {"attention/forward", &attention, {CLM_BENCH_B, 1024, 0}, FORWARD, true},
    {"attention/backward", &attention, {CLM_BENCH_B, 64, 0}, BACKWARD, false},
    {"attention/backward", &attention, {CLM_BENCH_B, CLM_BENCH_T, 0}, BACKWARD, true},
    {"attention/backward", &attention, {CLM_BENCH_B, 256, 0}, BACKWARD, false},
    {"attention/backward", &attention, {CLM_BENCH_B, 512, 0}, BACKWARD, false},
    {"attention/backward", &attention, {CLM_BENCH_B, 1024, 0}, BACKWARD, false},
    {"attention/pooled-forward", &pooled, {CLM_BENCH_B, CLM_BENCH_T, 0}, FORWARD, true},
    {"attention/pooled-backward", &pooled, {CLM_BENCH_B, CLM_BENCH_T, 0}, BACKWARD, true},
    {"layernorm/forward", &layernorm, {CLM_BENCH_ROWS, CLM_BENCH_CHANNELS, 0}, FORWARD, true},
    {"layernorm/forward", &layernorm, {MANY, CLM_BENCH_CHANNELS, 0}, FORWARD, false},
    {"layernorm/backward", &layernorm, {CLM_BENCH_ROWS, CLM_BENCH_CHANNELS, 0}, BACKWARD, true},
    {"layernorm/backward", &layernorm, {MANY, CLM_BENCH_CHANNELS, 0}, BACKWARD, false},
    {"gelu/forward", &stream, {CLM_BENCH_ROWS, INNER, 0}, GELU_FORWARD, true},
    {"gelu/forward", &stream, {MANY, INNER, 0}, GELU_FORWARD, false},
    {"gelu/backward", &stream, {CLM_BENCH_ROWS, INNER, 0}, GELU_BACKWARD, true},
    {"gelu/backward", &stream, {MANY, INNER, 0}, GELU_BACKWARD, false},
    {"crossentropy/forward",
     &crossentropy,
     {CLM_BENCH_ROWS, CLM_BENCH_VOCABULARY, 0},
     FORWARD,
     true},
    {"crossentropy/backward",
     &crossentropy,
     {CLM_BENCH_ROWS, CLM_BENCH_VOCABULARY, 0},
     BACKWARD,
     true},
    {"adamw/step", &adamw, {RECIPE_TRAINS, 0, 0}, 0, true},
    {"embedding/forward", &embedding, {CLM_BENCH_B, CLM_BENCH_T, 0}, FORWARD, true},
    {"embedding/forward", &embedding, {CLM_BENCH_B, CLM_BENCH_CONTEXT, 0}, FORWARD, false},
    {"embedding/backward", &embedding, {CLM_BENCH_B, CLM_BENCH_T, 0}, BACKWARD, true},
    {"embedding/backward", &embedding, {CLM_BENCH_B, CLM_BENCH_CONTEXT, 0}, BACKWARD, false},
    {"residual/forward", &stream, {MANY, CLM_BENCH_CHANNELS, 0}, RESIDUAL, true},
    {"dropout/forward", &stream, {MANY, CLM_BENCH_CHANNELS, 0}, DROPOUT, true},
    {"reduce/square-sum", &stream, {MANY, INNER, 0}, SQUARE_SUM, true},
    {"reduce/columns", &stream, {CLM_BENCH_ROWS, INNER, 0}, COLUMNS, true},
    {"reduce/columns", &stream, {MANY, INNER, 0}, COLUMNS, false},
    {"convert/f32-to-f16", &stream, {MANY, CLM_BENCH_CHANNELS, 0}, TO_F16, true},
    {"convert/f16-to-f32", &stream, {MANY, CLM_BENCH_CHANNELS, 0}, FROM_F16, false},
    {"convert/f32-to-bf16", &stream, {MANY, CLM_BENCH_CHANNELS, 0}, TO_BF16, false},
    {"convert/bf16-to-f32", &stream, {MANY, CLM_BENCH_CHANNELS, 0}, FROM_BF16, false},
};

clm_bench_table clm_bench_kernel_table(void) {
    return (clm_bench_table){entries, sizeof entries / sizeof *entries};
}

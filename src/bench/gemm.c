/* Matrix products in the shapes of GPT-2's linear layers.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "bench/bench.h"

enum { PACKED = 1, A_TRANSPOSED = 2, B_TRANSPOSED = 4, ACCUMULATE = 8, F16 = 16, BF16 = 32 };

static clm_gemm_storage storage_of(const clm_bench_entry *entry) {
    return (entry->form & F16) != 0    ? CLM_GEMM_F16
           : (entry->form & BF16) != 0 ? CLM_GEMM_BF16
                                       : CLM_GEMM_F32;
}

static void count_work(const clm_bench_entry *entry, clm_bench_result *result) {
    const double M = entry->sizes[0];
    const double N = entry->sizes[1];
    const double K = entry->sizes[2];
    const double c_passes = (entry->form & ACCUMULATE) != 0 ? 2.0 : 1.0;
    result->flop = 2.0 * M * N * K;
    const double b_size = storage_of(entry) == CLM_GEMM_F32 ? sizeof(float) : sizeof(uint16_t);
    result->bytes = sizeof(float) * (M * K + c_passes * M * N) + b_size * K * N;
}

static clm_status prepare(clm_bench_subject *subject) {
    const clm_bench_entry *entry = subject->entry;
    clm_device *device = subject->device;
    clm_gemm_arguments *product = &subject->product;
    const size_t M = (size_t)entry->sizes[0];
    const size_t N = (size_t)entry->sizes[1];
    const size_t K = (size_t)entry->sizes[2];
    clm_status status = CLM_OK;
    *product = (clm_gemm_arguments){.M = entry->sizes[0],
                                    .N = entry->sizes[1],
                                    .K = entry->sizes[2],
                                    .a_transposed = (entry->form & A_TRANSPOSED) != 0,
                                    .b_transposed = (entry->form & B_TRANSPOSED) != 0,
                                    .accumulate = (entry->form & ACCUMULATE) != 0};
    CLM_TRY(clm_bench_fill(&subject->buffers[0], device, M * K, 1.0F));
    CLM_TRY(clm_bench_fill(&subject->buffers[1], device, K * N, 1.0F));
    CLM_TRY(clm_bench_fill(&subject->buffers[2], device, M * N, 1.0F));
    product->a = subject->buffers[0];
    product->b = subject->buffers[1];
    product->c = subject->buffers[2];
    if ((entry->form & PACKED) != 0) {
        CLM_TRY(clm_gemm_pack(&subject->packed, device, product->b, 0, 0, product->b_transposed,
                              product->K, product->N, storage_of(entry)));
        product->b_packed = subject->packed;
        product->b = NULL;
    }
cleanup:
    return status;
}

static clm_status run(clm_bench_subject *subject) {
    return clm_gemm_on_lent_scratch(subject->device, &subject->product);
}

static const clm_bench_kind kind = {
    .letters = {"M", "N", "K"}, .count_work = count_work, .prepare = prepare, .run = run};

/* The job's rows for training and for batches with frozen weights, few rows for a message or a
 * token. -dx is the gradient of a layer's input, -dw that of its weight. */
static const clm_bench_entry entries[] = {
    {"gemm/qkv", &kind, {CLM_BENCH_ROWS, 2304, 768}, 0, true},
    {"gemm/proj", &kind, {CLM_BENCH_ROWS, 768, 768}, 0, false},
    {"gemm/fc", &kind, {CLM_BENCH_ROWS, 3072, 768}, 0, false},
    {"gemm/fc2", &kind, {CLM_BENCH_ROWS, 768, 3072}, 0, true},
    {"gemm/qkv-dx", &kind, {CLM_BENCH_ROWS, 768, 2304}, B_TRANSPOSED, false},
    {"gemm/proj-dx", &kind, {CLM_BENCH_ROWS, 768, 768}, B_TRANSPOSED, false},
    {"gemm/fc-dx", &kind, {CLM_BENCH_ROWS, 768, 3072}, B_TRANSPOSED, true},
    {"gemm/fc2-dx", &kind, {CLM_BENCH_ROWS, 3072, 768}, B_TRANSPOSED, false},
    {"gemm/qkv-dw", &kind, {768, 2304, CLM_BENCH_ROWS}, A_TRANSPOSED | ACCUMULATE, false},
    {"gemm/proj-dw", &kind, {768, 768, CLM_BENCH_ROWS}, A_TRANSPOSED | ACCUMULATE, false},
    {"gemm/fc-dw", &kind, {768, 3072, CLM_BENCH_ROWS}, A_TRANSPOSED | ACCUMULATE, true},
    {"gemm/fc2-dw", &kind, {3072, 768, CLM_BENCH_ROWS}, A_TRANSPOSED | ACCUMULATE, false},
    {"gemm/qkv-dw", &kind, {768, 2304, CLM_BENCH_B}, A_TRANSPOSED | ACCUMULATE, false},
    {"gemm/proj-dw", &kind, {768, 768, CLM_BENCH_B}, A_TRANSPOSED | ACCUMULATE, false},
    {"gemm/fc-dw", &kind, {768, 3072, CLM_BENCH_B}, A_TRANSPOSED | ACCUMULATE, true},
    {"gemm/fc2-dw", &kind, {3072, 768, CLM_BENCH_B}, A_TRANSPOSED | ACCUMULATE, false},
    {"gemm/qkv-packed", &kind, {CLM_BENCH_ROWS, 2304, 768}, PACKED, true},
    {"gemm/proj-packed", &kind, {CLM_BENCH_ROWS, 768, 768}, PACKED, false},
    {"gemm/fc-packed", &kind, {CLM_BENCH_ROWS, 3072, 768}, PACKED, false},
    {"gemm/fc2-packed", &kind, {CLM_BENCH_ROWS, 768, 3072}, PACKED, false},
    {"gemm/qkv-packed", &kind, {16, 2304, 768}, PACKED, false},
    {"gemm/proj-packed", &kind, {16, 768, 768}, PACKED, false},
    {"gemm/fc-packed", &kind, {16, 3072, 768}, PACKED, false},
    {"gemm/fc2-packed", &kind, {16, 768, 3072}, PACKED, false},
    {"gemm/qkv-packed", &kind, {8, 2304, 768}, PACKED, false},
    {"gemm/proj-packed", &kind, {8, 768, 768}, PACKED, false},
    {"gemm/fc-packed", &kind, {8, 3072, 768}, PACKED, false},
    {"gemm/fc2-packed", &kind, {8, 768, 3072}, PACKED, false},
    {"gemm/qkv-packed", &kind, {1, 2304, 768}, PACKED, true},
    {"gemm/proj-packed", &kind, {1, 768, 768}, PACKED, false},
    {"gemm/fc-packed", &kind, {1, 3072, 768}, PACKED, false},
    {"gemm/fc2-packed", &kind, {1, 768, 3072}, PACKED, true},
    {"gemm/qkv-packed-f16", &kind, {CLM_BENCH_ROWS, 2304, 768}, PACKED | F16, false},
    {"gemm/qkv-packed-f16", &kind, {8, 2304, 768}, PACKED | F16, true},
    {"gemm/proj-packed-f16", &kind, {8, 768, 768}, PACKED | F16, false},
    {"gemm/fc-packed-f16", &kind, {8, 3072, 768}, PACKED | F16, false},
    {"gemm/fc2-packed-f16", &kind, {8, 768, 3072}, PACKED | F16, false},
    {"gemm/qkv-packed-f16", &kind, {1, 2304, 768}, PACKED | F16, false},
    {"gemm/fc2-packed-f16", &kind, {1, 768, 3072}, PACKED | F16, false},
    {"gemm/qkv-packed-bf16", &kind, {8, 2304, 768}, PACKED | BF16, true},
    {"gemm/fc-packed-bf16", &kind, {8, 3072, 768}, PACKED | BF16, false},
    {"gemm/fc2-packed-bf16", &kind, {8, 768, 3072}, PACKED | BF16, false},
    {"gemm/qkv-packed-bf16", &kind, {1, 2304, 768}, PACKED | BF16, false},
    {"gemm/logits", &kind, {CLM_BENCH_ROWS, CLM_BENCH_VOCABULARY, 768}, B_TRANSPOSED, false},
    {"gemm/logits", &kind, {1, CLM_BENCH_VOCABULARY, 768}, B_TRANSPOSED, false},
};

clm_bench_table clm_bench_gemm_table(void) {
    return (clm_bench_table){entries, sizeof entries / sizeof *entries};
}

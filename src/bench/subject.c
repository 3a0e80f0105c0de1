/* SPDX-License-Identifier: Apache-2.0 */
#include "base/memory.h"
#include "base/random.h"
#include "bench/bench.h"

clm_status clm_bench_fill(clm_buffer **buffer, clm_device *device, size_t count, float scale) {
    enum { PIECE = 1 << 18 }; /* repeated, as drawing takes longer than most cases */
    const size_t piece = count < PIECE ? count : PIECE;
    clm_philox random;
    float *values = NULL;
    clm_status status = CLM_OK;
    CLM_TRY(clm_buffer_create(buffer, device, count * sizeof(float), "a benchmark's data"));
    CLM_TRY(clm_allocate(&values, piece, sizeof *values, "a benchmark's data"));
    clm_philox_start(&random, 1, "bench");
    for (size_t i = 0; i < piece; i++) {
        values[i] = (2.0F * clm_philox_uniform(&random) - 1.0F) * scale;
    }
    for (size_t at = 0; at < count; at += piece) {
        const size_t size = count - at < piece ? count - at : piece;
        CLM_TRY(clm_buffer_write(*buffer, at * sizeof(float), values, size * sizeof(float)));
    }
cleanup:
    clm_free(values);
    return status;
}

void clm_bench_subject_release(clm_bench_subject *subject) {
    for (int i = 0; i < CLM_BENCH_BUFFERS; i++) {
        clm_buffer_release(subject->buffers[i]);
    }
    clm_gemm_packed_release(subject->packed);
    clm_batch_free(&subject->batch);
    clm_optimizer_free(&subject->optimizer);
    clm_model_close(subject->model);
    clm_free(subject->tokens);
    clm_free(subject->logits);
}

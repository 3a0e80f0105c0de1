/* SPDX-License-Identifier: Apache-2.0 */
#include "ops/common.h"
#include "ops/ops.h"

#include "base/memory.h"

/* The rows of one part of wte or its gradient. */
typedef struct part_rows {
    const clm_buffer *buffer;
    int first, count;
} part_rows;

static part_rows rows_of(const clm_buffer *wte, size_t part, int C) {
    const size_t row_bytes = (size_t)C * sizeof(float);
    const size_t before = part * (clm_buffer_size_bytes(clm_buffer_part(wte, 0)) / row_bytes);
    const clm_buffer *buffer = clm_buffer_part(wte, part);
    const size_t count = clm_buffer_size_bytes(buffer) / row_bytes;
    return (part_rows){buffer, (int)before, count < INT32_MAX ? (int)count : INT32_MAX};
}

static clm_status check_parts(const clm_buffer *wte, int C) {
    const size_t part_bytes = clm_buffer_size_bytes(clm_buffer_part(wte, 0));
    if (clm_buffer_part_count(wte) > 1 && part_bytes % ((size_t)C * sizeof(float)) != 0) {
        return clm_fail(CLM_ERROR_SHAPE, "embedding: rows of %d lie in two parts of %zu bytes", C,
                        part_bytes);
    }
    return CLM_OK;
}

clm_status clm_embedding_forward(clm_device *device, clm_buffer *out, const clm_buffer *tokens,
                                 const clm_buffer *wte, const clm_buffer *wpe, int B, int T, int C,
                                 int first_position) {
    const char *op = "embedding";
    clm_status status = CLM_OK;
    CLM_TRY(clm_ops_check_positive(op, "B, T and C", B, T, C));
    if (first_position < 0) {
        return clm_fail(CLM_ERROR_SHAPE, "embedding: there is no position %d", first_position);
    }
    size_t places = (size_t)B * (size_t)T;
    CLM_TRY(clm_ops_check_buffer(op, "out", out, places, (size_t)C, sizeof(float)));
    CLM_TRY(clm_ops_check_buffer(op, "tokens", tokens, places, 1, sizeof(int32_t)));
    CLM_TRY(clm_ops_check_buffer(op, "wte", wte, 1, (size_t)C, sizeof(float)));
    if (wpe != NULL) {
        CLM_TRY(clm_ops_check_buffer(op, "wpe", wpe, (size_t)first_position + (size_t)T, (size_t)C,
                                     sizeof(float)));
    }
    CLM_TRY(check_parts(wte, C));
    clm_ops_variant variant = clm_ops_variant_for(device, "embedding");
    for (size_t i = 0; i < clm_buffer_part_count(wte); i++) {
        const part_rows rows = rows_of(wte, i, C);
        clm_launch launch =
            clm_launch_begin(device, "embedding", "embedding_forward", variant.options);
        clm_launch_buffer(&launch, out);
        clm_launch_buffer(&launch, tokens);
        clm_launch_buffer(&launch, rows.buffer);
        clm_launch_buffer(&launch, wpe);
        clm_launch_int(&launch, T);
        clm_launch_int(&launch, C);
        clm_launch_int(&launch, wpe != NULL ? first_position : -1);
        clm_launch_int(&launch, rows.first);
        clm_launch_int(&launch, rows.count);
        CLM_TRY(clm_ops_launch_rows(&launch, &variant, C, places));
    }
cleanup:
    return status;
}

/* The distinct tokens and where each stands, as cl/embedding.cl wants them: ids (n), starts (n+1),
 * order (places), one after the other in *plan, which the caller frees. A stable counting sort:
 * each token's places stay in rising order. `limit` is above every token. */
static clm_status sort_places(int32_t **plan, size_t *n, const int32_t *tokens, size_t places,
                              size_t limit) {
    clm_status status = CLM_OK;
    int32_t *next = NULL; /* for each token: how often it stands there, then its next place */
    CLM_TRY(clm_allocate(&next, limit, sizeof *next, "the counts of tokens"));
    *n = 0;
    for (size_t i = 0; i < places; i++) {
        *n += next[tokens[i]]++ == 0;
    }
    CLM_TRY(clm_allocate(plan, 2 * *n + 1 + places, sizeof **plan, "the sorted places of tokens"));
    int32_t *ids = *plan;
    int32_t *starts = ids + *n;
    int32_t *order = starts + *n + 1;
    int32_t start = 0;
    size_t i = 0;
    for (size_t token = 0; token < limit; token++) {
        int32_t count = next[token];
        if (count > 0) {
            ids[i] = (int32_t)token;
            starts[i] = start;
            next[token] = start;
            start += count;
            i++;
        }
    }
    starts[i] = start;
    for (size_t place = 0; place < places; place++) {
        order[next[tokens[place]]++] = (int32_t)place;
    }
cleanup:
    clm_free(next);
    return status;
}

static clm_status backward_wte(clm_device *device, const clm_ops_variant *variant, clm_buffer *dwte,
                               const clm_buffer *dout, const int32_t *tokens, size_t places, int C,
                               clm_buffer *scratch) {
    clm_status status = CLM_OK;
    int32_t *plan = NULL;
    int32_t largest = 0;
    if (tokens == NULL) {
        return clm_fail(CLM_ERROR_SHAPE, "embedding: no tokens");
    }
    for (size_t i = 0; i < places; i++) {
        if (tokens[i] < 0) {
            return clm_fail(CLM_ERROR_SHAPE, "embedding: token %d at place %zu", tokens[i], i);
        }
        largest = tokens[i] > largest ? tokens[i] : largest;
    }
    size_t limit = (size_t)largest + 1;
    size_t n = 0;
    CLM_TRY(clm_ops_check_buffer("embedding", "dwte", dwte, limit, (size_t)C, sizeof(float)));
    CLM_TRY(check_parts(dwte, C));
    CLM_TRY(sort_places(&plan, &n, tokens, places, limit));
    CLM_TRY(clm_buffer_write(scratch, 0, plan, (2 * n + 1 + places) * sizeof *plan));
    size_t first_id = 0; /* ids rise, so that those of a part stand together */
    for (size_t i = 0; i < clm_buffer_part_count(dwte); i++) {
        const part_rows rows = rows_of(dwte, i, C);
        size_t end_id = first_id;
        while (end_id < n && plan[end_id] - rows.first < rows.count) {
            end_id++;
        }
        if (end_id == first_id) {
            continue;
        }
        clm_launch launch =
            clm_launch_begin(device, "embedding", "embedding_backward_wte", variant->options);
        clm_launch_buffer(&launch, rows.buffer);
        clm_launch_buffer(&launch, dout);
        clm_launch_buffer(&launch, scratch);
        clm_launch_int(&launch, (int)n);
        clm_launch_int(&launch, C);
        clm_launch_int(&launch, rows.first);
        clm_launch_int(&launch, (int)first_id);
        CLM_TRY(clm_ops_launch_rows(&launch, variant, C, end_id - first_id));
        first_id = end_id;
    }
cleanup:
    clm_free(plan);
    return status;
}

/* The plan of tokens that are all distinct. */
size_t clm_embedding_backward_scratch_bytes(const clm_device *device, int B, int T) {
    (void)device;
    const bool valid = B > 0 && T > 0 && T <= INT32_MAX / B;
    return valid ? (3 * (size_t)B * (size_t)T + 1) * sizeof(int32_t) : 0;
}

clm_status clm_embedding_backward(clm_device *device, clm_buffer *dwte, clm_buffer *dwpe,
                                  const clm_buffer *dout, const int32_t *tokens, int B, int T,
                                  int C, clm_buffer *scratch) {
    const char *op = "embedding";
    clm_status status = CLM_OK;
    CLM_TRY(clm_ops_check_positive(op, "B, T and C", B, T, C));
    if (T > INT32_MAX / B) {
        return clm_fail(CLM_ERROR_SHAPE, "embedding: %d x %d places are more than 2^31 - 1", B, T);
    }
    size_t places = (size_t)B * (size_t)T;
    CLM_TRY(clm_ops_check_buffer(op, "dout", dout, places, (size_t)C, sizeof(float)));
    if (dwpe != NULL) {
        CLM_TRY(clm_ops_check_buffer(op, "dwpe", dwpe, (size_t)T, (size_t)C, sizeof(float)));
    }
    clm_ops_variant variant = clm_ops_variant_for(device, "embedding");
    if (dwte != NULL) {
        CLM_TRY(
            clm_ops_check_scratch(op, scratch, clm_embedding_backward_scratch_bytes(device, B, T)));
        CLM_TRY(backward_wte(device, &variant, dwte, dout, tokens, places, C, scratch));
    }
    if (dwpe != NULL) {
        clm_launch launch =
            clm_launch_begin(device, "embedding", "embedding_backward_wpe", variant.options);
        clm_launch_buffer(&launch, dwpe);
        clm_launch_buffer(&launch, dout);
        clm_launch_int(&launch, B);
        clm_launch_int(&launch, T);
        clm_launch_int(&launch, C);
        status = clm_ops_launch_rows(&launch, &variant, C, (size_t)T);
    }
cleanup:
    return status;
}

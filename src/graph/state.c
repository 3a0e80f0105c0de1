/* SPDX-License-Identifier: Apache-2.0 */
#include "graph/state.h"

#include "base/memory.h"
#include "base/string.h"

struct clm_state {
    clm_shape shape;
    clm_buffer *buffer;
};

clm_status clm_state_create(clm_state **state, clm_device *device, clm_dtype type, int rank,
                            const int64_t *shape) {
    *state = NULL;
    clm_status status = CLM_OK;
    clm_state *made = NULL;
    if (type != CLM_F32) {
        return clm_fail(CLM_ERROR_UNSUPPORTED, "a state of %s: only f32 so far",
                        clm_dtype_name(type));
    }
    CLM_TRY(clm_allocate(&made, 1, sizeof *made, "a state"));
    CLM_TRY(clm_shape_make(&made->shape, rank, shape));
    const size_t count = (size_t)clm_shape_count(&made->shape);
    if (count > SIZE_MAX / sizeof(float)) {
        status = clm_fail(CLM_ERROR_SHAPE, "a state of %zu elements is too large", count);
        goto cleanup;
    }
    CLM_TRY(clm_buffer_create(&made->buffer, device, count * sizeof(float), "a state"));
    CLM_TRY(clm_buffer_zero(made->buffer, 0, count * sizeof(float)));
    *state = made;
    made = NULL;
cleanup:
    clm_state_free(made);
    return status;
}

void clm_state_free(clm_state *state) {
    if (state != NULL) {
        clm_buffer_release(state->buffer);
        clm_free(state);
    }
}

uint64_t clm_state_size_bytes(const clm_state *state) {
    return clm_buffer_size_bytes(state->buffer);
}

clm_status clm_state_lend(const clm_state *state, const clm_tensor_about *about,
                          clm_buffer **buffer) {
    clm_string wanted = {0};
    clm_string bound = {0};
    clm_status status = CLM_OK;
    *buffer = NULL;
    if (clm_shape_equal(&state->shape, &about->shape)) {
        *buffer = state->buffer;
        return CLM_OK;
    }
    clm_shape_write(&wanted, &about->shape);
    clm_shape_write(&bound, &state->shape);
    CLM_TRY(clm_string_status(&wanted));
    CLM_TRY(clm_string_status(&bound));
    status = clm_fail(CLM_ERROR_SHAPE, "state \"%s\"%s: what is bound to it has the shape%s",
                      about->name, wanted.text, bound.text);
cleanup:
    clm_string_free(&wanted);
    clm_string_free(&bound);
    return status;
}

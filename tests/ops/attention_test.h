/* What the tests of attention share: tensors that the device and the
 * reference both have, and checks that hold for either.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef CLM_TEST_OPS_ATTENTION_TEST_H
#define CLM_TEST_OPS_ATTENTION_TEST_H

#include "op_test.h"

/* Of queries, keys and values of one product (B,T,3C); of one query per sequence (B,C), with keys
 * and values of one product (B,T,2C). */
typedef struct attention_sizes {
    int B, T, H, D;
    bool causal;
} attention_sizes;

/* Room for the backward pass, with a guard; NULL where it needs none. */
static inline clm_buffer *scratch_for(clm_device *device, const clm_attention_arguments *a) {
    const size_t bytes = clm_attention_backward_scratch_bytes(device, &a->shape);
    return bytes > 0 ? clm_test_buffer(device, NULL, bytes / sizeof(float)) : NULL;
}

static inline clm_status backward(clm_device *device, const clm_attention_gradients *to,
                                  const clm_buffer *dout, const clm_buffer *out,
                                  const clm_buffer *lse, const clm_attention_arguments *a) {
    clm_buffer *scratch = a->shape.D <= CLM_ATTENTION_D_MOST ? scratch_for(device, a) : NULL;
    const clm_status status = clm_attention_backward(device, to, dout, out, lse, a, scratch);
    if (scratch != NULL) {
        clm_test_buffer_check(
            scratch, clm_attention_backward_scratch_bytes(device, &a->shape) / sizeof(float));
    }
    return status;
}

static inline clm_status fused_forward(clm_device *device, clm_buffer *out, clm_buffer *lse,
                                       clm_buffer *qkv, attention_sizes s) {
    const clm_attention_arguments a = clm_attention_fused(qkv, s.B, s.T, s.H, s.D, s.causal);
    return clm_attention_forward(device, out, lse, &a);
}

static inline clm_status fused_backward(clm_device *device, clm_buffer *dqkv, clm_buffer *dout,
                                        clm_buffer *qkv, clm_buffer *out, clm_buffer *lse,
                                        attention_sizes s) {
    const clm_attention_arguments a = clm_attention_fused(qkv, s.B, s.T, s.H, s.D, s.causal);
    const clm_attention_gradients to = clm_attention_fused_gradients(dqkv, s.H, s.D);
    return backward(device, &to, dout, out, lse, &a);
}

/* An input or a result: the device's, and the reference's. */
typedef struct attention_tensor {
    size_t count;
    float *values;
    double *exact;
} attention_tensor;

/* Normal numbers times `scale`; free_tensor() frees them. */
static inline attention_tensor make_tensor(size_t count, float scale) {
    attention_tensor tensor = {count, normal_floats(count, scale), calloc(count, sizeof(double))};
    assert_non_null(tensor.exact);
    return tensor;
}

static inline void free_tensor(attention_tensor *tensor) {
    free(tensor->values);
    free(tensor->exact);
}

/* Lets the reference have what the device has. */
static inline void widen(attention_tensor *tensor) {
    for (size_t i = 0; i < tensor->count; i++) {
        tensor->exact[i] = (double)tensor->values[i];
    }
}

/* Guarded buffers: with the values, and for a result. */
static inline clm_buffer *upload(clm_device *device, const attention_tensor *tensor) {
    return clm_test_buffer(device, tensor->values, tensor->count);
}

static inline clm_buffer *room_for(clm_device *device, const attention_tensor *tensor) {
    return clm_test_buffer(device, NULL, tensor->count);
}

/* Takes a result, and checks what stands behind it. */
static inline void download(attention_tensor *tensor, clm_buffer *buffer) {
    clm_test_buffer_read(buffer, tensor->values, tensor->count);
    clm_test_buffer_check(buffer, tensor->count);
}

static inline void compare(attention_tensor *tensor, double atol, double rtol, const char *what) {
    float *expected = normal_floats(tensor->count, 1.0F);
    for (size_t i = 0; i < tensor->count; i++) {
        expected[i] = (float)tensor->exact[i];
    }
    check_close(tensor->values, expected, tensor->count, atol, rtol, what);
    free(expected);
}

static inline bool are_finite(const float *values, size_t count) {
    for (size_t i = 0; i < count; i++) {
        if (!isfinite(values[i])) {
            return false;
        }
    }
    return true;
}

/* A copy of the values; freed by the caller, or by assert_same_bits(). */
static inline float *keep(const attention_tensor *tensor) {
    float *kept = normal_floats(tensor->count, 1.0F);
    memcpy(kept, tensor->values, tensor->count * sizeof *kept);
    return kept;
}

static inline void assert_same_bits(const attention_tensor *tensor, float *kept) {
    assert_memory_equal(kept, tensor->values, tensor->count * sizeof *kept);
    free(kept);
}

/* Checks a gradient of sum(dout * out) in the reference by central differences, where
 * forward(context) computes `out` from what `input` points to. Their error is step^2 * third
 * derivative, and 1e-16 / step. */
static inline void check_slopes(attention_tensor *input, const attention_tensor *gradient,
                                const attention_tensor *dout, const attention_tensor *out,
                                void (*forward)(void *context), void *context) {
    const double step = 1e-5;
    for (size_t i = 0; i < input->count; i++) {
        const double kept = input->exact[i];
        double sums[2] = {0.0, 0.0};
        for (int side = 0; side < 2; side++) {
            input->exact[i] = kept + (side == 0 ? -step : step);
            forward(context);
            for (size_t j = 0; j < out->count; j++) {
                sums[side] += dout->exact[j] * out->exact[j];
            }
        }
        input->exact[i] = kept;
        assert_close((sums[1] - sums[0]) / (2.0 * step), gradient->exact[i], 1e-8, 1e-8);
    }
}

/* Scores of +-1e4, from queries and keys of 60: the weight lies on one key, exp of the rest
 * underflows. A score of 1e4 has a rounding error of about 1e-3, and where two keys compete,
 * weights are that wrong, times values of 60. lse itself is right to rounding. */
static const float large_scale = 60.0F;

static inline void check_large_scores(attention_tensor *lse, attention_tensor *out,
                                      const attention_tensor *gradient) {
    double most = 0.0;
    for (size_t i = 0; i < lse->count; i++) {
        most = fmax(most, fabs(lse->exact[i]));
    }
    assert_true(most > 1e3);
    compare(lse, 4e-3, 1e-6, "lse of large scores");
    compare(out, 0.2, 1e-5, "out of large scores");
    assert_true(are_finite(gradient->values, gradient->count));
}

#endif

/* SPDX-License-Identifier: Apache-2.0 */
#include "reference/linear.h"

#include "graph/derive.h"
#include "graph/operations.h"
#include "ops/gemm.h"
#include "ops/ops.h"
#include "reference/gelu.h"

enum { X, WEIGHT, BIAS, RESIDUAL };

static bool is_out_in(const clm_node *node) {
    return node->with.linear.layout == CLM_LINEAR_OUT_IN;
}

static clm_status check(const clm_graph *graph, const clm_node *node, clm_shape *out) {
    const clm_shape *x = clm_node_shape(graph, node, X);
    const clm_shape *weight = clm_node_shape(graph, node, WEIGHT);
    const clm_shape *bias = clm_node_shape(graph, node, BIAS);
    if (weight->rank != 2) {
        return clm_shapes_fail(graph, node, "the weight needs rank 2");
    }
    const int64_t K = weight->size[is_out_in(node) ? 1 : 0];
    const int64_t N = weight->size[is_out_in(node) ? 0 : 1];
    if (clm_shape_last(x) != K) {
        return clm_shapes_fail(graph, node, "the weight, %s, takes rows of %lld",
                               is_out_in(node) ? "(out,in)" : "(in,out)", (long long)K);
    }
    if (bias->rank != 0 && !clm_shape_is(bias, 1, &N)) {
        return clm_shapes_fail(graph, node, "the bias needs shape (%lld)", (long long)N);
    }
    out[0] = clm_shape_with_last(*x, N);
    return CLM_OK;
}

/* Of what is not fused: fusing comes after (graph/transform.h). */
static void derive(clm_derivation *derivation, const clm_node *node) {
    const uint32_t of[CLM_NODE_OUTPUTS] = {0, node->inputs[WEIGHT], node->inputs[BIAS]};
    const bool dx = clm_derive_wants(derivation, node->inputs[X]);
    const bool dweight = clm_derive_wants(derivation, of[1]);
    const uint32_t inputs[CLM_NODE_INPUTS] = {clm_derive_output(derivation, node->outputs[0]),
                                              dweight ? node->inputs[X] : 0,
                                              dx || dweight ? node->inputs[WEIGHT] : 0};
    uint32_t out[CLM_NODE_OUTPUTS];
    const unsigned wanted =
        (dx ? 1U : 0U) | (dweight ? 2U : 0U) | (clm_derive_wants(derivation, of[2]) ? 4U : 0U);
    clm_derive_node(derivation, &clm_operation_linear_backward, inputs, &node->with, wanted, of,
                    out);
    clm_derive_give(derivation, node->inputs[X], out[0]);
}

static void reference(const clm_reference_call *call) {
    clm_reference_linear_forward(call->out[0], call->in[X], call->in[WEIGHT], call->in[BIAS],
                                 is_out_in(call->node), (int)clm_shape_rows(call->in_shape[X]),
                                 (int)clm_shape_last(call->in_shape[X]),
                                 (int)clm_shape_last(call->out_shape[0]));
    for (int64_t i = 0; i < clm_shape_count(call->out_shape[0]); i++) {
        if (call->out[1] != NULL) {
            call->out[1][i] = call->out[0][i];
        }
        if (call->node->with.linear.gelu) {
            call->out[0][i] = clm_reference_gelu(call->out[0][i]);
        }
        if (call->in[RESIDUAL] != NULL) {
            call->out[0][i] += call->in[RESIDUAL][i];
        }
    }
}

/* The stride of a matrix whose rows lie apart; 0, dense, otherwise. */
static int stride_of(const clm_place *place) {
    return place->width != place->stride ? (int)place->stride : 0;
}

/* The product of a call, also of one without buffers: then its scratch is asked for. */
static clm_gemm_arguments product_of(const clm_device_call *call) {
    return (clm_gemm_arguments){.M = (int)clm_shape_rows(call->in_shape[X]),
                                .N = (int)clm_shape_last(call->out_shape[0]),
                                .K = (int)clm_shape_last(call->in_shape[X]),
                                .a = call->in[X].buffer,
                                .b = call->in[WEIGHT].buffer,
                                .b_packed = call->in[WEIGHT].packed,
                                .b_transposed = is_out_in(call->node),
                                .b_offset = call->in[WEIGHT].offset,
                                .ldb = stride_of(&call->in[WEIGHT]),
                                .c = call->out[0].buffer,
                                .bias = call->in[BIAS].buffer,
                                .bias_offset = call->in[BIAS].offset,
                                .gelu = call->node->with.linear.gelu,
                                .pre = call->out[1].buffer,
                                .residual = call->in[RESIDUAL].buffer,
                                .scratch = call->scratch};
}

static clm_status enqueue(const clm_device_call *call) {
    const clm_gemm_arguments product = product_of(call);
    return clm_gemm(call->device, &product);
}

static size_t scratch_bytes(const clm_device_call *call) {
    const clm_gemm_arguments product = product_of(call);
    const clm_place *weight = &call->in[WEIGHT];
    return weight->is_packed && weight->packed == NULL
               ? clm_gemm_packed_scratch_bytes(call->device, &product,
                                               clm_gemm_storage_of(weight->storage))
               : clm_gemm_scratch_bytes(call->device, &product);
}

/* The sum begins with the residual wherever that is, but not before GELU, nor where the sum without
 * it is wanted, too. */
static bool begins_with_residual(const clm_node *node) {
    return !node->with.linear.gelu && node->outputs[1] == 0;
}

static uint64_t flops(const clm_graph *graph, const clm_node *node) {
    const clm_shape *x = clm_node_shape(graph, node, X);
    const clm_shape *weight = clm_node_shape(graph, node, WEIGHT);
    return 2U * (uint64_t)clm_shape_rows(x) * (uint64_t)clm_shape_count(weight);
}

const clm_operation clm_operation_linear = {
    .name = "linear",
    .inputs = {"x", "weight", "bias", "residual"},
    .outputs = {"out", "pre"},
    .optional = 1U << BIAS | 1U << RESIDUAL,
    .by_row = 1U,
    .shape = check,
    .derive = derive,
    .reference = reference,
    .enqueue = enqueue,
    .scratch_bytes = scratch_bytes,
    .strided_inputs = 1U << WEIGHT | 1U << BIAS,
    .overwrites = 1U << RESIDUAL,
    .does_overwrite = begins_with_residual,
    .flops = flops,
};

/* x is there when the weight is trained, the weight when it is or dx is wanted. */
static clm_status check_backward(const clm_graph *graph, const clm_node *node, clm_shape *out) {
    const clm_shape *dout = clm_node_shape(graph, node, 0);
    const clm_shape *weight = clm_node_shape(graph, node, 2);
    const int64_t N = clm_shape_last(dout);
    if (weight->rank == 2) {
        out[0] = clm_shape_with_last(*dout, weight->size[is_out_in(node) ? 1 : 0]);
        out[1] = *weight;
    }
    out[2] = (clm_shape){.rank = 1, .size = {N}};
    return CLM_OK;
}

static void reference_backward(const clm_reference_call *call) {
    const int N = (int)clm_shape_last(call->in_shape[0]);
    const int K =
        call->in_shape[2]->rank == 0 ? 1 : (int)(clm_shape_count(call->in_shape[2]) / (int64_t)N);
    clm_reference_linear_backward(call->out[0], call->out[1], call->out[2], call->in[0],
                                  call->in[1], call->in[2], is_out_in(call->node),
                                  (int)clm_shape_rows(call->in_shape[0]), K, N);
}

/* dx = dout weight^T. */
static clm_gemm_arguments input_product(const clm_device_call *call) {
    const int N = (int)clm_shape_last(call->in_shape[0]);
    return (clm_gemm_arguments){.M = (int)clm_shape_rows(call->in_shape[0]),
                                .N = (int)(clm_shape_count(call->in_shape[2]) / (int64_t)N),
                                .K = N,
                                .a = call->in[0].buffer,
                                .b = call->in[2].buffer,
                                .b_transposed = !is_out_in(call->node),
                                .b_offset = call->in[2].offset,
                                .ldb = stride_of(&call->in[2]),
                                .c = call->out[0].buffer,
                                .scratch = call->scratch};
}

/* dweight (in,out) += x^T dout; (out,in) += dout^T x. */
static clm_gemm_arguments weight_product(const clm_device_call *call) {
    const bool out_in = is_out_in(call->node);
    const int N = (int)clm_shape_last(call->in_shape[0]);
    const int K = (int)(clm_shape_count(call->in_shape[2]) / (int64_t)N);
    return (clm_gemm_arguments){.M = out_in ? N : K,
                                .N = out_in ? K : N,
                                .K = (int)clm_shape_rows(call->in_shape[0]),
                                .a = call->in[out_in ? 0 : 1].buffer,
                                .a_transposed = true,
                                .b = call->in[out_in ? 1 : 0].buffer,
                                .c = call->out[1].buffer,
                                .c_offset = call->out[1].offset,
                                .ldc = stride_of(&call->out[1]),
                                .accumulate = true,
                                .scratch = call->scratch};
}

static clm_status enqueue_backward(const clm_device_call *call) {
    clm_status status = CLM_OK;
    if (call->out[0].buffer != NULL) {
        const clm_gemm_arguments product = input_product(call);
        CLM_TRY(clm_gemm(call->device, &product));
    }
    if (call->out[1].buffer != NULL) {
        const clm_gemm_arguments product = weight_product(call);
        CLM_TRY(clm_gemm(call->device, &product));
    }
    if (call->out[2].buffer != NULL) {
        CLM_TRY(clm_reduce_columns(call->device, call->out[2].buffer, call->out[2].offset,
                                   call->in[0].buffer, 0, (int)clm_shape_rows(call->in_shape[0]),
                                   (int)clm_shape_last(call->in_shape[0]), true, call->scratch));
    }
cleanup:
    return status;
}

/* The results come one after another, so the most that one of them takes. */
static size_t backward_scratch_bytes(const clm_device_call *call) {
    size_t bytes[3] = {0};
    if (call->node->outputs[0] != 0) {
        const clm_gemm_arguments product = input_product(call);
        bytes[0] = clm_gemm_scratch_bytes(call->device, &product);
    }
    if (call->node->outputs[1] != 0) {
        const clm_gemm_arguments product = weight_product(call);
        bytes[1] = clm_gemm_scratch_bytes(call->device, &product);
    }
    if (call->node->outputs[2] != 0) {
        bytes[2] =
            clm_reduce_columns_scratch_bytes(call->device, (int)clm_shape_rows(call->in_shape[0]),
                                             (int)clm_shape_last(call->in_shape[0]));
    }
    const size_t more = bytes[0] > bytes[1] ? bytes[0] : bytes[1];
    return more > bytes[2] ? more : bytes[2];
}

/* A product for dx, one for dweight. */
static uint64_t flops_backward(const clm_graph *graph, const clm_node *node) {
    const clm_shape *dout = clm_node_shape(graph, node, 0);
    const clm_shape *weight = clm_node_shape(graph, node, 2);
    const uint64_t product =
        weight->rank == 2 ? 2U * (uint64_t)clm_shape_rows(dout) * (uint64_t)clm_shape_count(weight)
                          : 0;
    return (node->outputs[0] != 0 ? product : 0) + (node->outputs[1] != 0 ? product : 0) +
           (node->outputs[2] != 0 ? (uint64_t)clm_shape_count(dout) : 0);
}

const clm_operation clm_operation_linear_backward = {
    .name = "linear_backward",
    .inputs = {"dout", "x", "weight"},
    .outputs = {"dx", "dweight", "dbias"},
    .optional = 1U << 1 | 1U << 2,
    .shape = check_backward,
    .reference = reference_backward,
    .enqueue = enqueue_backward,
    .scratch_bytes = backward_scratch_bytes,
    .strided_inputs = 1U << 2,
    .strided_outputs = 1U << 1 | 1U << 2,
    .flops = flops_backward,
};

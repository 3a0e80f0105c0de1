/* The internals of graphs: tensors, nodes, and the table of operations that nodes point into.
 *
 * A graph is a list of nodes in the order in which they may run. Descriptions are built by
 * clm/graph.h; differentiation (graph/derive.h) adds nodes of the same kind to a copy, so that
 * everything that works on descriptions works on backward passes, too.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef CLM_GRAPH_GRAPH_H
#define CLM_GRAPH_GRAPH_H

#include <stddef.h>

#include "base/error.h"
#include "base/string.h"
#include "clm/graph.h"

enum { CLM_NODE_INPUTS = 8, CLM_NODE_OUTPUTS = 4 };

typedef struct clm_shape {
    int rank;
    int64_t size[CLM_TENSOR_RANK_MOST];
} clm_shape;

/* CLM_ERROR_SHAPE for more dimensions than there may be, a size below 1, or too many elements. */
clm_status clm_shape_make(clm_shape *shape, int rank, const int64_t *size);
void clm_shape_write(clm_string *text, const clm_shape *shape); /* adds " (8,120,768)" */
int64_t clm_shape_count(const clm_shape *shape);
int64_t clm_shape_last(const clm_shape *shape); /* elements of a row */
int64_t clm_shape_rows(const clm_shape *shape); /* all dimensions but the last */
bool clm_shape_is(const clm_shape *shape, int rank, const int64_t *size);
bool clm_shape_equal(const clm_shape *a, const clm_shape *b);
clm_shape clm_shape_with_last(clm_shape shape, int64_t last);

typedef enum clm_tensor_kind {
    CLM_TENSOR_INPUT = 1,
    CLM_TENSOR_PARAMETER,
    CLM_TENSOR_VALUE,    /* the output of a node */
    CLM_TENSOR_GRADIENT, /* of a parameter, or of some of its columns: what is written is added */
    CLM_TENSOR_SEED,     /* one number, the same for each element: where differentiation begins */
    CLM_TENSOR_STATE     /* bound at execution; nodes that write it give it a new handle */
} clm_tensor_kind;

typedef struct clm_tensor_about {
    clm_tensor_kind kind;
    clm_dtype type;
    clm_shape shape;
    char *name;    /* of an input, parameter or state; else its mark, or NULL */
    uint32_t node; /* of a value: the index of its node */
    uint32_t of;   /* of a gradient: the parameter; `first_column` and shape say which columns */
    int64_t first_column;
    clm_parameter_options parameter;
} clm_tensor_about;

/* An operation's attributes besides its tensors. */
typedef union clm_attributes {
    float epsilon; /* layernorm, rmsnorm */
    float factor;  /* scale */
    struct {
        clm_linear_layout layout;
        bool gelu; /* of the sum of product and bias, before a residual is added */
    } linear;
    struct {
        bool causal;
        float scale;        /* 0: 1 / sqrt(D) */
        int64_t first_step; /* first[b] counts from b times this */
    } attention;
    struct {
        int64_t first, count;
    } columns;
    struct {
        int64_t columns;   /* of the result */
        int64_t firsts[4]; /* where each part's begin */
    } join;
    clm_shape shape; /* reshape; scatter: of the result */
    clm_dtype type;  /* round16, widen16: that of 16 bits */
    bool one_each;   /* gather: one row of each sequence, in their order */
    struct {
        float theta;
        bool back; /* rotates backwards: the gradient */
    } rope;
} clm_attributes;

struct clm_operation;

/* What transformations say about a node, for explanations; a bit each. */
enum {
    CLM_NODE_PICKED = 1U << 0, /* computes the rows that are picked, and no others */
    CLM_NODE_AGAIN = 1U << 1   /* computes again what the forward pass did not keep */
};

typedef struct clm_node {
    const struct clm_operation *operation;
    uint32_t inputs[CLM_NODE_INPUTS];   /* 0: not given */
    uint32_t outputs[CLM_NODE_OUTPUTS]; /* 0: not wanted */
    unsigned notes;                     /* CLM_NODE_... */
    clm_attributes with;
} clm_node;

typedef struct clm_graph_result {
    uint32_t tensor;
    char *name;
} clm_graph_result;

struct clm_graph {
    uint32_t number;
    clm_status status;
    char message[512];         /* of the first error */
    clm_tensor_about *tensors; /* [0] stands for none */
    uint32_t tensor_count;
    size_t tensor_capacity;
    clm_node *nodes;
    uint32_t node_count;
    uint32_t backward; /* after the graph was derived: the first node of the backward pass */
    size_t node_capacity;
    /* Inputs and parameters by their names: open addressing, 0 for none, a power of two. */
    uint32_t *named;
    size_t named_count, named_size;
    clm_graph_result *outputs;
    uint32_t output_count;
    size_t output_capacity;
};

/* One call of an operation's plain C. Tensors of the integer kind are in `ids`; outputs that are
 * not wanted, and inputs that are not given, are NULL. Outputs start as zeros. */
typedef struct clm_reference_call {
    const clm_node *node;
    const double *in[CLM_NODE_INPUTS];
    const int32_t *ids[CLM_NODE_INPUTS];
    double *out[CLM_NODE_OUTPUTS];
    const clm_shape *in_shape[CLM_NODE_INPUTS];
    const clm_shape *out_shape[CLM_NODE_OUTPUTS];
} clm_reference_call;

/* Where a tensor is stored on a device: rows of `width` elements, `stride` elements apart, the
 * first `offset` elements into the buffer. Dense where the width is the stride. */
typedef struct clm_place {
    struct clm_buffer *buffer;
    size_t offset, width, stride;
    /* Of a weight that is packed for products instead; no buffer then. While scratch is worked out,
     * it may not be loaded yet: then only its storage is known. */
    bool is_packed;
    const struct clm_gemm_packed *packed;
    clm_dtype storage;
} clm_place;

/* One call of an operation's kernels. Operands that are not given or wanted have no buffer. */
typedef struct clm_device_call {
    struct clm_device *device;
    const clm_node *node;
    clm_place in[CLM_NODE_INPUTS];
    clm_place out[CLM_NODE_OUTPUTS];
    const clm_shape *in_shape[CLM_NODE_INPUTS];
    const clm_shape *out_shape[CLM_NODE_OUTPUTS];
    const int32_t *host_ids[CLM_NODE_INPUTS]; /* of inputs of the graph that are i32 */
    float seed;                 /* stands for an input that is the seed, which has no buffer */
    struct clm_buffer *scratch; /* NULL where the operation needs none */
} clm_device_call;

struct clm_derivation;

/* A row of the table of operations. */
typedef struct clm_operation {
    const char *name;
    const char *inputs[CLM_NODE_INPUTS]; /* their names, for messages; NULL ends them */
    const char *outputs[CLM_NODE_OUTPUTS];
    unsigned optional; /* a bit for each input that may be missing */
    unsigned integers; /* a bit for each input that is i32; all others are f32, or */
    unsigned halves;   /* a bit for each input that has 16 bits */
    unsigned by_row;   /* a bit for each input whose row r determines row r of the output */
    /* Checks the shapes of the inputs and fills those of the outputs. Fails by clm_shapes_fail().
     */
    clm_status (*shape)(const clm_graph *graph, const clm_node *node, clm_shape *out);
    /* Adds the nodes that take the gradients of the outputs to those of the inputs; NULL for what
     * has none. */
    void (*derive)(struct clm_derivation *derivation, const clm_node *node);
    void (*reference)(const clm_reference_call *call); /* plain C, all or part of src/reference */
    /* Enqueues kernels; NULL where there are none yet. Outputs of the kind gradient are added to.
     */
    clm_status (*enqueue)(const clm_device_call *call);
    /* The bytes that enqueue() needs in call->scratch, undefined before and after; NULL: none. Of
     * the call's members, buffers are not set. */
    size_t (*scratch_bytes)(const clm_device_call *call);
    /* A bit for each input and output whose rows may be apart; all others are dense. */
    unsigned strided_inputs, strided_outputs;
    unsigned overwrites; /* a bit for each input whose memory output 0 may reuse */
    bool (*does_overwrite)(const clm_node *node); /* whether these bits hold; NULL: they do */
    unsigned always;   /* a bit for each output that kernels write even if nothing reads it */
    bool writes_state; /* input 0, in whose memory output 0 is; never dropped */
    /* For keeping values in 16 bits (clm_graph_halve()). */
    bool cheap;         /* computed again rather than kept */
    unsigned as_stored; /* a bit for each input that is read rounded, if its rounding is kept */
    /* For explanations: the floating-point operations of a node, where a multiply-add is two; NULL:
     * about `flops_each` for each element of input 0, or of output 0 where that is ids. */
    uint64_t (*flops)(const clm_graph *graph, const clm_node *node);
    unsigned flops_each;
    /* A bit for each input and output of which only rows are read or written that ids name. */
    unsigned looked_up, looked_up_outputs;
} clm_operation;

static inline const clm_tensor_about *clm_graph_about(const clm_graph *graph, uint32_t tensor) {
    return &graph->tensors[tensor];
}

/* The shape of an input of a node; of rank 0 where it is not given. */
static inline const clm_shape *clm_node_shape(const clm_graph *graph, const clm_node *node,
                                              int input) {
    return &graph->tensors[node->inputs[input]].shape;
}

/* The state that a tensor is a handle of; 0: of none. */
uint32_t clm_graph_state_of(const clm_graph *graph, uint32_t tensor);

/* CLM_ERROR_SHAPE "linear: x (8,120,768), weight (3072,768): <what is wrong>", naming all inputs
 * that are given. */
clm_status clm_shapes_fail(const clm_graph *graph, const clm_node *node, const char *format, ...)
    CLM_PRINTF(3, 4);

/* Adds a node of `operation` with new outputs; inputs are ids, 0 for none. Returns the node, NULL
 * after an error, lent until the next is added. All of its outputs are made: what nothing reads is
 * dropped later (graph/prune.h). */
clm_node *clm_graph_add_node(clm_graph *graph, const clm_operation *operation,
                             const uint32_t *inputs, const clm_attributes *with);

/* Adds a node as it is; its outputs become this node's. */
void clm_graph_append_node(clm_graph *graph, const clm_node *node);

/* The same as the public calls do it: handles are checked, and the first output is returned. */
clm_tensor clm_graph_apply(clm_graph *graph, const clm_operation *operation,
                           const clm_tensor *inputs, int count, const clm_attributes *with);

/* A tensor of `about` and a copy of `name`, NULL for none; 0 after an error. */
uint32_t clm_graph_add_tensor(clm_graph *graph, const clm_tensor_about *about, const char *name);

/* The tensor of the output of that name; 0: there is none. */
uint32_t clm_graph_find_output(const clm_graph *graph, const char *name);

/* Takes all outputs' marks away; the tensors stay. */
void clm_graph_drop_outputs(clm_graph *graph);

/* Makes an input of the result of a node, which does not compute it any more. */
void clm_graph_make_input(clm_graph *graph, uint32_t tensor, const char *name);

/* Keeps the first error and its message; returns `status`. */
clm_status clm_graph_stick(clm_graph *graph, clm_status status);

/* A copy with the same ids, through *copy. */
clm_status clm_graph_copy(clm_graph **copy, const clm_graph *graph);

#endif

/* What a plan is, in numbers and names, for people: its operations in their order, with what they
 * read, write and compute, what transformations did to them, and its memory. Making it needs no
 * execution, and allocates nothing on a device.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef CLM_GRAPH_EXPLAIN_H
#define CLM_GRAPH_EXPLAIN_H

#include "graph/plan.h"

/* What is to be said of an operation, a bit each. */
enum {
    CLM_NOTE_VIEW = 1U << 0,     /* nothing runs: its result is elements of what it reads */
    CLM_NOTE_IN_PLACE = 1U << 1, /* its result takes the memory of what it reads */
    CLM_NOTE_BIAS = 1U << 2,     /* fused: adds a bias, */
    CLM_NOTE_GELU = 1U << 3,     /* applies GELU, */
    CLM_NOTE_RESIDUAL = 1U << 4, /* adds a residual */
    CLM_NOTE_PICKED = 1U << 5,   /* for rows that are picked, and no others */
    CLM_NOTE_AGAIN = 1U << 6,    /* again, for the backward pass, instead of being kept */
    CLM_NOTE_KEPT = 1U << 7,     /* the backward pass reads its result, as floats */
    CLM_NOTE_KEPT_16 = 1U << 8,  /* or in 16 bits */
    CLM_NOTE_ADDS = 1U << 9      /* adds to the gradients of parameters */
};
enum { CLM_NOTE_COUNT = 10 };

/* A word for bit i: "in-place". Static. */
const char *clm_note_name(int i);

enum { CLM_EXPLAINED_KERNELS = 6, CLM_EXPLAINED_NAME = 96 };

typedef struct clm_explained_operation {
    const char *operation;                     /* static */
    char name[CLM_EXPLAINED_NAME];             /* of its parameters, "h.0.ln_1"; or ""  */
    clm_shape in, out;                         /* of its first input and output */
    uint64_t read_bytes, written_bytes, flops; /* each operand once */
    uint64_t scratch_bytes;
    uint64_t live_bytes; /* in the workspace while it runs */
    unsigned notes;
    const char *dropped[CLM_NODE_OUTPUTS]; /* outputs that nothing needs, up to NULL */
    size_t section;
    /* After it was run (clm_plan_profile()); names are lent by the device. */
    const char *kernels[CLM_EXPLAINED_KERNELS];
    size_t kernel_count;
    double seconds;
} clm_explained_operation;

/* Operations between two marks, of one pass. */
typedef struct clm_explained_section {
    char name[CLM_EXPLAINED_NAME]; /* of the mark; "" before the first */
    bool backward;
    size_t first, count;
    size_t like; /* the first section with equal operations: itself, if there is none before */
} clm_explained_section;

/* Memory in the workspace, and during which operations it is used. */
typedef struct clm_explained_tensor {
    char name[CLM_EXPLAINED_NAME]; /* of an input or output, or "h.0.ln_1 out" */
    clm_shape shape;
    clm_dtype type;
    uint64_t size_bytes;
    size_t from, until;
} clm_explained_tensor;

typedef struct clm_explanation {
    clm_explained_operation *operations;
    size_t operation_count;
    size_t backward; /* the first operation of the backward pass; operation_count: there is none */
    clm_explained_section *sections;
    size_t section_count;
    clm_explained_tensor *tensors; /* the largest first */
    size_t tensor_count;
    clm_plan_counts counts;
    uint64_t workspace_bytes, largest_bytes; /* as clm_plan_memory() */
    uint64_t peak_bytes;                     /* the most of live_bytes */
    uint64_t kept_bytes; /* what lives from the forward pass into the backward pass */
    uint64_t read_bytes, written_bytes, flops;
    double seconds;
    bool has_run;
} clm_explanation;

/* Free it in any case. It does not refer to the plan afterwards. */
clm_status clm_plan_explain(clm_explanation *explanation, const clm_plan *plan);
void clm_explanation_free(clm_explanation *explanation); /* fine on a zeroed one */

/* Of an operation by its index: that of its parameters, else of its section, else "". */
const char *clm_explained_name(const clm_explanation *explanation, size_t index);

/* Executes the plan twice, and adds to its explanation the kernels and the time of each operation
 * in the second execution. The device must have been opened to profile. Blocks. */
clm_status clm_plan_profile(clm_explanation *explanation, clm_plan *plan, clm_device *device,
                            const clm_plan_binding *bindings, size_t count, float seed);

#endif

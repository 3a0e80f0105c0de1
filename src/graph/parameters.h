/* Parameters: those that a graph declares, and their values on a device.
 *
 * A table lists the parameters of a description in the order in which it names them. A store holds
 * their values. What is trained is fixed when the store is created: values and gradients of trained
 * parameters lie in arenas (graph/arena.h), so that an optimizer needs one launch for all. The
 * others are stored as products read them fastest, possibly in 16 bits. All plans of a model share
 * its store.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef CLM_GRAPH_PARAMETERS_H
#define CLM_GRAPH_PARAMETERS_H

#include "graph/arena.h"
#include "graph/derive.h"
#include "ops/gemm.h"

/* ---- what is declared ---- */

typedef struct clm_parameter {
    char name[96];
    int rank; /* 1 or 2 */
    size_t shape[2];
    size_t count; /* elements */
    clm_init init;
    float spread;  /* of CLM_INIT_NORMAL and CLM_INIT_UNIFORM */
    bool decays;   /* pretraining usually decays it */
    bool optional; /* files may lack it */
    bool exact;    /* always stored as floats */
} clm_parameter;

typedef struct clm_parameter_table {
    clm_parameter *parameters;
    const clm_parameter **by_name; /* sorted */
    size_t count;
    size_t total; /* elements of all */
} clm_parameter_table;

/* Free it in any case. CLM_ERROR_SHAPE for a parameter of more than two dimensions. */
clm_status clm_parameter_table_make(clm_parameter_table *table, const clm_graph *graph);
void clm_parameter_table_free(clm_parameter_table *table); /* fine on a zeroed one */

/* Lent by the table; NULL when there is none. */
const clm_parameter *clm_parameter_named(const clm_parameter_table *table, const char *name);

/* ---- where values are ---- */

/* Columns of a frozen weight, packed for products. */
typedef struct clm_parameter_packing {
    int64_t first, count;
    clm_gemm_packed *packed; /* NULL until it is loaded */
} clm_parameter_packing;

enum { CLM_PACKINGS_MOST = 4 };

typedef struct clm_stored_parameter {
    const clm_parameter *about;
    bool trained;
    bool by_rows;         /* only ever read a few rows at a time: the table of an embedding */
    bool is_packed;       /* has packings in place of a value */
    bool is_read_once;    /* could have: is read as it is in the file */
    bool out_in;          /* its layout, if it is packed: see clm_linear_layout */
    clm_dtype storage;    /* of packings */
    clm_buffer *value;    /* may be in parts if `by_rows` */
    clm_buffer *gradient; /* of trained ones */
    clm_parameter_packing packings[CLM_PACKINGS_MOST];
    int packing_count;
} clm_stored_parameter;

typedef struct clm_parameters {
    clm_device *device;
    clm_parameter_table table;
    clm_stored_parameter *stored; /* as many as the table has, in its order */
    clm_arena_layout trained;     /* where trained ones lie in arenas */
    clm_arena values, gradients;
    bool gradients_are_zero;
} clm_parameters;

typedef struct clm_parameters_options {
    clm_trains *trains; /* NULL: nothing is */
    void *context;
    clm_dtype storage; /* of frozen weights: CLM_F32, CLM_F16 or CLM_BF16 */
    bool one_pass;     /* frozen weights in floats stay as they are in the file, unpacked */
    bool whole_rows;   /* plans are not narrowed */
} clm_parameters_options;

/* Decides how each parameter of `graph` is stored, from how it is read: a frozen matrix that only
 * products read is packed, by the columns that they read, unless gradients pass through it. `graph`
 * is a description of any batch; `loss` is its output that is trained, or NULL. Allocates nothing
 * on the device. CLM_ERROR_ARGUMENT when the loss depends on nothing that is trained. */
clm_status clm_parameters_create(clm_parameters **parameters, clm_device *device,
                                 const clm_graph *graph, const char *loss,
                                 const clm_parameters_options *options);
void clm_parameters_free(clm_parameters *parameters); /* NULL is fine */

/* The sizes of the buffers that loading makes, in bytes, and of AdamW's moments; not those of what
 * it copies and packs from, of which the largest is in `largest_buffer_bytes`, and which are freed
 * when it is done. Until the device's GEMM backend is measured, the most that they could be. */
typedef struct clm_parameters_memory {
    uint64_t values_bytes, gradients_bytes, moments_bytes;
    uint64_t largest_buffer_bytes;
} clm_parameters_memory;

void clm_parameters_measure(const clm_parameters *parameters, clm_parameters_memory *memory);

/* Where values come from. */
typedef struct clm_parameter_source {
    void *context;
    /* Elements [first, first + count) of it. */
    clm_status (*read)(void *context, const clm_parameter *parameter, size_t first, size_t count,
                       float *values);
    /* Whether read() is for all elements at once; NULL: never. */
    bool (*is_whole)(void *context, const clm_parameter *parameter);
    /* The values in host memory through *values, lent as long as the store lives; NULL: they are
     * not. For what a CPU device may read in place. map itself may be NULL. */
    clm_status (*map)(void *context, const clm_parameter *parameter, const float **values);
} clm_parameter_source;

/* Blocks. Shows progress, and ends with CLM_ERROR_INTERRUPTED if that is asked for. */
clm_status clm_parameters_load(clm_parameters *parameters, const clm_parameter_source *source);

/* NULL when there is none. */
clm_stored_parameter *clm_parameters_find(const clm_parameters *parameters, const char *name);

/* The packing of these columns; NULL when there is none. */
const clm_parameter_packing *clm_parameter_columns(const clm_stored_parameter *stored,
                                                   int64_t first, int64_t count);

/* Elements of those that are trained. */
size_t clm_parameters_trained_count(const clm_parameters *parameters);

/* Zeroes the gradients, unless they are known to be zero. */
clm_status clm_parameters_zero_gradients(clm_parameters *parameters);

#endif

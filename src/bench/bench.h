/* The parts of a benchmark: the table of cases, a prepared case, the clock, the device's limits.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef CLM_BENCH_BENCH_H
#define CLM_BENCH_BENCH_H

#include "base/folder.h"
#include "clm/bench.h"
#include "ops/gemm.h"
#include "ops/ops.h"
#include "train/evaluate.h"
#include "train/optimizer.h"

enum { CLM_BENCH_SIZES = 3, CLM_BENCH_BUFFERS = 10 };

/* The sizes of GPT-2 with 124M parameters, for which the kernels are measured; "the job" is a batch
 * of the recipe, 8 messages padded to 120 tokens. */
enum {
    CLM_BENCH_CHANNELS = 768,
    CLM_BENCH_HEADS = 12,
    CLM_BENCH_VOCABULARY = 50257,
    CLM_BENCH_CONTEXT = 1024,
    CLM_BENCH_B = 8,
    CLM_BENCH_T = 120,
    CLM_BENCH_ROWS = CLM_BENCH_B * CLM_BENCH_T
};

/* The model that jobs run on, opened for one policy at a time. */
typedef struct clm_bench_model {
    const char *source; /* as the user gave it */
    clm_folder folder;  /* of a random model, open and locked while the jobs run */
} clm_bench_model;

typedef struct clm_bench_entry clm_bench_entry;

/* A case prepared to run. */
typedef struct clm_bench_subject {
    clm_device *device;
    const clm_bench_entry *entry;
    clm_bench_result *result; /* filled in by count_work() and prepare() */
    clm_buffer *buffers[CLM_BENCH_BUFFERS];
    clm_gemm_arguments product;
    clm_gemm_packed *packed;
    int32_t *tokens;
    clm_bench_model *source;
    clm_model *model;
    clm_optimizer optimizer;
    clm_batch batch;
    float *logits;
} clm_bench_subject;

/* Shared by the cases of a kind. count_work() writes the work of one repeat into the result;
 * prepare() makes everything that a repeat needs. If the work depends on the model, count_work() is
 * NULL and prepare() does both. prepare() may write the reason for skipping the case into the
 * result; CLM_ERROR_DEVICE_MEMORY from either call skips it, too. The caller releases everything in
 * the subject. run() enqueues one repeat. */
typedef struct clm_bench_kind {
    const char *letters[CLM_BENCH_SIZES]; /* of the sizes to show: "M" */
    void (*count_work)(const clm_bench_entry *entry, clm_bench_result *result);
    clm_status (*prepare)(clm_bench_subject *subject);
    clm_status (*run)(clm_bench_subject *subject);
    bool needs_model;
} clm_bench_kind;

struct clm_bench_entry {
    const char *name;
    const clm_bench_kind *kind;
    int sizes[CLM_BENCH_SIZES];
    int form; /* meaning depends on the kind */
    bool quick;
};

typedef struct clm_bench_table {
    const clm_bench_entry *entries;
    size_t count;
} clm_bench_table;

clm_bench_table clm_bench_gemm_table(void);
clm_bench_table clm_bench_kernel_table(void);
clm_bench_table clm_bench_job_table(void);

/* All entries, in order: the index-th, or NULL beyond the last. */
const clm_bench_entry *clm_bench_entry_at(size_t index);

/* "M=960 N=2304 K=768" of an entry. */
void clm_bench_describe(char *text, size_t size, const clm_bench_entry *entry);

/* Whether any of the names is the entry's or its group's; true without names. */
bool clm_bench_is_chosen(const clm_bench_entry *entry, const clm_bench_options *options);

/* CLM_ERROR_ARGUMENT for a name that is neither a group nor a case. */
clm_status clm_bench_check_names(const clm_bench_options *options);

/* The length of a name's group. */
size_t clm_bench_group_length(const char *name);

void clm_bench_subject_release(clm_bench_subject *subject);

/* A buffer of `count` floats uniform in [-scale, scale), from a fixed stream. */
clm_status clm_bench_fill(clm_buffer **buffer, clm_device *device, size_t count, float scale);

/* ---- the clock ---- */

typedef struct clm_bench_timing {
    double seconds; /* of sampling */
    int least_samples;
    bool (*should_stop)(void *context);
    void *context;
} clm_bench_timing;

/* Runs and times a prepared subject; fills in the times of its result. */
clm_status clm_bench_time(clm_bench_subject *subject, const clm_bench_timing *timing);

/* The value below which the share `part` of sorted values (count) lies, interpolated linearly
 * (Hyndman and Fan 1996, definition 7, the default of NumPy and R). */
double clm_bench_quantile(const double *sorted, int count, double part);

/* ---- the device's limits ---- */

typedef struct clm_bench_limits {
    size_t copied_bytes;                  /* 0 before the first measurement */
    double peak_flops, copy_bytes_second; /* of the first */
    double least_peak, most_peak, least_copy, most_copy;
} clm_bench_limits;

/* Measures, the first time (*limits is zeroed) or again. */
clm_status clm_bench_measure_limits(clm_bench_limits *limits, clm_device *device, bool quick);

/* The largest relative difference between measurements. */
double clm_bench_noise(const clm_bench_limits *limits);

/* ---- the model ---- */

/* Puts a random model into the cache folder, so that it is generated once; other sources are used
 * in place. */
clm_status clm_bench_model_make(clm_bench_model *model, clm_device *device, const char *source);
void clm_bench_model_remove(clm_bench_model *model); /* fine on a zeroed one */

/* Where to open it. */
const char *clm_bench_model_path(const clm_bench_model *model);

/* Whether it is a file; otherwise it is generated each time. */
bool clm_bench_model_is_file(const clm_bench_model *model);

/* ---- reports ---- */

/* Copies a text, cut to `size` with its NUL at a whole character; control characters and invalid
 * UTF-8 become '?'. */
void clm_bench_copy_text(char *to, size_t size, const char *from);

/* Rates and shares of one result. */
void clm_bench_derive_result(const clm_bench_report *report, clm_bench_result *result);

/* Reads text of clm_bench_write_json(); `where` names it. */
clm_status clm_bench_parse(clm_bench_report **reports, size_t *count, const char *text,
                           size_t size_bytes, const char *where);

#endif

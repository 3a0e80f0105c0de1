/* What became of a training run: its metrics read back, and its plots.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef CLM_REPORT_H
#define CLM_REPORT_H

#include <stdbool.h>
#include <stddef.h>

#include "clm/status.h"

#ifdef __cplusplus
extern "C" {
#endif

/* One optimizer step. `loss` is the mean cross-entropy of its batch in nats, NAN when the file says
 * null, which stands for a loss that was not finite. `seconds` is as the trainer wrote it, NAN when
 * it wrote none. */
typedef struct clm_metrics_step {
    int step; /* from 0 */
    double loss;
    double seconds;
} clm_metrics_step;

/* An evaluation after the optimizer step of that number. Losses as above. `epoch` (a fraction) and
 * `examples` count what was trained on by then; where the file says neither they follow from the
 * step, the batch and the batches of an epoch, and are NAN when those are not known. */
typedef struct clm_metrics_eval {
    int step;
    double train_loss;
    double val_loss;
    double epoch;
    double examples;
} clm_metrics_eval;

/* Accuracies after an epoch, from 0 to 1; NAN for null. */
typedef struct clm_metrics_epoch {
    int epoch; /* from 1 */
    double train_acc;
    double val_acc;
} clm_metrics_epoch;

/* A metrics.jsonl. The arrays are in rising order of step and epoch and owned by the struct. */
typedef struct clm_metrics {
    clm_metrics_step *steps;
    size_t step_count;
    clm_metrics_eval *evals;
    size_t eval_count;
    clm_metrics_epoch *epochs;
    size_t epoch_count;

    /* Accuracies on the full sets, from 0 to 1; NAN where there is none. */
    bool has_final;
    double final_train;
    double final_val;
    double final_test;
    double final_seconds;

    /* From the "start" line, or, for `batches`, from the steps before the end of the first epoch;
     * 0 when not known. */
    int train_size;     /* rows trained on */
    int batch;          /* rows a step */
    int batches;        /* steps an epoch */
    int planned_epochs; /* asked for */

    /* The last line is not whole, as a killed process leaves it. It was left out. */
    bool has_damaged_end;
} clm_metrics;

/* Reads a metrics.jsonl, one JSON object a line with an "event": "start", "step", "eval", "epoch"
 * or "final"; lines with other events and blank ones are skipped, and so are members not named
 * above. Where a step or an epoch comes again, as after a resume, what was read from there on gives
 * way to the later lines. A last line that is no JSON is left out with a warning to the log. Free
 * with clm_metrics_free(), also after a failure. Blocks on the file.
 *
 * CLM_ERROR_NOT_FOUND, CLM_ERROR_IO; CLM_ERROR_FORMAT with file and line for damage anywhere else,
 * and for a member that is missing or of the wrong kind; CLM_ERROR_MEMORY. */
CLM_API clm_status clm_metrics_read(clm_metrics *metrics, const char *path);
CLM_API void clm_metrics_free(clm_metrics *metrics); /* fine on a zeroed one */

/* Draws RUN/metrics.jsonl: losses of training and validation against epochs, with the examples seen
 * on a second axis above, into RUN/loss.*; accuracies into RUN/accuracy.*. Each is written aside
 * and renamed, so that a plot that was there stays whole until its successor is. The same metrics
 * give the same bytes (PNG and PDF: with the same cairo and fonts). Blocks; some tenths of a
 * second.
 *
 * The errors of clm_metrics_read(); CLM_ERROR_FORMAT when there is no loss and no accuracy yet;
 * what writing a file can meet. */
CLM_API clm_status clm_report_plot_run(const char *run_folder);

/* The names of the files clm_report_plot_run() writes ("loss.svg", ...): SVG always, PDF and PNG
 * when clm was built with cairo. Static; *count gets their number. */
CLM_API const char *const *clm_report_plot_names(size_t *count);

#ifdef __cplusplus
}
#endif
#endif

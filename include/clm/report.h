/* Reports on a training run: reading its metrics and drawing its plots.
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

/* One optimizer step. `loss` is the mean cross-entropy of its batch in nats; NAN for null in the
 * file, which means a loss that was not finite. `seconds` is the trainer's value, NAN if there is
 * none. */
typedef struct clm_metrics_step {
    int step; /* from 0 */
    double loss;
    double seconds;
} clm_metrics_step;

/* An evaluation after the optimizer step of that number. Losses as above. `epoch` (a fraction) and
 * `examples` count what had been trained on by then. If the file has neither, they are computed
 * from the step, the batch and the batches per epoch, and are NAN if those are unknown. */
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

/* A metrics.jsonl. The arrays are sorted by step and epoch and owned by the struct. */
typedef struct clm_metrics {
    clm_metrics_step *steps;
    size_t step_count;
    clm_metrics_eval *evals;
    size_t eval_count;
    clm_metrics_epoch *epochs;
    size_t epoch_count;

    /* Accuracies on the full sets, from 0 to 1; NAN if missing. */
    bool has_final;
    double final_train;
    double final_val;
    double final_test;
    double final_seconds;

    /* From the "start" line, or, for `batches`, from the steps before the end of the first epoch;
     * 0 if unknown. */
    int train_size;     /* rows trained on */
    int batch;          /* rows per step */
    int batches;        /* steps per epoch */
    int planned_epochs; /* requested */

    /* The last line is incomplete, as after a killed process. It was ignored. */
    bool has_damaged_end;
} clm_metrics;

/* Reads a metrics.jsonl, one JSON object per line with an "event": "start", "step", "eval", "epoch"
 * or "final"; lines with other events, blank lines and members not named above are skipped. If a
 * step or an epoch appears again, as after a resume, the later lines replace everything from that
 * step or epoch on. A last line that is not JSON is ignored with a warning to the log. Free with
 * clm_metrics_free(), also after a failure. Blocks on the file.
 *
 * CLM_ERROR_NOT_FOUND, CLM_ERROR_IO; CLM_ERROR_FORMAT with file and line for damage anywhere else,
 * and for a member that is missing or of the wrong kind; CLM_ERROR_MEMORY. */
CLM_API clm_status clm_metrics_read(clm_metrics *metrics, const char *path);
CLM_API void clm_metrics_free(clm_metrics *metrics); /* fine on a zeroed one */

/* Draws RUN/metrics.jsonl: training and validation losses against epochs, with the examples seen on
 * a second axis above, into RUN/loss.*; accuracies into RUN/accuracy.*. Each plot is replaced whole
 * or not at all. The same metrics give the same bytes (PNG and PDF: with the same cairo and fonts).
 * Blocks for some tenths of a second.
 *
 * The errors of clm_metrics_read(); CLM_ERROR_FORMAT when there is no loss and no accuracy yet;
 * errors of writing files. */
CLM_API clm_status clm_report_plot_run(const char *run_folder);

/* The names of the files that clm_report_plot_run() writes ("loss.svg", ...): always SVG, also PDF
 * and PNG if clm was built with cairo. Static; *count is set to their number. */
CLM_API const char *const *clm_report_plot_names(size_t *count);

#ifdef __cplusplus
}
#endif
#endif

/* The two plots of a training run.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <math.h>
#include <stdlib.h>

#include "base/file.h"
#include "base/folder.h"
#include "base/memory.h"
#include "clm/report.h"
#include "report/chart.h"
#include "report/number.h"

/* Okabe and Ito's palette (2008), which all kinds of colour vision tell apart; the markers differ
 * in shape too. */
static const uint32_t blue = 0x0072B2;
static const uint32_t vermilion = 0xD55E00;
static const uint32_t green = 0x009E73;

typedef clm_status (*open_canvas)(clm_canvas **canvas, double width, double height,
                                  const char *title);

static const open_canvas formats[] = {clm_canvas_open_svg, clm_canvas_open_pdf,
                                      clm_canvas_open_png};

enum { format_count = CLM_WITH_CAIRO ? 3 : 1, plot_count = 2 };

const char *const *clm_report_plot_names(size_t *count) {
#if CLM_WITH_CAIRO
    static const char *const names[plot_count * format_count] = {
        "loss.svg", "loss.pdf", "loss.png", "accuracy.svg", "accuracy.pdf", "accuracy.png"};
#else
    static const char *const names[plot_count * format_count] = {"loss.svg", "accuracy.svg"};
#endif
    *count = sizeof names / sizeof *names;
    return names;
}

/* What x counts: epochs where the steps of one are known, else steps. */
typedef struct x_axis {
    double steps_a_unit;
    double examples_a_unit; /* 0: not known */
    const char *label;
} x_axis;

static x_axis choose_x_axis(const clm_metrics *m) {
    x_axis axis = {.steps_a_unit = m->batches, .label = "Epochs"};
    const clm_metrics_eval *last = m->eval_count > 0 ? &m->evals[m->eval_count - 1] : NULL;
    if (m->batches == 0 && last != NULL && last->epoch > 0) {
        axis.steps_a_unit = (last->step + 1.0) / last->epoch;
    }
    if (axis.steps_a_unit == 0) {
        axis = (x_axis){.steps_a_unit = 1.0, .label = "Steps"};
    }
    if (m->batch > 0) {
        axis.examples_a_unit = axis.steps_a_unit * m->batch;
    } else if (last != NULL && last->examples > 0) {
        axis.examples_a_unit = axis.steps_a_unit * last->examples / (last->step + 1.0);
    }
    return axis;
}

typedef struct loss_points {
    clm_point *steps;
    clm_point *train;
    clm_point *val;
    double x_high;
    double low;        /* of all that is finite; NaN when nothing is */
    double high;       /* of the evaluations */
    int missing;       /* losses that were not finite */
    int first_missing; /* step */
} loss_points;

static void count_loss(loss_points *p, double loss, int step) {
    if (isnan(loss)) {
        p->first_missing = p->missing == 0 || step < p->first_missing ? step : p->first_missing;
        p->missing++;
        return;
    }
    p->low = fmin(p->low, loss);
}

static clm_status place_losses(loss_points *p, const clm_metrics *m, const x_axis *axis) {
    *p = (loss_points){.low = NAN, .high = NAN};
    clm_status status = CLM_OK;
    CLM_TRY(clm_allocate(&p->steps, m->step_count, sizeof(clm_point), "a plot"));
    CLM_TRY(clm_allocate(&p->train, m->eval_count, sizeof(clm_point), "a plot"));
    CLM_TRY(clm_allocate(&p->val, m->eval_count, sizeof(clm_point), "a plot"));
    for (size_t i = 0; i < m->step_count; i++) {
        const clm_metrics_step *s = &m->steps[i];
        p->steps[i] = (clm_point){(s->step + 1.0) / axis->steps_a_unit, s->loss};
        p->x_high = fmax(p->x_high, p->steps[i].x);
        count_loss(p, s->loss, s->step);
    }
    for (size_t i = 0; i < m->eval_count; i++) {
        const clm_metrics_eval *e = &m->evals[i];
        double x = (e->step + 1.0) / axis->steps_a_unit;
        p->train[i] = (clm_point){x, e->train_loss};
        p->val[i] = (clm_point){x, e->val_loss};
        p->x_high = fmax(p->x_high, x);
        count_loss(p, e->train_loss, e->step);
        count_loss(p, e->val_loss, e->step);
        p->high = fmax(p->high, fmax(e->train_loss, e->val_loss));
    }
cleanup:
    return status;
}

static int compare_doubles(const void *a, const void *b) {
    double x = *(const double *)a;
    double y = *(const double *)b;
    return (x > y) - (x < y);
}

/* The height under which all but one in two hundred of the step losses lie: a few wild batches must
 * not press everything else flat. NaN when there are none. */
static clm_status usual_height(double *height, const clm_point *points, size_t count) {
    *height = NAN;
    double *sorted = NULL;
    size_t finite = 0;
    clm_status status = clm_allocate(&sorted, count, sizeof *sorted, "a plot");
    if (status != CLM_OK) {
        return status;
    }
    for (size_t i = 0; i < count; i++) {
        if (!isnan(points[i].y)) {
            sorted[finite++] = points[i].y;
        }
    }
    if (finite > 0) {
        qsort(sorted, finite, sizeof *sorted, compare_doubles);
        *height = sorted[finite - 1 - finite / 200];
    }
    clm_free(sorted);
    return CLM_OK;
}

/* A little air around what is drawn, out to whole ticks. Zero is shown unless that would waste half
 * the height. */
static void choose_loss_range(clm_chart *chart, double low, double high) {
    if (isnan(low) || isnan(high)) {
        chart->y_low = 0.0;
        chart->y_high = 1.0;
        return;
    }
    if (low > 0 && (low <= 0.5 * high || low == high)) {
        low = 0.0;
    }
    if (!(high > low)) {
        high = low + 1.0;
    }
    double step = clm_tick_step(low, high, 8, false);
    chart->y_low = step * floor(low / step);
    chart->y_high = step * ceil((high + 0.02 * (high - low)) / step);
}

static void add_loss_note(clm_string *note, const loss_points *p, const clm_chart *chart,
                          size_t step_count) {
    int above = 0;
    for (size_t i = 0; i < step_count; i++) {
        above += p->steps[i].y > chart->y_high;
    }
    if (isnan(p->low) && p->missing == 0) {
        clm_string_add(note, "No loss was recorded. ");
    }
    if (p->missing > 0) {
        clm_string_add_format(note, "%d loss%s not finite, first at step %d. ", p->missing,
                              p->missing == 1 ? " was" : "es were", p->first_missing);
    }
    if (above > 0) {
        clm_string_add_format(note, "%d batch loss%s above the frame.", above,
                              above == 1 ? " lies" : "es lie");
    }
}

static void add_subtitle(clm_string *out, const clm_metrics *m) {
    if (m->train_size > 0) {
        clm_number_add(out, m->train_size, 0, true);
        clm_string_add(out, " training texts");
    }
    if (m->batch > 0) {
        clm_string_add_format(out, "%sbatches of %d", out->length > 0 ? ", " : "", m->batch);
    }
    if (m->batches > 0) {
        clm_string_add(out, out->length > 0 ? ", " : "");
        clm_number_add(out, m->batches, 0, true);
        clm_string_add(out, " steps an epoch");
    }
}

static clm_status write_chart(const clm_chart *chart, const char *folder,
                              const char *const names[format_count]) {
    clm_canvas *canvas = NULL;
    clm_string bytes = {0};
    char *path = NULL;
    clm_status status = CLM_OK;
    for (size_t i = 0; i < format_count; i++) {
        CLM_TRY(clm_path_join(&path, folder, names[i]));
        CLM_TRY(formats[i](&canvas, CLM_CHART_WIDTH, CLM_CHART_HEIGHT, chart->title));
        CLM_TRY(clm_chart_draw(chart, canvas));
        CLM_TRY(clm_canvas_finish(canvas, &bytes));
        CLM_TRY(clm_file_write_own(path, bytes.text, bytes.length));
        clm_canvas_close(canvas);
        canvas = NULL;
        clm_string_clear(&bytes);
        clm_free(path);
        path = NULL;
    }
cleanup:
    clm_canvas_close(canvas);
    clm_string_free(&bytes);
    clm_free(path);
    return status;
}

static clm_status plot_losses(const clm_metrics *m, const x_axis *axis, const char *subtitle,
                              const char *folder, const char *const *names) {
    loss_points p = {0};
    clm_string note = {0};
    double usual = NAN;
    clm_status status = CLM_OK;
    CLM_TRY(place_losses(&p, m, axis));
    CLM_TRY(usual_height(&usual, p.steps, m->step_count));
    const clm_chart_series series[] = {
        {"series steps", "Each training batch", p.steps, m->step_count, blue, CLM_MARKER_NONE,
         true},
        {"series train", "Training", p.train, m->eval_count, blue, CLM_MARKER_CIRCLE, false},
        {"series validation", "Validation", p.val, m->eval_count, vermilion, CLM_MARKER_SQUARE,
         false},
    };
    clm_chart chart = {.title = "Training and validation loss",
                       .subtitle = subtitle,
                       .x_label = axis->label,
                       .y_label = "Cross-entropy loss (nats)",
                       .y_unit = "",
                       .top_label = "Examples seen",
                       .top_scale = axis->examples_a_unit,
                       .x_high = p.x_high > 0 ? p.x_high : 1.0,
                       .series = series,
                       .series_count = sizeof series / sizeof *series};
    choose_loss_range(&chart, p.low, fmax(p.high, usual));
    add_loss_note(&note, &p, &chart, m->step_count);
    CLM_TRY(clm_string_status(&note));
    chart.note = note.text;
    CLM_TRY(write_chart(&chart, folder, names));
cleanup:
    clm_string_free(&note);
    clm_free(p.steps);
    clm_free(p.train);
    clm_free(p.val);
    return status;
}

static clm_status plot_accuracies(const clm_metrics *m, const x_axis *axis, const char *subtitle,
                                  const char *folder, const char *const *names) {
    clm_point *train = NULL;
    clm_point *val = NULL;
    const clm_chart_final finals[] = {
        {"final train", "Training", 100.0 * m->final_train, blue, CLM_MARKER_CIRCLE},
        {"final validation", "Validation", 100.0 * m->final_val, vermilion, CLM_MARKER_SQUARE},
        {"final test", "Test", 100.0 * m->final_test, green, CLM_MARKER_DIAMOND},
    };
    const size_t final_count = sizeof finals / sizeof *finals;
    double low = 100.0;
    double x_high = 1.0;
    clm_status status = CLM_OK;
    CLM_TRY(clm_allocate(&train, m->epoch_count, sizeof *train, "a plot"));
    CLM_TRY(clm_allocate(&val, m->epoch_count, sizeof *val, "a plot"));
    for (size_t i = 0; i < m->epoch_count; i++) {
        const clm_metrics_epoch *e = &m->epochs[i];
        train[i] = (clm_point){e->epoch, 100.0 * e->train_acc};
        val[i] = (clm_point){e->epoch, 100.0 * e->val_acc};
        low = fmin(low, fmin(train[i].y, val[i].y));
        x_high = fmax(x_high, e->epoch);
    }
    for (size_t i = 0; m->has_final && i < final_count; i++) {
        low = fmin(low, finals[i].value);
    }
    const clm_chart_series series[] = {
        {"series train", "Training", train, m->epoch_count, blue, CLM_MARKER_CIRCLE, false},
        {"series validation", "Validation", val, m->epoch_count, vermilion, CLM_MARKER_SQUARE,
         false},
    };
    const bool in_epochs = axis->steps_a_unit != 1.0 || m->batches == 1;
    const clm_chart chart = {
        .title = "Accuracy after each epoch",
        .subtitle = subtitle,
        .note = m->epoch_count > 0 ? NULL : "No epoch has ended.",
        .x_label = "Epochs",
        .y_label = "Accuracy",
        .y_unit = "%",
        .top_label = "Examples seen",
        .top_scale = in_epochs ? axis->examples_a_unit : 0.0,
        .x_is_whole = true,
        .x_high = 1.05 * x_high,
        /* Half and better is where two classes live; lower where something went wrong. */
        .y_low = fmax(0.0, 10.0 * floor((fmin(low, 55.0) - 5.0) / 10.0)),
        .y_high = 100.0,
        .series = series,
        .series_count = sizeof series / sizeof *series,
        .finals = finals,
        .final_count = m->has_final ? final_count : 0};
    CLM_TRY(write_chart(&chart, folder, names));
cleanup:
    clm_free(train);
    clm_free(val);
    return status;
}

clm_status clm_report_plot_run(const char *run_folder) {
    clm_metrics metrics = {0};
    clm_string subtitle = {0};
    char *path = NULL;
    size_t name_count = 0;
    const char *const *names = clm_report_plot_names(&name_count);
    clm_status status = CLM_OK;
    CLM_TRY(clm_path_join(&path, run_folder, "metrics.jsonl"));
    CLM_TRY(clm_metrics_read(&metrics, path));
    if (metrics.step_count + metrics.eval_count + metrics.epoch_count == 0 && !metrics.has_final) {
        status =
            clm_fail(CLM_ERROR_FORMAT,
                     "%s: holds no loss and no accuracy yet, so there is nothing to plot", path);
        goto cleanup;
    }
    add_subtitle(&subtitle, &metrics);
    CLM_TRY(clm_string_status(&subtitle));
    const x_axis axis = choose_x_axis(&metrics);
    CLM_TRY(plot_losses(&metrics, &axis, subtitle.text, run_folder, names));
    CLM_TRY(plot_accuracies(&metrics, &axis, subtitle.text, run_folder, names + format_count));
cleanup:
    clm_metrics_free(&metrics);
    clm_string_free(&subtitle);
    clm_free(path);
    return status;
}

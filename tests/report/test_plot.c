/* SPDX-License-Identifier: Apache-2.0 */
#include "support/test_support.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#if CLM_WITH_CAIRO
#include <cairo.h>
#endif

#include "base/file.h"
#include "base/folder.h"
#include "base/memory.h"
#include "base/number.h"
#include "base/string.h"
#include "clm/report.h"

/* A run folder of that name with these metrics. */
static const char *run_with(const char *name, const char *metrics) {
    const char *folder = clm_test_path(name);
    assert_ok(clm_folder_make(folder));
    char path[1100];
    (void)snprintf(path, sizeof path, "%s/metrics.jsonl", folder);
    clm_test_write(path, metrics, strlen(metrics));
    return folder;
}

static char *read_plot(const char *folder, const char *name, size_t *size_bytes) {
    char path[1100];
    (void)snprintf(path, sizeof path, "%s/%s", folder, name);
    char *bytes = NULL;
    assert_ok(clm_file_read(path, CLM_FILE_TEXT, &bytes, size_bytes));
    return bytes;
}

static char *read_svg(const char *folder, const char *name) {
    size_t size_bytes = 0;
    return read_plot(folder, name, &size_bytes);
}

static size_t count_of(const char *text, const char *part) {
    size_t count = 0;
    for (text = strstr(text, part); text != NULL; text = strstr(text + 1, part)) {
        count++;
    }
    return count;
}

/* The attribute's value in the element that begins at `element`. */
static double attribute(const char *element, const char *name) {
    char wanted[32];
    (void)snprintf(wanted, sizeof wanted, " %s=\"", name);
    const char *at = strstr(element, wanted);
    assert_non_null(at);
    at += strlen(wanted);
    double value = 0.0;
    assert_true(clm_number_parse(at, strcspn(at, "\""), &value));
    return value;
}

/* The <text> element that says `text`, of that class. */
static const char *find_text(const char *svg, const char *name, const char *text) {
    char start[64];
    char end[128];
    (void)snprintf(start, sizeof start, "<text class=\"%s\"", name);
    (void)snprintf(end, sizeof end, ">%s</text>", text);
    for (const char *at = strstr(svg, start); at != NULL; at = strstr(at + 1, start)) {
        const char *closing = strstr(at, "</text>");
        const char *found = strstr(at, end);
        if (found != NULL && found < closing) {
            return at;
        }
    }
    fail_msg("no text \"%s\" of class %s", text, name);
    return NULL;
}

/* Three epochs of two steps of four texts. The evaluations stand at 0.5, 1.5 and 2.5 epochs. */
static const char small_run[] =
    "{\"event\":\"start\",\"n_train\":9,\"batch\":4,\"batches\":2,\"epochs\":3}\n"
    "{\"event\":\"step\",\"step\":0,\"loss\":3.0,\"seconds\":1}\n"
    "{\"event\":\"eval\",\"step\":0,\"train_loss\":3.0,\"val_loss\":2.5}\n"
    "{\"event\":\"step\",\"step\":1,\"loss\":2.0,\"seconds\":2}\n"
    "{\"event\":\"epoch\",\"epoch\":1,\"train_acc\":0.5,\"val_acc\":0.625}\n"
    "{\"event\":\"step\",\"step\":2,\"loss\":2.5,\"seconds\":3}\n"
    "{\"event\":\"eval\",\"step\":2,\"train_loss\":2.0,\"val_loss\":1.5}\n"
    "{\"event\":\"step\",\"step\":3,\"loss\":1.5,\"seconds\":4}\n"
    "{\"event\":\"epoch\",\"epoch\":2,\"train_acc\":0.75,\"val_acc\":0.875}\n"
    "{\"event\":\"step\",\"step\":4,\"loss\":1.0,\"seconds\":5}\n"
    "{\"event\":\"eval\",\"step\":4,\"train_loss\":1.0,\"val_loss\":0.5}\n"
    "{\"event\":\"step\",\"step\":5,\"loss\":0.5,\"seconds\":6}\n"
    "{\"event\":\"epoch\",\"epoch\":3,\"train_acc\":1.0,\"val_acc\":0.875}\n"
    "{\"event\":\"final\",\"train\":0.99,\"val\":0.98,\"test\":0.9567,\"seconds\":7}\n";

/* Where numbers stand in the picture: two decimals are written, so half of the last one. */
static const double svg_step = 0.0051;

static void loss_points_stand_where_the_axes_say(void **state) {
    (void)state;
    const char *run = run_with("small", small_run);
    assert_ok(clm_report_plot_run(run));
    char *svg = read_svg(run, "loss.svg");
    assert_int_equal(count_of(svg, "<circle class=\"series train\""), 3);
    /* The line and its three squares. */
    assert_int_equal(count_of(svg, "class=\"series validation\""), 4);
    assert_int_equal(count_of(svg, "class=\"series steps\""), 1);
    (void)find_text(svg, "x-label", "Epochs");
    (void)find_text(svg, "y-label", "Cross-entropy loss (nats)");
    (void)find_text(svg, "top-label", "Examples seen");
    (void)find_text(svg, "legend-label", "Validation");
    const char *circle = strstr(svg, "<circle class=\"series train\"");
    double x_1 = attribute(find_text(svg, "x-tick", "1"), "x");
    double x_2 = attribute(find_text(svg, "x-tick", "2"), "x");
    /* Eight examples an epoch. */
    double above = attribute(find_text(svg, "top-tick", "20"), "x");
    assert_close(above, x_1 + 1.5 * (x_2 - x_1), 4 * svg_step, 0.0);
    static const char *const heights[] = {"3.0", "2.0", "1.0"};
    double baseline = NAN;
    for (int i = 0; i < 3; i++) {
        double x = x_1 + (i - 0.5) * (x_2 - x_1);
        assert_close(attribute(circle, "cx"), x, 4 * svg_step, 0.0);
        /* The baseline of a tick's text is the same way below each tick. */
        double below =
            attribute(find_text(svg, "y-tick", heights[i]), "y") - attribute(circle, "cy");
        if (i == 0) {
            assert_true(below > 0.0 && below < 8.0);
            baseline = below;
        }
        assert_close(below, baseline, 2 * svg_step, 0.0);
        circle = strstr(circle + 1, "<circle class=\"series train\"");
    }
    clm_free(svg);
}

static void accuracies_and_final_results_are_marked(void **state) {
    (void)state;
    const char *run = run_with("small", small_run);
    assert_ok(clm_report_plot_run(run));
    char *svg = read_svg(run, "accuracy.svg");
    assert_int_equal(count_of(svg, "<circle class=\"series train\""), 3);
    assert_int_equal(count_of(svg, "class=\"final "), 3);
    (void)find_text(svg, "final-value", "99.0%");
    (void)find_text(svg, "final-value", "98.0%");
    (void)find_text(svg, "final-value", "95.7%");
    (void)find_text(svg, "final-label", "Test");
    double top = attribute(find_text(svg, "y-tick", "100%"), "y");
    double middle = attribute(find_text(svg, "y-tick", "50%"), "y");
    const char *first = strstr(svg, "<circle class=\"series train\"");
    const char *last = strstr(strstr(first + 1, "<circle class") + 1, "<circle class");
    assert_close(attribute(first, "cy") - attribute(last, "cy"), middle - top, 4 * svg_step, 0.0);
    assert_close(attribute(last, "cx"), attribute(find_text(svg, "x-tick", "3"), "x"), 2 * svg_step,
                 0.0);
    clm_free(svg);
}

static void losses_that_are_not_finite_leave_a_gap(void **state) {
    (void)state;
    const char *run =
        run_with("gap",
                 "{\"event\":\"step\",\"step\":0,\"loss\":3}\n"
                 "{\"event\":\"step\",\"step\":1,\"loss\":2}\n"
                 "{\"event\":\"step\",\"step\":2,\"loss\":null}\n"
                 "{\"event\":\"step\",\"step\":3,\"loss\":2}\n"
                 "{\"event\":\"step\",\"step\":4,\"loss\":1}\n"
                 "{\"event\":\"eval\",\"step\":4,\"train_loss\":null,\"val_loss\":null}\n");
    assert_ok(clm_report_plot_run(run));
    char *svg = read_svg(run, "loss.svg");
    assert_int_equal(count_of(svg, "class=\"series steps\""), 2);
    assert_int_equal(count_of(svg, "class=\"series train\""), 0);
    assert_non_null(strstr(svg, "3 losses were not finite, first at step 2."));
    assert_null(strstr(svg, "nan"));
    (void)find_text(svg, "x-label", "Steps");
    clm_free(svg);
    svg = read_svg(run, "accuracy.svg");
    (void)find_text(svg, "note", "No epoch has ended.");
    clm_free(svg);
}

static void nothing_finite_is_still_a_plot(void **state) {
    (void)state;
    const char *run = run_with("nothing", "{\"event\":\"step\",\"step\":0,\"loss\":null}\n");
    assert_ok(clm_report_plot_run(run));
    char *svg = read_svg(run, "loss.svg");
    assert_non_null(strstr(svg, "1 loss was not finite, first at step 0."));
    assert_null(strstr(svg, "nan"));
    clm_free(svg);
    run = run_with("flat",
                   "{\"event\":\"step\",\"step\":0,\"loss\":0}\n"
                   "{\"event\":\"step\",\"step\":1,\"loss\":0}\n");
    assert_ok(clm_report_plot_run(run));
    run = run_with("final", "{\"event\":\"final\",\"train\":0,\"val\":null,\"test\":1}\n");
    assert_ok(clm_report_plot_run(run));
    svg = read_svg(run, "accuracy.svg");
    assert_int_equal(count_of(svg, "class=\"final-value\""), 2);
    clm_free(svg);
}

static void ten_thousand_points_stay_small(void **state) {
    (void)state;
    clm_string metrics = {0};
    for (int i = 0; i < 10000; i++) {
        clm_string_add_format(&metrics,
                              "{\"event\":\"step\",\"step\":%d,\"loss\":%.4f}\n"
                              "{\"event\":\"eval\",\"step\":%d,\"train_loss\":1,\"val_loss\":2}\n",
                              i, i == 5000 ? 40.0 : 1.0 + (i % 7) / 7.0, i);
    }
    assert_ok(clm_string_status(&metrics));
    const char *run = run_with("long", metrics.text);
    clm_string_free(&metrics);
    assert_ok(clm_report_plot_run(run));
    size_t size_bytes = 0;
    char *svg = read_plot(run, "loss.svg", &size_bytes);
    assert_true(size_bytes < 400000);
    assert_int_equal(count_of(svg, "<circle class=\"series train\""), 0);
    /* One wild batch does not press the rest flat. */
    assert_non_null(strstr(svg, "1 batch loss lies above the frame."));
    clm_free(svg);
}

static void the_same_metrics_give_the_same_bytes(void **state) {
    (void)state;
    const char *run = run_with("same", small_run);
    size_t count = 0;
    const char *const *names = clm_report_plot_names(&count);
    assert_int_equal(count, CLM_WITH_CAIRO ? 6 : 2);
    assert_ok(clm_report_plot_run(run));
    char *first[6] = {0};
    size_t sizes[6] = {0};
    for (size_t i = 0; i < count; i++) {
        first[i] = read_plot(run, names[i], &sizes[i]);
        assert_true(sizes[i] > 1000);
    }
    assert_ok(clm_report_plot_run(run));
    for (size_t i = 0; i < count; i++) {
        size_t size_bytes = 0;
        char *again = read_plot(run, names[i], &size_bytes);
        assert_int_equal(size_bytes, sizes[i]);
        assert_memory_equal(again, first[i], size_bytes);
        clm_free(again);
        clm_free(first[i]);
    }
}

#if CLM_WITH_CAIRO
static void pdf_is_a_document_without_a_date(void **state) {
    (void)state;
    const char *run = run_with("small", small_run);
    assert_ok(clm_report_plot_run(run));
    size_t size_bytes = 0;
    char *pdf = read_plot(run, "loss.pdf", &size_bytes);
    assert_memory_equal(pdf, "%PDF-1.", 7);
    assert_memory_equal(pdf + size_bytes - 6, "%%EOF\n", 6);
    for (size_t i = 0; i + 12 < size_bytes; i++) {
        assert_memory_not_equal(pdf + i, "CreationDate", 12);
    }
    clm_free(pdf);
}

/* Pixels of exactly that colour. */
static size_t count_pixels(cairo_surface_t *image, uint32_t rgb) {
    size_t count = 0;
    const unsigned char *data = cairo_image_surface_get_data(image);
    int stride = cairo_image_surface_get_stride(image);
    for (int y = 0; y < cairo_image_surface_get_height(image); y++) {
        for (int x = 0; x < cairo_image_surface_get_width(image); x++) {
            uint32_t pixel = 0;
            memcpy(&pixel, data + (size_t)y * (size_t)stride + 4 * (size_t)x, sizeof pixel);
            count += (pixel & 0xFFFFFF) == rgb;
        }
    }
    return count;
}

static void png_shows_the_lines(void **state) {
    (void)state;
    const char *run = run_with("small", small_run);
    assert_ok(clm_report_plot_run(run));
    char path[1100];
    (void)snprintf(path, sizeof path, "%s/loss.png", run);
    cairo_surface_t *image = cairo_image_surface_create_from_png(path);
    assert_int_equal(cairo_surface_status(image), CAIRO_STATUS_SUCCESS);
    assert_int_equal(cairo_image_surface_get_width(image), 1520);
    assert_int_equal(cairo_image_surface_get_height(image), 960);
    /* Lines four pixels wide across most of the frame, and markers; nearly all else is paper. */
    assert_true(count_pixels(image, 0x0072B2) > 1000);
    assert_true(count_pixels(image, 0xD55E00) > 1000);
    assert_true(count_pixels(image, 0xFFFFFF) > 1520 * 960 * 8 / 10);
    assert_int_equal(count_pixels(image, 0x123456), 0);
    cairo_surface_destroy(image);
}
#endif

static void bad_runs_are_refused_and_spoil_nothing(void **state) {
    (void)state;
    assert_status(CLM_ERROR_NOT_FOUND, clm_report_plot_run(clm_test_path("no-such-run")));
    assert_message_has("no-such-run/metrics.jsonl");
    const char *run = run_with("bad", small_run);
    assert_ok(clm_report_plot_run(run));
    char *before = read_svg(run, "loss.svg");
    (void)run_with("bad", "");
    assert_status(CLM_ERROR_FORMAT, clm_report_plot_run(run));
    assert_message_has("nothing to plot");
    (void)run_with("bad", "{\"event\":\"step\"\n{\"event\":\"x\"}\n");
    assert_status(CLM_ERROR_FORMAT, clm_report_plot_run(run));
    assert_message_has("line 1");
    char *after = read_svg(run, "loss.svg");
    assert_string_equal(before, after);
    clm_free(before);
    clm_free(after);
}

static void a_plot_that_cannot_be_written_is_an_error(void **state) {
    (void)state;
    const char *run = run_with("blocked", small_run);
    char path[1100];
    (void)snprintf(path, sizeof path, "%s/loss.svg/in-the-way", run);
    assert_ok(clm_folder_make(path));
    assert_status(CLM_ERROR_EXISTS, clm_report_plot_run(run));
    assert_message_has("loss.svg");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(loss_points_stand_where_the_axes_say),
        cmocka_unit_test(accuracies_and_final_results_are_marked),
        cmocka_unit_test(losses_that_are_not_finite_leave_a_gap),
        cmocka_unit_test(nothing_finite_is_still_a_plot),
        cmocka_unit_test(ten_thousand_points_stay_small),
        cmocka_unit_test(the_same_metrics_give_the_same_bytes),
#if CLM_WITH_CAIRO
        cmocka_unit_test(pdf_is_a_document_without_a_date),
        cmocka_unit_test(png_shows_the_lines),
#endif
        cmocka_unit_test(bad_runs_are_refused_and_spoil_nothing),
        cmocka_unit_test(a_plot_that_cannot_be_written_is_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

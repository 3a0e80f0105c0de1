/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/progress.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/string.h"
#include "cli/stop.h"

enum { LINE_CAPACITY = 256 };

/* The shortest time between lines at a terminal; elsewhere, the time before the first line and
 * between later ones. */
static const double redraw_seconds = 0.1;
static const double silent_seconds = 10.0;
static const double repeat_seconds = 30.0;

/* What clm_cli_progress_begin() was given last. */
static clm_cli_progress *current;

/* 80 if unknown. */
static size_t terminal_columns(void) {
    struct winsize size = {0};
    return ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : 80;
}

static void add_left(clm_string *out, double seconds_left) {
    const long left = seconds_left < 1e9 ? (long)(seconds_left + 0.5) : 1000000000;
    if (left >= 3600) {
        clm_string_add_format(out, ", %ld:%02ld:%02ld left", left / 3600, left / 60 % 60,
                              left % 60);
    } else {
        clm_string_add_format(out, ", %ld:%02ld left", left / 60, left % 60);
    }
}

/* "64 of 1388 texts"; bytes in MB. */
static void add_count(clm_string *out, const clm_progress *progress) {
    const bool bytes = strcmp(progress->unit, "bytes") == 0;
    if (progress->unit[0] == '\0') {
        return;
    }
    clm_string_add(out, ": ");
    if (bytes) {
        clm_string_add_format(out, "%.1f", (double)progress->done / 1e6);
    } else {
        clm_string_add_format(out, "%" PRId64, progress->done);
    }
    if (progress->total > 0 && bytes) {
        clm_string_add_format(out, " of %.1f", (double)progress->total / 1e6);
    } else if (progress->total > 0) {
        clm_string_add_format(out, " of %" PRId64, progress->total);
    }
    clm_string_add_format(out, " %s", bytes ? "MB" : progress->unit);
}

void clm_cli_progress_format(char *line, size_t capacity, const clm_progress *progress,
                             const char *remark) {
    clm_string text = {0};
    clm_string_add(&text, progress->stage);
    add_count(&text, progress);
    clm_string_add(&text, remark);
    if (progress->seconds_left >= 0.0) {
        add_left(&text, progress->seconds_left);
    }
    if (progress->detail != NULL) {
        clm_string_add_format(&text, "%s%s", text.length > 0 ? "; " : "", progress->detail);
    }
    line[0] = '\0';
    if (clm_string_status(&text) == CLM_OK) { /* else there is nothing to show it with */
        (void)snprintf(line, capacity, "%s", text.text);
    }
    clm_string_free(&text);
}

/* Whether it differs from the last one. */
static bool take_detail(clm_cli_progress *shown, const char *detail) {
    char text[sizeof shown->detail];
    (void)snprintf(text, sizeof text, "%s", detail != NULL ? detail : "");
    const bool is_new = text[0] != '\0' && strcmp(text, shown->detail) != 0;
    memcpy(shown->detail, text, sizeof text);
    return is_new;
}

static void show(void *context, const clm_progress *progress) {
    clm_cli_progress *shown = context;
    char line[LINE_CAPACITY];
    const double now = clm_seconds();
    const bool is_new = shown->stage == NULL || strcmp(shown->stage, progress->stage) != 0;
    const double wait = shown->terminal ? redraw_seconds
                        : shown->drawn  ? repeat_seconds
                                        : silent_seconds;
    /* A new stage may take long until its next report, and so may one whose line was cleared. */
    const bool is_new_detail = take_detail(shown, progress->detail);
    const bool at_once = shown->terminal && (is_new_detail || is_new || !shown->drawn);
    shown->stage = progress->stage;
    if (!at_once && now - shown->shown < wait) {
        return;
    }
    const bool is_training = strcmp(progress->stage, "training") == 0;
    size_t capacity = shown->terminal ? terminal_columns() : sizeof line;
    capacity = capacity < sizeof line ? capacity : sizeof line;
    clm_cli_progress_format(line, capacity, progress, is_training ? shown->remark : "");
    (void)fprintf(stderr, shown->terminal ? "\r\033[K%s" : "%s\n", line);
    shown->shown = now;
    shown->drawn = true;
}

static void begin(clm_cli_progress *shown, bool always) {
    *shown = (clm_cli_progress){.terminal = isatty(STDERR_FILENO) != 0, .shown = clm_seconds()};
    current = shown;
    clm_watch(&(clm_watcher){.on_progress = always || shown->terminal ? show : NULL,
                             .should_stop = clm_cli_stop_was_requested,
                             .context = shown});
}

void clm_cli_progress_begin(clm_cli_progress *shown) {
    begin(shown, true);
}

void clm_cli_progress_begin_at_terminal(clm_cli_progress *shown) {
    begin(shown, false);
}

void clm_cli_progress_pause(void) {
    if (current != NULL && current->terminal && current->drawn) {
        (void)fputs("\r\033[K", stderr);
        current->drawn = false;
    }
}

void clm_cli_progress_end(void) {
    clm_cli_progress_pause();
    clm_watch(NULL);
    current = NULL;
}

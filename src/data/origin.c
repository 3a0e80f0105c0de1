/* SPDX-License-Identifier: Apache-2.0 */
#include "data/origin.h"

#include <stdarg.h>
#include <string.h>

#include "base/log.h"
#include "base/memory.h"
#include "base/number.h"

enum { longest_note = 512 };

void clm_origin_free(clm_origin *origin) {
    for (size_t i = 0; i < origin->note_count; i++) {
        clm_free(origin->notes[i]);
    }
    clm_free(origin->notes);
    clm_free(origin->note_is_warning);
    clm_free(origin->source);
    clm_free(origin->label_column);
    clm_free(origin->text_column);
    clm_free(origin->class_rows);
    *origin = (clm_origin){0};
}

static clm_status add_note(clm_origin *origin, const char *text, bool is_warning) {
    clm_status status = CLM_OK;
    CLM_TRY(clm_reserve(&origin->notes, &origin->note_capacity, origin->note_count + 1,
                        sizeof *origin->notes, "notes on a table"));
    CLM_TRY(clm_reserve(&origin->note_is_warning, &origin->flag_capacity, origin->note_count + 1,
                        sizeof *origin->note_is_warning, "notes on a table"));
    CLM_TRY(clm_duplicate(&origin->notes[origin->note_count], text));
    origin->note_is_warning[origin->note_count++] = is_warning;
cleanup:
    return status;
}

static clm_status duplicate_optional(char **copy, const char *text) {
    return text != NULL ? clm_duplicate(copy, text) : CLM_OK;
}

clm_status clm_origin_copy(clm_origin *copy, const clm_origin *origin) {
    *copy = (clm_origin){.format = origin->format,
                         .separator = origin->separator,
                         .has_header = origin->has_header,
                         .is_balanced = origin->is_balanced};
    clm_status status = CLM_OK;
    CLM_TRY(duplicate_optional(&copy->source, origin->source));
    CLM_TRY(duplicate_optional(&copy->label_column, origin->label_column));
    CLM_TRY(duplicate_optional(&copy->text_column, origin->text_column));
    if (origin->class_rows != NULL) {
        const size_t count = (size_t)origin->class_count;
        CLM_TRY(clm_allocate(&copy->class_rows, count, sizeof *copy->class_rows, "classes"));
        memcpy(copy->class_rows, origin->class_rows, count * sizeof *copy->class_rows);
        copy->class_count = origin->class_count;
    }
    for (size_t i = 0; i < origin->note_count; i++) {
        CLM_TRY(add_note(copy, origin->notes[i], origin->note_is_warning[i]));
    }
cleanup:
    if (status != CLM_OK) {
        clm_origin_free(copy);
    }
    return status;
}

const char *clm_separator_name(char separator, char name[2]) {
    name[0] = separator;
    name[1] = '\0';
    return separator == '\t' ? "tab" : name;
}

clm_status clm_origin_set_columns(clm_origin *origin, const char *label, const char *text) {
    clm_status status = clm_duplicate(&origin->label_column, label);
    return status == CLM_OK ? clm_duplicate(&origin->text_column, text) : status;
}

clm_status clm_origin_guess(clm_origin *origin, const char *format, ...) {
    char text[longest_note];
    va_list arguments;
    va_start(arguments, format);
    (void)clm_format_list(text, sizeof text, format, arguments);
    va_end(arguments);
    return add_note(origin, text, false);
}

clm_status clm_origin_warn(clm_origin *origin, const char *format, ...) {
    char text[longest_note];
    va_list arguments;
    va_start(arguments, format);
    (void)clm_format_list(text, sizeof text, format, arguments);
    va_end(arguments);
    clm_log(CLM_LOG_WARNING, "%s%s%s", origin->source != NULL ? origin->source : "",
            origin->source != NULL ? ": " : "", text);
    return add_note(origin, text, true);
}

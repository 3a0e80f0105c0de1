/* Tables from CSV, TSV and their like: the separator, the header, the columns, the rows.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/lines.h"
#include "base/memory.h"
#include "data/columns.h"
#include "data/csv.h"
#include "data/table.h"

/* What is known, or guessed, of a file. */
typedef struct layout {
    const char *text; /* without a byte order mark and a line "sep=;" */
    size_t size_bytes;
    size_t first_line;
    char separator;
    bool separator_guessed;
    bool header;
    bool header_guessed;
    size_t text_column;
    size_t label_column;
    size_t name_column; /* SIZE_MAX for none */
} layout;

static const char candidates[] = "\t,;|";

/* --- The separator --- */

/* Takes a first line "sep=;", as Excel writes and reads it. */
static void take_separator_line(layout *l) {
    const char *end = l->text + l->size_bytes;
    const char *at = l->text;
    const char *line = NULL;
    size_t length = 0;
    if (!clm_text_next_line(&at, end, &line, &length)) {
        return;
    }
    if (length == 7 && line[0] == '"' && line[6] == '"') {
        line++;
        length -= 2;
    }
    if (length == 5 && clm_starts_ignoring_case(line, "sep=")) {
        l->separator = l->separator != 0 ? l->separator : line[4];
        l->size_bytes = (size_t)(end - at);
        l->text = at;
        l->first_line++;
    }
}

static size_t find_column(const clm_csv *csv, size_t row, const char *asked,
                          const char *const *usual) {
    size_t count = 0;
    const clm_csv_field *fields = clm_csv_row(csv, row, &count);
    size_t found = count;
    size_t best = SIZE_MAX;
    for (size_t i = 0; i < count; i++) {
        const size_t rank = clm_column_rank(clm_csv_text(csv, &fields[i]), asked, usual);
        if (rank < best) {
            best = rank;
            found = i;
        }
    }
    return found;
}

/* Whether a row has only white space between its separators. */
static bool is_blank_row(const clm_csv *csv, size_t row) {
    size_t count = 0;
    const clm_csv_field *fields = clm_csv_row(csv, row, &count);
    for (size_t i = 0; i < count; i++) {
        const char *field = clm_csv_text(csv, &fields[i]);
        if (field[strspn(field, " \t\r\n")] != '\0') {
            return false;
        }
    }
    return true;
}

/* What the first rows are like with this separator. */
typedef struct trial {
    size_t columns; /* of the first row that is not blank */
    bool named;     /* both columns are found by name */
    bool even;      /* all rows have as many columns, and more than one */
} trial;

static clm_status try_separator(trial *t, const layout *l, char separator,
                                const clm_table_options *options, const char *where) {
    enum { rows_tried = 20 };
    clm_csv csv = {0};
    *t = (trial){0};
    clm_status status = clm_csv_parse_part(&csv, l->text, l->size_bytes, separator, l->first_line,
                                           rows_tried, where);
    size_t first = 0;
    while (status == CLM_OK && first < csv.row_count && is_blank_row(&csv, first)) {
        first++;
    }
    if (status == CLM_OK && first < csv.row_count) {
        (void)clm_csv_row(&csv, first, &t->columns);
        t->named =
            find_column(&csv, first, options->text_column, clm_table_text_columns) < t->columns &&
            find_column(&csv, first, options->label_column, clm_table_label_columns) < t->columns;
        t->even = t->columns > 1;
        for (size_t row = first + 1; row < csv.row_count; row++) {
            size_t columns = 0;
            (void)clm_csv_row(&csv, row, &columns);
            t->even = t->even && columns == t->columns;
        }
    }
    clm_csv_free(&csv);
    /* An open quote only says that this separator is none; the file is read again and told so. */
    return status == CLM_ERROR_FORMAT ? CLM_OK : status;
}

/* The separator with which the header has the columns' names; else the one with which all rows have
 * the same width; else a tab if there is one, or a comma. */
static clm_status guess_separator(layout *l, const clm_table_options *options, const char *where) {
    char named = 0;
    char even = 0;
    bool tab = false;
    for (const char *c = candidates; *c != '\0'; c++) {
        trial t;
        clm_status status = try_separator(&t, l, *c, options, where);
        if (status != CLM_OK) {
            return status;
        }
        named = named == 0 && t.named ? *c : named;
        even = even == 0 && t.even ? *c : even;
        tab = tab || (*c == '\t' && t.columns > 1);
    }
    const bool use_names = named != 0 && options->header != CLM_TABLE_HEADER_ABSENT;
    l->separator_guessed = true;
    l->separator = use_names ? named : tab ? '\t' : even != 0 ? even : ',';
    return CLM_OK;
}

/* --- The columns --- */

static void add_fields(clm_string *out, const clm_csv *csv, const clm_csv_field *fields,
                       size_t count) {
    for (size_t i = 0; i < count && i < 20; i++) {
        clm_string_add_format(out, "%s\"%.40s\"", i > 0 ? ", " : "", clm_csv_text(csv, &fields[i]));
    }
}

/* The first row is one field. */
static clm_status fail_one_column(const layout *l, const clm_csv *csv,
                                  const clm_table_options *options, const char *where) {
    size_t count = 0;
    const clm_csv_field *field = clm_csv_row(csv, 0, &count);
    char name[2];
    char other[2];
    clm_string hint = {0};
    for (const char *c = candidates; *c != '\0'; c++) {
        trial t;
        if (*c != l->separator && try_separator(&t, l, *c, options, where) == CLM_OK &&
            t.columns > 1) {
            clm_string_add_format(&hint, "; --separator '%s' makes %zu columns of it",
                                  clm_separator_name(*c, other), t.columns);
            break;
        }
    }
    clm_status status = clm_string_status(&hint);
    if (status == CLM_OK) {
        status = clm_fail(
            CLM_ERROR_FORMAT,
            "%s:%zu:%zu: the first row is a single column (the separator is a %s): "
            "it has \"%.60s\"%s",
            where, field->line, field->column,
            l->separator == ',' ? "comma" : clm_separator_name(l->separator, name),
            clm_csv_text(csv, field),
            hint.text != NULL ? hint.text : "; name what stands between columns by --separator");
    }
    clm_string_free(&hint);
    return status;
}

/* `both`: the other column is not there either. */
static clm_status fail_no_column(const clm_csv *csv, const char *kind, const char *asked,
                                 const char *const *usual, bool both, const char *where) {
    size_t count = 0;
    const clm_csv_field *header = clm_csv_row(csv, 0, &count);
    clm_string there = {0};
    clm_string wanted = {0};
    add_fields(&there, csv, header, count);
    clm_column_add_wanted(&wanted, asked, usual);
    clm_status status = clm_string_status(&there) != CLM_OK ? there.status : wanted.status;
    if (status == CLM_OK) {
        status =
            clm_fail(CLM_ERROR_FORMAT,
                     "%s:%zu:%zu: no %s column (%s) in the first row, which has %s; name %s "
                     "by --%s-column%s%s",
                     where, header->line, header->column, kind, wanted.text, there.text,
                     both ? "both" : "it", kind, both ? " and --label-column" : "",
                     asked != NULL ? "" : ", or say --no-header if that row is one of the data");
    }
    clm_string_free(&there);
    clm_string_free(&wanted);
    return status;
}

/* A column of a table without a header: its number, from 1, or what it is by default. */
static clm_status number_column(size_t *column, const char *asked, size_t usual, size_t count,
                                const char *option, const char *where) {
    *column = usual;
    if (asked == NULL) {
        return CLM_OK;
    }
    const int number = clm_name_integer(asked);
    if (number < 1 || (size_t)number > count) {
        return clm_fail(CLM_ERROR_FORMAT,
                        "%s: %s \"%.40s\": a table without a header has columns 1 to %zu", where,
                        option, asked, count);
    }
    *column = (size_t)number - 1;
    return CLM_OK;
}

static clm_status choose_without_header(layout *l, const clm_csv *csv,
                                        const clm_table_options *options, const char *where) {
    size_t count = 0;
    const clm_csv_field *first = clm_csv_row(csv, 0, &count);
    if (count == 1) {
        return fail_one_column(l, csv, options, where);
    }
    if (count != 2 && (options->text_column == NULL || options->label_column == NULL)) {
        return clm_fail(CLM_ERROR_FORMAT,
                        "%s:%zu:%zu: %zu columns without a header; say which to take, such as "
                        "--label-column 1 --text-column 2",
                        where, first->line, first->column, count);
    }
    /* Of two columns, the one that was not asked for is the other. */
    const int label = options->label_column != NULL ? clm_name_integer(options->label_column) : 0;
    const int text = options->text_column != NULL ? clm_name_integer(options->text_column) : 0;
    clm_status status = CLM_OK;
    CLM_TRY(number_column(&l->label_column, options->label_column, text == 1 ? 1 : 0, count,
                          "--label-column", where));
    CLM_TRY(number_column(&l->text_column, options->text_column, label == 2 ? 0 : 1, count,
                          "--text-column", where));
cleanup:
    return status;
}

/* Whether the header is the one of the files of 'clm data classes': Label, Text, Name. */
static bool is_own_header(const clm_csv *csv) {
    size_t count = 0;
    const clm_csv_field *header = clm_csv_row(csv, 0, &count);
    return count == 3 && strcmp(clm_csv_text(csv, &header[0]), "Label") == 0 &&
           strcmp(clm_csv_text(csv, &header[1]), "Text") == 0 &&
           strcmp(clm_csv_text(csv, &header[2]), "Name") == 0;
}

static clm_status choose_columns(layout *l, const clm_csv *csv, const clm_table_options *options,
                                 const char *where) {
    size_t count = 0;
    const clm_csv_field *header = clm_csv_row(csv, 0, &count);
    const size_t text = find_column(csv, 0, options->text_column, clm_table_text_columns);
    const size_t label = find_column(csv, 0, options->label_column, clm_table_label_columns);
    const bool asked = options->text_column != NULL || options->label_column != NULL;
    const bool guess = options->header == CLM_TABLE_HEADER_AUTO && l->separator == '\t' &&
                       count == 2 && !asked && text == count && label == count;
    l->name_column = SIZE_MAX;
    l->header_guessed = options->header == CLM_TABLE_HEADER_AUTO;
    l->header = options->header != CLM_TABLE_HEADER_ABSENT && !guess;
    clm_status status = CLM_OK;
    if (!l->header) {
        CLM_TRY(choose_without_header(l, csv, options, where));
    } else {
        if (count == 1) {
            return fail_one_column(l, csv, options, where);
        }
        if (text == count) {
            return fail_no_column(csv, "text", options->text_column, clm_table_text_columns,
                                  label == count && options->label_column == NULL, where);
        }
        if (label == count) {
            return fail_no_column(csv, "label", options->label_column, clm_table_label_columns,
                                  false, where);
        }
        l->text_column = text;
        l->label_column = label;
        l->name_column = options->label_column == NULL && is_own_header(csv) ? 2 : SIZE_MAX;
    }
    if (l->text_column == l->label_column) {
        return clm_fail(CLM_ERROR_FORMAT, "%s:%zu:%zu: one column cannot be both text and label",
                        where, header[l->text_column].line, header[l->text_column].column);
    }
cleanup:
    return status;
}

/* --- The rows --- */

static clm_status take_row(clm_table_entry *entry, const clm_csv *csv, size_t row, size_t width,
                           const layout *l, const char *where) {
    size_t count = 0;
    const clm_csv_field *fields = clm_csv_row(csv, row, &count);
    if (count != width) {
        const clm_csv_field *place = &fields[count > width ? width : count - 1];
        return clm_fail(CLM_ERROR_FORMAT,
                        "%s:%zu:%zu: row %zu has %zu columns, but the first has %zu; a text with a "
                        "separator in it needs quotes around it",
                        where, place->line, place->column, row + 1, count, width);
    }
    const clm_csv_field *text = &fields[l->text_column];
    const clm_csv_field *label = &fields[l->label_column];
    *entry = (clm_table_entry){.text = clm_csv_text(csv, text),
                               .length_bytes = text->length_bytes,
                               .label = clm_csv_text(csv, label),
                               .line = text->line,
                               .column = text->column,
                               .label_line = label->line,
                               .label_column = label->column};
    if (l->name_column != SIZE_MAX) {
        entry->name = clm_csv_text(csv, &fields[l->name_column]);
    }
    return CLM_OK;
}

/* --- Whether label, text without a header was a good guess --- */

static int compare_fields(const void *a, const void *b) {
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* How many different labels, or texts, the entries have; how often the first has its own. */
static clm_status count_different(size_t *different, size_t *like_first,
                                  const clm_table_entry *entries, size_t count, bool texts) {
    const char **fields = NULL;
    clm_status status = clm_allocate(&fields, count, sizeof *fields, "the fields of a table");
    *different = 0;
    *like_first = 0;
    if (status != CLM_OK) {
        return status;
    }
    for (size_t i = 0; i < count; i++) {
        fields[i] = texts ? entries[i].text : entries[i].label;
        *like_first += strcmp(fields[i], texts ? entries[0].text : entries[0].label) == 0;
    }
    qsort(fields, count, sizeof *fields, compare_fields);
    for (size_t i = 0; i < count; i++) {
        *different += i == 0 || strcmp(fields[i - 1], fields[i]) != 0;
    }
    clm_free(fields);
    return CLM_OK;
}

/* Whether the first label is one of those that were given, or none were. */
static clm_status first_label_is_known(bool *known, const clm_table_entry *entries,
                                       const clm_table_options *options) {
    clm_name_index index = {0};
    *known = true;
    if (options->labels == NULL) {
        return CLM_OK;
    }
    clm_status status = clm_name_index_make(&index, options->labels, options->label_count);
    if (status == CLM_OK) {
        const bool numbers = clm_names_have_number(options->labels, options->label_count);
        *known = clm_name_index_resolve(&index, numbers, entries[0].label) >= 0;
    }
    clm_name_index_free(&index);
    return status;
}

static clm_status check_guess(const clm_table_entry *entries, size_t count,
                              const clm_table_options *options, const char *where) {
    clm_status status = CLM_OK;
    size_t classes = 0;
    size_t texts = 0;
    size_t like_first = 0;
    size_t ignored = 0;
    bool known = true;
    char reason[160] = "";
    CLM_TRY(count_different(&classes, &like_first, entries, count, false));
    CLM_TRY(count_different(&texts, &ignored, entries, count, true));
    CLM_TRY(first_label_is_known(&known, entries, options));
    if (!known) {
        (void)snprintf(reason, sizeof reason, "begin with an unknown label");
    } else if (count > 2 && classes > count / 2) {
        (void)snprintf(reason, sizeof reason, "make %zu classes of %zu rows", classes, count);
    } else if (count > 2 && texts < classes) {
        (void)snprintf(reason, sizeof reason, "make %zu classes of %zu different texts", classes,
                       texts);
    } else if (count > 2 && like_first == 1 && options->labels == NULL) {
        (void)snprintf(reason, sizeof reason, "make a class of the first line alone");
    } else {
        return CLM_OK;
    }
    status = clm_fail(CLM_ERROR_FORMAT,
                      "%s:1:1: the two columns have no names that clm knows, and label, text "
                      "without a header would %s; if the first line (\"%.40s\", \"%.40s\") names "
                      "the columns, use --label-column and --text-column; if it is a row, use "
                      "--no-header, and for texts that come first --label-column 2 as well",
                      where, reason, entries[0].label, entries[0].text);
cleanup:
    return status;
}

/* --- All of it --- */

static clm_status note_layout(clm_origin *origin, const layout *l, const clm_csv *csv,
                              const clm_table_options *options, const char *where) {
    clm_status status = CLM_OK;
    char name[2];
    char numbers[2][24];
    const char *names[2] = {numbers[0], numbers[1]};
    size_t count = 0;
    const clm_csv_field *header = clm_csv_row(csv, 0, &count);
    origin->format = "separated values";
    origin->separator = l->separator;
    origin->has_header = l->header;
    CLM_TRY(clm_duplicate(&origin->source, where));
    const size_t columns[2] = {l->label_column, l->text_column};
    for (int i = 0; i < 2; i++) {
        (void)snprintf(numbers[i], sizeof numbers[i], "%zu", columns[i] + 1);
        names[i] = l->header ? clm_csv_text(csv, &header[columns[i]]) : names[i];
    }
    CLM_TRY(clm_origin_set_columns(origin, names[0], names[1]));
    if (l->separator_guessed) {
        CLM_TRY(clm_origin_guess(origin, "separator: '%s', by the first rows",
                                 clm_separator_name(l->separator, name)));
    }
    if (l->header_guessed) {
        CLM_TRY(clm_origin_guess(origin, l->header ? "header: the first row, which has the names"
                                                   : "header: none, because no name is known"));
    }
    CLM_TRY(clm_origin_guess_columns(origin, options));
cleanup:
    return status;
}

clm_status clm_table_parse_separated(clm_table **table, const char *text, size_t size_bytes,
                                     const clm_table_options *options, const char *where) {
    *table = NULL;
    clm_status status = CLM_OK;
    clm_csv csv = {0};
    clm_table_entry *entries = NULL;
    clm_origin origin = {0};
    const size_t mark = clm_text_mark(text, size_bytes);
    layout l = {.text = text + mark,
                .size_bytes = size_bytes - mark,
                .first_line = 1,
                .separator = options->separator};
    size_t count = 0;
    size_t width = 0;
    take_separator_line(&l);
    if (l.separator == 0) {
        CLM_TRY(guess_separator(&l, options, where));
    }
    if (l.separator == '"' || l.separator == '\n' || l.separator == '\r') {
        status =
            clm_fail(CLM_ERROR_ARGUMENT, "a quote or an end of line cannot stand between columns");
        goto cleanup;
    }
    CLM_TRY(
        clm_csv_parse_part(&csv, l.text, l.size_bytes, l.separator, l.first_line, SIZE_MAX, where));
    if (csv.row_count == 0) {
        status = clm_fail(CLM_ERROR_FORMAT, "%s: the table has no rows", where);
        goto cleanup;
    }
    CLM_TRY(choose_columns(&l, &csv, options, where));
    CLM_TRY(clm_allocate(&entries, csv.row_count, sizeof *entries, "the rows of a table"));
    (void)clm_csv_row(&csv, 0, &width);
    for (size_t row = l.header ? 1 : 0; row < csv.row_count; row++) {
        CLM_TRY(take_row(&entries[count++], &csv, row, width, &l, where));
    }
    if (!l.header && l.header_guessed) {
        CLM_TRY(check_guess(entries, count, options, where));
    }
    CLM_TRY(note_layout(&origin, &l, &csv, options, where));
    CLM_TRY(clm_table_from_entries(table, entries, count, options, where, &origin));
cleanup:
    clm_origin_free(&origin);
    clm_free(entries);
    clm_csv_free(&csv);
    return status;
}

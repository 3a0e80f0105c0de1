/* Balance and split.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "base/memory.h"
#include "base/random.h"
#include "data/table.h"

/* --- Balance --- */

/* The rows of all classes through *members, class after class, each in its order; those of class k
 * begin at starts[k], and starts has one more for the end. */
static clm_status sort_by_class(int64_t **members, size_t **starts, const clm_table *table) {
    const size_t classes = (size_t)table->name_count;
    size_t *next = NULL;
    clm_status status = CLM_OK;
    CLM_TRY(clm_allocate(members, table->count, sizeof **members, "the rows of classes"));
    CLM_TRY(clm_allocate(starts, classes + 1, sizeof **starts, "the rows of classes"));
    CLM_TRY(clm_allocate(&next, classes, sizeof *next, "the rows of classes"));
    for (size_t k = 0; k < classes; k++) {
        next[k] = (*starts)[k];
        (*starts)[k + 1] = (*starts)[k] + table->label_rows[k];
    }
    for (size_t row = 0; row < table->count; row++) {
        (*members)[next[table->rows[row].label]++] = (int64_t)row;
    }
cleanup:
    clm_free(next);
    return status;
}

/* "messages.tsv: ", or nothing for a table from memory. */
static const char *colon_of(const clm_table *table) {
    return table->origin.source != NULL ? ": " : "";
}

static const char *source_of(const clm_table *table) {
    return table->origin.source != NULL ? table->origin.source : "";
}

/* The class with the fewest rows, the last of several. */
static clm_status find_smallest(int *smallest, const clm_table *table) {
    *smallest = 0;
    for (int k = 0; k < table->name_count; k++) {
        if (table->label_rows[k] == 0) {
            return clm_fail(CLM_ERROR_FORMAT,
                            "%s%sno text has the label \"%.64s\": nothing to balance; --no-balance "
                            "keeps all rows",
                            source_of(table), colon_of(table), table->names[k]);
        }
        if (table->label_rows[k] <= table->label_rows[*smallest]) {
            *smallest = k;
        }
    }
    return CLM_OK;
}

clm_status clm_table_balance(clm_table **balanced, const clm_table *table, uint32_t seed) {
    *balanced = NULL;
    clm_status status = CLM_OK;
    int64_t *members = NULL;
    size_t *starts = NULL;
    int64_t *order = NULL;
    int64_t *chosen = NULL;
    size_t chosen_count = 0;
    int smallest = 0;
    CLM_TRY(find_smallest(&smallest, table));
    const size_t least = table->label_rows[smallest];
    CLM_TRY(sort_by_class(&members, &starts, table));
    CLM_TRY(clm_allocate(&order, table->count, sizeof *order, "a permutation"));
    CLM_TRY(clm_allocate(&chosen, table->count, sizeof *chosen, "the rows of a balanced table"));
    for (int k = 0; k < table->name_count; k++) {
        clm_numpy_random random;
        clm_numpy_random_seed(&random, seed);
        clm_numpy_random_permutation(&random, order, table->label_rows[k]);
        for (size_t i = 0; i < least; i++) {
            chosen[chosen_count++] = members[starts[k] + (k == smallest ? i : (size_t)order[i])];
        }
    }
    CLM_TRY(clm_table_select(balanced, table, chosen, chosen_count));
    (*balanced)->origin.is_balanced = true;
    if (chosen_count < table->count / 10) {
        CLM_TRY(clm_origin_warn(&(*balanced)->origin,
                                "balancing keeps %zu of %zu rows, because \"%.60s\" has only %zu; "
                                "--no-balance keeps all",
                                chosen_count, table->count, table->names[smallest], least));
    }
cleanup:
    clm_free(members);
    clm_free(starts);
    clm_free(order);
    clm_free(chosen);
    if (status != CLM_OK) {
        clm_table_free(*balanced);
        *balanced = NULL;
    }
    return status;
}

/* --- Split --- */

/* Why a table is too small, and what would make it larger. */
static clm_status fail_too_few(const clm_table *table, double train_fraction,
                               double validation_fraction, size_t train, size_t validation) {
    const clm_origin *origin = &table->origin;
    clm_string why = {0};
    if (origin->is_balanced && origin->class_rows != NULL) {
        int least = 0;
        size_t all = 0;
        for (int k = 0; k < origin->class_count; k++) {
            all += origin->class_rows[k];
            least = origin->class_rows[k] < origin->class_rows[least] ? k : least;
        }
        clm_string_add_format(&why,
                              "; %zu rows were balanced to %zu because the class \"%.60s\" has "
                              "only %zu: --no-balance keeps all",
                              all, table->count, table->names[least], origin->class_rows[least]);
    }
    clm_status status = clm_string_status(&why);
    if (status == CLM_OK) {
        status = clm_fail(CLM_ERROR_SHAPE,
                          "%s%s%zu rows are too few to split %g, %g and the rest: that gives %zu, "
                          "%zu and %zu%s",
                          source_of(table), colon_of(table), table->count, train_fraction,
                          validation_fraction, train, validation, table->count - train - validation,
                          why.text != NULL ? why.text : "");
    }
    clm_string_free(&why);
    return status;
}

clm_status clm_split_copy_notes(clm_split *split, const clm_origin *origin) {
    clm_status status =
        clm_allocate(&split->notes, origin->note_count, sizeof *split->notes, "notes on a table");
    for (size_t i = 0; status == CLM_OK && i < origin->note_count; i++) {
        status = clm_duplicate(&split->notes[split->note_count], origin->notes[i]);
        split->note_count += status == CLM_OK;
    }
    return status;
}

clm_status clm_table_split(clm_split *split, const clm_table *table, double train_fraction,
                           double validation_fraction, uint32_t seed) {
    *split = (clm_split){0};
    if (!(train_fraction > 0 && validation_fraction > 0 &&
          train_fraction + validation_fraction < 1)) {
        return clm_fail(CLM_ERROR_ARGUMENT,
                        "cannot split %g to train and %g to validate: both must be positive and "
                        "leave some to test",
                        train_fraction, validation_fraction);
    }
    size_t count = table->count;
    size_t train = (size_t)((double)count * train_fraction);
    size_t validation = (size_t)((double)count * validation_fraction);
    if (train == 0 || validation == 0 || train + validation >= count) {
        return fail_too_few(table, train_fraction, validation_fraction, train, validation);
    }
    clm_status status = CLM_OK;
    int64_t *order = NULL;
    clm_numpy_random random;
    CLM_TRY(clm_allocate(&order, count, sizeof *order, "a permutation"));
    clm_numpy_random_seed(&random, seed);
    clm_numpy_random_permutation(&random, order, count);
    CLM_TRY(clm_table_select(&split->train, table, order, train));
    CLM_TRY(clm_table_select(&split->validation, table, order + train, validation));
    CLM_TRY(clm_table_select(&split->test, table, order + train + validation,
                             count - train - validation));
    CLM_TRY(clm_split_copy_notes(split, &table->origin));
cleanup:
    clm_free(order);
    if (status != CLM_OK) {
        clm_split_free(split);
    }
    return status;
}

void clm_split_free(clm_split *split) {
    clm_table_free(split->train);
    clm_table_free(split->validation);
    clm_table_free(split->test);
    for (size_t i = 0; i < split->note_count; i++) {
        clm_free(split->notes[i]);
    }
    clm_free(split->notes);
    *split = (clm_split){0};
}

/* Names of classes, found by bisection: a table may have as many classes as rows.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef CLM_DATA_NAMES_H
#define CLM_DATA_NAMES_H

#include <stdbool.h>

#include "base/error.h"

typedef struct clm_name {
    const char *text; /* lent */
    int number;
} clm_name;

typedef struct clm_name_index {
    clm_name *sorted; /* (count) by the bytes of their texts, then by number */
    int count;
} clm_name_index;

clm_status clm_name_index_make(clm_name_index *index, const char *const *names, int count);
void clm_name_index_free(clm_name_index *index); /* fine on a zeroed one */

/* The least number with that name, or -1. */
int clm_name_index_find(const clm_name_index *index, const char *name);

/* The numbers of the first pair of equal names; false if all differ. */
bool clm_name_index_repeats(const clm_name_index *index, int *first, int *second);

/* The value of "0", "7", "12" (no sign, no leading zero, no space); -1 for anything else. */
int clm_name_integer(const char *name);

/* Whether a person would read the name as a number: "7", "-1", "2.50", "1e3", " 4 ". If one class
 * has such a name, no label is interpreted as the number of a class. */
bool clm_name_is_number(const char *name);
bool clm_names_have_number(const char *const *names, int count);

/* The number of the class that a file's label means among the given names, or -1: the class with
 * that name, else the class with that number unless names are numbers themselves. */
int clm_name_index_resolve(const clm_name_index *index, bool names_have_number, const char *label);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
#include "data/names.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"

static int compare(const void *a, const void *b) {
    const clm_name *left = a;
    const clm_name *right = b;
    const int order = strcmp(left->text, right->text);
    return order != 0 ? order : (left->number > right->number) - (left->number < right->number);
}

clm_status clm_name_index_make(clm_name_index *index, const char *const *names, int count) {
    *index = (clm_name_index){0};
    clm_status status =
        clm_allocate(&index->sorted, (size_t)count, sizeof *index->sorted, "the names of classes");
    if (status != CLM_OK) {
        return status;
    }
    for (; index->count < count; index->count++) {
        index->sorted[index->count] =
            (clm_name){.text = names[index->count], .number = index->count};
    }
    qsort(index->sorted, (size_t)count, sizeof *index->sorted, compare);
    return CLM_OK;
}

void clm_name_index_free(clm_name_index *index) {
    clm_free(index->sorted);
    *index = (clm_name_index){0};
}

int clm_name_index_find(const clm_name_index *index, const char *name) {
    int low = 0;
    int high = index->count; /* names before `low` are less, those from `high` on are not */
    while (low < high) {
        const int middle = low + (high - low) / 2;
        if (strcmp(index->sorted[middle].text, name) < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low < index->count && strcmp(index->sorted[low].text, name) == 0
               ? index->sorted[low].number
               : -1;
}

bool clm_name_index_repeats(const clm_name_index *index, int *first, int *second) {
    for (int i = 1; i < index->count; i++) {
        if (strcmp(index->sorted[i - 1].text, index->sorted[i].text) == 0) {
            *first = index->sorted[i - 1].number;
            *second = index->sorted[i].number;
            return true;
        }
    }
    return false;
}

int clm_name_integer(const char *name) {
    int value = 0;
    if (*name == '\0' || (*name == '0' && name[1] != '\0')) {
        return -1;
    }
    for (; *name != '\0'; name++) {
        if (*name < '0' || *name > '9' || value > (INT_MAX - (*name - '0')) / 10) {
            return -1;
        }
        value = value * 10 + (*name - '0');
    }
    return value;
}

bool clm_name_is_number(const char *name) {
    static const char digits[] = "0123456789";
    name += strspn(name, " \t");
    name += *name == '-' || *name == '+';
    const size_t whole = strspn(name, digits);
    name += whole;
    size_t fraction = 0;
    if (*name == '.') {
        fraction = strspn(++name, digits);
        name += fraction;
    }
    if (whole + fraction > 0 && (*name == 'e' || *name == 'E')) {
        const char *exponent = name + 1;
        exponent += *exponent == '-' || *exponent == '+';
        const size_t length = strspn(exponent, digits);
        name = length > 0 ? exponent + length : name;
    }
    name += strspn(name, " \t");
    return whole + fraction > 0 && *name == '\0';
}

bool clm_names_have_number(const char *const *names, int count) {
    for (int k = 0; k < count; k++) {
        if (clm_name_is_number(names[k])) {
            return true;
        }
    }
    return false;
}

int clm_name_index_resolve(const clm_name_index *index, bool names_have_number, const char *label) {
    const int number = clm_name_index_find(index, label);
    if (number >= 0 || names_have_number) {
        return number;
    }
    const int value = clm_name_integer(label);
    return value < index->count ? value : -1;
}

/* A table of names: byte strings, each with a number. Its hash is keyed, so that no file can make
 * it slow.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef CLM_TEXT_NAMES_H
#define CLM_TEXT_NAMES_H

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

/* Start from `{0}`, in which nothing is found. */
typedef struct clm_names {
    struct clm_name *slots;
    size_t mask;
} clm_names;

/* Room for `count` names. */
clm_status clm_names_make(clm_names *names, size_t count);
void clm_names_free(clm_names *names);

/* The number of a name, or -1. */
int32_t clm_names_find(const clm_names *names, const void *name, size_t length);

/* Adds a name, which is lent, or gives one that is there another number. */
void clm_names_set(clm_names *names, const void *name, size_t length, int32_t number);

#endif

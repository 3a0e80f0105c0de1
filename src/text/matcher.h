/* Finds which of many texts start where in a text, in time linear in it: the automaton of Aho and
 * Corasick (1975), built from the texts reversed and run over a text from its end to its start, so
 * that at each place its state knows the longest of the texts that starts there.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef CLM_TEXT_MATCHER_H
#define CLM_TEXT_MATCHER_H

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

typedef struct clm_matcher_text {
    const unsigned char *bytes; /* at least one */
    size_t length;
    int32_t value; /* at least 0 */
} clm_matcher_text;

typedef struct clm_matcher clm_matcher;

/* The texts differ; they are not kept, but sorted. */
clm_status clm_matcher_make(clm_matcher **matcher, clm_matcher_text *texts, size_t count);
void clm_matcher_free(clm_matcher *matcher); /* NULL is fine */

/* A walk over a text from its last byte to its first. Start from 0. */
typedef uint32_t clm_matcher_state;

/* Takes the byte before those taken so far; returns the value of the longest text that starts with
 * it, or -1. */
int32_t clm_matcher_step(const clm_matcher *matcher, clm_matcher_state *state, unsigned char byte);

#endif

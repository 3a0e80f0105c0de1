/* Cuts a text into the pieces within which BPE merges; see clm/text.h for the pattern.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef CLM_TEXT_SPLIT_H
#define CLM_TEXT_SPLIT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

/* The compiled pattern; read-only once made, so threads share it. */
typedef struct clm_splitter clm_splitter;

/* `jit` asks for machine code, which is taken where PCRE2 can make it and the system lets it run;
 * otherwise the pattern is interpreted, with the same pieces. */
clm_status clm_splitter_open(clm_splitter **splitter, bool jit);
void clm_splitter_close(clm_splitter *splitter); /* NULL is fine */

/* The Unicode version that this PCRE2 knows, without what follows its first point. */
int clm_splitter_unicode_version(void);

/* Whether a code point has Unicode's property White_Space, as \s in the pattern. */
bool clm_is_space(uint32_t code_point);

/* The characters that are part of a word: \w of Unicode's regular expressions (UTS 18, annex C):
 * letters and what else is alphabetic, marks, decimal numbers, connecting punctuation, joiners. */
typedef struct clm_word_class clm_word_class;
clm_status clm_word_class_open(clm_word_class **word_class);
void clm_word_class_close(clm_word_class *word_class); /* NULL is fine */

/* Of one character; *has is false where the bytes are not valid UTF-8. */
clm_status clm_word_class_has(const clm_word_class *word_class, const unsigned char *character,
                              size_t length, bool *has);

/* One pass over one text. Start from `{0}`, and end it in any case. */
typedef struct clm_split {
    const clm_splitter *splitter;
    const unsigned char *text;
    size_t length;
    size_t at;        /* where the next piece starts */
    size_t run_start; /* the run of valid UTF-8 around `at` */
    size_t run_end;
    void *match;
} clm_split;

clm_status clm_split_begin(clm_split *split, const clm_splitter *splitter);

/* The text is lent until the last clm_split_next(). May be called again for another text. */
void clm_split_text(clm_split *split, const void *text, size_t length);

/* The next piece, lent by the text; a length of 0 says that there is none. */
clm_status clm_split_next(clm_split *split, const unsigned char **piece, size_t *length);
void clm_split_end(clm_split *split);

#endif

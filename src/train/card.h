/* README.md of a run's folder: the model card.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef CLM_TRAIN_CARD_H
#define CLM_TRAIN_CARD_H

#include "train/training.h"

/* Writes it anew: what the model is, how it was trained, how to use it, its figures, and what was
 * noted. A README.md of somebody else is left alone. */
clm_status clm_card_write(const clm_trainer *t);

/* Appends `text` so that Markdown shows it as it is, on one line: punctuation is escaped, and
 * characters that have no shape of their own or change the direction of others become U+FFFD. */
void clm_card_add_text(clm_string *out, const char *text);

/* The same for a word of a shell's command line, in single quotes; a text that cannot be one line
 * becomes RUN. */
void clm_card_add_word(clm_string *out, const char *text);

#endif

/* README.md of a run's folder: the model card.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef CLM_TRAIN_CARD_H
#define CLM_TRAIN_CARD_H

#include "train/training.h"

/* Writes the card: what the model is, how it was trained, how to use it, its figures and the run's
 * notes. A README.md that clm did not write is left alone. */
clm_status clm_card_write(const clm_trainer *t);

/* Appends `text` so that Markdown shows it as it is, on one line: punctuation is escaped, and
 * invisible characters and direction marks become U+FFFD. */
void clm_card_add_text(clm_string *out, const char *text);

/* The same for a word of a shell command, in single quotes; a text of several lines becomes RUN. */
void clm_card_add_word(clm_string *out, const char *text);

#endif

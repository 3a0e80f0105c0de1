/* What holds for every tokenizer that was opened.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef CLM_TEST_FUZZ_TEXT_CHECKS_H
#define CLM_TEST_FUZZ_TEXT_CHECKS_H

#include "clm/text.h"

/* Opens the fuzz folder's tokenizer, and if that works: decoding gives back what was encoded, but
 * for spaces and what the tokenizer adds; the one that is saved and opened again gives the same
 * ids. */
void fuzz_check_tokenizer_folder(void);

#endif

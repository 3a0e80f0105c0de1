/* Checks of a text.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef CLM_INFER_CLASSIFY_H
#define CLM_INFER_CLASSIFY_H

#include "clm/infer.h"

/* CLM_ERROR_FORMAT for an empty text, CLM_ERROR_ENCODING for invalid UTF-8 or a NUL byte, with its
 * offset from 0; the caller prefixes which text it is. */
clm_status clm_classify_check_text(const char *text, size_t length_bytes);

#endif

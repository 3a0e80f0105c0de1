/* Notes for whoever installed a sink; see clm/log.h.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef CLM_BASE_LOG_H
#define CLM_BASE_LOG_H

#include "clm/log.h"

/* One line, no newline; cut at 1023 bytes. */
void clm_log(clm_log_level level, const char *format, ...) CLM_PRINTF(2, 3);

#endif

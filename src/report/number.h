/* Numbers for people: round ticks, and decimals that no locale changes.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef CLM_REPORT_NUMBER_H
#define CLM_REPORT_NUMBER_H

#include "base/string.h"

/* `value` with `decimals` (0 to 9) digits after the point; `grouped` puts a comma before every
 * three digits. Beyond +-9e15 / 10^decimals, and for NaN, "-" is added instead. */
void clm_number_add(clm_string *out, double value, int decimals, bool grouped);

/* `value`, not negative, with three significant digits ("1,234", "12.3", "0.0123"); beyond the
 * range as above. */
void clm_number_add_short(clm_string *out, double value);

enum { CLM_TICKS_MOST = 32 };

/* Rising values low <= tick <= high, multiples of 1, 2, 2.5 or 5 times a power of ten, and the
 * decimals they need. */
typedef struct clm_ticks {
    double values[CLM_TICKS_MOST];
    int count;
    int decimals;
} clm_ticks;

/* The smallest such step that makes no more than `wanted` (2 to 30) intervals between low and
 * high; with `whole`, steps below 1 are not used. */
double clm_tick_step(double low, double high, int wanted, bool whole);
void clm_ticks_make(clm_ticks *ticks, double low, double high, int wanted, bool whole);

#endif

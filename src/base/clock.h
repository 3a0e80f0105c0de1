/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CLM_BASE_CLOCK_H
#define CLM_BASE_CLOCK_H

/* Seconds since some moment in the past; never goes backwards. */
double clm_seconds(void);

#endif

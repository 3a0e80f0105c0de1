/* The file in which a device's result is kept, beside its tuning: JSON,
 *
 *     {"format": 1, "key": "...", "gemm": "own-panels", "outcome": "passed", "comparisons": 211,
 *      "seconds": 5.2, "replaced": "", "why": ""}
 *
 * The key is all that the result depends on: device, platform, driver, version of clm, the sources
 * of the kernels, the device's settings, and what the environment forces. A file with another key
 * is none. "gemm" is the backend that was in use before anything was replaced: it is measured, and
 * may be another one after the tuning was forgotten.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef CLM_SELFTEST_RECORD_H
#define CLM_SELFTEST_RECORD_H

#include "clm/selftest.h"
#include "ops/gemm.h"

/* Never fails for want of a file or because of a bad one: then the outcome is unknown. */
clm_status clm_selftest_record_load(clm_selftest_report *report, clm_device *device);

/* Where what is kept lies, with that ending, and the key, through *path and *key (clm_free). */
clm_status clm_selftest_record_place(char **path, char **key, const clm_device *device,
                                     const char *ending);

/* Keeps it; false for what cannot be kept, which is only a warning. */
bool clm_selftest_record_keep(const clm_selftest_report *report, clm_device *device,
                              clm_gemm_backend gemm);

#endif

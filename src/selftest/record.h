/* The file with a device's result, beside its tuning: JSON,
 *
 *     {"format": 1, "key": "...", "gemm": "own-panels", "outcome": "passed", "comparisons": 211,
 *      "seconds": 5.2, "replaced": "", "why": ""}
 *
 * The key is everything that the result depends on: device, platform, driver, version of clm,
 * kernel sources, the device's settings, and overrides in the environment. A file with another key
 * is ignored. "gemm" is the backend in use before any replacement: it is measured, and may differ
 * after the tuning is deleted.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef CLM_SELFTEST_RECORD_H
#define CLM_SELFTEST_RECORD_H

#include "clm/selftest.h"
#include "ops/gemm.h"

/* A missing or bad file is not an error: the outcome is then unknown. */
clm_status clm_selftest_record_load(clm_selftest_report *report, clm_device *device);

/* The path of the record with that ending, and the key, through *path and *key (clm_free). */
clm_status clm_selftest_record_place(char **path, char **key, const clm_device *device,
                                     const char *ending);

/* Stores it; false if that fails, which is only a warning. */
bool clm_selftest_record_keep(const clm_selftest_report *report, clm_device *device,
                              clm_gemm_backend gemm);

#endif

/* The file with a device's settings: JSON, one for each device, driver and version of clm, in the
 * folder "tuning" of the cache.
 *
 *     {"format": 1,
 *      "device": "...", "platform": "...", "platform_version": "...", "driver": "...",
 *      "compute_units": 2, "clm": "0.1.0", "clblast": true,
 *      "preset": "normal", "gain": 1.034,
 *      "peak_gflops": 300, "own_gflops": 250, "clblast_gflops": 0,
 *      "settings": {"gemm.backend": "own", "gemm.rows": 8}}
 *
 * Settings that are not set are left out. Everything from "device" to "clblast" is the key: a file
 * with a different key is not used.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef CLM_OPS_TUNING_FILE_H
#define CLM_OPS_TUNING_FILE_H

#include "ops/tuning.h"

typedef struct clm_tuned {
    clm_tuning settings;
    char preset[16]; /* the preset that found them: "quick", "normal", "full"; "" for none */
    double gain;     /* speed over the defaults; 0: not measured */
    double peak_gflops, own_gflops, clblast_gflops; /* of "quick"; 0: not measured */
} clm_tuned;

/* Nothing set, nothing measured. */
clm_tuned clm_tuned_nothing(void);

/* The file's path, and that of one beside it with another ending, through *path (clm_free). */
clm_status clm_tuned_path(char **path, const clm_device *device, const char *ending);

/* The text of the file. */
void clm_tuned_describe(clm_string *text, const clm_tuned *tuned, const clm_device *device);

/* Reads a file in this form. CLM_ERROR_FORMAT: it is not such a file, has an unknown setting, or
 * belongs to another device (one line: what differs, and --force), which `any_device` allows.
 * CLM_ERROR_ARGUMENT: the device cannot run with these settings. */
clm_status clm_tuned_read(clm_tuned *tuned, const char *path, const clm_device *device,
                          bool any_device);
clm_status clm_tuned_write(const clm_tuned *tuned, const char *path, const clm_device *device);

/* Stores it in the cache, for clm_tuned_load(). */
clm_status clm_tuned_store(const clm_tuned *tuned, const clm_device *device);

/* Loads the device's stored settings; nothing is set without a file, with CLM_TUNE=off, or with a
 * file that cannot be used, which is moved aside ("....broken") with a warning. */
void clm_tuned_load(clm_tuned *tuned, const clm_device *device);

/* Stores it; a failure is only a warning. */
void clm_tuned_keep(const clm_tuned *tuned, const clm_device *device);

#endif

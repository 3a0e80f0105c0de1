/* Results with known numbers, for tests of reports.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef CLM_TEST_BENCH_MADE_H
#define CLM_TEST_BENCH_MADE_H

#include "bench/bench.h"

/* Of seven samples, quartiles a tenth to either side of the median. */
clm_bench_result made_result(const char *name, const char *parameters, double seconds);
clm_bench_result made_skipped(const char *name, const char *parameters, const char *why);

/* Of a device with 1000 GFLOP/s and a copy of 100 GB/s, derived numbers included; results are lent.
 * Texts and numbers may be changed; what follows from them is then derived again. */
clm_bench_report made_report(const char *device, clm_bench_result *results, size_t count);

#endif

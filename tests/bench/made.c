/* SPDX-License-Identifier: Apache-2.0 */
#include "made.h"

#include <stdio.h>

clm_bench_result made_result(const char *name, const char *parameters, double seconds) {
    clm_bench_result made = {.median = seconds,
                             .minimum = 0.8 * seconds,
                             .lower_quartile = 0.9 * seconds,
                             .upper_quartile = 1.1 * seconds,
                             .samples = 7,
                             .repeats = 1};
    (void)snprintf(made.name, sizeof made.name, "%s", name);
    (void)snprintf(made.parameters, sizeof made.parameters, "%s", parameters);
    return made;
}

clm_bench_result made_skipped(const char *name, const char *parameters, const char *why) {
    clm_bench_result made = {.samples = 0};
    (void)snprintf(made.name, sizeof made.name, "%s", name);
    (void)snprintf(made.parameters, sizeof made.parameters, "%s", parameters);
    (void)snprintf(made.skipped, sizeof made.skipped, "%s", why);
    return made;
}

clm_bench_report made_report(const char *device, clm_bench_result *results, size_t count) {
    clm_bench_report report = {.program = "clm",
                               .program_version = "1.2.3",
                               .date = "2026-11-21T04:30:00Z",
                               .vendor = "v",
                               .platform = "p",
                               .driver = "d",
                               .device_version = "OpenCL 3.0",
                               .type = "GPU",
                               .compute_units = 36,
                               .seconds = 1.0,
                               .least_samples = 7,
                               .model = "random:gpt2",
                               .gemm = "own",
                               .peak_gflops = 1000,
                               .copy_gbytes_second = 100,
                               .noise_limit = 0.1,
                               .results = results,
                               .result_count = count};
    (void)snprintf(report.device, sizeof report.device, "%s", device);
    clm_bench_derive(&report);
    return report;
}

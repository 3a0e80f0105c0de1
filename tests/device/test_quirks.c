/* Which quirks apply to which devices, and what they change, on made-up devices: none of that
 * hardware is needed.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "support/test_support.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "device/find.h"
#include "device/internal.h"

#define GIB ((uint64_t)1 << 30)

/* As the drivers call themselves. */
static const clm_device_info pocl = {.type = CLM_DEVICE_CPU,
                                     .name = "pthread-haswell-Intel(R) Core(TM) i7",
                                     .vendor = "GenuineIntel",
                                     .platform = "Portable Computing Language",
                                     .driver = "3.1+debian"};
static const clm_device_info pocl_7 = {.type = CLM_DEVICE_CPU,
                                       .name = "cpu-haswell",
                                       .platform = "Portable Computing Language",
                                       .driver = "7.1"};
static const clm_device_info geforce = {.type = CLM_DEVICE_GPU,
                                        .name = "NVIDIA GeForce RTX 3060",
                                        .vendor = "NVIDIA Corporation",
                                        .platform = "NVIDIA CUDA",
                                        .driver = "535.183.01"};
static const clm_device_info old_geforce = {.type = CLM_DEVICE_GPU,
                                            .name = "GeForce GTX 970",
                                            .platform = "NVIDIA CUDA",
                                            .driver = "390.157"};
static const clm_device_info radeon = {.type = CLM_DEVICE_GPU,
                                       .name = "gfx1030",
                                       .vendor = "Advanced Micro Devices, Inc.",
                                       .platform = "AMD Accelerated Parallel Processing",
                                       .driver = "3581.0 (HSA1.1,LC)"};
static const clm_device_info arc = {.type = CLM_DEVICE_GPU,
                                    .name = "Intel(R) Arc(TM) A770 Graphics",
                                    .vendor = "Intel(R) Corporation",
                                    .platform = "Intel(R) OpenCL Graphics",
                                    .driver = "23.43.27642.40",
                                    .max_allocation_size_bytes = 15 * GIB};
static const clm_device_info small_arc = {.type = CLM_DEVICE_GPU,
                                          .platform = "Intel(R) OpenCL Graphics",
                                          .max_allocation_size_bytes = 4 * GIB};
static const clm_device_info intel_cpu = {.type = CLM_DEVICE_CPU,
                                          .name = "Intel(R) Xeon(R) Gold",
                                          .vendor = "Intel(R) Corporation",
                                          .platform = "Intel(R) OpenCL",
                                          .driver = "2023.16.7.0.21_160000",
                                          .max_allocation_size_bytes = 60 * GIB};
static const clm_device_info mali = {
    .type = CLM_DEVICE_GPU, .name = "Mali-G710", .vendor = "ARM", .platform = "ARM Platform"};
static const clm_device_info llvmpipe = {.type = CLM_DEVICE_CPU,
                                         .name = "llvmpipe (LLVM 15.0.6, 256 bits)",
                                         .vendor = "Mesa/X.org",
                                         .platform = "rusticl",
                                         .driver = "22.3.6"};
static const clm_device_info rusticl_radeon = {.type = CLM_DEVICE_GPU,
                                               .name = "AMD Radeon RX 6600 (radeonsi)",
                                               .vendor = "AMD",
                                               .platform = "rusticl",
                                               .driver = "24.2.0"};
static const clm_device_info clover = {
    .type = CLM_DEVICE_GPU, .name = "AMD Radeon RX 6600", .platform = "Clover", .driver = "22.3.6"};
static const clm_device_info oclgrind = {.type = CLM_DEVICE_GPU,
                                         .name = "Oclgrind Simulator",
                                         .platform = "Oclgrind",
                                         .driver = "Oclgrind 21.10"};
static const clm_device_info nameless = {.type = CLM_DEVICE_OTHER};

static bool has_quirk(const clm_device_info *info, const char *name) {
    const clm_quirk *quirk = NULL;
    for (size_t i = 0; (quirk = clm_device_quirk(info, i)) != NULL; i++) {
        if (strcmp(quirk->name, name) == 0) {
            return true;
        }
    }
    return false;
}

static void quirks_apply_to_their_devices_only(void **state) {
    (void)state;
    static const clm_device_info *const all[] = {
        &pocl,      &pocl_7, &geforce,  &old_geforce,    &radeon, &arc,      &small_arc,
        &intel_cpu, &mali,   &llvmpipe, &rusticl_radeon, &clover, &oclgrind, &nameless};
    static const struct {
        const char *quirk;
        const clm_device_info *of[4];
    } rows[] = {
        {"pocl-affinity", {&pocl, &pocl_7}},
        {"pocl-barriers", {&pocl, &pocl_7}},
        {"pocl-whole-groups", {&pocl, &pocl_7}},
        {"pocl-cache", {&pocl, &pocl_7}},
        {"pocl-header", {&pocl, &pocl_7}},
        {"pocl-pages", {&pocl, &pocl_7}},
        {"pocl-mad", {&pocl}},
        {"nvidia-cache", {&geforce, &old_geforce}},
        {"nvidia-half", {&geforce}},
        {"amd-single-allocation", {&radeon}},
        {"intel-4gb-buffers", {&arc}},
        {"intel-cpu-allocation", {&intel_cpu}},
        {"arm-host-memory", {&mali}},
        {"rusticl-cache", {&llvmpipe, &rusticl_radeon}},
        {"llvmpipe-rounds", {&llvmpipe}},
        {"llvmpipe-emulation", {&llvmpipe}},
        {"clover", {&clover}},
        {"oclgrind-simulation", {&oclgrind}},
        {"oclgrind-restrict", {&oclgrind}},
    };
    for (size_t r = 0; r < sizeof rows / sizeof *rows; r++) {
        for (size_t d = 0; d < sizeof all / sizeof *all; d++) {
            bool expected = false;
            for (size_t i = 0; i < 4; i++) {
                expected = expected || rows[r].of[i] == all[d];
            }
            if (has_quirk(all[d], rows[r].quirk) != expected) {
                fail_msg("%s and \"%s\" (%s)", rows[r].quirk, all[d]->name, all[d]->platform);
            }
        }
    }
    /* The library's own faults are everybody's. */
    for (size_t d = 0; d < sizeof all / sizeof *all; d++) {
        assert_int_equal(has_quirk(all[d], "clblast-k1"), CLM_WITH_CLBLAST);
        assert_int_equal(has_quirk(all[d], "clblast-sgemv"), CLM_WITH_CLBLAST);
    }
}

/* Each has all four texts, a name of its own, and fits a line. */
static void quirks_say_what_to_know(void **state) {
    (void)state;
    static const clm_device_info *const all[] = {&pocl, &geforce,  &radeon, &arc,     &intel_cpu,
                                                 &mali, &llvmpipe, &clover, &oclgrind};
    for (size_t d = 0; d < sizeof all / sizeof *all; d++) {
        const clm_quirk *quirk = NULL;
        for (size_t i = 0; (quirk = clm_device_quirk(all[d], i)) != NULL; i++) {
            const char *const texts[] = {quirk->name, quirk->reason, quirk->action, quirk->see};
            for (size_t t = 0; t < 4; t++) {
                assert_true(strlen(texts[t]) > 3 && strlen(texts[t]) < 160);
                assert_null(strchr(texts[t], '\n'));
            }
            const clm_quirk *next = clm_device_quirk(all[d], i + 1);
            assert_true(next == NULL || strcmp(next->name, quirk->name) != 0);
        }
    }
}

static void quirks_change_what_they_say(void **state) {
    (void)state;
    assert_true(clm_quirk_is_emulation(&llvmpipe) && clm_quirk_is_emulation(&oclgrind));
    assert_false(clm_quirk_is_emulation(&rusticl_radeon) || clm_quirk_is_emulation(&pocl));
    assert_true(clm_quirk_caches_kernels(&pocl) && clm_quirk_caches_kernels(&geforce) &&
                clm_quirk_caches_kernels(&rusticl_radeon) && clm_quirk_caches_kernels(&oclgrind));
    assert_false(clm_quirk_caches_kernels(&radeon) || clm_quirk_caches_kernels(&arc));
    assert_true(clm_quirk_joins_files(&pocl));
    assert_false(clm_quirk_joins_files(&llvmpipe) || clm_quirk_joins_files(&geforce) ||
                 clm_quirk_joins_files(&intel_cpu) || clm_quirk_joins_files(&oclgrind));
    assert_true(clm_quirk_wants_pages(&pocl));
    assert_false(clm_quirk_wants_pages(&llvmpipe) || clm_quirk_wants_pages(&geforce));
    assert_int_equal(clm_quirk_iteration_limit(&llvmpipe), 40000);
    assert_int_equal(clm_quirk_iteration_limit(&pocl), INT_MAX);
    assert_true(clm_quirk_is_simulation(&oclgrind));
    assert_false(clm_quirk_is_simulation(&llvmpipe));
    assert_int_equal(clm_quirk_most_items(&oclgrind), 16);
    assert_true(clm_quirk_most_items(&llvmpipe) == SIZE_MAX);
    assert_string_equal(clm_quirk_build_options(&arc),
                        " -cl-intel-greater-than-4GB-buffer-required");
    assert_string_equal(clm_quirk_build_options(&small_arc), "");
    assert_string_equal(clm_quirk_build_options(&intel_cpu), "");
    assert_true(clm_quirk_is_superseded(&clover));
}

/* A GPU by Clover comes after the same one by rusticl, before processors; emulation is last. */
static void ranks_follow_from_types_and_quirks(void **state) {
    (void)state;
    clm_found_device found[] = {
        {.info = oclgrind}, {.info = llvmpipe},       {.info = pocl},
        {.info = clover},   {.info = rusticl_radeon},
    };
    static const int ranks[] = {4, 5, 3, 2, 1};
    found[1].info.compute_units = 64;
    clm_rank_devices(found, 5);
    for (size_t i = 0; i < 5; i++) {
        assert_int_equal(found[i].info.rank, ranks[i]);
        assert_int_equal(found[i].info.is_default, ranks[i] == 1);
    }
    assert_string_equal(found[2].info.rank_reason, "CPU, native driver, 0 units");
    assert_non_null(strstr(found[1].info.rank_reason, "emulated"));
    assert_non_null(strstr(found[3].info.rank_reason, "superseded driver"));
}

static void variables_are_set_unless_the_user_has(void **state) {
    (void)state;
    char memory[32];
    assert_int_equal(unsetenv("POCL_AFFINITY"), 0);
    assert_int_equal(unsetenv("GPU_SINGLE_ALLOC_PERCENT"), 0);
    assert_int_equal(unsetenv("CL_CONFIG_CPU_FORCE_MAX_MEM_ALLOC_SIZE"), 0);
    assert_int_equal(setenv("GPU_MAX_ALLOC_PERCENT", "50", 1), 0);
    clm_quirks_before_first_call();
    assert_string_equal(getenv("POCL_AFFINITY"), "1");
    assert_string_equal(getenv("GPU_SINGLE_ALLOC_PERCENT"), "100");
    assert_string_equal(getenv("GPU_MAX_ALLOC_PERCENT"), "50");
    (void)snprintf(memory, sizeof memory, "%s", getenv("CL_CONFIG_CPU_FORCE_MAX_MEM_ALLOC_SIZE"));
    assert_true(strtoul(memory, NULL, 10) > 100 && strstr(memory, "MB") != NULL);
}

static void empty_platforms_are_reported(void **state) {
    (void)state;
    char text[8] = "x";
    /* Whatever is installed, and however little room there is. */
    assert_ok(clm_device_hints(text, sizeof text));
    assert_true(strlen(text) < sizeof text);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(variables_are_set_unless_the_user_has), /* before the first call */
        cmocka_unit_test(quirks_apply_to_their_devices_only),
        cmocka_unit_test(quirks_say_what_to_know),
        cmocka_unit_test(quirks_change_what_they_say),
        cmocka_unit_test(ranks_follow_from_types_and_quirks),
        cmocka_unit_test(empty_platforms_are_reported),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

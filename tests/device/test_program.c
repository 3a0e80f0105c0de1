/* Programs of several files: what is built together, and that nobody else notices.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "support/test_devices.h"

#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/folder.h"
#include "clm/log.h"
#include "device/internal.h"
#include "device/program.h"

/* Made from cl/ by ci/cmake/EmbedKernels.cmake. */
extern const clm_embedded_file clm_embedded_files[];
extern const size_t clm_embedded_file_count;

static int built;
static int given_up;

static void count_builds(void *context, clm_log_level level, const char *message) {
    (void)context;
    (void)level;
    built += strstr(message, " built in ") != NULL;
    given_up += strstr(message, "built file by file") != NULL;
}

/* A device like this one that has built nothing yet, without clm's own kernel cache. */
static clm_device *open_fresh(const clm_device *like) {
    assert_int_equal(setenv("CLM_KERNEL_CACHE", "0", 1), 0);
    clm_device *device = clm_test_open_again(like);
    clm_log_set_sink(count_builds, NULL, CLM_LOG_DEBUG);
    built = 0;
    given_up = 0;
    return device;
}

static void close_fresh(clm_device *device) {
    clm_log_set_sink(NULL, NULL, CLM_LOG_DEBUG);
    assert_int_equal(unsetenv("CLM_KERNEL_CACHE"), 0);
    assert_int_equal(unsetenv("CLM_KERNEL_DIR"), 0);
    clm_device_close(device);
}

/* A file, its options, and a kernel that it has. */
typedef struct wanted {
    const char *file, *options, *kernel;
} wanted;

static void files_of_a_group_are_built_together(clm_device *like) {
    static const char plain[] = "-DWIDTH=4 -DLOCAL=1";
    static const char heads[] = "-DD=64 -DWIDTH=8 -DLOCAL=1 -DITEM";
    static const wanted all[] = {
        {"embedding", plain, "embedding_forward"},
        {"layernorm", plain, "layernorm_forward"},
        {"rows", plain, "rows_gather"},
        {"gelu", plain, "gelu_backward"},
        {"crossentropy", plain, "crossentropy_forward"},
        {"residual", plain, "residual_forward"},
        {"dropout", plain, "dropout_forward"},
        {"convert", plain, "convert_f32_to_f16"},
        {"reduce", plain, "reduce_square_sum"},
        {"adamw", plain, "adamw_step"},
        {"attention", heads, "attention_forward_item"},
        {"attention_one", heads, "attention_one_forward"},
        /* Options that are no other file's, and files that are in no group. */
        {"gemm_few", plain, "gemm_few_add"},
        {"layernorm", "-DWIDTH=4 -DLOCAL=1 -DWANT_DWEIGHT=0", "layernorm_backward"},
        {"bench", "", "bench_copy"},
    };
    enum { count = sizeof all / sizeof *all, groups = 3, in_groups = count - 3 };
    clm_device *device = open_fresh(like);
    for (size_t twice = 0; twice < 2; twice++) {
        for (size_t i = 0; i < count; i++) {
            const clm_launch launch =
                clm_launch_begin(device, all[i].file, all[i].kernel, all[i].options);
            assert_ok(launch.status);
        }
    }
    assert_int_equal(given_up, 0);
    assert_int_equal(built,
                     clm_quirk_joins_files(&device->info) ? groups + count - in_groups : count);
    close_fresh(device);
}

static void write_kernel_file(const char *name, const char *text) {
    char path[64];
    (void)snprintf(path, sizeof path, "kernels/%s", name);
    clm_test_write(clm_test_path(path), text, strlen(text));
}

/* cl/ in a folder of the test's, for a change or two, and in use. */
static void copy_kernels(void) {
    assert_ok(clm_folder_make(clm_test_path("kernels")));
    for (size_t i = 0; i < clm_embedded_file_count; i++) {
        const clm_embedded_file *file = &clm_embedded_files[i];
        char path[64];
        (void)snprintf(path, sizeof path, "kernels/%s", file->name);
        clm_test_write(clm_test_path(path), file->bytes, file->size_bytes);
    }
    assert_int_equal(setenv("CLM_KERNEL_DIR", clm_test_path("kernels"), 1), 0);
}

static void a_wrong_file_takes_no_other_with_it(clm_device *like) {
    static const char options[] = "-DWIDTH=4 -DLOCAL=1";
    clm_device *device = open_fresh(like);
    const bool joins = clm_quirk_joins_files(&device->info);
    copy_kernels();
    write_kernel_file(
        "layernorm.cl",
        "\n__kernel void layernorm_forward(__global int *x) {\n    x[0] = unknown;\n}");
    clm_launch launch = clm_launch_begin(device, "embedding", "embedding_forward", options);
    assert_ok(launch.status);
    launch = clm_launch_begin(device, "layernorm", "layernorm_forward", options);
    assert_int_equal(launch.status, CLM_ERROR_BUILD);
    assert_message_has("cl/layernorm.cl does not compile");
    assert_message_has("unknown");
    launch = clm_launch_begin(device, "rows", "rows_gather", options);
    assert_ok(launch.status);
    assert_int_equal(given_up, joins ? 1 : 0);
    /* A file of the group that is missing, with other options, so that it is built again. */
    assert_int_equal(remove(clm_test_path("kernels/layernorm.cl")), 0);
    launch = clm_launch_begin(device, "rows", "rows_gather", "-DWIDTH=8 -DLOCAL=1");
    assert_ok(launch.status);
    assert_int_equal(given_up, joins ? 2 : 0);
    close_fresh(device);
}

/* Each file is read as if it were alone: macros end with it, but those of the options stay. */
static void macros_end_with_their_file(clm_device *like) {
    clm_device *device = open_fresh(like);
    int32_t value = 0;
    clm_buffer *out = NULL;
    copy_kernels();
    write_kernel_file("attention.cl",
                      "\n#ifndef D\n#define D 64\n#endif\n#define OTHERS 1\n"
                      "#define TERM(x) ((x) + 1)\n"
                      "__kernel void one(__global int *x) { x[0] = TERM(D); }\n");
    write_kernel_file("attention_one.cl",
                      "\n#ifdef OTHERS\n#error \"a macro of attention.cl\"\n#endif\n"
                      "#define TERM(x) ((x) + 2)\n"
                      "__kernel void two(__global int *x) { x[0] = TERM(D); }\n");
    assert_ok(clm_buffer_create(&out, device, sizeof value, "a test"));
    for (int i = 0; i < 2; i++) {
        clm_launch launch = clm_launch_begin(device, i == 0 ? "attention" : "attention_one",
                                             i == 0 ? "one" : "two", "-DD=7");
        clm_launch_buffer(&launch, out);
        assert_ok(clm_launch_1d(&launch, 1, 1));
        assert_ok(clm_buffer_read(out, 0, &value, sizeof value));
        assert_int_equal(value, 8 + i);
    }
    assert_int_equal(given_up, 0);
    assert_int_equal(built, clm_quirk_joins_files(&device->info) ? 1 : 2);
    clm_buffer_release(out);
    close_fresh(device);
}

CLM_ON_EACH_DEVICE(files_of_a_group_are_built_together)
CLM_ON_EACH_DEVICE(a_wrong_file_takes_no_other_with_it)
CLM_ON_EACH_DEVICE(macros_end_with_their_file)

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(files_of_a_group_are_built_together_test),
        cmocka_unit_test(a_wrong_file_takes_no_other_with_it_test),
        cmocka_unit_test(macros_end_with_their_file_test),
    };
    return cmocka_run_group_tests(tests, NULL, clm_test_close_devices);
}

/* The settings of a device: their text and file, and that they reach the kernels.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/memory.h"
#include "clm/log.h"
#include "gemm_cases.h"
#include "ops/common.h"
#include "ops/gemm_backend.h"
#include "ops/tuning_file.h"

static char *text_of(const clm_tuning *tuning) {
    clm_string text = {0};
    clm_tuning_describe(&text, tuning);
    assert_ok(clm_string_status(&text));
    char *copy = NULL;
    assert_ok(clm_duplicate(&copy, text.text != NULL ? text.text : ""));
    clm_string_free(&text);
    return copy;
}

/* ---- text ---- */

static void test_text(void **state) {
    (void)state;
    for (int i = 0; i < CLM_SETTING_COUNT; i++) {
        assert_non_null(clm_setting_name((clm_setting)i));
        for (int j = 0; j < i; j++) {
            assert_string_not_equal(clm_setting_name((clm_setting)i),
                                    clm_setting_name((clm_setting)j));
        }
    }
    static const char all[] = "gemm.backend=clblast,gemm.form=tiled,gemm.rows=4,ops.row_group=32";
    clm_tuning tuning = clm_tuning_defaults();
    assert_ok(clm_tuning_add(&tuning, "gemm.rows=8"));
    assert_ok(clm_tuning_add(&tuning, all));
    assert_int_equal(CLM_GEMM_CLBLAST, tuning.values[CLM_SET_GEMM_BACKEND]);
    assert_int_equal(4, clm_tuning_get(&tuning, CLM_SET_GEMM_ROWS, 99));
    assert_int_equal(99, clm_tuning_get(&tuning, CLM_SET_GEMM_WIDTH, 99));
    char *text = text_of(&tuning);
    assert_string_equal(all, text);
    clm_free(text);
    static const char *const wrong[] = {
        "gemm.rows",
        "gemm.rows=",
        "gemm.rows=3",
        "gemm.rows=32",
        "gemm.rows=4x",
        "gemm.lines=4",
        "gemm.backend=fastest",
        "gemm.backend=1",
        "clblast.Xgemm.GEMMK=1",
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        assert_status(CLM_ERROR_FORMAT, clm_tuning_add(&tuning, wrong[i]));
    }
}

/* ---- what goes together ---- */

#define XGEMM                                                                                 \
    "clblast.Xgemm.GEMMK=0,clblast.Xgemm.KREG=1,clblast.Xgemm.KWG=32,clblast.Xgemm.KWI=2,"    \
    "clblast.Xgemm.MDIMA=8,clblast.Xgemm.MDIMC=8,clblast.Xgemm.MWG=32,clblast.Xgemm.NDIMB=8," \
    "clblast.Xgemm.NDIMC=8,clblast.Xgemm.NWG=64,clblast.Xgemm.SA=0,clblast.Xgemm.SB=0,"       \
    "clblast.Xgemm.STRM=0,clblast.Xgemm.STRN=0,clblast.Xgemm.VWM=4,clblast.Xgemm.VWN="
#define TRANSPOSE                                                                    \
    "clblast.Transpose.TRA_PAD=0,clblast.Transpose.TRA_SHUFFLE=0,clblast.Transpose." \
    "TRA_WPT=16,clblast.Transpose.TRA_DIM="

static void refused_on(clm_device *device) {
    static const char *const wrong[] = {
        "gemm.vectors=16,gemm.width=16", /* wider than strides allow */
        "clblast.Xgemm.MWG=32",          /* a part of a kernel's parameters */
        XGEMM "16",                      /* 64 is no multiple of 8 * 16 */
        TRANSPOSE "64",                  /* 4096 items with 4 MiB */
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        clm_tuning tuning = clm_tuning_defaults();
        assert_ok(clm_tuning_add(&tuning, wrong[i]));
        assert_status(CLM_ERROR_ARGUMENT, clm_tuning_check(&tuning, device));
        assert_status(CLM_ERROR_ARGUMENT, clm_tuning_use(device, &tuning));
    }
    clm_tuning tuning = clm_tuning_defaults();
    assert_ok(clm_tuning_check(&tuning, device));
    assert_ok(clm_tuning_add(&tuning, XGEMM "2"));
    assert_ok(clm_tuning_check(&tuning, device));
}
CLM_ON_EACH_DEVICE(refused_on)

/* ---- the kernels ---- */

/* Each of the settings away from its default, and some together. */
static const char *const forced[] = {
    "gemm.width=4,gemm.vectors=4,gemm.rows=2",
    "gemm.width=8,gemm.vectors=2,gemm.rows=8,gemm.k_block=16",
    "gemm.width=4,gemm.vectors=8,gemm.rows=16,gemm.k_block=48,gemm.group_rows=1",
    "gemm.vectors=2,gemm.k_block=4096,gemm.group_rows=64,gemm.group_panels=1",
    "gemm.groups_a_unit=1,gemm.group_panels=32,gemm.pack_depth=1,gemm.direct_rows=0",
    "gemm.pack_depth_transposed=7,gemm.pack_depth=13,gemm.direct_rows=1000",
    "gemm.items=4,gemm.side=3,gemm.k_step=4",
    "gemm.items=8,gemm.side=8,gemm.k_step=8",
    "gemm.items=16,gemm.side=1,gemm.k_step=32",
};

/* Awkward sizes stay right whatever is set. */
static void forced_sizes_on(clm_device *device) {
    const bool slow = clm_test_is_simulator(device);
    const bool builds_slowly = strstr(clm_device_get_info(device)->name, "llvmpipe") != NULL;
    for (size_t i = 0; i < sizeof forced / sizeof *forced; i++) {
        clm_tuning tuning = clm_tuning_defaults();
        if (builds_slowly && i % 3 != 0) {
            continue;
        }
        assert_ok(clm_tuning_add(&tuning, forced[i]));
        assert_ok(clm_tuning_use(device, &tuning));
        const clm_gemm_backend form =
            strstr(forced[i], "items") != NULL ? CLM_GEMM_OWN_TILED : CLM_GEMM_OWN_PANELS;
        for (int n = 0; n < (slow ? 1 : 8); n++) {
            const gemm_case test = gemm_random_case(slow ? 20 : 300);
            gemm_check_case(device, form, &test);
        }
        const gemm_case thin = {.M = 3, .N = 97, .K = slow ? 5 : 131, .bias = true};
        gemm_check_case(device, form, &thin);
    }
    assert_ok(clm_tuning_use(device, NULL));
}
CLM_ON_EACH_DEVICE(forced_sizes_on)

/* A sum cut at other places rounds otherwise: that the bits change shows that the setting arrived,
 * and that they come back, that it went. */
static void blocks_reach_the_kernel_on(clm_device *device) {
    enum { M = 21, N = 67, K = 150, COUNT = M * N }; /* few rows have a kernel of their own */
    float values[K * N];
    float got[3][COUNT];
    clm_test_fill_normal(values, K * N, 1.0f);
    clm_buffer *b = clm_test_buffer(device, values, K * N);
    clm_buffer *a = clm_test_buffer(device, values, M * K);
    clm_buffer *c = clm_test_buffer(device, NULL, COUNT);
    const clm_gemm_arguments product = {.M = M, .N = N, .K = K, .a = a, .b = b, .c = c};
    for (int i = 0; i < 3; i++) {
        clm_tuning tuning = clm_tuning_defaults();
        assert_ok(clm_tuning_add(&tuning, i == 1 ? "gemm.k_block=16" : ""));
        assert_ok(clm_tuning_use(device, &tuning));
        assert_ok(gemm_by(device, CLM_GEMM_OWN_PANELS, &product));
        clm_test_buffer_read(c, got[i], COUNT);
    }
    assert_memory_equal(got[0], got[2], sizeof got[0]);
    assert_memory_not_equal(got[0], got[1], sizeof got[0]);

    clm_tuning tuning = clm_tuning_defaults();
    assert_ok(clm_tuning_add(&tuning, "gemm.width=8,gemm.vectors=4"));
    assert_ok(clm_tuning_use(device, &tuning));
    assert_int_equal(32, clm_gemm_own_panel_columns(device));
    assert_ok(clm_tuning_use(device, NULL));
    clm_test_buffer_check(a, M * K);
    clm_test_buffer_check(b, K * N);
    clm_test_buffer_check(c, COUNT);
}
CLM_ON_EACH_DEVICE(blocks_reach_the_kernel_on)

static void groups_reach_the_kernels_on(clm_device *device) {
    clm_tuning tuning = clm_tuning_defaults();
    assert_ok(
        clm_tuning_add(&tuning, "ops.width=8,ops.flat_group=32,ops.row_items=16,ops.row_group=2"));
    assert_ok(clm_tuning_use(device, &tuning));
    assert_int_equal(0, setenv("CLM_OPS_VARIANT", "group", 1));
    clm_ops_variant variant = clm_ops_variant_for(device, "gelu");
    assert_int_equal(0, unsetenv("CLM_OPS_VARIANT"));
    assert_int_equal(8, variant.width);
    assert_int_equal(32, variant.flat);
    assert_int_equal(16, variant.local);
    assert_int_equal(2, variant.row_group);
    assert_string_equal("-DWIDTH=8 -DLOCAL=16", variant.options);
    assert_ok(clm_tuning_use(device, NULL));
}
CLM_ON_EACH_DEVICE(groups_reach_the_kernels_on)

/* The most memory in use while CLBlast computes a product that it would do through copies, or with
 * all sizes sent to the kernel that makes none. */
static uint64_t peak_of_clblast(const char *settings) {
    enum { SIZE = 600 };
    clm_device *device = NULL;
    clm_device_options options = CLM_DEVICE_OPTIONS_DEFAULT;
    clm_tuning tuning = clm_tuning_defaults();
    options.pattern = "pocl";
    assert_ok(clm_device_open(&device, &options));
    assert_ok(clm_tuning_add(&tuning, settings));
    assert_ok(clm_tuning_use(device, &tuning));
    const gemm_case test = {.M = SIZE, .N = SIZE + 1, .K = SIZE + 3};
    gemm_check_case(device, CLM_GEMM_CLBLAST, &test);
    const uint64_t peak = clm_device_memory_peak_bytes(device);
    clm_device_close(device);
    return peak;
}

static void test_clblast_gets_its_parameters(void **state) {
    (void)state;
    clm_device *device = NULL;
    clm_device_options options = CLM_DEVICE_OPTIONS_DEFAULT;
    options.pattern = "pocl";
    if (!CLM_WITH_CLBLAST || clm_device_open(&device, &options) != CLM_OK) {
        skip();
    }
    clm_device_close(device);
    const uint64_t copies = peak_of_clblast("clblast.GemmRoutine.XGEMM_MIN_INDIRECT_SIZE=0");
    const uint64_t none = peak_of_clblast("clblast.GemmRoutine.XGEMM_MIN_INDIRECT_SIZE=16384");
    assert_true(copies > none + 600 * 600 * sizeof(float));
    (void)peak_of_clblast(XGEMM "8,clblast.GemmRoutine.XGEMM_MIN_INDIRECT_SIZE=0");
}

/* ---- the file ---- */

static char notes[8][512];
static size_t note_count;

static void keep_note(void *context, clm_log_level level, const char *message) {
    (void)context;
    if (level >= CLM_LOG_INFO && note_count < sizeof notes / sizeof *notes) {
        (void)snprintf(notes[note_count++], sizeof notes[0], "%s", message);
    }
}

static bool was_noted(const char *part) {
    for (size_t i = 0; i < note_count; i++) {
        if (strstr(notes[i], part) != NULL) {
            return true;
        }
    }
    return false;
}

enum { TEXT_BYTES = 4096 };

static void read_text(char text[TEXT_BYTES], const char *path) {
    char *all = NULL;
    size_t count = 0;
    assert_ok(clm_file_read(path, CLM_FILE_TEXT, &all, &count));
    (void)snprintf(text, TEXT_BYTES, "%s", all);
    clm_free(all);
}

static void write_text(const char *path, const char *text) {
    clm_test_write(path, text, strlen(text));
}

/* `text` with the first `from` replaced by `to`, into the file. */
static void write_changed(const char *path, const char *text, const char *from, const char *to) {
    const char *at = strstr(text, from);
    char changed[TEXT_BYTES];
    assert_non_null(at);
    (void)snprintf(changed, sizeof changed, "%.*s%s%s", (int)(at - text), text, to,
                   at + strlen(from));
    write_text(path, changed);
}

static void round_trip_on(clm_device *device) {
    const char *path = clm_test_path("settings.json");
    clm_tuned tuned = clm_tuned_nothing();
    clm_tuned again = clm_tuned_nothing();
    assert_ok(clm_tuning_add(&tuned.settings,
                             "gemm.backend=own,gemm.form=panels,gemm.k_block=96,"
                             "gemm.direct_rows=0,ops.width=8," XGEMM "2"));
    (void)snprintf(tuned.preset, sizeof tuned.preset, "normal");
    tuned.gain = 1.25;
    tuned.own_gflops = 200.5;
    assert_ok(clm_tuned_write(&tuned, path, device));
    assert_ok(clm_tuned_read(&again, path, device, false));
    assert_memory_equal(&tuned.settings, &again.settings, sizeof tuned.settings);
    assert_string_equal(tuned.preset, again.preset);
    assert_close(again.gain, 1.25, 0.0005, 0);        /* three digits are written */
    assert_close(again.own_gflops, 200.5, 0.0005, 0); /* one is, and it has one */
    char text[TEXT_BYTES];
    read_text(text, path);
    static const char *const changes[][2] = {
        {"\"gemm.k_block\": 96", "\"gemm.k_block\": 9.5"},
        {"\"gemm.k_block\": 96", "\"gemm.k_block\": true"},
        {"\"gemm.k_block\": 96", "\"gemm.k_bloc\": 96"},
        {"\"gemm.k_block\": 96", "\"gemm.k_block\": -96"},
        {"\"gemm.k_block\": 96", "\"gemm.k_block\": 2147483647"},
        {"\"gemm.k_block\": 96", "\"gemm.k_block\": 1e300"},
        {"\"gain\": 1.25", "\"gain\": -1.25"},
        {"\"gain\": 1.25", "\"gain\": 1e300"},
        {"\"gain\": 1.25", "\"gain\": \"1.25\""},
        {"\"own_gflops\": 200.5", "\"own_gflops\": 1e999"},
        {"\"normal\"", "\"\\u001b[2J\""},
        {"\"panels\"", "\"pannels\""},
        {"\"format\": 1", "\"format\": 2"},
        {"{\"format\"", "[\"format\""},
        {"\"settings\": {", "\"set\": {"},
    };
    for (size_t i = 0; i < sizeof changes / sizeof *changes; i++) {
        write_changed(path, text, changes[i][0], changes[i][1]);
        assert_status(CLM_ERROR_FORMAT, clm_tuned_read(&again, path, device, true));
        assert_message_has("settings.json");
    }
    /* Another device's, and what cannot run on any. */
    static const char *const keys[][2] = {
        {"\"device\": \"", "\"device\": \"other "},
        {"\"platform\": \"", "\"platform\": \"other "},
        {"\"platform_version\": \"", "\"platform_version\": \"other "},
        {"\"driver\": \"", "\"driver\": \"other "},
        {"\"clm\": \"", "\"clm\": \"other "},
        {"\"compute_units\": ", "\"compute_units\": 9"},
    };
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        write_changed(path, text, keys[i][0], keys[i][1]);
        assert_status(CLM_ERROR_FORMAT, clm_tuned_read(&again, path, device, false));
        assert_message_has("--force");
        assert_ok(clm_tuned_read(&again, path, device, true));
    }
    write_changed(path, text, "\"clblast.Xgemm.VWN\": 2", "\"clblast.Xgemm.VWN\": 16");
    assert_status(CLM_ERROR_ARGUMENT, clm_tuned_read(&again, path, device, true));
}
CLM_ON_EACH_DEVICE(round_trip_on)

/* A device opened anew, and the columns of a panel there: what its file says, or else a default. */
static int columns_of_fresh_device(void) {
    clm_device *device = NULL;
    clm_device_options options = CLM_DEVICE_OPTIONS_DEFAULT;
    note_count = 0;
    assert_ok(clm_device_open(&device, &options));
    const int columns = clm_gemm_own_panel_columns(device);
    clm_device_close(device);
    return columns;
}

static clm_gemm_backend backend_of_fresh_device(void) {
    clm_device *device = NULL;
    clm_gemm_backend backend = CLM_GEMM_AUTO;
    note_count = 0;
    assert_ok(clm_device_open(&device, NULL));
    clm_status status = clm_gemm_choose_faster(device, &backend); /* as on what is no processor */
    clm_device_close(device);
    assert_ok(status);
    return backend;
}

static void test_file_of_a_device(void **state) {
    (void)state;
    clm_device *device = NULL;
    char *path = NULL;
    if (clm_device_open(&device, NULL) != CLM_OK) {
        skip();
    }
    if (clm_device_is_emulated(device)) { /* nothing is measured, and nothing kept */
        assert_int_equal(CLM_GEMM_OWN, backend_of_fresh_device());
        clm_device_close(device);
        return;
    }
    assert_int_equal(0, setenv("CLM_CACHE_DIR", clm_test_path("cache"), 1));
    assert_ok(clm_tuned_path(&path, device, "json"));
    clm_log_set_sink(keep_note, NULL, CLM_LOG_DEBUG);
    const int usual = columns_of_fresh_device();
    assert_false(was_noted("tuning"));
    assert_false(clm_file_exists(path));

    clm_tuned tuned = clm_tuned_nothing();
    assert_ok(clm_tuning_add(&tuned.settings, "gemm.width=8,gemm.vectors=8"));
    assert_ok(clm_tuned_write(&tuned, path, device));
    assert_int_equal(64, columns_of_fresh_device());
    assert_false(was_noted("tuning"));

    /* The choice of a backend joins what is there. */
    const clm_gemm_backend backend = backend_of_fresh_device();
    char text[TEXT_BYTES];
    read_text(text, path);
    assert_non_null(strstr(text, "\"gemm.backend\""));
    assert_non_null(strstr(text, "\"gemm.vectors\": 8"));
    assert_int_equal(backend, backend_of_fresh_device());
    char same[TEXT_BYTES];
    read_text(same, path);
    assert_string_equal(text, same);

    /* Switched off, it is neither read nor measured nor written. */
    assert_int_equal(0, setenv("CLM_TUNE", "off", 1));
    assert_int_equal(usual, columns_of_fresh_device());
    (void)remove(path);
    assert_int_equal(CLM_GEMM_OWN, backend_of_fresh_device());
    assert_false(was_noted("measured now"));
    assert_false(clm_file_exists(path));
    assert_int_equal(0, unsetenv("CLM_TUNE"));

    /* Broken or foreign, it is set aside with a warning, and work goes on. */
    char aside[512];
    (void)snprintf(aside, sizeof aside, "%s.broken", path);
    write_changed(path, text, "\"driver\": \"", "\"driver\": \"older ");
    assert_int_equal(usual, columns_of_fresh_device());
    assert_true(was_noted("older"));
    assert_true(clm_file_exists(aside));
    assert_false(clm_file_exists(path));
    write_text(path, "{\"format\": 1");
    assert_int_equal(usual, columns_of_fresh_device());
    assert_true(was_noted("moved aside"));
    assert_int_equal(backend, backend_of_fresh_device());
    assert_true(was_noted("measured now"));
    clm_log_set_sink(NULL, NULL, CLM_LOG_DEBUG);
    clm_free(path);
    clm_device_close(device);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_text),
        cmocka_unit_test(refused_on_test),
        cmocka_unit_test(forced_sizes_on_test),
        cmocka_unit_test(blocks_reach_the_kernel_on_test),
        cmocka_unit_test(groups_reach_the_kernels_on_test),
        cmocka_unit_test(round_trip_on_test),
        cmocka_unit_test(test_file_of_a_device),
        cmocka_unit_test(test_clblast_gets_its_parameters),
    };
    return cmocka_run_group_tests(tests, NULL, clm_test_close_devices);
}

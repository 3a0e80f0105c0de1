/* The table of settings, and which of them go together.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "ops/tuning.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ops/gemm_types.h"

/* ---- the table ---- */

typedef struct setting_row {
    const char *name;
    int least, most;
    bool power_of_two;
} setting_row;

#define SIZES(name, least, most) \
    { name, least, most, true }
#define NUMBER(name, least, most) \
    { name, least, most, false }

static const setting_row table[CLM_SETTING_COUNT] = {
    NUMBER("gemm.backend", CLM_GEMM_OWN, CLM_GEMM_CLBLAST),
    NUMBER("gemm.arithmetic", CLM_GEMM_IN_FLOATS, CLM_GEMM_IN_HALVES),
    NUMBER("gemm.form", CLM_GEMM_OWN_PANELS, CLM_GEMM_OWN_TILED),
    SIZES("gemm.width", 4, 16),
    NUMBER("gemm.vectors", 1, 16),
    SIZES("gemm.rows", 2, 16),
    NUMBER("gemm.k_block", 16, 8192),
    NUMBER("gemm.group_rows", 1, 1024),
    NUMBER("gemm.group_panels", 1, 1024),
    NUMBER("gemm.groups_a_unit", 1, 1024),
    NUMBER("gemm.pack_depth", 1, 65536),
    NUMBER("gemm.pack_depth_transposed", 1, 65536),
    NUMBER("gemm.direct_rows", 0, 65536),
    SIZES("gemm.items", 2, 64),
    NUMBER("gemm.side", 1, 8),
    SIZES("gemm.k_step", 2, 64),
    SIZES("ops.width", 4, 16),
    SIZES("ops.flat_group", 1, 4096),
    SIZES("ops.row_items", 2, 4096),
    SIZES("ops.row_group", 1, 4096),
    /* GEMMK 1 gives wrong results in CLBlast 1.5.3, so 0 is the only value; KREG belongs to it. */
    NUMBER("clblast.Xgemm.GEMMK", 0, 0),
    NUMBER("clblast.Xgemm.KREG", 1, 1),
    SIZES("clblast.Xgemm.KWG", 1, 128),
    SIZES("clblast.Xgemm.KWI", 1, 128),
    SIZES("clblast.Xgemm.MDIMA", 1, 128),
    SIZES("clblast.Xgemm.MDIMC", 1, 128),
    SIZES("clblast.Xgemm.MWG", 1, 256),
    SIZES("clblast.Xgemm.NDIMB", 1, 128),
    SIZES("clblast.Xgemm.NDIMC", 1, 128),
    SIZES("clblast.Xgemm.NWG", 1, 256),
    NUMBER("clblast.Xgemm.SA", 0, 1),
    NUMBER("clblast.Xgemm.SB", 0, 1),
    NUMBER("clblast.Xgemm.STRM", 0, 1),
    NUMBER("clblast.Xgemm.STRN", 0, 1),
    SIZES("clblast.Xgemm.VWM", 1, 16),
    SIZES("clblast.Xgemm.VWN", 1, 16),
    SIZES("clblast.XgemmDirect.KWID", 1, 128),
    SIZES("clblast.XgemmDirect.MDIMAD", 1, 128),
    SIZES("clblast.XgemmDirect.MDIMCD", 1, 128),
    SIZES("clblast.XgemmDirect.NDIMBD", 1, 128),
    SIZES("clblast.XgemmDirect.NDIMCD", 1, 128),
    NUMBER("clblast.XgemmDirect.PADA", 0, 1),
    NUMBER("clblast.XgemmDirect.PADB", 0, 1),
    SIZES("clblast.XgemmDirect.VWMD", 1, 16),
    SIZES("clblast.XgemmDirect.VWND", 1, 16),
    SIZES("clblast.XgemmDirect.WGD", 1, 256),
    SIZES("clblast.Copy.COPY_DIMX", 1, 256),
    SIZES("clblast.Copy.COPY_DIMY", 1, 256),
    SIZES("clblast.Copy.COPY_VW", 1, 16),
    SIZES("clblast.Copy.COPY_WPT", 1, 64),
    SIZES("clblast.Pad.PAD_DIMX", 1, 256),
    SIZES("clblast.Pad.PAD_DIMY", 1, 256),
    SIZES("clblast.Pad.PAD_WPTX", 1, 64),
    SIZES("clblast.Pad.PAD_WPTY", 1, 64),
    SIZES("clblast.Transpose.TRA_DIM", 1, 64),
    NUMBER("clblast.Transpose.TRA_PAD", 0, 1),
    NUMBER("clblast.Transpose.TRA_SHUFFLE", 0, 1),
    SIZES("clblast.Transpose.TRA_WPT", 1, 16),
    NUMBER("clblast.Padtranspose.PADTRA_PAD", 0, 1),
    SIZES("clblast.Padtranspose.PADTRA_TILE", 1, 64),
    SIZES("clblast.Padtranspose.PADTRA_WPT", 1, 16),
    NUMBER("clblast.GemmRoutine.XGEMM_MIN_INDIRECT_SIZE", 0, 16384),
};

const clm_clblast_kernel clm_clblast_kernels[CLM_CLBLAST_KERNELS] = {
    {"Xgemm", CLM_SET_CLBLAST_XGEMM, 16},        {"XgemmDirect", CLM_SET_CLBLAST_XGEMM_DIRECT, 10},
    {"Copy", CLM_SET_CLBLAST_COPY, 4},           {"Pad", CLM_SET_CLBLAST_PAD, 4},
    {"Transpose", CLM_SET_CLBLAST_TRANSPOSE, 4}, {"Padtranspose", CLM_SET_CLBLAST_PADTRANSPOSE, 3},
    {"GemmRoutine", CLM_SET_CLBLAST_ROUTINE, 1},
};

/* Words for values, from the least on. */
enum { WORDS = 2 };
static const char *const backend_words[WORDS] = {"own", "clblast"};
static const char *const arithmetic_words[WORDS] = {"floats", "halves"};
static const char *const form_words[WORDS] = {"panels", "tiled"};

static const char *const *words_of(clm_setting setting) {
    return setting == CLM_SET_GEMM_BACKEND      ? backend_words
           : setting == CLM_SET_GEMM_ARITHMETIC ? arithmetic_words
           : setting == CLM_SET_GEMM_FORM       ? form_words
                                                : NULL;
}

bool clm_setting_is_word(clm_setting setting) {
    return words_of(setting) != NULL;
}

const char *clm_setting_name(clm_setting setting) {
    return table[setting].name;
}

clm_tuning clm_tuning_defaults(void) {
    clm_tuning tuning;
    for (int i = 0; i < CLM_SETTING_COUNT; i++) {
        tuning.values[i] = CLM_NOT_SET;
    }
    return tuning;
}

int clm_tuning_get(const clm_tuning *tuning, clm_setting setting, int otherwise) {
    const int value = tuning->values[setting];
    return value != CLM_NOT_SET ? value : otherwise;
}

/* ---- as text ---- */

void clm_setting_describe(clm_string *text, clm_setting setting, int value) {
    const char *const *words = words_of(setting);
    if (words != NULL) {
        clm_string_add(text, words[value - table[setting].least]);
    } else {
        clm_string_add_format(text, "%d", value);
    }
}

void clm_tuning_describe(clm_string *text, const clm_tuning *tuning) {
    const char *comma = "";
    for (int i = 0; i < CLM_SETTING_COUNT; i++) {
        if (tuning->values[i] != CLM_NOT_SET) {
            clm_string_add_format(text, "%s%s=", comma, table[i].name);
            clm_setting_describe(text, (clm_setting)i, tuning->values[i]);
            comma = ",";
        }
    }
}

static clm_status parse_value(int *value, clm_setting setting, const char *text) {
    const setting_row *row = &table[setting];
    const char *const *words = words_of(setting);
    for (int i = 0; words != NULL && i < WORDS; i++) {
        if (strcmp(text, words[i]) == 0) {
            *value = row->least + i;
            return CLM_OK;
        }
    }
    if (words != NULL) {
        return clm_fail(CLM_ERROR_FORMAT, "%s may be %s or %s, not \"%s\"", row->name, words[0],
                        words[1], text);
    }
    char *end = NULL;
    const long number = strtol(text, &end, 10);
    if (end == text || *end != '\0' || number < row->least || number > row->most ||
        (row->power_of_two && (number & (number - 1)) != 0)) {
        return clm_fail(CLM_ERROR_FORMAT, "%s may be a %s from %d to %d, not \"%s\"", row->name,
                        row->power_of_two ? "power of two" : "whole number", row->least, row->most,
                        text);
    }
    *value = (int)number;
    return CLM_OK;
}

clm_status clm_tuning_set_text(clm_tuning *tuning, const char *name, const char *text) {
    for (int i = 0; i < CLM_SETTING_COUNT; i++) {
        if (strcmp(name, table[i].name) == 0) {
            return parse_value(&tuning->values[i], (clm_setting)i, text);
        }
    }
    return clm_fail(CLM_ERROR_FORMAT, "there is no setting \"%s\"", name);
}

clm_status clm_tuning_add(clm_tuning *tuning, const char *text) {
    while (*text != '\0') {
        char name[64];
        char value[24];
        const size_t length = strcspn(text, ",");
        const char *equals = memchr(text, '=', length);
        if (equals == NULL || (size_t)(equals - text) >= sizeof name ||
            length - (size_t)(equals - text) > sizeof value) {
            return clm_fail(CLM_ERROR_FORMAT, "\"%.*s\" is no setting", (int)length, text);
        }
        (void)snprintf(name, sizeof name, "%.*s", (int)(equals - text), text);
        (void)snprintf(value, sizeof value, "%.*s", (int)(text + length - equals - 1), equals + 1);
        clm_status status = clm_tuning_set_text(tuning, name, value);
        if (status != CLM_OK) {
            return status;
        }
        text += length + (text[length] == ',');
    }
    return CLM_OK;
}

/* ---- what goes together ---- */

/* The widest tile: kernels multiply strides by its columns in int (LARGEST_STRIDE in gemm.c). */
enum { MOST_COLUMNS = 64 };

static clm_status check_own(const clm_tuning *tuning, const clm_device *device) {
    const clm_device_info *info = clm_device_get_info(device);
    const int width = clm_tuning_get(tuning, CLM_SET_GEMM_WIDTH, clm_device_vector_width(device));
    const int vectors = clm_tuning_get(tuning, CLM_SET_GEMM_VECTORS, 3);
    const int columns = width * vectors;
    /* Whoever else reads panels does so in the device's own vectors. */
    if (columns > MOST_COLUMNS || columns % clm_device_vector_width(device) != 0) {
        return clm_fail(
            CLM_ERROR_ARGUMENT,
            "gemm.vectors: %d of %d floats are not a multiple of %d columns, or over %d", vectors,
            width, clm_device_vector_width(device), MOST_COLUMNS);
    }
    const size_t items = (size_t)clm_tuning_get(tuning, CLM_SET_GEMM_ITEMS, 1);
    const size_t side = (size_t)clm_tuning_get(tuning, CLM_SET_GEMM_SIDE, 4);
    const size_t step = (size_t)clm_tuning_get(tuning, CLM_SET_GEMM_K_STEP, 16);
    const size_t local_bytes = 2 * step * (side * items + 1) * sizeof(float);
    if (items * items > info->max_work_group_size || local_bytes > info->local_memory_size_bytes) {
        return clm_fail(CLM_ERROR_ARGUMENT,
                        "gemm.items: %zu x %zu items with %zu bytes of local memory are more than "
                        "the device has (%zu, %llu)",
                        items, items, local_bytes, info->max_work_group_size,
                        (unsigned long long)info->local_memory_size_bytes);
    }
    return CLM_OK;
}

static clm_status check_group(const clm_tuning *tuning, const clm_device *device,
                              clm_setting setting, int items, size_t local_bytes) {
    const clm_device_info *info = clm_device_get_info(device);
    if (tuning->values[setting] != CLM_NOT_SET && ((size_t)items > info->max_work_group_size ||
                                                   local_bytes > info->local_memory_size_bytes)) {
        return clm_fail(CLM_ERROR_ARGUMENT,
                        "%s: a work-group of %d items with %zu bytes of local memory is more than "
                        "the device has (%zu, %llu)",
                        table[setting].name, items, local_bytes, info->max_work_group_size,
                        (unsigned long long)info->local_memory_size_bytes);
    }
    return CLM_OK;
}

/* The side of a tile of CLBlast's two kernels that are products: its loads and sums must come out
 * even. `wg` is the tile, `dim` the items along it, `load` the items along it when it is loaded,
 * `vector` the width of loads. */
static bool side_is_even(int wg, int dim, int load, int vector, int items, int depth) {
    return wg % (dim * vector) == 0 && wg % (load * vector) == 0 && items % load == 0 &&
           depth % (items / load) == 0;
}

/* As CLBlast's own tuner restricts them (src/tuning/kernels/xgemm.hpp and xgemm_direct.hpp). */
static clm_status check_products(const clm_tuning *tuning, const clm_device *device) {
    enum { GEMMK, KREG, KWG, KWI, MDIMA, MDIMC, MWG, NDIMB, NDIMC, NWG, SA, SB, STRM, STRN, VWM };
    enum { KWID, MDIMAD, MDIMCD, NDIMBD, NDIMCD, PADA, PADB, VWMD, VWND, WGD };
    clm_status status = CLM_OK;
    const int *x = &tuning->values[CLM_SET_CLBLAST_XGEMM];
    const int *d = &tuning->values[CLM_SET_CLBLAST_XGEMM_DIRECT];
    if (x[GEMMK] != CLM_NOT_SET) {
        const int items = x[MDIMC] * x[NDIMC];
        if (x[KWG] % x[KWI] != 0 ||
            !side_is_even(x[MWG], x[MDIMC], x[MDIMA], x[VWM], items, x[KWG]) ||
            !side_is_even(x[NWG], x[NDIMC], x[NDIMB], x[VWM + 1], items, x[KWG])) {
            return clm_fail(CLM_ERROR_ARGUMENT, "clblast.Xgemm: sizes that do not divide evenly");
        }
        CLM_TRY(check_group(tuning, device, CLM_SET_CLBLAST_XGEMM, items,
                            sizeof(float) * (size_t)(x[KWG] * (x[SA] * x[MWG] + x[SB] * x[NWG]))));
    }
    if (d[KWID] != CLM_NOT_SET) {
        const int items = d[MDIMCD] * d[NDIMCD];
        if (d[WGD] % d[KWID] != 0 ||
            !side_is_even(d[WGD], d[MDIMCD], d[MDIMAD], d[VWMD], items, d[WGD]) ||
            !side_is_even(d[WGD], d[NDIMCD], d[NDIMBD], d[VWND], items, d[WGD])) {
            return clm_fail(CLM_ERROR_ARGUMENT,
                            "clblast.XgemmDirect: sizes that do not divide evenly");
        }
        CLM_TRY(check_group(tuning, device, CLM_SET_CLBLAST_XGEMM_DIRECT, items,
                            sizeof(float) * (size_t)(d[WGD] * (2 * d[WGD] + d[PADA] + d[PADB]))));
    }
cleanup:
    return status;
}

static clm_status check_copies(const clm_tuning *tuning, const clm_device *device) {
    clm_status status = CLM_OK;
    const int *copy = &tuning->values[CLM_SET_CLBLAST_COPY];
    const int *pad = &tuning->values[CLM_SET_CLBLAST_PAD];
    const int *tra = &tuning->values[CLM_SET_CLBLAST_TRANSPOSE];
    const int *padtra = &tuning->values[CLM_SET_CLBLAST_PADTRANSPOSE];
    CLM_TRY(check_group(tuning, device, CLM_SET_CLBLAST_COPY, copy[0] * copy[1], 0));
    CLM_TRY(check_group(tuning, device, CLM_SET_CLBLAST_PAD, pad[0] * pad[1], 0));
    /* TRA_DIM, TRA_PAD, TRA_SHUFFLE, TRA_WPT and PADTRA_PAD, PADTRA_TILE, PADTRA_WPT. */
    CLM_TRY(check_group(tuning, device, CLM_SET_CLBLAST_TRANSPOSE, tra[0] * tra[0],
                        sizeof(float) * (size_t)(tra[3] * tra[3] * tra[0] * (tra[0] + tra[1]))));
    CLM_TRY(check_group(
        tuning, device, CLM_SET_CLBLAST_PADTRANSPOSE, padtra[1] * padtra[1],
        sizeof(float) * (size_t)(padtra[2] * padtra[1] * (padtra[2] * padtra[1] + padtra[0]))));
cleanup:
    return status;
}

/* CLBlast takes all parameters of a kernel or none. */
static clm_status check_whole(const clm_tuning *tuning) {
    for (int i = 0; i < CLM_CLBLAST_KERNELS; i++) {
        const clm_clblast_kernel *kernel = &clm_clblast_kernels[i];
        int set = 0;
        for (int p = 0; p < kernel->count; p++) {
            set += tuning->values[(int)kernel->first + p] != CLM_NOT_SET;
        }
        if (set != 0 && set != kernel->count) {
            return clm_fail(CLM_ERROR_ARGUMENT, "clblast.%s: %d of its %d parameters are set",
                            kernel->name, set, kernel->count);
        }
    }
    return CLM_OK;
}

clm_status clm_tuning_check(const clm_tuning *tuning, const clm_device *device) {
    static const clm_setting groups[] = {CLM_SET_OPS_FLAT_GROUP, CLM_SET_OPS_ROW_ITEMS,
                                         CLM_SET_OPS_ROW_GROUP};
    clm_status status = CLM_OK;
    if (tuning->values[CLM_SET_GEMM_BACKEND] == CLM_GEMM_CLBLAST && !CLM_WITH_CLBLAST) {
        return clm_fail(CLM_ERROR_ARGUMENT,
                        "gemm.backend: this clm was built without CLBlast (CLM_WITH_CLBLAST=OFF)");
    }
    CLM_TRY(check_own(tuning, device));
    for (size_t i = 0; i < sizeof groups / sizeof *groups; i++) {
        CLM_TRY(check_group(tuning, device, groups[i], tuning->values[groups[i]], 0));
    }
    CLM_TRY(check_whole(tuning));
    CLM_TRY(check_products(tuning, device));
    CLM_TRY(check_copies(tuning, device));
cleanup:
    return status;
}

bool clm_tuning_is_off(void) {
    const char *text = getenv("CLM_TUNE");
    return text != NULL && strcmp(text, "off") == 0;
}

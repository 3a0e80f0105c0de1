/* The settings of a device: which GEMM, its tiles and blocks, CLBlast's parameters, work-groups of
 * the other kernels. `clm tune` searches for fast ones and stores them in a file
 * (ops/tuning_file.h). Operations read them here, and use defaults for the type of device where
 * nothing is set.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef CLM_OPS_TUNING_H
#define CLM_OPS_TUNING_H

#include "base/string.h"
#include "device/device.h"

/* The order is that of the table in tuning.c. Tiles and blocks are drawn in cl/gemm.cl; CLBlast's
 * parameters are documented in its kernel sources. */
typedef enum clm_setting {
    CLM_SET_GEMM_BACKEND,    /* CLM_GEMM_OWN or CLM_GEMM_CLBLAST */
    CLM_SET_GEMM_ARITHMETIC, /* with f16 weights: CLM_GEMM_IN_FLOATS or CLM_GEMM_IN_HALVES */
    CLM_SET_GEMM_FORM,       /* of the own kernel: CLM_GEMM_OWN_PANELS or CLM_GEMM_OWN_TILED */
    CLM_SET_GEMM_WIDTH,      /* from here to K_BLOCK: macros of gemm_panels */
    CLM_SET_GEMM_VECTORS,
    CLM_SET_GEMM_ROWS,
    CLM_SET_GEMM_K_BLOCK,
    CLM_SET_GEMM_GROUP_ROWS, /* tiles that a work-item computes, at most, down and across */
    CLM_SET_GEMM_GROUP_PANELS,
    CLM_SET_GEMM_GROUPS_A_UNIT, /* work-groups for each compute unit, at least */
    CLM_SET_GEMM_PACK_DEPTH,    /* elements of K that a work-item packs */
    CLM_SET_GEMM_PACK_DEPTH_TRANSPOSED,
    CLM_SET_GEMM_DIRECT_ROWS, /* rows up to which B is read unpacked */
    CLM_SET_GEMM_ITEMS,       /* from here: macros of gemm_tiled */
    CLM_SET_GEMM_SIDE,
    CLM_SET_GEMM_K_STEP,

    CLM_SET_OPS_WIDTH,      /* floats in a vector of the other kernels */
    CLM_SET_OPS_FLAT_GROUP, /* work-group of kernels whose items share nothing */
    CLM_SET_OPS_ROW_ITEMS,  /* items that share a row, where more than one does */
    CLM_SET_OPS_ROW_GROUP,  /* work-group along a row, of kernels with one item an element */

    CLM_SET_CLBLAST_XGEMM, /* CLBlast's kernels, each from its first parameter on */
    CLM_SET_CLBLAST_XGEMM_DIRECT = CLM_SET_CLBLAST_XGEMM + 16,
    CLM_SET_CLBLAST_COPY = CLM_SET_CLBLAST_XGEMM_DIRECT + 10,
    CLM_SET_CLBLAST_PAD = CLM_SET_CLBLAST_COPY + 4,
    CLM_SET_CLBLAST_TRANSPOSE = CLM_SET_CLBLAST_PAD + 4,
    CLM_SET_CLBLAST_PADTRANSPOSE = CLM_SET_CLBLAST_TRANSPOSE + 4,
    CLM_SET_CLBLAST_ROUTINE = CLM_SET_CLBLAST_PADTRANSPOSE + 3,
    CLM_SETTING_COUNT = CLM_SET_CLBLAST_ROUTINE + 1
} clm_setting;

enum { CLM_NOT_SET = -1 };

typedef struct clm_tuning {
    int values[CLM_SETTING_COUNT];
} clm_tuning;

/* Nothing set. */
clm_tuning clm_tuning_defaults(void);

/* The value of a setting, or `otherwise` if it is not set. */
int clm_tuning_get(const clm_tuning *tuning, clm_setting setting, int otherwise);

/* "gemm.rows". Static. */
const char *clm_setting_name(clm_setting setting);

/* Sets one by its name; `text` is a number, or for the backend and the form a word.
 * CLM_ERROR_FORMAT names what is wrong: no such setting, or a value outside its range. */
clm_status clm_tuning_set_text(clm_tuning *tuning, const char *name, const char *text);

/* The settings that are set, as "gemm.rows=4,gemm.vectors=2", in the order of the enum, so that
 * equal tunings have equal texts. Adding parses such a text. */
void clm_tuning_describe(clm_string *text, const clm_tuning *tuning);
clm_status clm_tuning_add(clm_tuning *tuning, const char *text);

/* The text of one value, through *text: a number or a word. */
void clm_setting_describe(clm_string *text, clm_setting setting, int value);
bool clm_setting_is_word(clm_setting setting);

/* CLM_ERROR_ARGUMENT unless the device can run every kernel with these settings: sizes divide
 * evenly where kernels need it, and work-groups and local memory are within its limits. */
clm_status clm_tuning_check(const clm_tuning *tuning, const clm_device *device);

/* The device's settings, read from its file at the first call unless CLM_TUNE=off. Never fails:
 * without a usable file (a warning says why), nothing is set. Lent until clm_tuning_use() or until
 * the device is closed. */
const clm_tuning *clm_tuning_of(const clm_device *device);

/* From now on the device uses these settings (a copy; NULL: the defaults), checked as above. For
 * tuning and tests: weights that were packed before may be read wrongly afterwards, and CLBlast
 * keeps the parameters of its first product on the device. */
clm_status clm_tuning_use(clm_device *device, const clm_tuning *tuning);

/* Whether CLM_TUNE=off disables settings files and automatic measuring. */
bool clm_tuning_is_off(void);

/* CLBlast's kernels by name, with the settings from `first` on; a parameter's name is the part of
 * its setting's name after the last dot. */
typedef struct clm_clblast_kernel {
    const char *name;
    clm_setting first;
    int count;
} clm_clblast_kernel;

enum { CLM_CLBLAST_KERNELS = 7, CLM_CLBLAST_MOST_PARAMETERS = 16 };
extern const clm_clblast_kernel clm_clblast_kernels[CLM_CLBLAST_KERNELS];

#endif

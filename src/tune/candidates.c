/* SPDX-License-Identifier: Apache-2.0 */
#include "tune/candidates.h"

#include <stdio.h>
#include <string.h>

#include "base/memory.h"
#include "base/random.h"

/* ---- clm's own GEMM ---- */

#define TILE(vectors, rows) "gemm.vectors=" #vectors ",gemm.rows=" #rows
#define NARROW(width, vectors, rows) "gemm.width=" #width "," TILE(vectors, rows)
#define GROUP(rows, panels) "gemm.group_rows=" #rows ",gemm.group_panels=" #panels
#define BLOCK(items, side, step) "gemm.items=" #items ",gemm.side=" #side ",gemm.k_step=" #step

/* As many sums as registers hold, in shapes from flat to tall. */
static const char *const tiles[] = {TILE(1, 8), TILE(1, 16), TILE(2, 4), TILE(2, 8), TILE(2, 16),
                                    TILE(3, 4), TILE(3, 8),  TILE(4, 4), TILE(4, 8), NULL};
static const char *const more_tiles[] = {NARROW(8, 2, 4), NARROW(8, 2, 8),
                                         NARROW(8, 4, 4), NARROW(8, 3, 4),
                                         NARROW(8, 6, 4), NARROW(4, 2, 4),
                                         NARROW(4, 4, 4), NARROW(4, 4, 8),
                                         TILE(5, 4),      TILE(6, 4),
                                         TILE(4, 2),      TILE(6, 2),
                                         TILE(1, 4),      NULL};
static const char *const depths[] = {
    "gemm.k_block=96",  "gemm.k_block=192",  "gemm.k_block=256",  "gemm.k_block=384",
    "gemm.k_block=512", "gemm.k_block=1536", "gemm.k_block=3072", NULL};
static const char *const groups[] = {GROUP(4, 4),  GROUP(6, 8),   GROUP(12, 4),
                                     GROUP(12, 8), GROUP(24, 2),  GROUP(24, 8),
                                     GROUP(48, 4), GROUP(120, 1), NULL};
static const char *const shares[] = {"gemm.groups_a_unit=1",  "gemm.groups_a_unit=2",
                                     "gemm.groups_a_unit=4",  "gemm.groups_a_unit=16",
                                     "gemm.groups_a_unit=32", NULL};
static const char *const packing[] = {"gemm.pack_depth=48",
                                      "gemm.pack_depth=192",
                                      "gemm.pack_depth=384",
                                      "gemm.pack_depth_transposed=64",
                                      "gemm.pack_depth_transposed=512",
                                      "gemm.pack_depth_transposed=1024",
                                      "gemm.direct_rows=0",
                                      "gemm.direct_rows=8",
                                      "gemm.direct_rows=128",
                                      NULL};
static const char *const blocks[] = {BLOCK(8, 4, 8),
                                     BLOCK(8, 4, 16),
                                     BLOCK(8, 8, 8),
                                     BLOCK(8, 8, 16),
                                     BLOCK(16, 2, 16),
                                     BLOCK(16, 4, 8),
                                     BLOCK(16, 4, 32),
                                     BLOCK(16, 6, 16),
                                     BLOCK(16, 8, 8),
                                     BLOCK(16, 8, 16),
                                     NULL};
static const char *const more_blocks[] = {BLOCK(8, 2, 16),  BLOCK(8, 6, 8),   BLOCK(8, 8, 32),
                                          BLOCK(16, 5, 16), BLOCK(16, 6, 8),  BLOCK(32, 2, 16),
                                          BLOCK(32, 4, 8),  BLOCK(32, 4, 16), NULL};
static const char *const other_form_tiled[] = {"gemm.form=tiled", "gemm.form=tiled,gemm.side=8",
                                               NULL};
static const char *const other_form_panels[] = {"gemm.form=panels", NULL};
static const char *const few_tiles[] = {TILE(1, 8), TILE(2, 4), TILE(2, 8), NULL};

/* ---- CLBlast ---- */

static const char *const clblast[] = {"gemm.backend=clblast", NULL};

/* The place of a kernel in clm_clblast_kernels; -1 is none. */
enum { NO_KERNEL = -1, XGEMM, DIRECT, COPY, PAD, TRANSPOSE, PADTRANSPOSE, ROUTINE };

/* GEMMK, KREG, KWG, KWI, MDIMA, MDIMC, MWG, NDIMB, NDIMC, NWG, SA, SB, STRM, STRN, VWM, VWN. The
 * first half suits GPUs: many items, local memory; the second processors: few items or one, whose
 * tile fills their vector registers. */
static const int xgemm_rows[][16] = {
    {0, 1, 32, 2, 8, 8, 32, 8, 8, 64, 1, 1, 0, 0, 4, 4},
    {0, 1, 32, 2, 16, 16, 64, 16, 16, 64, 1, 1, 0, 0, 4, 4},
    {0, 1, 32, 2, 16, 16, 128, 8, 8, 64, 1, 1, 0, 0, 4, 8},
    {0, 1, 16, 2, 16, 16, 128, 16, 8, 128, 1, 1, 0, 0, 4, 8},
    {0, 1, 32, 2, 32, 32, 128, 8, 8, 64, 1, 1, 0, 0, 4, 2},
    {0, 1, 32, 2, 16, 16, 128, 16, 16, 128, 0, 0, 0, 0, 4, 4},
    {0, 1, 32, 2, 8, 8, 64, 8, 8, 64, 0, 0, 0, 0, 8, 8},
    {0, 1, 32, 2, 4, 4, 64, 4, 4, 32, 0, 0, 0, 0, 16, 8},
    {0, 1, 32, 2, 1, 1, 16, 1, 1, 16, 0, 0, 0, 0, 16, 8},
    {0, 1, 32, 2, 1, 1, 32, 1, 1, 8, 0, 0, 0, 0, 16, 8},
    {0, 1, 32, 2, 1, 1, 16, 1, 1, 8, 0, 0, 0, 0, 8, 8},
    {0, 1, 64, 2, 1, 1, 64, 1, 1, 4, 0, 0, 0, 0, 16, 4},
};
/* KWID, MDIMAD, MDIMCD, NDIMBD, NDIMCD, PADA, PADB, VWMD, VWND, WGD. */
static const int direct_rows[][10] = {
    {2, 8, 8, 8, 8, 1, 1, 1, 1, 8},    {2, 8, 8, 8, 8, 1, 1, 2, 2, 32},
    {2, 8, 8, 16, 16, 1, 1, 4, 2, 32}, {8, 16, 16, 8, 8, 1, 1, 2, 4, 32},
    {2, 8, 8, 8, 8, 0, 0, 4, 4, 64},
};
/* COPY_DIMX, COPY_DIMY, COPY_VW, COPY_WPT. */
static const int copy_rows[][4] = {{8, 8, 4, 4}, {16, 8, 4, 1}, {32, 8, 1, 1}, {8, 8, 8, 8}};
/* PAD_DIMX, PAD_DIMY, PAD_WPTX, PAD_WPTY. */
static const int pad_rows[][4] = {{8, 8, 4, 4}, {16, 8, 2, 2}, {32, 8, 1, 1}};
/* TRA_DIM, TRA_PAD, TRA_SHUFFLE, TRA_WPT. */
static const int transpose_rows[][4] = {{4, 0, 0, 8}, {8, 0, 0, 4}, {16, 1, 0, 4}, {16, 1, 1, 2}};
/* PADTRA_PAD, PADTRA_TILE, PADTRA_WPT. */
static const int padtranspose_rows[][3] = {{0, 8, 4}, {1, 8, 2}, {1, 16, 2}, {1, 32, 1}};
/* XGEMM_MIN_INDIRECT_SIZE: products of at least its cube go through copies. */
static const int routine_rows[][1] = {{0}, {128}, {256}, {448}, {768}, {16384}};

/* ---- the other kernels ---- */

static const char *const vectors[] = {"ops.width=4", "ops.width=8", "ops.width=16", NULL};
static const char *const flat_groups[] = {
    "ops.flat_group=32",   "ops.flat_group=64", "ops.flat_group=128", "ops.flat_group=512",
    "ops.flat_group=1024", "ops.row_group=16",  "ops.row_group=256",  NULL};
static const char *const row_items[] = {"ops.row_items=32",   "ops.row_items=64",
                                        "ops.row_items=128",  "ops.row_items=512",
                                        "ops.row_items=1024", NULL};

/* ---- the stages ---- */

enum { NORMAL = 1 << CLM_TUNE_NORMAL, FULL = 1 << CLM_TUNE_FULL, SMALL = 1 << CLM_TUNE_SMALL };

#define CHANGES(name, part, list, cpu, gpu, presets) \
    { name, list, NULL, NO_KERNEL, 0, 0, part, presets, cpu, gpu }
#define ROWS(name, kernel, list, random, presets)                                             \
    {                                                                                         \
        name, NULL, list[0], kernel, sizeof(list) / sizeof *(list), random, CLM_TUNE_CLBLAST, \
            presets, true, true                                                               \
    }

const clm_tune_stage clm_tune_stages[] = {
    CHANGES("tile", CLM_TUNE_OWN, tiles, true, false, NORMAL | FULL),
    CHANGES("more tiles", CLM_TUNE_OWN, more_tiles, true, false, FULL),
    CHANGES("few tiles", CLM_TUNE_OWN, few_tiles, true, true, SMALL),
    CHANGES("depth of a block", CLM_TUNE_OWN, depths, true, false, NORMAL | FULL),
    CHANGES("tiles of a group", CLM_TUNE_OWN, groups, true, false, NORMAL | FULL),
    CHANGES("groups of a unit", CLM_TUNE_OWN, shares, true, false, NORMAL | FULL),
    CHANGES("packing", CLM_TUNE_OWN, packing, true, false, NORMAL | FULL),
    CHANGES("block", CLM_TUNE_OWN, blocks, false, true, NORMAL | FULL),
    CHANGES("more blocks", CLM_TUNE_OWN, more_blocks, false, true, FULL),
    CHANGES("the other form", CLM_TUNE_OWN, other_form_tiled, true, false, FULL),
    CHANGES("the other form", CLM_TUNE_OWN, other_form_panels, false, true, FULL),
    CHANGES("CLBlast", CLM_TUNE_CLBLAST, clblast, true, true, NORMAL | FULL | SMALL),
    ROWS("CLBlast's Xgemm", XGEMM, xgemm_rows, 0, NORMAL),
    ROWS("CLBlast's Xgemm", XGEMM, xgemm_rows, 64, FULL),
    ROWS("CLBlast's threshold", ROUTINE, routine_rows, 0, NORMAL | FULL),
    ROWS("CLBlast's XgemmDirect", DIRECT, direct_rows, 0, NORMAL),
    ROWS("CLBlast's XgemmDirect", DIRECT, direct_rows, 32, FULL),
    ROWS("CLBlast's Copy", COPY, copy_rows, 0, NORMAL | FULL | SMALL),
    ROWS("CLBlast's Pad", PAD, pad_rows, 0, NORMAL | FULL),
    ROWS("CLBlast's Transpose", TRANSPOSE, transpose_rows, 0, NORMAL | FULL),
    ROWS("CLBlast's Padtranspose", PADTRANSPOSE, padtranspose_rows, 0, NORMAL | FULL),
    CHANGES("vectors", CLM_TUNE_GROUPS, vectors, true, true, NORMAL | FULL),
    CHANGES("work-groups", CLM_TUNE_GROUPS, flat_groups, true, true, NORMAL | FULL),
    CHANGES("items of a row", CLM_TUNE_GROUPS, row_items, false, true, NORMAL | FULL),
};
const int clm_tune_stage_count = sizeof clm_tune_stages / sizeof *clm_tune_stages;

bool clm_tune_stage_is_for(const clm_tune_stage *stage, const clm_device *device,
                           clm_tune_preset preset) {
    const bool cpu = clm_device_is_cpu(device);
    return (stage->presets & 1 << preset) != 0 && (cpu ? stage->cpu : stage->gpu) &&
           (CLM_WITH_CLBLAST || stage->part != CLM_TUNE_CLBLAST);
}

/* ---- lists ---- */

/* Adds the candidate unless it changes nothing or the device cannot run it. */
static bool keep(clm_tune_candidate *candidate, const clm_device *device, const clm_tuning *best) {
    if (memcmp(&candidate->settings, best, sizeof *best) == 0) {
        return false;
    }
    if (clm_tuning_check(&candidate->settings, device) != CLM_OK) {
        clm_error_clear();
        return false;
    }
    return true;
}

static void set_row(clm_tune_candidate *candidate, const clm_clblast_kernel *kernel,
                    const int *row) {
    size_t length = 0;
    candidate->label[0] = '\0';
    for (int i = 0; i < kernel->count; i++) {
        const clm_setting setting = (clm_setting)((int)kernel->first + i);
        candidate->settings.values[setting] = row[i];
        if (length < sizeof candidate->label) {
            length += (size_t)snprintf(candidate->label + length, sizeof candidate->label - length,
                                       "%s%s=%d", i > 0 ? " " : "",
                                       strrchr(clm_setting_name(setting), '.') + 1, row[i]);
        }
    }
}

/* Values to draw from, in the order of rows: those that CLBlast's own tuner tries, and for items 1,
 * which suits processors. */
typedef struct choice {
    unsigned count;
    int values[6];
} choice;

#define ITEMS                  \
    {                          \
        6, {                   \
            1, 2, 4, 8, 16, 32 \
        }                      \
    }
#define SIDES                  \
    {                          \
        5, {                   \
            8, 16, 32, 64, 128 \
        }                      \
    }
#define WIDTHS             \
    {                      \
        5, {               \
            1, 2, 4, 8, 16 \
        }                  \
    }
#define EITHER   \
    {            \
        2, {     \
            0, 1 \
        }        \
    }

static const choice xgemm_choices[] = {{1, {0}}, {1, {1}}, {2, {16, 32}}, {1, {2}}, ITEMS,  ITEMS,
                                       SIDES,    ITEMS,    ITEMS,         SIDES,    EITHER, EITHER,
                                       EITHER,   EITHER,   WIDTHS,        WIDTHS};
static const choice direct_choices[] = {{3, {2, 8, 16}}, ITEMS,  ITEMS,  ITEMS,  ITEMS,
                                        EITHER,          EITHER, WIDTHS, WIDTHS, SIDES};

/* A row that the device can run; false when so many draws gave none. */
static bool draw(clm_tune_candidate *candidate, const clm_tune_stage *stage, clm_philox *random,
                 const clm_device *device, const clm_tuning *best) {
    const clm_clblast_kernel *kernel = &clm_clblast_kernels[stage->kernel];
    const choice *choices = stage->kernel == XGEMM ? xgemm_choices : direct_choices;
    for (int attempt = 0; attempt < 10000; attempt++) {
        int row[CLM_CLBLAST_MOST_PARAMETERS] = {0};
        for (int i = 0; i < kernel->count; i++) {
            row[i] = choices[i].values[clm_philox_next(random) % choices[i].count];
        }
        candidate->settings = *best;
        set_row(candidate, kernel, row);
        if (keep(candidate, device, best)) {
            return true;
        }
    }
    return false;
}

clm_status clm_tune_list(clm_tune_candidate **candidates, int *count, const clm_tune_stage *stage,
                         const clm_device *device, clm_tune_preset preset, const clm_tuning *best) {
    clm_status status = CLM_OK;
    clm_philox random;
    int most = stage->row_count + stage->random_rows;
    for (int i = 0; stage->changes != NULL && stage->changes[i] != NULL; i++) {
        most++;
    }
    *candidates = NULL;
    *count = 0;
    CLM_TRY(clm_allocate(candidates, (size_t)most, sizeof **candidates, "a list of candidates"));
    for (int i = 0; stage->changes != NULL && stage->changes[i] != NULL; i++) {
        clm_tune_candidate *candidate = &(*candidates)[*count];
        candidate->settings = *best;
        (void)snprintf(candidate->label, sizeof candidate->label, "%s", stage->changes[i]);
        CLM_TRY(clm_tuning_add(&candidate->settings, stage->changes[i]));
        *count += keep(candidate, device, best);
    }
    for (int i = 0; i < stage->row_count; i++) {
        clm_tune_candidate *candidate = &(*candidates)[*count];
        const clm_clblast_kernel *kernel = &clm_clblast_kernels[stage->kernel];
        candidate->settings = *best;
        set_row(candidate, kernel, stage->rows + (ptrdiff_t)i * kernel->count);
        *count += keep(candidate, device, best);
    }
    /* The same at each call, so that a stopped search continues with the same candidates. */
    clm_philox_start(&random, (uint64_t)preset, stage->name);
    for (int i = 0; i < stage->random_rows; i++) {
        *count += draw(&(*candidates)[*count], stage, &random, device, best);
    }
cleanup:
    return status;
}

/* A small recipe that PyTorch ran too (tests/golden/make_recipe.py), for tests of whole runs.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef CLM_TEST_TRAIN_RECIPE_H
#define CLM_TEST_TRAIN_RECIPE_H

#include "support/test_devices.h"

#include "clm/report.h"
#include "clm/train.h"

enum { CLM_RECIPE_T = 7 };

typedef struct sets {
    clm_dataset *train, *validation, *test;
} sets;

sets read_sets(void);
void free_sets(sets *s);

clm_finetune_options recipe(void);

/* How train() and others open a run's folder: CLM_RUN_NEW after fresh_run(), until a test says
 * otherwise. */
extern clm_run_use run_use;

/* A folder of this test's own, made empty. The path is lent until the next call. */
const char *fresh_run(void);

/* One run of the golden tiny model. */
clm_status train(clm_device *device, clm_train_policy policy, const char *run,
                 const clm_finetune_options *options, clm_finetune_result *result);

/* The caller frees (clm_free) what the next give. */
char *path_in(const char *run, const char *name);
char *metrics_without_seconds(const char *run); /* metrics.jsonl but for notes and the clock */

void read_metrics(clm_metrics *metrics, const char *run);
void assert_same_file(const char *run_a, const char *run_b, const char *name);

/* Two runs with the same metrics, but for the clock, and the same model. */
void assert_same_run(const char *run, const char *other);

#endif

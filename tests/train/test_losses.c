/* The main job in small: 20 steps of fine-tuning the last block, through the same call as
 * `clm finetune`, on every device present and under Oclgrind. Every loss is PyTorch's
 * (tests/golden/make_recipe.py), so closely that no two implementations differ by 1e-3.
 *
 * With CLM_LOSSES_TABLE=FILE each device adds a row to FILE, for the table of README.md that
 * losses.sh makes.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "recipe.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "support/test_golden.h"

enum { STEPS = 20, EVALS = 2 };

/* Two losses that are each this close to PyTorch's are within 1e-3 of each other. Rounding alone
 * moves them by some 1e-6. */
static const double tolerance = 5e-4;

/* Epochs end after steps 5, 11 and 17, and evaluations come after steps 0 and 10, so that all
 * stages of a run have their turn. */
static clm_finetune_options job(void) {
    clm_finetune_options options = recipe();
    options.epochs = 4;
    options.learning_rate = 3e-3;
    options.eval_every = 10;
    options.eval_batches = 1;
    options.max_steps = STEPS;
    options.final_accuracies = false;
    return options;
}

typedef struct losses {
    float steps[STEPS];
    float evals[2 * EVALS]; /* training and validation, in turn */
} losses;

static void run_job(losses *got, clm_device *device, const clm_finetune_options *options) {
    const char *run = fresh_run();
    clm_finetune_result result;
    clm_metrics metrics;
    assert_ok(train(device, CLM_TRAIN_LAST_BLOCK, run, options, &result));
    read_metrics(&metrics, run);
    assert_int_equal(metrics.step_count, STEPS);
    assert_int_equal(metrics.eval_count, EVALS);
    for (size_t i = 0; i < STEPS; i++) {
        got->steps[i] = (float)metrics.steps[i].loss;
    }
    for (size_t i = 0; i < EVALS; i++) {
        got->evals[2 * i] = (float)metrics.evals[i].train_loss;
        got->evals[2 * i + 1] = (float)metrics.evals[i].val_loss;
    }
    clm_metrics_free(&metrics);
}

/* Freed by the caller. */
static float *golden(const char *name, size_t expected_count) {
    size_t count = 0;
    float *values = clm_test_golden_tensor(clm_test_golden("recipe.safetensors"), name, &count);
    assert_int_equal(count, expected_count);
    return values;
}

static void add_row(const char *name, const float *steps, const char *difference) {
    const char *path = getenv("CLM_LOSSES_TABLE");
    if (path == NULL) {
        return;
    }
    FILE *file = fopen(path, "a");
    assert_non_null(file);
    (void)fprintf(file, "| %s | %.6f | %.6f | %.6f | %.6f | %.6f | %s |\n", name, (double)steps[0],
                  (double)steps[4], (double)steps[9], (double)steps[14], (double)steps[19],
                  difference);
    assert_int_equal(fclose(file), 0);
}

static void losses_are_pytorchs(clm_device *device) {
    const clm_device_info *info = clm_device_get_info(device);
    const clm_finetune_options options = job();
    losses got;
    float *steps = golden("losses.job", STEPS);
    float *evals = golden("evals.job", 2 * (size_t)EVALS);
    run_job(&got, device, &options);
    double largest = 0.0;
    for (size_t i = 0; i < STEPS; i++) {
        largest = fmax(largest, fabs((double)got.steps[i] - (double)steps[i]));
    }
    char name[300];
    char difference[24];
    (void)snprintf(name, sizeof name, "%s, %s", info->platform, info->driver);
    (void)snprintf(difference, sizeof difference, "%.1e", largest);
    print_message("differ from PyTorch's by at most %s\n", difference);
    assert_all_close(got.steps, steps, STEPS, tolerance, 0.0, "losses of steps");
    assert_all_close(got.evals, evals, 2 * (size_t)EVALS, tolerance, 0.0, "losses of evaluations");
    add_row("PyTorch", steps, "");
    add_row(name, got.steps, difference);
    free(steps);
    free(evals);
}

CLM_ON_EACH_DEVICE(losses_are_pytorchs)

/* The comparison sees a learning rate that is off by a hundredth, and a loss that is no number. */
static void another_run_is_told_apart(clm_device *device) {
    static bool done;
    if (done || clm_test_is_simulator(device)) {
        return; /* it is the comparison that is tested, so one device is enough */
    }
    done = true;
    clm_finetune_options options = job();
    losses got;
    float *steps = golden("losses.job", STEPS);
    options.learning_rate *= 1.01;
    run_job(&got, device, &options);
    assert_true(clm_test_worst(got.steps, steps, STEPS, tolerance, 0.0) < STEPS);
    memcpy(got.steps, steps, sizeof got.steps);
    assert_int_equal(clm_test_worst(got.steps, steps, STEPS, tolerance, 0.0), STEPS);
    got.steps[STEPS - 1] = NAN;
    assert_int_equal(clm_test_worst(got.steps, steps, STEPS, tolerance, 0.0), STEPS - 1);
    free(steps);
}

CLM_ON_EACH_DEVICE(another_run_is_told_apart)

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(losses_are_pytorchs_test),
        cmocka_unit_test(another_run_is_told_apart_test),
    };
    return cmocka_run_group_tests(tests, NULL, clm_test_close_devices);
}

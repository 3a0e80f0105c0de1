/* SPDX-License-Identifier: Apache-2.0 */
#include "model/fit.h"

#include "base/log.h"
#include "base/string.h"

#define MIB (1024.0 * 1024.0)

/* With one text of one token where their number is not known: no less can be asked for. */
static clm_status estimate(const clm_fit *fit, const clm_memory_plan *plan,
                           clm_memory_estimate *need) {
    clm_memory_plan some = *plan;
    clm_memory_estimate evaluation;
    clm_status status = CLM_OK;
    some.B = some.B > 0 ? some.B : 1;
    some.T = fit->plan.B > 0 ? some.T : 1;
    CLM_TRY(clm_model_estimate_memory(fit->device, fit->config, &some, need));
    if (fit->evaluated_T <= some.T) {
        return CLM_OK;
    }
    some.train = CLM_TRAIN_NOTHING;
    some.T = fit->evaluated_T;
    CLM_TRY(clm_model_estimate_memory(fit->device, fit->config, &some, &evaluation));
    /* Passes follow one another in the same memory. */
    if (evaluation.activations_bytes > need->activations_bytes) {
        need->total_bytes += evaluation.activations_bytes - need->activations_bytes;
        need->activations_bytes = evaluation.activations_bytes;
    }
    if (evaluation.largest_buffer_bytes > need->largest_buffer_bytes) {
        need->largest_buffer_bytes = evaluation.largest_buffer_bytes;
    }
cleanup:
    return status;
}

static bool has_room_for(const clm_device_info *device, const clm_memory_estimate *need) {
    return need->total_bytes <= device->memory_size_bytes &&
           need->largest_buffer_bytes <= device->max_allocation_size_bytes;
}

/* For advice: what cannot be worked out is not advised. */
static bool fits(const clm_fit *fit, const clm_memory_plan *plan, clm_memory_estimate *need) {
    if (estimate(fit, plan, need) != CLM_OK) {
        clm_error_clear();
        return false;
    }
    return has_room_for(fit->info, need);
}

/* The largest batch up to the plan's that fits, by bisection; 0 when none does. */
static int largest_batch(const clm_fit *fit, clm_memory_plan plan) {
    clm_memory_estimate need;
    if (fits(fit, &plan, &need)) {
        return plan.B;
    }
    int good = 0;
    int bad = plan.B;
    while (bad - good > 1) {
        plan.B = good + (bad - good) / 2;
        if (fits(fit, &plan, &need)) {
            good = plan.B;
        } else {
            bad = plan.B;
        }
    }
    return good;
}

/* Adds "--recompute --batch 4 --accumulate 2 (910 MiB)" for the largest batch with which the plan
 * fits and steps have the same texts, if that is over `least`. Returns that batch, or `least`. */
static int add_way(clm_string *ways, const clm_fit *fit, clm_memory_plan plan, int least) {
    const int64_t step = (int64_t)fit->plan.B * fit->accumulate;
    clm_memory_estimate need;
    int batch = largest_batch(fit, plan);
    while (batch > least && batch < plan.B && step % batch != 0) {
        batch--;
    }
    plan.B = batch;
    if (batch <= least || !fits(fit, &plan, &need)) {
        return least;
    }
    clm_string_add(ways, ways->length > 0 ? "; " : "");
    if (plan.train != fit->plan.train) {
        clm_string_add_format(ways, "--train %s ", clm_train_policy_name(plan.train));
    }
    if (plan.frozen_storage != fit->plan.frozen_storage ||
        plan.kept_storage != fit->plan.kept_storage) {
        clm_string_add(ways, "--precision f16 ");
    }
    if (plan.recompute != fit->plan.recompute) {
        clm_string_add(ways, "--recompute ");
    }
    if (batch != fit->plan.B) {
        clm_string_add_format(ways, "--batch %d --accumulate %lld ", batch,
                              (long long)(step / batch));
    }
    clm_string_add_format(ways, "(%.0f MiB)", (double)need.total_bytes / MIB);
    return batch;
}

/* From what costs least: a way is named when it allows more texts in a pass than those before. */
static void add_ways(clm_string *ways, const clm_fit *fit) {
    int best = 0;
    const bool floats = fit->plan.frozen_storage == CLM_F32 || fit->plan.kept_storage == CLM_F32;
    for (int halves = 0; halves < (floats ? 2 : 1); halves++) {
        for (int again = 0; again < (fit->plan.recompute ? 1 : 2); again++) {
            clm_memory_plan plan = fit->plan;
            plan.frozen_storage = halves == 1 ? CLM_F16 : plan.frozen_storage;
            plan.kept_storage = halves == 1 ? CLM_F16 : plan.kept_storage;
            plan.recompute = plan.recompute || again == 1;
            best = add_way(ways, fit, plan, best);
        }
    }
    for (int train = (int)fit->plan.train - 1; train >= CLM_TRAIN_HEAD && best == 0; train--) {
        clm_memory_plan plan = fit->plan;
        plan.train = (clm_train_policy)train;
        best = add_way(ways, fit, plan, best);
    }
}

/* Whatever the batch. */
static void add_options_for_any_batch(clm_string *ways, const clm_fit *fit) {
    clm_fit one = *fit;
    one.plan.B = 1;
    one.plan.T = 1;
    one.accumulate = 1;
    one.evaluated_T = 0;
    add_ways(ways, &one);
}

static clm_status fail(const clm_fit *fit, const clm_memory_estimate *need) {
    const clm_device_info *device = fit->info;
    clm_string what = {0};
    clm_string ways = {0};
    if (fit->plan.B > 0) {
        clm_string_add_format(&what, "training with batches of %d x %d tokens", fit->plan.B,
                              fit->plan.T);
        if (fit->evaluated_T > fit->plan.T) {
            clm_string_add_format(&what, ", evaluation with %d", fit->evaluated_T);
        }
        add_ways(&ways, fit);
        const int batch = largest_batch(fit, fit->plan);
        if (batch > 0) {
            clm_string_add_format(&ways, "; the largest batch that fits is %d", batch);
        }
    } else {
        clm_string_add(&what, "this model, however few texts it is given");
        add_options_for_any_batch(&ways, fit);
    }
    if (ways.length == 0) {
        clm_string_add(&ways, "nothing of it does; take a smaller model or another device");
    }
    clm_status status = clm_string_status(&what);
    status = status == CLM_OK ? clm_string_status(&ways) : status;
    if (status == CLM_OK) {
        status = clm_fail(CLM_ERROR_DEVICE_MEMORY,
                          "%s has %.0f MiB, %.0f in one piece, too little for %s, which takes "
                          "%.0f, %.0f in one piece (parameters %.0f, gradients %.0f, moments %.0f, "
                          "activations %.0f). What fits: %s",
                          device->name, (double)device->memory_size_bytes / MIB,
                          (double)device->max_allocation_size_bytes / MIB, what.text,
                          (double)need->total_bytes / MIB, (double)need->largest_buffer_bytes / MIB,
                          (double)need->parameters_bytes / MIB, (double)need->gradients_bytes / MIB,
                          (double)need->moments_bytes / MIB, (double)need->activations_bytes / MIB,
                          ways.text);
    }
    clm_string_free(&what);
    clm_string_free(&ways);
    return status;
}

static void log_need(const clm_fit *fit, const clm_memory_estimate *need) {
    clm_string note = {0};
    if (fit->accumulate > 1) {
        clm_string_add_format(&note, ", %d of them a step", fit->accumulate);
    }
    if (fit->evaluated_T > fit->plan.T) {
        clm_string_add_format(&note, ", up to %d tokens in evaluations", fit->evaluated_T);
    }
    clm_string_add(&note, fit->plan.recompute ? ", trained blocks run again" : "");
    if (fit->plan.frozen_storage != CLM_F32 && fit->plan.train != CLM_TRAIN_ALL) {
        clm_string_add_format(&note, ", frozen weights in %s",
                              fit->plan.frozen_storage == CLM_F16 ? "f16" : "bf16");
    }
    if (fit->plan.kept_storage != CLM_F32 && fit->plan.train >= CLM_TRAIN_LAST_TWO_BLOCKS) {
        clm_string_add_format(&note, ", activations kept in %s",
                              fit->plan.kept_storage == CLM_F16 ? "f16" : "bf16");
    }
    clm_log(CLM_LOG_INFO,
            "memory: %.0f MiB of %.0f on the device (parameters %.0f, gradients %.0f, moments "
            "%.0f, activations %.0f) for batches of %d x %d tokens%s",
            (double)need->total_bytes / MIB, (double)fit->info->memory_size_bytes / MIB,
            (double)need->parameters_bytes / MIB, (double)need->gradients_bytes / MIB,
            (double)need->moments_bytes / MIB, (double)need->activations_bytes / MIB, fit->plan.B,
            fit->plan.T, clm_string_status(&note) == CLM_OK && note.length > 0 ? note.text : "");
    clm_string_free(&note);
}

clm_status clm_fit_estimate(const clm_fit *fit, clm_memory_estimate *need) {
    return estimate(fit, &fit->plan, need);
}

clm_status clm_fit_has_room(bool *has_room, const clm_fit *fit) {
    clm_memory_estimate need;
    const clm_status status = estimate(fit, &fit->plan, &need);
    *has_room = status == CLM_OK && has_room_for(fit->info, &need);
    return status;
}

clm_status clm_fit_check(const clm_fit *fit) {
    clm_memory_estimate need;
    const clm_status status = estimate(fit, &fit->plan, &need);
    if (status != CLM_OK) {
        return status;
    }
    if (fit->plan.B > 0) {
        log_need(fit, &need);
    }
    return has_room_for(fit->info, &need) ? CLM_OK : fail(fit, &need);
}

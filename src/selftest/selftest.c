/* The self-test: which operations are tested, what replaces a wrong one, and the result.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "clm/selftest.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/progress.h"
#include "ops/common.h"
#include "ops/gemm.h"
#include "ops/gemm_backend.h"
#include "selftest/mark.h"
#include "selftest/record.h"
#include "selftest/run.h"

typedef enum stand_in {
    BY_NOTHING,
    BY_FORM,  /* the other form of the operation's kernels */
    BY_GEMM,  /* another GEMM */
    BY_FLOATS /* of half arithmetic: that of floats, which has been tested by then */
} stand_in;

typedef struct operation {
    const char *name; /* that of its file in cl/, where it has one */
    clm_status (*check)(clm_selftest_context *run);
    stand_in stand_in;
} operation;

/* Those first that others are made of, so that it is the right one that is named. */
static const operation operations[] = {
    {"convert", clm_selftest_convert, BY_FORM},
    {"reduce", clm_selftest_reduce, BY_FORM},
    {"residual", clm_selftest_residual, BY_FORM},
    {"rows", clm_selftest_rows, BY_FORM},
    {"gelu", clm_selftest_gelu, BY_FORM},
    {"silu_gate", clm_selftest_silu_gate, BY_FORM},
    {"rope", clm_selftest_rope, BY_FORM},
    {"dropout", clm_selftest_dropout, BY_FORM},
    {"adamw", clm_selftest_adamw, BY_FORM},
    {"embedding", clm_selftest_embedding, BY_FORM},
    {"layernorm", clm_selftest_layernorm, BY_FORM},
    {"rmsnorm", clm_selftest_rmsnorm, BY_FORM},
    {"attention", clm_selftest_attention, BY_FORM},
    {"attention_one", clm_selftest_attention_one, BY_FORM},
    {"crossentropy", clm_selftest_crossentropy, BY_FORM},
    {"gemm", clm_selftest_gemm, BY_GEMM},
    {"gemm_half", clm_selftest_gemm_half, BY_FLOATS},
    {"training step", clm_selftest_training_step, BY_NOTHING},
};
enum { OPERATIONS = sizeof operations / sizeof *operations };

const char *clm_selftest_operation(size_t index) {
    return index < OPERATIONS ? operations[index].name : NULL;
}

/* ---- variants to run an operation ---- */

typedef struct variant {
    const char *name;
    clm_ops_form form;
    clm_gemm_backend backend;
    bool few_too;
} variant;

static const variant form_variants[] = {
    {"item", CLM_OPS_ITEM, CLM_GEMM_AUTO, false},
    {"group", CLM_OPS_GROUP, CLM_GEMM_AUTO, false},
};
static const variant gemm_variants[] = {
    {"own-panels", CLM_OPS_ITEM, CLM_GEMM_OWN_PANELS, false},
    {"own-tiled", CLM_OPS_GROUP, CLM_GEMM_OWN_TILED, false},
#if CLM_WITH_CLBLAST
    {"clblast", CLM_OPS_USUAL, CLM_GEMM_CLBLAST, false},
    {"clblast-only", CLM_OPS_USUAL, CLM_GEMM_CLBLAST, true},
#endif
};

static const variant half_variants[] = {
    {"halves", CLM_OPS_USUAL, CLM_GEMM_AUTO, false},
    {"floats", CLM_OPS_USUAL, CLM_GEMM_AUTO, false}, /* tested as a part of gemm */
};
static const variant *const in_floats = &half_variants[1];

static const variant *variants_of(const operation *op, size_t *count) {
    switch (op->stand_in) {
        case BY_FORM:
            *count = sizeof form_variants / sizeof *form_variants;
            return form_variants;
        case BY_GEMM:
            *count = sizeof gemm_variants / sizeof *gemm_variants;
            return gemm_variants;
        case BY_FLOATS:
            *count = sizeof half_variants / sizeof *half_variants;
            return half_variants;
        case BY_NOTHING:
            break;
    }
    *count = 0;
    return NULL;
}

/* What somebody forces is tested, not replaced. */
static bool is_forced(const operation *op) {
    const char *text = getenv(op->stand_in == BY_FORM     ? "CLM_OPS_VARIANT"
                              : op->stand_in == BY_FLOATS ? "CLM_HALF_ARITHMETIC"
                                                          : "CLM_GEMM");
    if (op->stand_in == BY_FLOATS) {
        return text != NULL && strcmp(text, "on") == 0;
    }
    return text != NULL && text[0] != '\0' && strcmp(text, "auto") != 0;
}

static clm_status use(clm_device *device, const operation *op, const variant *w) {
    if (op->stand_in == BY_FORM) {
        return clm_ops_use_form(device, op->name, w->form);
    }
    if (op->stand_in == BY_FLOATS) {
        return clm_gemm_use_arithmetic(
            device, w == in_floats ? CLM_GEMM_IN_FLOATS : CLM_GEMM_ARITHMETIC_AUTO);
    }
    clm_status status = clm_ops_use_form(device, "gemm_few", w->form);
    return status == CLM_OK ? clm_gemm_use(device, w->backend, w->few_too) : status;
}

/* The variant in use; NULL for an operation that has but one. */
static clm_status variant_in_use(const variant **used, clm_device *device, const operation *op) {
    size_t count = 0;
    const variant *variants = variants_of(op, &count);
    clm_gemm_backend backend = CLM_GEMM_AUTO;
    clm_status status = CLM_OK;
    *used = NULL;
    if (op->stand_in == BY_FLOATS) {
        *used = &half_variants[0];
        return CLM_OK;
    }
    if (op->stand_in == BY_GEMM) {
        status = clm_gemm_resolve(device, &backend);
    }
    for (size_t i = 0; i < count && *used == NULL; i++) {
        const bool is_used = op->stand_in == BY_FORM
                                 ? variants[i].form == clm_ops_form_of(device, op->name)
                                 : variants[i].backend == backend;
        *used = is_used ? &variants[i] : NULL;
    }
    return status;
}

/* ---- one operation ---- */

/* Whether a failure says nothing about what the device computes. */
static bool is_outer(clm_status status) {
    return status == CLM_ERROR_MEMORY || status == CLM_ERROR_DEVICE_MEMORY ||
           status == CLM_ERROR_INTERRUPTED || status == CLM_ERROR_INTERNAL;
}

/* Part of what is said of a kernel that a process never came back from. */
static const char crashed[] = "the driver crashed or hung in it";

static bool is_crash(const char *why) {
    return strstr(why, crashed) != NULL;
}

static void describe_crash(const clm_selftest_crash *crash, char *why, size_t why_size) {
    (void)snprintf(why, why_size, "%s: %s%s%s%s: %s, or that process was killed", crash->operation,
                   crash->kernel[0] != '\0' ? "kernel " : "a kernel", crash->kernel,
                   crash->shape[0] != '\0' ? " at " : "", crash->shape, crashed);
}

static void mark_operation(clm_selftest_mark *mark, const char *name, const char *variant_name) {
    mark->now = (clm_selftest_crash){0};
    (void)snprintf(mark->now.operation, sizeof mark->now.operation, "%s", name);
    (void)snprintf(mark->now.variant, sizeof mark->now.variant, "%s", variant_name);
    clm_selftest_mark_write(mark);
}

/* Runs an operation's checks as it is set up now. *right: all results are; else *why says what is
 * not. What the driver refused to do counts as wrong, too; *lasting is false when it might do it
 * another time. What a former process ended in is wrong, and is not tried. */
static clm_status check(clm_selftest_context *run, const operation *op, const variant *w,
                        bool *right, char *why, size_t why_size, bool *lasting) {
    const char *variant_name = w != NULL ? w->name : "";
    const clm_selftest_crash *crash = clm_selftest_mark_find(run->mark, op->name, variant_name);
    if (w == in_floats) {
        *right = true;
        return CLM_OK;
    }
    if (crash != NULL) {
        *right = false;
        describe_crash(crash, why, why_size);
        return CLM_OK;
    }
    mark_operation(run->mark, op->name, variant_name);
    clm_philox_start(&run->random, 1, op->name);
    clm_status status = op->check(run);
    if (status == CLM_OK) {
        clm_selftest_check_guards(run);
        status = run->status;
    }
    if (status == CLM_OK && run->wrong) {
        *right = false;
        (void)snprintf(why, why_size, "%s: %s", op->name, run->why);
    } else if (status == CLM_OK) {
        *right = true;
    } else if (status == CLM_ERROR_TIMEOUT) {
        clm_selftest_mark_keep(run->mark); /* the device is given up; the next process continues */
    } else if (!is_outer(status)) {
        *right = false;
        *lasting = *lasting && status != CLM_ERROR_OPENCL;
        (void)clm_selftest_where(run, run->why, sizeof run->why);
        (void)snprintf(why, why_size, "%s: %s%s", op->name, run->why, clm_error_message());
        clm_error_clear();
        status = CLM_OK;
    }
    clm_selftest_clear(run);
    return status;
}

/* The operation's other variants, one after the other, until one is right: through *found, NULL
 * when none is and the usual one is set again. */
static clm_status find_stand_in(const variant **found, clm_selftest_context *run,
                                const operation *op, const variant *usual, const char *usual_why,
                                bool *lasting) {
    size_t count = 0;
    const variant *variants = variants_of(op, &count);
    clm_status status = CLM_OK;
    *found = NULL;
    for (size_t i = 0; i < count && *found == NULL && !is_forced(op); i++) {
        char why[512];
        bool right = false;
        if (&variants[i] == usual) {
            continue;
        }
        if (is_crash(usual_why)) { /* said now: the other variant may end the process, too */
            clm_log(CLM_LOG_WARNING, "self-test: %s; trying %s instead", usual_why,
                    variants[i].name);
        }
        CLM_TRY(use(run->device, op, &variants[i]));
        CLM_TRY(check(run, op, &variants[i], &right, why, sizeof why, lasting));
        if (right) {
            *found = &variants[i];
        } else {
            clm_log(CLM_LOG_DEBUG, "self-test: %s as %s is not a stand-in: %s", op->name,
                    variants[i].name, why);
        }
    }
    if (*found == NULL && usual != NULL && !is_forced(op)) {
        CLM_TRY(use(run->device, op, usual));
    }
cleanup:
    return status;
}

static void note_stand_in(clm_selftest_report *report, const operation *op, const variant *w) {
    const size_t used = strlen(report->replaced);
    (void)snprintf(report->replaced + used, sizeof report->replaced - used, "%s%s=%s",
                   used > 0 ? " " : "", op->name, w->name);
}

static clm_status test_operation(clm_selftest_result *result, clm_selftest_report *report,
                                 clm_selftest_context *run, const operation *op, char *why,
                                 size_t why_size, bool *lasting) {
    const double start = clm_seconds();
    const int before = run->comparisons;
    const variant *used = NULL;
    const variant *other = NULL;
    bool right = false;
    clm_status status = CLM_OK;
    CLM_TRY(variant_in_use(&used, run->device, op));
    CLM_TRY(check(run, op, used, &right, why, why_size, lasting));
    result->outcome = CLM_SELFTEST_PASSED;
    if (!right) {
        CLM_TRY(find_stand_in(&other, run, op, used, why, lasting));
        result->outcome = other != NULL ? CLM_SELFTEST_REPLACED : CLM_SELFTEST_REFUSED;
        if (other != NULL) {
            note_stand_in(report, op, other);
            used = other;
        }
        if (report->why[0] == '\0' || result->outcome > report->outcome) {
            (void)snprintf(report->why, sizeof report->why, "%s", why);
        }
    }
    if (result->outcome > report->outcome) {
        report->outcome = result->outcome;
    }
    result->form = used != NULL ? used->name : "";
    result->why = right ? "" : why;
    result->comparisons = run->comparisons - before;
    result->seconds = clm_seconds() - start;
cleanup:
    return status;
}

/* ---- all ---- */

static bool should_stop(const clm_selftest_options *options) {
    return options->should_stop != NULL && options->should_stop(options->context);
}

static bool is_requested(const clm_selftest_options *options, const char *name) {
    bool asked = options->operation_count == 0;
    for (size_t i = 0; i < options->operation_count; i++) {
        asked = asked || strcmp(options->operations[i], name) == 0;
    }
    return asked;
}

/* Whether an operation is to be tested: asked for, and one that the device has. */
static clm_status is_tested(bool *tested, const clm_selftest_context *run,
                            const clm_selftest_options *options, const operation *op) {
    clm_gemm_halves halves = CLM_GEMM_NO_HALVES;
    clm_status status = CLM_OK;
    *tested = is_requested(options, op->name);
    if (*tested && op->stand_in == BY_FLOATS) {
        status = clm_gemm_halves_of(run->device, &halves);
        *tested = halves != CLM_GEMM_NO_HALVES;
    }
    if (status == CLM_OK && !*tested && options->operation_count == 1 &&
        is_requested(options, op->name)) {
        status = clm_fail(CLM_ERROR_UNSUPPORTED, "%s: %s has no half arithmetic (cl_khr_fp16)",
                          op->name, clm_device_get_info(run->device)->name);
    }
    return status;
}

static clm_status check_names(const clm_selftest_options *options) {
    for (size_t i = 0; i < options->operation_count; i++) {
        size_t k = 0;
        while (k < OPERATIONS && strcmp(options->operations[i], operations[k].name) != 0) {
            k++;
        }
        if (k == OPERATIONS) {
            return clm_fail(CLM_ERROR_ARGUMENT, "there is no operation \"%s\" to test",
                            options->operations[i]);
        }
    }
    return CLM_OK;
}

static clm_status test_all(clm_selftest_report *report, clm_selftest_context *run,
                           const clm_selftest_options *options, bool *lasting) {
    clm_status status = CLM_OK;
    clm_selftest_result result = {0};
    bool tested[OPERATIONS];
    for (size_t i = 0; i < OPERATIONS; i++) {
        CLM_TRY(is_tested(&tested[i], run, options, &operations[i]));
        result.count += tested[i];
    }
    for (size_t i = 0; i < OPERATIONS && report->outcome != CLM_SELFTEST_REFUSED; i++) {
        char why[640] = "";
        if (!tested[i]) {
            continue;
        }
        if (should_stop(options)) {
            status = clm_fail(CLM_ERROR_INTERRUPTED, "the self-test was stopped");
            goto cleanup;
        }
        clm_progress_tell("testing the device", result.number, result.count, "operations");
        result.operation = operations[i].name;
        result.number++;
        CLM_TRY(test_operation(&result, report, run, &operations[i], why, sizeof why, lasting));
        if (options->on_result != NULL) {
            options->on_result(options->context, &result);
        }
    }
cleanup:
    return status;
}

static clm_status refuse(const clm_selftest_report *report, const clm_device *device,
                         const char *advice) {
    const bool by_crash = is_crash(report->why);
    return clm_fail(
        CLM_ERROR_DEVICE_WRONG, "%s %s, and is not used: %s%s", clm_device_get_info(device)->name,
        by_crash ? "crashes or hangs" : "computes wrongly", report->why,
        by_crash && advice[0] == '\0' ? " ('clm selftest --force' tries again)" : advice);
}

/* ---- what is under test ---- */

typedef struct watch {
    clm_selftest_context *run;
    const clm_selftest_options *options;
} watch;

/* Names the kernel in the mark. Those before it have ended by then, so that none of them is taken
 * for it; but not in the training step, which is to run as it always does. */
static clm_status before_kernel(void *context, const char *kernel) {
    const watch *w = context;
    clm_selftest_mark *mark = w->run->mark;
    if (should_stop(w->options)) {
        return clm_fail(CLM_ERROR_INTERRUPTED, "the self-test was stopped");
    }
    if (mark->descriptor < 0) {
        return CLM_OK;
    }
    if (strcmp(mark->now.operation, operations[OPERATIONS - 1].name) != 0) {
        const clm_status status = clm_device_finish(w->run->device);
        if (status != CLM_OK) {
            return status;
        }
    }
    (void)snprintf(mark->now.kernel, sizeof mark->now.kernel, "%s", kernel);
    clm_selftest_mark_write(mark);
    return CLM_OK;
}

/* Operations that are asked for are tested in any case. */
static void forget_crashes(clm_selftest_mark *mark, const clm_selftest_options *options) {
    for (size_t i = 0; i < OPERATIONS; i++) {
        if (options->again ||
            (options->operation_count > 0 && is_requested(options, operations[i].name))) {
            clm_selftest_mark_forget(mark, operations[i].name);
        }
    }
}

/* The GEMM that the device uses. The first time it is measured, but not with a kernel in which an
 * earlier process crashed. */
static clm_status find_gemm(clm_gemm_backend *gemm, clm_selftest_report *report,
                            clm_selftest_context *run) {
    static const char *const measuring = "measuring";
    const clm_selftest_crash *crash = clm_selftest_mark_find(run->mark, "gemm", measuring);
    if (crash != NULL) {
        describe_crash(crash, report->why, sizeof report->why);
        report->outcome = CLM_SELFTEST_REFUSED;
        return CLM_OK;
    }
    mark_operation(run->mark, "gemm", measuring);
    return clm_gemm_resolve(run->device, gemm);
}

clm_status clm_selftest_run(clm_selftest_report *report, clm_device *device,
                            const clm_selftest_options *options) {
    static const clm_selftest_options defaults = CLM_SELFTEST_OPTIONS_DEFAULT;
    clm_selftest_mark mark;
    clm_selftest_context run = {.device = device, .mark = &mark};
    watch watching = {.run = &run};
    bool kept = false;
    clm_gemm_backend gemm = CLM_GEMM_AUTO;
    bool lasting = true;
    clm_status status = CLM_OK;
    *report = (clm_selftest_report){0};
    options = options != NULL ? options : &defaults;
    watching.options = options;
    clm_selftest_mark_open(&mark, device);
    CLM_TRY(check_names(options));
    forget_crashes(&mark, options);
    clm_device_on_launch(device, before_kernel, &watching);
    CLM_TRY(find_gemm(&gemm, report, &run));
    const double start = clm_seconds();
    CLM_TRY(test_all(report, &run, options, &lasting));
    CLM_TRY(clm_buffer_pool_trim(device));
    report->comparisons = run.comparisons;
    report->seconds = clm_seconds() - start;
    if (options->operation_count == 0 && lasting) {
        kept = clm_selftest_record_keep(report, device, gemm);
    }
    if (report->outcome == CLM_SELFTEST_REFUSED) {
        status = refuse(report, device, "");
    }
cleanup:
    clm_device_on_launch(device, NULL, NULL);
    clm_selftest_mark_close(&mark, kept);
    clm_selftest_clear(&run);
    return status;
}

clm_status clm_selftest_recall(clm_selftest_report *report, clm_device *device) {
    const clm_status status = clm_selftest_record_load(report, device);
    if (report->outcome != CLM_SELFTEST_UNKNOWN && clm_selftest_mark_is_left(device)) {
        *report = (clm_selftest_report){0}; /* older than the unfinished test */
    }
    if (status == CLM_OK && report->outcome == CLM_SELFTEST_REFUSED) {
        return refuse(report, device,
                      " (found before; 'clm selftest --force' tests it again, another --device "
                      "may do)");
    }
    return status;
}

/* ---- for those who use a device ---- */

/* The stand-ins that a report names. One that this version does not know is passed over: the key of
 * the file makes sure that there is none. */
static clm_status use_stand_ins(clm_device *device, const clm_selftest_report *report) {
    clm_status status = CLM_OK;
    for (size_t i = 0; i < OPERATIONS; i++) {
        size_t count = 0;
        const variant *variants = variants_of(&operations[i], &count);
        for (size_t k = 0; k < count; k++) {
            char text[64];
            const int length =
                snprintf(text, sizeof text, "%s=%s", operations[i].name, variants[k].name);
            const char *at = strstr(report->replaced, text);
            if (at != NULL && (at == report->replaced || at[-1] == ' ') &&
                (at[length] == ' ' || at[length] == '\0')) {
                CLM_TRY(use(device, &operations[i], &variants[k]));
            }
        }
    }
cleanup:
    return status;
}

static clm_status test_now(clm_device *device, const clm_selftest_options *options) {
    const char *name = clm_device_get_info(device)->name;
    clm_selftest_report report;
    clm_log(CLM_LOG_INFO,
            "self-test of %s, once for each driver and version of clm (CLM_SELFTEST=off skips it)",
            name);
    const clm_status status = clm_selftest_run(&report, device, options);
    if (status == CLM_OK && report.outcome == CLM_SELFTEST_REPLACED) {
        clm_log(CLM_LOG_WARNING, "self-test of %s: using %s instead of a wrong kernel: %s", name,
                report.replaced, report.why);
    } else if (status == CLM_OK) {
        clm_log(CLM_LOG_INFO, "self-test of %s: passed, %d comparisons in %.1f s", name,
                report.comparisons, report.seconds);
    }
    return status;
}

clm_status clm_selftest_ensure(clm_device *device, const clm_selftest_options *options) {
    const char *setting = getenv("CLM_SELFTEST");
    clm_selftest_report report;
    if (setting != NULL && strcmp(setting, "off") == 0) {
        return CLM_OK;
    }
    clm_status status = clm_selftest_recall(&report, device);
    if (status != CLM_OK) {
        return status;
    }
    if (report.outcome == CLM_SELFTEST_UNKNOWN) {
        return test_now(device, options);
    }
    return use_stand_ins(device, &report);
}

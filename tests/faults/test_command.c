/* What a person sees of a device that fails in the midst of a run, and that the run goes on.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/memory.h"
#include "cli/fixture.h"

/* Ten steps; a checkpoint after five, and at the end. */
#define RUN(out) TRAIN, "--epochs", "2", "--eval-every", "3", "--out", out

static int make_whole(void **state) {
    (void)make_inputs(state);
    assert_done(run_clm(RUN("whole")));
    return 0;
}

static const char *joined(const char *a, const char *b) {
    static char texts[4][1100];
    static size_t turn;
    char *text = texts[turn++ % 4];
    (void)snprintf(text, sizeof *texts, "%s%s", a, b);
    return text;
}

/* Before the first checkpoint there is nothing to resume, which clm says; --force starts over. */
static void assert_resumes(const char *run) {
    assert_no_parts();
    if (clm_file_exists(clm_test_path(joined(run, "/checkpoint.safetensors")))) {
        assert_done(run_clm(RUN(run), "--resume"));
    } else {
        assert_fails(run_clm(RUN(run), "--resume"), 3, run);
        assert_done(run_clm(RUN(run), "--resume", "--force"));
    }
    assert_same_bytes("whole/model.safetensors", joined(run, "/model.safetensors"));
    assert_same_metrics("whole", run);
}

/* The command with CLM_FAULT (see faults.c). */
static clm_test_outcome run_faulty(const char *fault, const char *const *arguments) {
    const clm_test_surroundings around = {.program = CLM_FAULTY_COMMAND,
                                          .environment = {joined("CLM_FAULT=", fault)}};
    return clm_test_run(&around, arguments);
}

/* Lets everything of a kind fail from one moment on, and another, until the run ends before. */
static int fail_from(const char *kind, unsigned first, int status, int other, bool checkpoint_too) {
    int failed = 0;
    int with_checkpoint = 0;
    for (unsigned number = first;; number += number / 2 + 1) {
        char fault[64];
        char run[64];
        (void)snprintf(fault, sizeof fault, "%s %u", kind, number);
        (void)snprintf(run, sizeof run, "%s-%u", kind, number);
        const char *const arguments[] = {RUN(run), NULL};
        clm_test_outcome outcome = run_faulty(fault, arguments);
        if (outcome.status == 0) {
            break;
        }
        print_message("%s: %s", fault, outcome.errors);
        assert_fails(outcome, outcome.status == other ? other : status, "");
        with_checkpoint +=
            clm_file_exists(clm_test_path(joined(run, "/checkpoint.safetensors"))) ? 1 : 0;
        assert_resumes(run);
        failed++;
    }
    assert_true(!checkpoint_too || with_checkpoint > 0);
    return failed;
}

/* Status 5 where the first that fails is memory. */
static void a_lost_device_ends_the_run_and_no_more(void **state) {
    (void)state;
    assert_true(fail_from("opencl", 40, 4, 5, true) > 5);
}

static void full_memory_ends_the_run_and_no_more(void **state) {
    (void)state;
    assert_true(fail_from("memory", 20, 5, 5, false) > 5);
}

static void a_full_device_says_what_was_needed(void **state) {
    (void)state;
    const char *const arguments[] = {RUN("full"), NULL};
    /* Of parameters, of moments, and of what passes work in. */
    static const int numbers[] = {2, 8, 12};
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        char fault[64];
        (void)snprintf(fault, sizeof fault, "clCreateBuffer %d", numbers[i]);
        assert_fails(run_faulty(fault, arguments), 5, " MiB for ", " in use of ",
                     "CL_MEM_OBJECT_ALLOCATION_FAILURE", "try a smaller batch");
    }
    assert_resumes("full");
}

/* cl/ with one line before the first of adamw_step(). */
static const char *kernels_with(const char *name, const char *line) {
    static const char before[] = "    const ulong first = (ulong)get_global_id(0) * WIDTH;\n";
    char command[2200];
    char *text = NULL;
    size_t size_bytes = 0;
    const char *folder = clm_test_path(name);
    (void)snprintf(command, sizeof command, "cp -r '%s' '%s'", clm_test_source("../cl"), folder);
    assert_int_equal(system(command), 0);
    const char *path = joined(folder, "/adamw.cl");
    assert_ok(clm_file_read(path, CLM_FILE_TEXT, &text, &size_bytes));
    const char *at = strstr(text, before);
    assert_non_null(at);
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    (void)fwrite(text, 1, (size_t)(at - text), file);
    (void)fprintf(file, "%s\n%s", line, at);
    assert_int_equal(fclose(file), 0);
    clm_free(text);
    return joined("CLM_KERNEL_DIR=", folder);
}

static void a_kernel_that_does_not_compile_is_named_with_its_line(void **state) {
    (void)state;
    const clm_test_surroundings around = {
        .environment = {kernels_with("broken", "    no_such_type x;")}};
    const clm_test_outcome outcome = run_clm_in(&around, RUN("unbuilt"));
    assert_int_equal(outcome.status, 4); /* PoCL adds a line of its own to the error */
    assert_has(outcome.errors, "clm: ");
    assert_has(outcome.errors, "cl/adamw.cl does not compile");
    assert_has(outcome.errors, "adamw.cl:32:");
    assert_has(outcome.errors, "no_such_type");
    assert_resumes("unbuilt");
}

/* In step 8 (by its bias correction) one work-item goes round a loop for a minute and more. */
static void a_kernel_that_hangs_is_named(void **state) {
    (void)state;
    static const char loop[] =
        "    if (root_correction2 > 0.0865F && get_global_id(0) == 0) {\n"
        "        float x = epsilon;\n"
        "        for (ulong i = 0; i < 20000000000UL; i++) { x = x * 0.999F + step_size; }\n"
        "        if (x == 12345.0F) { parameter[0] = x; }\n"
        "    }";
    const clm_test_surroundings around = {
        .environment = {kernels_with("slow", loop), "CLM_DEVICE_TIMEOUT=1"}};
    const double start = clm_seconds();
    const clm_test_outcome outcome = run_clm_in(&around, RUN("hung"));
    const double seconds = clm_seconds() - start;
    assert_fails(outcome, 4, "kernel adamw_step has not ended for 1 s", "CLM_DEVICE_TIMEOUT");
    assert_true(seconds < 30.0); /* far from the minute that the kernel takes */
    assert_true(clm_file_exists(clm_test_path("hung/checkpoint.safetensors")));
    assert_resumes("hung");
}

static void a_limit_that_is_kept_changes_nothing(void **state) {
    (void)state;
    const clm_test_surroundings around = {.environment = {"CLM_DEVICE_TIMEOUT=60"}};
    assert_done(run_clm_in(&around, RUN("limited")));
    assert_same_bytes("whole/model.safetensors", "limited/model.safetensors");
    assert_same_metrics("whole", "limited");
    const clm_test_surroundings wrong = {.environment = {"CLM_DEVICE_TIMEOUT=soon"}};
    assert_fails(run_clm_in(&wrong, RUN("soon")), 2, "CLM_DEVICE_TIMEOUT", "\"soon\"");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_limit_that_is_kept_changes_nothing),
        cmocka_unit_test(a_kernel_that_hangs_is_named),
        cmocka_unit_test(a_kernel_that_does_not_compile_is_named_with_its_line),
        cmocka_unit_test(a_full_device_says_what_was_needed),
        cmocka_unit_test(a_lost_device_ends_the_run_and_no_more),
        cmocka_unit_test(full_memory_ends_the_run_and_no_more),
    };
    return cmocka_run_group_tests(tests, make_whole, NULL);
}

/* A model's file that is cut short or written to while it is read: at every read of it, and before
 * every pass of a model that computes from the mapped file. Each ends in an error that names the
 * file; none in a signal, and none in other logits.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "support/test_devices.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "clm/model.h"

enum { B = 2, T = 5, n_labels = 3 };
static const int32_t tokens[B * T] = {1, 5, 9, 3, 14, 2, 7, 4, 16, 8};

/* ---- the file changes before a read of it ---- */

static int reads_left; /* until the change; negative: never */
static char changing[512];
static long new_size; /* negative: as it was, but written to */

static void change(void) {
    if (new_size >= 0) {
        assert_int_equal(truncate(changing, new_size), 0);
        return;
    }
    const struct timespec times[2] = {{.tv_nsec = UTIME_NOW}, {.tv_sec = 1}};
    assert_int_equal(utimensat(AT_FDCWD, changing, times, 0), 0);
}

ssize_t __real_pread(int descriptor, void *out, size_t size_bytes, off_t at);
ssize_t __wrap_pread(int descriptor, void *out, size_t size_bytes, off_t at);

ssize_t __wrap_pread(int descriptor, void *out, size_t size_bytes, off_t at) {
    if (reads_left == 0) {
        change();
    }
    reads_left--;
    return __real_pread(descriptor, out, size_bytes, at);
}

/* ---- */

static const char *save_model(clm_device *device) {
    const char *folder = clm_test_path("model");
    clm_model *model = NULL;
    clm_model_options options = CLM_MODEL_OPTIONS_DEFAULT;
    options.n_labels = n_labels;
    reads_left = -1;
    assert_ok(clm_model_open(&model, device,
                             "random:n_layer=1,n_embd=16,n_head=2,n_ctx=32,n_vocab=270,seed=3",
                             &options));
    assert_ok(clm_model_save(model, folder));
    clm_model_close(model);
    (void)snprintf(changing, sizeof changing, "%s/model.safetensors", folder);
    return folder;
}

static clm_status open_model(clm_model **model, clm_device *device, const char *folder,
                             bool one_pass) {
    clm_model_options options = CLM_MODEL_OPTIONS_DEFAULT;
    options.one_pass = one_pass;
    return clm_model_open(model, device, folder, &options);
}

static void a_change_while_it_is_read_is_an_error(clm_device *device) {
    static const long sizes[] = {0, 900, 20000, -1};
    int opened = 0;
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        int at = 0;
        for (clm_status status = CLM_ERROR_IO; status != CLM_OK; at++) {
            clm_model *model = NULL;
            const char *folder = save_model(device);
            new_size = sizes[i];
            reads_left = at;
            status = open_model(&model, device, folder, false);
            assert_true(status == CLM_OK || status == CLM_ERROR_IO);
            if (status == CLM_ERROR_IO) {
                assert_message_has("model.safetensors: was ");
                assert_null(model);
            } else {
                assert_true(reads_left >= 0); /* the change never came */
                opened++;
            }
            clm_model_close(model);
            at += clm_test_is_simulator(device) ? 7 : 0;
        }
        assert_true(at > 3);
    }
    assert_int_equal(opened, sizeof sizes / sizeof *sizes);
}
CLM_ON_EACH_DEVICE(a_change_while_it_is_read_is_an_error)

/* After it has been opened: where the device computes from the file, the next pass says so; where
 * it has all that it needs, the answer is as before. A model that lacks what it was read from is
 * not saved. */
static void a_change_after_it_was_read_is_no_other_answer(clm_device *device) {
    static const long sizes[] = {0, 900, -1};
    for (size_t i = 0; i < 2 * sizeof sizes / sizeof *sizes; i++) {
        const bool one_pass = i % 2 == 1;
        clm_model *model = NULL;
        float before[B * n_labels];
        float after[B * n_labels];
        const char *folder = save_model(device);
        assert_ok(open_model(&model, device, folder, one_pass));
        assert_ok(clm_model_logits(model, tokens, NULL, B, T, before));
        new_size = sizes[i / 2];
        change();
        const clm_status status = clm_model_logits(model, tokens, NULL, B, T, after);
        if (clm_device_is_cpu(device)) {
            assert_int_equal(status, CLM_ERROR_IO);
            assert_message_has("model.safetensors: was ");
        } else {
            assert_int_equal(status, CLM_OK);
            assert_memory_equal(after, before, sizeof after);
        }
        assert_status(CLM_ERROR_IO, clm_model_save(model, clm_test_path("saved")));
        assert_message_has("model.safetensors: was ");
        assert_false(clm_file_exists(clm_test_path("saved/model.safetensors")));
        clm_model_close(model);
    }
}
CLM_ON_EACH_DEVICE(a_change_after_it_was_read_is_no_other_answer)

int main(void) {
    reads_left = -1;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_change_while_it_is_read_is_an_error_test),
        cmocka_unit_test(a_change_after_it_was_read_is_no_other_answer_test),
    };
    return cmocka_run_group_tests(tests, NULL, clm_test_close_devices);
}

/* Built kernels on disk: kept, read, and made again when an entry is damaged. The cache is forced
 * on, because the drivers of these tests' devices keep kernels themselves.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "support/test_devices.h"

#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/file.h"
#include "base/folder.h"
#include "base/memory.h"
#include "base/string.h"
#include "clm/log.h"
#include "device/internal.h"

static int built;
static int cached;

static void count_builds(void *context, clm_log_level level, const char *message) {
    (void)context;
    (void)level;
    built += strstr(message, " built in ") != NULL;
    cached += strstr(message, " read from the cache in ") != NULL;
}

/* Adds 1 and 2 on a freshly opened device. */
static void add_on(const char *index) {
    clm_device *device = NULL;
    clm_device_options options = CLM_DEVICE_OPTIONS_DEFAULT;
    options.pattern = index;
    built = 0;
    cached = 0;
    assert_ok(clm_device_open(&device, &options));
    const float values[2] = {1.0F, 2.0F};
    float sum = 0.0F;
    clm_buffer *a = clm_test_buffer(device, values, 1);
    clm_buffer *b = clm_test_buffer(device, values + 1, 1);
    clm_launch launch = clm_launch_begin(device, "residual", "residual_forward", "-DWIDTH=4");
    clm_launch_buffer(&launch, a);
    clm_launch_buffer(&launch, a);
    clm_launch_buffer(&launch, b);
    clm_launch_ulong(&launch, 1);
    assert_ok(clm_launch_1d(&launch, 1, 1));
    clm_test_buffer_read(a, &sum, 1);
    assert_close(sum, 3.0, 0.0, 0.0);
    clm_test_buffer_check(a, 1);
    clm_test_buffer_check(b, 1);
    clm_device_close(device);
}

/* The same on a device of the same kind. */
static void add_once(const clm_device *like) {
    char index[24];
    (void)snprintf(index, sizeof index, "%d", clm_device_get_info(like)->index);
    add_on(index);
}

/* Makes the cache `<test folder>/<name>-<device>` and nothing else the one in use, forced on. Its
 * folder of kernels, lent until the next call. */
static const char *use_cache(const char *name, const clm_device *device) {
    static char folder[512];
    char base[400];
    (void)snprintf(base, sizeof base, "%s/%s-%d", clm_test_folder(), name,
                   clm_device_get_info(device)->index);
    (void)snprintf(folder, sizeof folder, "%s/kernels", base);
    assert_int_equal(setenv("CLM_CACHE_DIR", base, 1), 0);
    assert_int_equal(setenv("CLM_KERNEL_CACHE", "1", 1), 0);
    clm_log_set_sink(count_builds, NULL, CLM_LOG_DEBUG);
    return folder;
}

/* The one entry of the cache's folder; freed by the caller. */
static char *find_entry(const char *folder) {
    char *path = NULL;
    DIR *directory = opendir(folder);
    assert_non_null(directory);
    for (struct dirent *entry = readdir(directory); entry != NULL; entry = readdir(directory)) {
        if (strstr(entry->d_name, ".bin") != NULL) {
            assert_null(path);
            assert_ok(clm_path_join(&path, folder, entry->d_name));
        }
    }
    (void)closedir(directory);
    assert_non_null(path);
    return path;
}

static void kernels_are_kept_and_damage_is_mended(clm_device *device) {
    const char *folder = use_cache("cache", device);
    add_once(device);
    assert_int_equal(built, 1);
    add_once(device);
    assert_int_equal(built, 0);
    assert_int_equal(cached, 1);

    char *path = find_entry(folder);
    char *bytes = NULL;
    size_t size_bytes = 0;
    assert_ok(clm_file_read(path, CLM_FILE_TEXT, &bytes, &size_bytes));
    /* A byte of the binary, one of the key, a file cut short, an empty one, another version. */
    for (int damage = 0; damage < 5; damage++) {
        static const char version[] = "clm kernel cache ";
        assert_memory_equal(bytes + 8, version, sizeof version - 1);
        const size_t at = damage == 0 ? size_bytes - 20 : damage == 4 ? 8 + sizeof version - 1 : 40;
        const size_t left = damage == 2 ? size_bytes / 2 : damage == 3 ? 0 : size_bytes;
        bytes[at] ^= 0x10;
        assert_ok(clm_file_write(path, bytes, left));
        bytes[at] ^= 0x10;
        add_once(device);
        assert_int_equal(built, 1);
        add_once(device);
        assert_int_equal(cached, 1);
    }
    /* Switched off, nothing is read. */
    assert_int_equal(setenv("CLM_KERNEL_CACHE", "0", 1), 0);
    add_once(device);
    assert_int_equal(built, 1);
    clm_log_set_sink(NULL, NULL, CLM_LOG_DEBUG);
    clm_free(bytes);
    clm_free(path);
}

/* What stands in the way costs a compilation, and nothing is said. */
static void a_cache_that_cannot_be_used_does_no_harm(clm_device *device) {
    char *path = NULL;
    const char *folder = use_cache("blocked", device);
    add_once(device);
    path = find_entry(folder);
    assert_int_equal(unlink(path), 0);
    /* A folder by the entry's name, a file by the folder's. */
    assert_int_equal(mkdir(path, 0777), 0);
    add_once(device);
    add_once(device);
    assert_int_equal(built, 1);
    assert_int_equal(rmdir(path), 0);
    assert_int_equal(rmdir(folder), 0);
    clm_test_write(folder, "x", 1);
    add_once(device);
    assert_int_equal(built, 1);
    assert_int_equal(unlink(folder), 0);
    add_once(device);
    add_once(device);
    assert_int_equal(cached, 1);
    /* A limit of nothing: what is stored is removed at once. */
    assert_int_equal(setenv("CLM_KERNEL_CACHE_MIB", "0", 1), 0);
    assert_int_equal(unlink(path), 0);
    add_once(device);
    assert_false(clm_file_exists(path));
    assert_int_equal(unsetenv("CLM_KERNEL_CACHE_MIB"), 0);
    clm_log_set_sink(NULL, NULL, CLM_LOG_DEBUG);
    clm_free(path);
}

/* What a child prints goes to a file of its own: among this program's lines it would garble both.
 */
static const char *child_output(int child, char *path, size_t size) {
    (void)snprintf(path, size, "%s/child%d.txt", clm_test_folder(), child);
    return path;
}

static pid_t start_child(const clm_device *device, int number) {
    char index[24];
    char path[512];
    (void)snprintf(index, sizeof index, "%d", clm_device_get_info(device)->index);
    const pid_t child = fork();
    if (child == 0) {
        const int output = open(child_output(number, path, sizeof path),
                                O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
        if (output < 0 || dup2(output, STDOUT_FILENO) < 0 || dup2(output, STDERR_FILENO) < 0) {
            _exit(126);
        }
        (void)execl("/proc/self/exe", "test_cache", "child", index, (char *)NULL);
        _exit(127);
    }
    assert_true(child > 0);
    return child;
}

static void trim(const char *path, uint64_t most_bytes) {
    clm_folder folder = {0};
    if (clm_folder_open(&folder, path) == CLM_OK) { /* nobody may have made it yet */
        clm_kernel_cache_trim(&folder, most_bytes);
    }
    clm_folder_close(&folder);
}

/* Does to entries what should never happen to them while others use them. */
static void disturb(const char *folder, unsigned round) {
    DIR *directory = opendir(folder);
    for (struct dirent *entry = NULL; directory != NULL && (entry = readdir(directory)) != NULL;) {
        if (strlen(entry->d_name) != 20) {
            continue;
        }
        const int file = openat(dirfd(directory), entry->d_name, O_RDWR);
        if (file >= 0 && round % 3 == 0) {
            (void)!ftruncate(file, (off_t)(clm_test_random() % 4096));
        } else if (file >= 0 && round % 3 == 1) {
            (void)!pwrite(file, "?", 1, (off_t)(clm_test_random() % 4096));
        }
        if (file >= 0) {
            (void)close(file);
        }
    }
    if (directory != NULL) {
        (void)closedir(directory);
    }
    if (round % 3 == 2) {
        trim(folder, 0);
    }
}

static void assert_child_succeeded(int number, int status) {
    char path[512];
    char *said = NULL;
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0) {
        return;
    }
    size_t size_bytes = 0;
    assert_ok(
        clm_file_read(child_output(number, path, sizeof path), CLM_FILE_TEXT, &said, &size_bytes));
    print_error("child %d ended with wait status %#x, and said:\n%s", number, (unsigned)status,
                said);
    clm_free(said);
    fail();
}

/* Several processes write, read and remove the same entry while it is damaged under them. */
static void processes_do_not_disturb_each_other(clm_device *device) {
    enum { CHILDREN = 4 };
    const char *folder = use_cache("shared", device);
    pid_t children[CHILDREN];
    int left = CHILDREN;
    for (int i = 0; i < CHILDREN; i++) {
        children[i] = start_child(device, i);
    }
    for (unsigned round = 0; left > 0; round++) {
        (void)usleep(20000);
        disturb(folder, round);
        for (int i = 0; i < CHILDREN; i++) {
            int status = 0;
            if (children[i] > 0 && waitpid(children[i], &status, WNOHANG) == children[i]) {
                assert_child_succeeded(i, status);
                children[i] = 0;
                left--;
            }
        }
    }
    /* Nothing half written stays, and the next one mends what is damaged. */
    trim(folder, UINT64_MAX);
    add_once(device);
    add_once(device);
    assert_int_equal(cached, 1);
    clm_free(find_entry(folder));
    clm_log_set_sink(NULL, NULL, CLM_LOG_DEBUG);
}

static void in_child(void **state) {
    for (int round = 0; round < 5; round++) {
        add_on(*state);
    }
}

static int run_child(const char *index) {
    const struct CMUnitTest test = {"in_child", in_child, NULL, NULL, (void *)(uintptr_t)index};
    return cmocka_run_group_tests(&test, NULL, NULL);
}

static void write_entry(const char *folder, const char *name, int age) {
    char path[512];
    char content[100] = {0};
    (void)snprintf(path, sizeof path, "%s/%s", folder, name);
    clm_test_write(path, content, sizeof content);
    const struct timespec times[2] = {{.tv_sec = 1000000 - age}, {.tv_sec = 1000000 - age}};
    assert_int_equal(utimensat(AT_FDCWD, path, times, 0), 0);
}

static bool is_there(const char *folder, const char *name) {
    char path[512];
    (void)snprintf(path, sizeof path, "%s/%s", folder, name);
    return clm_file_exists(path);
}

static void the_oldest_go_first(void **state) {
    (void)state;
    char folder[400];
    (void)snprintf(folder, sizeof folder, "%s/trimmed", clm_test_folder());
    assert_ok(clm_folder_make(folder));
    write_entry(folder, "0000000000000001.bin", 20);
    write_entry(folder, "0000000000000002.bin", 40);
    write_entry(folder, "0000000000000003.bin", 30);
    write_entry(folder, "0000000000000004.bin", 10);
    write_entry(folder, "notes.bin", 99);                                  /* not ours */
    write_entry(folder, "0000000000000005.bin.part-1", 99);                /* nor this */
    write_entry(folder, ".clm-part-00000000000000000000000000000000", 99); /* nobody writes to it */
    trim(folder, 400);
    assert_true(is_there(folder, "0000000000000002.bin"));
    assert_false(is_there(folder, ".clm-part-00000000000000000000000000000000"));
    assert_true(is_there(folder, "0000000000000005.bin.part-1"));
    trim(folder, 299);
    assert_false(is_there(folder, "0000000000000002.bin"));
    assert_false(is_there(folder, "0000000000000003.bin"));
    assert_true(is_there(folder, "0000000000000001.bin"));
    trim(folder, 0);
    assert_false(is_there(folder, "0000000000000004.bin"));
    assert_true(is_there(folder, "notes.bin"));
}

/* ---- threads ---- */

typedef struct user {
    clm_device *device;
    const char *source;
    cl_program program;
    int missed;
} user;

/* Each entry is there from the first store on, whoever stores, loads and cleans up meanwhile. */
static void *store_and_load(void *context) {
    user *u = context;
    for (int i = 0; i < 20; i++) {
        cl_program loaded = NULL;
        clm_kernel_cache_store(u->device, u->program, u->source, "");
        u->missed +=
            clm_kernel_cache_load(&loaded, u->device, u->source, "") != CLM_OK || loaded == NULL;
        if (loaded != NULL) {
            (void)clReleaseProgram(loaded);
        }
    }
    return NULL;
}

static void threads_do_not_disturb_each_other(clm_device *device) {
    const char *source = "__kernel void one(__global float *x) { x[0] = 1.0f; }";
    cl_int code = CL_SUCCESS;
    pthread_t threads[4];
    user users[4];
    (void)use_cache("threads", device);
    /* A program each, as each device of a program's has its own: PoCL 3.1 now and then crashes when
     * several threads ask for the binary of one. */
    for (size_t i = 0; i < 4; i++) {
        users[i] = (user){device, source, NULL, 0};
        users[i].program = clCreateProgramWithSource(device->context, 1, &source, NULL, &code);
        assert_int_equal(code, CL_SUCCESS);
        assert_int_equal(clBuildProgram(users[i].program, 1, &device->id, "", NULL, NULL),
                         CL_SUCCESS);
    }
    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, store_and_load, &users[i]), 0);
    }
    int missed = 0;
    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
        missed += users[i].missed;
        (void)clReleaseProgram(users[i].program);
    }
    clm_log_set_sink(NULL, NULL, CLM_LOG_DEBUG);
    assert_int_equal(missed, 0);
}

CLM_ON_EACH_DEVICE(threads_do_not_disturb_each_other)
CLM_ON_EACH_DEVICE(kernels_are_kept_and_damage_is_mended)
CLM_ON_EACH_DEVICE(a_cache_that_cannot_be_used_does_no_harm)
CLM_ON_EACH_DEVICE(processes_do_not_disturb_each_other)

int main(int argc, char **argv) {
    if (argc == 3 && strcmp(argv[1], "child") == 0) {
        return run_child(argv[2]);
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_oldest_go_first),
        cmocka_unit_test(kernels_are_kept_and_damage_is_mended_test),
        cmocka_unit_test(a_cache_that_cannot_be_used_does_no_harm_test),
        cmocka_unit_test(threads_do_not_disturb_each_other_test),
        cmocka_unit_test(processes_do_not_disturb_each_other_test),
    };
    return cmocka_run_group_tests(tests, NULL, clm_test_close_devices);
}

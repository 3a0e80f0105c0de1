/* Files that are written whole, folders that are held open, locked and cleaned.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "support/test_support.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/file_input.h"
#include "base/folder.h"
#include "base/memory.h"

/* ---- helpers ---- */

static mode_t mode_of(const char *path) {
    struct stat state;
    assert_int_equal(lstat(path, &state), 0);
    return state.st_mode;
}

static void assert_holds(const char *path, const char *text) {
    char *bytes = NULL;
    size_t size_bytes = 0;
    assert_ok(clm_file_read(path, CLM_FILE_TEXT, &bytes, &size_bytes));
    assert_string_equal(bytes, text);
    clm_free(bytes);
}

static int count_entries(const char *folder) {
    DIR *stream = opendir(folder);
    assert_non_null(stream);
    int count = 0;
    while (readdir(stream) != NULL) {
        count++;
    }
    (void)closedir(stream);
    return count - 2;
}

/* Makes the folder. The path is lent until the next call. */
static const char *folder_named(const char *name) {
    static char path[1024];
    (void)snprintf(path, sizeof path, "%s", clm_test_path(name));
    assert_ok(clm_folder_make(path));
    return path;
}

static void make_old(const char *path) {
    const struct timespec times[2] = {{.tv_sec = 1000000}, {.tv_sec = 1000000}};
    assert_int_equal(utimensat(AT_FDCWD, path, times, AT_SYMLINK_NOFOLLOW), 0);
}

/* ---- what a path that a person typed may be ---- */

static void a_file_keeps_its_mode(void **state) {
    (void)state;
    const char *path = clm_test_path("secret.json");
    clm_test_write(path, "old", 3);
    static const mode_t modes[] = {0600, 0640, 0644, 0755};
    for (size_t i = 0; i < sizeof modes / sizeof *modes; i++) {
        assert_int_equal(chmod(path, modes[i]), 0);
        assert_ok(clm_file_write(path, "new", 3));
        assert_int_equal(mode_of(path) & 07777, modes[i]);
    }
    const char *fresh = clm_test_path("fresh.json");
    const mode_t before = umask(027);
    assert_ok(clm_file_write(fresh, "new", 3));
    (void)umask(before);
    assert_int_equal(mode_of(fresh) & 07777, 0640);
}

static void a_typed_link_stays_and_its_target_is_replaced(void **state) {
    (void)state;
    const char *folder = folder_named("links");
    assert_ok(clm_folder_make(clm_test_path("links/deep")));
    clm_test_write(clm_test_path("links/deep/target"), "old", 3);
    assert_int_equal(symlink("deep/target", clm_test_path("links/first")), 0);
    assert_int_equal(symlink("first", clm_test_path("links/second")), 0);
    assert_int_equal(symlink("deep/missing", clm_test_path("links/dangling")), 0);
    assert_int_equal(symlink("circle", clm_test_path("links/circle")), 0);
    assert_ok(clm_file_write(clm_test_path("links/second"), "new", 3));
    assert_holds(clm_test_path("links/deep/target"), "new");
    assert_true(S_ISLNK(mode_of(clm_test_path("links/first"))));
    assert_true(S_ISLNK(mode_of(clm_test_path("links/second"))));
    assert_ok(clm_file_write(clm_test_path("links/dangling"), "made", 4));
    assert_holds(clm_test_path("links/deep/missing"), "made");
    assert_status(CLM_ERROR_IO, clm_file_write(clm_test_path("links/circle"), "x", 1));
    assert_message_has("links/circle: cannot be written");
    assert_int_equal(count_entries(folder), 5);
    assert_int_equal(count_entries(clm_test_path("links/deep")), 2);
}

static void special_files_are_written_directly(void **state) {
    (void)state;
    assert_ok(clm_file_write("/dev/null", "x", 1));
    assert_true(S_ISCHR(mode_of("/dev/null")));
    if (clm_file_exists("/dev/full")) {
        assert_status(CLM_ERROR_NO_SPACE, clm_file_write("/dev/full", "x", 1));
        assert_message_has("/dev/full: cannot be written: No space left on device");
        assert_true(S_ISCHR(mode_of("/dev/full")));
    }

    const char *fifo = clm_test_path("fifo");
    assert_int_equal(mkfifo(fifo, 0600), 0);
    const int reader = open(fifo, O_RDONLY | O_NONBLOCK);
    assert_true(reader >= 0);
    assert_ok(clm_file_write(fifo, "through", 7));
    char got[16] = "";
    assert_int_equal(read(reader, got, sizeof got), 7);
    assert_string_equal(got, "through");
    assert_true(S_ISFIFO(mode_of(fifo)));
    (void)close(reader);

    assert_status(CLM_ERROR_IO, clm_file_write(clm_test_folder(), "x", 1));
    assert_message_has("is a folder, not a file");
    assert_status(CLM_ERROR_NOT_FOUND, clm_file_write(clm_test_path("no/such/file"), "x", 1));
    assert_message_has("no/such/file: cannot be written");
    assert_status(CLM_ERROR_ARGUMENT, clm_file_write("", "x", 1));
    assert_message_has("a path is empty");
}

/* Asking beforehand gives the answer of writing, leaves nothing, and waits for no reader. */
static void whether_a_file_can_be_written_is_known_before(void **state) {
    (void)state;
    const char *folder = folder_named("asked");
    clm_test_write(clm_test_path("asked/file"), "old", 3);
    assert_int_equal(mkfifo(clm_test_path("asked/fifo"), 0600), 0);
    assert_int_equal(symlink("missing", clm_test_path("asked/dangling")), 0);
    static const char *const fine[] = {"asked/file", "asked/new", "asked/fifo", "asked/dangling"};
    for (size_t i = 0; i < sizeof fine / sizeof *fine; i++) {
        assert_ok(clm_file_check_writable(clm_test_path(fine[i])));
    }
    assert_ok(clm_file_check_writable("/dev/null"));
    assert_ok(clm_file_check_writable(CLM_FILE_STDOUT));
    static const char *const bad[] = {"asked", "asked/file/below", "asked/none/file"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        const clm_status status = clm_file_check_writable(clm_test_path(bad[i]));
        assert_true(status != CLM_OK);
        assert_int_equal(clm_file_write(clm_test_path(bad[i]), "x", 1), status);
        assert_message_has("cannot be written");
    }
    assert_status(CLM_ERROR_ARGUMENT, clm_file_check_writable(""));
    assert_ok(clm_folder_check_writable(clm_test_path("asked")));
    assert_ok(clm_folder_check_writable(clm_test_path("asked/new/and/deep")));
    assert_status(CLM_ERROR_EXISTS, clm_folder_check_writable(clm_test_path("asked/file")));
    assert_status(CLM_ERROR_EXISTS, clm_folder_check_writable(clm_test_path("asked/file/below")));
    assert_message_has("asked/file is not a folder");
    assert_status(CLM_ERROR_ARGUMENT, clm_folder_check_writable(""));
    assert_holds(clm_test_path("asked/file"), "old");
    assert_int_equal(count_entries(folder), 3);
}

static void a_full_disk_leaves_what_was_there(void **state) {
    (void)state;
    static const char large[10000];
    char path[1024];
    const char *folder = folder_named("full");
    (void)snprintf(path, sizeof path, "%s", clm_test_path("full/file"));
    clm_test_write(path, "old", 3);
    clm_test_limit_files(5000);
    assert_status(CLM_ERROR_NO_SPACE, clm_file_write(path, large, sizeof large));
    clm_test_limit_files(UINT64_MAX);
    assert_message_has("full/file: cannot be written");
    assert_holds(path, "old");
    assert_int_equal(count_entries(folder), 1);
}

/* As `--json /dev/stdout >file` has it: what was printed before and after is kept. */
static void a_descriptor_is_written_where_it_stands(void **state) {
    (void)state;
    const char *path = clm_test_path("output");
    const int descriptor = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0644);
    assert_true(descriptor >= 0);
    char name[40];
    (void)snprintf(name, sizeof name, "/dev/fd/%d", descriptor);
    assert_int_equal(write(descriptor, "before ", 7), 7);
    assert_ok(clm_file_write(name, "between ", 8));
    assert_int_equal(symlink(name, clm_test_path("named-output")), 0);
    assert_ok(clm_file_write(clm_test_path("named-output"), "linked ", 7));
    assert_int_equal(write(descriptor, "after", 5), 5);
    (void)close(descriptor);
    assert_holds(path, "before between linked after");
    assert_status(CLM_ERROR_IO, clm_file_write(name, "x", 1)); /* closed */
}

/* ---- what may be read ---- */

static void only_files_are_read(void **state) {
    (void)state;
    char *bytes = NULL;
    size_t size_bytes = 0;
    clm_file_input input = {0};
    const char *fifo = clm_test_path("unread");
    assert_int_equal(mkfifo(fifo, 0600), 0);
    assert_status(CLM_ERROR_IO, clm_file_read(fifo, CLM_FILE_CONFIG, &bytes, &size_bytes));
    assert_message_has("is a pipe");
    assert_status(CLM_ERROR_IO, clm_file_input_open(&input, fifo));
    assert_status(CLM_ERROR_IO, clm_file_input_open(&input, "/dev/zero"));
    for (int kind = 0; kind < CLM_FILE_KIND_COUNT; kind++) {
        assert_status(CLM_ERROR_IO,
                      clm_file_read("/dev/zero", (clm_file_kind)kind, &bytes, &size_bytes));
        assert_message_has("/dev/zero: is a device");
        assert_status(CLM_ERROR_IO,
                      clm_file_read(clm_test_folder(), (clm_file_kind)kind, &bytes, &size_bytes));
        assert_status(CLM_ERROR_ARGUMENT,
                      clm_file_read("", (clm_file_kind)kind, &bytes, &size_bytes));
        assert_null(bytes);
    }
    /* What "--input <(zcat ...)" gives. */
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    assert_int_equal(write(ends[1], "a table", 7), 7);
    (void)close(ends[1]);
    char name[40];
    (void)snprintf(name, sizeof name, "/dev/fd/%d", ends[0]);
    assert_holds(name, "a table");
    (void)close(ends[0]);
}

static void no_kind_is_larger_than_its_limit(void **state) {
    (void)state;
    const char *path = clm_test_path("large");
    for (int kind = 0; kind < CLM_FILE_KIND_COUNT; kind++) {
        char *bytes = NULL;
        size_t size_bytes = 0;
        const clm_file_limit *limit = clm_file_limit_of((clm_file_kind)kind);
        clm_test_write(path, "", 0);
        assert_int_equal(truncate(path, (off_t)limit->most_bytes + 1), 0); /* takes no room */
        assert_status(CLM_ERROR_FORMAT,
                      clm_file_read(path, (clm_file_kind)kind, &bytes, &size_bytes));
        assert_message_has(limit->what);
        assert_null(bytes);
    }
    assert_int_equal(unlink(path), 0);
}

static void a_stream_without_end_ends(void **state) {
    (void)state;
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    const pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        (void)signal(SIGPIPE, SIG_DFL);
        (void)close(ends[0]);
        static const char zeros[65536];
        while (write(ends[1], zeros, sizeof zeros) > 0) {
        }
        _exit(0);
    }
    (void)close(ends[1]);
    /* A pipe as a configuration is refused; so that the limit is seen, its size is not known. */
    char *bytes = NULL;
    size_t size_bytes = 0;
    assert_status(CLM_ERROR_IO, clm_file_read_descriptor(ends[0], "endless", CLM_FILE_CONFIG,
                                                         &bytes, &size_bytes));
    (void)close(ends[0]);
    assert_int_equal(waitpid(child, NULL, 0), child);
}

/* ---- making folders ---- */

static void folder_creation_errors_name_the_cause(void **state) {
    (void)state;
    clm_test_write(clm_test_path("plain"), "x", 1);
    assert_status(CLM_ERROR_EXISTS, clm_folder_make(clm_test_path("plain")));
    assert_message_has("a file has its name");
    assert_status(CLM_ERROR_EXISTS, clm_folder_make(clm_test_path("plain/below")));
    assert_status(CLM_ERROR_ARGUMENT, clm_folder_make(""));
    assert_ok(clm_folder_make("/"));
    assert_ok(clm_folder_make(clm_test_path("a/b//c/")));
    /* Root is denied nothing; everybody is denied this. */
    assert_true(clm_folder_make("/proc/clm-test") != CLM_OK);
    assert_null(strstr(clm_error_message(), "File exists"));
    if (geteuid() != 0) {
        assert_int_equal(chmod(folder_named("denied"), 0500), 0);
        assert_status(CLM_ERROR_IO, clm_folder_make(clm_test_path("denied/x")));
        assert_message_has("Permission denied");
    }
    char name[300];
    memset(name, 'n', sizeof name);
    name[sizeof name - 1] = '\0';
    assert_status(CLM_ERROR_IO, clm_folder_make(clm_test_path(name)));
    assert_message_has(strerror(ENAMETOOLONG));
}

/* ---- names that clm makes ---- */

static void links_under_own_names_are_refused(void **state) {
    (void)state;
    clm_folder folder = {0};
    char *bytes = NULL;
    size_t size_bytes = 0;
    const char *precious = clm_test_path("precious");
    clm_test_write(precious, "precious", 8);
    assert_ok(clm_folder_open(&folder, folder_named("run")));
    assert_int_equal(symlink("../precious", clm_test_path("run/metrics.jsonl")), 0);
    assert_status(CLM_ERROR_EXISTS, clm_folder_append(&folder, "metrics.jsonl", "x", 1));
    assert_message_has("run/metrics.jsonl: is a symbolic link");
    assert_status(CLM_ERROR_EXISTS, clm_folder_write(&folder, "metrics.jsonl", "x", 1));
    assert_message_has("run/metrics.jsonl: is a symbolic link");
    assert_status(CLM_ERROR_EXISTS,
                  clm_folder_read(&folder, "metrics.jsonl", CLM_FILE_METRICS, &bytes, &size_bytes));
    int descriptor = 0;
    assert_status(CLM_ERROR_EXISTS,
                  clm_folder_open_file(&descriptor, &folder, "metrics.jsonl", O_RDWR | O_CREAT));
    assert_true(descriptor < 0 && clm_folder_has(&folder, "metrics.jsonl"));
    assert_holds(precious, "precious");
    assert_ok(clm_folder_remove(&folder, "metrics.jsonl"));
    assert_ok(clm_folder_remove(&folder, "metrics.jsonl"));
    assert_false(clm_folder_has(&folder, "metrics.jsonl"));
    assert_holds(precious, "precious");

    assert_int_equal(symlink("../precious", clm_test_path("run/config.json")), 0);
    assert_status(CLM_ERROR_EXISTS, clm_file_write_own(clm_test_path("run/config.json"), "x", 1));
    assert_message_has("run/config.json: is a symbolic link");
    assert_status(CLM_ERROR_ARGUMENT, clm_file_write_own("", "x", 1));
    assert_holds(precious, "precious");
    assert_int_equal(mkfifo(clm_test_path("run/fifo"), 0600), 0);
    assert_status(CLM_ERROR_EXISTS, clm_folder_write(&folder, "fifo", "x", 1));
    assert_true(clm_folder_append(&folder, "fifo", "x", 1) != CLM_OK);
    assert_status(CLM_ERROR_ARGUMENT, clm_folder_append(&folder, "../precious", "x", 1));
    assert_status(CLM_ERROR_ARGUMENT, clm_folder_write(&folder, "..", "x", 1));
    assert_status(CLM_ERROR_ARGUMENT, clm_folder_remove(&folder, ""));
    assert_status(CLM_ERROR_NOT_FOUND,
                  clm_folder_read(&folder, "missing", CLM_FILE_METRICS, &bytes, &size_bytes));

    /* The folder is the one that was opened, whatever is put in its place. */
    assert_ok(clm_folder_append(&folder, "lines", "one\n", 4));
    assert_int_equal(rename(clm_test_path("run"), clm_test_path("moved")), 0);
    assert_int_equal(symlink(".", clm_test_path("run")), 0);
    assert_ok(clm_folder_append(&folder, "lines", "two\n", 4));
    assert_ok(clm_folder_write(&folder, "whole", "w", 1));
    clm_folder_close(&folder);
    assert_holds(clm_test_path("moved/lines"), "one\ntwo\n");
    assert_holds(clm_test_path("moved/whole"), "w");
}

/* ---- parts ---- */

static const char *part_in(const char *folder) {
    static char path[2048];
    DIR *stream = opendir(folder);
    assert_non_null(stream);
    path[0] = '\0';
    for (const struct dirent *entry = NULL; (entry = readdir(stream)) != NULL;) {
        if (strncmp(entry->d_name, ".clm-part-", 10) == 0) {
            (void)snprintf(path, sizeof path, "%.1000s/%s", folder, entry->d_name);
        }
    }
    (void)closedir(stream);
    return path[0] != '\0' ? path : NULL;
}

/* A process that begins to write, or makes a folder aside, and waits to be killed. */
static pid_t start_writer(const char *path, bool folder) {
    int ready[2];
    assert_int_equal(pipe(ready), 0);
    const pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        clm_file_writer writer = {0};
        clm_folder part = {0};
        const bool good = folder ? clm_part_make_folder(&part, path) == CLM_OK &&
                                       clm_folder_write(&part, "inside", "x", 1) == CLM_OK
                                 : clm_file_writer_open(&writer, path) == CLM_OK;
        (void)!write(ready[1], good ? "y" : "n", 1);
        (void)pause();
        _exit(0);
    }
    char answer = 'n';
    assert_int_equal(read(ready[0], &answer, 1), 1);
    (void)close(ready[0]);
    (void)close(ready[1]);
    assert_int_equal(answer, 'y');
    return child;
}

static void end(pid_t child) {
    assert_int_equal(kill(child, SIGKILL), 0);
    assert_int_equal(waitpid(child, NULL, 0), child);
}

static void only_abandoned_parts_are_removed(void **state) {
    (void)state;
    for (int is_folder = 0; is_folder < 2; is_folder++) {
        clm_folder folder = {0};
        char name[32];
        char inside[64];
        (void)snprintf(name, sizeof name, "parts-%d", is_folder);
        const char *path = folder_named(name);
        assert_ok(clm_folder_open(&folder, path));
        (void)snprintf(inside, sizeof inside, "%s/model.safetensors", name);
        const pid_t child = start_writer(clm_test_path(inside), is_folder != 0);
        const char *part = part_in(path);
        assert_non_null(part);
        make_old(part);
        clm_folder_remove_parts(&folder);
        assert_non_null(part_in(path)); /* its writer lives */
        end(child);
        make_old(part); /* for file systems that others may share */
        clm_folder_remove_parts(&folder);
        assert_null(part_in(path));
        assert_int_equal(count_entries(path), 0);
        clm_folder_close(&folder);
    }
}

static void messages_name_what_a_part_becomes(void **state) {
    (void)state;
    static const char large[1000];
    clm_folder part = {0};
    assert_ok(clm_part_make_folder(&part, clm_test_path("becomes/")));
    clm_test_limit_files(500);
    assert_status(CLM_ERROR_NO_SPACE, clm_folder_write(&part, "inside", large, sizeof large));
    clm_test_limit_files(UINT64_MAX);
    assert_message_has("becomes/inside: cannot be written");
    assert_null(strstr(clm_error_message(), "-part-"));
    clm_folder_close_and_remove(&part);
    assert_null(part_in(clm_test_folder()));
}

static void files_of_strangers_stay(void **state) {
    (void)state;
    static const char *const names[] = {"data.part-1",
                                        "model.safetensors.part-2147483647",
                                        ".clm-part-",
                                        ".clm-part-0123456789abcdef0123456789abcdeF",
                                        ".clm-part-0123456789abcdef0123456789abcde",
                                        ".clm-part-0123456789abcdef0123456789abcdef0",
                                        "x.clm-part-0123456789abcdef0123456789abcdef"};
    const int count = (int)(sizeof names / sizeof *names);
    clm_folder folder = {0};
    const char *path = folder_named("strangers");
    assert_ok(clm_folder_open(&folder, path));
    for (int i = 0; i < count; i++) {
        char name[80];
        (void)snprintf(name, sizeof name, "strangers/%s", names[i]);
        clm_test_write(clm_test_path(name), "x", 1);
        make_old(clm_test_path(name));
    }
    /* A link that has the form: neither it nor what it points to is clm's. */
    const char *link = clm_test_path("strangers/.clm-part-00000000000000000000000000000000");
    assert_int_equal(symlink("data.part-1", link), 0);
    clm_folder_remove_parts(&folder);
    assert_int_equal(count_entries(path), count + 1);
    clm_folder_close(&folder);
}

typedef struct writing {
    const char *path;
    int wrong;
} writing;

static void *write_often(void *context) {
    writing *w = context;
    for (int i = 0; i < 200; i++) {
        w->wrong += clm_file_write(w->path, "whole", 5) != CLM_OK;
    }
    return NULL;
}

/* The same name from many threads, while somebody cleans up: each write succeeds. */
static void threads_do_not_meet(void **state) {
    (void)state;
    const char *path = folder_named("busy");
    char file[1024];
    (void)snprintf(file, sizeof file, "%s", clm_test_path("busy/file"));
    clm_folder folder = {0};
    assert_ok(clm_folder_open(&folder, path));
    pthread_t threads[4];
    writing jobs[4];
    for (size_t i = 0; i < 4; i++) {
        jobs[i] = (writing){file, 0};
        assert_int_equal(pthread_create(&threads[i], NULL, write_often, &jobs[i]), 0);
    }
    for (int i = 0; i < 200; i++) {
        clm_folder_remove_parts(&folder);
    }
    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
        assert_int_equal(jobs[i].wrong, 0);
    }
    clm_folder_close(&folder);
    assert_holds(file, "whole");
    assert_int_equal(count_entries(path), 1);
}

/* ---- the lock ---- */

static pid_t start_holder(const char *path) {
    int ready[2];
    assert_int_equal(pipe(ready), 0);
    const pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        clm_folder folder = {0};
        const bool good =
            clm_folder_open(&folder, path) == CLM_OK && clm_folder_lock(&folder) == CLM_OK;
        (void)!write(ready[1], good ? "y" : "n", 1);
        (void)pause();
        _exit(0);
    }
    char answer = 'n';
    assert_int_equal(read(ready[0], &answer, 1), 1);
    (void)close(ready[0]);
    (void)close(ready[1]);
    assert_int_equal(answer, 'y');
    return child;
}

static void one_process_has_the_lock(void **state) {
    (void)state;
    clm_folder folder = {0};
    clm_folder again = {0};
    const char *path = folder_named("locked");
    const pid_t child = start_holder(path);
    char process[40];
    (void)snprintf(process, sizeof process, "process %ld on ", (long)child);
    assert_ok(clm_folder_open(&folder, path));
    assert_status(CLM_ERROR_BUSY, clm_folder_lock(&folder));
    assert_message_has("locked: is in use by ");
    assert_message_has(process);
    assert_message_has(" UTC");
    end(child);
    assert_ok(clm_folder_lock(&folder)); /* at once */
    assert_ok(clm_folder_open(&again, path));
    assert_status(CLM_ERROR_BUSY, clm_folder_lock(&again)); /* the same process, too */
    clm_folder_close(&folder);
    assert_int_equal(count_entries(path), 0); /* nothing is left */
    assert_ok(clm_folder_lock(&again));
    clm_folder_close(&again);

    const char *link = clm_test_path("locked/.clm-lock");
    clm_test_write(clm_test_path("precious-too"), "p", 1);
    assert_int_equal(symlink("../precious-too", link), 0);
    assert_ok(clm_folder_open(&folder, path));
    assert_status(CLM_ERROR_EXISTS, clm_folder_lock(&folder));
    clm_folder_close(&folder);
    assert_holds(clm_test_path("precious-too"), "p");
}

typedef struct contest {
    const char *path;
    pthread_mutex_t *mutex; /* of the counter */
    int *inside;
    int wins, wrong;
} contest;

static void *contend(void *context) {
    contest *c = context;
    for (int i = 0; i < 300; i++) {
        clm_folder folder = {0};
        if (clm_folder_open(&folder, c->path) != CLM_OK) {
            c->wrong++;
            continue;
        }
        const clm_status status = clm_folder_lock(&folder);
        if (status == CLM_OK) {
            (void)pthread_mutex_lock(c->mutex);
            c->wrong += ++*c->inside != 1;
            (void)pthread_mutex_unlock(c->mutex);
            c->wins++;
            (void)pthread_mutex_lock(c->mutex);
            --*c->inside;
            (void)pthread_mutex_unlock(c->mutex);
        } else {
            c->wrong += status != CLM_ERROR_BUSY;
        }
        clm_folder_close(&folder);
    }
    return NULL;
}

static void one_thread_has_the_lock(void **state) {
    (void)state;
    pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
    pthread_t threads[4];
    contest jobs[4];
    int inside = 0;
    int wins = 0;
    const char *path = folder_named("contested");
    for (size_t i = 0; i < 4; i++) {
        jobs[i] = (contest){path, &mutex, &inside, 0, 0};
        assert_int_equal(pthread_create(&threads[i], NULL, contend, &jobs[i]), 0);
    }
    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
        assert_int_equal(jobs[i].wrong, 0);
        wins += jobs[i].wins;
    }
    assert_true(wins > 0);
    assert_int_equal(count_entries(path), 0);
}

/* ---- the cache ---- */

static void the_cache_is_the_callers_alone(void **state) {
    (void)state;
    char *before = getenv("CLM_CACHE_DIR") != NULL ? strdup(getenv("CLM_CACHE_DIR")) : NULL;
    assert_int_equal(setenv("CLM_CACHE_DIR", clm_test_path("cache/own"), 1), 0);
    static const mode_t masks[] = {0, 022, 077, 0777};
    for (size_t i = 0; i < sizeof masks / sizeof *masks; i++) {
        clm_folder folder = {0};
        char name[16];
        char file[64];
        (void)snprintf(name, sizeof name, "kernels-%zu", i);
        const mode_t mask = umask(masks[i]);
        assert_ok(clm_cache_open(&folder, name));
        assert_ok(clm_folder_write(&folder, "entry", "x", 1));
        assert_ok(clm_folder_append(&folder, "lines", "x\n", 2));
        (void)umask(mask);
        assert_int_equal(mode_of(clm_test_path("cache/own")) & 07777, 0700);
        assert_int_equal(mode_of(folder.path) & 07777, 0700);
        (void)snprintf(file, sizeof file, "cache/own/%s/entry", name);
        assert_int_equal(mode_of(clm_test_path(file)) & 07777, 0600);
        (void)snprintf(file, sizeof file, "cache/own/%s/lines", name);
        assert_int_equal(mode_of(clm_test_path(file)) & 07777, 0600);
        clm_folder_close(&folder);
    }

    /* What others may write to is not read. */
    clm_folder folder = {0};
    char *bytes = NULL;
    size_t size_bytes = 0;
    const char *entry = clm_test_path("cache/own/kernels-1/entry");
    assert_int_equal(chmod(clm_test_path("cache/own/kernels-1"), 0777), 0);
    assert_ok(clm_cache_open(&folder, "kernels-1"));
    assert_int_equal(mode_of(folder.path) & 07777, 0700); /* the caller's is mended */
    assert_ok(clm_folder_read(&folder, "entry", CLM_FILE_KERNEL, &bytes, &size_bytes));
    clm_free(bytes);
    static const mode_t lax[] = {0620, 0602, 0666};
    for (size_t i = 0; i < sizeof lax / sizeof *lax; i++) {
        assert_int_equal(chmod(entry, lax[i]), 0);
        assert_status(CLM_ERROR_IO,
                      clm_folder_read(&folder, "entry", CLM_FILE_KERNEL, &bytes, &size_bytes));
        assert_message_has("is not trusted");
        assert_status(CLM_ERROR_IO, clm_file_read(entry, CLM_FILE_SETTINGS, &bytes, &size_bytes));
    }
    clm_folder_close(&folder);

    if (geteuid() == 0) { /* who alone can give files away */
        assert_int_equal(chmod(entry, 0600), 0);
        assert_int_equal(chown(entry, 12345, 12345), 0);
        assert_ok(clm_cache_open(&folder, "kernels-1"));
        assert_status(CLM_ERROR_IO,
                      clm_folder_read(&folder, "entry", CLM_FILE_KERNEL, &bytes, &size_bytes));
        clm_folder_close(&folder);
        assert_int_equal(chown(clm_test_path("cache/own/kernels-1"), 12345, 12345), 0);
        assert_status(CLM_ERROR_IO, clm_cache_open(&folder, "kernels-1"));
        assert_message_has("belongs to another user");
        assert_null(folder.path);
    }
    if (before != NULL) {
        assert_int_equal(setenv("CLM_CACHE_DIR", before, 1), 0);
    } else {
        assert_int_equal(unsetenv("CLM_CACHE_DIR"), 0);
    }
    free(before);
}

/* What test_containers.sh runs several of at once, each as the process number 1: files that are
 * replaced, a cache that is cleaned, and a folder that is made aside and put in place, by one of
 * all.
 */
static int write_as_one(const char *path) {
    clm_folder folder = {0};
    clm_status status = getpid() == 1 ? clm_folder_open(&folder, path) : CLM_ERROR_INTERNAL;
    for (int i = 0; status == CLM_OK && i < 200; i++) {
        clm_folder part = {0};
        char target[1024];
        (void)snprintf(target, sizeof target, "%s/folder", path);
        status = clm_folder_write(&folder, "file", "whole", 5);
        clm_folder_remove_parts(&folder);
        if (status == CLM_OK) {
            status = clm_part_make_folder(&part, target);
        }
        if (status == CLM_OK) {
            status = clm_folder_write(&part, "inside", "whole", 5);
        }
        if (status == CLM_OK && rename(part.path, target) == 0) {
            clm_folder_close(&part);
        } else if (part.path != NULL) {
            (void)clm_folder_remove(&part, "inside");
            clm_folder_close_and_remove(&part);
        }
    }
    if (status != CLM_OK) {
        (void)printf("process %ld: %s\n", (long)getpid(), clm_error_message());
    }
    clm_folder_close(&folder);
    return status != CLM_OK;
}

int main(int argc, char **argv) {
    if (argc == 3 && strcmp(argv[1], "--write-as-one") == 0) {
        return write_as_one(argv[2]);
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_file_keeps_its_mode),
        cmocka_unit_test(a_typed_link_stays_and_its_target_is_replaced),
        cmocka_unit_test(special_files_are_written_directly),
        cmocka_unit_test(a_full_disk_leaves_what_was_there),
        cmocka_unit_test(whether_a_file_can_be_written_is_known_before),
        cmocka_unit_test(a_descriptor_is_written_where_it_stands),
        cmocka_unit_test(only_files_are_read),
        cmocka_unit_test(no_kind_is_larger_than_its_limit),
        cmocka_unit_test(a_stream_without_end_ends),
        cmocka_unit_test(folder_creation_errors_name_the_cause),
        cmocka_unit_test(links_under_own_names_are_refused),
        cmocka_unit_test(only_abandoned_parts_are_removed),
        cmocka_unit_test(messages_name_what_a_part_becomes),
        cmocka_unit_test(files_of_strangers_stay),
        cmocka_unit_test(threads_do_not_meet),
        cmocka_unit_test(one_process_has_the_lock),
        cmocka_unit_test(one_thread_has_the_lock),
        cmocka_unit_test(the_cache_is_the_callers_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* Runs a fuzz target as an ordinary test, without a fuzzer:
 *   PROGRAM RUNS CORPUS_FOLDER   each file of the corpus whole, cut at some 1000 places (in all),
 * and RUNS changed copies PROGRAM FILE...              these inputs, such as one that a fuzzer
 * found The changes follow $CLM_TEST_SEED, else the clock; the seed is printed, and when the target
 * dies or takes over 20 s the run's number with it, and the input goes to a file, so that a failure
 * can be repeated. RUNS of 0 gives the files whole and nothing else.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "fuzz.h"

enum { most_files = 256, most_bytes = 1 << 16, most_seconds = 20, most_cuts = 1000 };

typedef struct input {
    uint8_t *bytes;
    size_t size;
} input;

static input corpus[most_files];
static size_t corpus_count;
static volatile unsigned run_number;
static const uint8_t *volatile run_bytes;
static volatile size_t run_size;
static char kept_path[256]; /* where the input of a run that died goes */

/* Only what a signal handler may call. */
static void say_run(int number) {
    static const char dies[] = "the target dies";
    static const char hangs[] = "the target takes too long";
    char digits[12];
    size_t at = sizeof digits;
    for (unsigned left = run_number; at > 0 && (left > 0 || at == sizeof digits); left /= 10) {
        digits[--at] = (char)('0' + left % 10);
    }
    const char *what = number == SIGALRM ? hangs : dies;
    ssize_t put = write(STDERR_FILENO, what, strlen(what));
    put += write(STDERR_FILENO, " in run ", 8);
    put += write(STDERR_FILENO, digits + at, sizeof digits - at);
    put += write(STDERR_FILENO, "; its input: ", 13);
    put += write(STDERR_FILENO, kept_path, strlen(kept_path));
    put += write(STDERR_FILENO, "\n", 1);
    const int descriptor = open(kept_path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    if (descriptor >= 0) {
        put += write(descriptor, (const void *)run_bytes, run_size);
    }
    _exit(put < 0 ? 98 : 99);
}

static bool read_input(const char *path) {
    struct stat about;
    FILE *file = stat(path, &about) == 0 && S_ISREG(about.st_mode) ? fopen(path, "rb") : NULL;
    if (file == NULL || corpus_count == most_files) {
        return false;
    }
    input *item = &corpus[corpus_count++];
    item->bytes = malloc(most_bytes);
    FUZZ_CHECK(item->bytes != NULL);
    item->size = fread(item->bytes, 1, most_bytes, file);
    (void)fclose(file);
    return true;
}

static int compare_names(const void *a, const void *b) {
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* In the order of their names: the same seed shall mean the same runs everywhere. */
static bool read_corpus(const char *folder) {
    char *names[most_files];
    size_t count = 0;
    DIR *directory = opendir(folder);
    if (directory == NULL) {
        return false;
    }
    for (const struct dirent *entry = NULL;
         count < most_files && (entry = readdir(directory)) != NULL;) {
        if (entry->d_name[0] != '.') {
            names[count] = strdup(entry->d_name);
            FUZZ_CHECK(names[count++] != NULL);
        }
    }
    (void)closedir(directory);
    qsort(names, count, sizeof *names, compare_names);
    for (size_t i = 0; i < count; i++) {
        char path[2048];
        (void)snprintf(path, sizeof path, "%s/%s", folder, names[i]);
        FUZZ_CHECK(read_input(path));
        free(names[i]);
    }
    return corpus_count > 0;
}

/* The target gets a block of exactly that size, so that a sanitizer sees a read beyond it. */
static void run(const uint8_t *bytes, size_t size) {
    uint8_t *copy = malloc(size > 0 ? size : 1);
    FUZZ_CHECK(copy != NULL);
    if (size > 0) {
        memcpy(copy, bytes, size);
    }
    run_number++;
    run_bytes = copy;
    run_size = size;
    (void)alarm(most_seconds);
    fuzz_run(copy, size);
    (void)alarm(0);
    free(copy);
}

/* Changes that fit the format, and now and then a piece of another file. */
static size_t change(uint8_t *bytes, size_t size, fuzz_random *random) {
    const input *other = &corpus[fuzz_draw(random, corpus_count)];
    if (fuzz_draw(random, 16) != 0 || other->size == 0) {
        return fuzz_change(bytes, size, most_bytes, fuzz_draw(random, UINT64_MAX));
    }
    const size_t at = fuzz_draw(random, size + 1);
    const size_t from = fuzz_draw(random, other->size);
    const size_t most = other->size - from < 64 ? other->size - from : 64;
    const size_t count = 1 + fuzz_draw(random, most);
    if (size + count > most_bytes) {
        return size;
    }
    memmove(bytes + at + count, bytes + at, size - at);
    memcpy(bytes + at, other->bytes + from, count);
    return size + count;
}

static void run_all(unsigned long runs) {
    static uint8_t bytes[most_bytes];
    const char *seed = getenv("CLM_TEST_SEED");
    fuzz_random random = {seed != NULL ? strtoull(seed, NULL, 10) : (uint64_t)time(NULL)};
    (void)printf("CLM_TEST_SEED=%llu\n", (unsigned long long)random.state);
    (void)fflush(stdout);
    size_t total = 0;
    for (size_t i = 0; i < corpus_count; i++) {
        run(corpus[i].bytes, corpus[i].size);
        total += corpus[i].size;
    }
    for (size_t i = 0; runs > 0 && i < corpus_count; i++) {
        for (size_t size = 0; size < corpus[i].size; size += 1 + total / most_cuts) {
            run(corpus[i].bytes, size);
        }
    }
    for (unsigned long i = 0; i < runs; i++) {
        const input *start = &corpus[fuzz_draw(&random, corpus_count)];
        size_t size = start->size;
        memcpy(bytes, start->bytes, size);
        for (uint64_t changes = 1 + fuzz_draw(&random, 4); changes > 0; changes--) {
            size = change(bytes, size, &random);
        }
        run(bytes, size);
    }
}

int main(int argc, char **argv) {
    struct stat about;
    const bool is_test = argc == 3 && stat(argv[2], &about) == 0 && S_ISDIR(about.st_mode);
    if (argc < 2 || (is_test && !read_corpus(argv[2]))) {
        (void)fprintf(stderr, "%s RUNS CORPUS_FOLDER (with files in it), or FILE...\n", argv[0]);
        return 2;
    }
    (void)snprintf(kept_path, sizeof kept_path, "%s.died", argv[0]);
    (void)signal(SIGABRT, say_run);
    (void)signal(SIGALRM, say_run);
#if !defined(__SANITIZE_ADDRESS__) /* the sanitizer says more of these */
    (void)signal(SIGSEGV, say_run);
    (void)signal(SIGBUS, say_run);
    (void)signal(SIGFPE, say_run);
#endif
    for (int i = 1; !is_test && i < argc; i++) {
        FUZZ_CHECK(read_input(argv[i]));
        run(corpus[corpus_count - 1].bytes, corpus[corpus_count - 1].size);
    }
    if (is_test) {
        run_all(strtoul(argv[1], NULL, 10));
    }
    (void)printf("%u inputs from %zu files\n", run_number, corpus_count);
    for (size_t i = 0; i < corpus_count; i++) {
        free(corpus[i].bytes);
    }
    return 0;
}

/* Runs a fuzz target as an ordinary test, without a fuzzer: standalone RUNS CORPUS_FOLDER. Each
 * file of the corpus goes in whole and cut at every length up to 512, then RUNS changed copies. The
 * changes follow $CLM_TEST_SEED, else the clock; the seed is printed, and when the target dies the
 * run's number with it, so that a failure can be repeated.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <dirent.h>
#include <signal.h>
#include <stdbool.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "fuzz.h"

enum { most_files = 256, most_bytes = 1 << 16 };

typedef struct input {
    uint8_t *bytes;
    size_t size;
} input;

static input corpus[most_files];
static size_t corpus_count;
static uint64_t random_state;
static volatile unsigned run_number;

/* SplitMix64 (Steele, Lea and Flood 2014). */
static uint64_t draw(uint64_t below) {
    uint64_t z = random_state += 0x9E3779B97F4A7C15ULL;
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9ULL;
    z = (z ^ z >> 27) * 0x94D049BB133111EBULL;
    return (z ^ z >> 31) % below;
}

static void say_run(int number) {
    char text[64];
    int length = snprintf(text, sizeof text, "signal %d in run %u\n", number, run_number);
    if (write(STDERR_FILENO, text, (size_t)length) < 0) {
        _exit(98);
    }
    _exit(99);
}

static bool read_corpus(const char *folder) {
    DIR *directory = opendir(folder);
    if (directory == NULL) {
        return false;
    }
    for (struct dirent *entry; (entry = readdir(directory)) != NULL && corpus_count < most_files;) {
        char path[2048];
        (void)snprintf(path, sizeof path, "%s/%s", folder, entry->d_name);
        FILE *file = entry->d_name[0] == '.' ? NULL : fopen(path, "rb");
        if (file == NULL) {
            continue;
        }
        input *item = &corpus[corpus_count++];
        item->bytes = malloc(most_bytes);
        FUZZ_CHECK(item->bytes != NULL);
        item->size = fread(item->bytes, 1, most_bytes, file);
        (void)fclose(file);
    }
    (void)closedir(directory);
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
    (void)LLVMFuzzerTestOneInput(copy, size);
    free(copy);
}

/* One change: a byte, a bit, a piece gone, doubled, or taken from another file. */
static size_t change(uint8_t *bytes, size_t size) {
    static const char likely[] = "\0\xFF\x80\"{}[]:,\\ \n0123456789-<|>'";
    size_t at = size > 0 ? draw(size) : 0;
    size_t length = size > at ? 1 + draw(size - at < 32 ? size - at : 32) : 0;
    const input *other = &corpus[draw(corpus_count)];
    size_t from = other->size > 0 ? draw(other->size) : 0;
    size_t taken =
        other->size > from ? 1 + draw(other->size - from < 32 ? other->size - from : 32) : 0;
    switch (size > 0 ? draw(6) : 5) {
        case 0:
            bytes[at] = (uint8_t)draw(256);
            return size;
        case 1:
            bytes[at] ^= (uint8_t)(1U << draw(8));
            return size;
        case 2:
            bytes[at] = (uint8_t)likely[draw(sizeof likely)];
            return size;
        case 3:
            memmove(bytes + at, bytes + at + length, size - at - length);
            return size - length;
        case 4:
            if (size + length <= most_bytes) {
                memmove(bytes + at + length, bytes + at, size - at);
                return size + length;
            }
            return size;
        default:
            if (size + taken <= most_bytes && taken > 0) {
                memmove(bytes + at + taken, bytes + at, size - at);
                memcpy(bytes + at, other->bytes + from, taken);
                return size + taken;
            }
            return size;
    }
}

int main(int argc, char **argv) {
    static uint8_t bytes[most_bytes];
    if (argc != 3 || !read_corpus(argv[2])) {
        (void)fprintf(stderr, "standalone RUNS CORPUS_FOLDER: the folder must have files\n");
        return 2;
    }
    const char *seed = getenv("CLM_TEST_SEED");
    random_state = seed != NULL ? strtoull(seed, NULL, 10) : (uint64_t)time(NULL);
    (void)printf("CLM_TEST_SEED=%llu\n", (unsigned long long)random_state);
    (void)fflush(stdout);
    (void)signal(SIGABRT, say_run);
    for (size_t i = 0; i < corpus_count; i++) {
        for (size_t size = 0; size < corpus[i].size && size < 512; size++) {
            run(corpus[i].bytes, size);
        }
        run(corpus[i].bytes, corpus[i].size);
    }
    unsigned long runs = strtoul(argv[1], NULL, 10);
    for (unsigned long i = 0; i < runs; i++) {
        const input *start = &corpus[draw(corpus_count)];
        size_t size = start->size;
        memcpy(bytes, start->bytes, size);
        for (uint64_t changes = 1 + draw(4); changes > 0; changes--) {
            size = change(bytes, size);
        }
        run(bytes, size);
    }
    (void)printf("%u inputs from %zu files\n", run_number, corpus_count);
    for (size_t i = 0; i < corpus_count; i++) {
        free(corpus[i].bytes);
    }
    return 0;
}

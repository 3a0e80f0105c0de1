/* What the fuzz targets have in common. A target is one file: it defines fuzz_this and fuzz_one(),
 * and aborts (FUZZ_CHECK) when what it tests does something wrong. CMakeLists.txt makes two
 * programs of it: an ordinary test (standalone.c), and one for libFuzzer (libfuzzer.c).
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef CLM_TEST_FUZZ_H
#define CLM_TEST_FUZZ_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/error.h"
#include "device/device.h"

/* What inputs look like, for changes that leave most of their structure whole. */
typedef enum fuzz_format {
    FUZZ_BYTES = 0,
    FUZZ_LINES,       /* text in lines, fields between commas, tabs, colons or spaces */
    FUZZ_JSON,        /* one JSON value, or one a line */
    FUZZ_SAFETENSORS, /* a length, that many bytes of JSON, data */
    FUZZ_FILES        /* several files: see fuzz_unpack() */
} fuzz_format;

typedef struct fuzz_target {
    fuzz_format format;
    /* Words of the format that random bytes would take long to find; NULL at the end. */
    const char *const *words;
    /* What one input may allocate in all, whatever is freed meanwhile: so much, and so much for
     * each of its bytes. Catches time and memory that grow with the square of the input. */
    size_t budget_bytes;
    size_t budget_a_byte;
} fuzz_target;

extern const fuzz_target fuzz_this;
void fuzz_one(const uint8_t *data, size_t size);

#define FUZZ_CHECK(condition)                                                                   \
    do {                                                                                        \
        if (!(condition)) {                                                                     \
            (void)fprintf(stderr, "%s:%d: %s does not hold\n", __FILE__, __LINE__, #condition); \
            abort();                                                                            \
        }                                                                                       \
    } while (0)

/* The message of a call that has just failed: there, of one line, valid UTF-8 without control
 * characters, and not for want of memory, since no input is large. */
void fuzz_check_refused(clm_status status);

/* fuzz_one() with a check of the budget afterwards. */
void fuzz_run(const uint8_t *data, size_t size);

/* One change that fits the target's format, within `most` bytes; returns the new size. The same
 * seed makes the same change. */
size_t fuzz_change(uint8_t *data, size_t size, size_t most, uint64_t seed);

/* Random numbers: SplitMix64 (Steele, Lea and Flood 2014). */
typedef struct fuzz_random {
    uint64_t state;
} fuzz_random;
uint64_t fuzz_draw(fuzz_random *random, uint64_t below); /* 0 to below - 1; `below` is positive */

/* A folder of this process, made at its first use and removed at the end. */
const char *fuzz_folder(void);

/* "<folder>/<name>", valid until the eighth next call. */
const char *fuzz_path(const char *name);

/* Writes a file of the folder and returns its path. */
const char *fuzz_write(const char *name, const void *data, size_t size);

/* Empties the folder and writes the files of an input: "=== name" on a line, then the bytes up to
 * the next such line; the end of line before that is not one of them. What stands before the first
 * is left out. Names have letters, digits and "._-", and do not begin with a dot. */
void fuzz_unpack(const uint8_t *data, size_t size);
void fuzz_empty(void);

/* Goes through what fuzz_unpack() would write. *at is where to go on, 0 at first. */
typedef struct fuzz_file {
    char name[64];
    const uint8_t *bytes;
    size_t size;
} fuzz_file;
int fuzz_next_file(fuzz_file *file, const uint8_t *data, size_t size, size_t *at);

/* What stands for a device in parsers that only ask what it is: no driver is called. */
clm_device *fuzz_device(void);

#endif

/* Any bytes as a zip archive: refused with a message, or one file of the right size taken out.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fetch/unzip.h"
#include "fuzz.h"

static const char *const words[] = {"PK\x03\x04",       "PK\x01\x02", "PK\x05\x06", "PK\x07\x08",
                                    "PK\x06\x06",       "a.txt",      "../a.txt",   "/a.txt",
                                    "\xFF\xFF\xFF\xFF", NULL};
const fuzz_target fuzz_this = {FUZZ_BYTES, words, 1 << 18, 64};

static void check_unzip(const char *archive, uint64_t size_bytes) {
    struct stat about;
    const char *path = fuzz_path("out.txt");
    (void)unlink(path);
    clm_status status = clm_unzip(archive, "a.txt", size_bytes, path);
    if (status == CLM_OK) {
        FUZZ_CHECK(stat(path, &about) == 0 && (uint64_t)about.st_size == size_bytes);
    } else {
        fuzz_check_refused(status);
        FUZZ_CHECK(stat(path, &about) != 0);
    }
}

void fuzz_one(const uint8_t *data, size_t size) {
    const char *archive = fuzz_write("fuzz.zip", data, size);
    check_unzip(archive, 280); /* those of the corpus have one of these */
    check_unzip(archive, 9);
    check_unzip(archive, 0);
}

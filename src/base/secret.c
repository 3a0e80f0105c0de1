/* SPDX-License-Identifier: Apache-2.0 */
#include "base/secret.h"

#include <stdatomic.h>
#include <stdint.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#if defined(__APPLE__)
#include <sys/random.h>
#endif

#include "base/hash.h"

/* Good enough for names, which are made exclusively in any case. */
static void make_up(unsigned char *bytes, size_t count) {
    static atomic_uint_least64_t calls;
    struct timespec now = {0};
    (void)clock_gettime(CLOCK_REALTIME, &now);
    const uint64_t differs[] = {(uint64_t)now.tv_sec, (uint64_t)now.tv_nsec, (uint64_t)getpid(),
                                (uint64_t)(uintptr_t)&now, atomic_fetch_add(&calls, 1)};
    uint64_t hash = clm_hash(CLM_HASH_START, differs, sizeof differs);
    for (size_t i = 0; i < count; i++) {
        hash = clm_hash(hash, &i, sizeof i);
        bytes[i] = (unsigned char)(hash >> 32);
    }
}

void clm_secret_bytes(void *bytes, size_t count) {
    unsigned char *at = bytes;
    while (count > 0) {
        const size_t piece = count < 256 ? count : 256; /* the most that getentropy() gives */
        if (getentropy(at, piece) != 0) {
            make_up(at, piece);
        }
        at += piece;
        count -= piece;
    }
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "base/hash.h"

uint64_t clm_hash(uint64_t hash, const void *bytes, size_t count) {
    const unsigned char *p = bytes;
    for (size_t i = 0; i < count; i++) {
        hash = (hash ^ p[i]) * 0x100000001B3U;
    }
    return hash;
}

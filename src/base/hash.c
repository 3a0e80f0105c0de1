/* SPDX-License-Identifier: Apache-2.0 */
#include "base/hash.h"

#include <pthread.h>
#include <string.h>

#include "base/secret.h"

uint64_t clm_hash(uint64_t hash, const void *bytes, size_t count) {
    const unsigned char *p = bytes;
    for (size_t i = 0; i < count; i++) {
        hash = (hash ^ p[i]) * 0x100000001B3U;
    }
    return hash;
}

/* ---- keyed ---- */

static uint64_t key[2];

static void draw_key(void) {
    clm_secret_bytes(key, sizeof key);
}

static void need_key(void) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    (void)pthread_once(&once, draw_key);
}

static inline uint64_t rotate(uint64_t value, int bits) {
    return value << bits | value >> (64 - bits);
}

typedef struct sip {
    uint64_t a, b, c, d;
} sip;

static inline void mix(sip *s) {
    s->a += s->b;
    s->c += s->d;
    s->b = rotate(s->b, 13) ^ s->a;
    s->d = rotate(s->d, 16) ^ s->c;
    s->a = rotate(s->a, 32) + s->d;
    s->c += s->b;
    s->d = rotate(s->d, 21) ^ s->a;
    s->b = rotate(s->b, 17) ^ s->c;
    s->c = rotate(s->c, 32);
}

static inline void take(sip *s, uint64_t word) {
    s->d ^= word;
    mix(s);
    s->a ^= word;
}

uint64_t clm_keyed_hash(const void *bytes, size_t count) {
    const unsigned char *p = bytes;
    need_key();
    sip s = {key[0] ^ 0x736F6D6570736575U, key[1] ^ 0x646F72616E646F6DU,
             key[0] ^ 0x6C7967656E657261U, key[1] ^ 0x7465646279746573U};
    uint64_t last = (uint64_t)count << 56;
    for (; count >= 8; count -= 8, p += 8) {
        uint64_t word;
        memcpy(&word, p, sizeof word);
        take(&s, word);
    }
    for (size_t i = 0; i < count; i++) {
        last |= (uint64_t)p[i] << 8 * i;
    }
    take(&s, last);
    s.c ^= 0xFF;
    mix(&s);
    mix(&s);
    mix(&s);
    return s.a ^ s.b ^ s.c ^ s.d;
}

uint64_t clm_hash_key(void) {
    need_key();
    return key[0];
}

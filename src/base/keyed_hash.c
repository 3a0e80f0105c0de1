/* SPDX-License-Identifier: Apache-2.0 */
#include "base/keyed_hash.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <string.h>

#include "base/secret.h"

static uint64_t key[4];
static atomic_bool has_key;

static void draw_key(void) {
    clm_secret_bytes(key, sizeof key);
    atomic_store_explicit(&has_key, true, memory_order_release);
}

static inline void need_key(void) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    if (!atomic_load_explicit(&has_key, memory_order_acquire)) {
        (void)pthread_once(&once, draw_key);
    }
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

static uint64_t sip_hash(const unsigned char *p, size_t count) {
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

#if defined(__SIZEOF_INT128__)
__extension__ typedef unsigned __int128 wide;

/* The product of two words, its halves on top of each other. */
static inline uint64_t fold(uint64_t a, uint64_t b) {
    const wide product = (wide)a * b;
    return (uint64_t)product ^ (uint64_t)(product >> 64);
}

static inline uint64_t load(const unsigned char *p, size_t size) {
    uint64_t word = 0;
    memcpy(&word, p, size);
    return word;
}

/* Most words are this short, and SipHash is all rounds on them: two secret products instead, of
 * words that overlap where the bytes are fewer (after wyhash, Wang Yi). */
static inline uint64_t short_hash(const unsigned char *p, size_t count) {
    uint64_t a = 0;
    uint64_t b = 0;
    if (count >= 8) {
        a = load(p, 8);
        b = load(p + count - 8, 8);
    } else if (count >= 4) {
        a = load(p, 4);
        b = load(p + count - 4, 4);
    } else if (count > 0) {
        a = (uint64_t)p[0] << 16 | (uint64_t)p[count / 2] << 8 | p[count - 1];
    }
    return fold(fold(a ^ key[0], b ^ key[1]) ^ key[2], key[3] ^ count);
}
enum { SHORT_MOST = 16 };
#else
static inline uint64_t short_hash(const unsigned char *p, size_t count) {
    return sip_hash(p, count);
}
enum { SHORT_MOST = 0 };
#endif

uint64_t clm_keyed_hash(const void *bytes, size_t count) {
    need_key();
    return count <= SHORT_MOST ? short_hash(bytes, count) : sip_hash(bytes, count);
}

uint64_t clm_hash_key(void) {
    need_key();
    return key[0];
}

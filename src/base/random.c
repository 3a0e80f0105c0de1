/* SPDX-License-Identifier: Apache-2.0 */
#include "base/random.h"

#include <math.h>
#include <string.h>

#include "base/hash.h"
#include "base/memory.h"

/* --- MT19937 --- */

void clm_mt19937_seed(clm_mt19937 *engine, uint32_t seed) {
    for (uint32_t i = 0; i < CLM_MT19937_WORDS; i++) {
        engine->word[i] = seed;
        seed = 1812433253U * (seed ^ seed >> 30) + i + 1;
    }
    engine->position = CLM_MT19937_WORDS;
}

static void generate_words(clm_mt19937 *engine) {
    uint32_t *word = engine->word;
    for (size_t i = 0; i < CLM_MT19937_WORDS; i++) {
        uint32_t joined =
            (word[i] & 0x80000000U) | (word[(i + 1) % CLM_MT19937_WORDS] & 0x7FFFFFFFU);
        uint32_t twist = (joined & 1U) != 0 ? 0x9908B0DFU : 0U;
        word[i] = word[(i + 397) % CLM_MT19937_WORDS] ^ joined >> 1 ^ twist;
    }
    engine->position = 0;
}

uint32_t clm_mt19937_next(clm_mt19937 *engine) {
    if (engine->position >= CLM_MT19937_WORDS) {
        generate_words(engine);
    }
    uint32_t y = engine->word[engine->position++];
    y ^= y >> 11;
    y ^= y << 7 & 0x9D2C5680U;
    y ^= y << 15 & 0xEFC60000U;
    return y ^ y >> 18;
}

/* --- NumPy --- */

void clm_numpy_random_seed(clm_numpy_random *random, uint32_t seed) {
    clm_mt19937_seed(&random->engine, seed);
}

uint32_t clm_numpy_random_interval(clm_numpy_random *random, uint32_t most) {
    if (most == 0) {
        return 0; /* NumPy draws nothing then */
    }
    uint32_t mask = most;
    for (unsigned shift = 1; shift < 32; shift *= 2) {
        mask |= mask >> shift;
    }
    uint32_t value = 0;
    do {
        value = clm_mt19937_next(&random->engine) & mask;
    } while (value > most);
    return value;
}

void clm_numpy_random_permutation(clm_numpy_random *random, int64_t *permutation, size_t count) {
    for (size_t i = 0; i < count; i++) {
        permutation[i] = (int64_t)i;
    }
    for (size_t i = count; i-- > 1;) {
        size_t j = clm_numpy_random_interval(random, (uint32_t)i);
        int64_t kept = permutation[i];
        permutation[i] = permutation[j];
        permutation[j] = kept;
    }
}

/* --- PyTorch --- */

clm_status clm_torch_random_create(clm_torch_random **random, uint64_t seed) {
    clm_status status = clm_allocate(random, 1, sizeof **random, "a random stream");
    if (status == CLM_OK) {
        clm_torch_random_seed(*random, seed);
    }
    return status;
}

void clm_torch_random_free(clm_torch_random *random) {
    clm_free(random);
}

void clm_torch_random_seed(clm_torch_random *random, uint64_t seed) {
    clm_mt19937_seed(&random->engine, (uint32_t)(seed & 0xFFFFFFFFU));
    random->seed = seed;
}

static uint8_t *put_word(uint8_t *at, uint32_t word) {
    for (unsigned shift = 0; shift < 32; shift += 8) {
        *at++ = (uint8_t)(word >> shift & 0xFFU);
    }
    return at;
}

static const uint8_t *get_word(const uint8_t *at, uint32_t *word) {
    *word = 0;
    for (unsigned shift = 0; shift < 32; shift += 8) {
        *word |= (uint32_t)*at++ << shift;
    }
    return at;
}

void clm_torch_random_save(const clm_torch_random *random,
                           uint8_t state[CLM_TORCH_RANDOM_STATE_BYTES]) {
    uint8_t *at = state;
    for (size_t i = 0; i < CLM_MT19937_WORDS; i++) {
        at = put_word(at, random->engine.word[i]);
    }
    at = put_word(at, random->engine.position);
    at = put_word(at, (uint32_t)(random->seed & 0xFFFFFFFFU));
    (void)put_word(at, (uint32_t)(random->seed >> 32));
}

clm_status clm_torch_random_restore(clm_torch_random *random,
                                    const uint8_t state[CLM_TORCH_RANDOM_STATE_BYTES]) {
    clm_torch_random fresh;
    uint32_t low = 0;
    uint32_t high = 0;
    uint32_t any = 0;
    const uint8_t *at = state;
    for (size_t i = 0; i < CLM_MT19937_WORDS; i++) {
        at = get_word(at, &fresh.engine.word[i]);
        any |= fresh.engine.word[i];
    }
    at = get_word(at, &fresh.engine.position);
    at = get_word(at, &low);
    (void)get_word(at, &high);
    fresh.seed = (uint64_t)high << 32 | low;
    /* All words zero is the one state that MT19937 never leaves, and never reaches. */
    if (fresh.engine.position > CLM_MT19937_WORDS || any == 0) {
        return clm_fail(CLM_ERROR_FORMAT,
                        "the saved state of a random stream is damaged: its position is %u of %u",
                        (unsigned)fresh.engine.position, (unsigned)CLM_MT19937_WORDS);
    }
    *random = fresh;
    return CLM_OK;
}

uint32_t clm_torch_random_next(clm_torch_random *random) {
    return clm_mt19937_next(&random->engine);
}

uint64_t clm_torch_random_next64(clm_torch_random *random) {
    uint64_t high = clm_mt19937_next(&random->engine);
    return high << 32 | clm_mt19937_next(&random->engine);
}

int64_t clm_torch_random_int64(clm_torch_random *random) {
    return (int64_t)(clm_torch_random_next64(random) & (uint64_t)INT64_MAX);
}

void clm_torch_random_uniform(clm_torch_random *random, float *values, size_t count, float low,
                              float high) {
    for (size_t i = 0; i < count; i++) {
        float unit = (float)(clm_mt19937_next(&random->engine) & 0xFFFFFFU) * 0x1p-24F;
        values[i] = fmaf(unit, high - low, low);
    }
}

void clm_torch_random_permutation(clm_torch_random *random, int32_t *permutation, size_t count) {
    for (size_t i = 0; i < count; i++) {
        permutation[i] = (int32_t)i;
    }
    for (size_t i = 0; i + 1 < count; i++) {
        size_t j = i + clm_mt19937_next(&random->engine) % (uint32_t)(count - i);
        int32_t kept = permutation[i];
        permutation[i] = permutation[j];
        permutation[j] = kept;
    }
}

clm_status clm_torch_linear_init(clm_torch_random *random, float *weight, float *bias, int out,
                                 int in) {
    if (out <= 0 || in <= 0) {
        return clm_fail(CLM_ERROR_SHAPE, "a linear layer of %d outputs and %d inputs is impossible",
                        out, in);
    }
    /* Not simply 1/sqrt(in): PyTorch's roundings on the way there are part of the bits. */
    double gain = sqrt(2.0 / (1.0 + sqrt(5.0) * sqrt(5.0)));
    double deviation = gain / sqrt((double)in);
    float bound = (float)(sqrt(3.0) * deviation);
    clm_torch_random_uniform(random, weight, (size_t)out * (size_t)in, -bound, bound);
    if (bias != NULL) {
        bound = (float)(1.0 / sqrt((double)in));
        clm_torch_random_uniform(random, bias, (size_t)out, -bound, bound);
    }
    return CLM_OK;
}

/* --- Philox --- */

void clm_philox_block(uint32_t words[4], const uint32_t counter[4], const uint32_t key[2]) {
    uint32_t c[4] = {counter[0], counter[1], counter[2], counter[3]};
    uint32_t k[2] = {key[0], key[1]};
    for (int round = 0; round < 10; round++) {
        uint64_t even = (uint64_t)0xD2511F53U * c[0];
        uint64_t odd = (uint64_t)0xCD9E8D57U * c[2];
        uint32_t next[4] = {(uint32_t)(odd >> 32) ^ c[1] ^ k[0], (uint32_t)odd,
                            (uint32_t)(even >> 32) ^ c[3] ^ k[1], (uint32_t)even};
        memcpy(c, next, sizeof c);
        k[0] += 0x9E3779B9U; /* the golden ratio */
        k[1] += 0xBB67AE85U; /* sqrt(3) - 1 */
    }
    memcpy(words, c, sizeof c);
}

/* 64-bit FNV-1a of the name, then SplitMix64's finaliser, because FNV alone leaves similar names
 * with similar high bits. */
static uint64_t hash_name(const char *name) {
    uint64_t hash = clm_hash(CLM_HASH_START, name, strlen(name));
    hash = (hash ^ hash >> 30) * 0xBF58476D1CE4E5B9U;
    hash = (hash ^ hash >> 27) * 0x94D049BB133111EBU;
    return hash ^ hash >> 31;
}

void clm_philox_start(clm_philox *philox, uint64_t seed, const char *name) {
    *philox = (clm_philox){.key = {(uint32_t)(seed & 0xFFFFFFFFU), (uint32_t)(seed >> 32)},
                           .stream = hash_name(name)};
}

static void compute_block(clm_philox *philox) {
    uint64_t block = philox->position / 4;
    uint32_t counter[4] = {(uint32_t)(block & 0xFFFFFFFFU), (uint32_t)(block >> 32),
                           (uint32_t)(philox->stream & 0xFFFFFFFFU),
                           (uint32_t)(philox->stream >> 32)};
    clm_philox_block(philox->words, counter, philox->key);
}

void clm_philox_seek(clm_philox *philox, uint64_t position) {
    philox->position = position;
    compute_block(philox);
}

uint32_t clm_philox_next(clm_philox *philox) {
    if (philox->position % 4 == 0) {
        compute_block(philox);
    }
    return philox->words[philox->position++ % 4];
}

float clm_philox_uniform(clm_philox *philox) {
    return (float)(clm_philox_next(philox) >> 8) * 0x1p-24F;
}

void clm_philox_normal(clm_philox *philox, float *values, size_t count, float mean,
                       float deviation) {
    for (size_t i = 0; i < count; i += 2) {
        /* Never 0, so that the logarithm is finite. */
        double u = ((double)clm_philox_next(philox) + 0.5) * 0x1p-32;
        double v = (double)clm_philox_next(philox) * 0x1p-32;
        double radius = sqrt(-2.0 * log(u));
        double angle = 6.283185307179586476925286766559 * v;
        values[i] = (float)(mean + deviation * (radius * cos(angle)));
        if (i + 1 < count) {
            values[i + 1] = (float)(mean + deviation * (radius * sin(angle)));
        }
    }
}

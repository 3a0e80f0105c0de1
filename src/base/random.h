/* Random streams. Each names the generator that it mirrors; all give the same numbers on every
 * machine.
 *
 * - clm_numpy_random_*: numpy.random.RandomState, which pandas' sample(random_state=) draws from.
 * - clm_torch_random_*: torch.Generator on the CPU (see also clm/random.h).
 * - clm_philox_*: clm's own streams, each identified by a seed and a name; any element of a stream
 *   can be computed without the ones before it.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef CLM_BASE_RANDOM_H
#define CLM_BASE_RANDOM_H

#include "base/error.h"
#include "clm/random.h"

/* MT19937 (Matsumoto and Nishimura 1998), the engine under NumPy's and PyTorch's streams. */
#define CLM_MT19937_WORDS 624

typedef struct clm_mt19937 {
    uint32_t word[CLM_MT19937_WORDS];
    uint32_t position; /* of the next word; CLM_MT19937_WORDS when all are used up */
} clm_mt19937;

void clm_mt19937_seed(clm_mt19937 *engine, uint32_t seed); /* the authors' init_genrand */
uint32_t clm_mt19937_next(clm_mt19937 *engine);

/* numpy.random.RandomState(seed), the legacy stream, which NumPy no longer changes. */
typedef struct clm_numpy_random {
    clm_mt19937 engine;
} clm_numpy_random;

void clm_numpy_random_seed(clm_numpy_random *random, uint32_t seed);

/* An integer in 0..most, inclusive, drawn as in the legacy stream: masked, and drawn again while it
 * is too large. */
uint32_t clm_numpy_random_interval(clm_numpy_random *random, uint32_t most);

/* RandomState.permutation(count) into permutation (count). The first k elements are what
 * RandomState.choice(count, k, replace=False) and so pandas' DataFrame.sample(n=k) draw.
 * count may be 0, and is at most 2^32 - 1. */
void clm_numpy_random_permutation(clm_numpy_random *random, int64_t *permutation, size_t count);

struct clm_torch_random {
    clm_mt19937 engine;
    uint64_t seed; /* torch.Generator.initial_seed() */
};

uint32_t clm_torch_random_next(clm_torch_random *random);   /* CPUGeneratorImpl::random() */
uint64_t clm_torch_random_next64(clm_torch_random *random); /* CPUGeneratorImpl::random64() */

/* torch.empty((), dtype=torch.int64).random_(): 0 to 2^63 - 1. */
int64_t clm_torch_random_int64(clm_torch_random *random);

/* torch.empty(count).uniform_(low, high), in float. The multiplication and addition are rounded
 * once, as in PyTorch's kernels for CPUs with AVX2 or AVX-512; its kernel for other CPUs rounds
 * twice. */
void clm_torch_random_uniform(clm_torch_random *random, float *values, size_t count, float low,
                              float high);

/* torch.randperm(count, generator=random) into permutation (count); count below 2^32 / 20, above
 * which PyTorch uses another method. */
void clm_torch_random_permutation(clm_torch_random *random, int32_t *permutation, size_t count);

/* Philox4x32-10 (Salmon, Moraes, Dror and Shaw: Parallel random numbers: as easy as 1, 2, 3. SC
 * 2011): four random words from a counter and a key. */
void clm_philox_block(uint32_t words[4], const uint32_t counter[4], const uint32_t key[2]);

/* A stream of words: the key is the seed, the upper half of the counter a hash of the name, the
 * lower half counts blocks of four words. */
typedef struct clm_philox {
    uint32_t key[2];
    uint64_t stream;
    uint64_t position; /* of the next word */
    uint32_t words[4]; /* the block of `position`, unless that is its first word */
} clm_philox;

/* Starts the stream with that name; streams with different names are independent. */
void clm_philox_start(clm_philox *philox, uint64_t seed, const char *name);

/* Moves to a word of the stream. */
void clm_philox_seek(clm_philox *philox, uint64_t position);

uint32_t clm_philox_next(clm_philox *philox);

/* Uniform on [0, 1), 24 bits. One word. */
float clm_philox_uniform(clm_philox *philox);

/* count values of the normal distribution, by Box and Muller's transform in double, two words for
 * each pair, so values (count) takes 2 * ceil(count / 2) words. The logarithm and cosine are the C
 * library's: their last bit, and so rarely that of a value, may differ between libraries. */
void clm_philox_normal(clm_philox *philox, float *values, size_t count, float mean,
                       float deviation);

#endif

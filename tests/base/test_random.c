/* SPDX-License-Identifier: Apache-2.0 */
#include "support/test_support.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/random.h"
#include "golden/random_golden.h"

enum { most_count = 70000 };

/* The hash of make_random.py. */
static uint64_t hash_words(const uint32_t *words, size_t count) {
    uint64_t hash = 0xCBF29CE484222325U;
    for (size_t i = 0; i < count; i++) {
        for (unsigned shift = 0; shift < 32; shift += 8) {
            hash = (hash ^ (words[i] >> shift & 0xFFU)) * 0x100000001B3U;
        }
    }
    return hash;
}

static uint64_t hash_floats(const float *values, size_t count) {
    static uint32_t words[most_count];
    assert_true(count <= most_count);
    memcpy(words, values, count * sizeof *values);
    return hash_words(words, count);
}

static void numpy_permutations_are_numpys(void **state) {
    (void)state;
    clm_numpy_random random;
    static int64_t permutation[most_count];
    clm_numpy_random_seed(&random, 123);
    clm_numpy_random_permutation(&random, permutation, 20);
    assert_memory_equal(permutation, golden_numpy_permutation, sizeof golden_numpy_permutation);
    for (size_t k = 0; k < sizeof golden_numpy_hashes / sizeof *golden_numpy_hashes; k++) {
        size_t count = golden_numpy_hashes[k].count;
        static uint32_t words[most_count];
        clm_numpy_random_seed(&random, golden_numpy_hashes[k].seed);
        clm_numpy_random_permutation(&random, permutation, count);
        for (size_t i = 0; i < count; i++) {
            words[i] = (uint32_t)permutation[i];
        }
        assert_true(hash_words(words, count) == golden_numpy_hashes[k].hash);
    }
}

static void numpy_intervals_stay_inside(void **state) {
    (void)state;
    clm_numpy_random random;
    clm_numpy_random_seed(&random, clm_test_random());
    assert_int_equal(clm_numpy_random_interval(&random, 0), 0);
    assert_int_equal(random.engine.position, CLM_MT19937_WORDS); /* nothing was drawn */
    for (uint32_t most = 1; most < 70; most++) {
        for (int i = 0; i < 100; i++) {
            assert_true(clm_numpy_random_interval(&random, most) <= most);
        }
    }
}

static void torch_draws_are_torchs(void **state) {
    (void)state;
    clm_torch_random random;
    clm_torch_random_seed(&random, 123);
    for (size_t i = 0; i < sizeof golden_torch_int64 / sizeof *golden_torch_int64; i++) {
        assert_true(clm_torch_random_int64(&random) == golden_torch_int64[i]);
    }
    static int32_t permutation[most_count];
    clm_torch_random_seed(&random, 123);
    clm_torch_random_permutation(&random, permutation, 20);
    assert_memory_equal(permutation, golden_torch_permutation, sizeof golden_torch_permutation);
    for (size_t k = 0; k < sizeof golden_torch_hashes / sizeof *golden_torch_hashes; k++) {
        clm_torch_random_seed(&random, golden_torch_hashes[k].seed);
        clm_torch_random_permutation(&random, permutation, golden_torch_hashes[k].count);
        static uint32_t words[most_count];
        memcpy(words, permutation, golden_torch_hashes[k].count * sizeof *words);
        assert_true(hash_words(words, golden_torch_hashes[k].count) == golden_torch_hashes[k].hash);
        assert_true(clm_torch_random_int64(&random) == golden_torch_hashes[k].next);
    }
    float values[12];
    clm_torch_random_seed(&random, 7);
    clm_torch_random_uniform(&random, values, 12, -0.3F, 0.2F);
    assert_memory_equal(values, golden_torch_uniform, sizeof values);
}

static void linear_layers_start_as_torchs(void **state) {
    (void)state;
    clm_torch_random random;
    static float weight[most_count];
    static float bias[16];
    clm_torch_random_seed(&random, 123);
    assert_ok(clm_torch_linear_init(&random, weight, bias, 2, 5));
    assert_memory_equal(weight, golden_linear_weight, sizeof golden_linear_weight);
    assert_memory_equal(bias, golden_linear_bias, sizeof golden_linear_bias);
    for (size_t k = 0; k < sizeof golden_linear_hashes / sizeof *golden_linear_hashes; k++) {
        int out = golden_linear_hashes[k].out;
        int in = golden_linear_hashes[k].in;
        clm_torch_random_seed(&random, 123);
        assert_ok(clm_torch_linear_init(&random, weight, bias, out, in));
        assert_true(hash_floats(weight, (size_t)(out * in)) == golden_linear_hashes[k].weight);
        assert_true(hash_floats(bias, (size_t)out) == golden_linear_hashes[k].bias);
    }
    assert_status(CLM_ERROR_SHAPE, clm_torch_linear_init(&random, weight, bias, 0, 5));
    assert_status(CLM_ERROR_SHAPE, clm_torch_linear_init(&random, weight, NULL, 5, -1));
}

static void a_restored_stream_continues(void **state) {
    (void)state;
    static uint8_t saved[CLM_TORCH_RANDOM_STATE_BYTES];
    clm_torch_random *random = NULL;
    clm_torch_random *other = NULL;
    assert_ok(clm_torch_random_create(&random, 0xFEDCBA9876543210U));
    assert_ok(clm_torch_random_create(&other, 1));
    for (int i = 0; i < 1000; i++) {
        (void)clm_torch_random_next(random);
    }
    clm_torch_random_save(random, saved);
    assert_ok(clm_torch_random_restore(other, saved));
    assert_true(other->seed == 0xFEDCBA9876543210U);
    for (int i = 0; i < 2000; i++) {
        assert_int_equal(clm_torch_random_next(random), clm_torch_random_next(other));
    }
    uint32_t next = clm_torch_random_next(random);
    saved[4 * CLM_MT19937_WORDS + 1] = 0xFF;
    assert_status(CLM_ERROR_FORMAT, clm_torch_random_restore(other, saved));
    memset(saved, 0, sizeof saved);
    assert_status(CLM_ERROR_FORMAT, clm_torch_random_restore(other, saved));
    assert_int_equal(clm_torch_random_next(other), next); /* unchanged by the failures */
    clm_torch_random_free(random);
    clm_torch_random_free(other);
    clm_torch_random_free(NULL);
}

/* Known answers: tests/kat_vectors of Random123, the authors' own library. */
static void philox_gives_the_authors_answers(void **state) {
    (void)state;
    static const struct {
        uint32_t counter[4];
        uint32_t key[2];
        uint32_t words[4];
    } known[] = {
        {{0}, {0}, {0x6627E8D5U, 0xE169C58DU, 0xBC57AC4CU, 0x9B00DBD8U}},
        {{0xFFFFFFFFU, 0xFFFFFFFFU, 0xFFFFFFFFU, 0xFFFFFFFFU},
         {0xFFFFFFFFU, 0xFFFFFFFFU},
         {0x408F276DU, 0x41C83B0EU, 0xA20BC7C6U, 0x6D5451FDU}},
        {{0x243F6A88U, 0x85A308D3U, 0x13198A2EU, 0x03707344U},
         {0xA4093822U, 0x299F31D0U},
         {0xD16CFE09U, 0x94FDCCEBU, 0x5001E420U, 0x24126EA1U}},
    };
    for (size_t k = 0; k < sizeof known / sizeof *known; k++) {
        uint32_t words[4];
        clm_philox_block(words, known[k].counter, known[k].key);
        assert_memory_equal(words, known[k].words, sizeof words);
    }
}

static void any_word_of_a_stream_can_be_sought(void **state) {
    (void)state;
    clm_philox walker;
    clm_philox seeker;
    clm_philox other;
    clm_philox_start(&walker, 42, "wte.weight");
    clm_philox_start(&seeker, 42, "wte.weight");
    clm_philox_start(&other, 42, "wpe.weight");
    int same = 0;
    for (uint64_t i = 0; i < 50; i++) {
        clm_philox_seek(&seeker, i);
        uint32_t word = clm_philox_next(&walker);
        assert_int_equal(clm_philox_next(&seeker), word);
        same += clm_philox_next(&other) == word;
    }
    assert_int_equal(same, 0);
}

static void normal_values_are_normal(void **state) {
    (void)state;
    enum { count = 40001 };
    static float values[count];
    clm_philox philox;
    clm_philox_start(&philox, 123, "test");
    clm_philox_normal(&philox, values, count, 1.0F, 2.0F);
    double sum[5] = {0};
    for (size_t i = 0; i < count; i++) {
        double z = (values[i] - 1.0) / 2.0;
        for (int power = 1; power <= 4; power++) {
            sum[power] += pow(z, power) / count;
        }
    }
    /* Four standard errors of each moment of a sample of this size: sqrt(1, 2, 15, 96) / 200. */
    assert_close(sum[1], 0.0, 0.02, 0);
    assert_close(sum[2], 1.0, 0.0283, 0);
    assert_close(sum[3], 0.0, 0.0775, 0);
    assert_close(sum[4], 3.0, 0.196, 0);
    for (int i = 0; i < 1000; i++) {
        float u = clm_philox_uniform(&philox);
        assert_true(u >= 0.0F && u < 1.0F);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numpy_permutations_are_numpys),
        cmocka_unit_test(numpy_intervals_stay_inside),
        cmocka_unit_test(torch_draws_are_torchs),
        cmocka_unit_test(linear_layers_start_as_torchs),
        cmocka_unit_test(a_restored_stream_continues),
        cmocka_unit_test(philox_gives_the_authors_answers),
        cmocka_unit_test(any_word_of_a_stream_can_be_sought),
        cmocka_unit_test(normal_values_are_normal),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

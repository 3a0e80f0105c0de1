/* SPDX-License-Identifier: Apache-2.0 */
#include "reference/dropout.h"

void clm_reference_philox4x32_10(uint32_t out[4], const uint32_t counter[4],
                                 const uint32_t key[2]) {
    uint32_t c[4] = {counter[0], counter[1], counter[2], counter[3]};
    uint32_t k[2] = {key[0], key[1]};
    for (int round = 0; round < 10; round++) {
        uint64_t product0 = (uint64_t)0xD2511F53U * c[0];
        uint64_t product1 = (uint64_t)0xCD9E8D57U * c[2];
        c[0] = (uint32_t)(product1 >> 32) ^ c[1] ^ k[0];
        c[1] = (uint32_t)product1;
        c[2] = (uint32_t)(product0 >> 32) ^ c[3] ^ k[1];
        c[3] = (uint32_t)product0;
        k[0] += 0x9E3779B9U;
        k[1] += 0xBB67AE85U;
    }
    for (int i = 0; i < 4; i++) {
        out[i] = c[i];
    }
}

void clm_reference_dropout(float *out, const float *x, size_t count, float probability,
                           uint64_t seed, uint64_t stream) {
    const uint32_t key[2] = {(uint32_t)seed, (uint32_t)(seed >> 32)};
    double threshold = (double)probability * 4294967296.0;
    float scale = (float)(1.0 / (1.0 - (double)probability));
    for (size_t i = 0; i < count; i++) {
        uint64_t quad = i / 4;
        const uint32_t counter[4] = {(uint32_t)quad, (uint32_t)(quad >> 32), (uint32_t)stream,
                                     (uint32_t)(stream >> 32)};
        uint32_t words[4];
        clm_reference_philox4x32_10(words, counter, key);
        out[i] = (double)words[i % 4] < threshold ? 0.0F : x[i] * scale;
    }
}

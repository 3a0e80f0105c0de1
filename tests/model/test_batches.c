/* On processors a text's logits have the same bits whatever it is batched with, and wherever it is
 * in the batch.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "clm/model.h"
#include "device/device.h"
#include "support/test_devices.h"

enum { T = 12, MOST = 32, VOCABULARY = 97, LABELS = 3 };

typedef struct texts {
    int32_t tokens[MOST * T];
    int32_t lengths[MOST];
} texts;

static texts random_texts(void) {
    texts all;
    for (int i = 0; i < MOST; i++) {
        all.lengths[i] = 1 + (int32_t)(clm_test_random() % T);
        for (int t = 0; t < T; t++) {
            const int32_t token = (int32_t)(clm_test_random() % VOCABULARY);
            all.tokens[i * T + t] = t < all.lengths[i] ? token : 0;
        }
    }
    return all;
}

/* Text 0 exchanged with that at `place`. */
static texts moved(const texts *all, int place) {
    texts other = *all;
    memcpy(other.tokens, all->tokens + (size_t)place * T, T * sizeof(int32_t));
    memcpy(other.tokens + (size_t)place * T, all->tokens, T * sizeof(int32_t));
    other.lengths[0] = all->lengths[place];
    other.lengths[place] = all->lengths[0];
    return other;
}

static void check_model(clm_device *device, const char *source, const clm_model_options *options) {
    static const int others[] = {1, 7, 15, 31};
    float alone[LABELS];
    float together[MOST * LABELS];
    clm_model *model = NULL;
    const texts all = random_texts();
    assert_ok(clm_model_open(&model, device, source, options));
    assert_ok(clm_model_set_pooling(model, CLM_POOLING_LAST_TOKEN, 0, 0));
    assert_ok(clm_model_logits(model, all.tokens, all.lengths, 1, T, alone));
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        const int places[] = {0, others[i] / 2, others[i]};
        for (int p = 0; p < 3; p++) {
            const texts batch = moved(&all, places[p]);
            assert_ok(
                clm_model_logits(model, batch.tokens, batch.lengths, others[i] + 1, T, together));
            if (memcmp(together + (size_t)places[p] * LABELS, alone, sizeof alone) != 0) {
                fail_msg("%s: at place %d with %d others the first logit is %.9g, alone %.9g",
                         source, places[p], others[i], (double)together[(size_t)places[p] * LABELS],
                         (double)alone[0]);
            }
        }
    }
    clm_model_close(model);
}

static void batches_on(clm_device *device) {
    static const clm_precision precisions[] = {CLM_PRECISION_F32, CLM_PRECISION_F16,
                                               CLM_PRECISION_BF16};
    if (!clm_device_is_cpu(device) || clm_test_is_simulator(device)) {
        return;
    }
    for (int i = 0; i < 3; i++) {
        clm_model_options options = {.train = CLM_TRAIN_NOTHING,
                                     .n_labels = LABELS,
                                     .precision = precisions[i],
                                     .whole_top_block = i == 1};
        check_model(device, "random:n_layer=2,n_embd=60,n_head=3,n_ctx=32,n_vocab=97", &options);
    }
    /* GPT-2's sizes, whose products are taken in parts; llvmpipe, for which they take minutes, has
     * its products of these in ops/gemm_rows. */
    const clm_model_options options = {.train = CLM_TRAIN_NOTHING, .n_labels = LABELS};
    if (strstr(clm_device_get_info(device)->name, "llvmpipe") == NULL) {
        check_model(device, "random:n_layer=2,n_embd=768,n_head=12,n_ctx=32,n_vocab=97", &options);
    }
}

static void test_batches(void **state) {
    (void)state;
    clm_test_each_device(batches_on);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_batches)};
    return cmocka_run_group_tests(tests, NULL, clm_test_close_devices);
}

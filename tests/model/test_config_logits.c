/* Members of config.json that change what is computed: clm's logits against transformers'.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "support/test_devices.h"

#include "clm/model.h"
#include "model/members.h"

/* transformers looks at the last token that is not "pad_token_id", and at the last one without. */
static void lengths_of_golden_tokens(int32_t *lengths, int pad_token) {
    for (int b = 0; b < GOLDEN_B; b++) {
        lengths[b] = GOLDEN_T;
        while (lengths[b] > 1 && golden_tokens[b * GOLDEN_T + lengths[b] - 1] == pad_token) {
            lengths[b]--;
        }
    }
}

/* Logits of size 3: some ten roundings of 6e-8 of terms of size 1 to 10, in another order. */
static void honoured_members_give_the_same_logits(clm_device *device) {
    int compared = 0;
    for (size_t i = 0; i < row_count; i++) {
        const struct golden_row *row = &golden_rows[i];
        clm_model *model = NULL;
        if ((i > 0 && row->logits <= 0) ||
            clm_model_open(&model, device, members_folder(row->name, row->value), NULL) != CLM_OK) {
            continue;
        }
        int32_t lengths[GOLDEN_B];
        float logits[GOLDEN_B * 2];
        lengths_of_golden_tokens(lengths, clm_model_get_config(model)->pad_token);
        assert_ok(clm_model_logits(model, golden_tokens, lengths, GOLDEN_B, GOLDEN_T, logits));
        assert_all_close(logits, golden_logits[row->logits], GOLDEN_B * 2, 1e-5, 0.0, row->name);
        clm_model_close(model);
        compared++;
    }
    assert_true(compared >= 8);
}
CLM_ON_EACH_DEVICE(honoured_members_give_the_same_logits)

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(honoured_members_give_the_same_logits_test),
    };
    return cmocka_run_group_tests(tests, NULL, clm_test_close_devices);
}

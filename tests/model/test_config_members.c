/* Every member of config.json: clm's table of them against what transformers computes with each
 * (tests/golden/make_config_members.py).
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "support/test_support.h"

#include <string.h>

#include "model/config_members.h"
#include "model/members.h"
#include "model/weights.h"

static void the_table_is_sorted_and_says_why(void **state) {
    (void)state;
    const clm_config_member *before = NULL;
    for (size_t i = 0; clm_config_member_at(i) != NULL; i++) {
        const clm_config_member *member = clm_config_member_at(i);
        assert_true(before == NULL || strcmp(before->name, member->name) < 0);
        assert_ptr_equal(clm_config_member_named(member->name), member);
        assert_true(strlen(member->about) > 8);
        assert_int_equal(member->use == CLM_MEMBER_FIXED, member->values[0] != NULL);
        before = member;
    }
    assert_null(clm_config_member_named("n_embeddings"));
}

/* What transformers knows clm knows, and every entry was tried but clm's own. */
static void every_member_is_in_the_table(void **state) {
    (void)state;
    for (size_t i = 0; i < row_count; i++) {
        if (clm_config_member_named(golden_rows[i].name) == NULL) {
            fail_msg("the table of members lacks %s", golden_rows[i].name);
        }
    }
    for (size_t i = 0; i < base_count; i++) {
        assert_non_null(clm_config_member_named(golden_base[i].name));
    }
    for (size_t i = 0; clm_config_member_at(i) != NULL; i++) {
        const char *name = clm_config_member_at(i)->name;
        size_t row = 0;
        while (row < row_count && strcmp(golden_rows[row].name, name) != 0) {
            row++;
        }
        if (row == row_count && strcmp(name, "clm") != 0) {
            fail_msg("make_config_members.py does not try %s", name);
        }
    }
}

static bool computes_the_same(const clm_model_config *a, const clm_model_config *b) {
    return a->n_vocab == b->n_vocab && a->n_ctx == b->n_ctx && a->n_embd == b->n_embd &&
           a->n_head == b->n_head && a->n_layer == b->n_layer &&
           clm_model_config_inner(a) == clm_model_config_inner(b) &&
           a->layer_norm_epsilon == b->layer_norm_epsilon && a->n_labels == b->n_labels &&
           a->pooling == b->pooling && a->pad_token == b->pad_token;
}

/* What transformers refuses, or does not answer with one of two classes, clm refuses; what changes
 * nothing there changes nothing here. What changes logits is refused by name, or the test below
 * compares them. */
static void members_are_honoured_irrelevant_or_refused(void **state) {
    (void)state;
    int refused = 0;
    clm_weights *base = NULL;
    assert_ok(clm_weights_open(&base, clm_test_source("golden/members")));
    assert_int_equal(clm_weights_config(base)->n_labels, 2);
    assert_string_equal(clm_weights_config(base)->labels[1], "LABEL_1");
    for (size_t i = 0; i < row_count; i++) {
        const struct golden_row *row = &golden_rows[i];
        clm_weights *weights = NULL;
        const clm_status status = clm_weights_open(&weights, members_folder(row->name, row->value));
        if (row->logits == 0 && status != CLM_OK) {
            fail_msg("\"%s\": %s changes nothing in transformers, and is refused: %s", row->name,
                     row->value, clm_error_message());
        }
        if (row->logits < 0 && status == CLM_OK) {
            fail_msg("\"%s\": %s is no classifier in transformers, and is taken", row->name,
                     row->value);
        }
        if (status != CLM_OK) {
            refused++;
            assert_message_has(clm_test_path("model"));
        } else if (computes_the_same(clm_weights_config(weights), clm_weights_config(base)) !=
                   (row->logits == 0)) {
            fail_msg("\"%s\": %s is read past, or changes something that it does not", row->name,
                     row->value);
        }
        clm_weights_close(weights);
    }
    assert_true(refused > 25 && refused < (int)row_count / 4);
    clm_weights_close(base);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_table_is_sorted_and_says_why),
        cmocka_unit_test(every_member_is_in_the_table),
        cmocka_unit_test(members_are_honoured_irrelevant_or_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

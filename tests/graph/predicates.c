/* SPDX-License-Identifier: Apache-2.0 */
#include "predicates.h"

#include <string.h>

static bool is_norm(const char *name) {
    return strstr(name, "ln_") != NULL;
}
static bool is_bias(const char *name) {
    return strstr(name, ".bias") != NULL;
}
static bool is_even_block(const char *name) {
    return strncmp(name, "h.0.", 4) == 0 || strncmp(name, "h.2.", 4) == 0;
}
static bool is_words(const char *name) {
    return strcmp(name, "wte.weight") == 0;
}
static bool is_embedding(const char *name) {
    return name[0] == 'w';
}
static bool is_projection(const char *name) {
    return strstr(name, "c_proj.weight") != NULL;
}
static bool is_queries(const char *name) {
    return strstr(name, "c_attn") != NULL;
}
static bool is_middle_block(const char *name) {
    return strncmp(name, "h.1.", 4) == 0;
}
static bool is_head(const char *name) {
    return strncmp(name, "score.", 6) == 0;
}
static bool is_last_block(const char *name) {
    return strncmp(name, "h.2.", 4) == 0 || strncmp(name, "ln_f.", 5) == 0 || is_head(name);
}
static bool is_one_bias(const char *name) {
    return strcmp(name, "h.0.ln_1.bias") == 0;
}
static bool is_any(const char *name) {
    return name != NULL;
}

const clm_test_predicate clm_test_predicates[] = {
    {"all", is_any, 0},
    {"head", is_head, 2}, /* cross-entropy, the head's weight and bias */
    {"last block", is_last_block, 0},
    {"middle block", is_middle_block, 0},
    {"every second block", is_even_block, 0},
    {"biases", is_bias, 0},
    {"norms", is_norm, 0},
    {"embeddings", is_embedding, 0},
    {"words", is_words, 0},
    {"projections", is_projection, 0},
    {"queries, keys and values", is_queries, 0},
    {"one bias at the bottom", is_one_bias, 0},
};
const size_t clm_test_predicate_count = sizeof clm_test_predicates / sizeof *clm_test_predicates;

bool clm_test_trains_by_predicate(void *context, const char *name) {
    return clm_test_predicates[*(size_t *)context].trains(name);
}

/* Subsets of GPT-2's parameters that may be trained.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef CLM_TEST_PREDICATES_H
#define CLM_TEST_PREDICATES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct clm_test_predicate {
    const char *about;
    bool (*trains)(const char *name); /* of a model of three layers */
    uint32_t nodes;                   /* of its backward pass, unfused; 0: not stated */
} clm_test_predicate;

/* The first is everything. */
extern const clm_test_predicate clm_test_predicates[];
extern const size_t clm_test_predicate_count;

/* A clm_trains; the context is the index of a predicate, a size_t. */
bool clm_test_trains_by_predicate(void *context, const char *name);

#endif

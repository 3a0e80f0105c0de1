/* Two reports, case by case.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <math.h>
#include <string.h>

#include "base/memory.h"
#include "bench/bench.h"

/* The same case in another report, when it has times there. */
static const clm_bench_result *find(const clm_bench_report *report, const clm_bench_result *like) {
    for (size_t i = 0; i < report->result_count; i++) {
        const clm_bench_result *result = &report->results[i];
        if (result->skipped[0] == '\0' && strcmp(result->name, like->name) == 0 &&
            strcmp(result->parameters, like->parameters) == 0) {
            return result;
        }
    }
    return NULL;
}

static clm_bench_pair make_pair(const clm_bench_result *a, const clm_bench_result *b) {
    return (clm_bench_pair){
        .a = a,
        .b = b,
        .ratio = a->median / b->median,
        .overlap = a->lower_quartile <= b->upper_quartile && b->lower_quartile <= a->upper_quartile,
    };
}

/* Sums logarithms in `ratio` until all pairs are in. */
static void add_to_group(clm_bench_comparison *comparison, const clm_bench_pair *pair) {
    const char *name = pair->a->name;
    const size_t length = clm_bench_group_length(name);
    clm_bench_group_ratio *group = comparison->groups;
    const clm_bench_group_ratio *end = group + comparison->group_count;
    while (group < end &&
           !(strlen(group->group) == length && memcmp(group->group, name, length) == 0)) {
        group++;
    }
    if (group == end) {
        *group = (clm_bench_group_ratio){.count = 0};
        memcpy(group->group, name, length);
        comparison->group_count++;
    }
    group->ratio += log(pair->ratio);
    group->count++;
}

static void add_missing(const clm_bench_result **only, size_t *count, const clm_bench_report *from,
                        const clm_bench_report *in) {
    for (size_t i = 0; i < from->result_count; i++) {
        const clm_bench_result *result = &from->results[i];
        if (result->skipped[0] == '\0' && find(in, result) == NULL) {
            only[(*count)++] = result;
        }
    }
}

clm_status clm_bench_compare(clm_bench_comparison *comparison, const clm_bench_report *a,
                             const clm_bench_report *b) {
    const char *what = "a comparison of benchmarks";
    clm_bench_comparison *c = comparison;
    clm_status status = CLM_OK;
    *c = (clm_bench_comparison){0};
    CLM_TRY(clm_allocate(&c->pairs, a->result_count, sizeof *c->pairs, what));
    CLM_TRY(clm_allocate(&c->groups, a->result_count, sizeof *c->groups, what));
    CLM_TRY(clm_allocate(&c->only_a, a->result_count, sizeof(clm_bench_result *), what));
    CLM_TRY(clm_allocate(&c->only_b, b->result_count, sizeof(clm_bench_result *), what));
    for (size_t i = 0; i < a->result_count; i++) {
        const clm_bench_result *result = &a->results[i];
        const clm_bench_result *other = find(b, result);
        if (result->skipped[0] == '\0' && other != NULL) {
            clm_bench_pair *pair = &c->pairs[c->pair_count++];
            *pair = make_pair(result, other);
            add_to_group(c, pair);
        }
    }
    for (size_t i = 0; i < c->group_count; i++) {
        c->groups[i].ratio = exp(c->groups[i].ratio / (double)c->groups[i].count);
    }
    add_missing(c->only_a, &c->only_a_count, a, b);
    add_missing(c->only_b, &c->only_b_count, b, a);
cleanup:
    return status;
}

void clm_bench_comparison_free(clm_bench_comparison *comparison) {
    clm_free(comparison->pairs);
    clm_free(comparison->groups);
    clm_free((void *)comparison->only_a);
    clm_free((void *)comparison->only_b);
    *comparison = (clm_bench_comparison){0};
}

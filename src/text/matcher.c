/* SPDX-License-Identifier: Apache-2.0 */
#include "text/matcher.h"

#include <stdbool.h>
#include <stdlib.h>

#include "base/memory.h"

/* A node of the tree of reversed texts. Nodes stand in the order of their depth, and the children
 * of one node side by side in the order of their bytes: those of node n end where those of node
 * n + 1 begin. */
typedef struct clm_matcher_node {
    uint32_t children; /* the first of them */
    uint32_t fallback; /* the node of the longest proper suffix that is in the tree */
    int32_t value;     /* of the longest text that ends here, reversed; else -1 */
    unsigned char byte;
} clm_matcher_node;

struct clm_matcher {
    clm_matcher_node *nodes; /* the root first; one more than there are, to end the last children */
    uint32_t root[256];      /* the root's children, by byte; 0 where there is none */
};

/* Of the texts in [first, end), which share their last `depth` bytes, a node is made. */
typedef struct text_range {
    size_t first;
    size_t end;
    size_t depth;
} text_range;

static unsigned char byte_at(const clm_matcher_text *text, size_t depth) {
    return text->bytes[text->length - 1 - depth];
}

static int compare_reversed(const void *a, const void *b) {
    const clm_matcher_text *left = a;
    const clm_matcher_text *right = b;
    const size_t both = left->length < right->length ? left->length : right->length;
    for (size_t i = 0; i < both; i++) {
        const int difference = (int)byte_at(left, i) - (int)byte_at(right, i);
        if (difference != 0) {
            return difference;
        }
    }
    return left->length < right->length ? -1 : left->length > right->length;
}

/* The child of a node by this byte, or 0. */
static uint32_t find_child(const clm_matcher *matcher, uint32_t node, unsigned char byte) {
    if (node == 0) {
        return matcher->root[byte];
    }
    uint32_t low = matcher->nodes[node].children;
    uint32_t high = matcher->nodes[node + 1].children;
    while (low < high) {
        const uint32_t middle = low + (high - low) / 2;
        if (matcher->nodes[middle].byte < byte) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low < matcher->nodes[node + 1].children && matcher->nodes[low].byte == byte ? low : 0;
}

static uint32_t next_node(const clm_matcher *matcher, uint32_t node, unsigned char byte) {
    for (;;) {
        const uint32_t child = find_child(matcher, node, byte);
        if (child != 0 || node == 0) {
            return child;
        }
        node = matcher->nodes[node].fallback;
    }
}

/* Appends the children of `node`, whose texts are ranges[node]; returns the number of nodes. */
static uint32_t add_children(clm_matcher *matcher, text_range *ranges, uint32_t node,
                             uint32_t count, const clm_matcher_text *texts) {
    const text_range range = ranges[node];
    matcher->nodes[node].children = count;
    for (size_t i = range.first; i < range.end;) {
        if (texts[i].length == range.depth) {
            i++; /* ends here; it is sorted before those that go on */
            continue;
        }
        clm_matcher_node *child = &matcher->nodes[count];
        const size_t first = i;
        child->byte = byte_at(&texts[i], range.depth);
        while (i < range.end && byte_at(&texts[i], range.depth) == child->byte) {
            i++;
        }
        /* The children of shallower nodes are all there, and a fallback is shallower. */
        child->fallback =
            node == 0 ? 0 : next_node(matcher, matcher->nodes[node].fallback, child->byte);
        child->value = texts[first].length == range.depth + 1
                           ? texts[first].value
                           : matcher->nodes[child->fallback].value;
        if (node == 0) {
            matcher->root[child->byte] = count;
        }
        ranges[count++] = (text_range){first, i, range.depth + 1};
    }
    return count;
}

clm_status clm_matcher_make(clm_matcher **matcher, clm_matcher_text *texts, size_t count) {
    clm_status status = CLM_OK;
    clm_matcher *made = NULL;
    text_range *ranges = NULL;
    size_t most = 2;
    uint32_t nodes = 1;
    *matcher = NULL;
    for (size_t i = 0; i < count; i++) {
        most += texts[i].length;
    }
    if (most >= UINT32_MAX) {
        return clm_fail(CLM_ERROR_FORMAT, "added tokens of %zu bytes are too long", most);
    }
    qsort(texts, count, sizeof *texts, compare_reversed);
    CLM_TRY(clm_allocate(&made, 1, sizeof *made, "added tokens"));
    CLM_TRY(clm_allocate(&made->nodes, most, sizeof *made->nodes, "added tokens"));
    CLM_TRY(clm_allocate(&ranges, most, sizeof *ranges, "added tokens"));
    made->nodes[0].value = -1;
    ranges[0] = (text_range){0, count, 0};
    for (uint32_t node = 0; node < nodes; node++) {
        nodes = add_children(made, ranges, node, nodes, texts);
    }
    made->nodes[nodes].children = nodes;
    *matcher = made;
    made = NULL;
cleanup:
    clm_free(ranges);
    clm_matcher_free(made);
    return status;
}

void clm_matcher_free(clm_matcher *matcher) {
    if (matcher != NULL) {
        clm_free(matcher->nodes);
        clm_free(matcher);
    }
}

int32_t clm_matcher_step(const clm_matcher *matcher, clm_matcher_state *state, unsigned char byte) {
    *state = next_node(matcher, *state, byte);
    return matcher->nodes[*state].value;
}

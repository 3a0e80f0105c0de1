/* Byte-pair merging of one piece: always the pair of the lowest rank, the leftmost first.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "base/memory.h"
#include "text/tokenizer.h"

enum {
    /* Up to here a scan for the lowest rank, quadratic but without a branch that is hard to
     * predict, beats a heap. */
    short_piece = 64
};

#define NO_RANK UINT32_MAX

static uint32_t rank_of(const clm_tokenizer *tokenizer, int32_t left, int32_t right,
                        int32_t *result) {
    const clm_pair_slot *slot = clm_tokenizer_pair(tokenizer, left, right);
    if (slot == NULL) {
        return NO_RANK;
    }
    *result = slot->result;
    return slot->rank;
}

static size_t merge_short(const clm_tokenizer *tokenizer, const unsigned char *piece, size_t length,
                          int32_t *ids) {
    /* Of the pair that token i makes with its right neighbour; the last makes none. */
    uint32_t ranks[short_piece];
    int32_t results[short_piece];
    size_t count = length;
    for (size_t i = 0; i < count; i++) {
        ids[i] = tokenizer->byte_ids[piece[i]];
    }
    for (size_t i = 0; i + 1 < count; i++) {
        ranks[i] = rank_of(tokenizer, ids[i], ids[i + 1], &results[i]);
    }
    while (count > 1) {
        size_t best = 0;
        for (size_t i = 1; i + 1 < count; i++) {
            best = ranks[i] < ranks[best] ? i : best;
        }
        if (ranks[best] == NO_RANK) {
            break;
        }
        ids[best] = results[best];
        count--;
        memmove(ids + best + 1, ids + best + 2, (count - best - 1) * sizeof *ids);
        memmove(ranks + best, ranks + best + 1, (count - best - 1) * sizeof *ranks);
        memmove(results + best, results + best + 1, (count - best - 1) * sizeof *results);
        if (best + 1 < count) {
            ranks[best] = rank_of(tokenizer, ids[best], ids[best + 1], &results[best]);
        }
        if (best > 0) {
            ranks[best - 1] = rank_of(tokenizer, ids[best - 1], ids[best], &results[best - 1]);
        }
    }
    return count;
}

/* A token of a long piece, in a list; `rank` and `result` are of its pair with `next`. */
typedef struct clm_merge_node {
    uint32_t previous;
    uint32_t next; /* the number of nodes when there is none */
    int32_t id;
    uint32_t rank;
    int32_t result;
} clm_merge_node;

/* Entries are rank << 32 | position: the least is the next to merge. One that no longer says what
 * its node says is out of date. */
static void push(clm_merge_space *space, size_t *heap_count, uint64_t entry) {
    uint64_t *heap = space->heap;
    size_t at = (*heap_count)++;
    while (at > 0 && heap[(at - 1) / 2] > entry) {
        heap[at] = heap[(at - 1) / 2];
        at = (at - 1) / 2;
    }
    heap[at] = entry;
}

static uint64_t pop(clm_merge_space *space, size_t *heap_count) {
    uint64_t *heap = space->heap;
    uint64_t least = heap[0];
    size_t count = --*heap_count;
    uint64_t entry = heap[count];
    size_t at = 0;
    for (;;) {
        size_t child = 2 * at + 1;
        if (child >= count) {
            break;
        }
        if (child + 1 < count && heap[child + 1] < heap[child]) {
            child++;
        }
        if (heap[child] >= entry) {
            break;
        }
        heap[at] = heap[child];
        at = child;
    }
    heap[at] = entry;
    return least;
}

static void rank_node(const clm_tokenizer *tokenizer, clm_merge_space *space, size_t *heap_count,
                      uint32_t at, uint32_t end) {
    clm_merge_node *node = &space->nodes[at];
    node->rank = NO_RANK;
    if (node->next == end) {
        return;
    }
    node->rank = rank_of(tokenizer, node->id, space->nodes[node->next].id, &node->result);
    if (node->rank != NO_RANK) {
        push(space, heap_count, (uint64_t)node->rank << 32 | at);
    }
}

static clm_status merge_long(const clm_tokenizer *tokenizer, const unsigned char *piece,
                             size_t length, clm_merge_space *space, int32_t *ids, size_t *count) {
    clm_status status = CLM_OK;
    CLM_TRY(clm_reserve(&space->nodes, &space->node_capacity, length, sizeof *space->nodes,
                        "a long word"));
    /* Each node once at first, and two for each of the at most length - 1 merges. */
    CLM_TRY(clm_reserve(&space->heap, &space->heap_capacity, 3 * length, sizeof *space->heap,
                        "a long word"));
    clm_merge_node *nodes = space->nodes;
    uint32_t end = (uint32_t)length;
    size_t heap_count = 0;
    for (uint32_t i = 0; i < end; i++) {
        nodes[i] = (clm_merge_node){.previous = i - 1U, .next = i + 1, .rank = NO_RANK};
        nodes[i].id = tokenizer->byte_ids[piece[i]];
    }
    for (uint32_t i = 0; i < end; i++) {
        rank_node(tokenizer, space, &heap_count, i, end);
    }
    while (heap_count > 0) {
        uint64_t entry = pop(space, &heap_count);
        uint32_t at = (uint32_t)entry;
        clm_merge_node *node = &nodes[at];
        if (node->rank != (uint32_t)(entry >> 32)) {
            continue;
        }
        clm_merge_node *gone = &nodes[node->next];
        node->id = node->result;
        node->next = gone->next;
        gone->rank = NO_RANK;
        if (node->next != end) {
            nodes[node->next].previous = at;
        }
        rank_node(tokenizer, space, &heap_count, at, end);
        if (at > 0) {
            rank_node(tokenizer, space, &heap_count, node->previous, end);
        }
    }
    *count = 0;
    for (uint32_t i = 0; i != end; i = nodes[i].next) {
        ids[(*count)++] = nodes[i].id;
    }
cleanup:
    return status;
}

clm_status clm_merge_piece(const clm_tokenizer *tokenizer, const unsigned char *piece,
                           size_t length, clm_merge_space *space, int32_t *ids, size_t *count) {
    if (length == 1) {
        ids[0] = tokenizer->byte_ids[piece[0]];
        *count = 1;
        return CLM_OK;
    }
    int32_t id = clm_tokenizer_find(tokenizer, piece, length);
    if (id >= 0 &&
        atomic_load_explicit(&tokenizer->whole[id], memory_order_relaxed) == clm_whole_yes) {
        ids[0] = id;
        *count = 1;
        return CLM_OK;
    }
    if (length > short_piece) {
        clm_status status = merge_long(tokenizer, piece, length, space, ids, count);
        if (status != CLM_OK) {
            return status;
        }
    } else {
        *count = merge_short(tokenizer, piece, length, ids);
    }
    if (id >= 0) {
        bool whole = *count == 1 && ids[0] == id;
        atomic_store_explicit(&tokenizer->whole[id], whole ? clm_whole_yes : clm_whole_no,
                              memory_order_relaxed);
    }
    return CLM_OK;
}

void clm_merge_space_free(clm_merge_space *space) {
    clm_free(space->nodes);
    clm_free(space->heap);
    *space = (clm_merge_space){0};
}

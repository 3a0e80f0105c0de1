/* SPDX-License-Identifier: Apache-2.0 */
#include "text/names.h"

#include <stdbool.h>
#include <string.h>

#include "base/keyed_hash.h"
#include "base/memory.h"
#include "text/tokenizer.h"

typedef struct clm_name {
    const void *bytes; /* NULL in an empty slot */
    size_t length;
    uint32_t hash;
    int32_t number;
} clm_name;

clm_status clm_names_make(clm_names *names, size_t count) {
    const size_t slots = clm_text_slots(count);
    clm_status status = clm_allocate(&names->slots, slots, sizeof *names->slots, "names of tokens");
    if (status == CLM_OK) {
        names->mask = slots - 1;
    }
    return status;
}

void clm_names_free(clm_names *names) {
    clm_free(names->slots);
    *names = (clm_names){0};
}

static clm_name *find(const clm_names *names, const void *name, size_t length, uint32_t hash) {
    for (size_t at = hash;; at++) {
        clm_name *slot = &names->slots[at & names->mask];
        if (slot->bytes == NULL || (slot->hash == hash && slot->length == length &&
                                    memcmp(slot->bytes, name, length) == 0)) {
            return slot;
        }
    }
}

int32_t clm_names_find(const clm_names *names, const void *name, size_t length) {
    if (names->slots == NULL) {
        return -1;
    }
    const clm_name *slot = find(names, name, length, (uint32_t)clm_keyed_hash(name, length));
    return slot->bytes != NULL ? slot->number : -1;
}

void clm_names_set(clm_names *names, const void *name, size_t length, int32_t number) {
    const uint32_t hash = (uint32_t)clm_keyed_hash(name, length);
    *find(names, name, length, hash) = (clm_name){name, length, hash, number};
}

/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include "support/test_scratch.h"

#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>

enum { guard_byte = 0x5A };

static size_t created;

/* Before the loader's, for the libraries below clm, too. */
cl_mem clCreateBuffer(cl_context context, cl_mem_flags flags, size_t size, void *host,
                      cl_int *code) {
    static cl_mem (*next)(cl_context, cl_mem_flags, size_t, void *, cl_int *);
    if (next == NULL) {
        void *symbol = dlsym(RTLD_NEXT, "clCreateBuffer");
        memcpy(&next, &symbol, sizeof next);
    }
    created++;
    return next(context, flags, size, host, code);
}

cl_mem clCreateSubBuffer(cl_mem whole, cl_mem_flags flags, cl_buffer_create_type type,
                         const void *region, cl_int *code) {
    static cl_mem (*next)(cl_mem, cl_mem_flags, cl_buffer_create_type, const void *, cl_int *);
    if (next == NULL) {
        void *symbol = dlsym(RTLD_NEXT, "clCreateSubBuffer");
        memcpy(&next, &symbol, sizeof next);
    }
    created++;
    return next(whole, flags, type, region, code);
}

clm_test_scratch clm_test_scratch_begin(clm_device *device, size_t bytes) {
    clm_test_scratch scratch = {.bytes = bytes};
    const size_t band = clm_device_part_alignment_bytes(device);
    scratch.band = band;
    const size_t all = band + bytes + band;
    unsigned char *host = malloc(all);
    assert_non_null(host);
    memset(host, guard_byte, all);
    memset(host + band, 0xFF, bytes);
    assert_ok(clm_buffer_pool_trim(device));
    assert_ok(clm_buffer_create(&scratch.whole, device, all, "scratch between guards"));
    assert_ok(clm_buffer_write(scratch.whole, 0, host, all));
    free(host);
    if (bytes > 0) {
        assert_ok(clm_buffer_create_part(&scratch.buffer, scratch.whole, band, bytes, "scratch"));
    }
    scratch.created = created;
    return scratch;
}

void clm_test_scratch_end(clm_test_scratch *scratch) {
    if (created != scratch->created) {
        fail_msg("an operation made %zu buffers", created - scratch->created);
    }
    const size_t band = scratch->band;
    const size_t all = band + scratch->bytes + band;
    unsigned char *host = malloc(all);
    assert_non_null(host);
    assert_ok(clm_buffer_read(scratch->whole, 0, host, all));
    for (size_t i = 0; i < band; i++) {
        if (host[i] != guard_byte || host[band + scratch->bytes + i] != guard_byte) {
            fail_msg("a kernel wrote outside its %zu bytes of scratch", scratch->bytes);
        }
    }
    free(host);
    clm_buffer_release(scratch->buffer);
    clm_buffer_release(scratch->whole);
    *scratch = (clm_test_scratch){0};
}

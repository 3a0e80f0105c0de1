/* Packed weights: in panels or dense, in parts that a device can allocate, in 32 or 16 bits.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "base/memory.h"
#include "ops/gemm_backend.h"

static size_t element_bytes(clm_gemm_storage storage) {
    return storage == CLM_GEMM_F32 ? 4 : 2;
}

size_t clm_gemm_piece_bytes(const clm_device *device) {
    const uint64_t most = clm_device_get_info(device)->max_allocation_size_bytes;
    return most < SIZE_MAX ? (size_t)most : SIZE_MAX;
}

clm_gemm_packing clm_gemm_packing_for(const clm_device *device, clm_gemm_backend backend,
                                      size_t piece_bytes, int K, int N, clm_gemm_storage storage) {
    const int panel = clm_gemm_own_panel_columns(device);
    const size_t panel_bytes = (size_t)K * (size_t)panel * element_bytes(storage);
    /* A piece of at least one panel: when the device cannot allocate even that, it says so. */
    const size_t most = piece_bytes / panel_bytes > 0 ? piece_bytes / panel_bytes : 1;
    const int all = parts_of(N, panel);
    return (clm_gemm_packing){.backend = backend,
                              .storage = storage,
                              .K = K,
                              .N = N,
                              .part_columns = (most < (size_t)all ? (int)most : all) * panel};
}

static size_t padded_columns(const clm_device *device, clm_gemm_backend backend, int columns) {
    const int panel = clm_gemm_own_panel_columns(device);
    return backend == CLM_GEMM_OWN_PANELS ? (size_t)parts_of(columns, panel) * (size_t)panel
                                          : (size_t)columns;
}

size_t clm_gemm_packing_bytes_as(const clm_device *device, clm_gemm_backend backend, int K, int N,
                                 clm_gemm_storage storage) {
    return (size_t)K * padded_columns(device, backend, N) * element_bytes(storage);
}

static clm_status pack_part(clm_gemm_packed *packed, int part, const clm_gemm_matrix *b) {
    clm_status status = CLM_OK;
    clm_buffer *wide = NULL;
    clm_device *device = packed->device;
    const clm_gemm_packing *p = &packed->packing;
    const int first = part * p->part_columns;
    const int columns = smaller(p->N - first, p->part_columns);
    const bool in_panels = p->backend == CLM_GEMM_OWN_PANELS;
    clm_gemm_matrix piece = *b;
    piece.offset += b->transposed ? (size_t)first * (size_t)b->stride : (size_t)first;
    const size_t count = padded_columns(device, p->backend, columns) * (size_t)p->K;
    CLM_TRY(clm_buffer_create_exact(&packed->parts[part], device, count * element_bytes(p->storage),
                                    "packed weights"));
    if (p->storage != CLM_GEMM_F32) {
        CLM_TRY(clm_buffer_create(&wide, device, count * sizeof(float), "weights to be packed"));
    }
    clm_buffer *floats = wide != NULL ? wide : packed->parts[part];
    CLM_TRY(in_panels ? clm_gemm_own_pack(device, floats, &piece, p->K, columns)
                      : clm_gemm_own_copy(device, floats, &piece, p->K, columns));
    if (wide != NULL) {
        CLM_TRY(clm_gemm_narrow(device, packed->parts[part], wide, count, p->storage));
    }
cleanup:
    clm_buffer_release(wide);
    return status;
}

clm_status clm_gemm_pack_as(clm_gemm_packed **packed, clm_device *device,
                            const clm_gemm_packing *packing, const clm_gemm_matrix *b) {
    clm_status status = CLM_OK;
    clm_gemm_packed *made = NULL;
    *packed = NULL;
    const int parts = parts_of(packing->N, packing->part_columns);
    CLM_TRY(clm_allocate(&made, 1, sizeof *made, "packed weights"));
    made->device = device;
    made->packing = *packing;
    CLM_TRY(clm_allocate(&made->parts, (size_t)parts, sizeof *made->parts, "packed weights"));
    for (int i = 0; i < parts; i++) {
        made->part_count++;
        CLM_TRY(pack_part(made, i, b));
    }
    *packed = made;
    made = NULL;
cleanup:
    clm_gemm_packed_release(made);
    return status;
}

void clm_gemm_packed_release(clm_gemm_packed *packed) {
    if (packed == NULL) {
        return;
    }
    for (int i = 0; i < packed->part_count; i++) {
        clm_buffer_release(packed->parts[i]);
    }
    clm_free(packed->parts);
    clm_free(packed);
}

size_t clm_gemm_packed_size_bytes(const clm_gemm_packed *packed) {
    size_t size_bytes = 0;
    for (int i = 0; i < packed->part_count; i++) {
        size_bytes += clm_buffer_size_bytes(packed->parts[i]);
    }
    return size_bytes;
}

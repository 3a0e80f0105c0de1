/* Any bytes as a safetensors file: refused with a message that names its place, or tensors that lie
 * within the bytes.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "fuzz.h"
#include "model/formats/dtype.h"
#include "model/formats/safetensors.h"

static void check_tensor(const clm_safetensors *file, const clm_safetensors_tensor *tensor,
                         const uint8_t *data, size_t size) {
    float first = 0.0F;
    FUZZ_CHECK(clm_safetensors_find(file, tensor->name) == tensor);
    FUZZ_CHECK(tensor->data >= data && tensor->data <= data + size);
    FUZZ_CHECK(tensor->size_bytes <= (size_t)(data + size - tensor->data));
    FUZZ_CHECK(tensor->count == tensor->size_bytes / clm_dtype_size(tensor->dtype));
    if (tensor->count > 0 && clm_dtype_is_floating(tensor->dtype)) {
        FUZZ_CHECK(clm_dtype_to_float(&first, tensor->data, tensor->dtype, 1) == CLM_OK);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    clm_safetensors *file = NULL;
    size_t data_bytes = 0;
    clm_error_clear();
    if (clm_safetensors_open_bytes(&file, data, size, "fuzz") != CLM_OK) {
        FUZZ_CHECK(file == NULL);
        FUZZ_CHECK(strncmp(clm_error_message(), "fuzz: byte ", 11) == 0);
        FUZZ_CHECK(strchr(clm_error_message(), '\n') == NULL);
        return 0;
    }
    for (size_t i = 0; i < clm_safetensors_count(file); i++) {
        check_tensor(file, clm_safetensors_at(file, i), data, size);
        data_bytes += clm_safetensors_at(file, i)->size_bytes;
    }
    FUZZ_CHECK(data_bytes <= size);
    clm_safetensors_close(file);
    return 0;
}

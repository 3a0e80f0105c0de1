/* What an opened device is, and what others keep for it.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "base/memory.h"
#include "device/internal.h"

clm_status clm_device_on_close(clm_device *device, void (*hook)(void *context), void *context) {
    clm_status status = clm_reserve(&device->hooks, &device->hook_capacity, device->hook_count + 1,
                                    sizeof *device->hooks, "close hooks");
    if (status == CLM_OK) {
        device->hooks[device->hook_count++] = (clm_close_hook){hook, context};
    }
    return status;
}

void *clm_device_close_context(const clm_device *device, void (*hook)(void *context)) {
    for (size_t i = device->hook_count; i > 0; i--) {
        if (device->hooks[i - 1].hook == hook) {
            return device->hooks[i - 1].context;
        }
    }
    return NULL;
}

const clm_device_info *clm_device_get_info(const clm_device *device) {
    return &device->info;
}

cl_command_queue clm_device_queue(clm_device *device) {
    return device->queue;
}

cl_context clm_device_context(clm_device *device) {
    return device->context;
}

cl_device_id clm_device_id(clm_device *device) {
    return device->id;
}

bool clm_device_is_cpu(const clm_device *device) {
    return device->info.type == CLM_DEVICE_CPU;
}

bool clm_device_is_emulated(const clm_device *device) {
    return clm_quirk_is_emulation(&device->info);
}

bool clm_device_is_simulator(const clm_device *device) {
    return clm_quirk_is_simulation(&device->info);
}

int clm_device_vector_width(const clm_device *device) {
    return device->vector_width;
}

size_t clm_device_work_group(const clm_device *device, size_t want) {
    const size_t most = clm_quirk_most_items(&device->info);
    size_t size = 1;
    while (size * 2 <= want && size * 2 <= device->info.max_work_group_size && size * 2 <= most) {
        size *= 2;
    }
    return size;
}

int clm_device_iteration_limit(const clm_device *device) {
    return clm_quirk_iteration_limit(&device->info);
}

uint64_t clm_device_memory_bytes(const clm_device *device) {
    return device->used_bytes;
}

uint64_t clm_device_memory_peak_bytes(const clm_device *device) {
    return device->peak_bytes;
}

/* Lists the OpenCL devices of this machine, then opens one and says which it was.
 *
 *   devices [PATTERN]     PATTERN as in clm_device_options: "0", "gpu", "radeon"
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <clm/clm.h>
#include <inttypes.h>
#include <stdio.h>

static const char *yes_or_no(bool value) {
    return value ? "yes" : "no";
}

static void print_device(const clm_device_info *device) {
    (void)printf("%d%s %s (%s)\n", device->index, device->is_default ? "*" : ":", device->name,
                 clm_device_type_name(device->type));
    (void)printf("   %s, driver %s, %s\n", device->platform, device->driver, device->version);
    (void)printf("   %d compute units, %" PRIu64 " MiB, %" PRIu64
                 " KiB local; half arithmetic %s, double %s, subgroups %s\n",
                 device->compute_units, device->memory_size_bytes >> 20,
                 device->local_memory_size_bytes >> 10, yes_or_no(device->has_fp16),
                 yes_or_no(device->has_fp64), yes_or_no(device->has_subgroups));
}

int main(int argc, char **argv) {
    clm_device_info *list = NULL;
    size_t count = 0;
    clm_device *device = NULL;
    clm_device_options options = CLM_DEVICE_OPTIONS_DEFAULT;
    if (argc > 2) {
        (void)fprintf(stderr, "usage: devices [PATTERN]\n");
        return 2;
    }
    options.pattern = argc == 2 ? argv[1] : NULL;

    clm_status status = clm_device_list(&list, &count);
    if (status != CLM_OK) {
        goto cleanup;
    }
    for (size_t i = 0; i < count; i++) {
        print_device(&list[i]);
    }
    status = clm_device_open(&device, &options);
    if (status != CLM_OK) {
        goto cleanup;
    }
    (void)printf("opened %s\n", clm_device_get_info(device)->name);

cleanup:
    if (status != CLM_OK) {
        /* The message says what to do: which package to install, or which devices there are. */
        (void)fprintf(stderr, "devices: %s (%s)\n", clm_error_message(), clm_status_name(status));
    }
    clm_device_close(device);
    clm_device_list_free(list);
    return status == CLM_OK ? 0 : 1;
}

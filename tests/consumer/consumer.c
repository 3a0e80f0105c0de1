/* What a user of the installed library does first. Prints the version and the devices; fails when
 * an answer is not what the headers promise. Having no device is not a failure here.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <clm/clm.h>
#include <stdio.h>
#include <string.h>

int main(void) {
    if (strcmp(clm_status_name(CLM_ERROR_IO), "CLM_ERROR_IO") != 0) {
        return 1;
    }
    (void)printf("clm %s\n", clm_version());
    clm_device_info *devices = NULL;
    size_t count = 0;
    clm_status status = clm_device_list(&devices, &count);
    if (status != CLM_OK && status != CLM_ERROR_NO_DEVICE) {
        (void)fprintf(stderr, "%s\n", clm_error_message());
        return 1;
    }
    for (size_t i = 0; i < count; i++) {
        (void)printf("%d: %s\n", devices[i].index, devices[i].name);
    }
    clm_device_list_free(devices);
    return 0;
}

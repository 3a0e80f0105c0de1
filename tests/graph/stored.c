/* SPDX-License-Identifier: Apache-2.0 */
#include "stored.h"

#include "support/test_support.h"

static clm_status read_values(void *context, const clm_parameter *parameter, size_t first,
                              size_t count, float *values) {
    const clm_reference_run *run = context;
    const uint32_t tensor = clm_graph_find(run->graph, CLM_TENSOR_PARAMETER, parameter->name);
    assert_int_not_equal(tensor, 0);
    for (size_t i = 0; i < count; i++) {
        values[i] = (float)run->values[tensor][first + i];
    }
    return CLM_OK;
}

clm_parameters *clm_test_stored(clm_device *device, clm_reference_run *run, const char *loss,
                                clm_trains *trains, void *context) {
    const clm_parameters_options options = {.trains = trains, .context = context};
    const clm_parameter_source source = {.context = run, .read = read_values};
    clm_parameters *parameters = NULL;
    assert_ok(clm_parameters_create(&parameters, device, run->graph, loss, &options));
    assert_ok(clm_parameters_load(parameters, &source));
    return parameters;
}

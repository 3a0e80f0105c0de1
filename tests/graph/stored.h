/* A store of parameters whose values are those of a run in plain C.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef CLM_TEST_STORED_H
#define CLM_TEST_STORED_H

#include "graph/parameters.h"
#include "graph/reference.h"

/* Of the run's graph; to be freed before the run. `trains` may be NULL, and so may `loss`. */
clm_parameters *clm_test_stored(clm_device *device, clm_reference_run *run, const char *loss,
                                clm_trains *trains, void *context);

#endif

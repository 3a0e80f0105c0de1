/* States: device memory that outlives executions, bound to the slots of clm_graph_state(). Plans
 * that run one after the other share it: a prompt writes a cache of keys and values, decoding reads
 * it.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef CLM_GRAPH_STATE_H
#define CLM_GRAPH_STATE_H

#include "clm/dtype.h"
#include "device/device.h"
#include "graph/graph.h"

typedef struct clm_state clm_state;

/* A state of zeros, through *state. It does not know which of its positions are valid: that is for
 * the caller, who binds first positions and lengths. f32 only so far: any other type is
 * CLM_ERROR_UNSUPPORTED. */
clm_status clm_state_create(clm_state **state, clm_device *device, clm_dtype type, int rank,
                            const int64_t *shape);
void clm_state_free(clm_state *state); /* NULL is fine; safe while executions are enqueued */

uint64_t clm_state_size_bytes(const clm_state *state);

/* Its memory, lent, for a slot of `about`: CLM_ERROR_SHAPE when their shapes differ. */
clm_status clm_state_lend(const clm_state *state, const clm_tensor_about *about,
                          clm_buffer **buffer);

#endif

/* The memory of plans. All plans of a model share one workspace: one is executed after the other,
 * so it is as large as the largest of them needs. It grows when a plan is executed that needs more.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef CLM_GRAPH_WORKSPACE_H
#define CLM_GRAPH_WORKSPACE_H

#include "device/device.h"

typedef struct clm_workspace clm_workspace;

clm_status clm_workspace_create(clm_workspace **workspace, clm_device *device);
void clm_workspace_free(clm_workspace *workspace); /* after its plans; NULL is fine */

clm_device *clm_workspace_device(const clm_workspace *workspace);

/* ---- for plans ---- */

/* Whoever has parts of the workspace's buffers, which must be released before these can grow. */
typedef struct clm_workspace_user {
    struct clm_workspace_user *next;
    void (*release_parts)(struct clm_workspace_user *user);
} clm_workspace_user;

void clm_workspace_join(clm_workspace *workspace, clm_workspace_user *user);
void clm_workspace_leave(clm_workspace *workspace, clm_workspace_user *user);

/* At least `count` buffers of these sizes. If one has to grow, all users release their parts first,
 * and the contents of all buffers are lost. */
clm_status clm_workspace_reserve(clm_workspace *workspace, const size_t *sizes_bytes, size_t count);

/* Lent until it has to grow. */
clm_buffer *clm_workspace_buffer(const clm_workspace *workspace, size_t index);

#endif

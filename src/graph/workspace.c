/* SPDX-License-Identifier: Apache-2.0 */
#include "graph/workspace.h"

#include "base/memory.h"

struct clm_workspace {
    clm_device *device;
    clm_buffer **buffers;
    size_t count, capacity;
    clm_workspace_user *users;
};

clm_status clm_workspace_create(clm_workspace **workspace, clm_device *device) {
    const clm_status status = clm_allocate(workspace, 1, sizeof **workspace, "a workspace");
    if (status == CLM_OK) {
        (*workspace)->device = device;
    }
    return status;
}

void clm_workspace_free(clm_workspace *workspace) {
    if (workspace == NULL) {
        return;
    }
    for (size_t i = 0; i < workspace->count; i++) {
        clm_buffer_release(workspace->buffers[i]);
    }
    clm_free(workspace->buffers);
    clm_free(workspace);
}

clm_device *clm_workspace_device(const clm_workspace *workspace) {
    return workspace->device;
}

void clm_workspace_join(clm_workspace *workspace, clm_workspace_user *user) {
    user->next = workspace->users;
    workspace->users = user;
}

void clm_workspace_leave(clm_workspace *workspace, clm_workspace_user *user) {
    clm_workspace_user **link = &workspace->users;
    while (*link != NULL && *link != user) {
        link = &(*link)->next;
    }
    if (*link != NULL) {
        *link = user->next;
    }
}

static bool is_large_enough(const clm_workspace *workspace, const size_t *sizes_bytes,
                            size_t count) {
    for (size_t i = 0; i < count; i++) {
        if (i >= workspace->count || workspace->buffers[i] == NULL ||
            clm_buffer_size_bytes(workspace->buffers[i]) < sizes_bytes[i]) {
            return false;
        }
    }
    return true;
}

clm_status clm_workspace_reserve(clm_workspace *workspace, const size_t *sizes_bytes,
                                 size_t count) {
    clm_status status = CLM_OK;
    if (is_large_enough(workspace, sizes_bytes, count)) {
        return CLM_OK;
    }
    CLM_TRY(clm_reserve(&workspace->buffers, &workspace->capacity, count,
                        sizeof *workspace->buffers, "a workspace"));
    for (clm_workspace_user *user = workspace->users; user != NULL; user = user->next) {
        user->release_parts(user);
    }
    for (; workspace->count < count; workspace->count++) {
        workspace->buffers[workspace->count] = NULL;
    }
    for (size_t i = 0; i < count; i++) {
        clm_buffer **buffer = &workspace->buffers[i];
        if (*buffer == NULL || clm_buffer_size_bytes(*buffer) < sizes_bytes[i]) {
            clm_buffer_release(*buffer); /* before its successor is there: both may not fit */
            *buffer = NULL;
            CLM_TRY(clm_buffer_create_exact(buffer, workspace->device, sizes_bytes[i],
                                            "what a pass works in"));
        }
    }
cleanup:
    return status;
}

clm_buffer *clm_workspace_buffer(const clm_workspace *workspace, size_t index) {
    return workspace->buffers[index];
}

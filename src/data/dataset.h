/* The internals of a data set, for the files of this room.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef CLM_DATA_DATASET_H
#define CLM_DATA_DATASET_H

#include "clm/data.h"

struct clm_dataset {
    int32_t *tokens;  /* (count,length) */
    int32_t *labels;  /* (count) */
    int32_t *lengths; /* (count) */
    size_t count;
    int length;
    size_t cut_count;
};

#endif

/* Downloads of an item that need not be in the catalog; see clm/fetch.h.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef CLM_FETCH_FETCH_H
#define CLM_FETCH_FETCH_H

#include "base/error.h"
#include "clm/fetch.h"
#include "fetch/catalog.h"

/* clm_fetch() of that item. `options` is not NULL. */
clm_status clm_fetch_item_get(clm_fetched **fetched, const clm_fetch_item *item,
                              const clm_fetch_options *options);

#endif

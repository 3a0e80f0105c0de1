/* All of clm's public headers.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef CLM_CLM_H
#define CLM_CLM_H

#include "clm/bench.h"
#include "clm/config.h"
#include "clm/data.h"
#include "clm/device.h"
#include "clm/dtype.h"
#include "clm/fetch.h"
#include "clm/infer.h"
#include "clm/log.h"
#include "clm/model.h"
#include "clm/random.h"
#include "clm/report.h"
#include "clm/selftest.h"
#include "clm/status.h"
#include "clm/text.h"
#include "clm/train.h"
#include "clm/tune.h"

#endif

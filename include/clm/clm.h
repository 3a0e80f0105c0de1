/* All of clm's public headers.
 *
 * Threads: any number of threads may call clm at once. One thread at a time may use an object (a
 * device with everything on it, a data set, a random stream), except that tokenizers, tables,
 * splits and data sets may be shared as long as they are only read. Two threads that compute need a
 * device each. Error messages are per thread; log notes arrive one at a time. The first call that
 * looks for devices sets environment variables that drivers read, so it must not run while other
 * threads read or set the environment.
 *
 * Processes: no device after a fork(); see clm_device.
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
#include "clm/graph.h"
#include "clm/infer.h"
#include "clm/log.h"
#include "clm/model.h"
#include "clm/progress.h"
#include "clm/random.h"
#include "clm/report.h"
#include "clm/run.h"
#include "clm/selftest.h"
#include "clm/status.h"
#include "clm/text.h"
#include "clm/train.h"
#include "clm/tune.h"

#endif

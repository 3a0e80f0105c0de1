/* Which GEMM a device gets.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef CLM_OPS_GEMM_CHOOSE_H
#define CLM_OPS_GEMM_CHOOSE_H

#include "ops/gemm_types.h"

/* The backend that AUTO means on this device; measured at the first call. */
clm_status clm_gemm_backend_for(clm_device *device, clm_gemm_backend *backend);
const char *clm_gemm_backend_name(clm_gemm_backend backend);

/* Replaces AUTO and OWN by the backend that they mean on this device: OWN_PANELS, OWN_TILED or
 * CLBLAST. */
clm_status clm_gemm_resolve(clm_device *device, clm_gemm_backend *backend);

/* From now on AUTO means this backend on the device (and so does OWN, if it is one of clm's own
 * forms); AUTO restores the default. With `few_too`, CLBLAST also computes products of few rows.
 * For the self-test, which replaces a backend that computes wrong results; weights that were packed
 * before may be read wrongly. */
clm_status clm_gemm_use(clm_device *device, clm_gemm_backend backend, bool few_too);

/* From now on AUTO means this arithmetic on the device; AUTO restores the default. For the
 * self-test. */
clm_status clm_gemm_use_arithmetic(clm_device *device, clm_gemm_arithmetic arithmetic);

/* The arithmetic that AUTO means on this device; measured at the first call. */
clm_status clm_gemm_arithmetic_of(clm_device *device, clm_gemm_arithmetic *arithmetic);

#endif

/* What every test includes first: cmocka with what it needs, comparisons that NaN fails, logged
 * random numbers, and a folder of the test's own.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef CLM_TEST_SUPPORT_H
#define CLM_TEST_SUPPORT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "clm/status.h"

/* Fails with clm's message when `call` does not return the status. */
#define assert_status(expected, call) \
    clm_test_assert_status((expected), (call), #call, __FILE__, __LINE__)
#define assert_ok(call) assert_status(CLM_OK, (call))

/* !(|actual - expected| <= atol + rtol * |expected|) fails, so NaN does. The array form reports the
 * worst element. Say beside each use why the tolerance is as large as it is. */
#define assert_close(actual, expected, atol, rtol) \
    clm_test_assert_close((actual), (expected), (atol), (rtol), __FILE__, __LINE__)
#define assert_all_close(actual, expected, count, atol, rtol, what)                            \
    clm_test_assert_all_close((actual), (expected), (count), (atol), (rtol), (what), __FILE__, \
                              __LINE__)

/* Whether the message of the last failure contains `part`. */
#define assert_message_has(part) clm_test_assert_message((part), __FILE__, __LINE__)

void clm_test_assert_status(clm_status expected, clm_status got, const char *call, const char *file,
                            int line);
void clm_test_assert_close(double actual, double expected, double atol, double rtol,
                           const char *file, int line);
void clm_test_assert_all_close(const float *actual, const float *expected, size_t count,
                               double atol, double rtol, const char *what, const char *file,
                               int line);
void clm_test_assert_message(const char *part, const char *file, int line);

/* The index of the element that differs most beyond its tolerance, or `count` when all are close.
 * NaN and infinities that are not equal count as infinitely wrong. */
size_t clm_test_worst(const float *actual, const float *expected, size_t count, double atol,
                      double rtol);

/* Random numbers of the test's own, from CLM_TEST_SEED when set, else from the clock; the seed is
 * printed once, so that a failure can be repeated. */
uint32_t clm_test_random(void);
float clm_test_uniform(float low, float high);
float clm_test_normal(void);
void clm_test_fill_normal(float *values, size_t count, float scale);

/* A fresh folder, made once a process and removed at its end, and a path in it. The path is lent
 * until the next eight calls. */
const char *clm_test_folder(void);
const char *clm_test_path(const char *name);
void clm_test_write(const char *path, const void *bytes, size_t size_bytes);

/* A file of $CLM_SHARED_DATA (default: the folder beside the checkout). NULL when it is not there,
 * unless CLM_DEMAND_SHARED_DATA is set: then that is a failure. A test that gets NULL calls skip().
 */
const char *clm_test_shared_data(const char *name);

/* Sets the whole program's locale, as a program does that calls libclm; "C" again afterwards. A
 * locale that the machine has not is a skip, and with CI set a failure; ctest's LOCPATH has
 * de_DE.UTF-8 and tr_TR.UTF-8. Programs run wholly in one when $CLM_TEST_LOCALE names it. */
void clm_test_set_locale(const char *name);

/* No file of this process may grow beyond it: a full disk for whoever writes more. UINT64_MAX ends
 * it.
 */
void clm_test_limit_files(uint64_t most_bytes);

/* A file below tests/. Lent like clm_test_path(). */
const char *clm_test_source(const char *name);

#endif

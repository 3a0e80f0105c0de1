/* SPDX-License-Identifier: Apache-2.0 */
#include "support/test_support.h"

#include <locale.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

void clm_test_assert_status(clm_status expected, clm_status got, const char *call, const char *file,
                            int line) {
    if (got != expected) {
        print_error("%s:%d: %s returned %s (%s), not %s\n", file, line, call, clm_status_name(got),
                    got == CLM_OK ? "" : clm_error_message(), clm_status_name(expected));
        _fail(file, line);
    }
    if (got != CLM_OK && clm_error_message()[0] == '\0') {
        print_error("%s:%d: %s failed without a message\n", file, line, call);
        _fail(file, line);
    }
}

void clm_test_assert_message(const char *part, const char *file, int line) {
    if (strstr(clm_error_message(), part) == NULL) {
        print_error("%s:%d: the message \"%s\" does not say \"%s\"\n", file, line,
                    clm_error_message(), part);
        _fail(file, line);
    }
}

/* How many times its tolerance a value is off. */
static double excess(double actual, double expected, double atol, double rtol) {
    if (actual == expected) {
        return 0.0;
    }
    double difference = fabs(actual - expected);
    if (!isfinite(difference)) {
        return INFINITY;
    }
    return difference / (atol + rtol * fabs(expected));
}

void clm_test_assert_close(double actual, double expected, double atol, double rtol,
                           const char *file, int line) {
    if (!(excess(actual, expected, atol, rtol) <= 1.0)) {
        print_error("%s:%d: %.9g is not close to %.9g (atol %g, rtol %g)\n", file, line, actual,
                    expected, atol, rtol);
        _fail(file, line);
    }
}

size_t clm_test_worst(const float *actual, const float *expected, size_t count, double atol,
                      double rtol) {
    size_t worst = count;
    double most = 1.0;
    for (size_t i = 0; i < count; i++) {
        double times = excess(actual[i], expected[i], atol, rtol);
        if (!(times <= most)) {
            most = times;
            worst = i;
        }
    }
    return worst;
}

void clm_test_assert_all_close(const float *actual, const float *expected, size_t count,
                               double atol, double rtol, const char *what, const char *file,
                               int line) {
    size_t worst = clm_test_worst(actual, expected, count, atol, rtol);
    if (worst < count) {
        print_error("%s:%d: %s[%zu of %zu] is %.9g, not %.9g (atol %g, rtol %g)\n", file, line,
                    what, worst, count, (double)actual[worst], (double)expected[worst], atol, rtol);
        _fail(file, line);
    }
}

static uint64_t random_state;

/* SplitMix64 (Steele, Lea and Flood 2014): small, and not one of the generators under test. */
uint32_t clm_test_random(void) {
    static bool seeded;
    if (!seeded) {
        const char *given = getenv("CLM_TEST_SEED");
        random_state = given != NULL ? strtoull(given, NULL, 10) : (uint64_t)time(NULL);
        print_message("CLM_TEST_SEED=%llu\n", (unsigned long long)random_state);
        seeded = true;
    }
    uint64_t z = random_state += 0x9E3779B97F4A7C15ULL;
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9ULL;
    z = (z ^ z >> 27) * 0x94D049BB133111EBULL;
    return (uint32_t)((z ^ z >> 31) >> 32);
}

float clm_test_uniform(float low, float high) {
    return low + (high - low) * (float)(clm_test_random() >> 8) * 0x1p-24F;
}

float clm_test_normal(void) {
    double u = ((double)clm_test_random() + 1.0) / 4294967296.0;
    double v = (double)clm_test_random() / 4294967296.0;
    return (float)(sqrt(-2.0 * log(u)) * cos(6.283185307179586 * v));
}

void clm_test_fill_normal(float *values, size_t count, float scale) {
    for (size_t i = 0; i < count; i++) {
        values[i] = scale * clm_test_normal();
    }
}

static char folder[256];

static void remove_folder(void) {
    char command[300];
    (void)snprintf(command, sizeof command, "rm -rf '%s'", folder);
    if (system(command) != 0) {
        (void)fprintf(stderr, "could not remove %s\n", folder);
    }
}

const char *clm_test_folder(void) {
    if (folder[0] == '\0') {
        const char *base = getenv("TMPDIR");
        (void)snprintf(folder, sizeof folder, "%s/clm-test-XXXXXX", base != NULL ? base : "/tmp");
        if (mkdtemp(folder) == NULL) {
            fail_msg("no temporary folder: %s", folder);
        }
        (void)atexit(remove_folder);
    }
    return folder;
}

static char *next_path(void) {
    static char paths[8][1024];
    static unsigned turn;
    return paths[turn++ % 8];
}

const char *clm_test_path(const char *name) {
    char *path = next_path();
    (void)snprintf(path, 1024, "%s/%s", clm_test_folder(), name);
    return path;
}

const char *clm_test_source(const char *name) {
    char *path = next_path();
    (void)snprintf(path, 1024, "%s/%s", CLM_TEST_SOURCE_DIR, name);
    return path;
}

void clm_test_write(const char *path, const void *bytes, size_t size_bytes) {
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, size_bytes, file), size_bytes);
    assert_int_equal(fclose(file), 0);
}

const char *clm_test_shared_data(const char *name) {
    const char *base = getenv("CLM_SHARED_DATA");
    char *path = next_path();
    (void)snprintf(path, 1024, "%s/%s", base != NULL ? base : CLM_TEST_SHARED_DATA, name);
    struct stat information;
    if (stat(path, &information) == 0) {
        return path;
    }
    if (getenv("CLM_DEMAND_SHARED_DATA") != NULL) {
        fail_msg("%s is demanded and not there", path);
    }
    print_message("skipped: %s is not there\n", path);
    return NULL;
}

void clm_test_limit_files(uint64_t most_bytes) {
    struct rlimit limit;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &limit), 0);
    limit.rlim_cur = most_bytes < limit.rlim_max ? (rlim_t)most_bytes : limit.rlim_max;
    (void)signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

void clm_test_set_locale(const char *name) {
    if (setlocale(LC_ALL, name) != NULL) {
        return;
    }
    if (getenv("CI") != NULL) {
        fail_msg("there is no locale %s", name);
    }
    print_message("skipped: there is no locale %s\n", name);
    skip();
}

/* Before main(), so that no test need know of it. */
__attribute__((constructor)) static void enter_locale(void) {
    const char *name = getenv("CLM_TEST_LOCALE");
    if (name != NULL && setlocale(LC_ALL, name) == NULL) {
        (void)fprintf(stderr, "there is no locale %s\n", name);
        exit(getenv("CI") != NULL ? 1 : 77);
    }
}

/* A developer's program, not a test: what clm_gemm reaches on GPT-2's shapes, beside OpenBLAS.
 *
 *     bench_gemm [--clblast] [REPEATS]
 *
 * OpenBLAS is loaded when libopenblas.so.0 is there, so nothing is built against it; 0.3.21 does
 * not know newer processors, so name the core type: OPENBLAS_CORETYPE=SKYLAKEX is set here when
 * unset. Backends take turns within each repeat; medians are printed, and of ratios the median of
 * each repeat's.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <dlfcn.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "ops/gemm.h"

enum { OWN, OWN_PACKED, CLBLAST, OPENBLAS, WAYS, MOST_REPEATS = 99 };
static const char *const way_names[WAYS] = {"own", "packed", "clblast", "openblas"};

typedef struct shape {
    const char *name;
    int M, N, K;
    bool a_transposed, b_transposed;
    bool counts; /* in the geometric mean */
} shape;

static const shape shapes[] = {
    {"qkv", 960, 2304, 768, false, false, true},    {"proj", 960, 768, 768, false, false, true},
    {"fc", 960, 3072, 768, false, false, true},     {"fc2", 960, 768, 3072, false, false, true},
    {"dX fc", 960, 768, 3072, false, true, true},   {"dX fc2", 960, 3072, 768, false, true, true},
    {"dW fc", 768, 3072, 960, true, false, true},   {"dW fc2", 3072, 768, 960, true, false, true},
    {"head", 960, 50257, 768, false, true, true},   {"M=8 fc2", 8, 768, 3072, false, false, false},
    {"M=1 qkv", 1, 2304, 768, false, false, false},
};

typedef void (*sgemm_function)(int order, int a_transposed, int b_transposed, int M, int N, int K,
                               float alpha, const float *a, int lda, const float *b, int ldb,
                               float beta, float *c, int ldc);

typedef struct bench {
    clm_device *device;
    sgemm_function sgemm;
    bool with_clblast;
    int repeats;
} bench;

static int compare_doubles(const void *x, const void *y) {
    const double a = *(const double *)x;
    const double b = *(const double *)y;
    return (a > b) - (a < b);
}

static double median(const double *values, int count) {
    double sorted[MOST_REPEATS];
    memcpy(sorted, values, (size_t)count * sizeof *sorted);
    qsort(sorted, (size_t)count, sizeof *sorted, compare_doubles);
    return sorted[count / 2];
}

static void demand(clm_status status) {
    if (status != CLM_OK) {
        (void)fprintf(stderr, "bench_gemm: %s\n", clm_error_message());
        exit(1);
    }
}

static clm_buffer *filled(clm_device *device, float *values, size_t count) {
    clm_buffer *buffer = NULL;
    for (size_t i = 0; i < count; i++) {
        values[i] = (float)(i * 2654435761U % 2001U) / 1000.0f - 1.0f;
    }
    demand(clm_buffer_create(&buffer, device, count * sizeof(float), "a matrix"));
    demand(clm_buffer_write(buffer, 0, values, count * sizeof(float)));
    return buffer;
}

static double run_clm(const bench *b, clm_gemm_backend backend, const clm_gemm_arguments *product) {
    const double start = clm_seconds();
    clm_gemm_arguments by = *product;
    by.backend = backend;
    demand(clm_gemm_on_lent_scratch(b->device, &by));
    demand(clm_device_finish(b->device));
    return clm_seconds() - start;
}

static double run_openblas(const bench *b, const shape *s, const float *a, const float *w,
                           float *c) {
    enum { ROW_MAJOR = 101, PLAIN = 111, TRANSPOSED = 112 };
    const double start = clm_seconds();
    b->sgemm(ROW_MAJOR, s->a_transposed ? TRANSPOSED : PLAIN, s->b_transposed ? TRANSPOSED : PLAIN,
             s->M, s->N, s->K, 1.0f, a, s->a_transposed ? s->M : s->K, w,
             s->b_transposed ? s->K : s->N, 0.0f, c, s->N);
    return clm_seconds() - start;
}

/* Prints one line; returns the median ratio of the own kernel to OpenBLAS, 0 without it. */
static double run_shape(const bench *b, const shape *s) {
    const size_t a_count = (size_t)s->M * (size_t)s->K;
    const size_t w_count = (size_t)s->K * (size_t)s->N;
    const size_t c_count = (size_t)s->M * (size_t)s->N;
    float *a = malloc(a_count * sizeof *a);
    float *w = malloc(w_count * sizeof *w);
    float *c = malloc(c_count * sizeof *c);
    if (a == NULL || w == NULL || c == NULL) {
        exit(1);
    }
    clm_gemm_arguments product = {.M = s->M,
                                  .N = s->N,
                                  .K = s->K,
                                  .a_transposed = s->a_transposed,
                                  .b_transposed = s->b_transposed,
                                  .a = filled(b->device, a, a_count),
                                  .b = filled(b->device, w, w_count),
                                  .c = filled(b->device, c, c_count)};
    clm_gemm_packed *packed = NULL;
    demand(clm_gemm_pack_with(&packed, b->device, CLM_GEMM_OWN, SIZE_MAX, product.b, 0, 0,
                              s->b_transposed, s->K, s->N, CLM_GEMM_F32));
    clm_gemm_arguments with_packed = product;
    with_packed.b_packed = packed;

    double seconds[WAYS][MOST_REPEATS] = {0};
    double ratios[MOST_REPEATS] = {0};
    double packed_ratios[MOST_REPEATS] = {0};
    for (int repeat = -1; repeat < b->repeats; repeat++) { /* the first warms up */
        double took[WAYS] = {0};
        took[OWN] = run_clm(b, CLM_GEMM_OWN, &product);
        took[OPENBLAS] = b->sgemm != NULL ? run_openblas(b, s, a, w, c) : 0;
        took[OWN_PACKED] = run_clm(b, CLM_GEMM_OWN, &with_packed);
        took[CLBLAST] = b->with_clblast ? run_clm(b, CLM_GEMM_CLBLAST, &product) : 0;
        for (int way = 0; way < WAYS && repeat >= 0; way++) {
            seconds[way][repeat] = took[way];
            ratios[repeat] = took[OPENBLAS] / took[OWN];
            packed_ratios[repeat] = took[OPENBLAS] / took[OWN_PACKED];
        }
    }
    printf("%-8s", s->name);
    for (int way = 0; way < WAYS; way++) {
        const double middle = median(seconds[way], b->repeats);
        printf(" %s %6.1f", way_names[way], middle > 0 ? 2e-9 * s->M * s->N * s->K / middle : NAN);
    }
    const double ratio = median(ratios, b->repeats);
    printf(" GFLOP/s; own %.3f, packed %.3f of openblas\n", ratio,
           median(packed_ratios, b->repeats));
    (void)fflush(stdout);
    clm_gemm_packed_release(packed);
    clm_buffer_release((clm_buffer *)product.a);
    clm_buffer_release((clm_buffer *)product.b);
    clm_buffer_release(product.c);
    free(a);
    free(w);
    free(c);
    return ratio;
}

int main(int argc, char **argv) {
    bench b = {.repeats = 7};
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--clblast") == 0) {
            b.with_clblast = true;
        } else {
            b.repeats = (int)strtol(argv[i], NULL, 10);
        }
    }
    if (b.repeats < 1 || b.repeats > MOST_REPEATS) {
        (void)fprintf(stderr, "usage: bench_gemm [--clblast] [REPEATS]\n");
        return 2;
    }
    (void)setenv("OPENBLAS_CORETYPE", "SKYLAKEX", 0);
    void *openblas = dlopen("libopenblas.so.0", RTLD_NOW);
    if (openblas != NULL) {
        *(void **)&b.sgemm = dlsym(openblas, "cblas_sgemm");
    }
    demand(clm_device_open(&b.device, NULL));
    printf("%s; OPENBLAS_CORETYPE=%s\n", clm_device_get_info(b.device)->name,
           getenv("OPENBLAS_CORETYPE"));
    double logs = 0;
    int count = 0;
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        const double ratio = run_shape(&b, &shapes[i]);
        if (shapes[i].counts) {
            logs += log(ratio);
            count++;
        }
    }
    printf("geometric mean of own to openblas: %.3f over %d shapes\n", exp(logs / count), count);
    clm_device_close(b.device);
    return 0;
}

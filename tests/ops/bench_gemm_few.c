/* A developer's program, not a test: products of 1 to 16 rows with GPT-2's weights, which are as
 * fast as the weights can be read.
 *
 *     bench_gemm_few [REPEATS [MIB]]
 *
 * Each way goes round through copies of the weights that take MIB (default 512) together, more than
 * a cache holds, so that they come from memory; a round is timed as a whole, ways take turns, and
 * medians are printed: GB/s of weights as they are stored, that as a share of what two plain loops
 * read, and the time of OpenBLAS (loaded when libopenblas.so.0 is there; its better layout) over
 * clm's. bench_gemm_torch.py does the same with PyTorch.
 *
 * Then the gradient of those weights from as few rows, dW += A^T dC, which reads and writes dW:
 * GB/s of both.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "ops/gemm.h"

enum { PLAIN, TRANSPOSED, PACKED, PACKED_F16, PACKED_BF16, BLAS, BLAS_TRANSPOSED, WAYS };
static const char *const way_names[WAYS] = {"(K,N)", "(N,K)",    "packed",   "f16",
                                            "bf16",  "openblas", "openblas'"};
static const size_t element_bytes[WAYS] = {4, 4, 4, 2, 2, 4, 4};
static const int row_counts[] = {1, 2, 4, 8, 16};
static const struct { int K, N; } shapes[] = {{768, 2304}, {768, 768}, {768, 3072}, {3072, 768}};

enum { MOST_REPEATS = 99, ROW_COUNTS = sizeof row_counts / sizeof *row_counts, MOST_ROWS = 16 };

typedef void (*sgemm_function)(int order, int a_transposed, int b_transposed, int M, int N, int K,
                               float alpha, const float *a, int lda, const float *b, int ldb,
                               float beta, float *c, int ldc);

typedef struct bench {
    clm_device *device;
    sgemm_function sgemm;
    int K, N;
    int copies;
    float *a, *b, *c; /* b: `copies` matrices */
    clm_buffer *a_buffer, *c_buffer;
    clm_buffer **b_buffers;
    clm_gemm_packed **packed[3];
} bench;

static void demand(bool fine) {
    if (!fine) {
        (void)fprintf(stderr, "bench_gemm_few: %s\n", clm_error_message());
        exit(1);
    }
}

static void *some(size_t count, size_t size) {
    void *memory = calloc(count, size);
    demand(memory != NULL);
    return memory;
}

static int compare_doubles(const void *x, const void *y) {
    const double a = *(const double *)x;
    const double b = *(const double *)y;
    return (a > b) - (a < b);
}

static double median(double *values, int count) {
    qsort(values, (size_t)count, sizeof *values, compare_doubles);
    return values[count / 2];
}

/* ---- what memory gives ---- */

typedef struct reader {
    const uint64_t *from;
    size_t count;
    uint64_t sum;
} reader;

static void *read_all(void *context) {
    reader *r = context;
    uint64_t sums[8] = {0};
    for (size_t i = 0; i + 8 <= r->count; i += 8) {
        for (int j = 0; j < 8; j++) {
            sums[j] += r->from[i + (size_t)j];
        }
    }
    for (int j = 0; j < 8; j++) {
        r->sum += sums[j];
    }
    return NULL;
}

static double read_speed(const void *memory, size_t size_bytes) {
    double best = 0;
    for (int i = 0; i < 5; i++) {
        pthread_t other;
        reader halves[2] = {{memory, size_bytes / 16, 0},
                            {(const uint64_t *)memory + size_bytes / 16, size_bytes / 16, 0}};
        const double start = clm_seconds();
        demand(pthread_create(&other, NULL, read_all, &halves[1]) == 0);
        (void)read_all(&halves[0]);
        (void)pthread_join(other, NULL);
        const double speed = (double)size_bytes / (clm_seconds() - start);
        best = speed > best && halves[0].sum + halves[1].sum != 1 ? speed : best;
    }
    return best;
}

/* ---- the products ---- */

static clm_buffer *filled(clm_device *device, const float *values, size_t count) {
    clm_buffer *buffer = NULL;
    demand(clm_buffer_create(&buffer, device, count * sizeof(float), "a matrix") == CLM_OK);
    demand(clm_buffer_write(buffer, 0, values, count * sizeof(float)) == CLM_OK);
    return buffer;
}

static void set_up(bench *b, size_t mib) {
    static const clm_gemm_storage storages[3] = {CLM_GEMM_F32, CLM_GEMM_F16, CLM_GEMM_BF16};
    const size_t count = (size_t)b->K * (size_t)b->N;
    b->copies = (int)((mib << 20) / (count * sizeof(float))) + 1;
    b->a = some((size_t)MOST_ROWS * (size_t)b->K, sizeof(float));
    b->c = some((size_t)MOST_ROWS * (size_t)b->N, sizeof(float));
    b->b = some((size_t)b->copies * count, sizeof(float));
    for (size_t i = 0; i < (size_t)MOST_ROWS * (size_t)b->K; i++) {
        b->a[i] = (float)(i * 2654435761U % 2001U) / 1000.0f - 1.0f;
    }
    for (size_t i = 0; i < (size_t)b->copies * count; i++) {
        b->b[i] = (float)(i * 2654435761U % 1999U) / 1000.0f - 1.0f;
    }
    b->a_buffer = filled(b->device, b->a, (size_t)MOST_ROWS * (size_t)b->K);
    b->c_buffer = filled(b->device, b->c, (size_t)MOST_ROWS * (size_t)b->N);
    b->b_buffers = some((size_t)b->copies, sizeof(clm_buffer *));
    for (int s = 0; s < 3; s++) {
        b->packed[s] = some((size_t)b->copies, sizeof(clm_gemm_packed *));
    }
    for (int i = 0; i < b->copies; i++) {
        b->b_buffers[i] = filled(b->device, b->b + (size_t)i * count, count);
        for (int s = 0; s < 3; s++) {
            demand(clm_gemm_pack_with(&b->packed[s][i], b->device, CLM_GEMM_OWN, SIZE_MAX,
                                      b->b_buffers[i], 0, 0, false, b->K, b->N,
                                      storages[s]) == CLM_OK);
        }
    }
}

static void tear_down(bench *b) {
    for (int i = 0; i < b->copies; i++) {
        clm_buffer_release(b->b_buffers[i]);
        for (int s = 0; s < 3; s++) {
            clm_gemm_packed_release(b->packed[s][i]);
        }
    }
    for (int s = 0; s < 3; s++) {
        free(b->packed[s]);
    }
    clm_buffer_release(b->a_buffer);
    clm_buffer_release(b->c_buffer);
    free(b->b_buffers);
    free(b->a);
    free(b->b);
    free(b->c);
}

/* Seconds of one product, in a round through all copies. */
static double run(const bench *b, int way, int M) {
    const size_t count = (size_t)b->K * (size_t)b->N;
    const double start = clm_seconds();
    for (int i = 0; i < b->copies; i++) {
        if (way >= BLAS) {
            bool transposed = way == BLAS_TRANSPOSED;
            b->sgemm(101, 111, transposed ? 112 : 111, M, b->N, b->K, 1.0f, b->a, b->K,
                     b->b + (size_t)i * count, transposed ? b->K : b->N, 0.0f, b->c, b->N);
            continue;
        }
        const clm_gemm_arguments product = {
            .M = M,
            .N = b->N,
            .K = b->K,
            .b_transposed = way == TRANSPOSED,
            .a = b->a_buffer,
            .b = b->b_buffers[i],
            .b_packed = way >= PACKED ? b->packed[way - PACKED][i] : NULL,
            .c = b->c_buffer,
            .backend = CLM_GEMM_OWN};
        demand(clm_gemm_on_lent_scratch(b->device, &product) == CLM_OK);
    }
    demand(clm_device_finish(b->device) == CLM_OK);
    return (clm_seconds() - start) / b->copies;
}

/* Seconds of one dW += A^T dC from `rows` rows, by clm or by OpenBLAS. */
static double run_gradient(const bench *b, bool blas, int rows) {
    const size_t count = (size_t)b->K * (size_t)b->N;
    const double start = clm_seconds();
    for (int i = 0; i < b->copies; i++) {
        if (blas) {
            b->sgemm(101, 112, 111, b->K, b->N, rows, 1.0f, b->a, b->K, b->c, b->N, 1.0f,
                     b->b + (size_t)i * count, b->N);
            continue;
        }
        const clm_gemm_arguments product = {.M = b->K,
                                            .N = b->N,
                                            .K = rows,
                                            .a_transposed = true,
                                            .a = b->a_buffer,
                                            .b = b->c_buffer,
                                            .c = b->b_buffers[i],
                                            .accumulate = true,
                                            .backend = CLM_GEMM_OWN};
        demand(clm_gemm_on_lent_scratch(b->device, &product) == CLM_OK);
    }
    demand(clm_device_finish(b->device) == CLM_OK);
    return (clm_seconds() - start) / b->copies;
}

static void run_gradients(const bench *b, int rows, int repeats) {
    static double seconds[2][MOST_REPEATS];
    for (int repeat = -1; repeat < repeats; repeat++) {
        for (int way = 0; way < (b->sgemm != NULL ? 2 : 1); way++) {
            seconds[way][repeat < 0 ? 0 : repeat] = run_gradient(b, way == 1, rows);
        }
    }
    const double bytes = 8.0 * b->K * b->N;
    const double own = median(seconds[0], repeats);
    printf("%4dx%-4d dW of %d rows | %.3f ms %.1f GB/s", b->K, b->N, rows, 1e3 * own,
           1e-9 * bytes / own);
    if (b->sgemm != NULL) {
        const double peer = median(seconds[1], repeats);
        printf(" x%.2f | openblas %.3f ms %.1f GB/s", peer / own, 1e3 * peer, 1e-9 * bytes / peer);
    }
    printf("\n");
    (void)fflush(stdout);
}

static void run_rows(const bench *b, int M, int repeats, double speed) {
    static double seconds[WAYS][MOST_REPEATS];
    const int ways = b->sgemm != NULL ? WAYS : BLAS;
    for (int repeat = -1; repeat < repeats; repeat++) { /* the first warms up */
        for (int way = 0; way < ways; way++) {
            seconds[way][repeat < 0 ? 0 : repeat] = run(b, way, M);
        }
    }
    double middle[WAYS] = {0};
    for (int way = 0; way < ways; way++) {
        middle[way] = median(seconds[way], repeats);
    }
    const double peer =
        middle[BLAS] < middle[BLAS_TRANSPOSED] ? middle[BLAS] : middle[BLAS_TRANSPOSED];
    printf("%4dx%-4d M=%-2d", b->K, b->N, M);
    for (int way = 0; way < ways; way++) {
        const double bytes = (double)element_bytes[way] * b->K * b->N;
        printf(" | %s %.3f ms %.1f GB/s %.0f%%", way_names[way], 1e3 * middle[way],
               1e-9 * bytes / middle[way], 100 * bytes / middle[way] / speed);
        if (way < BLAS && ways == WAYS) {
            printf(" x%.2f", peer / middle[way]);
        }
    }
    printf("\n");
    (void)fflush(stdout);
}

int main(int argc, char **argv) {
    bench b = {0};
    const int repeats = argc > 1 ? (int)strtol(argv[1], NULL, 10) : 5;
    const size_t mib = argc > 2 ? (size_t)strtol(argv[2], NULL, 10) : 512;
    if (repeats < 1 || repeats > MOST_REPEATS || mib < 1 || mib > 4096) {
        (void)fprintf(stderr, "usage: bench_gemm_few [REPEATS [MIB]]\n");
        return 2;
    }
    (void)setenv("OPENBLAS_CORETYPE", "SKYLAKEX", 0);
    void *openblas = dlopen("libopenblas.so.0", RTLD_NOW);
    if (openblas != NULL) {
        *(void **)&b.sgemm = dlsym(openblas, "cblas_sgemm");
    }
    demand(clm_device_open(&b.device, NULL) == CLM_OK);
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        b.K = shapes[i].K;
        b.N = shapes[i].N;
        set_up(&b, mib);
        const double speed = read_speed(b.b, (size_t)b.copies * (size_t)b.K * (size_t)b.N * 4);
        printf("reading: %.1f GB/s\n", 1e-9 * speed);
        for (int m = 0; m < ROW_COUNTS; m++) {
            run_rows(&b, row_counts[m], repeats, speed);
        }
        for (int m = 0; m < ROW_COUNTS; m++) {
            run_gradients(&b, row_counts[m], repeats);
        }
        tear_down(&b);
    }
    clm_device_close(b.device);
    return 0;
}

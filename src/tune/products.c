/* Candidates for clm_gemm: right over awkward shapes and GPT-2's, then measured on GPT-2's.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/memory.h"
#include "ops/gemm.h"
#include "reference/gemm.h"
#include "tune/measure.h"

typedef struct product {
    const char *name;
    int M, N, K;
    bool a_transposed, b_transposed;
    bool accumulate;
    bool tail; /* bias, GELU and a residual */
    bool packed;
} product;

/* Small and awkward: one, primes, one off what tiles are multiples of; each way of reading A and B,
 * each way of storing C. */
static const product awkward[] = {
    {"1x1x2", 1, 1, 2, false, false, false, false, false},
    {"7x13x5", 7, 13, 5, false, true, true, false, false},
    {"17x50x33", 17, 50, 33, true, false, false, false, false},
    {"33x97x65", 33, 97, 65, true, true, false, false, false},
    {"65x129x400", 65, 129, 400, false, false, false, true, false},
    {"31x145x97", 31, 145, 97, false, true, false, false, true},
    {"257x191x385", 257, 191, 385, false, false, true, false, false},
};

/* GPT-2's linear layers forward, the gradients of their inputs (dX) and of their weights (dW), for
 * 8 messages of 120 tokens, for one, and for 8 last positions. */
static const product gpt2[] = {
    {"qkv", 960, 2304, 768, false, false, false, false, false},
    {"projection", 960, 768, 768, false, false, false, false, false},
    {"fc", 960, 3072, 768, false, false, false, false, false},
    {"fc2", 960, 768, 3072, false, false, false, false, false},
    {"dX fc", 960, 768, 3072, false, true, false, false, false},
    {"dX fc2", 960, 3072, 768, false, true, false, false, false},
    {"dW fc", 768, 3072, 960, true, false, true, false, false},
    {"dW fc2", 3072, 768, 960, true, false, true, false, false},
    {"qkv 120", 120, 2304, 768, false, false, false, false, false},
    {"fc2 120", 120, 768, 3072, false, false, false, false, false},
    {"dX fc 120", 120, 768, 3072, false, true, false, false, false},
    {"dW fc 120", 768, 3072, 120, true, false, true, false, false},
    {"fc2 8", 8, 768, 3072, false, false, false, false, false},
};

/* Only in the preset "full": it takes as long as all others together. */
static const product head = {"head", 960, 50257, 768, false, true, false, false, false};

static const product tiny[] = {
    {"tiny", 24, 96, 48, false, false, false, false, false},
    {"tiny dW", 48, 96, 24, true, false, true, false, false},
};

typedef struct operands {
    const product *p;
    clm_gemm_backend backend;
    float *a, *b, *c, *bias, *residual;
    float *expected, *bound;
    clm_buffer *device_a, *device_b, *device_c, *device_bias, *device_residual;
    clm_gemm_packed *packed;
} operands;

static void free_operands(operands *o) {
    clm_gemm_packed_release(o->packed);
    clm_buffer_release(o->device_a);
    clm_buffer_release(o->device_b);
    clm_buffer_release(o->device_c);
    clm_buffer_release(o->device_bias);
    clm_buffer_release(o->device_residual);
    clm_free(o->a);
    clm_free(o->b);
    clm_free(o->c);
    clm_free(o->bias);
    clm_free(o->residual);
    clm_free(o->expected);
    clm_free(o->bound);
}

static clm_status make_operands(operands *o, clm_tune_run *run, const product *p) {
    clm_status status = CLM_OK;
    const size_t M = (size_t)p->M;
    const size_t N = (size_t)p->N;
    const size_t K = (size_t)p->K;
    *o = (operands){.p = p};
    o->backend =
        (clm_gemm_backend)clm_tuning_get(&run->trial->settings, CLM_SET_GEMM_BACKEND, CLM_GEMM_OWN);
    CLM_TRY(clm_tune_numbers(&o->a, &o->device_a, run->device, M * K, 1));
    CLM_TRY(clm_tune_numbers(&o->b, &o->device_b, run->device, K * N, 2));
    CLM_TRY(clm_tune_numbers(&o->c, &o->device_c, run->device, M * N, 3));
    if (p->tail) {
        CLM_TRY(clm_tune_numbers(&o->bias, &o->device_bias, run->device, N, 4));
        CLM_TRY(clm_tune_numbers(&o->residual, &o->device_residual, run->device, M * N, 5));
    }
    if (p->packed) {
        CLM_TRY(clm_gemm_pack_with(&o->packed, run->device, o->backend, SIZE_MAX, o->device_b, 0, 0,
                                   p->b_transposed, p->K, p->N, CLM_GEMM_F32));
    }
    if (!p->accumulate) { /* must not be read: what is left of it shows as wrong */
        for (size_t i = 0; i < M * N; i++) {
            o->c[i] = NAN;
        }
        CLM_TRY(clm_buffer_write(o->device_c, 0, o->c, M * N * sizeof *o->c));
    }
cleanup:
    return status;
}

static clm_status multiply(clm_tune_run *run, void *context, bool candidate) {
    const operands *o = context;
    const product *p = o->p;
    const clm_gemm_arguments arguments = {
        .M = p->M,
        .N = p->N,
        .K = p->K,
        .a_transposed = p->a_transposed,
        .b_transposed = p->b_transposed,
        .a = o->device_a,
        .b = o->device_b,
        .b_packed = o->packed,
        .c = o->device_c,
        .accumulate = p->accumulate,
        .bias = o->device_bias,
        .gelu = p->tail,
        .residual = o->device_residual,
        .backend = candidate ? o->backend : CLM_GEMM_OWN,
    };
    return clm_gemm_on_lent_scratch(run->device, &arguments);
}

/* ---- checks ---- */

/* Row m of what is expected, and the bound of its rounding errors. */
static void compute_row(const operands *o, int m) {
    const product *p = o->p;
    clm_reference_gemm_arguments row = {
        .M = 1,
        .N = p->N,
        .K = p->K,
        .a_transposed = p->a_transposed,
        .b_transposed = p->b_transposed,
        .a = o->a + (size_t)m * (p->a_transposed ? 1 : (size_t)p->K),
        .lda = p->a_transposed ? p->M : p->K,
        .b = o->b,
        .ldb = p->b_transposed ? p->K : p->N,
        .c = o->expected,
        .ldc = p->N,
        .accumulate = p->accumulate,
        .bias = o->bias,
        .gelu = p->tail,
        .residual = o->residual != NULL ? o->residual + (size_t)m * (size_t)p->N : NULL,
    };
    memcpy(o->expected, o->c + (size_t)m * (size_t)p->N, (size_t)p->N * sizeof *o->c);
    clm_reference_gemm_bound(&row, o->bound);
    clm_reference_gemm(&row);
}

/* Sums of K fused multiply-adds in any order, and of their parts (Higham 2002, section 3.1); the
 * tail adds a rounding for the bias and one for the residual, and GELU, with a slope below 1.13, an
 * error of its own below 5e-7 * max(1, |x|). The same as tests/ops/gemm_cases.c allows. */
static double tolerance_of(const operands *o, int m, int n) {
    const product *p = o->p;
    const double bound = o->bound[n];
    const double rounding = (p->K + p->K / 16.0 + 4.0) * 0x1p-24 * bound;
    if (!p->tail) {
        return rounding;
    }
    const double size = bound + fabs((double)o->bias[n]) +
                        fabs((double)o->residual[(size_t)m * (size_t)p->N + (size_t)n]);
    return 1.13 * rounding + 3 * 0x1p-24 * size + 5e-7 * (1 + size);
}

/* All rows of what is small; of the rest the first and last, where tiles begin and end, and one
 * between. Of all others, that they are there: no NaN is left. */
static bool is_checked(const product *p, int m) {
    const double work = (double)p->M * p->N * p->K;
    return work < 2e7 || m < 2 || m >= p->M - 2 || m == p->M / 2 + 1;
}

static void compare(clm_tune_run *run, const operands *o, const float *got) {
    const product *p = o->p;
    for (int m = 0; m < p->M && run->score->outcome == CLM_TUNE_RIGHT; m++) {
        const bool checked = is_checked(p, m);
        if (checked) {
            compute_row(o, m);
        }
        for (int n = 0; n < p->N; n++) {
            const size_t at = (size_t)m * (size_t)p->N + (size_t)n;
            const double expected = checked ? (double)o->expected[n] : 0;
            const double tolerance = checked ? tolerance_of(o, m, n) : HUGE_VAL;
            if (!(fabs((double)got[at] - expected) <= tolerance) || !isfinite(got[at])) {
                clm_tune_wrong(run, p->name, at, (double)got[at], expected);
                return;
            }
        }
    }
}

static clm_status check(clm_tune_run *run, operands *o) {
    clm_status status = CLM_OK;
    const size_t count = (size_t)o->p->M * (size_t)o->p->N;
    float *got = NULL;
    CLM_TRY(clm_allocate(&got, count, sizeof *got, "a result"));
    CLM_TRY(clm_allocate(&o->expected, (size_t)o->p->N, sizeof *got, "an expected result"));
    CLM_TRY(clm_allocate(&o->bound, (size_t)o->p->N, sizeof *got, "a bound of errors"));
    CLM_TRY(multiply(run, o, true));
    CLM_TRY(clm_buffer_read(o->device_c, 0, got, count * sizeof *got));
    if (run->trial->spoil) {
        got[count / 2] += 1.0f;
    }
    compare(run, o, got);
cleanup:
    clm_free(got);
    return status;
}

/* ---- all ---- */

static clm_status try_product(clm_tune_run *run, const product *p, bool timed) {
    clm_status status = CLM_OK;
    operands o = {0};
    CLM_TRY(clm_tuning_use(run->device, &run->trial->settings));
    CLM_TRY(make_operands(&o, run, p));
    CLM_TRY(check(run, &o));
    if (timed && run->score->outcome == CLM_TUNE_RIGHT) {
        CLM_TRY(clm_tune_time(run, multiply, &o));
    }
cleanup:
    free_operands(&o);
    return status;
}

clm_status clm_tune_products(clm_tune_run *run) {
    clm_status status = CLM_OK;
    const bool small = run->trial->preset == CLM_TUNE_SMALL;
    const product *timed = small ? tiny : gpt2;
    const size_t count = small ? sizeof tiny / sizeof *tiny : sizeof gpt2 / sizeof *gpt2;
    for (size_t i = 0; i < sizeof awkward / sizeof *awkward; i++) {
        CLM_TRY(try_product(run, &awkward[i], false));
        if (run->score->outcome != CLM_TUNE_RIGHT) {
            return CLM_OK;
        }
    }
    for (size_t i = 0; i < count && run->score->outcome == CLM_TUNE_RIGHT; i++) {
        CLM_TRY(try_product(run, &timed[i], true));
        if (run->score->outcome == CLM_TUNE_RIGHT && clm_tune_is_hopeless(run)) {
            run->score->outcome = CLM_TUNE_SLOW;
        }
    }
    if (run->trial->preset == CLM_TUNE_FULL && run->score->outcome == CLM_TUNE_RIGHT) {
        CLM_TRY(try_product(run, &head, true));
    }
cleanup:
    return status;
}

/* What a row becomes does not depend on how many rows share the call, nor on its place among them,
 * bit for bit: so a text gets the same answer whatever it is batched with.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "op_test.h"

enum { ROWS = 40, VOCABULARY = 11, INPUTS = 3, OUTPUTS = 3 };

/* One call on some of the rows; all sizes are per row. */
typedef struct batch {
    clm_device *device;
    int rows, C;
    clm_buffer *in[INPUTS];     /* (rows,C), normal */
    clm_buffer *one, *two;      /* (rows) and (rows,2), 1 to 2 */
    clm_buffer *ids;            /* (rows), below VOCABULARY and C */
    clm_buffer *places;         /* (rows): 0, 1, 2, ... */
    clm_buffer *table, *vector; /* (VOCABULARY,C) and (C), the same for all */
    clm_buffer *out[OUTPUTS];
} batch;

static clm_status layernorm(const batch *b) {
    return clm_layernorm_forward(b->device, b->out[0], b->out[1], b->out[2], b->in[0], b->vector,
                                 b->vector, b->rows, b->C, 1e-5F);
}

static clm_status layernorm_backward(const batch *b) {
    return clm_layernorm_backward(b->device, b->out[0], NULL, NULL, b->in[0], b->in[1], b->vector,
                                  b->one, b->one, b->in[2], b->rows, b->C, NULL);
}

static clm_status gelu(const batch *b) {
    return clm_gelu_forward(b->device, b->out[0], b->in[0], (size_t)b->rows * (size_t)b->C);
}

static clm_status gelu_backward(const batch *b) {
    return clm_gelu_backward(b->device, b->out[0], b->in[1], b->in[0],
                             (size_t)b->rows * (size_t)b->C);
}

static clm_status residual(const batch *b) {
    return clm_residual_forward(b->device, b->out[0], b->in[0], b->in[1],
                                (size_t)b->rows * (size_t)b->C);
}

static clm_status crossentropy(const batch *b) {
    return clm_crossentropy_forward(b->device, b->out[1], b->out[2], b->out[0], b->in[0], b->ids,
                                    b->rows, b->C);
}

static clm_status crossentropy_backward(const batch *b) {
    return clm_crossentropy_backward(b->device, b->out[0], b->in[0], b->two, b->ids, 0.25F, b->rows,
                                     b->C);
}

static clm_status embedding(const batch *b) {
    return clm_embedding_forward(b->device, b->out[0], b->ids, b->table, b->vector, b->rows, 1,
                                 b->C, 0);
}

static clm_status gather(const batch *b) {
    return clm_rows_gather(b->device, b->out[0], b->table, b->ids, b->rows, b->C);
}

static clm_status scatter(const batch *b) {
    return clm_rows_scatter(b->device, b->out[0], b->in[0], b->places, b->rows, b->rows, b->C);
}

static clm_status add(const batch *b) {
    clm_status status = CLM_OK;
    CLM_TRY(
        clm_buffer_copy(b->out[0], 0, b->in[0], 0, (size_t)b->rows * (size_t)b->C * sizeof(float)));
    CLM_TRY(clm_rows_add(b->device, b->out[0], b->in[1], b->places, b->rows, b->C));
cleanup:
    return status;
}

static clm_status through_16_bits(const batch *b) {
    const size_t count = (size_t)b->rows * (size_t)b->C;
    clm_status status = CLM_OK;
    CLM_TRY(clm_convert_f32_to_f16(b->device, b->in[1], b->in[0], count));
    CLM_TRY(clm_convert_f16_to_f32(b->device, b->in[2], b->in[1], count));
    CLM_TRY(clm_convert_f32_to_bf16(b->device, b->in[1], b->in[2], count));
    CLM_TRY(clm_convert_bf16_to_f32(b->device, b->out[0], b->in[1], count));
cleanup:
    return status;
}

typedef struct row_operation {
    const char *name;
    clm_status (*run)(const batch *b);
    int beside[OUTPUTS - 1]; /* floats a row in the second and third output, 0 for none */
} row_operation;

static const row_operation operations[] = {
    {"layernorm", layernorm, {1, 1}},
    {"layernorm_backward", layernorm_backward, {0}},
    {"gelu", gelu, {0}},
    {"gelu_backward", gelu_backward, {0}},
    {"residual", residual, {0}},
    {"crossentropy", crossentropy, {1, 2}},
    {"crossentropy_backward", crossentropy_backward, {0}},
    {"embedding", embedding, {0}},
    {"gather", gather, {0}},
    {"scatter", scatter, {0}},
    {"add", add, {0}},
    {"convert", through_16_bits, {0}},
};

/* All rows on the host. */
typedef struct rows {
    int C;
    float *in[INPUTS], *table, *vector;
    float one[ROWS], two[2 * ROWS];
    int32_t ids[ROWS], places[ROWS];
} rows;

static rows make_rows(int C) {
    rows r = {.C = C};
    const size_t columns = (size_t)C;
    for (int i = 0; i < INPUTS; i++) {
        r.in[i] = normal_floats(ROWS * columns, 3.0F);
    }
    r.table = normal_floats(VOCABULARY * columns, 1.0F);
    r.vector = normal_floats(columns, 1.0F);
    for (int i = 0; i < ROWS; i++) {
        r.one[i] = r.two[2 * i] = 1.0F + 0.02F * (float)i;
        r.two[2 * i + 1] = 2.0F - 0.02F * (float)i;
        r.ids[i] = (int32_t)(clm_test_random() % (uint32_t)(C < VOCABULARY ? C : VOCABULARY));
        r.places[i] = i;
    }
    return r;
}

static void free_rows(rows *r) {
    for (int i = 0; i < INPUTS; i++) {
        free(r->in[i]);
    }
    free(r->table);
    free(r->vector);
}

static size_t width_of(const row_operation *operation, int output, int C) {
    return (size_t)(output == 0 ? C : operation->beside[output - 1]);
}

/* The outputs for `count` rows from `first` on, freed by the caller. */
static void run(clm_device *device, const row_operation *operation, const rows *r, int first,
                int count, float *out[OUTPUTS]) {
    const size_t C = (size_t)r->C;
    const size_t from = (size_t)first;
    const size_t n = (size_t)count;
    batch b = {.device = device, .rows = count, .C = r->C};
    for (int i = 0; i < INPUTS; i++) {
        b.in[i] = clm_test_buffer(device, r->in[i] + from * C, n * C);
    }
    b.one = clm_test_buffer(device, r->one + from, n);
    b.two = clm_test_buffer(device, r->two + 2 * from, 2 * n);
    b.ids = clm_test_buffer(device, r->ids + first, n);
    b.places = clm_test_buffer(device, r->places, n);
    b.table = clm_test_buffer(device, r->table, VOCABULARY * C);
    b.vector = clm_test_buffer(device, r->vector, C);
    for (int i = 0; i < OUTPUTS; i++) {
        b.out[i] = clm_test_buffer(device, NULL, n * width_of(operation, i, r->C));
    }
    assert_ok(operation->run(&b));
    for (int i = 0; i < OUTPUTS; i++) {
        out[i] = read_floats(b.out[i], n * width_of(operation, i, r->C));
        clm_test_buffer_check(b.out[i], n * width_of(operation, i, r->C));
    }
    for (int i = 0; i < INPUTS; i++) {
        clm_test_buffer_check(b.in[i], n * C);
    }
    clm_test_buffer_check(b.one, n);
    clm_test_buffer_check(b.two, 2 * n);
    clm_test_buffer_check(b.ids, n);
    clm_test_buffer_check(b.places, n);
    clm_test_buffer_check(b.table, VOCABULARY * C);
    clm_test_buffer_check(b.vector, C);
}

static void compare(clm_device *device, const row_operation *operation, const rows *r) {
    static const int counts[] = {1, 2, 7, 15, 16, 17, 31};
    float *all[OUTPUTS];
    run(device, operation, r, 0, ROWS, all);
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
        const int first = (int)(clm_test_random() % (uint32_t)(ROWS - counts[i] + 1));
        float *some[OUTPUTS];
        run(device, operation, r, first, counts[i], some);
        for (int k = 0; k < OUTPUTS; k++) {
            const size_t width = width_of(operation, k, r->C);
            if (memcmp(some[k], all[k] + (size_t)first * width,
                       (size_t)counts[i] * width * sizeof(float)) != 0) {
                fail_msg("%s, C=%d: %d rows from %d on are not what they are among %d",
                         operation->name, r->C, counts[i], first, ROWS);
            }
            free(some[k]);
        }
    }
    for (int k = 0; k < OUTPUTS; k++) {
        free(all[k]);
    }
}

/* Columns around vectors of 4, 8 and 16, a work-group of 256 items of them, and GPT-2's. */
static void rows_do_not_see_each_other_on(clm_device *device) {
    static const int columns[] = {1, 7, 16, 33, 768, 1025, 3072};
    for (size_t i = 0; i < (is_slow(device) ? 4 : sizeof columns / sizeof *columns); i++) {
        rows r = make_rows(columns[i]);
        for (size_t k = 0; k < sizeof operations / sizeof *operations; k++) {
            compare(device, &operations[k], &r);
        }
        free_rows(&r);
    }
}

static void rows_do_not_see_each_other(void **state) {
    (void)state;
    each_variant(rows_do_not_see_each_other_on);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_do_not_see_each_other),
    };
    return cmocka_run_group_tests(tests, NULL, clm_test_close_devices);
}

/* Building descriptions: shapes, names, and errors that stick.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "graph/graph.h"

#include "support/test_support.h"

static const clm_tensor none;

static clm_graph *new_graph(void) {
    clm_graph *graph = NULL;
    assert_ok(clm_graph_create(&graph));
    return graph;
}

static clm_tensor parameter(clm_graph *g, const char *name, int rank, int64_t a, int64_t b) {
    const int64_t shape[] = {a, b};
    return clm_graph_parameter(g, name, rank, shape, NULL);
}

static void shapes_follow(void **state) {
    (void)state;
    clm_graph *g = new_graph();
    const int64_t shape[] = {8, 120, 768};
    const clm_tensor x = clm_graph_input(g, "x", CLM_F32, 3, shape);
    const clm_tensor y =
        clm_graph_linear(g, x, parameter(g, "w", 2, 768, 2304), CLM_LINEAR_IN_OUT, none);
    int rank = 0;
    int64_t got[CLM_TENSOR_RANK_MOST] = {0};
    clm_graph_shape(g, clm_graph_columns(g, y, 768, 768), &rank, got);
    clm_graph_mark(g, y, "queries, keys and values");
    assert_ok(clm_graph_status(g));
    assert_string_equal(clm_graph_about(g, y.id)->name, "queries, keys and values");
    assert_int_equal(rank, 3);
    assert_memory_equal(got, shape, sizeof shape);
    clm_graph_free(g);
}

static void a_parameter_asked_for_again_is_the_same(void **state) {
    (void)state;
    clm_graph *g = new_graph();
    const clm_tensor a = parameter(g, "wte.weight", 2, 50, 8);
    const clm_tensor b = parameter(g, "wte.weight", 2, 50, 8);
    assert_int_equal(a.id, b.id);
    (void)parameter(g, "wte.weight", 2, 50, 9);
    assert_status(CLM_ERROR_ARGUMENT, clm_graph_status(g));
    assert_message_has("\"wte.weight\" is there already, with another shape");
    clm_graph_free(g);
}

/* Each makes one mistake in a graph that has x (2,3,4) and w (4,6). */
static void wrong_rows(clm_graph *g, clm_tensor x, clm_tensor w) {
    (void)clm_graph_linear(g, x, w, CLM_LINEAR_OUT_IN, none);
}
static void wrong_bias(clm_graph *g, clm_tensor x, clm_tensor w) {
    (void)clm_graph_linear(g, x, w, CLM_LINEAR_IN_OUT, parameter(g, "b", 1, 4, 0));
}
static void wrong_norm(clm_graph *g, clm_tensor x, clm_tensor w) {
    (void)w;
    (void)clm_graph_rmsnorm(g, x, parameter(g, "n", 1, 3, 0), 1e-5F);
}
static void wrong_sum(clm_graph *g, clm_tensor x, clm_tensor w) {
    (void)clm_graph_add(g, x, w);
}
static void wrong_columns(clm_graph *g, clm_tensor x, clm_tensor w) {
    (void)w;
    (void)clm_graph_columns(g, x, 2, 3);
}
static void wrong_reshape(clm_graph *g, clm_tensor x, clm_tensor w) {
    const int64_t shape[] = {5, 5};
    (void)w;
    (void)clm_graph_reshape(g, x, 2, shape);
}
static void wrong_heads(clm_graph *g, clm_tensor x, clm_tensor w) {
    const clm_attention_options options = {.causal = true};
    (void)w;
    (void)clm_graph_attention(g, x, x, x, &options);
}
static void wrong_type(clm_graph *g, clm_tensor x, clm_tensor w) {
    (void)clm_graph_embedding(g, x, w, none);
}
static void wrong_targets(clm_graph *g, clm_tensor x, clm_tensor w) {
    const int64_t shape[] = {5};
    (void)w;
    (void)clm_graph_crossentropy(g, x, clm_graph_input(g, "t", CLM_I32, 1, shape));
}
static void nothing_at_all(clm_graph *g, clm_tensor x, clm_tensor w) {
    (void)w;
    (void)clm_graph_add(g, x, none);
}

static const struct {
    void (*make)(clm_graph *g, clm_tensor x, clm_tensor w);
    const char *message;
} mistakes[] = {
    {wrong_rows,
     "linear of x \"x\" (2,3,4), weight \"w\" (4,6): the weight, (out,in), takes rows of 6"},
    {wrong_bias, "bias \"b\" (4): the bias needs shape (6)"},
    {wrong_norm, "rmsnorm of x \"x\" (2,3,4), weight \"n\" (3): the weight needs shape (4)"},
    {wrong_sum, "add of a \"x\" (2,3,4), b \"w\" (4,6): both need one shape"},
    {wrong_columns, "columns of x \"x\" (2,3,4): has no columns 2 to 4"},
    {wrong_reshape, "has not as many elements"},
    {wrong_heads, "attention of q \"x\" (2,3,4)"},
    {wrong_type, "ids is F32, not I32"},
    {wrong_targets, "logits need rows, and a target each"},
    {nothing_at_all, "b is missing"},
};

static void mistakes_name_tensors_and_shapes(void **state) {
    (void)state;
    const int64_t shape[] = {2, 3, 4};
    for (size_t i = 0; i < sizeof mistakes / sizeof *mistakes; i++) {
        clm_graph *g = new_graph();
        const clm_tensor x = clm_graph_input(g, "x", CLM_F32, 3, shape);
        const clm_tensor w = parameter(g, "w", 2, 4, 6);
        mistakes[i].make(g, x, w);
        assert_status(CLM_ERROR_SHAPE, clm_graph_status(g));
        assert_message_has(mistakes[i].message);
        /* The first error stays, and nothing is added after it. */
        const clm_tensor after = clm_graph_gelu(g, x);
        assert_int_equal(after.id, 0);
        clm_graph_output(g, after, "y");
        assert_status(CLM_ERROR_SHAPE, clm_graph_status(g));
        assert_message_has(mistakes[i].message);
        clm_graph_free(g);
    }
}

static void a_tensor_of_another_graph_is_refused(void **state) {
    (void)state;
    clm_graph *g = new_graph();
    clm_graph *other = new_graph();
    const clm_tensor x = parameter(g, "x", 1, 4, 0);
    (void)clm_graph_gelu(other, x);
    assert_status(CLM_ERROR_ARGUMENT, clm_graph_status(other));
    assert_message_has("gelu: a tensor of another graph");
    assert_ok(clm_graph_status(g));
    clm_graph_free(g);
    clm_graph_free(other);
}

static void names_are_unique(void **state) {
    (void)state;
    const int64_t shape[] = {4};
    clm_graph *g = new_graph();
    const clm_tensor x = clm_graph_input(g, "x", CLM_F32, 1, shape);
    clm_graph_output(g, x, "y");
    clm_graph_output(g, x, "y");
    assert_status(CLM_ERROR_ARGUMENT, clm_graph_status(g));
    assert_message_has("output \"y\" is there already");
    clm_graph_free(g);
    g = new_graph();
    (void)clm_graph_input(g, "x", CLM_F32, 1, shape);
    (void)clm_graph_input(g, "x", CLM_F32, 1, shape);
    assert_status(CLM_ERROR_ARGUMENT, clm_graph_status(g));
    clm_graph_free(g);
    g = new_graph();
    (void)clm_graph_input(g, "", CLM_F32, 1, shape);
    assert_status(CLM_ERROR_SHAPE, clm_graph_status(g));
    clm_graph_free(g);
    clm_graph_free(NULL);
    const int64_t cache[] = {1, 8, 2, 4};
    assert_ok(clm_graph_create(&g));
    (void)clm_graph_state(g, "keys", 4, cache);
    (void)clm_graph_state(g, "values", 4, cache);
    assert_ok(clm_graph_status(g));
    (void)clm_graph_state(g, "keys", 4, cache);
    assert_status(CLM_ERROR_ARGUMENT, clm_graph_status(g));
    assert_message_has("state \"keys\" is there already");
    clm_graph_free(g);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(shapes_follow),
        cmocka_unit_test(a_parameter_asked_for_again_is_the_same),
        cmocka_unit_test(mistakes_name_tensors_and_shapes),
        cmocka_unit_test(a_tensor_of_another_graph_is_refused),
        cmocka_unit_test(names_are_unique),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

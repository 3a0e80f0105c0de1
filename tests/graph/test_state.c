/* States: GPT-2 decodes through a cache of keys and values what it computes without one, in plain C
 * and on every device present.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "graph/state.h"

#include <stdlib.h>
#include <string.h>

#include "graph/plan.h"
#include "graph_cases.h"
#include "model/gpt2.h"
#include "stored.h"
#include "support/test_devices.h"

/* Two sequences, whose prompts have 9 and 5 tokens, and 32 more tokens each. */
enum { B = 2, PROMPT = 9, SHORT = 5, MORE = 32, ALL = PROMPT + MORE };
enum { L = 2, H = 3, D = 8, C = H * D, V = 29, CAPACITY = 43 };

static const clm_model_config config = {.n_vocab = V,
                                        .n_ctx = CAPACITY,
                                        .n_embd = C,
                                        .n_layer = L,
                                        .n_head = H,
                                        .layer_norm_epsilon = 1e-5F,
                                        .n_labels = 2};

/* Logits (B,T,V), by the embedding's own weights, as GPT-2's. */
static clm_graph *describe(int64_t T, bool with_states) {
    const int64_t shape[] = {B, T};
    const int64_t words[] = {V, C};
    const clm_tensor none = {0};
    clm_graph *g = NULL;
    assert_ok(clm_graph_create(&g));
    const clm_tensor tokens = clm_graph_input(g, "tokens", CLM_I32, 2, shape);
    const clm_tensor hidden = with_states ? clm_gpt2_describe_decoder(g, &config, tokens, CAPACITY)
                                          : clm_gpt2_describe(g, &config, tokens);
    const clm_tensor wte = clm_graph_parameter(g, "wte.weight", 2, words, NULL);
    clm_graph_output(g, clm_graph_linear(g, hidden, wte, CLM_LINEAR_OUT_IN, none), "logits");
    assert_ok(clm_graph_status(g));
    return g;
}

/* Something that computes logits (B,T,V), with states or without. */
typedef struct pass {
    void (*run)(struct pass *pass, const int32_t *tokens, const int32_t *first,
                const int32_t *positions, double *logits);
    void *context;
    int64_t T;
} pass;

/* How decoding went: the tokens of both sequences, and all logits (B,ALL,V) that were computed for
 * them; those of what fills the short one up are left as they are. */
typedef struct decoded {
    int32_t tokens[B][ALL];
    int lengths[B];
    double logits[B][ALL][V];
} decoded;

static int32_t largest(const double *logits) {
    int32_t best = 0;
    for (int32_t v = 1; v < V; v++) {
        best = logits[v] > logits[best] ? v : best;
    }
    return best;
}

static void decode(decoded *d, pass *prompt, pass *step, int more) {
    double logits[B * PROMPT * V];
    int32_t positions[B * PROMPT];
    int32_t first[B] = {0, 0};
    int32_t tokens[B * PROMPT] = {0};
    d->lengths[0] = PROMPT;
    d->lengths[1] = SHORT;
    for (int i = 0; i < B * PROMPT; i++) {
        positions[i] = i % PROMPT;
        tokens[i] = i % PROMPT < d->lengths[i / PROMPT] ? (i * 7 + i / 3) % V : 0;
        d->tokens[i / PROMPT][i % PROMPT] = tokens[i];
    }
    prompt->run(prompt, tokens, first, positions, logits);
    for (int b = 0; b < B; b++) {
        memcpy(d->logits[b], logits + (ptrdiff_t)b * PROMPT * V,
               (size_t)d->lengths[b] * V * sizeof *logits);
    }
    for (int n = 0; n < more; n++) {
        for (int b = 0; b < B; b++) {
            tokens[b] = largest(d->logits[b][d->lengths[b] - 1]);
            first[b] = d->lengths[b];
            d->tokens[b][d->lengths[b]++] = tokens[b];
        }
        step->run(step, tokens, first, first, logits);
        for (int b = 0; b < B; b++) {
            memcpy(d->logits[b][d->lengths[b] - 1], logits + (ptrdiff_t)b * V, V * sizeof *logits);
        }
    }
}

/* The logits of all tokens in one pass without states; the short sequence is filled up. Returns
 * whether all are the same bits. */
static bool compare_with_whole(const decoded *d, pass *whole, double atol) {
    static double logits[B * ALL * V];
    int32_t tokens[B * ALL] = {0};
    bool same = true;
    for (int b = 0; b < B; b++) {
        memcpy(tokens + (ptrdiff_t)b * ALL, d->tokens[b], (size_t)d->lengths[b] * sizeof *tokens);
    }
    whole->run(whole, tokens, NULL, NULL, logits);
    for (int b = 0; b < B; b++) {
        for (int t = 0; t < d->lengths[b]; t++) {
            for (int v = 0; v < V; v++) {
                const double is = d->logits[b][t][v];
                const double expected = logits[(b * ALL + t) * V + v];
                same = same && is == expected;
                assert_close(is, expected, atol, 0.0);
            }
        }
    }
    return same;
}

/* ---- in plain C ---- */

typedef struct reference_pass {
    clm_graph *graph;
    clm_reference_run run;
    struct reference_pass *states_of; /* where states come from, before the first execution */
} reference_pass;

static void copy_named(clm_reference_run *to, const clm_reference_run *from, clm_tensor_kind kind) {
    for (uint32_t i = 1; i < to->graph->tensor_count; i++) {
        const clm_tensor_about *about = clm_graph_about(to->graph, i);
        if (about->kind == kind) {
            const uint32_t other = clm_graph_find(from->graph, kind, about->name);
            assert_int_not_equal(other, 0);
            memcpy(to->values[i], from->values[other],
                   (size_t)clm_shape_count(&about->shape) * sizeof(double));
        }
    }
}

static void set_ids(clm_reference_run *run, const char *name, const int32_t *ids) {
    const uint32_t tensor = clm_graph_find(run->graph, CLM_TENSOR_INPUT, name);
    if (tensor != 0) {
        const clm_shape *shape = &clm_graph_about(run->graph, tensor)->shape;
        memcpy(run->ids[tensor], ids, (size_t)clm_shape_count(shape) * sizeof *ids);
    }
}

static void run_reference(pass *p, const int32_t *tokens, const int32_t *first,
                          const int32_t *positions, double *logits) {
    reference_pass *r = p->context;
    if (r->states_of != NULL) {
        copy_named(&r->run, &r->states_of->run, CLM_TENSOR_STATE);
        r->states_of = NULL;
    }
    set_ids(&r->run, "tokens", tokens);
    set_ids(&r->run, "first", first);
    set_ids(&r->run, "positions", positions);
    assert_ok(clm_reference_execute(&r->run, 1.0));
    memcpy(logits, r->run.values[r->graph->outputs[0].tensor],
           (size_t)(B * p->T * V) * sizeof *logits);
}

/* Parameters are drawn, or those of another. */
static pass make_reference(reference_pass *r, int64_t T, bool with_states, reference_pass *like) {
    static const clm_test_draw draw = {.scale = 0.3, .vocabulary = V, .rows_of = B, .classes = 2};
    *r = (reference_pass){.graph = describe(T, with_states), .states_of = like};
    assert_ok(clm_reference_run_make(&r->run, r->graph));
    if (like == NULL) {
        clm_test_draw_values(&r->run, &draw);
    } else {
        copy_named(&r->run, &like->run, CLM_TENSOR_PARAMETER);
    }
    return (pass){run_reference, r, T};
}

static void free_reference(reference_pass *r) {
    clm_reference_run_free(&r->run);
    clm_graph_free(r->graph);
}

static void plain_c_decodes_the_same(void **state) {
    (void)state;
    static decoded d;
    reference_pass with[2];
    reference_pass without;
    pass prompt = make_reference(&with[0], PROMPT, true, NULL);
    pass step = make_reference(&with[1], 1, true, &with[0]);
    pass whole = make_reference(&without, ALL, false, &with[0]);
    without.states_of = NULL;
    decode(&d, &prompt, &step, MORE);
    (void)compare_with_whole(&d, &whole, 1e-13);
    free_reference(&with[0]);
    free_reference(&with[1]);
    free_reference(&without);
}

/* ---- on devices ---- */

typedef struct device_pass {
    clm_plan *plan;
    clm_state *states[2 * L]; /* shared by those that have any */
} device_pass;

static const char *const state_names[2 * L] = {"h.0.attn.k", "h.0.attn.v", "h.1.attn.k",
                                               "h.1.attn.v"};

static void run_plan(pass *p, const int32_t *tokens, const int32_t *first, const int32_t *positions,
                     double *logits) {
    device_pass *d = p->context;
    const size_t count = (size_t)(B * p->T * V);
    clm_plan_binding bindings[3 + 2 * L] = {{.name = "tokens", .host = tokens},
                                            {.name = "first", .host = first},
                                            {.name = "positions", .host = positions}};
    size_t bound = d->states[0] != NULL ? 3 : 1;
    for (size_t i = 0; d->states[0] != NULL && i < sizeof d->states / sizeof *d->states; i++) {
        bindings[bound++] = (clm_plan_binding){.name = state_names[i], .state = d->states[i]};
    }
    assert_ok(clm_plan_enqueue(d->plan, bindings, bound, 1.0F));
    float *values = malloc(count * sizeof *values);
    assert_non_null(values);
    assert_ok(
        clm_buffer_read(clm_plan_output(d->plan, "logits"), 0, values, count * sizeof *values));
    for (size_t i = 0; i < count; i++) {
        logits[i] = (double)values[i];
    }
    free(values);
}

static pass make_plan(device_pass *d, clm_workspace *workspace, int64_t T, bool with_states,
                      clm_parameters *parameters) {
    const clm_plan_options options = {0};
    clm_graph *g = describe(T, with_states);
    assert_ok(clm_plan_make(&d->plan, workspace, g, parameters, &options));
    clm_graph_free(g);
    return (pass){run_plan, d, T};
}

/* Logits have the size of C products of 0.3 and what LayerNorm gives, some 1.5, and carry the
 * rounding of two blocks. */
static void devices_decode_on(clm_device *device) {
    static decoded d;
    const int64_t shape[] = {B, CAPACITY, H, D};
    reference_pass drawn;
    clm_workspace *workspace = NULL;
    device_pass prompt_plan = {0};
    device_pass step_plan = {0};
    device_pass whole_plan = {0};
    (void)make_reference(&drawn, PROMPT, true, NULL);
    clm_parameters *parameters = clm_test_stored(device, &drawn.run, NULL, NULL, NULL);
    assert_ok(clm_workspace_create(&workspace, device));
    pass prompt = make_plan(&prompt_plan, workspace, PROMPT, true, parameters);
    pass step = make_plan(&step_plan, workspace, 1, true, parameters);
    pass whole = make_plan(&whole_plan, workspace, ALL, false, parameters);
    for (int i = 0; i < 2 * L; i++) {
        assert_ok(clm_state_create(&prompt_plan.states[i], device, CLM_F32, 4, shape));
        assert_true(clm_state_size_bytes(prompt_plan.states[i]) >=
                    sizeof(float) * B * CAPACITY * C);
        step_plan.states[i] = prompt_plan.states[i];
    }
    /* A simulator, which takes a thousand times as long, sees all accesses in a few steps. */
    decode(&d, &prompt, &step, clm_device_is_simulator(device) ? 2 : MORE);
    const bool same = compare_with_whole(&d, &whole, 2e-5);
    print_message("logits with states and without are %s\n", same ? "the same bits" : "close");
    /* Not bound, and of another shape. */
    const int32_t zeros[B] = {0};
    const clm_plan_binding inputs[] = {{.name = "tokens", .host = d.tokens[0]},
                                       {.name = "first", .host = zeros},
                                       {.name = "positions", .host = zeros}};
    assert_status(CLM_ERROR_ARGUMENT, clm_plan_enqueue(step_plan.plan, inputs, 3, 1.0F));
    assert_message_has("state \"h.0.attn.");
    assert_message_has("is not bound");
    clm_state *other = NULL;
    const int64_t wrong[] = {B, CAPACITY + 1, H, D};
    assert_ok(clm_state_create(&other, device, CLM_F32, 4, wrong));
    const clm_plan_binding misfit = {.name = "h.1.attn.v", .state = other};
    assert_status(CLM_ERROR_SHAPE, clm_plan_enqueue(step_plan.plan, &misfit, 1, 1.0F));
    assert_message_has(
        "state \"h.1.attn.v\" (2,43,3,8): what is bound to it has the shape "
        "(2,44,3,8)");
    clm_state_free(other);
    assert_status(CLM_ERROR_UNSUPPORTED, clm_state_create(&other, device, CLM_F16, 4, shape));
    assert_null(other);
    for (int i = 0; i < 2 * L; i++) {
        clm_state_free(prompt_plan.states[i]);
    }
    clm_plan_free(prompt_plan.plan);
    clm_plan_free(step_plan.plan);
    clm_plan_free(whole_plan.plan);
    clm_parameters_free(parameters);
    clm_workspace_free(workspace);
    free_reference(&drawn);
}

static void devices_decode_the_same(void **state) {
    (void)state;
    clm_test_each_device(devices_decode_on);
}

/* ---- handles ---- */

static void an_old_handle_is_refused(void **state) {
    (void)state;
    const int64_t of_state[] = {B, 5, 1, 4};
    const int64_t of_x[] = {B, 2, 1, 4};
    const int64_t each[] = {B};
    for (int reads_before = 0; reads_before < 2; reads_before++) {
        clm_graph *g = NULL;
        assert_ok(clm_graph_create(&g));
        const clm_tensor old = clm_graph_state(g, "k", 4, of_state);
        const clm_tensor x = clm_graph_input(g, "x", CLM_F32, 4, of_x);
        const clm_tensor first = clm_graph_input(g, "first", CLM_I32, 1, each);
        if (reads_before == 1) {
            (void)clm_graph_gelu(g, old);
        }
        const clm_tensor written = clm_graph_append(g, old, x, first);
        if (reads_before == 0) {
            const clm_attention_options causal = {.causal = true, .first = first};
            (void)clm_graph_attention(g, x, written, written, &causal);
            assert_ok(clm_graph_status(g));
            (void)clm_graph_attention(g, x, written, old, &causal);
        }
        assert_status(CLM_ERROR_ARGUMENT, clm_graph_status(g));
        assert_message_has("state \"k\" is written");
        clm_graph_free(g);
    }
    clm_graph *g = NULL;
    assert_ok(clm_graph_create(&g));
    const clm_tensor x = clm_graph_input(g, "x", CLM_F32, 4, of_x);
    (void)clm_graph_append(g, x, x, clm_graph_input(g, "first", CLM_I32, 1, each));
    assert_status(CLM_ERROR_SHAPE, clm_graph_status(g));
    assert_message_has("what is written has to be a state");
    clm_graph_free(g);
    assert_ok(clm_graph_create(&g));
    (void)clm_graph_append(g, clm_graph_state(g, "k", 4, of_x),
                           clm_graph_input(g, "x", CLM_F32, 4, of_state),
                           clm_graph_input(g, "first", CLM_I32, 1, each));
    assert_status(CLM_ERROR_SHAPE, clm_graph_status(g));
    assert_message_has("append of state \"k\" (2,2,1,4), x \"x\" (2,5,1,4)");
    clm_graph_free(g);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(plain_c_decodes_the_same),
        cmocka_unit_test(devices_decode_the_same),
        cmocka_unit_test(an_old_handle_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* How long it takes to make a plan, for developers: profile_plan [REPEATS]. GPT-2 with all blocks
 * trained, plain and with all that saves memory, at 12 and 48 layers; nothing is allocated on the
 * device. The least processor time of all repeats, so that other programs disturb little. Not a
 * test.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "graph/plan.h"
#include "model/tasks/classify.h"

static void check(clm_status status) {
    if (status != CLM_OK) {
        (void)fprintf(stderr, "%s\n", clm_error_message());
        exit(1);
    }
}

static bool trains_all(void *context, const char *name) {
    (void)context;
    return name != NULL;
}

static double processor_ms(void) {
    struct timespec now;
    (void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return 1e3 * (double)now.tv_sec + 1e-6 * (double)now.tv_nsec;
}

static void profile(clm_device *device, int layers, const char *about,
                    const clm_plan_options *options, int repeats) {
    enum { B = 8, T = 120 };
    clm_model_config config = CLM_MODEL_CONFIG_DEFAULT;
    const clm_parameters_options stored = {.trains = trains_all};
    clm_graph *graph = NULL;
    clm_parameters *parameters = NULL;
    clm_workspace *workspace = NULL;
    double least_ms = 1e9;
    uint32_t nodes = 0;
    config.n_layer = layers;
    config.n_labels = 2;
    check(clm_graph_create(&graph));
    clm_classify_describe(graph, &config, B, T, true);
    check(clm_parameters_create(&parameters, device, graph, "losses", &stored));
    check(clm_workspace_create(&workspace, device));
    for (int i = 0; i < repeats; i++) {
        clm_plan *plan = NULL;
        const double begin_ms = processor_ms();
        check(clm_plan_make(&plan, workspace, graph, parameters, options));
        const double took_ms = processor_ms() - begin_ms;
        least_ms = took_ms < least_ms ? took_ms : least_ms;
        nodes = clm_plan_graph(plan)->node_count;
        clm_plan_free(plan);
    }
    (void)printf("%3d layers, %-26s %5u operations %7.2f ms %6.3f ms a hundred\n", layers, about,
                 (unsigned)nodes, least_ms, 100 * least_ms / nodes);
    clm_workspace_free(workspace);
    clm_parameters_free(parameters);
    clm_graph_free(graph);
}

int main(int argc, char **argv) {
    const int repeats = argc > 1 ? atoi(argv[1]) : 20;
    clm_device *device = NULL;
    check(clm_device_open(&device, NULL));
    for (int layers = 12; layers <= 48; layers += 36) {
        profile(device, layers, "answer", &(clm_plan_options){0}, repeats);
        profile(device, layers, "train", &(clm_plan_options){.loss = "losses"}, repeats);
        profile(device, layers, "train, recompute, f16",
                &(clm_plan_options){.loss = "losses", .recompute = true, .kept = CLM_F16}, repeats);
    }
    clm_device_close(device);
    return 0;
}

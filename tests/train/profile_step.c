/* Where the time of a training step goes, for developers: profile_step [SOURCE [POLICY [BATCH
 * [LENGTH [STEPS]]]]]. Prints what each kernel takes in a step, in the queue's own time; how long a
 * step is tells 'clm bench train'. Not a test.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>

#include "train/optimizer.h"

static void check(clm_status status) {
    if (status != CLM_OK) {
        (void)fprintf(stderr, "%s\n", clm_error_message());
        exit(1);
    }
}

static void step(clm_model *model, clm_optimizer *optimizer, const int32_t *tokens,
                 const int32_t *labels, clm_buffer *losses, int B, int T, int number) {
    const clm_adamw adamw = {.learning_rate = 5e-5,
                             .beta1 = 0.9,
                             .beta2 = 0.999,
                             .epsilon = 1e-8,
                             .weight_decay = 0.1,
                             .step = number,
                             .gradient_scale = 1.0};
    check(clm_parameters_zero_gradients(model->parameters));
    check(clm_model_pass(model, &(clm_pass){.B = B,
                                            .T = T,
                                            .tokens = tokens,
                                            .targets = labels,
                                            .losses = losses,
                                            .scale = 1.0F / (float)B}));
    check(clm_optimizer_step(optimizer, &adamw));
    check(clm_device_finish(model->device));
}

static void print_profile(clm_device *device, int steps) {
    clm_kernel_time *times = NULL;
    size_t count = 0;
    check(clm_device_profile(device, &times, &count));
    for (size_t i = 0; i < count; i++) {
        (void)printf("%9.2f ms %6llu calls  %s\n", 1e3 * times[i].seconds / steps,
                     (unsigned long long)times[i].calls / (unsigned)steps, times[i].kernel);
    }
    clm_kernel_times_free(times);
}

int main(int argc, char **argv) {
    const char *source = argc > 1 ? argv[1] : "random:gpt2";
    const int B = argc > 3 ? atoi(argv[3]) : 8;
    const int T = argc > 4 ? atoi(argv[4]) : 120;
    const int steps = argc > 5 ? atoi(argv[5]) : 10;
    clm_model_options options = CLM_MODEL_OPTIONS_DEFAULT;
    const clm_device_options device_options = {.profile = true};
    clm_device *device = NULL;
    clm_model *model = NULL;
    clm_optimizer optimizer;
    clm_buffer *losses = NULL;
    options.n_labels = 2;
    check(clm_train_policy_parse(&options.train, argc > 2 ? argv[2] : "last-block"));
    check(clm_device_open(&device, &device_options));
    check(clm_model_open(&model, device, source, &options));
    check(clm_optimizer_make(&optimizer, model));
    check(clm_buffer_create(&losses, device, (size_t)B * sizeof(float), "losses"));
    int32_t *tokens = calloc((size_t)B * (size_t)T, sizeof *tokens);
    int32_t *labels = calloc((size_t)B, sizeof *labels);
    if (tokens == NULL || labels == NULL) {
        return 1;
    }
    for (int i = 0; i < B * T; i++) {
        tokens[i] = i * 7919 % clm_model_get_config(model)->n_vocab;
    }
    step(model, &optimizer, tokens, labels, losses, B, T, 1);
    clm_kernel_time *warm_up = NULL;
    size_t count = 0;
    check(clm_device_profile(device, &warm_up, &count));
    clm_kernel_times_free(warm_up);
    for (int i = 0; i < steps; i++) {
        step(model, &optimizer, tokens, labels, losses, B, T, i + 2);
    }
    print_profile(device, steps);
    free(tokens);
    free(labels);
    clm_buffer_release(losses);
    clm_optimizer_free(&optimizer);
    clm_model_close(model);
    clm_device_close(device);
    return 0;
}

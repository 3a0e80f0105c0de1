/* AdamW (Loshchilov and Hutter 2019), in the order PyTorch computes it.
 *
 *     g = gradient_scale gradient
 *     p = p (1 - learning_rate weight_decay)
 *     m = m + (1 - beta1) (g - m)
 *     v = beta2 v + (1 - beta2) g g
 *     p = p - step_size m / (sqrt(v) / root_correction2 + epsilon)
 *
 * with step_size = learning_rate / (1 - beta1^step) and root_correction2 = sqrt(1 - beta2^step),
 * which the host computes in double. The gradient may be left 0, which spares a pass over memory.
 *
 * Shapes: flat, `count` elements. Work: one item for WIDTH elements, the last one for what is left.
 * Memory: 28 bytes an element, 32 with the gradient zeroed. Accuracy: some 3 roundings of the step,
 * plus errors of the device's sqrt and division if they are not correctly rounded.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "common.clh"

#define ADAMW_UPDATE(p, m, v, g)                                    \
    (p) = (p) * keep;                                               \
    (m) = (m) + one_minus_beta1 * ((g) - (m));                      \
    (v) = (v) * beta2 + one_minus_beta2 * (g) * (g);                \
    (p) = (p) - step_size * (m) / (sqrt(v) / root_correction2 + epsilon)

__kernel void adamw_step(__global float *parameter, __global float *gradient,
                         __global float *first_moment, __global float *second_moment,
                         const ulong count, const float gradient_scale, const float keep,
                         const float one_minus_beta1, const float beta2,
                         const float one_minus_beta2, const float step_size,
                         const float root_correction2, const float epsilon,
                         const int zero_gradient) {
    const ulong first = (ulong)get_global_id(0) * WIDTH;
    if (first + WIDTH <= count) {
        const floatw g = loadw(gradient, first) * gradient_scale;
        floatw p = loadw(parameter, first);
        floatw m = loadw(first_moment, first);
        floatw v = loadw(second_moment, first);
        ADAMW_UPDATE(p, m, v, g);
        storew(p, parameter, first);
        storew(m, first_moment, first);
        storew(v, second_moment, first);
        if (zero_gradient) {
            storew((floatw)(0.0F), gradient, first);
        }
    } else {
        CLM_EDGE for (ulong i = first; i < count; i++) {
            const float g = gradient[i] * gradient_scale;
            float p = parameter[i];
            float m = first_moment[i];
            float v = second_moment[i];
            ADAMW_UPDATE(p, m, v, g);
            parameter[i] = p;
            first_moment[i] = m;
            second_moment[i] = v;
            if (zero_gradient) {
                gradient[i] = 0.0F;
            }
        }
    }
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "reference/adamw.h"

#include <math.h>

void clm_reference_adamw_step(float *parameter, const float *gradient, float *first_moment,
                              float *second_moment, size_t count,
                              const clm_reference_adamw *adamw) {
    double correction1 = 1.0 - pow(adamw->beta1, adamw->step);
    double correction2 = 1.0 - pow(adamw->beta2, adamw->step);
    for (size_t i = 0; i < count; i++) {
        double g = adamw->gradient_scale * (double)gradient[i];
        double p = (double)parameter[i] * (1.0 - adamw->learning_rate * adamw->weight_decay);
        double m = adamw->beta1 * (double)first_moment[i] + (1.0 - adamw->beta1) * g;
        double v = adamw->beta2 * (double)second_moment[i] + (1.0 - adamw->beta2) * g * g;
        double denominator = sqrt(v / correction2) + adamw->epsilon;
        parameter[i] = (float)(p - adamw->learning_rate * (m / correction1) / denominator);
        first_moment[i] = (float)m;
        second_moment[i] = (float)v;
    }
}

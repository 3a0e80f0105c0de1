/* SPDX-License-Identifier: Apache-2.0 */
#include "reference/rope.h"

#include <math.h>
#include <stddef.h>

void clm_reference_rope(double *out, const double *x, const int32_t *first, int B, int T, int H,
                        int D, double theta, bool back) {
    for (int head = 0; head < B * T * H; head++) {
        const int row = head / H;
        const double position = (double)(first != NULL ? first[row / T] : 0) + row % T;
        const ptrdiff_t at = (ptrdiff_t)head * D;
        for (int i = 0; i < D / 2; i++) {
            const double angle = position * pow(theta, -2.0 * i / D);
            const double c = cos(angle);
            const double s = back ? -sin(angle) : sin(angle);
            const double a = x[at + i];
            const double b = x[at + i + D / 2];
            out[at + i] = a * c - b * s;
            out[at + i + D / 2] = b * c + a * s;
        }
    }
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "reference/embedding.h"

#include <stddef.h>

void clm_reference_embedding_forward(double *out, const int32_t *tokens, const double *wte,
                                     const double *wpe, int B, int T, int C, int first_position) {
    for (ptrdiff_t place = 0; place < (ptrdiff_t)B * T; place++) {
        ptrdiff_t token = tokens[place];
        ptrdiff_t position = first_position + place % T;
        for (int c = 0; c < C; c++) {
            out[place * C + c] = wte[token * C + c] + (wpe != NULL ? wpe[position * C + c] : 0.0);
        }
    }
}

void clm_reference_embedding_backward(double *dwte, double *dwpe, const double *dout,
                                      const int32_t *tokens, int B, int T, int C, int V) {
    for (ptrdiff_t v = 0; dwte != NULL && v < V; v++) {
        for (int c = 0; c < C; c++) {
            double sum = dwte[v * C + c];
            for (ptrdiff_t place = 0; place < (ptrdiff_t)B * T; place++) {
                sum += tokens[place] == v ? dout[place * C + c] : 0.0;
            }
            dwte[v * C + c] = sum;
        }
    }
    for (ptrdiff_t t = 0; dwpe != NULL && t < T; t++) {
        for (int c = 0; c < C; c++) {
            double sum = dwpe[t * C + c];
            for (ptrdiff_t b = 0; b < B; b++) {
                sum += dout[(b * T + t) * C + c];
            }
            dwpe[t * C + c] = sum;
        }
    }
}

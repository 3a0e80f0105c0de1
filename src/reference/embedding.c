/* SPDX-License-Identifier: Apache-2.0 */
#include "reference/embedding.h"

#include <stddef.h>

void clm_reference_embedding_forward(float *out, const int32_t *tokens, const float *wte,
                                     const float *wpe, int B, int T, int C, int first_position) {
    for (ptrdiff_t place = 0; place < (ptrdiff_t)B * T; place++) {
        ptrdiff_t token = tokens[place];
        ptrdiff_t position = first_position + place % T;
        for (int c = 0; c < C; c++) {
            out[place * C + c] = wte[token * C + c] + wpe[position * C + c];
        }
    }
}

void clm_reference_embedding_backward(float *dwte, float *dwpe, const float *dout,
                                      const int32_t *tokens, int B, int T, int C, int V) {
    for (ptrdiff_t v = 0; dwte != NULL && v < V; v++) {
        for (int c = 0; c < C; c++) {
            double sum = (double)dwte[v * C + c];
            for (ptrdiff_t place = 0; place < (ptrdiff_t)B * T; place++) {
                sum += tokens[place] == v ? (double)dout[place * C + c] : 0.0;
            }
            dwte[v * C + c] = (float)sum;
        }
    }
    for (ptrdiff_t t = 0; dwpe != NULL && t < T; t++) {
        for (int c = 0; c < C; c++) {
            double sum = (double)dwpe[t * C + c];
            for (ptrdiff_t b = 0; b < B; b++) {
                sum += (double)dout[(b * T + t) * C + c];
            }
            dwpe[t * C + c] = (float)sum;
        }
    }
}

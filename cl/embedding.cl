/* Token and position embedding.
 *
 *     forward        out (B,T,C)[b,t] = wte (V,C)[tokens[b,t]] + wpe (n_ctx,C)[first_position + t];
 *                    without wpe where first_position is below 0
 *     backward wte   dwte[ids[i]] += sum of dout[order[k]] for k in starts[i] .. starts[i+1]-1
 *     backward wpe   dwpe[t] += sum over b of dout[b,t]
 *
 * For the backward pass the host sorts the places of each token: `plan` holds ids (n), starts (n+1)
 * and order (B*T). Each row of dwte has one writer that adds its places in rising order, so there
 * are no float atomics, and the bits are the same each time.
 *
 * A wte that is too large for one buffer is split over several, each with `rows` rows from
 * first_token on: forward runs once per buffer and skips tokens of the others; backward gets the
 * ids from first_id on, which are those of its rows.
 *
 * Work: (C / WIDTH rounded up, rows) items, rows being B*T, n or T. Accuracy: forward one rounding;
 * backward one rounding an addition, in sequence.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "common.clh"

__kernel void embedding_forward(__global float *out, __global const int *tokens,
                                __global const float *wte, __global const float *wpe, const int T,
                                const int C, const int first_position, const int first_token,
                                const int rows) {
    const int column = (int)get_global_id(0) * WIDTH;
    const size_t place = get_global_id(1);
    const int token = tokens[place] - first_token;
    if (token < 0 || token >= rows) {
        return;
    }
    __global const float *token_row = wte + (size_t)token * C;
    const bool has_positions = first_position >= 0;
    __global const float *position_row =
        wpe + (has_positions ? (first_position + place % T) * C : 0);
    __global float *out_row = out + place * C;
    if (column <= C - WIDTH) {
        const floatw x = loadw(token_row, column);
        storew(has_positions ? x + loadw(position_row, column) : x, out_row, column);
    } else {
        CLM_EDGE for (int c = column; c < C; c++) {
            out_row[c] = has_positions ? token_row[c] + position_row[c] : token_row[c];
        }
    }
}

__kernel void embedding_backward_wte(__global float *dwte, __global const float *dout,
                                     __global const int *plan, const int n, const int C,
                                     const int first_token, const int first_id) {
    const int column = (int)get_global_id(0) * WIDTH;
    const size_t i = first_id + get_global_id(1);
    __global float *row = dwte + (size_t)(plan[i] - first_token) * C;
    __global const int *order = plan + 2 * (size_t)n + 1;
    const int start = plan[n + i];
    const int end = plan[n + i + 1];
    if (column <= C - WIDTH) {
        floatw sum = loadw(dout, (size_t)order[start] * C + column);
        for (int k = start + 1; k < end; k++) {
            sum += loadw(dout, (size_t)order[k] * C + column);
        }
        storew(loadw(row, column) + sum, row, column);
    } else {
        CLM_EDGE for (int c = column; c < C; c++) {
            float sum = dout[(size_t)order[start] * C + c];
            for (int k = start + 1; k < end; k++) {
                sum += dout[(size_t)order[k] * C + c];
            }
            row[c] += sum;
        }
    }
}

__kernel void embedding_backward_wpe(__global float *dwpe, __global const float *dout, const int B,
                                     const int T, const int C) {
    const int column = (int)get_global_id(0) * WIDTH;
    const size_t t = get_global_id(1);
    const size_t stride = (size_t)T * C;
    __global float *row = dwpe + t * C;
    __global const float *dout_row = dout + t * C;
    if (column <= C - WIDTH) {
        floatw sum = loadw(dout_row, column);
        for (int b = 1; b < B; b++) {
            sum += loadw(dout_row, b * stride + column);
        }
        storew(loadw(row, column) + sum, row, column);
    } else {
        CLM_EDGE for (int c = column; c < C; c++) {
            float sum = dout_row[c];
            for (int b = 1; b < B; b++) {
                sum += dout_row[b * stride + c];
            }
            row[c] += sum;
        }
    }
}

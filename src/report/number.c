/* SPDX-License-Identifier: Apache-2.0 */
#include "report/number.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

void clm_number_add(clm_string *out, double value, int decimals, bool grouped) {
    static const double tens[] = {1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9};
    double scaled = round(fabs(value) * tens[decimals]);
    if (!(scaled <= 9e15)) {
        clm_string_add(out, "-");
        return;
    }
    char digits[24];
    (void)snprintf(digits, sizeof digits, "%0*lld", decimals + 1, (long long)scaled);
    size_t whole = strlen(digits) - (size_t)decimals;
    if (value < 0 && scaled > 0) {
        clm_string_add(out, "-");
    }
    for (size_t i = 0; i < whole; i++) {
        if (grouped && i > 0 && (whole - i) % 3 == 0) {
            clm_string_add(out, ",");
        }
        clm_string_add_bytes(out, &digits[i], 1);
    }
    if (decimals > 0) {
        clm_string_add(out, ".");
        clm_string_add(out, digits + whole);
    }
}

void clm_number_add_short(clm_string *out, double value) {
    /* What rounds to 1.00, 10.0 or 100 is written so. */
    double least = 99.95;
    int decimals = 0;
    while (decimals < 9 && value > 0.0 && value < least) {
        least /= 10.0;
        decimals++;
    }
    clm_number_add(out, value, decimals, true);
}

double clm_tick_step(double low, double high, int wanted, bool whole) {
    double least = (high - low) / wanted;
    double power = pow(10.0, floor(log10(least)));
    static const double steps[] = {1.0, 2.0, 2.5, 5.0, 10.0};
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
        double step = steps[i] * power;
        /* A hair of slack, so that a range of exactly `wanted` steps keeps its step. */
        if (step >= least * (1.0 - 1e-9) && (!whole || (step >= 1.0 && floor(step) == step))) {
            return step;
        }
    }
    return whole && power < 1.0 ? 1.0 : 10.0 * power;
}

void clm_ticks_make(clm_ticks *ticks, double low, double high, int wanted, bool whole) {
    *ticks = (clm_ticks){0};
    double step = clm_tick_step(low, high, wanted, whole);
    double slack = 1e-9 * step;
    const double first = ceil((low - slack) / step);
    while (ticks->count < CLM_TICKS_MOST && (first + (double)ticks->count) * step <= high + slack) {
        ticks->values[ticks->count] = (first + (double)ticks->count) * step;
        ticks->count++;
    }
    double rest = step;
    while (ticks->decimals < 9 && fabs(rest - round(rest)) > 1e-6) {
        rest *= 10.0;
        ticks->decimals++;
    }
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "train/pace.h"

static void smooth(double *value, double seconds) {
    *value = *value > 0.0 ? 0.9 * *value + 0.1 * seconds : seconds;
}

/* What `seconds` leave for the features of `texts` when the rest takes `other`. */
static void note_texts(clm_pace *pace, double seconds, double other, uint64_t texts) {
    const double rest = seconds - other;
    if (rest > 0.0) {
        smooth(&pace->text_seconds, rest / (double)texts);
    }
}

void clm_pace_step(clm_pace *pace, double seconds, uint64_t texts) {
    if (!pace->warm) {
        pace->warm = true;
        return;
    }
    smooth(&pace->any_seconds, seconds);
    if (texts == 0) {
        smooth(&pace->step_seconds, seconds);
    } else {
        note_texts(pace, seconds, pace->step_seconds, texts);
    }
}

void clm_pace_evaluation(clm_pace *pace, double seconds, int64_t batches, uint64_t texts) {
    if (batches < 1) {
        return;
    }
    if (texts == 0) {
        smooth(&pace->batch_seconds, seconds / (double)batches);
    } else {
        note_texts(pace, seconds, pace->batch_seconds * (double)batches, texts);
    }
}

double clm_pace_left(const clm_pace *pace, const clm_work_left *work) {
    const double step = pace->step_seconds > 0.0 ? pace->step_seconds : pace->any_seconds;
    /* A batch that is evaluated takes no longer than a step. */
    const double batch = pace->batch_seconds > 0.0 ? pace->batch_seconds : step;
    const bool known = (work->steps <= 0 || step > 0.0) && (work->batches <= 0 || batch > 0.0) &&
                       (work->texts <= 0 || pace->text_seconds > 0.0);
    return known ? (double)work->steps * step + (double)work->batches * batch +
                       (double)work->texts * pace->text_seconds
                 : -1.0;
}

/* SPDX-License-Identifier: Apache-2.0 */
#include <math.h>

#include "base/error.h"
#include "base/memory.h"
#include "clm/infer.h"

void clm_evaluation_report_free(clm_evaluation_report *report) {
    clm_free(report->confusion);
    clm_free(report->classes);
    *report = (clm_evaluation_report){0};
}

/* -log softmax(logits)[label] */
static double cross_entropy(const float *logits, int count, int label) {
    double most = -INFINITY;
    for (int i = 0; i < count; i++) {
        most = fmax(most, (double)logits[i]);
    }
    double sum = 0.0;
    for (int i = 0; i < count; i++) {
        sum += exp((double)logits[i] - most);
    }
    return log(sum) + most - (double)logits[label];
}

static void score_classes(clm_evaluation_report *report) {
    const int n = report->label_count;
    for (int c = 0; c < n; c++) {
        clm_class_scores *scores = &report->classes[c];
        int64_t answered = 0;
        for (int other = 0; other < n; other++) {
            scores->rows += report->confusion[c * n + other];
            answered += report->confusion[other * n + c];
        }
        const double right = (double)report->confusion[c * n + c];
        scores->precision = answered > 0 ? right / (double)answered : 0.0;
        scores->recall = scores->rows > 0 ? right / (double)scores->rows : 0.0;
        const double sum = scores->precision + scores->recall;
        scores->f1 = sum > 0.0 ? 2.0 * scores->precision * scores->recall / sum : 0.0;
    }
}

clm_status clm_evaluate(clm_classifier *classifier, const char *const *texts,
                        const size_t *lengths_bytes, const int *labels, size_t count,
                        clm_evaluation_report *report) {
    const int n = clm_classifier_label_count(classifier);
    *report = (clm_evaluation_report){.rows = (int64_t)count, .label_count = n};
    int *answers = NULL;
    float *logits = NULL;
    double loss = 0.0;
    clm_status status = CLM_OK;
    if (count == 0) {
        return clm_fail(CLM_ERROR_SHAPE, "nothing to evaluate");
    }
    CLM_TRY(clm_allocate(&report->confusion, (size_t)n * (size_t)n, sizeof *report->confusion,
                         "a confusion matrix"));
    CLM_TRY(clm_allocate(&report->classes, (size_t)n, sizeof *report->classes, "scores"));
    CLM_TRY(clm_allocate(&answers, count, sizeof *answers, "answers"));
    CLM_TRY(clm_allocate(&logits, count * (size_t)n, sizeof *logits, "logits"));
    CLM_TRY(clm_classify(classifier, texts, lengths_bytes, count, answers, logits));
    for (size_t i = 0; i < count; i++) {
        if (labels[i] < 0 || labels[i] >= n) {
            status = clm_fail(CLM_ERROR_FORMAT, "text %zu has label %d, but the model %d classes",
                              i + 1, labels[i], n);
            goto cleanup;
        }
        report->confusion[labels[i] * n + answers[i]]++;
        report->correct += labels[i] == answers[i];
        loss += cross_entropy(logits + i * (size_t)n, n, labels[i]);
    }
    report->loss = loss / (double)count;
    report->accuracy = (double)report->correct / (double)count;
    score_classes(report);
cleanup:
    clm_free(answers);
    clm_free(logits);
    if (status != CLM_OK) {
        clm_evaluation_report_free(report);
    }
    return status;
}

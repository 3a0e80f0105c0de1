/* Asks a fine-tuned model about texts.
 *
 *   classify RUN TEXT...     RUN: a folder that `clm finetune` or examples/finetune wrote
 *
 * Prints the class, its probability and the text, one line a text.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <clm/clm.h>
#include <stdio.h>
#include <stdlib.h>

/* Prints the answers to `count` texts; logits (count, classes) become probabilities on the way. */
static void print_answers(const clm_classifier *classifier, const char *const *texts, size_t count,
                          const int *labels, float *logits) {
    const int classes = clm_classifier_label_count(classifier);
    for (size_t i = 0; i < count; i++) {
        float *row = logits + i * (size_t)classes;
        clm_softmax(row, row, classes);
        (void)printf("%s\t%.4f\t%s\n", clm_classifier_label_name(classifier, labels[i]),
                     (double)row[labels[i]], texts[i]);
    }
}

/* One call classifies all texts: clm makes batches of them, which is faster than one by one. */
static clm_status classify(clm_classifier *classifier, const char *const *texts, size_t count) {
    const size_t classes = (size_t)clm_classifier_label_count(classifier);
    int *labels = malloc(count * sizeof *labels);
    float *logits = malloc(count * classes * sizeof *logits);
    clm_status status = CLM_ERROR_MEMORY;
    if (labels != NULL && logits != NULL) {
        status = clm_classify(classifier, texts, NULL, count, labels, logits);
        if (status == CLM_OK) {
            print_answers(classifier, texts, count, labels, logits);
        }
    }
    free(labels);
    free(logits);
    return status;
}

int main(int argc, char **argv) {
    clm_device *device = NULL;
    clm_classifier *classifier = NULL;
    if (argc < 3) {
        (void)fprintf(stderr, "usage: classify RUN TEXT...\n");
        return 2;
    }

    clm_status status = clm_device_open(&device, NULL);
    if (status == CLM_OK) {
        status = clm_classifier_open(&classifier, device, argv[1], NULL);
    }
    if (status == CLM_OK) {
        status = classify(classifier, (const char *const *)(argv + 2), (size_t)argc - 2);
    }
    if (status != CLM_OK) {
        (void)fprintf(stderr, "classify: %s: %s\n", clm_status_name(status), clm_error_message());
    }
    clm_classifier_close(classifier); /* before the device that it lives on */
    clm_device_close(device);
    return status == CLM_OK ? 0 : 1;
}

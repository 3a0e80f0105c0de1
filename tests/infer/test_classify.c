/* From texts to classes and scores, with a random model and a vocabulary trained here.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "support/test_devices.h"

#include <math.h>
#include <string.h>

#include "clm/infer.h"
#include "clm/progress.h"
#include "clm/text.h"

enum { n_texts = 5, n_labels = 3 };
static const char *const texts[n_texts] = {"hello there", "win a prize now", "ok",
                                           "see you at the station at six",
                                           "gr\xC3\xBC\xC3\x9F dich"};

/* A folder with a model on `positions` positions and a small vocabulary. */
static const char *make_folder(clm_device *device, clm_pooling pooling, int padded_length) {
    const char *folder = clm_test_path("model");
    clm_tokenizer *tokenizer = NULL;
    clm_model *model = NULL;
    size_t lengths[n_texts];
    for (size_t i = 0; i < n_texts; i++) {
        lengths[i] = strlen(texts[i]);
    }
    const clm_tokenizer_train_options train_options = {
        .vocab_size = 270, .min_frequency = 1, .end_of_text = true};
    assert_ok(clm_tokenizer_train(&tokenizer, texts, lengths, n_texts, &train_options));
    clm_model_options options = CLM_MODEL_OPTIONS_DEFAULT;
    options.n_labels = n_labels;
    assert_ok(clm_model_open(&model, device,
                             "random:n_layer=2,n_embd=16,n_head=2,n_ctx=32,n_vocab=270,seed=3",
                             &options));
    assert_ok(
        clm_model_set_pooling(model, pooling, clm_tokenizer_end_of_text(tokenizer), padded_length));
    assert_ok(clm_tokenizer_save(tokenizer, folder, NULL));
    assert_ok(clm_model_save(model, folder));
    clm_model_close(model);
    clm_tokenizer_close(tokenizer);
    return folder;
}

static clm_classifier *open_ordered(clm_device *device, const char *folder, int batch,
                                    bool in_order) {
    clm_classifier *classifier = NULL;
    const clm_classifier_options options = {.batch = batch, .in_order = in_order};
    assert_ok(clm_classifier_open(&classifier, device, folder, &options));
    return classifier;
}

static clm_classifier *open_classifier(clm_device *device, const char *folder, int batch) {
    return open_ordered(device, folder, batch, false);
}

/* The last that a watcher heard of a stage. */
static void note_progress(void *context, const clm_progress *progress) {
    if (strcmp(progress->stage, "classifying") == 0) {
        *(clm_progress *)context = *progress;
    }
}

static void who_watches_hears_of_it(clm_device *device) {
    const char *folder = make_folder(device, CLM_POOLING_LAST_TOKEN, 0);
    clm_classifier *classifier = open_classifier(device, folder, 2);
    clm_progress last = {0};
    int labels[n_texts];
    clm_watch(&(clm_watcher){.on_progress = note_progress, .context = &last});
    assert_ok(clm_classify(classifier, texts, NULL, n_texts, labels, NULL));
    clm_watch(NULL);
    assert_int_equal(last.done, 4); /* before the third batch of two */
    assert_int_equal(last.total, n_texts);
    assert_string_equal(last.unit, "texts");
    clm_classifier_close(classifier);
}

/* transformers leaves "id2label" out where names are its defaults. */
static void names_may_be_left_out(clm_device *device) {
    const char *folder = make_folder(device, CLM_POOLING_LAST_TOKEN, 0);
    static const char config[] =
        "{\"architectures\": [\"GPT2ForSequenceClassification\"], \"model_type\": \"gpt2\", "
        "\"n_layer\": 2, \"n_embd\": 16, \"n_head\": 2, \"n_positions\": 32, \"vocab_size\": 270, "
        "\"num_labels\": 3}";
    clm_test_write(clm_test_path("model/config.json"), config, sizeof config - 1);
    clm_classifier *classifier = open_classifier(device, folder, 0);
    assert_int_equal(clm_classifier_label_count(classifier), 3);
    assert_string_equal(clm_classifier_label_name(classifier, 0), "LABEL_0");
    assert_string_equal(clm_classifier_label_name(classifier, 2), "LABEL_2");
    clm_classifier_close(classifier);
}
CLM_ON_EACH_DEVICE(names_may_be_left_out)
CLM_ON_EACH_DEVICE(who_watches_hears_of_it)

/* Answers do not depend on which texts go through the model together. */
static void batches_do_not_matter(clm_device *device) {
    const clm_pooling poolings[] = {CLM_POOLING_LAST_POSITION, CLM_POOLING_LAST_TOKEN};
    for (size_t p = 0; p < 2; p++) {
        const char *folder = make_folder(device, poolings[p], 24);
        float alone[n_texts * n_labels];
        float together[n_texts * n_labels];
        int labels[n_texts];
        clm_classifier *one = open_classifier(device, folder, 1);
        clm_classifier *three = open_classifier(device, folder, 3);
        assert_int_equal(clm_classifier_label_count(one), n_labels);
        assert_string_equal(clm_classifier_label_name(one, 2), "LABEL_2");
        assert_ok(clm_classify(one, texts, NULL, n_texts, NULL, alone));
        assert_ok(clm_classify(three, texts, NULL, n_texts, labels, together));
        /* Sums of 16 and 64 terms in another order. */
        assert_all_close(together, alone, n_texts * n_labels, 1e-6, 1e-6, "logits");
        for (size_t i = 0; i < n_texts; i++) {
            for (int c = 0; c < n_labels; c++) {
                assert_true(together[i * n_labels + (size_t)labels[i]] >=
                            together[i * n_labels + (size_t)c]);
            }
        }
        /* Different texts have different answers. */
        assert_true(fabsf(alone[0] - alone[n_labels]) > 1e-4F);
        clm_classifier_close(one);
        clm_classifier_close(three);
        /* As many as fill the device; as they come or by length. */
        for (int way = 0; way < 4; way++) {
            clm_classifier *other = open_ordered(device, folder, way < 2 ? 0 : 2, way % 2 == 1);
            assert_ok(clm_classify(other, texts, NULL, n_texts, labels, together));
            assert_all_close(together, alone, n_texts * n_labels, 1e-6, 1e-6, "logits");
            clm_classifier_close(other);
        }
    }
}

/* Weights as they lie give what packed ones give, but for the order of sums. */
static void one_pass_gives_the_same_answer(clm_device *device) {
    const clm_pooling poolings[] = {CLM_POOLING_LAST_POSITION, CLM_POOLING_LAST_TOKEN};
    for (size_t p = 0; p < 2; p++) {
        const char *folder = make_folder(device, poolings[p], 24);
        float packed[n_texts * n_labels];
        float as_they_lie[n_texts * n_labels];
        const clm_classifier_options options = {.batch = 1, .one_pass = true};
        const uint64_t before = clm_device_memory_bytes(device);
        clm_classifier *usual = open_classifier(device, folder, 1);
        const uint64_t taken = clm_device_memory_bytes(device) - before;
        assert_ok(clm_classify(usual, texts, NULL, n_texts, NULL, packed));
        clm_classifier_close(usual);
        clm_classifier *quick = NULL;
        assert_ok(clm_classifier_open(&quick, device, folder, &options));
        if (clm_device_is_cpu(device)) { /* they are read where the file is mapped */
            assert_true(clm_device_memory_bytes(device) - before < taken);
        }
        assert_ok(clm_classify(quick, texts, NULL, n_texts, NULL, as_they_lie));
        assert_all_close(as_they_lie, packed, n_texts * n_labels, 1e-6, 1e-6, "logits");
        clm_classifier_close(quick);
    }
}

static void long_texts_are_cut_and_counted(clm_device *device) {
    const char *folder = make_folder(device, CLM_POOLING_LAST_POSITION, 6);
    clm_classifier *classifier = open_classifier(device, folder, 8);
    const char *const pair[2] = {"zzzzzzzz", "zzzzzzyyyyyy"};
    float logits[2 * n_labels];
    assert_ok(clm_classify(classifier, pair, NULL, 2, NULL, logits));
    assert_int_equal(clm_classifier_cut_count(classifier), 2);
    assert_memory_equal(logits, logits + n_labels, sizeof logits / 2);
    clm_classifier_close(classifier);
}

static void bad_texts_are_named(clm_device *device) {
    const char *folder = make_folder(device, CLM_POOLING_LAST_TOKEN, 0);
    clm_classifier *classifier = open_classifier(device, folder, 8);
    const char *bad[2] = {"fine", ""};
    int labels[2] = {-7, -7};
    assert_status(CLM_ERROR_FORMAT, clm_classify(classifier, bad, NULL, 2, labels, NULL));
    assert_message_has("text 2: the text is empty");
    assert_int_equal(labels[0], -7);
    bad[1] = "caf\xE9";
    assert_status(CLM_ERROR_ENCODING, clm_classify(classifier, bad, NULL, 2, labels, NULL));
    assert_message_has("byte 3");
    const size_t lengths[2] = {4, 3};
    bad[1] = "a\0b";
    assert_status(CLM_ERROR_ENCODING, clm_classify(classifier, bad, lengths, 2, labels, NULL));
    assert_message_has("NUL");
    clm_classifier_close(classifier);
    assert_status(CLM_ERROR_NOT_FOUND,
                  clm_classifier_open(&classifier, device, clm_test_path("nowhere"), NULL));
    assert_null(classifier);
}

static void scores_are_counted(clm_device *device) {
    const char *folder = make_folder(device, CLM_POOLING_LAST_POSITION, 16);
    clm_classifier *classifier = open_classifier(device, folder, 2);
    int answers[n_texts];
    float logits[n_texts * n_labels];
    assert_ok(clm_classify(classifier, texts, NULL, n_texts, answers, logits));
    /* All right but the first. */
    int labels[n_texts];
    memcpy(labels, answers, sizeof labels);
    labels[0] = (answers[0] + 1) % n_labels;
    clm_evaluation_report report;
    assert_ok(clm_evaluate(classifier, texts, NULL, labels, n_texts, &report));
    assert_int_equal(report.rows, n_texts);
    assert_int_equal(report.correct, n_texts - 1);
    assert_close(report.accuracy, 0.8, 1e-12, 0.0);
    assert_int_equal(report.confusion[labels[0] * n_labels + answers[0]], 1);
    double loss = 0.0;
    for (size_t i = 0; i < n_texts; i++) {
        float probabilities[n_labels];
        clm_softmax(probabilities, logits + i * n_labels, n_labels);
        loss -= log((double)probabilities[labels[i]]) / n_texts;
    }
    assert_close(report.loss, loss, 1e-6, 1e-6);
    int64_t texts_of_answer = 0;
    for (size_t i = 0; i < n_texts; i++) {
        texts_of_answer += answers[i] == answers[0];
    }
    const clm_class_scores *scores = &report.classes[answers[0]];
    assert_close(scores->precision, (double)(texts_of_answer - 1) / (double)texts_of_answer, 1e-12,
                 0.0);
    clm_evaluation_report_free(&report);
    labels[1] = n_labels;
    assert_status(CLM_ERROR_FORMAT,
                  clm_evaluate(classifier, texts, NULL, labels, n_texts, &report));
    assert_null(report.confusion);
    clm_classifier_close(classifier);
}

static void softmax_bears_large_logits(void **state) {
    (void)state;
    const float logits[3] = {1e4F, 1e4F, -1e4F};
    const float expected[3] = {0.5F, 0.5F, 0.0F};
    float probabilities[3];
    clm_softmax(probabilities, logits, 3);
    assert_all_close(probabilities, expected, 3, 1e-7, 0.0, "probabilities");
}

CLM_ON_EACH_DEVICE(batches_do_not_matter)
CLM_ON_EACH_DEVICE(one_pass_gives_the_same_answer)
CLM_ON_EACH_DEVICE(long_texts_are_cut_and_counted)
CLM_ON_EACH_DEVICE(bad_texts_are_named)
CLM_ON_EACH_DEVICE(scores_are_counted)

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(softmax_bears_large_logits),
        cmocka_unit_test(names_may_be_left_out_test),
        cmocka_unit_test(who_watches_hears_of_it_test),
        cmocka_unit_test(batches_do_not_matter_test),
        cmocka_unit_test(one_pass_gives_the_same_answer_test),
        cmocka_unit_test(long_texts_are_cut_and_counted_test),
        cmocka_unit_test(bad_texts_are_named_test),
        cmocka_unit_test(scores_are_counted_test),
    };
    return cmocka_run_group_tests(tests, NULL, clm_test_close_devices);
}

/* Lets a script drive the tokenizer: tests/golden/compare_tokens.py compares it with its peers.
 *     token_driver FOLDER encode|special < RECORDS    a line of ids for each text
 *     token_driver FOLDER time RUNS < RECORDS         processor seconds for encoding all, a line a
 * run token_driver FOLDER open RUNS                   processor seconds for opening the folder
 *     token_driver FOLDER save TO                     opens the folder and saves it into another
 *     token_driver FOLDER train SIZE FREQUENCY < RECORDS    trains and saves into the folder
 * A record is the length in decimal, a newline, and so many bytes.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/memory.h"
#include "clm/text.h"

typedef struct records {
    char **texts;
    size_t *lengths_bytes;
    size_t count;
} records;

static clm_status read_records(records *all, FILE *file) {
    clm_status status = CLM_OK;
    size_t text_capacity = 0;
    size_t length_capacity = 0;
    size_t length = 0;
    while (fscanf(file, "%zu", &length) == 1) {
        CLM_TRY(clm_reserve(&all->texts, &text_capacity, all->count + 1, sizeof *all->texts,
                            "records"));
        CLM_TRY(clm_reserve(&all->lengths_bytes, &length_capacity, all->count + 1,
                            sizeof *all->lengths_bytes, "records"));
        char *text = NULL;
        CLM_TRY(clm_allocate(&text, length + 1, 1, "a record"));
        all->texts[all->count] = text;
        all->lengths_bytes[all->count++] = length;
        if (fgetc(file) != '\n' || fread(text, 1, length, file) != length) {
            status = clm_fail(CLM_ERROR_FORMAT, "record %zu is cut short", all->count - 1);
            goto cleanup;
        }
    }
cleanup:
    return status;
}

static void free_records(records *all) {
    for (size_t i = 0; i < all->count; i++) {
        clm_free(all->texts[i]);
    }
    clm_free(all->texts);
    clm_free(all->lengths_bytes);
}

static clm_status encode(const clm_tokenizer *tokenizer, const records *all, bool special,
                         bool print) {
    const clm_encode_options options = {.special_tokens = special};
    for (size_t i = 0; i < all->count; i++) {
        int32_t *ids = NULL;
        size_t count = 0;
        clm_status status = clm_tokenizer_encode(tokenizer, all->texts[i], all->lengths_bytes[i],
                                                 &options, &ids, &count);
        if (status != CLM_OK) {
            return status;
        }
        for (size_t j = 0; print && j < count; j++) {
            (void)printf("%s%d", j > 0 ? " " : "", ids[j]);
        }
        if (print) {
            (void)putchar('\n');
        }
        clm_tokens_free(ids);
    }
    return CLM_OK;
}

/* Processor time: everything here runs in one thread. */
static double processor_seconds(void) {
    return (double)clock() / (double)CLOCKS_PER_SEC;
}

static clm_status time_open(const char *folder, int runs) {
    for (int i = 0; i < runs; i++) {
        clm_tokenizer *tokenizer = NULL;
        double start = processor_seconds();
        clm_status status = clm_tokenizer_open(&tokenizer, folder);
        (void)printf("%.6f\n", processor_seconds() - start);
        clm_tokenizer_close(tokenizer);
        if (status != CLM_OK) {
            return status;
        }
    }
    return CLM_OK;
}

static clm_status train(const char *folder, const records *all, int size, int frequency) {
    clm_status status = CLM_OK;
    clm_tokenizer *tokenizer = NULL;
    clm_tokenizer_train_options options = CLM_TOKENIZER_TRAIN_OPTIONS_DEFAULT;
    options.vocab_size = size;
    options.min_frequency = frequency;
    CLM_TRY(clm_tokenizer_train(&tokenizer, (const char *const *)all->texts, all->lengths_bytes,
                                all->count, &options));
    CLM_TRY(clm_tokenizer_save(tokenizer, folder, NULL));
cleanup:
    clm_tokenizer_close(tokenizer);
    return status;
}

static clm_status run(int argc, char **argv) {
    clm_status status = CLM_OK;
    records all = {0};
    clm_tokenizer *tokenizer = NULL;
    const char *verb = argv[2];
    if (strcmp(verb, "open") == 0) {
        return time_open(argv[1], atoi(argv[3]));
    }
    CLM_TRY(read_records(&all, stdin));
    if (strcmp(verb, "train") == 0) {
        CLM_TRY(train(argv[1], &all, atoi(argv[3]), atoi(argv[argc - 1])));
        goto cleanup;
    }
    CLM_TRY(clm_tokenizer_open(&tokenizer, argv[1]));
    if (strcmp(verb, "save") == 0) {
        CLM_TRY(clm_tokenizer_save(tokenizer, argv[3], NULL));
        goto cleanup;
    }
    if (strcmp(verb, "time") != 0) {
        CLM_TRY(encode(tokenizer, &all, strcmp(verb, "special") == 0, true));
        goto cleanup;
    }
    for (int i = 0; i < atoi(argv[3]); i++) {
        double start = processor_seconds();
        CLM_TRY(encode(tokenizer, &all, false, false));
        (void)printf("%.6f\n", processor_seconds() - start);
    }
cleanup:
    clm_tokenizer_close(tokenizer);
    free_records(&all);
    return status;
}

int main(int argc, char **argv) {
    if (argc < 3 ||
        (argc < 4 && strcmp(argv[2], "encode") != 0 && strcmp(argv[2], "special") != 0)) {
        (void)fprintf(stderr,
                      "token_driver FOLDER encode|special|time|open|save|train [ARGUMENTS]\n");
        return 2;
    }
    if (run(argc, argv) != CLM_OK) {
        (void)fprintf(stderr, "token_driver: %s\n", clm_error_message());
        return 1;
    }
    return 0;
}

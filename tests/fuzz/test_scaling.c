/* Hostile files of n and of 4n parts: the second may take a little over four times as long, not
 * sixteen. Times are those of the processor, the least of three. What is refused is refused
 * quickly.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <string.h>
#include <time.h>

#include "base/string.h"
#include "clm/config.h"
#include "clm/data.h"
#include "clm/report.h"
#include "clm/text.h"
#include "fuzz.h"
#include "model/formats/safetensors.h"

/* Not a fuzz target: it only takes their folder. */
const fuzz_target fuzz_this;
void fuzz_one(const uint8_t *data, size_t size) {
    (void)data;
    (void)size;
}

/* ---- tables ---- */

static void add_classes_csv(clm_string *out, size_t n) {
    clm_string_add(out, "label,text\n");
    for (size_t i = 0; i < n; i++) {
        clm_string_add_format(out, "class %zu,a\n", i * 7919 % n);
    }
}

static void add_numbers_csv(clm_string *out, size_t n) {
    clm_string_add(out, "label,text\n");
    for (size_t i = 0; i < n; i++) {
        clm_string_add_format(out, "%zu,a\n", 5 + i * 7919 % n);
    }
}

static void add_columns_csv(clm_string *out, size_t n) {
    for (int row = 0; row < 3; row++) {
        clm_string_add(out, row == 0 ? "label,text" : row == 1 ? "x,a" : "y,b");
        for (size_t i = 0; i < n; i++) {
            clm_string_add(out, row == 0 ? ",c" : ",1");
        }
        clm_string_add(out, "\n");
    }
}

static void add_classes_jsonl(clm_string *out, size_t n) {
    for (size_t i = 0; i < n; i++) {
        clm_string_add_format(out, "{\"text\":\"a\",\"label\":\"class %zu\"}\n", i * 7919 % n);
    }
}

static void add_members_jsonl(clm_string *out, size_t n) {
    for (int row = 0; row < 2; row++) {
        clm_string_add_format(out, "{\"text\":\"a\",\"label\":%d", row);
        for (size_t i = 0; i < n; i++) {
            clm_string_add_format(out, ",\"m%zu\":0", i);
        }
        clm_string_add(out, "}\n");
    }
}

static void add_lines_csv(clm_string *out, size_t n) {
    clm_string_add(out, "label,text\n0,a\n1,\"");
    for (size_t i = 0; i < n; i++) {
        clm_string_add(out, i % 2 == 0 ? "\"\"\n" : "\r");
    }
    clm_string_add(out, "\"\n");
}

static clm_status read_table(const char *path) {
    clm_table *table = NULL;
    clm_status status = clm_table_read(&table, path, NULL);
    clm_table_free(table);
    return status;
}

static void add_split_names(clm_string *out, size_t n) {
    clm_string train = {0};
    clm_string_add(&train, "Label,Text\n");
    clm_string_add(out, "[");
    for (size_t i = 0; i < n; i++) {
        clm_string_add_format(out, "%s\"class %zu\"", i > 0 ? "," : "", i);
        clm_string_add_format(&train, "%zu,a\n", i);
    }
    clm_string_add(out, "]");
    (void)fuzz_write("train.csv", train.text, train.length);
    (void)fuzz_write("validation.csv", train.text, train.length);
    (void)fuzz_write("test.csv", train.text, train.length);
    clm_string_free(&train);
}

static clm_status read_split(const char *path) {
    clm_split split = {0};
    (void)path;
    clm_status status = clm_split_read(&split, fuzz_folder());
    clm_split_free(&split);
    return status;
}

/* ---- models ---- */

static void add_config_labels(clm_string *out, size_t n) {
    clm_string_add(out, "{\"architectures\":[\"GPT2ForSequenceClassification\"],\"id2label\":{");
    for (size_t i = 0; i < n; i++) {
        clm_string_add_format(out, "%s\"%zu\":\"class %zu\"", i > 0 ? "," : "", i, i);
    }
    clm_string_add(out, "},\"label2id\":{");
    for (size_t i = n; i-- > 0;) {
        clm_string_add_format(out, "\"class %zu\":%zu%s", i, i, i > 0 ? "," : "");
    }
    clm_string_add(out, "}}");
}

static void add_nested(clm_string *out, size_t n) {
    for (size_t i = 0; i < n; i++) {
        clm_string_add(out, "{\"a\":[");
    }
}

static void add_long_number(clm_string *out, size_t n) {
    clm_string_add(out, "{\"n_embd\":1");
    for (size_t i = 0; i < n; i++) {
        clm_string_add(out, "00000000");
    }
    clm_string_add(out, "}");
}

static clm_status read_config(const char *path) {
    clm_model_config config = CLM_MODEL_CONFIG_DEFAULT;
    clm_status status = clm_model_config_read(&config, path);
    clm_model_config_free(&config);
    return status;
}

static void add_tensors(clm_string *out, size_t n) {
    clm_string header = {0};
    clm_string_add(&header, "{\"__metadata__\":{");
    for (size_t i = 0; i < n; i++) {
        clm_string_add_format(&header, "%s\"key %zu\":\"v\"", i > 0 ? "," : "", i);
    }
    clm_string_add(&header, "}");
    for (size_t i = 0; i < n; i++) {
        clm_string_add_format(&header,
                              ",\"t%zu\":{\"dtype\":\"U8\",\"shape\":[0],\"data_offsets\":[0,0]}",
                              i * 7919 % n);
    }
    clm_string_add(&header, "}");
    for (unsigned i = 0; i < 8; i++) {
        const unsigned char byte = (unsigned char)((uint64_t)header.length >> 8 * i);
        clm_string_add_bytes(out, &byte, 1);
    }
    clm_string_add_bytes(out, header.text, header.length);
    clm_string_free(&header);
}

static clm_status read_tensors(const char *path) {
    clm_safetensors *file = NULL;
    clm_status status = clm_safetensors_open(&file, path);
    clm_safetensors_close(file);
    return status;
}

/* ---- tokenizers ---- */

/* The characters of GPT-2's alphabet for bytes, as JSON members. */
static void add_bytes(clm_string *out) {
    int next = 256;
    for (int byte = 0; byte < 256; byte++) {
        const bool own = (byte >= 33 && byte <= 126) || (byte >= 161 && byte != 173);
        clm_string_add_format(out, "%s\"\\u%04x\":%d", byte > 0 ? "," : "", own ? byte : next++,
                              byte);
    }
}

static void add_specials(clm_string *out, size_t n) {
    clm_string_add(out,
                   "{\"pre_tokenizer\":{\"type\":\"ByteLevel\",\"add_prefix_space\":false},"
                   "\"model\":{\"type\":\"BPE\",\"merges\":[],\"vocab\":{");
    add_bytes(out);
    clm_string_add(out, "}},\"added_tokens\":[");
    for (size_t i = 0; i < n; i++) {
        clm_string_add_format(out,
                              "%s{\"id\":%zu,\"content\":\"<special %zu>\",\"single_word\":false,"
                              "\"lstrip\":false,\"rstrip\":false,\"normalized\":false,"
                              "\"special\":true}",
                              i > 0 ? "," : "", 256 + i, i);
    }
    clm_string_add(out, "]}");
}

static void add_merges(clm_string *out, size_t n) {
    clm_string merges = {0};
    clm_string token = {0};
    clm_string_add(out,
                   "{\"pre_tokenizer\":{\"type\":\"ByteLevel\",\"add_prefix_space\":false},"
                   "\"model\":{\"type\":\"BPE\",\"vocab\":{");
    add_bytes(out);
    /* Each of four letters from the two halves of it, as far as n goes. */
    for (size_t i = 0; i < n; i++) {
        clm_string_clear(&token);
        clm_string_add_format(&token, "%c%c%c%c", (int)('a' + i % 20), (int)('a' + i / 20 % 20),
                              (int)('a' + i / 400 % 20), (int)('a' + i / 8000 % 20));
        clm_string_add_format(out, ",\"%s\":%zu", token.text, 656 + i);
        clm_string_add_format(&merges, ",[\"%.2s\",\"%s\"]", token.text, token.text + 2);
    }
    clm_string pairs = {0};
    for (size_t i = 0; i < 400; i++) {
        const int left = (int)('a' + i % 20);
        const int right = (int)('a' + i / 20);
        clm_string_add_format(out, ",\"%c%c\":%zu", left, right, 256 + i);
        clm_string_add_format(&pairs, "%s[\"%c\",\"%c\"]", i > 0 ? "," : "", left, right);
    }
    clm_string_add(out, "},\"merges\":[");
    clm_string_add(out, pairs.text);
    clm_string_add(out, merges.text);
    clm_string_add(out, "]}}");
    clm_string_free(&merges);
    clm_string_free(&pairs);
    clm_string_free(&token);
}

/* Opens it, and encodes a text in which a special token might begin everywhere. */
static clm_status read_tokenizer(const char *path) {
    static char text[4096];
    const clm_encode_options options = {.special_tokens = true};
    clm_tokenizer *tokenizer = NULL;
    (void)path;
    memset(text, '<', sizeof text);
    clm_status status = clm_tokenizer_open(&tokenizer, fuzz_folder());
    if (status == CLM_OK) {
        int32_t *ids = NULL;
        size_t count = 0;
        status = clm_tokenizer_encode(tokenizer, text, sizeof text, &options, &ids, &count);
        clm_tokens_free(ids);
    }
    clm_tokenizer_close(tokenizer);
    return status;
}

/* ---- runs ---- */

static void add_steps(clm_string *out, size_t n) {
    for (size_t i = 0; i < n; i++) {
        clm_string_add_format(out, "{\"event\":\"step\",\"step\":%zu,\"loss\":1}\n",
                              i % 2 == 0 ? i : n - i);
    }
}

static clm_status read_metrics(const char *path) {
    clm_metrics metrics = {0};
    clm_status status = clm_metrics_read(&metrics, path);
    clm_metrics_free(&metrics);
    return status;
}

/* ---- the clock ---- */

typedef struct hostile {
    const char *what;
    const char *name; /* of the file */
    void (*add)(clm_string *out, size_t n);
    clm_status (*read)(const char *path);
    size_t n;
    bool refused;
} hostile;

static const hostile all[] = {
    {"names of classes in CSV", "x.csv", add_classes_csv, read_table, 4000, false},
    {"numbers as classes in CSV", "x.csv", add_numbers_csv, read_table, 4000, false},
    {"columns in CSV", "x.csv", add_columns_csv, read_table, 10000, false},
    {"lines in a field of CSV", "x.csv", add_lines_csv, read_table, 50000, false},
    {"names of classes in JSON Lines", "x.jsonl", add_classes_jsonl, read_table, 4000, false},
    {"members in JSON Lines", "x.jsonl", add_members_jsonl, read_table, 10000, false},
    {"names of a split", "labels.json", add_split_names, read_split, 2000, false},
    {"labels of a config", "config.json", add_config_labels, read_config, 2000, false},
    {"values in values", "config.json", add_nested, read_config, 20000, true},
    {"digits of a number", "config.json", add_long_number, read_config, 20000, true},
    {"tensors and metadata", "x.safetensors", add_tensors, read_tensors, 10000, false},
    {"special tokens", "tokenizer.json", add_specials, read_tokenizer, 4000, false},
    {"merges", "tokenizer.json", add_merges, read_tokenizer, 8000, false},
    {"steps", "metrics.jsonl", add_steps, read_metrics, 8000, false},
};

static double seconds_of(const hostile *h, size_t n) {
    double least = 1e9;
    clm_string text = {0};
    fuzz_empty();
    h->add(&text, n);
    FUZZ_CHECK(clm_string_status(&text) == CLM_OK);
    const char *path = fuzz_write(h->name, text.text, text.length);
    for (int turn = 0; turn < 3; turn++) {
        const clock_t start = clock();
        clm_status status = h->read(path);
        const double seconds = (double)(clock() - start) / CLOCKS_PER_SEC;
        if ((status != CLM_OK) != h->refused) {
            (void)fprintf(stderr, "%s: %s\n", h->what, clm_error_message());
            abort();
        }
        least = seconds < least ? seconds : least;
    }
    clm_string_free(&text);
    return least;
}

int main(void) {
    /* n log n is under 5, a square 16; below some ms there is more noise than anything else. */
    static const double most_times = 10.0;
    static const double least_seconds = 0.02;
    int wrong = 0;
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        const double first = seconds_of(&all[i], all[i].n);
        const double second = seconds_of(&all[i], 4 * all[i].n);
        const bool good = second < least_seconds || second < most_times * first;
        (void)printf("%-32s %6zu: %8.4f s, %6zu: %8.4f s%s\n", all[i].what, all[i].n, first,
                     4 * all[i].n, second, good ? "" : ": grows too fast");
        wrong += !good;
    }
    return wrong > 0 ? 1 : 0;
}

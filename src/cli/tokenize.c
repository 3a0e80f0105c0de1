/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/json.h"
#include "base/lines.h"
#include "base/memory.h"
#include "base/string.h"
#include "cli/cli.h"
#include "clm/data.h"
#include "clm/text.h"

typedef struct settings {
    const char *vocab;
    bool ids;
    bool decode;
    bool special;
    bool table;
    const char *train;
    const char *out;
    int vocab_size;
    int min_frequency;
    clm_tokenizer *tokenizer;
} settings;

/* The ids alone, or each with its bytes as a JSON string: 15496:"Hello" 995:" world". */
static clm_status print_tokens(const settings *job, const int32_t *ids, size_t count) {
    clm_status status = CLM_OK;
    clm_string out = {0};
    for (size_t i = 0; i < count; i++) {
        clm_string_add_format(&out, "%s%d", i > 0 ? " " : "", ids[i]);
        if (!job->ids) {
            const char *bytes = NULL;
            size_t length = 0;
            CLM_TRY(clm_tokenizer_token(job->tokenizer, ids[i], &bytes, &length));
            clm_string_add(&out, ":");
            clm_json_add_bytes(&out, bytes, length);
        }
    }
    clm_string_add(&out, "\n");
    CLM_TRY(clm_string_status(&out));
    (void)fwrite(out.text, 1, out.length, stdout);
cleanup:
    clm_string_free(&out);
    return status;
}

static clm_status encode_text(const settings *job, const char *text, size_t length) {
    const clm_encode_options options = {.special_tokens = job->special};
    int32_t *ids = NULL;
    size_t count = 0;
    clm_status status = clm_tokenizer_encode(job->tokenizer, text, length, &options, &ids, &count);
    if (status == CLM_OK) {
        status = print_tokens(job, ids, count);
    }
    clm_tokens_free(ids);
    return status;
}

/* Decodes the ids in `text`, with white space or commas between, and prints what they say. */
static clm_status decode_text(const settings *job, const char *text, size_t length) {
    clm_status status = CLM_OK;
    int32_t *ids = NULL;
    size_t count = 0;
    size_t capacity = 0;
    char *decoded = NULL;
    size_t decoded_length = 0;
    for (const char *at = text; at < text + length;) {
        if (strchr(" \t\r\n,", *at) != NULL && *at != '\0') {
            at++;
            continue;
        }
        char *end = NULL;
        errno = 0;
        long id = strtol(at, &end, 10);
        if (end == at || errno != 0 || id < 0 || id > INT32_MAX) {
            const size_t word = strcspn(at, " \t\r\n,");
            status = clm_fail(CLM_ERROR_FORMAT, "byte %zu: \"%.*s\" is not a token id",
                              (size_t)(at - text), (int)(word < 20 ? word : 20), at);
            goto cleanup;
        }
        CLM_TRY(clm_reserve(&ids, &capacity, count + 1, sizeof *ids, "token ids"));
        ids[count++] = (int32_t)id;
        at = end;
    }
    CLM_TRY(clm_tokenizer_decode(job->tokenizer, ids, count, &decoded, &decoded_length));
    (void)fwrite(decoded, 1, decoded_length, stdout);
    (void)putchar('\n');
cleanup:
    clm_free(ids);
    clm_text_free(decoded);
    return status;
}

static clm_status one_text(const settings *job, const char *text, size_t length) {
    return job->decode ? decode_text(job, text, length) : encode_text(job, text, length);
}

static clm_status each_line(const settings *job) {
    enum { lines_at_a_time = 4096 };
    clm_status status = CLM_OK;
    clm_lines l;
    clm_lines_open(&l, STDIN_FILENO, "standard input");
    do {
        CLM_TRY(clm_lines_read(&l, lines_at_a_time));
        for (size_t i = 0; i < l.count; i++) {
            CLM_TRY(clm_lines_check(&l, i));
            status = one_text(job, l.texts[i], l.lengths[i]);
            if (status != CLM_OK) {
                status = clm_error_prefix(status, "%s:%" PRIu64, l.name, l.first + i);
                goto cleanup;
            }
        }
    } while (l.count > 0 && clm_cli_flush());
cleanup:
    clm_lines_close(&l);
    return status;
}

/* Ids that stand in several arguments are one text. */
static clm_status joined(const settings *job, char **arguments, size_t count) {
    clm_string all = {0};
    for (size_t i = 0; i < count; i++) {
        clm_string_add(&all, arguments[i]);
        clm_string_add(&all, " ");
    }
    clm_status status = clm_string_status(&all);
    if (status == CLM_OK) {
        status = one_text(job, all.text, all.length);
    }
    clm_string_free(&all);
    return status;
}

static clm_status tokenize(settings *job, char **texts, size_t count) {
    clm_status status = CLM_OK;
    CLM_TRY(clm_tokenizer_open(&job->tokenizer, job->vocab));
    if (count == 0 || (count == 1 && strcmp(texts[0], "-") == 0)) {
        CLM_TRY(each_line(job));
    } else if (job->decode) {
        CLM_TRY(joined(job, texts, count));
    } else {
        for (size_t i = 0; i < count; i++) {
            CLM_TRY(encode_text(job, texts[i], strlen(texts[i])));
        }
    }
cleanup:
    clm_tokenizer_close(job->tokenizer);
    return status;
}

/* What a vocabulary is made from: a whole file, or the texts of a table. */
typedef struct corpus {
    char *file;
    clm_table *table;
    const char **texts;
    size_t *lengths;
    size_t count;
} corpus;

static void corpus_free(corpus *c) {
    clm_free(c->texts);
    clm_free(c->lengths);
    clm_table_free(c->table);
    clm_free(c->file);
}

static clm_status corpus_read(corpus *c, const settings *job) {
    clm_status status = CLM_OK;
    c->count = 1;
    if (job->table) {
        CLM_TRY(clm_table_read(&c->table, job->train, NULL));
        c->count = clm_table_count(c->table);
    }
    CLM_TRY(clm_allocate(&c->texts, c->count, sizeof *c->texts, "texts"));
    CLM_TRY(clm_allocate(&c->lengths, c->count, sizeof *c->lengths, "texts"));
    if (!job->table) {
        CLM_TRY(clm_file_read(job->train, CLM_FILE_TEXT, &c->file, &c->lengths[0]));
        CLM_TRY(clm_text_refuse_nul(c->file, c->lengths[0], job->train));
        const size_t mark = clm_text_mark(c->file, c->lengths[0]);
        c->texts[0] = c->file + mark;
        c->lengths[0] -= mark;
        goto cleanup;
    }
    for (size_t i = 0; i < c->count; i++) {
        c->texts[i] = clm_table_text(c->table, i, &c->lengths[i]);
    }
cleanup:
    return status;
}

static clm_status train(const settings *job) {
    clm_status status = CLM_OK;
    corpus c = {0};
    clm_tokenizer *tokenizer = NULL;
    clm_tokenizer_train_options options = CLM_TOKENIZER_TRAIN_OPTIONS_DEFAULT;
    options.vocab_size = job->vocab_size;
    options.min_frequency = job->min_frequency;
    CLM_TRY(corpus_read(&c, job));
    CLM_TRY(clm_tokenizer_train(&tokenizer, c.texts, c.lengths, c.count, &options));
    CLM_TRY(clm_tokenizer_save(tokenizer, job->out, NULL));
    (void)printf("%s: %d tokens\n", job->out, clm_tokenizer_vocab_size(tokenizer));
cleanup:
    clm_tokenizer_close(tokenizer);
    corpus_free(&c);
    return status;
}

static const clm_cli_option text_options[] = {
    {"--vocab", "DIR", "the folder with the tokenizer's files", CLM_CLI_FOLDER_AT(settings, vocab),
     .excludes = "--train", .synonyms = "--tokenizer --model --vocabulary"},
    {"--ids", NULL, "print ids only", CLM_CLI_FLAG_AT(settings, ids)},
    {"--decode", NULL, "take ids, and print their text, that of special tokens too",
     CLM_CLI_FLAG_AT(settings, decode), .excludes = "--ids", .synonyms = "--detokenize"},
    {"--special", NULL, "take special tokens such as <|endoftext|> as tokens, as training does",
     CLM_CLI_FLAG_AT(settings, special), .synonyms = "--special-tokens"},
    {NULL},
};

static const clm_cli_option train_options[] = {
    {"--train", "FILE", "make a vocabulary from a text file", CLM_CLI_PATH_AT(settings, train)},
    {"--out", "DIR", "where --train writes", CLM_CLI_TARGET_AT(settings, out), .needs = "--train",
     .synonyms = "--output --to --output-dir"},
    {"--table", NULL, "FILE is a table: make it from its texts, read as 'clm data' reads them",
     CLM_CLI_FLAG_AT(settings, table), .needs = "--train"},
    {"--vocab-size", "N", "tokens at most", CLM_CLI_INT_AT(settings, vocab_size),
     .needs = "--train", .least = 257, .synonyms = "--size --n-vocab"},
    {"--min-frequency", "N", "how often a pair occurs to be merged",
     CLM_CLI_INT_AT(settings, min_frequency), .needs = "--train", .least = 1},
    {NULL},
};

static const clm_cli_option positionals[] = {
    {"TEXT", NULL, "a text, or with --decode ids; - for the lines of standard input",
     .kind = CLM_CLI_TEXT, .repeats = true, .fallback = "-"},
    {NULL},
};

static const clm_cli_example examples[] = {
    {"clm tokenize --vocab gpt2 \"Hello world\"", "Shows the tokens of a text."},
    {"clm tokenize --train messages.txt --out vocab --vocab-size 2000",
     "Makes a vocabulary of 2000 tokens."},
    {NULL, NULL},
};

static const settings defaults = {.vocab_size = 50257, .min_frequency = 2};

static int run(const clm_cli_arguments *arguments) {
    settings *job = arguments->settings;
    clm_status status = CLM_OK;
    if (job->train == NULL && job->vocab == NULL) {
        return clm_cli_usage("tokenize", "--vocab DIR is missing");
    }
    if (job->train != NULL && (job->out == NULL || arguments->positional_count > 0)) {
        return clm_cli_usage("tokenize", "--train FILE goes with --out DIR, and without a text");
    }
    if (job->train != NULL) {
        status = train(job);
    } else {
        status = tokenize(job, arguments->positionals, arguments->positional_count);
    }
    return status == CLM_OK ? CLM_EXIT_DONE : clm_cli_fail(status);
}

const clm_cli_command clm_command_tokenize = {
    .name = "tokenize",
    .about = "turn text into token ids and back",
    .synopsis =
        "--vocab DIR [--ids | --decode] [TEXT... | -]\n"
        "--train FILE [--table] --out DIR [--vocab-size N]",
    .description =
        "Turns texts into tokens, one line a text: each token as its id and its bytes, "
        "15496:\"Hello\" 995:\" world\", or with --ids the ids alone. With --decode the other way "
        "round: the ids of all arguments are one text. Without TEXT, or with -, each line of "
        "standard input is a text. Bytes that are not UTF-8 show as U+FFFD, but have ids as any "
        "others.\n\n"
        "DIR has tokenizer.json, vocab.json and merges.txt, or encoder.json and vocab.bpe.\n\n"
        "--train takes FILE as one text, or with --table each of its texts, and adds <|endoftext|> "
        "as the last token.",
    .groups = {{"Texts", text_options, 0}, {"Making a vocabulary", train_options, 0}},
    .positionals = positionals,
    .examples = examples,
    .ends = CLM_CLI_ENDS_INPUT,
    .synonyms = "tokenise encode tokens tokenizer",
    .settings_size = sizeof(settings),
    .defaults = &defaults,
    .run = run,
};

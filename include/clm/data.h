/* Labelled texts: read from files, balanced, split, turned into token ids, given in batches.
 *
 * The way data takes: clm_table_read() -> clm_table_balance() -> clm_table_split() ->
 * clm_dataset_create() -> clm_loader. Nothing here touches a device, and every call is done when
 * it returns. Balance, split and batches draw as pandas and PyTorch do, so that the recipe of
 * LLMs-from-scratch, chapter 6, gives the same rows in the same order.
 *
 * Handles are not safe for two threads at once, except that any number may read one table or
 * data set that nobody changes (nothing here changes one after it was made).
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef CLM_DATA_H
#define CLM_DATA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "clm/random.h"
#include "clm/status.h"

#ifdef __cplusplus
extern "C" {
#endif

/* --- Tables --------------------------------------------------------------------------------- */

/* Texts, each with a label, in the order of the file. Texts are valid UTF-8 without NUL bytes and
 * never empty. */
typedef struct clm_table clm_table;

typedef enum clm_table_header {
    CLM_TABLE_HEADER_AUTO = 0, /* see clm_table_read() */
    CLM_TABLE_HEADER_PRESENT,
    CLM_TABLE_HEADER_ABSENT
} clm_table_header;

typedef struct clm_table_options {
    /* Names of columns; where there is no header, their numbers from 1, such as "2". NULL: a text
     * is text, message or sms, a label is label, class, category or target, in any case; without a
     * header, columns 2 and 1 of two. */
    const char *text_column;
    const char *label_column;
    char separator; /* of columns; 0: found, see clm_table_read() */
    clm_table_header header;
    /* Names of the classes, label_count of them, when they are known already (those of the
     * training rows for the test rows). NULL: the classes are those of the file. */
    const char *const *labels;
    int label_count;
} clm_table_options;

#define CLM_TABLE_OPTIONS_DEFAULT \
    { NULL, NULL, 0, CLM_TABLE_HEADER_AUTO, NULL, 0 }

/* Reads a table through *table; the caller frees it. `options` may be NULL. What the file is, its
 * content says and not its name.
 *
 * Separated values (CSV, TSV) are read as pandas.read_csv(dtype=str, keep_default_na=False) reads
 * them: a field that begins with a double quote reaches to the next quote that is not doubled,
 * across separators and lines; a quote further in is an ordinary character; blank lines are
 * skipped; lines end in LF, CR or CRLF; a byte order mark is skipped. Other than in pandas, a row
 * with fewer fields than the first is an error, and a first line "sep=;" names the separator, as in
 * Excel.
 *
 * JSON is an object a line (JSON Lines), or one value as pandas' and datasets' to_json write it
 * with orient records, columns, index, split or table. Members are named like columns. A text is a
 * string; a label is a string, or a number, true or false, which then is the name it has as it is
 * written, as in CSV.
 *
 * Where options leave it open, this is guessed, and noted (clm_table_notes()):
 *   - the separator: tab, comma, semicolon or bar, the first of them with which the first row has
 *     names of both columns; else a tab when the first row has one; else the first that gives all
 *     of the first rows the same number of columns; else a comma;
 *   - the header: the first row is one, except that two columns between tabs whose names are not
 *     known are label, text without a header, as in the SMS Spam Collection. This must be
 *     plausible: if it made a class of more than half of the rows, more classes than there are
 *     different texts, or a class of the first line alone, it is an error;
 *   - the columns, by their names.
 *
 * Classes are numbered 0..n-1. When the labels of the file are the integers 0..n-1, they stay what
 * they are; otherwise the class names are sorted by their bytes, so that ham is 0 and spam 1. With
 * options->labels a label is the name of a class; where no name is a number (such as 3, -1 or
 * 2.50), it may also be the number of a class. Files with the header Label,Text,Name, which
 * clm_split_write() makes, have numbers in Label and names in Name: there Name counts, and Label
 * gives the order unless options->labels do. (If Label is no number, Name is not read.)
 *
 * Errors, each with file, line and column (1-based, in bytes): CLM_ERROR_NOT_FOUND, CLM_ERROR_IO;
 * CLM_ERROR_ENCODING (NUL byte, invalid UTF-8); CLM_ERROR_FORMAT (no rows, no such column, a guess
 * that is not plausible, a row of another width, a quote that is not closed, an empty text or
 * label, a label that is none of options->labels, a Name that contradicts its Label, only one class
 * unless options->labels are given); CLM_ERROR_MEMORY. */
CLM_API clm_status clm_table_read(clm_table **table, const char *path,
                                  const clm_table_options *options);

/* A table of texts (count, NUL-terminated), labels (count) in 0..name_count-1 and the names of the
 * classes; all is copied. CLM_ERROR_ARGUMENT for an empty text or a label without a name,
 * CLM_ERROR_ENCODING for invalid UTF-8. */
CLM_API clm_status clm_table_create(clm_table **table, const char *const *texts, const int *labels,
                                    size_t count, const char *const *names, int name_count);

CLM_API void clm_table_free(clm_table *table); /* NULL is fine */

CLM_API size_t clm_table_count(const clm_table *table);

/* Text `row`, NUL-terminated; its bytes without the NUL through *length_bytes unless that is NULL.
 * Lent. `row` must be below clm_table_count(). */
CLM_API const char *clm_table_text(const clm_table *table, size_t row, size_t *length_bytes);
CLM_API int clm_table_label(const clm_table *table, size_t row);

/* The classes, also those without a row. Names are lent. */
CLM_API int clm_table_label_count(const clm_table *table);
CLM_API const char *clm_table_label_name(const clm_table *table, int label);
CLM_API const char *const *clm_table_label_names(const clm_table *table);

/* The number of the class of that name, or -1. */
CLM_API int clm_table_label_by_name(const clm_table *table, const char *name);

/* How many rows a class has. */
CLM_API size_t clm_table_label_rows(const clm_table *table, int label);

/* What was guessed about the file and what looked odd in it, a sentence each, *count of them; lent.
 * What looked odd went to the log as well. */
CLM_API const char *const *clm_table_notes(const clm_table *table, size_t *count);

/* As many rows of each class as the smallest class has, through *balanced; class after class.
 * Each class is drawn as pandas' sample(n, random_state=seed) draws it, except the smallest (the
 * last of those when several are as small), which stays whole and in its order. For ham and spam
 * that is the recipe's create_balanced_dataset().
 * CLM_ERROR_FORMAT when a class has no row; CLM_ERROR_MEMORY. */
CLM_API clm_status clm_table_balance(clm_table **balanced, const clm_table *table, uint32_t seed);

/* --- Splits --------------------------------------------------------------------------------- */

typedef struct clm_split {
    clm_table *train;
    clm_table *validation;
    clm_table *test;
    char **notes; /* (note_count) of the table that was split, see clm_table_notes() */
    size_t note_count;
} clm_split;

/* Shuffles as pandas' sample(frac=1, random_state=seed) does and cuts: the first
 * int(count * train_fraction) rows, the next int(count * validation_fraction), the rest. The
 * caller calls clm_split_free(). CLM_ERROR_ARGUMENT for fractions that are not positive or leave
 * no rest, CLM_ERROR_SHAPE when one of the three would have no row. */
CLM_API clm_status clm_table_split(clm_split *split, const clm_table *table, double train_fraction,
                                   double validation_fraction, uint32_t seed);

CLM_API void clm_split_free(clm_split *split); /* fine on a zeroed one */

typedef enum clm_table_columns {
    CLM_TABLE_LABEL_TEXT = 0,
    CLM_TABLE_LABEL_TEXT_NAME
} clm_table_columns;

/* Writes a header and the rows, labels as numbers. "Label,Text" is byte for byte what pandas'
 * to_csv(index=None) writes, except that a text with a carriage return is quoted, so that it can be
 * read again. "Label,Text,Name" has the names of the classes too, which clm_table_read() takes;
 * other programs keep Label. Written aside and renamed. CLM_ERROR_IO, CLM_ERROR_NO_SPACE;
 * CLM_ERROR_FORMAT for Label,Text when a class is named by a number other than its own, because
 * numbers and names could not be told apart. */
CLM_API clm_status clm_table_write_csv(const clm_table *table, const char *path,
                                       clm_table_columns columns);

/* Writes train.csv, validation.csv and test.csv into a folder, which is made, and beside them
 * labels.json, the names of the classes in their order (["ham","spam"]), and data.json, which says
 * where they come from. A folder that was not there or is empty appears with all five or not at
 * all. A folder that holds anything else is CLM_ERROR_EXISTS, unless it holds these five already
 * with the same bytes, or `replace` is true: then the five are put in place one after the other,
 * each whole, and other files stay. Errors as clm_table_write_csv().
 *
 * data.json is one object: "schema" ("clm data 1"); "source", the path as it was given, or null;
 * "format"; "separator", one character, or null; "header"; "label_column" and "text_column", names,
 * or numbers from 1 without a header; "balanced"; "classes", in their order, each with "name" and
 * the rows it has in the "source", "train", "validation" and "test"; "guesses" and "warnings",
 * lists of sentences. */
CLM_API clm_status clm_split_write(const clm_split *split, const char *folder,
                                   clm_table_columns columns, bool replace);

/* Reads such a folder, with the guesses and warnings of data.json for notes. labels.json may be
 * missing: then train.csv says which classes there are. So may data.json: then the notes are those
 * of reading train.csv. Errors as clm_table_read(). */
CLM_API clm_status clm_split_read(clm_split *split, const char *folder);

/* --- Data sets ------------------------------------------------------------------------------ */

/* Token ids of equal length, and labels. B is the number of texts, T their common length. */
typedef struct clm_dataset clm_dataset;

struct clm_tokenizer; /* clm/text.h */

typedef struct clm_dataset_options {
    int length;        /* T; 0: the longest text */
    int length_limit;  /* T is at most this, the model's context; 0: no limit */
    int32_t pad_token; /* fills up at the end; default: GPT-2's <|endoftext|> */
    const char *name;  /* of the texts in warnings, such as "test texts"; NULL: "texts" */
} clm_dataset_options;

#define CLM_DATASET_OPTIONS_DEFAULT \
    { 0, 0, 50256, NULL }

/* Encodes the texts, cuts what is longer than T and fills up what is shorter, through *dataset; the
 * caller frees it. `options` may be NULL. The table is not needed afterwards. How many were cut
 * stands in clm_dataset_cut_count() and, unless it is none, in a warning to the log.
 * CLM_ERROR_SHAPE when length is above length_limit; errors of the tokenizer, with the row. */
CLM_API clm_status clm_dataset_create(clm_dataset **dataset, const clm_table *table,
                                      const struct clm_tokenizer *tokenizer,
                                      const clm_dataset_options *options);

/* The same from ids: ids[row] has lengths[row] > 0 of them. Everything is copied. */
CLM_API clm_status clm_dataset_create_from_ids(clm_dataset **dataset, const int32_t *const *ids,
                                               const size_t *lengths, const int32_t *labels,
                                               size_t count, const clm_dataset_options *options);

CLM_API void clm_dataset_free(clm_dataset *dataset); /* NULL is fine */

CLM_API size_t clm_dataset_count(const clm_dataset *dataset);          /* B */
CLM_API int clm_dataset_length(const clm_dataset *dataset);            /* T */
CLM_API const int32_t *clm_dataset_tokens(const clm_dataset *dataset); /* (B,T), lent */
CLM_API const int32_t *clm_dataset_labels(const clm_dataset *dataset); /* (B), lent */
/* (B), lent: tokens of each text before it was filled up, after it was cut, up to the last that is
 * not the padding token; at least 1. */
CLM_API const int32_t *clm_dataset_lengths(const clm_dataset *dataset);
CLM_API size_t clm_dataset_cut_count(const clm_dataset *dataset);

/* Copies rows (count) of the data set into tokens (count,T) and labels (count); either may be
 * NULL. CLM_ERROR_ARGUMENT for a row that is not there. */
CLM_API clm_status clm_dataset_gather(const clm_dataset *dataset, const int32_t *rows, size_t count,
                                      int32_t *tokens, int32_t *labels);

/* --- Batches -------------------------------------------------------------------------------- */

/* One iteration at a time over the rows of a data set, in the batches that
 * torch.utils.data.DataLoader gives and with its draws from the global generator, which here is
 * `random`: beginning an iteration draws one int64, shuffled or not (the base seed of workers that
 * nobody starts); a shuffled one draws another when its first batch is fetched, and from a
 * generator with that seed the permutation. So who fetches a batch and then stops draws as much as
 * who goes to the end. To look through the same rows in the midst of an iteration (the recipe
 * evaluates over the shuffled training rows), use a second loader with the same `random`.
 * Source: torch/utils/data/dataloader.py and sampler.py, PyTorch 2.15. */
typedef struct clm_loader clm_loader;

typedef struct clm_loader_options {
    int batch;
    bool shuffle;
    bool drop_last; /* leave out the last batch when it is smaller */
} clm_loader_options;

#define CLM_LOADER_OPTIONS_DEFAULT \
    { 8, false, false }

/* `dataset` and `random` are borrowed until clm_loader_free(). `options` may be NULL.
 * CLM_ERROR_SHAPE when batch is not positive or there would be no batch at all. */
CLM_API clm_status clm_loader_create(clm_loader **loader, const clm_dataset *dataset,
                                     clm_torch_random *random, const clm_loader_options *options);
CLM_API void clm_loader_free(clm_loader *loader); /* NULL is fine */

/* Batches of an iteration. */
CLM_API size_t clm_loader_batch_count(const clm_loader *loader);

/* Begins an iteration; one that was not at its end is given up. */
CLM_API void clm_loader_begin(clm_loader *loader);

/* The rows of the next batch, lent until the next call; returns how many, 0 at the end and before
 * the first clm_loader_begin(). */
CLM_API size_t clm_loader_next(clm_loader *loader, const int32_t **rows);

/* Where an iteration stands, for checkpoints. With the state of the generator it is all that is
 * needed to go on with the same batches. Plain numbers, to be stored as their names and values. */
typedef struct clm_loader_position {
    int64_t sampler_seed; /* from which the permutation follows, once `drawn` */
    uint64_t next_batch;
    bool begun;
    bool drawn;
} clm_loader_position;

CLM_API void clm_loader_save(const clm_loader *loader, clm_loader_position *position);

/* CLM_ERROR_FORMAT when the position is none that a loader over these rows can have. Draws
 * nothing. */
CLM_API clm_status clm_loader_restore(clm_loader *loader, const clm_loader_position *position);

#ifdef __cplusplus
}
#endif
#endif

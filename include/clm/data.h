/* Labelled texts: reading, balancing and splitting them, turning them into token ids and batches.
 *
 * The steps are clm_table_read() -> clm_table_balance() -> clm_table_split() ->
 * clm_dataset_create() -> clm_loader. Nothing here touches a device; every call completes its work
 * before it returns. Balancing, splitting and batching draw the same random numbers as pandas and
 * PyTorch, so that the recipe of LLMs-from-scratch, chapter 6, gives the same rows in the same
 * order.
 *
 * Handles are not safe for two threads at once, except that any number of threads may read the same
 * table or data set (nothing here changes one after it was made).
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
    /* Names of columns; without a header, their numbers from 1, such as "2". NULL: the text is in
     * the column text, message or sms, the label in label, class, category or target, upper or
     * lower case; without a header, in columns 2 and 1 of two. */
    const char *text_column;
    const char *label_column;
    char separator; /* of columns; 0: detected, see clm_table_read() */
    clm_table_header header;
    /* Names of the classes, label_count of them, if they are already known (for test rows, those of
     * the training rows). NULL: the classes are those in the file. */
    const char *const *labels;
    int label_count;
} clm_table_options;

#define CLM_TABLE_OPTIONS_DEFAULT \
    { NULL, NULL, 0, CLM_TABLE_HEADER_AUTO, NULL, 0 }

/* Reads a table through *table; the caller frees it. `options` may be NULL. The format is detected
 * from the content, not from the file's name.
 *
 * Separated values (CSV, TSV) are read as pandas.read_csv(dtype=str, keep_default_na=False) reads
 * them: a field that begins with a double quote ends at the next quote that is not doubled, across
 * separators and lines; a quote elsewhere in a field is an ordinary character; blank lines are
 * skipped; lines end in LF, CR or CRLF; a byte order mark is skipped. Unlike in pandas, a row with
 * fewer fields than the first is an error, and a first line "sep=;" sets the separator, as in
 * Excel.
 *
 * JSON is one object per line (JSON Lines), or one value as to_json of pandas and datasets writes
 * it with orient records, columns, index, split or table. Members are named like columns. A text is
 * a string; a label is a string, or a number, true or false, whose name is then its spelling in the
 * file, as in CSV.
 *
 * What the options leave open is guessed, and noted (clm_table_notes()):
 *   - the separator: tab, comma, semicolon or bar, the first that gives the first row the names of
 *     both columns; else a tab if the first row has one; else the first that gives all of the first
 *     rows the same number of columns; else a comma;
 *   - the header: the first row, except that two columns separated by a tab, without known names,
 *     are label and text without a header, as in the SMS Spam Collection. The guess must be
 *     plausible: if the classes would number more than half of the rows or more than the different
 *     texts, or the first line alone would make a class, it is an error;
 *   - the columns, by their names.
 *
 * Classes are numbered 0..n-1. If the labels in the file are the integers 0..n-1, they are kept;
 * otherwise the class names are sorted by their bytes, so that ham is 0 and spam 1. With
 * options->labels a label is the name of a class; if no name is a number (such as 3, -1 or 2.50),
 * it may also be the number of a class. Files with the header Label,Text,Name, which
 * clm_split_write() writes, have numbers in Label and names in Name: Name is then the label, and
 * Label gives the order unless options->labels does. (If Label is not a number, Name is not read.)
 *
 * Errors, each with file, line and column (1-based, in bytes): CLM_ERROR_NOT_FOUND, CLM_ERROR_IO;
 * CLM_ERROR_ENCODING (NUL byte, invalid UTF-8); CLM_ERROR_FORMAT (no rows, no such column, an
 * implausible guess, a row of another width, an unclosed quote, an empty text or label, a label
 * that is not in options->labels, a Name that contradicts its Label, only one class without
 * options->labels); CLM_ERROR_MEMORY. */
CLM_API clm_status clm_table_read(clm_table **table, const char *path,
                                  const clm_table_options *options);

/* A table of texts (count, NUL-terminated), labels (count) in 0..name_count-1 and the names of the
 * classes; everything is copied. CLM_ERROR_ARGUMENT for an empty text or a label without a name,
 * CLM_ERROR_ENCODING for invalid UTF-8. */
CLM_API clm_status clm_table_create(clm_table **table, const char *const *texts, const int *labels,
                                    size_t count, const char *const *names, int name_count);

CLM_API void clm_table_free(clm_table *table); /* NULL is fine */

CLM_API size_t clm_table_count(const clm_table *table);

/* Text `row`, NUL-terminated; its bytes without the NUL through *length_bytes unless that is NULL.
 * Lent. `row` must be below clm_table_count(). */
CLM_API const char *clm_table_text(const clm_table *table, size_t row, size_t *length_bytes);
CLM_API int clm_table_label(const clm_table *table, size_t row);

/* The classes, including those without rows. Names are lent. */
CLM_API int clm_table_label_count(const clm_table *table);
CLM_API const char *clm_table_label_name(const clm_table *table, int label);
CLM_API const char *const *clm_table_label_names(const clm_table *table);

/* The number of the class with that name, or -1. */
CLM_API int clm_table_label_by_name(const clm_table *table, const char *name);

/* How many rows a class has. */
CLM_API size_t clm_table_label_rows(const clm_table *table, int label);

/* The guesses about the file and the oddities in it, a sentence each, *count of them; lent. The
 * oddities are also logged. */
CLM_API const char *const *clm_table_notes(const clm_table *table, size_t *count);

/* Whether a note is of an oddity, and not of a guess. */
CLM_API bool clm_table_note_is_warning(const clm_table *table, size_t note);

/* As many rows of each class as the smallest class has, through *balanced; class after class.
 * Each class is drawn as by pandas' sample(n, random_state=seed), except the smallest (the last of
 * them if several are equal), which is kept whole and in order. For ham and spam this is the
 * recipe's create_balanced_dataset(). CLM_ERROR_FORMAT when a class has no rows; CLM_ERROR_MEMORY.
 */
CLM_API clm_status clm_table_balance(clm_table **balanced, const clm_table *table, uint32_t seed);

/* --- Splits --------------------------------------------------------------------------------- */

typedef struct clm_split {
    clm_table *train;
    clm_table *validation;
    clm_table *test;
    char **notes; /* (note_count) of the table that was split, see clm_table_notes() */
    size_t note_count;
} clm_split;

/* Shuffles as pandas' sample(frac=1, random_state=seed) does, then cuts: the first int(count *
 * train_fraction) rows, the next int(count * validation_fraction), the rest. The caller calls
 * clm_split_free(). CLM_ERROR_ARGUMENT for fractions that are not positive or leave no rest,
 * CLM_ERROR_SHAPE when one of the three would be empty. */
CLM_API clm_status clm_table_split(clm_split *split, const clm_table *table, double train_fraction,
                                   double validation_fraction, uint32_t seed);

CLM_API void clm_split_free(clm_split *split); /* fine on a zeroed one */

typedef enum clm_table_columns {
    CLM_TABLE_LABEL_TEXT = 0,
    CLM_TABLE_LABEL_TEXT_NAME
} clm_table_columns;

/* Writes a header and the rows, labels as numbers. "Label,Text" is byte for byte what pandas'
 * to_csv(index=None) writes, except that a text with a carriage return is quoted, so that it can be
 * read back. "Label,Text,Name" also has the names of the classes, for clm_table_read(); other
 * programs can use Label. The file appears whole or not at all. CLM_ERROR_IO, CLM_ERROR_NO_SPACE;
 * CLM_ERROR_FORMAT for Label,Text when a class's name is a number but not its own, because numbers
 * and names could not be told apart. */
CLM_API clm_status clm_table_write_csv(const clm_table *table, const char *path,
                                       clm_table_columns columns);

/* Writes train.csv, validation.csv and test.csv into a folder, which is created, with labels.json,
 * the names of the classes in order (["ham","spam"]), and data.json, which says where they come
 * from. A new or empty folder appears with all five files or not at all. A folder with any other
 * contents is CLM_ERROR_EXISTS, unless it already has these five files with the same bytes, or
 * `replace` is true: then the five are replaced one by one, each whole, and other files stay.
 * Errors as clm_table_write_csv().
 *
 * data.json is one object: "schema" ("clm data 1"); "source", the path as given, or null; "format";
 * "separator", one character, or null; "header"; "label_column" and "text_column", names, or
 * numbers from 1 without a header; "balanced"; "classes", in order, each with "name" and its number
 * of rows in the "source", "train", "validation" and "test"; "guesses" and "warnings", lists of
 * sentences. */
CLM_API clm_status clm_split_write(const clm_split *split, const char *folder,
                                   clm_table_columns columns, bool replace);

/* Reads such a folder; the guesses and warnings of data.json become its notes. Without labels.json
 * the classes come from train.csv; without data.json the notes are those of reading train.csv.
 * Errors as clm_table_read(). */
CLM_API clm_status clm_split_read(clm_split *split, const char *folder);

/* --- Data sets ------------------------------------------------------------------------------ */

/* Token ids of equal length, and labels. B is the number of texts, T their common length. */
typedef struct clm_dataset clm_dataset;

struct clm_tokenizer; /* clm/text.h */

typedef struct clm_dataset_options {
    int length;        /* T; 0: the longest text */
    int length_limit;  /* T is at most this, the model's context; 0: no limit */
    int length_least;  /* with length 0, T is at least this */
    int32_t pad_token; /* pads at the end; default: GPT-2's <|endoftext|> */
    const char *name;  /* of the texts in warnings, such as "test texts"; NULL: "texts" */
} clm_dataset_options;

#define CLM_DATASET_OPTIONS_DEFAULT \
    { 0, 0, 0, 50256, NULL }

/* Encodes the texts, cuts those longer than T and pads shorter ones, through *dataset; the caller
 * frees it. `options` may be NULL. The table is not needed afterwards. clm_dataset_cut_count()
 * counts the texts that were cut, and a warning is logged if there are any. CLM_ERROR_SHAPE when
 * length or length_least is above length_limit; errors of the tokenizer, with the row. */
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
/* (B), lent: tokens of each text after cutting and before padding, up to the last that is not the
 * padding token; at least 1. */
CLM_API const int32_t *clm_dataset_lengths(const clm_dataset *dataset);
CLM_API size_t clm_dataset_cut_count(const clm_dataset *dataset);

/* Copies rows (count) of the data set into tokens (count,T) and labels (count); either may be
 * NULL. CLM_ERROR_ARGUMENT for a row that does not exist. */
CLM_API clm_status clm_dataset_gather(const clm_dataset *dataset, const int32_t *rows, size_t count,
                                      int32_t *tokens, int32_t *labels);

/* --- Batches -------------------------------------------------------------------------------- */

/* One iteration at a time over the rows of a data set, in the same batches as
 * torch.utils.data.DataLoader and with the same draws from the global generator, which here is
 * `random`. Beginning an iteration draws one int64, shuffled or not (the base seed of workers that
 * are never started). A shuffled iteration draws another int64 when its first batch is fetched, and
 * the permutation from a generator with that seed. So stopping after one batch draws as much as
 * going to the end. To go through the same rows in the middle of an iteration (the recipe evaluates
 * on the shuffled training rows), use a second loader with the same `random`. Source:
 * torch/utils/data/dataloader.py and sampler.py, PyTorch 2.15. */
typedef struct clm_loader clm_loader;

typedef struct clm_loader_options {
    int batch;
    bool shuffle;
    bool drop_last; /* leave out the last batch when it is smaller */
} clm_loader_options;

#define CLM_LOADER_OPTIONS_DEFAULT \
    { 8, false, false }

/* `dataset` and `random` are borrowed until clm_loader_free(). `options` may be NULL.
 * CLM_ERROR_SHAPE when batch is not positive or there would be no batches. */
CLM_API clm_status clm_loader_create(clm_loader **loader, const clm_dataset *dataset,
                                     clm_torch_random *random, const clm_loader_options *options);
CLM_API void clm_loader_free(clm_loader *loader); /* NULL is fine */

/* Batches per iteration. */
CLM_API size_t clm_loader_batch_count(const clm_loader *loader);

/* Begins an iteration; an unfinished one is abandoned. */
CLM_API void clm_loader_begin(clm_loader *loader);

/* The rows of the next batch, lent until the next call; returns how many, 0 at the end and before
 * the first clm_loader_begin(). */
CLM_API size_t clm_loader_next(clm_loader *loader, const int32_t **rows);

/* The position of an iteration, for checkpoints. With the state of the generator it is enough to
 * continue with the same batches. Plain numbers, to be stored by name and value. */
typedef struct clm_loader_position {
    int64_t sampler_seed; /* seeds the permutation, once `drawn` */
    uint64_t next_batch;
    bool begun;
    bool drawn;
} clm_loader_position;

CLM_API void clm_loader_save(const clm_loader *loader, clm_loader_position *position);

/* CLM_ERROR_FORMAT when the position is impossible for a loader over these rows. Draws nothing. */
CLM_API clm_status clm_loader_restore(clm_loader *loader, const clm_loader_position *position);

#ifdef __cplusplus
}
#endif
#endif

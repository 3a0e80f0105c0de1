/* One table for each command. The parser, `--help`, the man page and the completion are all made
 * from it, so that they cannot differ.
 *
 * A command's values are in one struct, its settings: `defaults` has their initial values, and each
 * row of the table has the offset of the member that it sets. A new command is one file with one
 * table; its name goes into src/cli/CMakeLists.txt.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef CLM_CLI_OPTIONS_H
#define CLM_CLI_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>

#include "base/string.h"
#include "clm/model.h"
#include "clm/status.h"

typedef enum clm_cli_kind {
    CLM_CLI_FLAG,   /* bool: true when given */
    CLM_CLI_TEXT,   /* const char *, lent from argv; the only text that may be empty */
    CLM_CLI_PATH,   /* const char *: a file or folder to read, or a name for one */
    CLM_CLI_FOLDER, /* const char * */
    CLM_CLI_TARGET, /* const char *: a folder to write */
    CLM_CLI_OUTPUT, /* const char *: a file to write; "-" is standard output */
    CLM_CLI_DEVICE, /* const char *: a device's index, type or part of a name */
    CLM_CLI_INT,    /* int */
    CLM_CLI_NUMBER, /* double, finite */
    CLM_CLI_CHOICE  /* an enum: the value of one of `choices` */
} clm_cli_kind;

/* One of the words that a value can be. */
typedef struct clm_cli_choice {
    const char *name; /* NULL ends a list */
    int value;        /* for CLM_CLI_CHOICE */
    const char *help; /* NULL when the name says it all */
} clm_cli_choice;

/* An option or a positional argument. Write the kind and the offset by one of the macros below. */
typedef struct clm_cli_option {
    const char *name;       /* "--lr"; "RUN" for a positional argument; NULL ends a table */
    const char *value_name; /* "RATE"; NULL for flags and positional arguments */
    const char *help;       /* without a full stop; range, choices and default are added to it */
    size_t offset;
    const clm_cli_choice *choices; /* any kind of text may be limited to these */
    /* Choices from a function instead of a list: false if there is no i-th. */
    bool (*choice_at)(clm_cli_choice *choice, size_t i);
    double least;         /* smallest number allowed; by default numbers are not negative */
    double most;          /* 0: no upper limit */
    const char *fallback; /* the default, in words; NULL: the value in `defaults` */
    const char *excludes; /* names of options, separated by spaces, that it excludes */
    const char *needs;    /* the option that it requires */
    const char *synonyms; /* other programs' names for it, to suggest ours for */
    const char *unless;   /* an option that makes it optional, though it is `required` */
    clm_cli_kind kind;
    bool above, below; /* `least` and `most` are excluded from the range */
    bool required;
    bool repeats; /* the last positional argument only: any number, which are not set */
} clm_cli_option;

#define CLM_CLI_AT_(kind_, type, settings, member)          \
    .kind = (kind_), .offset = offsetof(settings, member) + \
                               0 * sizeof(char[_Generic(&((settings *)0)->member, type * : 1)])

/* `.kind` and `.offset` of a row; the compiler refuses a member of another type. */
#define CLM_CLI_FLAG_AT(settings, member) CLM_CLI_AT_(CLM_CLI_FLAG, bool, settings, member)
#define CLM_CLI_TEXT_AT(settings, member) CLM_CLI_AT_(CLM_CLI_TEXT, const char *, settings, member)
#define CLM_CLI_PATH_AT(settings, member) CLM_CLI_AT_(CLM_CLI_PATH, const char *, settings, member)
#define CLM_CLI_FOLDER_AT(settings, member) \
    CLM_CLI_AT_(CLM_CLI_FOLDER, const char *, settings, member)
#define CLM_CLI_TARGET_AT(settings, member) \
    CLM_CLI_AT_(CLM_CLI_TARGET, const char *, settings, member)
#define CLM_CLI_OUTPUT_AT(settings, member) \
    CLM_CLI_AT_(CLM_CLI_OUTPUT, const char *, settings, member)
#define CLM_CLI_DEVICE_AT(settings, member) \
    CLM_CLI_AT_(CLM_CLI_DEVICE, const char *, settings, member)
#define CLM_CLI_INT_AT(settings, member) CLM_CLI_AT_(CLM_CLI_INT, int, settings, member)
#define CLM_CLI_NUMBER_AT(settings, member) CLM_CLI_AT_(CLM_CLI_NUMBER, double, settings, member)
#define CLM_CLI_CHOICE_AT(settings, member) \
    .kind = CLM_CLI_CHOICE,                 \
    .offset = offsetof(settings, member) +  \
              0 * sizeof(char[sizeof((settings *)0)->member == sizeof(int) ? 1 : -1])

/* Options under a heading of the help. Several commands may share a table: its offsets refer to a
 * struct of its own, which is at `offset` in the command's settings. */
typedef struct clm_cli_group {
    const char *title; /* "Training"; NULL: continues the previous heading */
    const clm_cli_option *options;
    size_t offset;
} clm_cli_group;

typedef struct clm_cli_example {
    const char *command; /* as typed; NULL ends a list */
    const char *about;   /* what it does, a sentence */
} clm_cli_example;

/* Exit statuses of a command besides those that every command has (0, 1, 2 and 5). */
enum {
    CLM_CLI_ENDS_INPUT = 1 << 0,
    CLM_CLI_ENDS_DEVICE = 1 << 1,
    CLM_CLI_ENDS_NOT_FINITE = 1 << 2,
    CLM_CLI_ENDS_NETWORK = 1 << 3,
    CLM_CLI_ENDS_INTERRUPTED = 1 << 4
};

enum { CLM_CLI_OPTIONS_MOST = 64, CLM_CLI_GROUPS_MOST = 12 };

typedef struct clm_cli_arguments clm_cli_arguments;

typedef struct clm_cli_command {
    const char *name;
    const char *about; /* one line, for the list of commands */
    /* What follows "clm NAME ", one line for each way to use it. */
    const char *synopsis;
    /* Paragraphs, separated by an empty line, which are wrapped when shown. A paragraph that begins
     * with two spaces is shown unchanged. */
    const char *description;
    clm_cli_group groups[CLM_CLI_GROUPS_MOST];
    const clm_cli_option *positionals;
    const clm_cli_example *examples;
    unsigned ends; /* CLM_CLI_ENDS_... */
    const char *synonyms;
    size_t settings_size;
    const void *defaults;                           /* NULL: all zero */
    int (*run)(const clm_cli_arguments *arguments); /* returns the exit status */
    /* `clm NAME --candidate ARGUMENT...` is a process that clm starts for itself: it gets its
     * arguments unchanged, and is not documented. NULL for commands without. */
    int (*run_candidate)(int argc, char **argv);
} clm_cli_command;

/* An option that was given, and its value as typed ("" for a flag). */
typedef struct clm_cli_given {
    const clm_cli_option *option;
    const char *text;
} clm_cli_given;

struct clm_cli_arguments {
    const clm_cli_command *command;
    void *settings; /* the command's */
    char **positionals;
    size_t positional_count;
    clm_cli_given given[CLM_CLI_OPTIONS_MOST]; /* each option once: the last one counts */
    size_t given_count;
};

/* Fills `settings` from the command's defaults and argv[1..argc-1]: `--name value`, `--name=value`
 * and flags, in any order with positional arguments. After "--" everything is positional; a lone
 * "-" is too. argv is reordered. Returns -1 to continue, else the status to exit with at once: 0
 * after --help or --version, CLM_EXIT_USAGE after a mistake, which has been reported. */
int clm_cli_parse(clm_cli_arguments *arguments, const clm_cli_command *command, int argc,
                  char **argv, void *settings);

/* The value of an option as typed, "" for a flag; NULL if it was not given. */
const char *clm_cli_given_text(const clm_cli_arguments *arguments, const char *name);

/* Sets an option as if it had been given, without adding it to `given`: for options that come from
 * a recipe or a run's record. `text` is lent as long as the settings are. Flags take "yes" and
 * "no". CLM_ERROR_ARGUMENT: no such option, or not its value. */
clm_status clm_cli_set(const clm_cli_arguments *arguments, const char *name, const char *text);

/* Appends the current value of an option in the form that clm_cli_set() takes; nothing for a text
 * that is not given. Returns whether there was one. */
bool clm_cli_add_value(clm_string *out, const clm_cli_arguments *arguments, const char *name);

/* ---- walking over the tables ---- */

/* The i-th option of a command, in the order of the help; NULL after the last. `title` gets the
 * heading when the option is the first below it, else NULL; `base` the offset of its table's
 * struct. Both may be NULL. */
const clm_cli_option *clm_cli_option_at(const clm_cli_command *command, size_t i,
                                        const char **title, size_t *base);

/* The option of that name, name[0..length); NULL when there is none. */
const clm_cli_option *clm_cli_find_option(const clm_cli_command *command, const char *name,
                                          size_t length);

/* Sets a positional argument, or checks it where it may be repeated. */
clm_status clm_cli_set_positional(const clm_cli_arguments *arguments, const clm_cli_option *wanted,
                                  const char *text);

/* The i-th choice of an option; false after the last. */
bool clm_cli_choice_at(const clm_cli_option *option, size_t i, clm_cli_choice *choice);

/* Appends the help with what the table adds to it: range, choices without help, default. `base` as
 * from clm_cli_option_at(). */
void clm_cli_add_option_help(clm_string *out, const clm_cli_command *command,
                             const clm_cli_option *option, size_t base);

/* "auto, f32 or f16" */
void clm_cli_add_choices(clm_string *out, const clm_cli_option *option);

/* Whether any choice has a help of its own, so that they are shown line by line. */
bool clm_cli_choices_have_help(const clm_cli_option *option);

/* From now on these are the commands, in this order, up to a NULL. main() says so: commands that
 * tell about all commands cannot name them. */
void clm_cli_set_commands(const clm_cli_command *const *list);

/* The i-th command; NULL after the last. */
const clm_cli_command *clm_cli_command_at(size_t i);
const clm_cli_command *clm_cli_find_command(const char *name);

/* ---- made from the tables ---- */

void clm_cli_add_help(clm_string *out, const clm_cli_command *command);
void clm_cli_add_overview(clm_string *out); /* `clm --help` */

/* clm-NAME(1); clm(1) for NULL. */
void clm_cli_add_manual(clm_string *out, const clm_cli_command *command);

/* A script for bash, which completes commands, options and their values. */
void clm_cli_add_bash_completion(clm_string *out);

/* The sentence about an exit status of a command; NULL if the command does not use it. `i` counts
 * all statuses; false after the last. */
bool clm_cli_exit_at(const clm_cli_command *command, size_t i, int *status, const char **meaning);

/* Appends `text` in lines of up to so many columns, those after the first indented by `indent`. */
void clm_cli_add_wrapped(clm_string *out, const char *text, size_t indent, size_t columns);

/* Calls `take` for each part of `text` between separators. */
void clm_cli_each_line(const char *text, const char *separator,
                       void (*take)(void *context, const char *line), void *context);

/* ---- suggestions ---- */

/* Finds the word that a mistyped one was meant to be. Start from {0}, add each known word with its
 * synonyms (separated by spaces; may be NULL); `best` is the nearest, or NULL if none is near. */
typedef struct clm_cli_suggestion {
    const char *best;
    int distance;
} clm_cli_suggestion;
void clm_cli_suggest(clm_cli_suggestion *suggestion, const char *typed, size_t typed_length,
                     const char *word, const char *synonyms);

/* Whether `words`, separated by spaces, has word[0..length); NULL has none. */
bool clm_cli_has_word(const char *words, const char *word, size_t length);

/* ---- tables that several commands share ---- */

/* Where a command runs. */
typedef struct clm_cli_device {
    const char *pattern; /* NULL: CLM_DEVICE, or clm's own choice */
    bool untested;       /* without the self-test */
    bool all;            /* every device, one after the other */
} clm_cli_device;
extern const clm_cli_option clm_cli_device_option[]; /* --device */
extern const clm_cli_option clm_cli_all_option[];    /* --all */
extern const clm_cli_option clm_cli_test_option[];   /* --no-selftest */

/* How texts are passed through a trained model. */
typedef struct clm_cli_passes {
    clm_precision precision;
    int batch; /* 0: as many as keep the device busy */
    bool in_order;
} clm_cli_passes;
extern const clm_cli_option clm_cli_passes_options[];

extern const clm_cli_choice clm_cli_precisions[]; /* auto, f32, f16, bf16 */

#endif

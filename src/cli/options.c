/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/options.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/number.h"
#include "clm/log.h"

/* ---- the tables ---- */

const clm_cli_option *clm_cli_option_at(const clm_cli_command *command, size_t i,
                                        const char **title, size_t *base) {
    for (size_t g = 0; g < CLM_CLI_GROUPS_MOST && command->groups[g].options != NULL; g++) {
        const clm_cli_group *group = &command->groups[g];
        size_t count = 0;
        while (group->options[count].name != NULL) {
            count++;
        }
        if (i < count) {
            if (title != NULL) {
                *title = i == 0 ? group->title : NULL;
            }
            if (base != NULL) {
                *base = group->offset;
            }
            return &group->options[i];
        }
        i -= count;
    }
    return NULL;
}

bool clm_cli_choice_at(const clm_cli_option *option, size_t i, clm_cli_choice *choice) {
    *choice = (clm_cli_choice){0};
    if (option->choice_at != NULL) {
        return option->choice_at(choice, i);
    }
    for (size_t k = 0; option->choices != NULL && option->choices[k].name != NULL; k++) {
        if (k == i) {
            *choice = option->choices[k];
            return true;
        }
    }
    return false;
}

static const clm_cli_option *find_option(const clm_cli_command *command, const char *name,
                                         size_t length, size_t *base) {
    const clm_cli_option *option = NULL;
    for (size_t i = 0; (option = clm_cli_option_at(command, i, NULL, base)) != NULL; i++) {
        if (strlen(option->name) == length && memcmp(option->name, name, length) == 0) {
            return option;
        }
    }
    return NULL;
}

/* ---- values ---- */

/* "auto, f32 or f16" */
void clm_cli_add_choices(clm_string *out, const clm_cli_option *option) {
    clm_cli_choice choice;
    clm_cli_choice next;
    for (size_t i = 0; clm_cli_choice_at(option, i, &choice); i++) {
        const bool last = !clm_cli_choice_at(option, i + 1, &next);
        clm_string_add(out, i == 0 ? "" : last ? " or " : ", ");
        clm_string_add(out, choice.name);
    }
}

static clm_status refuse_choice(const clm_cli_option *option, const char *text) {
    clm_string words = {0};
    clm_cli_add_choices(&words, option);
    clm_status status = clm_string_status(&words);
    if (status == CLM_OK) {
        status =
            clm_fail(CLM_ERROR_ARGUMENT, "%s is %s, not \"%s\"", option->name, words.text, text);
    }
    clm_string_free(&words);
    return status;
}

static clm_status check_range(const clm_cli_option *option, double value, const char *text) {
    char limit[CLM_NUMBER_CAPACITY];
    if (!(option->above ? value > option->least : value >= option->least)) {
        clm_number_of_double(limit, option->least);
        return clm_fail(CLM_ERROR_ARGUMENT, "%s must be %s %s, not %s", option->name,
                        option->above ? "more than" : "at least", limit, text);
    }
    if (option->most > 0.0 && !(option->below ? value < option->most : value <= option->most)) {
        clm_number_of_double(limit, option->most);
        return clm_fail(CLM_ERROR_ARGUMENT, "%s must be %s %s, not %s", option->name,
                        option->below ? "less than" : "at most", limit, text);
    }
    return CLM_OK;
}

static clm_status set_int(const clm_cli_option *option, const char *text, int *value) {
    char *end = NULL;
    errno = 0;
    const long number = strtol(text, &end, 10);
    if (end == text || *end != '\0' || (errno == 0 && (number > INT_MAX || number < INT_MIN))) {
        return clm_fail(CLM_ERROR_ARGUMENT, "%s needs a whole number, not \"%s\"", option->name,
                        text);
    }
    if (errno != 0) {
        return clm_fail(CLM_ERROR_ARGUMENT, "%s: %s is too large", option->name, text);
    }
    const clm_status status = check_range(option, (double)number, text);
    if (status == CLM_OK) {
        *value = (int)number;
    }
    return status;
}

static clm_status set_number(const clm_cli_option *option, const char *text, double *value) {
    double number = 0.0;
    if (!clm_number_parse(text, strlen(text), &number)) {
        return clm_fail(CLM_ERROR_ARGUMENT, "%s needs a number, not \"%s\"", option->name, text);
    }
    const clm_status status = check_range(option, number, text);
    if (status == CLM_OK) {
        *value = number;
    }
    return status;
}

static clm_status set_text(const clm_cli_option *option, const char *text, void *value) {
    clm_cli_choice choice = {0};
    bool found = false;
    if (text[0] == '\0' && option->kind != CLM_CLI_TEXT && option->kind != CLM_CLI_CHOICE) {
        return clm_fail(CLM_ERROR_ARGUMENT, "%s is empty", option->name);
    }
    for (size_t i = 0; !found && clm_cli_choice_at(option, i, &choice); i++) {
        found = strcmp(choice.name, text) == 0;
    }
    if (!found && (option->choices != NULL || option->choice_at != NULL)) {
        return refuse_choice(option, text);
    }
    if (option->kind == CLM_CLI_CHOICE) {
        memcpy(value, &choice.value, sizeof choice.value);
    } else {
        *(const char **)value = text;
    }
    return CLM_OK;
}

/* `value` is where the option's value lies; NULL only checks. */
static clm_status set_value(const clm_cli_option *option, const char *text, void *value) {
    union {
        const char *text;
        double number;
        int whole;
    } checked;
    value = value != NULL ? value : &checked;
    switch (option->kind) {
        case CLM_CLI_FLAG:
            if (strcmp(text, "yes") != 0 && strcmp(text, "no") != 0) {
                return clm_fail(CLM_ERROR_ARGUMENT, "%s is yes or no, not \"%s\"", option->name,
                                text);
            }
            *(bool *)value = strcmp(text, "yes") == 0;
            return CLM_OK;
        case CLM_CLI_INT:
            return set_int(option, text, value);
        case CLM_CLI_NUMBER:
            return set_number(option, text, value);
        case CLM_CLI_TEXT:
        case CLM_CLI_PATH:
        case CLM_CLI_FOLDER:
        case CLM_CLI_TARGET:
        case CLM_CLI_OUTPUT:
        case CLM_CLI_DEVICE:
        case CLM_CLI_CHOICE:
            break;
    }
    return set_text(option, text, value);
}

/* The value as set_value() takes it; false for a text that there is not. */
static bool add_value(clm_string *out, const clm_cli_option *option, const void *value) {
    char number[CLM_NUMBER_CAPACITY];
    clm_cli_choice choice;
    int whole = 0;
    switch (option->kind) {
        case CLM_CLI_FLAG:
            clm_string_add(out, *(const bool *)value ? "yes" : "no");
            return true;
        case CLM_CLI_INT:
            clm_string_add_format(out, "%d", *(const int *)value);
            return true;
        case CLM_CLI_NUMBER:
            clm_number_of_double(number, *(const double *)value);
            clm_string_add(out, number);
            return true;
        case CLM_CLI_CHOICE:
            memcpy(&whole, value, sizeof whole);
            for (size_t i = 0; clm_cli_choice_at(option, i, &choice); i++) {
                if (choice.value == whole) {
                    clm_string_add(out, choice.name);
                    return true;
                }
            }
            return false;
        case CLM_CLI_TEXT:
        case CLM_CLI_PATH:
        case CLM_CLI_FOLDER:
        case CLM_CLI_TARGET:
        case CLM_CLI_OUTPUT:
        case CLM_CLI_DEVICE:
            break;
    }
    const char *text = *(const char *const *)value;
    clm_string_add(out, text != NULL ? text : "");
    return text != NULL;
}

const clm_cli_option *clm_cli_find_option(const clm_cli_command *command, const char *name,
                                          size_t length) {
    return find_option(command, name, length, NULL);
}

clm_status clm_cli_set_positional(const clm_cli_arguments *arguments, const clm_cli_option *wanted,
                                  const char *text) {
    return set_value(wanted, text,
                     wanted->repeats ? NULL : (char *)arguments->settings + wanted->offset);
}

clm_status clm_cli_set(const clm_cli_arguments *arguments, const char *name, const char *text) {
    size_t base = 0;
    const clm_cli_option *option = find_option(arguments->command, name, strlen(name), &base);
    if (option == NULL) {
        return clm_fail(CLM_ERROR_ARGUMENT, "clm %s has no option %s", arguments->command->name,
                        name);
    }
    return set_value(option, text, (char *)arguments->settings + base + option->offset);
}

bool clm_cli_add_value(clm_string *out, const clm_cli_arguments *arguments, const char *name) {
    size_t base = 0;
    const clm_cli_option *option = find_option(arguments->command, name, strlen(name), &base);
    return option != NULL &&
           add_value(out, option, (const char *)arguments->settings + base + option->offset);
}

/* ---- help about one option ---- */

bool clm_cli_choices_have_help(const clm_cli_option *option) {
    clm_cli_choice choice;
    return clm_cli_choice_at(option, 0, &choice) && choice.help != NULL;
}

static void add_limit(clm_string *out, const char *words, double limit) {
    char number[CLM_NUMBER_CAPACITY];
    clm_number_of_double(number, limit);
    clm_string_add_format(out, "%s %s; ", words, number);
}

/* Each note ends in "; ". */
static void add_notes(clm_string *out, const clm_cli_command *command, const clm_cli_option *option,
                      size_t base) {
    const bool is_number = option->kind == CLM_CLI_INT || option->kind == CLM_CLI_NUMBER;
    clm_cli_choice choice;
    if (clm_cli_choice_at(option, 0, &choice) && choice.help == NULL) {
        clm_cli_add_choices(out, option);
        clm_string_add(out, "; ");
    }
    if (is_number && option->above) {
        add_limit(out, "more than", option->least);
    } else if (is_number && option->least != 0.0) {
        add_limit(out, "at least", option->least);
    }
    if (is_number && option->most > 0.0) {
        add_limit(out, option->below ? "less than" : "at most", option->most);
    }
    if (option->required) {
        clm_string_add(out, option->name[0] == '-' ? "required" : "");
        if (option->unless != NULL) {
            clm_string_add_format(out, "%swithout %s", option->name[0] == '-' ? " " : "needed ",
                                  option->unless);
        }
        clm_string_add(out, option->name[0] == '-' || option->unless != NULL ? "; " : "");
    } else if (option->fallback != NULL) {
        clm_string_add_format(out, "default: %s; ", option->fallback);
    } else if (command->defaults != NULL && option->kind != CLM_CLI_FLAG &&
               option->name[0] == '-') {
        clm_string value = {0};
        if (add_value(&value, option, (const char *)command->defaults + base + option->offset)) {
            clm_string_add_format(out, "default: %s; ", value.text);
        }
        clm_string_free(&value);
    }
}

void clm_cli_add_option_help(clm_string *out, const clm_cli_command *command,
                             const clm_cli_option *option, size_t base) {
    clm_string notes = {0};
    add_notes(&notes, command, option, base);
    clm_string_add(out, option->help);
    if (notes.length > 2) {
        clm_string_add(out, " (");
        clm_string_add_bytes(out, notes.text, notes.length - 2);
        clm_string_add(out, ")");
    }
    clm_string_free(&notes);
}

/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/options.h"

const char *clm_cli_given_text(const clm_cli_arguments *arguments, const char *name) {
    for (size_t i = 0; i < arguments->given_count; i++) {
        if (strcmp(arguments->given[i].option->name, name) == 0) {
            return arguments->given[i].text;
        }
    }
    return NULL;
}

static bool is(const char *argument, const char *long_name, const char *short_name) {
    return strcmp(argument, long_name) == 0 || strcmp(argument, short_name) == 0;
}

/* What the library said, as a mistake in the arguments. */
static int refuse(const clm_cli_arguments *arguments) {
    return clm_cli_usage(arguments->command->name, "%s", clm_error_message());
}

static int no_such_option(const clm_cli_arguments *arguments, const char *typed, size_t length) {
    const clm_cli_option *option = NULL;
    clm_cli_suggestion near = {0};
    for (size_t i = 0; (option = clm_cli_option_at(arguments->command, i, NULL, NULL)) != NULL;
         i++) {
        clm_cli_suggest(&near, typed, length, option->name, option->synonyms);
    }
    clm_cli_suggest(&near, typed, length, "--help", "--usage -help -?");
    return near.best != NULL ? clm_cli_usage(arguments->command->name,
                                             "there is no option %.*s (did you mean %s?)",
                                             (int)length, typed, near.best)
                             : clm_cli_usage(arguments->command->name, "there is no option %.*s",
                                             (int)length, typed);
}

static int note(clm_cli_arguments *arguments, const clm_cli_option *option, const char *text) {
    size_t i = 0;
    while (i < arguments->given_count && arguments->given[i].option != option) {
        i++;
    }
    arguments->given[i] = (clm_cli_given){option, text};
    arguments->given_count += i == arguments->given_count;
    return -1;
}

/* argv[*i], and its value when that is argv[*i + 1]. */
static int parse_option(clm_cli_arguments *arguments, int argc, char **argv, int *i) {
    const char *argument = argv[*i];
    const char *equals = strchr(argument, '=');
    const size_t length = equals != NULL ? (size_t)(equals - argument) : strlen(argument);
    const clm_cli_option *option = clm_cli_find_option(arguments->command, argument, length);
    if (option == NULL) {
        return no_such_option(arguments, argument, length);
    }
    if (option->kind == CLM_CLI_FLAG) {
        if (equals != NULL) {
            return clm_cli_usage(arguments->command->name, "%s takes no value", option->name);
        }
        return clm_cli_set(arguments, option->name, "yes") == CLM_OK ? note(arguments, option, "")
                                                                     : refuse(arguments);
    }
    if (equals == NULL && *i + 1 == argc) {
        return clm_cli_usage(arguments->command->name, "%s needs a value", option->name);
    }
    const char *text = equals != NULL ? equals + 1 : argv[++*i];
    return clm_cli_set(arguments, option->name, text) == CLM_OK ? note(arguments, option, text)
                                                                : refuse(arguments);
}

static int positional_is_missing(const clm_cli_arguments *arguments, const clm_cli_option *wanted) {
    clm_string words = {0};
    clm_cli_add_choices(&words, wanted);
    const int result =
        words.length > 0 && words.length < 200
            ? clm_cli_usage(arguments->command->name, "%s is missing: %s", wanted->name, words.text)
            : clm_cli_usage(arguments->command->name, "%s is missing", wanted->name);
    clm_string_free(&words);
    return result;
}

static bool is_required(const clm_cli_arguments *arguments, const clm_cli_option *option) {
    return option->required &&
           (option->unless == NULL || clm_cli_given_text(arguments, option->unless) == NULL);
}

static int set_positionals(clm_cli_arguments *arguments) {
    const clm_cli_option *wanted = arguments->command->positionals;
    for (size_t i = 0; i < arguments->positional_count; i++) {
        if (wanted == NULL || wanted->name == NULL) {
            return clm_cli_usage(arguments->command->name, "unexpected argument \"%s\"",
                                 arguments->positionals[i]);
        }
        if (clm_cli_set_positional(arguments, wanted, arguments->positionals[i]) != CLM_OK) {
            return refuse(arguments);
        }
        if (!wanted->repeats) {
            wanted++;
        }
    }
    return wanted != NULL && wanted->name != NULL && is_required(arguments, wanted)
               ? positional_is_missing(arguments, wanted)
               : -1;
}

/* An option of `names`, separated by spaces, that was given; NULL for none. */
static const clm_cli_option *find_given(const clm_cli_arguments *arguments, const char *names) {
    for (size_t i = 0; i < arguments->given_count; i++) {
        const clm_cli_option *option = arguments->given[i].option;
        if (clm_cli_has_word(names, option->name, strlen(option->name))) {
            return option;
        }
    }
    return NULL;
}

/* What only all options together tell. */
static int check_combinations(const clm_cli_arguments *arguments) {
    const clm_cli_option *option = NULL;
    for (size_t i = 0; i < arguments->given_count; i++) {
        option = arguments->given[i].option;
        const clm_cli_option *other = find_given(arguments, option->excludes);
        if (other != NULL) {
            return clm_cli_usage(arguments->command->name, "%s and %s exclude each other",
                                 option->name, other->name);
        }
        if (option->needs != NULL && find_given(arguments, option->needs) == NULL) {
            return clm_cli_usage(arguments->command->name, "%s can only be used with %s",
                                 option->name, option->needs);
        }
    }
    for (size_t i = 0; (option = clm_cli_option_at(arguments->command, i, NULL, NULL)) != NULL;
         i++) {
        if (is_required(arguments, option) && clm_cli_given_text(arguments, option->name) == NULL) {
            return clm_cli_usage(arguments->command->name, "%s %s is missing", option->name,
                                 option->value_name);
        }
    }
    return -1;
}

static int print_help(const clm_cli_command *command) {
    clm_string text = {0};
    clm_cli_add_help(&text, command);
    return clm_cli_print(&text);
}

int clm_cli_parse(clm_cli_arguments *arguments, const clm_cli_command *command, int argc,
                  char **argv, void *settings) {
    *arguments =
        (clm_cli_arguments){.command = command, .settings = settings, .positionals = argv + 1};
    if (command->defaults != NULL) {
        memcpy(settings, command->defaults, command->settings_size);
    } else {
        memset(settings, 0, command->settings_size);
    }
    bool only_positional = false;
    for (int i = 1; i < argc; i++) {
        char *argument = argv[i];
        if (only_positional || argument[0] != '-' || argument[1] == '\0') {
            arguments->positionals[arguments->positional_count++] = argument;
        } else if (strcmp(argument, "--") == 0) {
            only_positional = true;
        } else if (is(argument, "--help", "-h")) {
            return print_help(command);
        } else if (is(argument, "--version", "-V")) {
            (void)printf("clm %s\n", clm_version());
            return CLM_EXIT_DONE;
        } else {
            const int result = parse_option(arguments, argc, argv, &i);
            if (result >= 0) {
                return result;
            }
        }
    }
    const int result = set_positionals(arguments);
    return result >= 0 ? result : check_combinations(arguments);
}

/* Manual pages, from the commands' tables, in the macros of man(7).
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "cli/cli.h"
#include "cli/options.h"

/* The environment, in clm(1). */
static const clm_cli_choice variables[] = {
    {"CLM_DEVICE", 0, "the device when --device is not given"},
    {"CLM_DEVICE_TIMEOUT", 0,
     "how many seconds clm waits for the device without any kernel finishing; then the command "
     "exits with status 4 and names the kernel that hangs. Default: no limit"},
    {"CLM_LOG", 0, "\"debug\" shows more, \"quiet\" only warnings"},
    {"CLM_CACHE_DIR", 0,
     "the folder that keeps measurements, kernels and downloads. Default: ~/.cache/clm"},
    {"CLM_FETCH_MIRROR", 0,
     "base URLs, separated by spaces, that \"clm fetch\" uses instead of the original servers; "
     "files are at <base>/NAME/<file>"},
    {"CLM_SELFTEST", 0, "\"off\": devices are used without being tested"},
    {"CLM_TUNE", 0, "\"off\": the settings stored by \"clm tune\" are not used"},
    {"CLM_GEMM", 0, "\"own\" or \"clblast\" instead of the one measured to be faster"},
    {"CLM_KERNEL_CACHE", 0,
     "\"0\" never, \"1\" always keeps built kernels on disk. Default: unless the driver does"},
    {"CLM_KERNEL_CACHE_MIB", 0, "the most disk space that they take. Default: 256"},
    {NULL, 0, NULL},
};

/* Text as roff takes it: no escape, no request at the start of a line, and a dash that is typed. */
static void add_text(clm_string *out, const char *text) {
    bool starts = out->length == 0 || out->text[out->length - 1] == '\n';
    for (const char *at = text; *at != '\0'; at++) {
        if (starts && (*at == '.' || *at == '\'')) {
            clm_string_add(out, "\\&");
        }
        starts = *at == '\n';
        switch (*at) {
            case '\\':
                clm_string_add(out, "\\e");
                break;
            case '-':
                clm_string_add(out, "\\-");
                break;
            case '\'':
                clm_string_add(out, "\\(aq");
                break;
            case '~':
                clm_string_add(out, "\\(ti");
                break;
            case '^':
                clm_string_add(out, "\\(ha");
                break;
            case '`':
                clm_string_add(out, "\\(ga");
                break;
            default:
                clm_string_add_bytes(out, at, 1);
        }
    }
}

static void add_line(clm_string *out, const char *text) {
    add_text(out, text);
    clm_string_add(out, "\n");
}

static void add_paragraph(void *context, const char *paragraph) {
    clm_string *out = context;
    const bool as_it_is = strncmp(paragraph, "  ", 2) == 0;
    clm_string_add(out, as_it_is ? ".PP\n.nf\n" : ".PP\n");
    add_line(out, paragraph);
    clm_string_add(out, as_it_is ? ".fi\n" : "");
}

typedef struct synopsis {
    clm_string *out;
    const clm_cli_command *command;
    bool began;
} synopsis;

static void add_synopsis(void *context, const char *line) {
    synopsis *s = context;
    clm_string_add(s->out, s->began ? ".br\n" : "");
    clm_string_add_format(s->out, "\\fBclm %s\\fR ", s->command->name);
    add_line(s->out, line);
    s->began = true;
}

static void add_option(clm_string *out, const clm_cli_command *command,
                       const clm_cli_option *option, size_t base) {
    clm_string help = {0};
    clm_cli_choice choice;
    clm_string_add(out, ".TP\n\\fB");
    add_text(out, option->name);
    clm_string_add(out, "\\fR");
    if (option->value_name != NULL) {
        clm_string_add(out, " \\fI");
        add_text(out, option->value_name);
        clm_string_add(out, "\\fR");
    }
    clm_string_add(out, "\n");
    clm_cli_add_option_help(&help, command, option, base);
    add_line(out, help.text != NULL ? help.text : "");
    clm_string_free(&help);
    for (size_t i = 0; clm_cli_choice_at(option, i, &choice) && choice.help != NULL; i++) {
        clm_string_add(out, i == 0 ? ".RS\n.TP\n\\fB" : ".TP\n\\fB");
        add_text(out, choice.name);
        clm_string_add(out, "\\fR\n");
        add_line(out, choice.help);
    }
    clm_string_add(out, clm_cli_choices_have_help(option) ? ".RE\n" : "");
}

static void add_exits(clm_string *out, const clm_cli_command *command) {
    const char *meaning = NULL;
    int status = 0;
    clm_string_add(out, ".SH EXIT STATUS\n");
    for (size_t i = 0; clm_cli_exit_at(command, i, &status, &meaning); i++) {
        if (meaning != NULL) {
            clm_string_add_format(out, ".TP\n\\fB%d\\fR\n", status);
            add_line(out, meaning);
        }
    }
}

static void add_command_page(clm_string *out, const clm_cli_command *command) {
    const clm_cli_option *option = NULL;
    const char *title = NULL;
    size_t base = 0;
    clm_string_add_format(out, ".SH NAME\nclm\\-%s \\- ", command->name);
    add_line(out, command->about);
    clm_string_add(out, ".SH SYNOPSIS\n");
    synopsis s = {out, command, false};
    clm_cli_each_line(command->synopsis, "\n", add_synopsis, &s);
    clm_string_add(out, ".SH DESCRIPTION\n");
    clm_cli_each_line(command->description, "\n\n", add_paragraph, out);
    for (option = command->positionals; option != NULL && option->name != NULL; option++) {
        clm_string_add(out, option == command->positionals ? ".SH ARGUMENTS\n" : "");
        add_option(out, command, option, 0);
    }
    clm_string_add(out, ".SH OPTIONS\n");
    for (size_t i = 0; (option = clm_cli_option_at(command, i, &title, &base)) != NULL; i++) {
        if (title != NULL) {
            clm_string_add(out, ".SS ");
            add_line(out, title);
        }
        add_option(out, command, option, base);
    }
    clm_string_add(out,
                   ".SS General\n.TP\n\\fB\\-h\\fR, \\fB\\-\\-help\\fR\nprint the options\n"
                   ".TP\n\\fB\\-V\\fR, \\fB\\-\\-version\\fR\nprint the version of clm\n");
    for (const clm_cli_example *e = command->examples; e != NULL && e->command != NULL; e++) {
        clm_string_add(out, e == command->examples ? ".SH EXAMPLES\n" : ".PP\n");
        add_line(out, e->about);
        clm_string_add(out, ".PP\n.nf\n.RS\n");
        add_line(out, e->command);
        clm_string_add(out, ".RE\n.fi\n");
    }
    add_exits(out, command);
    clm_string_add(out, ".SH SEE ALSO\n\\fBclm\\fR(1)\n");
}

static void add_first_page(clm_string *out) {
    const clm_cli_command *command = NULL;
    clm_string_add(out,
                   ".SH NAME\nclm \\- fine\\-tunes and runs GPT\\-2 on any OpenCL device\n"
                   ".SH SYNOPSIS\n\\fBclm\\fR \\fICOMMAND\\fR [\\fIOPTION\\fR...]\n"
                   ".SH COMMANDS\n");
    for (size_t i = 0; (command = clm_cli_command_at(i)) != NULL; i++) {
        clm_string_add_format(out, ".TP\n\\fBclm\\-%s\\fR(1)\n", command->name);
        add_line(out, command->about);
    }
    clm_string_add(out, ".SH ENVIRONMENT\n");
    for (size_t i = 0; variables[i].name != NULL; i++) {
        clm_string_add_format(out, ".TP\n\\fB%s\\fR\n", variables[i].name);
        add_line(out, variables[i].help);
    }
    add_exits(out, NULL);
    clm_string_add(out, ".SH SEE ALSO\n");
    for (size_t i = 0; (command = clm_cli_command_at(i)) != NULL; i++) {
        clm_string_add_format(out, "%s\\fBclm\\-%s\\fR(1)", i > 0 ? ",\n" : "", command->name);
    }
    clm_string_add(out, "\n");
}

void clm_cli_add_manual(clm_string *out, const clm_cli_command *command) {
    /* No date: the same sources make the same page. */
    clm_string_add(out, ".\\\" Made from the command's table by 'clm help --man'.\n.TH \"CLM");
    for (const char *at = command != NULL ? command->name : ""; *at != '\0'; at++) {
        const char upper = (char)(*at >= 'a' && *at <= 'z' ? *at - 'a' + 'A' : *at);
        clm_string_add(out, at == command->name ? "\\-" : "");
        clm_string_add_bytes(out, &upper, 1);
    }
    clm_string_add_format(out, "\" 1 \"\" \"clm %s\" \"clm\"\n.nh\n", clm_version());
    if (command != NULL) {
        add_command_page(out, command);
    } else {
        add_first_page(out);
    }
}

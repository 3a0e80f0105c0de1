#!/bin/sh
# check_locale.sh ROOT: in src/, base/number.c alone formats and scans floating-point numbers, and
# nothing asks the locale what a letter is. A program that called setlocale() would get 0,1 for 0.1.
# SPDX-License-Identifier: Apache-2.0
set -eu
LC_ALL=C
export LC_ALL
cd "$1"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

find src -name '*.[ch]' ! -path src/base/number.c | sort >"$work/files"
while read -r file; do
    awk -v file="$file" '
    # `code` without comments, and `bare` the same with blanks for what is in quotes.
    function add(line,    i, c, two) {
        for (i = 1; i <= length(line); i++) {
            c = substr(line, i, 1)
            two = substr(line, i, 2)
            if (comment) {
                if (two == "*/") { comment = 0; i++ }
            } else if (quote != "") {
                code = code (c == "\\" ? two : c)
                bare = bare (c == "\\" ? "  " : c == quote ? c : " ")
                if (c == "\\") i++
                else if (c == quote) quote = ""
            } else if (two == "//") {
                break
            } else if (two == "/*") {
                comment = 1
                i++
            } else {
                if (c == "\"" || c == "\047") quote = c
                code = code c
                bare = bare c
            }
        }
        quote = ""
        code = code "\n"
        bare = bare "\n"
    }
    { add($0) }

    # The call that begins at the front of `text`: to the bracket that closes it.
    function whole_call(text,    i, c, depth, inside) {
        for (i = 1; i <= length(text); i++) {
            c = substr(text, i, 1)
            if (inside != "") {
                if (c == "\\") i++
                else if (c == inside) inside = ""
            } else if (c == "\"" || c == "\047") inside = c
            else if (c == "(") depth++
            else if (c == ")" && --depth == 0) return substr(text, 1, i)
        }
        return text
    }
    function wrong(why) { printf "%s:%d: %s: %s\n", file, line, name, why }
    function check(name, call,    words, pattern) {
        if (name ~ /^(strto(d|f|ld)|wcsto(d|f|ld)|atof)(_l)?$/)
            wrong("reads numbers by the locale: clm_number_parse()")
        else if (name ~ /^(setlocale|localeconv|newlocale|uselocale|duplocale|freelocale)$/)
            wrong("the locale is base/number.c\047s business")
        else if (name ~ letters || name ~ /^(tow?(lower|upper)|strn?casecmp|strcasestr)$/ ||
                 name ~ /^(strcoll|strxfrm)$/)
            wrong("asks the locale: compare bytes, or base/string.h")
        else if (name ~ /^cJSON_(Parse|Print)/ && file != "src/base/json.c")
            wrong("reads and writes numbers by the locale: base/json.h")
        else if (name ~ /^v[a-z]*printf$/)
            wrong("formats by the locale: clm_format_list(), clm_print_list()")
        else if (name ~ /^(f|s|sn|d)?printf$/ || name ~ /^v?[fs]?scanf$/) {
            words = call
            gsub(/%%/, "", words)
            pattern = "%[-+ #0\047]*[0-9*]*([.][0-9*]*)?[lL]?[aefgAEFG]"
            if (words ~ pattern)
                wrong("a floating-point number by the locale: clm_format(), clm_print(), " \
                      "clm_number_parse()")
        }
    }
    END {
        line = 1
        letters = "^isw?(alnum|alpha|blank|cntrl|digit|graph|lower|print|punct|space|upper|xdigit)$"
        # Only scanf() has it, whose format may be a macro.
        if (code ~ /%[*]?[0-9]*[lL][aefgAEFG]/) printf "%s: %%lf scans by the locale\n", file
        while (match(bare, /[A-Za-z_][A-Za-z0-9_]*[ \t]*\(/)) {
            skipped = substr(bare, 1, RSTART - 1)
            line += gsub(/\n/, "", skipped)
            name = substr(bare, RSTART, RLENGTH)
            sub(/[ \t]*\($/, "", name)
            check(name, whole_call(substr(code, RSTART, 4000)))
            code = substr(code, RSTART + RLENGTH)
            bare = substr(bare, RSTART + RLENGTH)
        }
    }' "$file"
done <"$work/files" >"$work/wrong"

if [ -s "$work/wrong" ]; then
    cat "$work/wrong"
    exit 1
fi
echo "locale: $(wc -l <"$work/files") files ask it for nothing"

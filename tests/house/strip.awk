# Prints C or OpenCL C with comments and the insides of string and character literals blanked,
# line for line, so that a check sees code only. Quotes stay, and so do quoted #include names.
# SPDX-License-Identifier: Apache-2.0
{
    if (!in_comment && $0 ~ /^[ \t]*#[ \t]*include[ \t]*["<]/) {
        print
        next
    }
    out = ""
    length_of_line = length($0)
    for (i = 1; i <= length_of_line; i++) {
        c = substr($0, i, 1)
        two = substr($0, i, 2)
        if (in_comment) {
            if (two == "*/") {
                in_comment = 0
                i++
            }
        } else if (quote != "") {
            if (c == "\\") {
                i++
            } else if (c == quote) {
                quote = ""
                out = out c
            }
        } else if (two == "/*") {
            in_comment = 1
            out = out " "
            i++
        } else if (two == "//") {
            break
        } else {
            if (c == "\"" || c == "'") {
                quote = c
            }
            out = out c
        }
    }
    # A literal does not go on to the next line, but for a backslash at the end of this one.
    if (substr($0, length_of_line) != "\\") {
        quote = ""
    }
    print out
}

#!/bin/sh
# test_pages.sh CLM TESTS: help, manual page and completion of each command name the same options
# and choices, and the pages are as man and bash want them.
# SPDX-License-Identifier: Apache-2.0
set -eu
clm=$1
. "$2/cli/check.sh"
names() { grep -oE -- '(^|[^A-Za-z0-9-])--[a-z][a-z0-9-]*' | grep -oE -- '--[a-z0-9-]*' | sort -u; }

"$clm" help --bash-completion >completion
"$clm" --help | sed -n 's/^  \([a-z]*\) .*/\1/p' >commands
[ "$(wc -l <commands)" -ge 12 ] || failed "the list of commands: $(cat commands)"
count=0
while read -r command; do
    # In the help an option stands at the start of a line, in the page after .TP.
    "$clm" help "$command" | grep -E '^  (-[a-zA-Z], )?--' | names >help
    "$clm" help --man "$command" >page.1
    grep -E '^\\fB(\\-[a-zA-Z]|\\-\\-)' page.1 | sed 's/\\-/-/g; s/\\f[BRI]/ /g' | names >page
    sed -n "/^    $command)$/,/^        ;;$/p" completion >part
    names <part >completed
    cmp help page || failed "$command: help and manual page name other options"
    cmp help completed || failed "$command: help and completion name other options"
    # The words that a value may be. Those with a help of their own have lines of their own.
    "$clm" help "$command" | sed -n 's/^                          \([a-z0-9-]*\): .*/\1/p' >words
    while read -r word; do
        grep -qF "fB$(echo "$word" | sed 's/-/\\-/g')\\fR" page.1 ||
            failed "$command: the manual page has no choice $word"
        grep -qw -- "$word" part || failed "$command: the completion has no choice $word"
    done <words
    grep -q "^  clm $command" <<END || failed "$command: the help has no example"
$("$clm" help "$command" | sed -n '/^Examples:/,$p')
END
    "$clm" help --man "$command" >again.1
    cmp page.1 again.1
    count=$((count + $(wc -l <help)))
done <commands
[ "$count" -ge 100 ] || failed "only $count options were found"

# Without warnings, where there is something to ask.
for command in "" $(cat commands); do
    "$clm" help --man $command >page.1
    [ -z "$(tail -c 1 page.1)" ] || failed "clm help --man $command: no end of line"
    if command -v groff >/dev/null; then
        groff -man -ww -z -Tutf8 page.1 2>warnings
        [ ! -s warnings ] || failed "groff about $command: $(cat warnings)"
    fi
    if command -v mandoc >/dev/null; then
        mandoc -T lint -W warning page.1 >warnings ||
            failed "mandoc about $command: $(cat warnings)"
    fi
done
echo "help, manual pages and completion: the same $count options"

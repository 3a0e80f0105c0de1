#!/bin/sh
# check_exports.sh INCLUDE LIBRARY: fails unless the functions that the headers in INCLUDE declare
# with CLM_API are those that the shared LIBRARY shows, no more and no fewer.
# SPDX-License-Identifier: Apache-2.0
set -eu
LC_ALL=C
export LC_ALL
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# The name is the word before the first parenthesis of a declaration.
cat "$1"/clm/*.h | awk '/^CLM_API/ { text = $0
    while (text !~ /\(/ && (getline line) > 0) text = text " " line
    sub(/\(.*/, "", text)
    sub(/.*[^A-Za-z0-9_]/, "", text)
    print text }' | sort -u >"$work/declared"
nm -D --defined-only "$2" | awk '$2 ~ /[A-Z]/ && $2 != "A" { sub(/@.*/, "", $3); print $3 }' |
    sort -u >"$work/shown"
[ -s "$work/declared" ] || { echo "$1/clm/*.h declare nothing"; exit 1; }
wrong=0
for name in $(comm -23 "$work/declared" "$work/shown"); do
    echo "$name is declared, and $2 does not show it"
    wrong=1
done
for name in $(comm -13 "$work/declared" "$work/shown"); do
    echo "$2 shows $name, and no public header declares it"
    wrong=1
done
[ "$wrong" = 0 ] || exit 1
echo "exports: the $(wc -l <"$work/declared") functions of the headers and nothing else"

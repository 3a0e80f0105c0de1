#!/bin/sh
# test_command.sh CLM: what every command of clm has in common: help on standard output, complaints
# on standard error, and the exit statuses that the README promises.
# SPDX-License-Identifier: Apache-2.0
set -eu
clm=$1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
wrong=0
says() { [ -z "$1" ] || grep -qF -- "$1" "$2"; }
expect() { # STATUS WORDS-ON-STDOUT WORDS-ON-STDERR ARGUMENT...
    status=$1 out=$2 err=$3
    shift 3
    got=0
    "$clm" "$@" >"$work/out" 2>"$work/err" </dev/null || got=$?
    if [ "$got" != "$status" ] || ! says "$out" "$work/out" || ! says "$err" "$work/err"; then
        echo "clm $*: status $got, not $status, or \"$out\" or \"$err\" is not said:"
        cat "$work/out" "$work/err"
        wrong=1
    fi
    # A line of usage must not be taken for an answer, nor an answer be lost among complaints.
    if [ "$status" != 0 ] && [ -s "$work/out" ]; then
        echo "clm $*: a failure that writes to standard output"
        wrong=1
    fi
}

expect 0 'usage: clm COMMAND' '' --help
expect 0 'clm ' '' --version
expect 2 '' 'no command "nonsense"' nonsense
expect 2 '' '--nonsense' devices --nonsense
for command in $("$clm" --help | sed -n 's/^  \([a-z]*\) .*/\1/p'); do
    expect 0 "$command" '' "$command" --help
done
got=0
"$clm" >"$work/out" 2>"$work/err" || got=$?
if [ "$got" != 2 ] || [ ! -s "$work/err" ] || [ -s "$work/out" ]; then
    echo "clm without arguments: status $got"
    wrong=1
fi
# What could not be written was not said.
if "$clm" --help >/dev/full 2>/dev/null; then
    echo "clm --help to a full disk: status 0"
    wrong=1
fi
# A limit on the size of files, in blocks, is an error of writing and not the end of the process.
awk 'BEGIN { for (i = 0; i < 4000; i++) print (i % 2 ? "ham" : "spam") "\tmessage number " i }' \
    >"$work/large.tsv"
got=0
(ulimit -f 20 && exec "$clm" data classes --input "$work/large.tsv" --out "$work/limited") \
    >/dev/null 2>"$work/err" || got=$?
if [ "$got" != 5 ] || ! says "limited/train.csv: cannot be written: File too" "$work/err" ||
    [ -e "$work/limited" ] || ls -A "$work" | grep -q -- -part-; then
    echo "clm data beyond ulimit -f: status $got"
    cat "$work/err"
    wrong=1
fi
expect 2 '' 'is empty' data classes --input "$work/large.tsv" --out ''
[ "$wrong" = 0 ] || exit 1
echo "every command has its help and its exit statuses"

#!/bin/sh
# test_tokenize.sh CLM TESTS_FOLDER
# SPDX-License-Identifier: Apache-2.0
set -eu
clm=$1
tests=$2
. "$tests/cli/check.sh"
vocab=$tests/golden/tokens

# The three forms, and the way back.
same "tokens" '259:" the" 7:"("' "$("$clm" tokenize --vocab "$vocab" ' the(')"
ids=$("$clm" tokenize --vocab "$vocab" --ids ' the end, again')
same "decoded" ' the end, again' "$("$clm" tokenize --vocab "$vocab" --decode $ids)"
same "decoded from commas" ' the end, again' \
    "$("$clm" tokenize --vocab "$vocab" --decode "$(echo $ids | tr ' ' ,)")"
same "a line a text" "$ids

$ids" "$(printf ' the end, again\n\n the end, again\n' | "$clm" tokenize --vocab "$vocab" --ids)"
same "lines back" ' the end, again
 the end, again' "$(printf '%s\n%s\n' "$ids" "$ids" | "$clm" tokenize --vocab "$vocab" --decode -)"
same "special" 399 "$("$clm" tokenize --vocab "$vocab" --ids --special '<|endoftext|>')"
"$clm" tokenize --vocab "$vocab" --ids '<|endoftext|>' | grep -qw 399 &&
    failed "a special token without --special"

# Bytes that are not UTF-8 come back.
printf 'a\377\001b \303\n' >bytes
"$clm" tokenize --vocab "$vocab" --ids <bytes | "$clm" tokenize --vocab "$vocab" --decode >back
cmp bytes back || failed "bytes do not come back"

# A byte order mark, CR LF and a missing last end are no part of a text; NUL is refused.
same "marked lines" "$ids
$ids
$ids" "$(printf '\357\273\277 the end, again\r\n the end, again\r the end, again' |
    "$clm" tokenize --vocab "$vocab" --ids)"
printf 'a\nb\000c\n' >nul
status 3 sh -c '"$1" tokenize --vocab "$2" <nul' sh "$clm" "$vocab"
says "standard input:2: byte 1 of the line is NUL"
status 3 "$clm" tokenize --train nul --out small
says "nul:2:2: a NUL byte"
status 3 sh -c '"$1" tokenize --vocab "$2" </dev/zero' sh "$clm" "$vocab"
says "standard input:1: the line does not end within 16 MiB"

# Training is exact, and what it writes opens.
status 0 "$clm" tokenize --train "$vocab/train.txt" --vocab-size 400 --out trained
cmp trained/merges.txt "$vocab/merges.txt" || failed "other merges"
same "trained" "$ids" "$("$clm" tokenize --vocab trained --ids ' the end, again')"

# What cannot be.
status 2 "$clm" tokenize text
says "--vocab DIR is missing"
status 2 "$clm" tokenize --vocab "$vocab" --ids --decode 1
says "exclude each other"
status 2 "$clm" tokenize --train x
says "--out DIR"
status 2 "$clm" tokenize --train "$vocab/train.txt" --vocab-size 10 --out small
says "at least 257"
status 3 "$clm" tokenize --train nowhere --out small
says "nowhere"
status 3 "$clm" tokenize --vocab . text
says "no tokenizer here"
status 3 "$clm" tokenize --vocab "$vocab" --decode '1 x'
says "byte 2: \"x\" is not a token id"
status 2 "$clm" tokenize --vocab "$vocab" --decode 400
says "ends at 399"
printf '1\n400\n' >ids
status 2 sh -c '"$1" tokenize --vocab "$2" --decode <ids' sh "$clm" "$vocab"
says "standard input:2: token id 400"
mkdir bad
echo '{"a": 0, "b": 0}' >bad/vocab.json
: >bad/merges.txt
status 3 "$clm" tokenize --vocab bad text
says "vocab.json: id 0 appears twice"
if [ -c /dev/full ]; then
    status 5 sh -c '"$1" tokenize --vocab "$2" text >/dev/full' sh "$clm" "$vocab"
    says "No space left"
fi
status 0 "$clm" tokenize --help
grep -q -- --special out || failed "the help does not tell of --special"

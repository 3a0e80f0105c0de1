#!/bin/sh
# make_vocab.sh CLM [--check]: makes the tokenizer in vocab/ from the texts of messages.tsv, or with
# --check makes it elsewhere and fails when a byte differs. CLM is the command, build/bin/clm.
# SPDX-License-Identifier: Apache-2.0
set -eu
clm=$1
here=$(cd "$(dirname "$0")" && pwd)
out=$here/vocab
if [ "${2:-}" = --check ]; then
    out=$(mktemp -d)
    trap 'rm -rf "$out"' EXIT
fi
"$clm" tokenize --train "$here/messages.tsv" --table --vocab-size 800 --out "$out"
if [ "$out" != "$here/vocab" ]; then
    diff -r "$out" "$here/vocab"
    echo "the same, byte for byte, as $here/vocab"
fi

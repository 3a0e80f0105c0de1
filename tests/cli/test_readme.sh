#!/bin/sh
# test_readme.sh CLM TESTS_FOLDER, in an empty folder: runs the commands of the first page one by
# one, as they stand there, and fails at the first that fails. What a page cannot bring along is put
# there before: `clm fetch` is answered by a small model and the bundled messages instead of a
# download, and reviews.csv is made of these messages.
# SPDX-License-Identifier: Apache-2.0
set -eu
clm=$(realpath "$1")
top=$(cd "$2/.." && pwd)
readme=$top/README.md
sample=$top/examples/sample
mkdir bin
ln -s "$clm" bin/clm
PATH=$PWD/bin:$PATH

# The model that `fetch gpt2` would bring, but small, with the sample's tokenizer.
stand_in_for_gpt2() {
    clm data spam --input "$sample/messages.tsv" --out made/data
    clm finetune classify --vocab "$sample/vocab" --data made/data --out made/gpt2 \
        --model random:n_layer=2,n_embd=64,n_head=4,n_ctx=256,n_vocab=800,seed=123 \
        --max-steps 1 --no-final
    mkdir -p "$1"
    for file in config.json model.safetensors vocab.json merges.txt tokenizer.json \
        tokenizer_config.json; do
        cp "made/gpt2/$file" "$1"
    done
    rm -r made
}

fetch() { # NAME --to DIR
    [ "$2" = --to ] || { echo "the page fetches in another way: $*"; return 1; }
    case $1 in
        gpt2) [ -e "$3" ] || stand_in_for_gpt2 "$3" ;;
        sms-spam) mkdir -p "$3" && tail -n +2 "$sample/messages.tsv" >"$3/SMSSpamCollection" ;;
        *) echo "no stand-in for $1"; return 1 ;;
    esac
}

# As somebody's own table has them.
{
    echo 'label,text'
    tail -n +2 "$sample/messages.tsv" | head -n 400 |
        awk -F '\t' '{ gsub(/"/, "", $2); print $1 ",\"" $2 "\"" }'
} >reviews.csv

# Lines of fenced blocks that begin with `clm `: what a person types. Lines after `$ ` are a
# transcript.
awk '/^```/ { inside = !inside; next } inside && /^clm / { print }' "$readme" >commands
[ "$(wc -l <commands)" -ge 8 ] || { echo "$readme has too few commands to be true"; exit 1; }
while read -r line; do
    printf '$ %s\n' "$line"
    case $line in
        'clm fetch '*) eval "fetch ${line#clm fetch }" ;;
        *) eval "$line" </dev/null ;;
    esac
done <commands
echo "README: $(wc -l <commands) commands do what the page says"

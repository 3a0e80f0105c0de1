#!/bin/sh
# check_docs.sh ROOT: fails when a page is behind the code.
#   every variable CLM_... that src/ asks the environment for is in docs/environment.md, no other
#   every command of src/cli/CMakeLists.txt is in docs/commands.md
#   every member of config.json that is honoured or fixed is in docs/models.md
#   every relative link in a page leads to a file
# SPDX-License-Identifier: Apache-2.0
set -eu
LC_ALL=C
export LC_ALL
cd "$1"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
wrong=0
complain() {
    echo "$1"
    wrong=1
}
touch "$work/none"

grep -rhoE 'getenv\("CLM_[A-Z_]*"\)' src | sed 's/getenv("\(.*\)")/\1/' | sort -u \
    >"$work/asked" || true
grep -hoE '^\| `CLM_[A-Z_]*`' docs/environment.md | tr -d '|` ' | sort -u >"$work/told" || true
for name in $(comm -23 "$work/asked" "$work/told"); do
    complain "docs/environment.md lacks $name"
done
for name in $(comm -13 "$work/asked" "$work/told"); do
    complain "docs/environment.md has $name, which nothing in src/ asks for"
done

for name in $(sed -n '/^set(commands /,/)/p' src/cli/CMakeLists.txt | tr -d ')' |
    sed 's/^set(commands//'); do
    grep -q "\`clm $name" docs/commands.md || complain "docs/commands.md lacks clm $name"
done

for name in $(sed -n 's/^ *\(HONOURED\|FIXED\)("\([a-z0-9_]*\)".*/\2/p' \
    src/model/config_members.c "$work/none"); do
    grep -q "\`$name\`" docs/models.md || complain "docs/models.md lacks $name"
done

for page in *.md docs/*.md examples/*.md examples/*/*.md; do
    [ -f "$page" ] || continue
    grep -oE '\]\([^)# ]+' "$page" | sed 's/^](//' | grep -vE '^(https?|mailto):' |
        while read -r link; do
            [ -e "$(dirname "$page")/$link" ] || echo "$page: there is no $link"
        done >>"$work/links" || true
done
if [ -s "$work/links" ]; then
    cat "$work/links"
    wrong=1
fi

[ "$wrong" = 0 ] || exit 1
echo "docs: $(wc -l <"$work/asked") variables, and all commands, members and links are there"

#!/bin/sh
# check_style.sh ROOT: the limits that CONTRIBUTING.md states, kept by a test.
# SPDX-License-Identifier: Apache-2.0
set -eu
LC_ALL=C
export LC_ALL
here=$(cd "$(dirname "$0")" && pwd)
cd "$1"
most_lines=1000    # of a file
most_function=100  # lines of a function
most_columns=100
most_bytes=1048576 # of any file

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
: >"$work/wrong"

# Everything but build folders and git's own.
find . \( -name .git -o -path './build' -o -path './build-*' \) -prune -o -type f -print |
    sed 's|^\./||' | sort >"$work/all"
grep -E '\.(c|h|cl|clh|cpp)$' "$work/all" >"$work/sources" || true
grep -E '\.(c|h|cl|clh|cpp|cmake|in|sh|awk|py)$|CMakeLists\.txt$|^ci/[a-z]+$|^\.ci/' "$work/all" |
    grep -v '^tests/golden/[a-z_0-9]*_golden\.h$' >"$work/code" || true # made by scripts there

grep -n '[^A-Za-z0-9_./+-]' "$work/all" |
    sed 's/^[0-9]*:\(.*\)/\1: a file name with a character other than A-Za-z0-9_.\/+-/' \
        >>"$work/wrong" || true

while read -r file; do
    [ "$(wc -c <"$file")" -le "$most_bytes" ] ||
        echo "$file: over $most_bytes bytes" >>"$work/wrong"
done <"$work/all"

# Lines, columns (characters, not bytes), blanks at the end, tabs.
while read -r file; do
    awk -v most_lines="$most_lines" -v most_columns="$most_columns" '
    { text = $0; gsub(/[\200-\277]/, "", text) }
    length(text) > most_columns {
        printf "%s:%d: %d columns, over %d\n", FILENAME, FNR, length(text), most_columns }
    /[ \t]$/ { printf "%s:%d: blanks at the end of the line\n", FILENAME, FNR }
    /\t/ { printf "%s:%d: a tab\n", FILENAME, FNR }
    /\r/ { printf "%s:%d: a carriage return\n", FILENAME, FNR }
    END { if (FNR > most_lines) printf "%s: %d lines, over %d\n", FILENAME, FNR, most_lines }
    ' "$file" >>"$work/wrong"
done <"$work/code"

# Words that promise work instead of doing it, and paths of one machine, in any text file. The
# brackets keep the patterns from finding themselves.
while read -r file; do
    case $file in *.bin | *.png | *.pdf | *.safetensors | *.tsv | *.csv | *.bpe | *.txt | *.json)
        continue ;;
    esac
    awk '
    /(^|[^A-Za-z_])(TO[D]O|FIX[M]E|X[X]X|HA[C]K)([^A-Za-z_]|$)/ {
        printf "%s:%d: a note of work left undone\n", FILENAME, FNR }
    /(^|[^A-Za-z0-9_.$})\/-])\/(ho[m]e|ro[o]t|wo[r]k|Us[e]rs|op[t])\/[A-Za-z0-9_.]/ {
        printf "%s:%d: a path of one machine\n", FILENAME, FNR }
    ' "$file" >>"$work/wrong"
done <"$work/all"

# Sources: the licence line near the top, function length, calls that the library may not make.
while read -r file; do
    sed -n '1,60p' "$file" | grep -q 'SPDX-License-Identifier: Apache-2.0' ||
        echo "$file: no SPDX-License-Identifier in its first lines" >>"$work/wrong"
    awk -f "$here/strip.awk" "$file" | awk -v file="$file" -v most="$most_function" '
    # clang-format puts the end of a function, and of nothing inside it, at the first column.
    /^[A-Za-z_].*\)[ \t]*\{$/ || (/^[ \t].*\)[ \t]*\{$/ && header) {
        if (!inside) { inside = 1; begin = header ? header : FNR }
    }
    /^[A-Za-z_]/ { header = /[;}]$/ || /\{$/ ? 0 : FNR }
    /^\}/ {
        if (inside && FNR - begin + 1 > most)
            printf "%s:%d: a function of %d lines, over %d\n", file, begin, FNR - begin + 1, most
        inside = 0
        header = 0
    }' >>"$work/wrong"
    case $file in src/* | examples/* | tests/*.c | tests/*.h) ;; *) continue ;; esac
    awk -f "$here/strip.awk" "$file" | awk -v file="$file" '
    function ban(names, why,    pattern) {
        pattern = "(^|[^A-Za-z0-9_.>])(" names ")[ \t]*\\("
        if ($0 ~ pattern) {
            match($0, pattern)
            call = substr($0, RSTART, RLENGTH)
            gsub(/[^A-Za-z0-9_]/, "", call)
            printf "%s:%d: %s: %s\n", file, FNR, call, why
        }
    }
    BEGIN {
        library = file ~ /^src\// && file !~ /^src\/cli\//
    }
    { ban("strcpy|strcat|sprintf|vsprintf|gets|strtok|alloca|tmpnam|mktemp", "unsafe") }
    file ~ /^src\// { ban("atoi|atol|atof", "cannot report an error: use strtol or strtod")
        ban("rand|srand|random|drand48", "random numbers come from named, seeded streams")
        ban("system|popen", "clm starts no other programs") }
    library { ban("printf|vprintf|puts|putchar|perror|fputs_unlocked", "the library never prints")
        code = $0
        gsub(/fflush\(std(out|err)\)/, "", code) # somebody else may have printed
        if (code ~ /(^|[^A-Za-z0-9_])(stdout|stderr)([^A-Za-z0-9_]|$)/)
            printf "%s:%d: the library never prints\n", file, FNR
        ban("exit|_exit|_Exit|quick_exit|abort|assert|raise|longjmp",
            "the library returns a status") }
    library && file !~ /^src\/base\/memory\.c$/ {
        ban("malloc|calloc|realloc|free|strdup|strndup|asprintf|getline",
            "allocate through base/memory.h") }
    ' >>"$work/wrong"
done <"$work/sources"

if [ -s "$work/wrong" ]; then
    cat "$work/wrong"
    exit 1
fi
echo "style: $(wc -l <"$work/code") files within the limits"

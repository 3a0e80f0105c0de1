#!/bin/sh
# check_mirrors.sh ROOT: fails when a part has no counterpart.
#   cl/X.cl          src/ops/X.c, src/reference/X.c and tests/ops/test_X.c; a room's own kernels,
#                    cl/ROOM.cl, are tested with the room
#   src/ops/X.c      tests/ops/test_X.c; a part X_part.c belongs to its X.c; common.c to all
#   src/reference/X.c  src/ops/X.c
#   src/ROOM/        at least one tests/ROOM/test_*.c (reference: tested by tests/ops)
#   include/clm/X.h  included by clm.h
#   CLM_API f        defined in src/, and called by a test or an example
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
need() { [ -f "$2" ] || complain "$1 has no $2"; }
# gemm_clblast is a part of gemm when there is a gemm; layernorm is itself.
operation() {
    name=$2
    while :; do
        case $name in *_*) ;; *) break ;; esac
        name=${name%_*}
        [ ! -f "$1/$name.${3}" ] || { echo "$name"; return; }
    done
    echo "$2"
}

for file in cl/*.cl; do
    [ -f "$file" ] || continue
    name=$(operation cl "$(basename "$file" .cl)" cl)
    [ ! -d "src/$name" ] || continue
    need "$file" "src/ops/$name.c"
    need "$file" "src/reference/$name.c"
    need "$file" "tests/ops/test_$name.c"
done
for file in src/ops/*.c; do
    case $file in */\*.c | src/ops/common.c) continue ;; esac
    name=$(operation src/ops "$(basename "$file" .c)" c)
    need "$file" "tests/ops/test_$name.c"
done
for file in src/reference/*.c; do
    [ -f "$file" ] || continue
    name=$(operation src/reference "$(basename "$file" .c)" c)
    need "$file" "src/ops/$name.c"
done
for folder in src/*/; do
    room=$(basename "$folder")
    [ "$room" != reference ] || continue
    [ -n "$(find "$folder" -name '*.c' 2>/dev/null)" ] || continue
    [ -n "$(find "tests/$room" -name 'test_*.c' -o -name 'test_*.sh' 2>/dev/null)" ] ||
        complain "src/$room has no tests/$room/test_*.c"
done

for file in include/clm/*.h; do
    case $file in */\*.h | include/clm/clm.h) continue ;; esac
    grep -q "^#include \"clm/$(basename "$file")\"" include/clm/clm.h 2>/dev/null ||
        complain "include/clm/clm.h does not include $file"
done

# The name is the word before the first parenthesis of a declaration.
find include -name '*.h' -exec cat {} + 2>/dev/null |
    awk '/^CLM_API/ { text = $0
        while (text !~ /\(/ && (getline line) > 0) text = text " " line
        if (text !~ /\(/) next
        sub(/\(.*/, "", text)
        sub(/.*[^A-Za-z0-9_]/, "", text)
        print text }' | sort -u >"$work/functions"
find tests examples -name '*.c' -exec cat {} + 2>/dev/null |
    grep -oE '[A-Za-z_][A-Za-z0-9_]*' | sort -u >"$work/words" || true
while read -r function; do
    [ -n "$function" ] || continue
    grep -rqE --include='*.c' "^[a-z].*[ *]$function\(" src || complain "$function is not defined"
    grep -qx "$function" "$work/words" ||
        complain "$function is public, and no test or example calls it"
done <"$work/functions"
[ "$wrong" = 0 ] || exit 1
count=$(wc -l <"$work/functions")
echo "mirrors: complete, and tests or examples call all $count public functions"

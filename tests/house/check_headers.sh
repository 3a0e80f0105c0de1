#!/bin/sh
# check_headers.sh ROOT: fails when a public header does not compile on its own, without a warning,
# as C99, C11 and C17, and as C++11 and C++17. CC and CXX name the compilers.
# SPDX-License-Identifier: Apache-2.0
set -eu
cd "$1"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cc=${CC:-cc} cxx=${CXX:-c++}
wrong=0
try() { # STANDARD COMPILER LANGUAGE HEADER
    # Used, because a macro that nobody uses is never looked at.
    {
        echo "#include \"clm/$(basename "$4")\""
        sed -n 's/^#define CLM_\([A-Z_]*\)_DEFAULT.*/\1/p' "$4" | while read -r name; do
            type=clm_$(echo "$name" | tr '[:upper:]' '[:lower:]')
            echo "extern $type use_$type;"
            echo "$type use_$type = CLM_${name}_DEFAULT;"
        done
    } >"$work/use.$3"
    "$2" -std="$1" -fsyntax-only -Wall -Wextra -Wpedantic -Werror -Iinclude "$work/use.$3" \
        >"$work/said" 2>&1 || { echo "$4 as $1:"; cat "$work/said"; wrong=1; }
}
count=0
for file in include/clm/*.h; do
    count=$((count + 1))
    for standard in c99 c11 c17; do
        try $standard "$cc" c "$file"
    done
    if command -v "$cxx" >/dev/null; then
        for standard in c++11 c++17; do
            try $standard "$cxx" cpp "$file"
        done
    fi
done
[ "$wrong" = 0 ] || exit 1
echo "headers: all $count compile on their own as C and as C++, and so do their defaults"

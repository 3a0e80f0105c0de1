#!/bin/sh
# check_sources.sh ROOT LIST: fails when a .c file below src/, tests/ or examples/ is part of no
# target. LIST has the absolute paths that the build compiles.
# SPDX-License-Identifier: Apache-2.0
set -eu
root=$(cd "$1" && pwd -P)
wrong=0
count=0
for file in $(cd "$root" && find src tests examples -name '*.c' 2>/dev/null | sort); do
    case $file in
        tests/consumer/*) continue ;;             # a project of its own, built by a test
        */without.c | */test_without.c) continue ;; # stand in for a part that is switched off
    esac
    count=$((count + 1))
    if ! grep -qxF "$root/$file" "$2"; then
        echo "$file: no CMakeLists.txt builds it"
        wrong=1
    fi
done
[ "$wrong" = 0 ] || exit 1
echo "sources: all $count .c files are built"

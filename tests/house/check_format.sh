#!/bin/sh
# check_format.sh ROOT [FORMATTER]: fails when clang-format would change a C source. Its answers
# differ from one major version to the next, so only the one below counts; without it, skips (77).
# SPDX-License-Identifier: Apache-2.0
set -eu
version=14
formatter=${2:-}
if [ -z "$formatter" ]; then
    for candidate in "clang-format-$version" clang-format; do
        if command -v "$candidate" >/dev/null &&
            "$candidate" --version | grep -q "version $version\."; then
            formatter=$candidate
            break
        fi
    done
fi
if [ -z "$formatter" ]; then
    echo "skipped: no clang-format $version"
    exit 77
fi
cd "$1"
files=$(find src include tests examples -name '*.[ch]' 2>/dev/null | sort)
# shellcheck disable=SC2086 # our file names have no spaces: check_style.sh sees to that
[ -z "$files" ] || "$formatter" --dry-run --Werror $files
echo "format: $(echo "$files" | wc -l) files are as $formatter leaves them"

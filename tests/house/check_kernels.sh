#!/bin/sh
# check_kernels.sh ROOT [COMPILER]: fails when a kernel file is not valid OpenCL C 1.2 on its own,
# in both forms, for a device that has every extension and for one that has none. Skips (77) without
# clang.
# SPDX-License-Identifier: Apache-2.0
set -eu
compiler=${2:-clang}
if ! command -v "$compiler" >/dev/null; then
    echo "skipped: no clang"
    exit 77
fi
cd "$1"
wrong=0
count=0
for file in cl/*.cl; do
    [ -f "$file" ] || continue
    count=$((count + 1))
    for extensions in +all -all; do
        for form in "-DLOCAL=64" "-DITEM -DWIDTH=16"; do
            # shellcheck disable=SC2086 # two options
            "$compiler" -x cl -cl-std=CL1.2 -target spir64-unknown-unknown -fsyntax-only -Icl \
                -Xclang -finclude-default-header -Xclang "-cl-ext=$extensions" $form \
                -Wall -Wextra -Werror -Wno-unused-function -Wno-unknown-pragmas "$file" || wrong=1
        done
    done
done
[ "$wrong" = 0 ] || exit 1
echo "kernels: $count files are OpenCL C 1.2, with and without extensions"

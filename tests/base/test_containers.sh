#!/bin/sh
# test_containers.sh PROGRAM: processes that are all number 1, as in containers, write the same
# files in a folder that they share: all of it succeeds, and nothing is
# left over. A skip where unshare(1) may not be used; in CI, where tests run as root, a failure.
# SPDX-License-Identifier: Apache-2.0
set -eu
program=$1
if ! unshare --pid --fork true 2>/dev/null; then
    echo "unshare --pid is not permitted here"
    [ -z "${CI:-}" ] || exit 1
    exit 77
fi
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
for writer in 1 2 3 4; do
    unshare --pid --fork "$program" --write-as-one "$folder" >"$folder.$writer" 2>&1 &
    eval "process$writer=$!"
done
status=0
for writer in 1 2 3 4; do
    eval "wait \$process$writer" || status=1
    cat "$folder.$writer"
    rm -f "$folder.$writer"
done
left=$(find "$folder" -mindepth 1 ! -name file ! -name folder ! -path '*/folder/*')
[ -z "$left" ] || { echo "left over: $left"; status=1; }
exit "$status"

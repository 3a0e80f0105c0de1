#!/bin/sh
# run.sh STATUS PATTERN COMMAND...: fails unless the command ends with the status and a line that it
# prints matches the extended regular expression. Where there is no OpenCL device that is a skip
# (77), but not with CI=true.
# SPDX-License-Identifier: Apache-2.0
set -u
wanted=$1 pattern=$2
shift 2
output=$("$@" 2>&1)
status=$?
printf '%s\n' "$output"
fail() {
    echo "$1"
    case ${CI:-}:$output in
        true:*) exit 1 ;;
        *CLM_ERROR_NO_DEVICE*) exit 77 ;;
    esac
    exit 1
}
[ "$status" = "$wanted" ] || fail "ended with $status, not $wanted"
printf '%s\n' "$output" | grep -qE -- "$pattern" || fail "no line matches: $pattern"

#!/bin/sh
# test_planted.sh FUZZ_FOLDER SOURCE BUILD PROGRAMS: plants the faults of planted.txt in copies of
# the parsers, one at a time, and demands that the target finds each: from its corpus and 20,000
# changed copies, within a minute. BUILD is the build folder, whose target fuzz_planted makes
# PROGRAMS/planted_<N>.
# SPDX-License-Identifier: Apache-2.0
set -eu
here=$1 source=$2 build=$3 programs=$4
list=$here/planted.txt
count=$(grep -c '^[a-z]' "$list")
number=0
missed=0
while [ "$number" -lt "$count" ]; do
    number=$((number + 1))
    "$here/plant.sh" "$list" "$source" "$number" || missed=$((missed + 1))
done
[ "$missed" = 0 ] || exit 1
cmake --build "$build" --target fuzz_planted >"$programs/planted.log" 2>&1 || {
    tail -20 "$programs/planted.log"
    exit 1
}
TMPDIR=$(mktemp -d)
export TMPDIR CLM_TEST_SEED=1 ASAN_OPTIONS=abort_on_error=1 UBSAN_OPTIONS=print_stacktrace=0
trap 'rm -rf "$TMPDIR"' EXIT
number=0
grep '^[a-z]' "$list" >"$TMPDIR/faults"
while read -r target file; do
    number=$((number + 1))
    [ -x "$programs/planted_$number" ] || continue # the part is switched off
    status=0
    timeout 60 "$programs/planted_$number" 20000 "$here/corpus/$target" \
        >"$TMPDIR/output" 2>&1 || status=$?
    if [ "$status" = 0 ] || [ "$status" = 124 ]; then
        echo "fault $number: fuzz/$target does not find what was planted in $file (status $status)"
        tail -3 "$TMPDIR/output"
        missed=$((missed + 1))
    else
        said=$(grep -m1 -E 'AddressSanitizer:|runtime error|not hold|were allocated|the target' \
            "$TMPDIR/output" || true)
        [ -n "$said" ] || { cat "$TMPDIR/output"; missed=$((missed + 1)); }
        echo "found: $target, in $file: ${said##*==}"
    fi
done <"$TMPDIR/faults"
echo "$((count - missed)) of $count planted faults were found"
[ "$missed" = 0 ]

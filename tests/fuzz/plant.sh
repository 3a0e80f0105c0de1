#!/bin/sh
# plant.sh PLANTED SOURCE N [OUT]: writes to OUT the source file of the N-th fault of PLANTED
# (planted.txt), with that fault in it; SOURCE is the folder src. Without OUT it only looks whether
# the fault's place is still there. Fails when it is not, or not exactly once.
# SPDX-License-Identifier: Apache-2.0
set -eu
LC_ALL=C
export LC_ALL
list=$1 source=$2 number=$3 out=${4:-/dev/null}
file=$(awk -v n="$number" '/^[a-z]/ && ++i == n { print $2 }' "$list")
[ -n "$file" ] || { echo "$list has no fault $number" >&2; exit 2; }
[ -f "$source/$file" ] || { echo "$list: fault $number: there is no $file any more" >&2; exit 1; }
awk -v n="$number" -v list="$list" -v file="$file" '
NR == FNR { # the list
    if (/^[a-z]/) i++
    if (i == n && /^-/) old = substr($0, 2)
    if (i == n && /^\+/) new = substr($0, 2)
    next
}
{
    at = index($0, old)
    if (at > 0) {
        found++
        $0 = substr($0, 1, at - 1) new substr($0, at + length(old))
    }
    print
}
END {
    if (found == 1) exit 0
    printf "%s: fault %d: %s has \"%s\" %d times, not once: choose another place\n", list, n,
        file, old, found + 0 >"/dev/stderr"
    exit 1
}' "$list" "$source/$file" >"$out.new.$$" || { rm -f "$out.new.$$"; exit 1; }
if [ "$out" = /dev/null ]; then rm -f "$out.new.$$"; else mv "$out.new.$$" "$out"; fi

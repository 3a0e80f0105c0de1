#!/bin/sh
# test_subproject.sh SOURCE WORK CMAKE GENERATOR [CMAKE-ARGUMENT...]
# Builds the project in host/, which takes clm in as a part of itself, in a folder with a space in
# its name, with settings of its own: as C++17 and C17, in unity builds, with _GNU_SOURCE, warnings
# as errors and no build type. clm must bear them and leave the host as it is.
# SPDX-License-Identifier: Apache-2.0
set -eu
source=$1 work=$2 cmake=$3 generator=$4
shift 4

fail() {
    echo "$*"
    exit 1
}
build="$work/a build"
mkdir -p "$work"
rm -rf "$work/prefix"
"$cmake" -S "$source/tests/consumer/host" -B "$build" -G "$generator" -DCLM_SOURCE="$source" \
    -DCMAKE_BUILD_TYPE= -DCMAKE_UNITY_BUILD=ON -DCMAKE_C_FLAGS='-D_GNU_SOURCE -Wall -Wextra' \
    -DCMAKE_CXX_FLAGS='-D_GNU_SOURCE -Wall -Wextra' -DCMAKE_INSTALL_PREFIX="$work/prefix" \
    -DHOST_INSTALLS_CLM=OFF "$@" >"$work/log" 2>&1 || { cat "$work/log"; exit 1; }
! grep -q 'CMake Warning' "$work/log" || { cat "$work/log"; exit 1; }
"$cmake" --build "$build" >"$work/log" 2>&1 || { tail -40 "$work/log"; exit 1; }
! grep -q 'warning:' "$work/log" || { grep -A5 'warning:' "$work/log"; exit 1; }

for program in host host_cpp; do
    "$build/$program"
done
type=$(sed -n 's/^CMAKE_BUILD_TYPE:[A-Z]*=//p' "$build/CMakeCache.txt")
[ -z "$type" ] || fail "the host's build type became $type"
tests=$(cd "$build" && "$cmake" -E env ctest -N | sed -n 's/^Total Tests: //p')
[ "${tests:-0}" = 0 ] || fail "the host has $tests tests of clm's"
! find "$build" -name clm -type f -perm -100 | grep . || fail "the command was built"

"$cmake" --install "$build" >"$work/log"
installed=$(cd "$work/prefix" && find . -type f | LC_ALL=C sort)
[ "$installed" = "./bin/host" ] || fail "installed beside the host: $installed"
"$cmake" "$build" -DHOST_INSTALLS_CLM=ON >"$work/log" 2>&1 || { cat "$work/log"; exit 1; }
"$cmake" --install "$build" >"$work/log"
[ -f "$work/prefix/include/clm/clm.h" ] || fail "CLM_INSTALL=ON installs no headers"
echo "subproject: the host is as it was"

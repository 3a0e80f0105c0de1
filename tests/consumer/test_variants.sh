#!/bin/sh
# test_variants.sh SOURCE BUILD CMAKE GENERATOR VERSION: installs what is already built in BUILD in
# the ways that distributions and people do, and uses each by find_package and by pkg-config.
# Nothing of clm is compiled: where it is installed does not concern the build. It is installed
# outside the source tree, because CMake refuses absolute include folders within it.
# SPDX-License-Identifier: Apache-2.0
set -eu
source=$1 build=$2 cmake=$3 generator=$4 version=$5
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
work="$folder/consumer variants"
mkdir -p "$work"
consumer=$source/tests/consumer/consumer.c

fail() {
    echo "variants: $*"
    exit 1
}

quietly() {
    "$@" >"$work/log" 2>&1 || { tail -30 "$work/log"; fail "$*"; }
}

# configure PREFIX LIBDIR INCLUDEDIR
configure() {
    quietly "$cmake" -S "$source" -B "$build" -DCMAKE_INSTALL_PREFIX="$1" \
        -DCMAKE_INSTALL_LIBDIR="$2" -DCMAKE_INSTALL_INCLUDEDIR="$3"
}

# A program by what pkg-config says, which quotes blanks for a shell.
by_pkg_config() { # NAME FOLDER-OF-clm.pc
    flags=$(PKG_CONFIG_PATH=$2 pkg-config --cflags --libs clm) || fail "$1: no clm.pc in $2"
    eval "quietly cc -std=c11 -Wall -Wextra -Werror '$consumer' -o '$work/program' $flags"
    LD_LIBRARY_PATH=${2%/pkgconfig} quietly "$work/program"
    [ "$(PKG_CONFIG_PATH=$2 pkg-config --modversion clm)" = "$version" ] || fail "$1: version"
    PKG_CONFIG_PATH=$2 pkg-config --exists "clm < 1.0" || fail "$1: clm < 1.0"
    PKG_CONFIG_PATH=$2 pkg-config --static --libs clm >/dev/null || fail "$1: --static"
    echo "$1: pkg-config"
}

# By find_package of VERSION; what it says when it does not find clm goes to $work/log.
by_cmake() { # PREFIX VERSION
    rm -rf "$work/cmake"
    mkdir -p "$work/project"
    printf '%s\n' 'cmake_minimum_required(VERSION 3.25)' 'project(user LANGUAGES C)' \
        "find_package(clm $2 REQUIRED)" "add_executable(user \"$consumer\")" \
        'target_link_libraries(user PRIVATE clm::clm)' >"$work/project/CMakeLists.txt"
    "$cmake" -S "$work/project" -B "$work/cmake" -G "$generator" -DCMAKE_PREFIX_PATH="$1" \
        >"$work/log" 2>&1 &&
        "$cmake" --build "$work/cmake" >>"$work/log" 2>&1 && "$work/cmake/user" >>"$work/log"
}

check() { # NAME PREFIX FOLDER-OF-clm.pc
    by_pkg_config "$1" "$3"
    by_cmake "$2" 0.1 || { cat "$work/log"; fail "$1: find_package"; }
    echo "$1: find_package"
}

# Debian's library folder, and a prefix with blanks.
configure "$work/a prefix" lib/x86_64-linux-gnu include
quietly "$cmake" --install "$build"
check 'a multiarch folder, and blanks' "$work/a prefix" \
    "$work/a prefix/lib/x86_64-linux-gnu/pkgconfig"
mv "$work/a prefix" "$work/moved"
check 'the same, moved' "$work/moved" "$work/moved/lib/x86_64-linux-gnu/pkgconfig"

for wanted in 0.1.0 '0.1.0 EXACT' 0.1...0.1.9; do
    by_cmake "$work/moved" "$wanted" || { cat "$work/log"; fail "find_package(clm $wanted)"; }
done
for wanted in 0.0.9 0.2 1.0; do
    ! by_cmake "$work/moved" "$wanted" || fail "find_package(clm $wanted) takes $version"
    grep -q "$version" "$work/log" || fail "find_package(clm $wanted) does not say what is there"
done
echo 'versions: those of the same minor version only'

# Absolute folders, as Nix has them.
configure "$work/out" "$work/lib output/lib" "$work/dev/include"
quietly "$cmake" --install "$build"
[ -f "$work/dev/include/clm/clm.h" ] || fail 'absolute: no headers there'
check 'absolute folders' "$work/lib output" "$work/lib output/lib/pkgconfig"

# A package is built into DESTDIR, and knows nothing of it.
configure "$work/usr" lib include
DESTDIR="$work/staged" quietly "$cmake" --install "$build"
[ ! -e "$work/usr" ] || fail 'DESTDIR: something was installed outside'
! grep -rq "staged" "$work/staged$work/usr/lib/pkgconfig" "$work/staged$work/usr/lib/cmake" ||
    fail 'DESTDIR: the package names it'
mv "$work/staged$work/usr" "$work/usr"
check 'DESTDIR' "$work/usr" "$work/usr/lib/pkgconfig"

# A prefix that is a symbolic link.
mkdir -p "$work/real"
ln -s real "$work/link"
configure "$work/link" lib include
quietly "$cmake" --install "$build"
check 'a linked prefix' "$work/link" "$work/link/lib/pkgconfig"
check 'the folder behind the link' "$work/real" "$work/real/lib/pkgconfig"

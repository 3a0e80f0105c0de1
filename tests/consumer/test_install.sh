#!/bin/sh
# test_install.sh SOURCE WORK CMAKE GENERATOR VERSION static|shared [CMAKE-ARGUMENT...]
# Builds clm as a static or shared library, installs it into a prefix, moves the prefix, and builds
# and runs the consumer against it through find_package and through pkg-config, and the examples as
# projects of their own.
# SPDX-License-Identifier: Apache-2.0
set -eu
source=$1 work=$2 cmake=$3 generator=$4 version=$5 kind=$6
shift 6
shared=OFF
[ "$kind" = static ] || shared=ON

mkdir -p "$work"
rm -rf "$work/prefix" "$work/moved" "$work/cmake" "$work/pkg-config"
rm -rf "$work/planted" "$work"/example-*
"$cmake" -S "$source" -B "$work/build" -G "$generator" -DBUILD_SHARED_LIBS=$shared \
    -DCLM_BUILD_TESTS=OFF -DCLM_BUILD_EXAMPLES=OFF -DCMAKE_INSTALL_PREFIX="$work/prefix" \
    -DCMAKE_INSTALL_LIBDIR=lib "$@"
"$cmake" --build "$work/build"
"$cmake" --install "$work/build"
mv "$work/prefix" "$work/moved" # nothing installed may remember where it was
prefix=$work/moved

if [ "$kind" = shared ]; then
    exports=$source/tests/consumer/check_exports.sh
    "$exports" "$prefix/include" "$prefix/lib/libclm.so"
    # It must also be able to fail, in both directions.
    cp -R "$prefix/include" "$work/planted"
    echo 'CLM_API int clm_promised(void);' >>"$work/planted/clm/clm.h"
    sed '/CLM_API const char \*clm_version(/d' "$prefix/include/clm/status.h" \
        >"$work/planted/clm/status.h"
    said=$("$exports" "$work/planted" "$prefix/lib/libclm.so") && exit 1
    for words in 'clm_promised is declared, and' 'shows clm_version, and'; do
        case $said in *"$words"*) ;; *) echo "check_exports.sh did not say: $words"; exit 1 ;; esac
    done
    LD_LIBRARY_PATH=$prefix/lib
    export LD_LIBRARY_PATH
fi
for by in cmake pkg-config; do
    PKG_CONFIG_PATH=$prefix/lib/pkgconfig "$cmake" -S "$source/tests/consumer" -B "$work/$by" \
        -G "$generator" -DCMAKE_PREFIX_PATH="$prefix" -DCONSUMER_BY=$by
    "$cmake" --build "$work/$by"
    for program in consumer consumer_cpp; do
        said=$("$work/$by/$program")
        echo "$by, $kind, $program: $said"
        case $said in "clm $version"*) ;; *) echo "not version $version"; exit 1 ;; esac
    done
done
for example in devices classify finetune; do
    "$cmake" -S "$source/examples/$example" -B "$work/example-$example" -G "$generator" \
        -DCMAKE_PREFIX_PATH="$prefix"
    "$cmake" --build "$work/example-$example"
    arguments='' # wrong for all but one
    [ "$example" != devices ] || arguments='a b'
    status=0
    # shellcheck disable=SC2086 # to be split
    "$work/example-$example/example_$example" $arguments >"$work/said" 2>&1 || status=$?
    if [ "$status" != 2 ] || ! grep -q "^usage: $example" "$work/said"; then
        cat "$work/said"
        exit 1
    fi
    echo "$kind: example $example stands on its own"
done
if [ -x "$prefix/bin/clm" ]; then
    "$prefix/bin/clm" --help >/dev/null
    echo "$kind: the installed command starts"
fi

#!/bin/sh
# make_locales.sh FOLDER: makes de_DE.UTF-8 and tr_TR.UTF-8 there, for LOCPATH; they need not be
# installed. It takes Debian's package locales; without that this is a skip, and in CI a failure.
# SPDX-License-Identifier: Apache-2.0
set -eu
mkdir -p "$1"
for locale in de_DE tr_TR; do
    [ ! -e "$1/$locale.UTF-8/LC_NUMERIC" ] || continue
    # Aside and then renamed, so that a locale is whole or not there.
    made=$(mktemp -d "$1/making-XXXXXX")
    if ! localedef -i "$locale" -f UTF-8 "$made/$locale.UTF-8" >"$made/output" 2>&1; then
        cat "$made/output"
        rm -rf "$made"
        [ -z "${CI:-}" ] || exit 1
        exit 77
    fi
    mv "$made/$locale.UTF-8" "$1/" 2>/dev/null || [ -e "$1/$locale.UTF-8/LC_NUMERIC" ]
    rm -rf "$made"
done

#!/bin/sh
# in_folder.sh SCRIPT ARGUMENT...: runs a script in an empty folder, which goes away with it.
# SPDX-License-Identifier: Apache-2.0
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
sh "$@"

#!/usr/bin/env bash
# losses.sh [BUILD]: the table of README.md with the losses of train/losses on PoCL, on rusticl on
# llvmpipe and on Oclgrind, beside PyTorch's. Fails when the test does, and when one of the three is
# missing. BUILD is a build with tests, build/ by default.
# SPDX-License-Identifier: Apache-2.0
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
build=${1:-build}
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
export CLM_LOSSES_TABLE=$folder/rows CLM_CACHE_DIR=$folder/cache RUSTICL_ENABLE=llvmpipe
program=$build/tests/train/test_train_losses
for device in portable llvmpipe; do
    CLM_TEST_DEVICE=$device CLM_DEMAND_DEVICES=$device "$program" >&2
done
CLM_TEST_DEVICE=oclgrind tests/house/under_oclgrind.sh "$folder/log" "$program" >&2
echo '| implementation | step 1 | 5 | 10 | 15 | 20 | off PyTorch, at most |'
echo '| --- | ---: | ---: | ---: | ---: | ---: | ---: |'
awk '!seen[$0]++' "$folder/rows" # PyTorch's row comes from each program

#!/bin/sh
# under_oclgrind.sh LOG PROGRAM [ARGUMENT...]: runs a test program on Oclgrind's simulated device
# and fails when the program does, or when Oclgrind reports a race, a bad access or a misused call.
# SPDX-License-Identifier: Apache-2.0
set -eu
log=$1
shift
rm -f "$log" "$log.said"
# Without optimisation, because Oclgrind does not know all of what LLVM then writes (the scopes of
# restrict, for one). Oclgrind stands in for the ICD loader, so no other device is seen, and none
# may be demanded.
unset CLM_DEMAND_DEVICES
status=0
oclgrind --build-options -cl-opt-disable --data-races --check-api --max-errors 20 --log "$log" \
    "$@" >"$log.said" 2>&1 || status=$?
cat "$log.said"
if [ -s "$log" ]; then
    cat "$log"
    echo "Oclgrind found a fault"
    exit 1
fi
# Misused calls are reported on standard error whatever --log says.
if grep -q '^Oclgrind - ' "$log.said"; then
    echo "Oclgrind found a misused call"
    exit 1
fi
exit $status

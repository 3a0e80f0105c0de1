#!/bin/sh
# Runs a script with the Python that $CLM_TEST_PYTHON names. Without one, or without transformers
# there, the test is skipped.
# Usage: with_transformers.sh SCRIPT ARGUMENT...
# SPDX-License-Identifier: Apache-2.0
if [ -z "$CLM_TEST_PYTHON" ]; then
    echo "skipped: CLM_TEST_PYTHON names no Python"
    exit 77
fi
if ! "$CLM_TEST_PYTHON" -c 'import torch, transformers, safetensors' 2>/dev/null; then
    echo "skipped: $CLM_TEST_PYTHON has no torch, transformers and safetensors"
    exit 77
fi
exec "$CLM_TEST_PYTHON" "$@"

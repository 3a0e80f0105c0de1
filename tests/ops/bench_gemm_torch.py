"""A developer's program: the peers of bench_gemm_few in PyTorch.

    python3 bench_gemm_torch.py [REPEATS [MIB]]

Products of 1 to 16 rows with GPT-2's weights, through copies of them that take MIB (default 512)
together, as torch.nn.Linear holds them, (N,K), and as (K,N); medians of rounds, with 2 threads.
SPDX-License-Identifier: Apache-2.0
"""
import statistics
import sys
import time

import torch

REPEATS = int(sys.argv[1]) if len(sys.argv) > 1 else 5
MIB = int(sys.argv[2]) if len(sys.argv) > 2 else 512
SHAPES = ((768, 2304), (768, 768), (768, 3072), (3072, 768))


def seconds(matrices, multiply):
    """Of one product, in a round through all matrices; the first round warms up."""
    rounds = []
    for _ in range(REPEATS + 1):
        start = time.perf_counter()
        for matrix in matrices:
            multiply(matrix)
        rounds.append((time.perf_counter() - start) / len(matrices))
    return statistics.median(rounds[1:])


def main():
    torch.set_num_threads(2)
    torch.set_grad_enabled(False)
    for K, N in SHAPES:
        copies = MIB * 2**20 // (4 * K * N) + 1
        matrices = torch.randn(copies, K, N)
        for M in (1, 2, 4, 8, 16):
            x = torch.randn(M, K)
            plain = seconds(matrices, lambda b: torch.matmul(x, b))
            as_linear = seconds(
                matrices.view(copies, N, K), lambda b: torch.nn.functional.linear(x, b)
            )
            print(
                f"{K:4}x{N:<4} M={M:<2}"
                f" | (K,N) {1e3 * plain:.3f} ms {4e-9 * K * N / plain:.1f} GB/s"
                f" | Linear {1e3 * as_linear:.3f} ms {4e-9 * K * N / as_linear:.1f} GB/s",
                flush=True,
            )


main()

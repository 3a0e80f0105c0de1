#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes adamw_golden.h: ten steps of torch.optim.AdamW, for tests/ops/test_adamw.c.

    python3 tests/golden/make_adamw.py > tests/golden/adamw_golden.h
"""
import torch

STEPS = 10
SETTINGS = [  # the recipe's; and others, under which each term weighs more
    dict(lr=5e-5, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.1),
    dict(lr=1e-2, betas=(0.8, 0.95), eps=1e-3, weight_decay=0.5),
    dict(lr=1e-2, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.0),
]


def table(name, tensor):
    shape = "".join(f"[{size}]" for size in tensor.shape)
    rows = tensor.tolist() if tensor.dim() == 2 else [tensor.tolist()]
    rows = [", ".join(f"{value:.9e}F" for value in row) for row in rows]
    values = rows[0] if tensor.dim() == 1 else ",\n    ".join("{" + row + "}" for row in rows)
    return f"static const float {name}{shape} = {{{values}}};"


def run(start, gradients, setting):
    parameter = torch.nn.Parameter(start.clone())
    optimizer = torch.optim.AdamW([parameter], foreach=False, fused=False, **setting)
    after = []
    for gradient in gradients:
        parameter.grad = gradient.clone()
        optimizer.step()
        after.append(parameter.detach().clone())
    state = optimizer.state[parameter]
    return torch.stack(after), state["exp_avg"], state["exp_avg_sq"]


def main():
    torch.manual_seed(7)
    # From tiny to large gradients; one that is always 0, and one that is 0 at first.
    scale = torch.tensor([1e-8, 1e-6, 1e-4, 1e-3, 1e-2, 0.1, 1.0, 10.0, 1e3, 0.0, 1.0, 0.01])
    gradients = torch.randn(STEPS, len(scale)) * scale
    gradients[:4, 10] = 0.0
    start = torch.randn(len(scale))
    version = torch.__version__.split("+")[0]
    print(f"/* Made by make_adamw.py with PyTorch {version}; do not edit.")
    print(" *\n * SPDX-License-Identifier: Apache-2.0 */")
    print("/* clang-format off */")
    print(
        f"enum {{ golden_steps = {STEPS}, golden_count = {len(scale)},"
        f" golden_runs = {len(SETTINGS)} }};"
    )
    print(table("golden_start", start))
    print(table("golden_gradients", gradients))
    runs = [run(start, gradients, setting) for setting in SETTINGS]
    print("typedef struct golden_run {")
    print("    double learning_rate, beta1, beta2, epsilon, weight_decay;")
    print("    const float (*after)[golden_count];")
    print("    const float *first_moment, *second_moment;")
    print("} golden_run;")
    for i, (after, first, second) in enumerate(runs):
        print(table(f"golden_after{i}", after))
        print(table(f"golden_first_moment{i}", first))
        print(table(f"golden_second_moment{i}", second))
    print("static const golden_run golden[golden_runs] = {")
    for i, s in enumerate(SETTINGS):
        print(
            f"    {{{s['lr']!r}, {s['betas'][0]!r}, {s['betas'][1]!r}, {s['eps']!r},"
            f" {s['weight_decay']!r}, golden_after{i}, golden_first_moment{i},"
            f" golden_second_moment{i}}},"
        )
    print("};")


main()

#!/usr/bin/env python3
"""Writes batches_golden.h: the batches that PyTorch's DataLoader gives.

  make_batches.py > batches_golden.h

Needs torch.
"""
import torch
from torch.utils.data import DataLoader


def say(kind, name, values, form="{}"):
    values = list(values)
    print(f"static const {kind} {name}[{len(values)}] = {{")
    line = "   "
    for value in values:
        text = " " + form.format(value) + ","
        if len(line) + len(text) > 100:
            print(line)
            line = "   "
        line += text
    print(line + "\n};")


def batches():
    """A run as the recipe's: three epochs over 21 rows, batches of 4, the rest dropped; after every
    second step the first two batches of the training rows and of 6 validation rows, as
    calc_loss_loader takes them (the third is fetched before the loop breaks); at the end of an
    epoch a fetch of one batch, and last a whole pass."""
    torch.manual_seed(123)
    train = DataLoader(range(21), batch_size=4, shuffle=True, drop_last=True)
    val = DataLoader(range(6), batch_size=4)
    rows = []

    def take(loader, most):
        for i, batch in enumerate(loader):
            if i >= most:
                break
            rows.extend(batch.tolist() + [-1])
        rows.append(-2)

    step = 0
    for _ in range(3):
        for batch in train:
            rows.extend(batch.tolist() + [-1])
            if step % 2 == 0:
                take(train, 2)
                take(val, 2)
            step += 1
        take(train, 1)
        take(val, 1)
    take(train, 1000)
    print("/* Rows of each batch; -1 ends a batch, -2 the batches of an evaluation. */")
    say("int32_t", "golden_batches", rows)
    print("/* The next draw from the generator that the loaders shared. */")
    print(f"static const int64_t golden_after_batches = "
          f"{torch.empty((), dtype=torch.int64).random_().item()};")


if __name__ == "__main__":
    print("/* Made by make_batches.py with PyTorch", torch.__version__.split("+")[0] +
          "; do not edit.\n *\n * SPDX-License-Identifier: Apache-2.0 */\n/* clang-format off */")
    batches()

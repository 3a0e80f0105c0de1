#!/usr/bin/env python3
"""Writes random_golden.h: what NumPy's and PyTorch's generators draw.

  make_random.py > random_golden.h

Needs numpy and torch. PyTorch must run its AVX2 or AVX-512 kernels, which round uniform_ once
(torch.backends.cpu.get_cpu_capability()).
"""
import numpy as np
import torch


def fnv(array):
    """64-bit FNV-1a over 32-bit words, low byte first."""
    value = 0xCBF29CE484222325
    for byte in np.ascontiguousarray(array).astype("<u4").tobytes():
        value = (value ^ byte) * 0x100000001B3 % 2**64
    return value


def bits(tensor):
    return tensor.detach().numpy().ravel().view(np.uint32)


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


def numpy_values():
    say("int64_t", "golden_numpy_permutation", np.random.RandomState(123).permutation(20))
    print("/* seed, count, hash of RandomState(seed).permutation(count) */")
    print("static const struct {\n    uint32_t seed;\n    uint32_t count;\n    uint64_t hash;\n"
          "} golden_numpy_hashes[] = {")
    for seed, count in [(123, 0), (123, 1), (123, 2), (123, 4825), (123, 1494), (0, 1000),
                        (2**32 - 1, 65537)]:
        permutation = np.random.RandomState(seed).permutation(count)
        print(f"    {{{seed}U, {count}, 0x{fnv(permutation):016X}U}},")
    print("};")


def torch_values():
    torch.manual_seed(123)
    say("int64_t", "golden_torch_int64",
        [torch.empty((), dtype=torch.int64).random_().item() for _ in range(8)])
    torch.manual_seed(123)
    say("int32_t", "golden_torch_permutation", torch.randperm(20).tolist())
    print("/* seed, count, hash of randperm(count), and the int64 that is drawn next */")
    print("static const struct {\n    uint64_t seed;\n    uint32_t count;\n    uint64_t hash;\n"
          "    int64_t next;\n} golden_torch_hashes[] = {")
    for seed, count in [(123, 0), (123, 1), (123, 2), (123, 1045), (3624216819017203053, 1045),
                        (0, 70000)]:
        g = torch.Generator().manual_seed(seed)
        h = fnv(torch.randperm(count, generator=g).numpy())
        print(f"    {{{seed}U, {count}, 0x{h:016X}U,")
        print(f"     {torch.empty((), dtype=torch.int64).random_(generator=g).item()}}},")
    print("};")
    torch.manual_seed(7)
    say("uint32_t", "golden_torch_uniform", bits(torch.empty(12).uniform_(-0.3, 0.2)), "0x{:08X}U")
    torch.manual_seed(123)
    layer = torch.nn.Linear(5, 2)
    say("uint32_t", "golden_linear_weight", bits(layer.weight), "0x{:08X}U")
    say("uint32_t", "golden_linear_bias", bits(layer.bias), "0x{:08X}U")
    print("/* out, in, hash of weight, hash of bias of torch.nn.Linear(in, out) after\n"
          " * manual_seed(123) */")
    print("static const struct {\n    int out;\n    int in;\n    uint64_t weight;\n"
          "    uint64_t bias;\n} golden_linear_hashes[] = {")
    for out, wide in [(2, 768), (2, 64), (7, 1600), (1, 1), (3, 12)]:
        torch.manual_seed(123)
        layer = torch.nn.Linear(wide, out)
        print(f"    {{{out}, {wide}, 0x{fnv(bits(layer.weight)):016X}U,")
        print(f"     0x{fnv(bits(layer.bias)):016X}U}},")
    print("};")


def main():
    capability = torch.backends.cpu.get_cpu_capability()
    assert capability != "DEFAULT", "this processor's PyTorch rounds uniform_ twice"
    print("/* Made by make_random.py with NumPy", np.__version__, "and PyTorch",
          torch.__version__.split("+")[0] + "; do not edit.\n *")
    print(" * SPDX-License-Identifier: Apache-2.0 */")
    print("/* clang-format off */")
    numpy_values()
    torch_values()


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
"""Does Hugging Face transformers compute with a folder that clm saved what clm means by it?

  check_hf_folder.py WRITER

Runs WRITER (build/tests/model/write_hf_folder) for each kind of model, opens the folder with
transformers, and compares its logits for a padded batch with a plain PyTorch computation on the
parameters before the head's bias was folded into ln_f.bias. Needs torch, transformers, safetensors.
SPDX-License-Identifier: Apache-2.0
"""
import os
import subprocess
import sys
import tempfile

import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from transformers import AutoModelForSequenceClassification, GPT2LMHeadModel

HEADS, EPSILON, PAD = 4, 2e-5, 96


def hidden(tokens, w):
    """tokens (B, T) -> final hidden states (B, T, C), from GPT-2's formulas."""
    batch, length = tokens.shape
    width = w["wte.weight"].shape[1]
    x = w["wte.weight"][tokens] + w["wpe.weight"][:length]
    for layer in range(3):
        p = f"h.{layer}."
        gain_shift = lambda n: (w[p + n + ".weight"], w[p + n + ".bias"])
        norm = lambda x, n: F.layer_norm(x, (width,), *gain_shift(n), EPSILON)
        linear = lambda x, n: x @ w[p + n + ".weight"] + w[p + n + ".bias"]
        split = lambda z: z.view(batch, length, HEADS, -1).transpose(1, 2)
        q, k, v = (split(z) for z in linear(norm(x, "ln_1"), "attn.c_attn").split(width, dim=-1))
        scores = q @ k.transpose(-1, -2) / (width // HEADS) ** 0.5
        future = torch.ones(length, length, dtype=torch.bool).triu(1)
        y = scores.masked_fill(future, float("-inf")).softmax(-1) @ v
        x = x + linear(y.transpose(1, 2).reshape(batch, length, width), "attn.c_proj")
        y = F.gelu(linear(norm(x, "ln_2"), "mlp.c_fc"), approximate="tanh")
        x = x + linear(y, "mlp.c_proj")
    return F.layer_norm(x, (width,), w["ln_f.weight"], w["ln_f.bias"], EPSILON)


def check(program, kind):
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([program, folder, kind], check=True)
        w = load_file(os.path.join(folder, "original.safetensors"))
        cls = GPT2LMHeadModel if kind == "language" else AutoModelForSequenceClassification
        model, info = cls.from_pretrained(os.path.join(folder, "model"), output_loading_info=True)
        model.eval()
    for what in ("missing_keys", "unexpected_keys", "mismatched_keys"):
        assert not info[what], (kind, what, info[what])
    torch.manual_seed(1)
    tokens = torch.randint(0, PAD, (5, 16))
    lengths = [16, 9, 1, 12, 15]
    for row, length in enumerate(lengths):
        tokens[row, length:] = PAD
    with torch.no_grad():
        states = hidden(tokens, w)
        got = model(input_ids=tokens).logits
    if kind == "language":
        wanted = states @ w["wte.weight"].T
    else:
        at = [15] * 5 if kind == "last_position" else [n - 1 for n in lengths]
        wanted = states[torch.arange(5), at] @ w["score.weight"].T + w["score.bias"]
        assert model.config.id2label == {0: "a", 1: "b", 2: "c"}, model.config.id2label
        assert float(w["score.bias"].abs().max()) > 0.05  # else folding it proves nothing
    difference = float((got - wanted).abs().max())
    # Two float computations of logits of size 1 to 10 in another order.
    assert difference <= 2e-5, (kind, difference)
    largest = float(wanted.abs().max())
    print(f"{kind}: largest difference {difference:.2g} among logits up to {largest:.3g}")


if __name__ == "__main__":
    for kind in ("last_position", "last_token", "language"):
        check(sys.argv[1], kind)

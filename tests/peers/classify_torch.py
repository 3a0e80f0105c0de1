#!/usr/bin/env python3
"""What `clm classify` is held against: the same run folder, the same lines, in PyTorch.

  python3 tests/peers/classify_torch.py RUN FILE [--batch 8] [--pad N] [--limit N]

Answers each line of FILE as `clm classify --model RUN --file FILE` does: the class, its probability
and the text, with tabs between. Texts are cut and padded to --pad tokens (default: what the run was
trained with), in batches as they come. How long the whole and the answers alone took goes to
standard error. Needs torch, safetensors and tokenizers.
"""
import time

START = time.time()

# pylint: disable=wrong-import-position
import argparse
import json
import os
import sys

import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from tokenizers import Tokenizer


def linear(x, weights, name):
    return torch.addmm(weights[name + ".bias"], x.view(-1, x.shape[-1]),
                       weights[name + ".weight"]).view(*x.shape[:-1], -1)


def normalize(x, weights, name, epsilon):
    return F.layer_norm(x, (x.shape[-1],), weights[name + ".weight"], weights[name + ".bias"],
                        epsilon)


def logits_of(tokens, at, weights, config):
    """(B, T) token ids and the (B,) positions the head looks at -> (B, labels)."""
    b, t = tokens.shape
    heads, epsilon = config["n_head"], config["layer_norm_epsilon"]
    x = weights["wte.weight"][tokens] + weights["wpe.weight"][:t]
    for i in range(config["n_layer"]):
        p = f"h.{i}."
        qkv = linear(normalize(x, weights, p + "ln_1", epsilon), weights, p + "attn.c_attn")
        q, k, v = (z.view(b, t, heads, -1).transpose(1, 2) for z in qkv.chunk(3, dim=-1))
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + linear(y.transpose(1, 2).reshape(b, t, -1), weights, p + "attn.c_proj")
        y = linear(normalize(x, weights, p + "ln_2", epsilon), weights, p + "mlp.c_fc")
        x = x + linear(F.gelu(y, approximate="tanh"), weights, p + "mlp.c_proj")
    x = normalize(x[torch.arange(b), at], weights, "ln_f", epsilon)
    return x @ weights["score.weight"].T


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run")
    parser.add_argument("file")
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--pad", type=int, help="default: what the run was trained with")
    parser.add_argument("--limit", type=int, help="answer only the first N lines")
    options = parser.parse_args()
    with open(os.path.join(options.run, "config.json"), encoding="utf-8") as file:
        config = json.load(file)
    clm = config["clm"]
    length = options.pad or clm["padded_length"]
    weights = {name.removeprefix("transformer."): value.float() for name, value in
               load_file(os.path.join(options.run, "model.safetensors")).items()}
    tokenizer = Tokenizer.from_file(os.path.join(options.run, "tokenizer.json"))
    with open(options.file, encoding="utf-8") as file:
        texts = file.read().removesuffix("\n").split("\n")[:options.limit]
    begin = time.time()
    with torch.inference_mode():
        for first in range(0, len(texts), options.batch):
            some = texts[first:first + options.batch]
            ids = [tokenizer.encode(text).ids[:length] for text in some]
            last = torch.tensor([len(i) - 1 for i in ids])
            tokens = torch.tensor([i + [clm["pad_token"]] * (length - len(i)) for i in ids])
            if clm["pooling"] == "last_position":
                last.fill_(length - 1)
            odds = logits_of(tokens, last, weights, config).softmax(dim=-1)
            for text, row in zip(some, odds.tolist()):
                best = max(range(len(row)), key=row.__getitem__)
                print(f"{config['id2label'][str(best)]}\t{row[best]:.4f}\t{text}")
    end = time.time()
    print(f"whole {end - START:.2f} s, answers {end - begin:.2f} s, "
          f"{torch.get_num_threads()} threads, {torch.__version__}", file=sys.stderr)


if __name__ == "__main__":
    main()

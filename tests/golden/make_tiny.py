#!/usr/bin/env python3
"""Makes tests/golden/tiny: a GPT-2 classifier with awkward sizes, and PyTorch's results for it.

  python3 tests/golden/make_tiny.py        needs torch, numpy and safetensors

model.safetensors and config.json are the model as clm reads it. expected.safetensors holds tokens,
labels, logits, loss, the gradient of every parameter ("gradient.<name>"), and, for each training
policy, the losses of ten AdamW steps ("losses.<policy>") and every trained parameter after them
("after.<policy>.<name>"). All in float32, on the CPU, with plain modules.
"""
import json
import math
import os

import torch
import torch.nn.functional as F
from safetensors.torch import save_file

C, H, L, V, CTX, INNER, LABELS = 20, 2, 3, 37, 11, 28, 3
B, T = 3, 7
HERE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "tiny")


def weights():
    g = torch.Generator().manual_seed(7)
    w = {}

    def normal(name, *shape, std=0.3):
        w[name] = torch.randn(*shape, generator=g) * std

    normal("wte.weight", V, C)
    normal("wpe.weight", CTX, C)
    for i in range(L):
        p = f"h.{i}."
        for name, rows, columns in (("attn.c_attn", C, 3 * C), ("attn.c_proj", C, C),
                                    ("mlp.c_fc", C, INNER), ("mlp.c_proj", INNER, C)):
            normal(p + name + ".weight", rows, columns)
            normal(p + name + ".bias", columns, std=0.1)
        for name in ("ln_1", "ln_2"):
            normal(p + name + ".weight", C, std=0.2)
            w[p + name + ".weight"] += 1.0
            normal(p + name + ".bias", C, std=0.1)
    normal("ln_f.weight", C, std=0.2)
    w["ln_f.weight"] += 1.0
    normal("ln_f.bias", C, std=0.1)
    normal("score.weight", LABELS, C)
    normal("score.bias", LABELS, std=0.1)
    return w


def logits_of(tokens, w):
    b, t = tokens.shape
    x = w["wte.weight"][tokens] + w["wpe.weight"][:t]
    mask = torch.full((t, t), -math.inf).triu(1)
    for i in range(L):
        p = f"h.{i}."
        y = F.layer_norm(x, (C,), w[p + "ln_1.weight"], w[p + "ln_1.bias"], 1e-5)
        qkv = y @ w[p + "attn.c_attn.weight"] + w[p + "attn.c_attn.bias"]
        q, k, v = (z.view(b, t, H, C // H).transpose(1, 2) for z in qkv.split(C, dim=-1))
        scores = q @ k.transpose(-1, -2) / math.sqrt(C // H) + mask
        y = (scores.softmax(-1) @ v).transpose(1, 2).reshape(b, t, C)
        x = x + y @ w[p + "attn.c_proj.weight"] + w[p + "attn.c_proj.bias"]
        y = F.layer_norm(x, (C,), w[p + "ln_2.weight"], w[p + "ln_2.bias"], 1e-5)
        y = F.gelu(y @ w[p + "mlp.c_fc.weight"] + w[p + "mlp.c_fc.bias"], approximate="tanh")
        x = x + y @ w[p + "mlp.c_proj.weight"] + w[p + "mlp.c_proj.bias"]
    x = F.layer_norm(x, (C,), w["ln_f.weight"], w["ln_f.bias"], 1e-5)
    return (x @ w["score.weight"].T + w["score.bias"])[:, -1, :]


def trains(policy, name):
    if name.startswith("score."):
        return True
    if policy == "all":
        return True
    blocks = {"head": 0, "last-block": 1, "last-two-blocks": 2}[policy]
    if blocks == 0:
        return False
    top = tuple(f"h.{L - 1 - i}." for i in range(blocks))
    return name.startswith("ln_f.") or name.startswith(top)


def main():
    os.makedirs(HERE, exist_ok=True)
    start = weights()
    save_file(start, os.path.join(HERE, "model.safetensors"), metadata={"format": "pt"})
    config = dict(architectures=["GPT2ForSequenceClassification"], model_type="gpt2", n_embd=C,
                  n_head=H, n_layer=L, n_ctx=CTX, n_positions=CTX, vocab_size=V,
                  n_inner=INNER, layer_norm_epsilon=1e-5, activation_function="gelu_new",
                  id2label={str(i): name for i, name in enumerate(["ham", "spam", "other"])},
                  label2id={"ham": 0, "spam": 1, "other": 2}, pad_token_id=-1,
                  clm=dict(pooling="last_position", pad_token=V - 1, padded_length=T))
    with open(os.path.join(HERE, "config.json"), "w") as f:
        json.dump(config, f, indent=2)
        f.write("\n")

    g = torch.Generator().manual_seed(11)
    tokens = torch.randint(0, V, (B, T), generator=g)
    tokens[1, :3] = tokens[0, 0]  # a token that stands in many places
    labels = torch.tensor([0, 2, 1])
    out = dict(tokens=tokens.int(), labels=labels.int())

    w = {k: v.clone().requires_grad_(True) for k, v in start.items()}
    logits = logits_of(tokens, w)
    loss = F.cross_entropy(logits, labels)
    loss.backward()
    out["logits"] = logits.detach()
    out["loss"] = loss.detach().reshape(1)
    for name, value in w.items():
        out["gradient." + name] = value.grad

    for policy in ("head", "last-block", "last-two-blocks", "all"):
        w = {k: v.clone().requires_grad_(trains(policy, k)) for k, v in start.items()}
        trained = [v for v in w.values() if v.requires_grad]
        optimizer = torch.optim.AdamW(trained, lr=1e-2, weight_decay=0.1)
        losses = []
        for _ in range(10):
            optimizer.zero_grad()
            loss = F.cross_entropy(logits_of(tokens, w), labels)
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
        out["losses." + policy] = torch.tensor(losses)
        for name, value in w.items():
            if value.requires_grad:
                out[f"after.{policy}.{name}"] = value.detach().clone()
    save_file({k: v.contiguous() for k, v in out.items()},
              os.path.join(HERE, "expected.safetensors"))


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
"""Makes tests/golden/recipe.safetensors: a whole run of the recipe in PyTorch, on the tiny model.

  python3 tests/golden/make_recipe.py      needs torch, numpy and safetensors

The loop is that of LLMs-from-scratch, chapter 6, with PyTorch's own DataLoader, so that the order
of batches, the draws that evaluations take from the same stream, and the head's initial values are
PyTorch's. The file holds the token ids and labels of three small sets, and what the run gave: a
loss a step, losses of the evaluations, accuracies of the epochs and of the full sets at the end.
"job" is a run of 20 steps, of the last block at a moderate rate, for tests/train/test_losses.c.
"""
import dataclasses
import os

import torch
import torch.nn.functional as F
from safetensors.torch import save_file

import make_tiny as tiny

T, BATCH = 7, 4
HERE = os.path.dirname(os.path.abspath(__file__))


@dataclasses.dataclass
class Plan:
    """What stands in recipe() and job() of the tests."""
    policy: str
    epochs: int = 3
    every: int = 3
    eval_batches: int = 2
    lr: float = 1e-2
    most: int = 0  # steps; 0: no limit


class Rows(torch.utils.data.Dataset):
    def __init__(self, x, y):
        self.x, self.y = x, y

    def __len__(self):
        return len(self.y)

    def __getitem__(self, i):
        return self.x[i], self.y[i]


def run(sets, name, plan):
    w = {k: v.clone() for k, v in tiny.weights().items() if not k.startswith("score.")}
    loaders = {}
    for part, rows in sets.items():
        train = part == "train"
        loaders[part] = torch.utils.data.DataLoader(Rows(*rows), batch_size=BATCH, shuffle=train,
                                                    drop_last=train)
    torch.manual_seed(123)
    head = torch.nn.Linear(tiny.C, 2)
    w["score.weight"], w["score.bias"] = head.weight.detach(), head.bias.detach()
    trained = [v.requires_grad_(True) for k, v in w.items() if tiny.trains(plan.policy, k)]

    def look(which, most=None):
        loss = right = seen = n = 0
        with torch.no_grad():
            for x, y in loaders[which]:
                if n == most:
                    break
                logits = tiny.logits_of(x, w)
                loss += F.cross_entropy(logits, y).item()
                right += (logits.argmax(-1) == y).sum().item()
                seen, n = seen + len(y), n + 1
        return loss / n, right / seen

    torch.manual_seed(123)
    optimizer = torch.optim.AdamW(trained, lr=plan.lr, weight_decay=0.1)
    losses, evals, epochs, step = [], [], [], -1
    for _ in range(plan.epochs):
        for x, y in loaders["train"]:
            optimizer.zero_grad()
            loss = F.cross_entropy(tiny.logits_of(x, w), y)
            loss.backward()
            optimizer.step()
            step += 1
            losses.append(loss.item())
            if step % plan.every == 0:
                evals.append([look(k, plan.eval_batches)[0] for k in ("train", "val")])
            if step + 1 == plan.most:
                return {f"losses.{name}": losses, f"evals.{name}": evals}
        epochs.append([look(k, plan.eval_batches)[1] for k in ("train", "val")])
    final = [look(k)[1] for k in ("train", "val", "test")]
    return {f"losses.{name}": losses, f"evals.{name}": evals, f"epochs.{name}": epochs,
            f"final.{name}": final}


def main():
    g = torch.Generator().manual_seed(5)
    sets, out = {}, {}
    for name, rows in (("train", 27), ("val", 9), ("test", 6)):
        x = torch.randint(0, tiny.V, (rows, T), generator=g)
        y = (x[:, -1] + x[:, 2] > tiny.V).long()  # something to learn
        sets[name] = (x, y)
        out[f"{name}.tokens"], out[f"{name}.labels"] = x.int(), y.int()
    plans = {policy: Plan(policy) for policy in ("last-block", "all")}
    plans["job"] = Plan("last-block", epochs=4, every=10, eval_batches=1, lr=3e-3, most=20)
    for name, plan in plans.items():
        out |= {k: torch.tensor(v) for k, v in run(sets, name, plan).items()}
    save_file({k: v.contiguous() for k, v in out.items()}, os.path.join(HERE, "recipe.safetensors"))


main()

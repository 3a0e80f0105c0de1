#!/usr/bin/env python3
"""Does Hugging Face transformers answer as clm does, from a folder that clm trained and saved?

  check_hf_run.py CLM SAMPLE

Trains a tiny model on SAMPLE (examples/sample) with CLM (build/bin/clm), once for each kind of
pooling, and opens the run as anyone does: pipeline("text-classification", model=RUN), asked with
padding=True and truncation=True, in batches. Compares labels and probabilities of all test texts,
and of some odd ones, with those of `clm classify --json`.

A head that looks at the last token answers the same. One that looks at the last position of texts
padded to one length (the recipe's) was trained to see that padding, which transformers does not
know of: how many labels differ is printed; with that padding put there by hand, none does.
Needs torch and transformers; works offline.
SPDX-License-Identifier: Apache-2.0
"""
import csv
import json
import os
import subprocess
import sys
import tempfile

os.environ["HF_HUB_OFFLINE"] = "1"
import torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer, pipeline

# Two float computations of logits of size 1 to 10 in another order, through softmax.
TOLERANCE = 1e-5
MODEL = "random:n_layer=2,n_embd=64,n_head=4,n_ctx=256,n_vocab=800,seed=1"
ODD = ["a", " two  spaces ", "\u00fcber \u65e5\u672c \U0001f600", "word " * 400, "!?!?" * 30]


def train(clm, sample, folder, pooling):
    data, run = os.path.join(folder, "data"), os.path.join(folder, "run")
    messages, vocab = os.path.join(sample, "messages.tsv"), os.path.join(sample, "vocab")
    for command in (
        ["data", "spam", "--input", messages, "--out", data],
        ["finetune", "classify", "--model", MODEL, "--vocab", vocab, "--data", data, "--out", run,
         "--train", "all", "--lr", "5e-4", "--epochs", "1", "--no-final", "--pooling", pooling],
    ):
        subprocess.run([clm, *command], check=True, capture_output=True)
    with open(os.path.join(data, "test.csv"), newline="", encoding="utf-8") as file:
        return run, [row["Text"] for row in csv.DictReader(file)] + ODD


def ask_clm(clm, run, texts):
    """(count, classes), with the classes in the order of the model's labels."""
    said = subprocess.run([clm, "classify", "--model", run, "--json", "-"], check=True,
                          input="\n".join(texts) + "\n", capture_output=True, encoding="utf-8")
    rows = [json.loads(line)["probabilities"] for line in said.stdout.splitlines()]
    assert len(rows) == len(texts), (len(rows), len(texts))
    return torch.tensor([list(row.values()) for row in rows], dtype=torch.float64), list(rows[0])


def ask_pipeline(run, names, texts, **options):
    classify = pipeline("text-classification", model=run, tokenizer=run, batch_size=8)
    assert [classify.model.config.id2label[i] for i in range(len(names))] == names
    rows = [{each["label"]: each["score"] for each in row}
            for row in classify(texts, top_k=None, padding=True, truncation=True, **options)]
    return torch.tensor([[row[name] for name in names] for row in rows], dtype=torch.float64)


def ask_padded(run, texts, length):
    """Filled up to `length` as in training, where the filling is seen as any token is."""
    tokenizer = AutoTokenizer.from_pretrained(run)
    model = AutoModelForSequenceClassification.from_pretrained(run).eval()
    batch = tokenizer(texts, padding="max_length", max_length=length, truncation=True,
                      return_attention_mask=False, return_tensors="pt")
    with torch.no_grad():
        return model(**batch).logits.double().softmax(-1)


def compare(what, got, wanted):
    """How many labels differ, and the largest difference of a probability."""
    labels = int((got.argmax(-1) != wanted.argmax(-1)).sum())
    difference = float((got - wanted).abs().max())
    print(f"{what}: {labels} of {len(wanted)} labels differ, probabilities by up to "
          f"{difference:.2g}")
    return labels, difference


def demand(compared):
    labels, difference = compared
    assert labels == 0 and difference <= TOLERANCE, compared  # written so that NaN fails


def check(clm, sample, pooling):
    with tempfile.TemporaryDirectory() as folder:
        run, texts = train(clm, sample, folder, pooling)
        wanted, names = ask_clm(clm, run, texts)
        assert float(wanted.std(0).max()) > 0.1, "answers that hardly differ prove nothing"
        with open(os.path.join(run, "config.json"), encoding="utf-8") as file:
            own = json.load(file)["clm"]
        assert AutoTokenizer.from_pretrained(run).pad_token is not None, "no pad_token was saved"
        as_it_is = compare(f"{pooling}, padding=True", ask_pipeline(run, names, texts), wanted)
        if pooling == "last-token":
            demand(as_it_is)
        else:
            padded = ask_padded(run, texts, own["padded_length"])
            demand(compare(f"{pooling}, padded to {own['padded_length']}", padded, wanted))


if __name__ == "__main__":
    for each in ("last-token", "last-position"):
        check(sys.argv[1], sys.argv[2], each)

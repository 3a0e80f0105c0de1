#!/usr/bin/env python3
"""Does Hugging Face transformers answer as clm does, from a folder that clm trained and saved?

  check_hf_run.py CLM SAMPLE

Trains a tiny model on SAMPLE (examples/sample) with CLM (build/bin/clm), once for each kind of
pooling; opens the run with AutoTokenizer and AutoModelForSequenceClassification; compares its
probabilities for all test texts with those of `clm classify --json`, and then those of the pipeline
that examples/finetune/README.md shows. Needs torch and transformers; works offline.
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
        return run, [row["Text"] for row in csv.DictReader(file)]


def ask_clm(clm, run, texts):
    """(count, classes), with the classes in the order of the model's labels."""
    said = subprocess.run([clm, "classify", "--model", run, "--json", "-"], check=True,
                          input="\n".join(texts) + "\n", capture_output=True, encoding="utf-8")
    rows = [json.loads(line)["probabilities"] for line in said.stdout.splitlines()]
    assert len(rows) == len(texts), (len(rows), len(texts))
    return torch.tensor([list(row.values()) for row in rows], dtype=torch.float64), list(rows[0])


def largest_difference(what, got, wanted):
    difference = float((got - wanted).abs().max())
    assert difference <= TOLERANCE, (what, difference)  # written so that NaN fails
    return difference


def check(clm, sample, pooling):
    with tempfile.TemporaryDirectory() as folder:
        run, texts = train(clm, sample, folder, pooling)
        wanted, names = ask_clm(clm, run, texts)
        assert float(wanted.std(0).max()) > 0.1, "answers that hardly differ prove nothing"
        with open(os.path.join(run, "config.json"), encoding="utf-8") as file:
            length = json.load(file)["clm"]["padded_length"]
        model = AutoModelForSequenceClassification.from_pretrained(run).eval()
        assert [model.config.id2label[i] for i in range(len(names))] == names

        tokenizer = AutoTokenizer.from_pretrained(run)
        tokenizer.pad_token = tokenizer.eos_token
        tokenizer.padding_side = "right"
        padded = {"padding": "max_length", "max_length": length, "truncation": True}
        batch = tokenizer(texts, return_tensors="pt", **padded)
        with torch.no_grad():
            # Without an attention mask: in training paddings are tokens like any other.
            logits = model(input_ids=batch["input_ids"]).logits
        by_model = largest_difference("model", logits.double().softmax(-1), wanted)

        options = {"truncation": True, "max_length": length}
        if pooling == "last-position":
            options |= padded | {"return_attention_mask": False}
        classify = pipeline("text-classification", model=run, tokenizer=run)
        classify.tokenizer.pad_token = classify.tokenizer.eos_token
        scores = [{each["label"]: each["score"] for each in row}
                  for row in classify(texts, top_k=None, **options)]
        got = [[row[name] for name in names] for row in scores]
        by_pipeline = largest_difference("pipeline", torch.tensor(got, dtype=torch.float64), wanted)
    print(f"{pooling}: {len(texts)} texts, largest difference of a probability: "
          f"model {by_model:.2g}, pipeline {by_pipeline:.2g}")


if __name__ == "__main__":
    for pooling in ("last-position", "last-token"):
        check(sys.argv[1], sys.argv[2], pooling)

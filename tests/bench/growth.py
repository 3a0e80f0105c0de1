#!/usr/bin/env python3
"""How the time and the memory of a training step grow with the length of the texts, the size of
the batch and the size of the model, as the Markdown tables of README.md.

  python3 tests/bench/growth.py build/bin/clm VOCAB

VOCAB is a folder with a tokenizer's files. Each row is a process of its own: a few steps of
`clm finetune classify` on made-up texts of just the right length, from random weights. Time is the
median of the steps but the first; memory is the most that the process held (on a processor the
device's memory is the process's). Needs nothing but Python.
"""
import argparse
import csv
import json
import os
import statistics
import subprocess
import sys
import tempfile

STEPS = 4
BASE = {"model": "124M", "batch": 8, "length": 120}
SOURCES = {"124M": "random:gpt2", "355M": "random:gpt2-medium", "774M": "random:gpt2-large"}
TABLES = [("length", [64, 128, 256, 512, 1024]), ("batch", [1, 2, 4, 8, 16, 32]),
          ("model", ["124M", "355M", "774M"])]
# Frozen layers run in each step, as for a text that was not seen before.
POLICIES = {"all": [], "last-block": ["--features", "off"]}


def write_texts(path, count, length, first):
    """`count` different texts of `length` tokens: each " a" is one, and so is a digit."""
    with open(path, "w", newline="", encoding="ascii") as file:
        writer = csv.writer(file)
        writer.writerow(["Label", "Text"])
        for i in range(first, first + count):
            digits = " ".join(f"{i:04d}")
            writer.writerow([i % 2, digits + " a" * (length - 4)])


def run(options, case, train):
    """(seconds of a step, bytes at most)"""
    with tempfile.TemporaryDirectory() as folder:
        data = os.path.join(folder, "data")
        os.mkdir(data)
        batch, length = case["batch"], case["length"]
        write_texts(os.path.join(data, "train.csv"), batch * (STEPS + 1), length, 0)
        write_texts(os.path.join(data, "validation.csv"), 2, length, 8000)
        write_texts(os.path.join(data, "test.csv"), 2, length, 9000)
        with open(os.path.join(data, "labels.json"), "w", encoding="ascii") as file:
            json.dump(["ham", "spam"], file)
        out = os.path.join(folder, "run")
        command = [options.clm, "finetune", "classify", "--model", SOURCES[case["model"]],
                   "--vocab", options.vocab, "--data", data, "--out", out, "--train", train,
                   "--batch", str(batch), "--epochs", "1", "--max-steps", str(STEPS),
                   "--eval-every", "0", "--no-final", "--no-overlap", *POLICIES[train]]
        if options.device:
            command += ["--device", options.device]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                   text=True)
        said = process.stdout.read()
        # Not process.wait(): the usage of this child alone is wanted.
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode != 0:
            sys.exit(f"{' '.join(command)}:\n{said}")
        with open(os.path.join(out, "metrics.jsonl"), encoding="utf-8") as file:
            events = [json.loads(line) for line in file]
        seconds = [e["seconds"] for e in events if e["event"] == "step"]
        if f"texts of {length} tokens" not in said:
            sys.exit(f"the texts should have {length} tokens:\n{said}")
        return statistics.median(seconds[1:]), usage.ru_maxrss * 1024


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clm")
    parser.add_argument("vocab")
    parser.add_argument("--device")
    parser.add_argument("--tables", default="length,batch,model")
    options = parser.parse_args()
    for name, values in TABLES:
        if name not in options.tables.split(","):
            continue
        print(f"| {name} | " + " | ".join(f"{p}: s a step | GB" for p in POLICIES) + " |")
        print("| ---: |" + " ---: | ---: |" * len(POLICIES), flush=True)
        for value in values:
            row = [run(options, {**BASE, name: value}, p) for p in POLICIES]
            print(f"| {value} | " + " | ".join(f"{s:.3g} | {m / 1e9:.2f}" for s, m in row) + " |",
                  flush=True)


if __name__ == "__main__":
    main()

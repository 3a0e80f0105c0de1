#!/usr/bin/env python3
"""Writes split_golden.h: what pandas makes of a collection of messages in the recipe of
LLMs-from-scratch, chapter 6.

  make_split.py ../data/messages.tsv SMSSpamCollection > split_golden.h

Needs pandas.
"""
import hashlib
import os
import sys

import pandas as pd


def create_balanced_dataset(df):
    spam = df[df["Label"] == "spam"]
    ham = df[df["Label"] == "ham"].sample(len(spam), random_state=123)
    return pd.concat([ham, spam])


def random_split(df, train, validation):
    df = df.sample(frac=1, random_state=123).reset_index(drop=True)
    train_end = int(len(df) * train)
    validation_end = train_end + int(len(df) * validation)
    return df[:train_end], df[train_end:validation_end], df[validation_end:]


def main():
    print("/* Made by make_split.py with pandas", pd.__version__ + "; do not edit.\n *\n"
          " * SPDX-License-Identifier: Apache-2.0 */\n/* clang-format off */")
    print("static const struct {\n    const char *name;\n    size_t rows;\n"
          "    size_t label_rows[2];\n    size_t split_rows[3]; /* train, validation, test */\n"
          "    const char *sha256[3];\n} golden_splits[] = {")
    for path in sys.argv[1:]:
        df = pd.read_csv(path, sep="\t", header=None, names=["Label", "Text"])
        counts = df["Label"].value_counts()
        balanced = create_balanced_dataset(df)
        balanced["Label"] = balanced["Label"].map({"ham": 0, "spam": 1})
        parts = random_split(balanced, 0.7, 0.1)
        name = os.path.basename(path)
        print(f'    {{"{name}", {len(df)}, {{{counts["ham"]}, {counts["spam"]}}},')
        print(f"     {{{', '.join(str(len(part)) for part in parts)}}},")
        hashes = [hashlib.sha256(part.to_csv(index=None).encode()).hexdigest() for part in parts]
        print("     {" + ",\n      ".join(f'"{h}"' for h in hashes) + "}},")
    print("};")


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
"""Writes dataset_golden.h: the token ids of the recipe's three tables, padded to the longest
training message, as Hugging Face tokenizers gives them.

  make_dataset.py GPT2_FOLDER SMSSpamCollection > dataset_golden.h

Needs numpy, pandas and tokenizers.
"""
import os
import sys

import numpy as np
import pandas as pd
import tokenizers

from make_random import fnv
from make_split import create_balanced_dataset, random_split


def main():
    folder, collection = sys.argv[1:]
    encode = tokenizers.ByteLevelBPETokenizer(os.path.join(folder, "encoder.json"),
                                              os.path.join(folder, "vocab.bpe")).encode
    df = pd.read_csv(collection, sep="\t", header=None, names=["Label", "Text"])
    df = create_balanced_dataset(df)
    df["Label"] = df["Label"].map({"ham": 0, "spam": 1})
    print("/* Made by make_dataset.py with tokenizers", tokenizers.__version__ +
          "; do not edit.\n *\n * SPDX-License-Identifier: Apache-2.0 */\n/* clang-format off */")
    print("/* Texts, tokens a text, texts that were cut, hash of the ids, hash of the labels. */")
    print("static const struct {\n    size_t count;\n    int length;\n    size_t cut_count;\n"
          "    uint64_t tokens;\n    uint64_t labels;\n} golden_datasets[3] = {")
    length = None
    for part in random_split(df, 0.7, 0.1):
        ids = [encode(text).ids for text in part["Text"]]
        length = length or max(map(len, ids))
        cut = sum(len(i) > length for i in ids)
        rows = np.array([i[:length] + [50256] * (length - len(i)) for i in ids])
        print(f"    {{{len(ids)}, {length}, {cut}, 0x{fnv(rows.ravel()):016X}U,")
        print(f"     0x{fnv(part['Label'].to_numpy()):016X}U}},")
    print("};")


if __name__ == "__main__":
    main()

"""What make_corpus.py and make_corpus_model.py write their files with.

SPDX-License-Identifier: Apache-2.0
"""

import os

corpus = os.path.join(os.path.dirname(os.path.abspath(__file__)), "corpus")


def put(target, name, data):
    folder = os.path.join(corpus, target)
    os.makedirs(folder, exist_ok=True)
    with open(os.path.join(folder, name), "wb") as file:
        file.write(data if isinstance(data, bytes) else data.encode())


def files(*pairs):
    """Several files as one input: see fuzz_unpack() in fuzz.h."""
    return b"\n".join(
        b"=== " + name.encode() + b"\n" + (data if isinstance(data, bytes) else data.encode())
        for name, data in pairs
    )

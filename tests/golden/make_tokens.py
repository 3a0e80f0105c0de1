#!/usr/bin/env python3
"""Makes the tokenizer's golden files with Hugging Face tokenizers.

    make_tokens.py

tokens/vocab.json, merges.txt, tokenizer.json: a small vocabulary learned from tokens/train.txt.
tokens.json: texts (as hexadecimal UTF-8) with their ids in it, and in GPT-2's own vocabulary when
the shared data is there ($CLM_SHARED_DATA, default: the folder beside the checkout).
tokens/classes.txt: the code points that the pattern takes for letters (L), numbers (N) and white
space (S), as "L first last" in hexadecimal.
../fuzz/corpus/text_*: the first inputs of the fuzz targets.
Made with tokenizers 0.23.3.

SPDX-License-Identifier: Apache-2.0
"""
import json
import pathlib

from tokenizers import ByteLevelBPETokenizer, Tokenizer, pre_tokenizers

from compare_tokens import DATA, END, SURROGATES, random_strings

HERE = pathlib.Path(__file__).resolve().parent
CORPUS = HERE.parent / "fuzz" / "corpus"
VOCAB_SIZE = 400
MIN_FREQUENCY = 2

WRITTEN = [
    "", " ", "  ", "a", "Hello, world!", " hello", "hello ", "  two  spaces  ", "\n", "\n\n a\n",
    "\t\ttabs\t", "don't can't I'll we've you're she'd it's 'tis DON'T", "''''s", "a'sb",
    "12345 6 7", "3.14159, 1,000,000 and 50%", "x=1;y=2;//z", "<|endoftext|>", "a<|endoftext|>b",
    "na\u00efve caf\u00e9", "e\u0301 \u0301", "\u4f60\u597d\uff0c\u4e16\u754c",
    "\u0645\u0631\u062d\u0628\u0627", "\u0928\u092e\u0938\u094d\u0924\u0947",
    "\U0001f468\u200d\U0001f469\u200d\U0001f467 \U0001f44d\U0001f3fd", "\u00bd\u00b2\u2167\u0663",
    "\u00a0nbsp\u00a0", "\u2028line\u2029para", "\u3000wide\u3000\u3000", "a\u180eb \u180e",
    "\x85nel\x85", "\x1c\x1d\x1e\x1f fs", "\x00nul\x00\x00", "\u200b\ufeff",
    "\ufffd\uffff\U0010ffff", "\U000323af\U0001e5f0 \U00016d70\U00011de0", "a" * 300, " " * 300,
    "ab" * 200, "!" * 100, "\n" * 70 + "x", "the end of the texts that are written here",
]


def encode(tokenizer, texts):
    return [encoding.ids for encoding in tokenizer.encode_batch(texts)]


def main():
    lesson = (HERE / "tokens" / "train.txt").read_text()
    small = ByteLevelBPETokenizer()
    small.train_from_iterator([lesson], vocab_size=VOCAB_SIZE - 1, min_frequency=MIN_FREQUENCY,
                              show_progress=False)
    small.add_special_tokens([END])
    # A vocabulary of GPT-2's shape holds its special token too.
    folder = HERE / "tokens"
    small.save_model(str(folder))
    vocabulary = json.loads((folder / "vocab.json").read_text())
    vocabulary[END] = len(vocabulary)
    (folder / "vocab.json").write_text(json.dumps(vocabulary, ensure_ascii=False))
    small = ByteLevelBPETokenizer.from_file(str(folder / "vocab.json"), str(folder / "merges.txt"))
    plain = encode(small, WRITTEN)
    small.add_special_tokens([END])
    small.save(str(folder / "tokenizer.json"))

    texts = WRITTEN + random_strings(150, 20)
    small = ByteLevelBPETokenizer.from_file(str(folder / "vocab.json"), str(folder / "merges.txt"))
    rows = [{"text": text.encode().hex(), "small": ids} for text, ids in
            zip(texts, encode(small, texts), strict=True)]
    assert [row["small"] for row in rows[:len(plain)]] == plain
    gpt2 = DATA / "gpt2"
    large = ByteLevelBPETokenizer.from_file(str(gpt2 / "encoder.json"), str(gpt2 / "vocab.bpe"))
    for row, ids in zip(rows, encode(large, texts), strict=True):
        row["gpt2"] = ids
    (HERE / "tokens.json").write_text(
        "[" + ",\n".join(json.dumps(row, separators=(",", ":")) for row in rows) + "]\n")
    make_classes()
    make_corpus(lesson, texts)


def code_point_class(cut, c):
    for name, side in ("L", "a"), ("N", "1"), ("S", "-"):
        if (len(cut(side + c + side)) == 1) != (name == "S"):
            return name
    return None


def make_classes():
    cut = pre_tokenizers.ByteLevel(add_prefix_space=False).pre_tokenize_str
    ranges = []
    for code in range(0x110000):
        name = None if code in SURROGATES else code_point_class(cut, chr(code))
        if name is None:
            continue
        if ranges and ranges[-1][0] == name and ranges[-1][2] == code - 1:
            ranges[-1][2] = code
        else:
            ranges.append([name, code, code])
    (HERE / "tokens" / "classes.txt").write_text(
        "".join(f"{name} {first:X} {last:X}\n" for name, first, last in ranges))


def make_corpus(lesson, texts):
    tiny = ByteLevelBPETokenizer()
    tiny.train_from_iterator([lesson], vocab_size=270, min_frequency=2, show_progress=False)
    merges = [" ".join(pair) for pair in json.loads(tiny.to_str())["model"]["merges"]]
    vocabulary = {**tiny.get_vocab(), END: tiny.get_vocab_size()}
    vocabulary = dict(sorted(vocabulary.items(), key=lambda item: item[1]))
    tiny.add_special_tokens([END])
    for name in ("text_encode", "text_json", "text_pair"):
        (CORPUS / name).mkdir(parents=True, exist_ok=True)
    whole = json.loads(tiny.to_str())
    (CORPUS / "text_json" / "pairs.json").write_text(json.dumps(whole, ensure_ascii=False))
    whole["model"]["merges"] = merges
    (CORPUS / "text_json" / "strings.json").write_text(json.dumps(whole))
    Tokenizer.from_str(json.dumps(whole))
    (CORPUS / "text_pair" / "tiny.bin").write_bytes(
        json.dumps(vocabulary, ensure_ascii=False).encode() + b"\xff#version: 0.2\n"
        + "\n".join(merges).encode() + b"\n")
    (CORPUS / "text_encode" / "written.txt").write_bytes("\n".join(texts[:60]).encode())
    (CORPUS / "text_encode" / "invalid.bin").write_bytes(
        b"\xff\xfe ok \xc3(\xed\xa0\x80 \xf0\x9f\x98 end \x80\x80\x80  \xe2\x82 <|endoftext|>\xe2")


if __name__ == "__main__":
    main()

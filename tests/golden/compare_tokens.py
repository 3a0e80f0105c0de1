#!/usr/bin/env python3
"""Compares clm's tokens with Hugging Face tokenizers and tiktoken, and their speed.

    compare_tokens.py DRIVER [--strings 100000] [--seed 1] [--speed] [--opens FOLDER]
                             [--settings FOLDERS]

DRIVER is build/tests/text/token_driver. Reads the shared data from $CLM_SHARED_DATA (default: the
folder beside the checkout) and exits with 1 at the first kind of difference.
With --settings only: so many folders by chance with added tokens, roles and other settings, and 500
texts for each, as transformers reads them and as it reads what clm saves of them.
Needs: tokenizers, tiktoken; transformers for the settings and what clm saves.

SPDX-License-Identifier: Apache-2.0
"""
import argparse
import json
import os
import pathlib
import random
import statistics
import subprocess
import sys
import tempfile
import time

import tiktoken
import tiktoken.load
from make_tokenizers import (contents_of, random_case, random_text, transformers_ids, write_folder,
                             written_cases)
from tokenizers import ByteLevelBPETokenizer, Tokenizer
from transformers import AutoTokenizer

DATA = pathlib.Path(os.environ.get(
    "CLM_SHARED_DATA", pathlib.Path(__file__).resolve().parents[3] / "shared" / "data"))
PATTERN = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
SURROGATES = range(0xD800, 0xE000)
END = "<|endoftext|>"


def records(texts):
    encoded = [text.encode() for text in texts]
    return b"".join(b"%d\n%s" % (len(text), text) for text in encoded)


def drive(driver, folder, verb, texts, *arguments):
    output = subprocess.run([driver, folder, verb, *map(str, arguments)], input=records(texts),
                            stdout=subprocess.PIPE, check=True).stdout
    return output.decode().split("\n")[:-1]


def clm_encode(driver, folder, texts, verb="encode"):
    return [[int(i) for i in line.split()] for line in drive(driver, folder, verb, texts)]


def random_strings(count, seed):
    """Strings that mix what the pattern tells apart, from a seed."""
    draw = random.Random(seed)
    spaces = " \t\n\r\v\f\x85\xa0\u1680\u2003\u2028\u2029\u202f\u205f\u3000\u180e\u200b\x1c\x1f"
    ranges = [(0x20, 0x7E), (0x00, 0xFF), (0x100, 0x24F), (0x370, 0x5FF), (0x600, 0x6FF),
              (0x900, 0xDFF), (0x2000, 0x2BFF), (0x3040, 0x30FF), (0x4E00, 0x9FFF),
              (0xAC00, 0xD7A3), (0xFE00, 0xFFFF), (0x10000, 0x1FFFF), (0x1F300, 0x1FAFF),
              (0x0, 0x10FFFF)]
    words = ["'s", "'t", "'re", "'ve", "'m", "'ll", "'d", "'S", " the", " and", "ing", "2024",
             " 1,000", "!!!", " ...", "e\u0301", "\U0001F468\u200D\U0001F469", "a" * 70,
             " " * 70, END]

    def character(low, high):
        while True:
            code = draw.randint(low, high)
            if code not in SURROGATES:
                return chr(code)

    def part():
        kind = draw.random()
        if kind < 0.25:
            return "".join(draw.choice(spaces) for _ in range(draw.randint(1, 4)))
        if kind < 0.5:
            return draw.choice(words)
        low, high = draw.choice(ranges)
        return "".join(character(low, high) for _ in range(draw.randint(1, 6)))

    return ["".join(part() for _ in range(draw.randint(1, 12))) for _ in range(count)]


def code_point_strings():
    """Every code point alone, after a space, before one, and between letters, digits and marks."""
    for code in range(0x110000):
        if code not in SURROGATES:
            c = chr(code)
            yield f"{c}|{c}{c} {c}a{c}a1{c}1!{c}! {c} x  {c}\n{c}  "


def shared(name):
    """The text of a shared file, its line ends as they are."""
    return (DATA / name).read_bytes().decode()


def shared_texts():
    yield from shared("sms/SMSSpamCollection").splitlines(True)
    for name in ("sms/SMSSpamCollection", "text/the-verdict.txt", "instruct/instruction-data.json",
                 "gpt2/encoder.json", "gpt2/vocab.bpe", "README.md"):
        yield shared(name)
    for entry in json.loads(shared("instruct/instruction-data.json")):
        yield from entry.values()


def check(name, texts, ours, theirs):
    wrong = [i for i, (a, b) in enumerate(zip(ours, theirs, strict=True)) if a != b]
    print(f"{name}: {len(texts)} texts, {sum(map(len, theirs))} tokens, {len(wrong)} differ",
          flush=True)
    for i in wrong[:3]:
        print(f"  {texts[i]!r}\n  clm  {ours[i]}\n  peer {theirs[i]}")
    return not wrong


def compare(driver, folder, peers, count, seed):
    good = True
    sets = {"shared data": list(shared_texts()), "every code point": list(code_point_strings()),
            f"random strings, seed {seed}": random_strings(count, seed)}
    for name, texts in sets.items():
        ours = clm_encode(driver, folder, texts)
        for peer, encode in peers.items():
            good = check(f"{peer}, {name}", texts, ours, encode(texts)) and good
    return good


def compare_special(driver, folder, peer):
    texts = [END, f"a{END}b", f" {END} {END}{END}  x", "<|endoftext|", f"  {END}  "]
    peer.add_special_tokens([END])
    return check("tokenizers, special tokens", texts, clm_encode(driver, folder, texts, "special"),
                 [encoding.ids for encoding in peer.encode_batch(texts)])


def compare_training(driver):
    good = True
    sets = {"SMS": shared("sms/SMSSpamCollection").splitlines(),
            "the-verdict": [shared("text/the-verdict.txt")],
            "random": random_strings(2000, 7)}
    for name, texts in sets.items():
        for size, frequency in ((300, 1), (1000, 2), (5000, 2), (8000, 3)):
            peer = ByteLevelBPETokenizer()
            peer.train_from_iterator(texts, vocab_size=size - 1, min_frequency=frequency,
                                     show_progress=False)
            with tempfile.TemporaryDirectory() as folder:
                peer.save_model(folder)
                theirs = (pathlib.Path(folder) / "merges.txt").read_text()
                vocabulary = json.loads((pathlib.Path(folder) / "vocab.json").read_text())
            vocabulary[END] = len(vocabulary)
            with tempfile.TemporaryDirectory() as folder:
                drive(driver, folder, "train", texts, size, frequency)
                ours = (pathlib.Path(folder) / "merges.txt").read_text()
                same = ours == theirs and vocabulary == json.loads(
                    (pathlib.Path(folder) / "vocab.json").read_text())
                same = same and Tokenizer.from_file(folder + "/tokenizer.json").encode(
                    texts[0]).ids == peer.encode(texts[0]).ids
            print(f"training on {name}, size {size}, frequency {frequency}: "
                  f"{len(vocabulary)} tokens, {'equal' if same else 'DIFFERENT'}", flush=True)
            good = good and same
    return good


def compare_saved_folder(driver):
    """What clm saves, transformers opens."""
    texts = shared("sms/SMSSpamCollection").splitlines()
    with tempfile.TemporaryDirectory() as folder:
        drive(driver, folder, "train", texts, 2000, 2)
        peer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
        good = check("AutoTokenizer, a folder saved by clm", texts,
                     clm_encode(driver, folder, texts), peer(texts).input_ids)
        print(f"  {type(peer).__name__}, {len(peer)} tokens, end of text {peer.eos_token_id}")
        return good and len(peer) == 2000 and peer.eos_token_id == 1999


def compare_settings(driver, folders, seed):
    """Each folder as transformers reads it; and again, once clm has read and saved it."""
    draw = random.Random(seed)
    cases = written_cases()
    for i in range(folders):
        cases[f"by chance, {i}"] = random_case(draw)
    checked = differing = 0
    for name, files in cases.items():
        texts = random_strings(60, draw.random()) + [
            random_text(draw, contents_of(files)) for _ in range(440)]
        rows = transformers_ids(files, texts)
        texts = [row[0] for row in rows]
        with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryDirectory() as saved:
            write_folder(folder, files)
            drive(driver, folder, "save", [], saved)
            for path in folder, saved:
                for verb, column in ("special", 1), ("encode", 2):
                    ours = clm_encode(driver, path, texts, verb)
                    wrong = [i for i, ids in enumerate(ours) if ids != rows[i][column]]
                    checked += len(texts)
                    differing += len(wrong)
                    for i in wrong[:2]:
                        print(f"{name}, {verb}{', saved' if path == saved else ''}: {texts[i]!r}\n"
                              f"  clm  {ours[i]}\n  peer {rows[i][column]}")
            again = AutoTokenizer.from_pretrained(saved)
            for text, ids, split in rows:
                checked += 2
                got = again(text).input_ids, again(text, split_special_tokens=True).input_ids
                if got != (ids, split):
                    differing += 1
                    print(f"{name}, saved, in transformers: {text!r}\n  {got}\n  {ids, split}")
    print(f"settings: {len(cases)} folders, {checked} comparisons, {differing} differ", flush=True)
    return differing == 0


def speed(driver, folder, reference, opens):
    """Processor time, which others on the machine disturb less; the median of nine runs."""
    sms = shared("sms/SMSSpamCollection").splitlines()
    sets = {"SMS, a message each": sms, "SMS, whole": ["\n".join(sms)],
            "the-verdict, 20 times": 20 * [shared("text/the-verdict.txt")],
            "instruction data": [shared("instruct/instruction-data.json")]}
    runs = 9
    for name, texts in sets.items():
        size = sum(len(text.encode()) for text in texts) / 1e6
        theirs = []
        for _ in range(runs):
            start = time.process_time()
            for text in texts:
                reference.encode_ordinary(text)
            theirs.append(time.process_time() - start)
        ours = [float(line) for line in drive(driver, folder, "time", texts, runs)]
        ours, theirs = statistics.median(ours), statistics.median(theirs)
        print(f"speed, {name}: clm {size / ours:.1f} MB/s, tiktoken {size / theirs:.1f} MB/s, "
              f"{theirs / ours:.2f} times as fast")
    long = ["a" * 1_000_000]
    seconds = float(drive(driver, folder, "time", long, 1)[0])
    print(f"speed, a million times a: {1000 * seconds:.0f} ms")
    for path in [folder, *opens]:
        times = [float(t) for t in drive(driver, path, "open", [], 9)]
        print(f"opening {path}: median {1000 * statistics.median(times):.1f} ms")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("driver")
    parser.add_argument("--strings", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--speed", action="store_true", help="only measure")
    parser.add_argument("--opens", nargs="*", default=[], help="further folders to time opening")
    parser.add_argument("--settings", type=int, metavar="FOLDERS")
    arguments = parser.parse_args()
    if arguments.settings is not None:
        return 0 if compare_settings(arguments.driver, arguments.settings, arguments.seed) else 1
    folder = str(DATA / "gpt2")
    files = folder + "/encoder.json", folder + "/vocab.bpe"
    hugging_face = ByteLevelBPETokenizer.from_file(*files)
    # Bytes ranks, as tiktoken's own loader makes them of the same two files.
    reference = tiktoken.Encoding(
        "gpt2", explicit_n_vocab=50257, pat_str=PATTERN, special_tokens={END: 50256},
        mergeable_ranks=tiktoken.load.data_gym_to_mergeable_bpe_ranks(
            vocab_bpe_file=files[1], encoder_json_file=files[0]))
    if arguments.speed:
        speed(arguments.driver, folder, reference, arguments.opens)
        return 0
    peers = {"tokenizers": lambda texts: [e.ids for e in hugging_face.encode_batch(texts)],
             "tiktoken": lambda texts: [reference.encode_ordinary(text) for text in texts]}
    good = compare(arguments.driver, folder, peers, arguments.strings, arguments.seed)
    good = compare_special(arguments.driver, folder, hugging_face._tokenizer) and good
    good = compare_training(arguments.driver) and good
    good = compare_saved_folder(arguments.driver) and good
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())

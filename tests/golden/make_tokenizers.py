#!/usr/bin/env python3
"""Lets transformers read folders with settings of many kinds, and writes what it makes of them.

    make_tokenizers.py

tokenizers.json: folders (their files, with marks where the vocabulary and merges of tokens/ go),
and for each some texts (as hexadecimal UTF-8) with their ids: as tokenizer(text) gives them, and as
tokenizer(text, split_special_tokens=True) does. Made with transformers 5.24.0, tokenizers 0.23.3.
compare_tokens.py --settings makes further folders by chance, and many more texts.

SPDX-License-Identifier: Apache-2.0
"""
import copy
import json
import os
import pathlib
import random
import tempfile

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")

HERE = pathlib.Path(__file__).resolve().parent
TOKENS = HERE / "tokens"
END = "<|endoftext|>"
VOCAB = json.loads((TOKENS / "vocab.json").read_text())
MERGES = [line.split(" ") for line in (TOKENS / "merges.txt").read_text().splitlines()[1:]]
GPT2 = {"model_type": "gpt2", "architectures": ["GPT2ForSequenceClassification"]}
FLAGS = ("single_word", "lstrip", "rstrip", "normalized", "special")
# The second half are texts that the vocabulary has names for: its bytes and words.
CONTENTS = ["<url>", "@USER", "@", "<u", "<url><url>", "  ", "\n", "<|endoftext|>x", "\u65e5\u672c",
            "a b", "##", "[MASK]", "\u00a0", "x" * 30, "<pad>", " the", "na\u00efve", "@USERs", "_",
            "1", "the", "\u0120the", "\u00e9", "e", "th", "'s", "\u0120", END]


def added(content, token_id, special=False, **flags):
    token = {"id": token_id, "content": content, "single_word": False, "lstrip": False,
             "rstrip": False, "normalized": not special, "special": special}
    return {**token, **flags}


def without_id(token):
    return {name: value for name, value in token.items() if name != "id"}


def tokenizer_json(tokens=(), merges="pairs", prefix=False, processor=None, sequence=False,
                   **model):
    cut = {"type": "ByteLevel", "add_prefix_space": prefix, "trim_offsets": True, "use_regex": True}
    return {
        "version": "1.0", "truncation": None, "padding": None, "added_tokens": list(tokens),
        "normalizer": None,
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": [cut]} if sequence else cut,
        "post_processor": processor, "decoder": {**cut, "add_prefix_space": True},
        "model": {"type": "BPE", "dropout": None, "unk_token": None,
                  "continuing_subword_prefix": "", "end_of_word_suffix": "", "fuse_unk": False,
                  "byte_fallback": False, "ignore_merges": False, **model,
                  "vocab": "@VOCAB@", "merges": f"@{merges.upper()}@"}}


def template(before, behind):
    def piece(name):
        return {"SpecialToken": {"id": name, "type_id": 0}}
    text = [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}]
    return {"type": "TemplateProcessing",
            "single": [*map(piece, before), text[0], *map(piece, behind)], "pair": text,
            "special_tokens": {name: {"id": name, "ids": [number], "tokens": [name]}
                               for name, number in {**before, **behind}.items()}}


END_TOKEN = added(END, VOCAB[END], special=True)


def written_cases():
    """Folders by hand: name -> {file: contents}."""
    url, user = added("<url>", 400), added("@USER", 401)
    bytes_only = {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": False,
                  "use_regex": True}
    pair = {"vocab.json": "@VOCAB@", "merges.txt": "@MERGES.TXT@", "config.json": GPT2}

    def config(**members):
        return {"tokenizer_class": "GPT2Tokenizer", **members}

    cases = {
        "tokenizer.json alone": {"tokenizer.json": tokenizer_json([END_TOKEN])},
        "added tokens": {"tokenizer.json": tokenizer_json([END_TOKEN, url, user])},
        "added tokens, GPT2Tokenizer": {"tokenizer.json": tokenizer_json([END_TOKEN, url, user]),
                                        "tokenizer_config.json": config()},
        "added_tokens_decoder hides tokenizer.json's": {
            "tokenizer.json": tokenizer_json([END_TOKEN, url]),
            "tokenizer_config.json": config(added_tokens_decoder={
                "399": without_id(END_TOKEN), "400": without_id(added("@USER", 400))})},
        "added_tokens_decoder beside tokenizer.json's": {
            "tokenizer.json": tokenizer_json([END_TOKEN, url]),
            "tokenizer_config.json": {
                "tokenizer_class": "PreTrainedTokenizerFast",
                "added_tokens_decoder": {"401": without_id(user)}}},
        "flags of added_tokens_decoder win": {
            "tokenizer.json": tokenizer_json([END_TOKEN, url]),
            "tokenizer_config.json": {
                "tokenizer_class": "PreTrainedTokenizerFast", "added_tokens_decoder": {
                    "400": without_id(added("<url>", 400, special=True, lstrip=True))}}},
        "added_tokens.json": {**pair, "added_tokens.json": {"@USER": 401, "<url>": 400}},
        "added_tokens.json and roles": {
            **pair, "added_tokens.json": {"<pad>": 400, "<url>": 401},
            "special_tokens_map.json": {"pad_token": "<pad>", "eos_token": {
                "content": END, "lstrip": True, "rstrip": False, "normalized": True,
                "single_word": False}}},
        "added_tokens.json and tokenizer.json": {
            "tokenizer.json": tokenizer_json([END_TOKEN, url]), "config.json": GPT2,
            "added_tokens.json": {"<url>": 400, "@USER": 401}},
        "a role makes a listed token special": {
            "tokenizer.json": tokenizer_json([END_TOKEN, added("<pad>", 400)]),
            "tokenizer_config.json": config(pad_token="<pad>")},
        "new roles": {
            "tokenizer.json": tokenizer_json([END_TOKEN]), "tokenizer_config.json": config(
                pad_token="<pad>", mask_token="[MASK]",
                additional_special_tokens=["<url>", "##"], image_token="@USER")},
        "new roles of another class": {
            "tokenizer.json": tokenizer_json([END_TOKEN]), "tokenizer_config.json": {
                "tokenizer_class": "TokenizersBackend", "pad_token": "<pad>",
                "extra_special_tokens": {"image_token": "<url>"}}},
        "roles as objects": {**pair, "tokenizer_config.json": config(
            unk_token={"__type": "AddedToken", "content": END, "lstrip": False, "normalized": True,
                       "rstrip": False, "single_word": False})},
        "prefix space in tokenizer.json": {
            "tokenizer.json": tokenizer_json([END_TOKEN], prefix=True)},
        "prefix space in tokenizer.json, GPT2Tokenizer": {
            "tokenizer.json": tokenizer_json([END_TOKEN], prefix=True), "config.json": GPT2},
        "prefix space in both": {"tokenizer.json": tokenizer_json([END_TOKEN, url], prefix=True),
                                 "tokenizer_config.json": config(add_prefix_space=True)},
        "prefix space in a pair": {**pair, "tokenizer_config.json": config(add_prefix_space=True)},
        "prefix space in a generic config": {
            "tokenizer.json": tokenizer_json([END_TOKEN]), "tokenizer_config.json": {
                "tokenizer_class": "PreTrainedTokenizerFast", "add_prefix_space": True}},
        "config.json names the class": {
            "tokenizer.json": tokenizer_json([END_TOKEN], prefix=True),
            "config.json": {**GPT2, "tokenizer_class": "PreTrainedTokenizerFast"}},
        "BOS and EOS": {"tokenizer.json": tokenizer_json(
            [END_TOKEN, url], processor=template({END: 399}, {"<url>": 400, END: 399}))},
        "BOS in a Sequence, GPT2Tokenizer": {
            "config.json": GPT2, "tokenizer.json": tokenizer_json(
                [END_TOKEN], processor={"type": "Sequence", "processors": [
                    bytes_only, template({END: 399}, {})]})},
        "ByteLevel after": {"tokenizer.json": tokenizer_json([END_TOKEN], processor=bytes_only)},
        "add_bos_token with tokenizer.json": {
            "tokenizer.json": tokenizer_json([END_TOKEN]),
            "tokenizer_config.json": config(add_bos_token=True, add_eos_token=True)},
        "add_bos_token of a pair": {**pair, "tokenizer_config.json": config(add_bos_token=True)},
        "add_eos_token of a pair": {**pair, "tokenizer_config.json": config(
            add_eos_token=True, eos_token="<url>")},
        "merges as strings": {"tokenizer.json": tokenizer_json([END_TOKEN], merges="strings")},
        "ignore_merges": {"tokenizer.json": tokenizer_json([END_TOKEN], ignore_merges=True)},
        "a Sequence of ByteLevel": {"tokenizer.json": tokenizer_json([END_TOKEN], sequence=True)},
        "byte_fallback, unk_token, fuse_unk": {"tokenizer.json": tokenizer_json(
            [END_TOKEN], byte_fallback=True, unk_token=END, fuse_unk=True)},
        "truncation and padding": {"tokenizer.json": {
            **tokenizer_json([END_TOKEN]),
            "truncation": {"direction": "Right", "max_length": 3, "strategy": "LongestFirst",
                           "stride": 0},
            "padding": {"strategy": {"Fixed": 9}, "direction": "Left", "pad_to_multiple_of": None,
                        "pad_id": 399, "pad_type_id": 0, "pad_token": END}}},
        "split_special_tokens": {"tokenizer.json": tokenizer_json([END_TOKEN, url]),
                                 "tokenizer_config.json": config(model_max_length=7)},
    }
    for flag in ("single_word", "lstrip", "rstrip"):
        for special in (False, True):
            cases[f"{flag}, {'special' if special else 'normal'}"] = {
                "tokenizer.json": tokenizer_json([END_TOKEN, *(
                    added(content, token_id, special, **{flag: True}) for content, token_id in
                    (("<url>", 400), ("@USER", 401), ("_", VOCAB["_"])))])}
    return cases


def random_case(draw):
    """A folder by chance: added tokens with flags by chance, in one place or another."""
    contents = draw.sample(CONTENTS, draw.randint(1, 9))
    tokens = []
    for content in contents:
        flags = {flag: draw.random() < 0.3 for flag in FLAGS}
        fresh = sum(token["id"] >= 400 for token in tokens)
        tokens.append({**added(content, VOCAB.get(content, 400 + fresh)), **flags})
    gpt2 = draw.random() < 0.5
    prefix = [draw.random() < 0.3, draw.random() < 0.3]
    config = {"add_prefix_space": prefix[0]}
    config["tokenizer_class"] = ("GPT2Tokenizer" if gpt2 else "PreTrainedTokenizerFast") + (
        "Fast" if gpt2 and draw.random() < 0.3 else "")
    # GPT2Tokenizer gives END roles, which make it special wherever it is.
    files = {"tokenizer_config.json": config}
    if draw.random() < 0.3:
        config["pad_token"] = draw.choice(contents)
    place = draw.random()
    if place < 0.4:
        config["added_tokens_decoder"] = {str(t["id"]): without_id(t) for t in tokens}
    elif place < 0.6 and gpt2:
        files["added_tokens.json"] = {t["content"]: t["id"] for t in tokens}
        if draw.random() < 0.5:
            files["special_tokens_map.json"] = {"additional_special_tokens": contents[:2]}
    else:
        place = 1
    if gpt2 and draw.random() < 0.3 and place < 1:
        files.update({"vocab.json": "@VOCAB@", "merges.txt": "@MERGES.TXT@"})
        config["add_bos_token"] = draw.random() < 0.5
        return files
    processor = None
    if draw.random() < 0.3:
        processor = template({END: 399} if draw.random() < 0.7 else {}, {END: 399})
    files["tokenizer.json"] = tokenizer_json(
        tokens if place == 1 or draw.random() < 0.5 else [], prefix=prefix[1], processor=processor,
        merges=draw.choice(("pairs", "strings")), ignore_merges=not gpt2 and draw.random() < 0.3)
    return files


def write_folder(folder, files):
    """Puts the vocabulary where its marks stand."""
    for name, contents in files.items():
        contents = copy.deepcopy(contents)
        if contents == "@VOCAB@":
            contents = VOCAB
        if name == "tokenizer.json":
            strings = contents["model"]["merges"] == "@STRINGS@"
            contents["model"]["vocab"] = VOCAB
            contents["model"]["merges"] = [" ".join(m) for m in MERGES] if strings else MERGES
        text = ((TOKENS / "merges.txt").read_text() if contents == "@MERGES.TXT@"
                else json.dumps(contents, ensure_ascii=False))
        (pathlib.Path(folder) / name).write_text(text)


def contents_of(files):
    """All texts that some file names as a token."""
    found = set()

    def walk(value):
        if isinstance(value, dict):
            for name, inner in value.items():
                if name == "content" or name.endswith("_token") and isinstance(inner, str):
                    found.add(inner if isinstance(inner, str) else inner["content"])
                walk(inner)
        elif isinstance(value, list):
            for inner in value:
                walk(inner)

    walk({name: value for name, value in files.items() if isinstance(value, dict)})
    found.update(files.get("added_tokens.json", {}))
    for name in ("tokenizer_config.json", "special_tokens_map.json"):
        found.update(files.get(name, {}).get("additional_special_tokens", []))
    return sorted(found - {""}) or ["<url>"]


def random_text(draw, contents):
    """Added tokens, whole and cut, among words, spaces and what else the pattern tells apart."""
    spaces = [" ", "  ", "\n", "\t", "\u00a0", "\u3000", "\r\n", " \u2003"]
    words = ["the", " the", " cat", "s", "x", "_", "9", "\u00e9", "e\u0301", "\u65e5\u672c", "'s",
             "!", "<", ">", "@", "#", "\U0001f44d", "\u0903", "\u203f", "\u24b6", "\u0120the",
             "ing"]
    parts = []
    for _ in range(draw.randint(0, 9)):
        kind = draw.random()
        if kind < 0.4:
            parts.append(draw.choice(contents + [END]))
        elif kind < 0.5:
            content = draw.choice(contents + [END])
            parts.append(content[:draw.randint(0, len(content))])
        elif kind < 0.75:
            parts.append(draw.choice(spaces))
        else:
            parts.append(draw.choice(words))
    return "".join(parts)


def transformers_ids(files, texts):
    """(text, ids, ids with special tokens as text), for the texts that tokenizers can read:
    where one token strips the space that another would strip too, it gives up."""
    from transformers import AutoTokenizer
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        write_folder(folder, files)
        tokenizer = AutoTokenizer.from_pretrained(folder)
        for text in texts:
            try:
                rows.append((text, tokenizer(text).input_ids,
                             tokenizer(text, split_special_tokens=True).input_ids))
            except BaseException as panic:  # Rust's panics are no Exception
                if type(panic).__name__ != "PanicException":
                    raise
    return rows


def main():
    draw = random.Random(12)
    cases = written_cases()
    for i in range(45):
        cases[f"by chance, {i}"] = random_case(draw)
    rows = []
    for name, files in cases.items():
        texts = ["", " ", "the cat"] + [random_text(draw, contents_of(files)) for _ in range(14)]
        rows.append({"name": name, "files": files, "texts": [
            {"text": text.encode().hex(), "ids": a, **({"split": b} if a != b else {})}
            for text, a, b in transformers_ids(files, texts)]})
    (HERE / "tokenizers.json").write_text(
        "[" + ",\n".join(json.dumps(row, separators=(",", ":")) for row in rows) + "]\n")
    print(len(rows), "folders,", sum(len(row["texts"]) for row in rows), "texts")


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
"""Writes the files of tests/fuzz/corpus/ that are binary, begin with a byte of options, or are put
together from several files: python3 tests/fuzz/make_corpus.py. The others are texts by hand.

SPDX-License-Identifier: Apache-2.0
"""

import io
import json
import struct
import zipfile

import make_corpus_model
from corpus_files import files, put


def alphabet():
    """GPT-2's characters for bytes (Radford et al. 2019): printable ones stand for themselves, the
    others for the characters from U+0100 on."""
    own = list(range(33, 127)) + list(range(161, 173)) + list(range(174, 256))
    rest = [byte for byte in range(256) if byte not in own]
    return [chr(byte) for byte in own] + [chr(256 + i) for i in range(len(rest))]


merges = [
    ("a", "a"),
    ("t", "h"),
    ("th", "a"),
    ("\u0120", "i"),
    ("\u010a", "\u010a"),
    ("\u00c3", "\u00a9"),
]
vocab = {c: i for i, c in enumerate(alphabet())}
for left, right in merges:
    vocab[left + right] = len(vocab)
end_of_text = {
    "id": len(vocab),
    "content": "<|endoftext|>",
    "single_word": False,
    "lstrip": False,
    "rstrip": False,
    "normalized": False,
    "special": True,
}


def tokenizer(**members):
    model = {
        "type": "BPE",
        "dropout": None,
        "unk_token": None,
        "continuing_subword_prefix": "",
        "end_of_word_suffix": "",
        "fuse_unk": False,
        "byte_fallback": False,
        "ignore_merges": False,
        "vocab": vocab,
        "merges": ["%s %s" % m for m in merges],
    }
    model.update(members.pop("model", {}))
    base = {
        "version": "1.0",
        "added_tokens": [end_of_text],
        "normalizer": None,
        "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": False, "use_regex": True},
        "post_processor": {"type": "ByteLevel"},
        "decoder": {"type": "ByteLevel"},
    }
    base.update(members)
    if isinstance(model, dict):
        base["model"] = {k: v for k, v in model.items() if v is not ...}
    return json.dumps({k: v for k, v in base.items() if v is not ...}, ensure_ascii=False)


def make_settings(one, added):
    """Folders of text_json with files beside tokenizer.json."""

    def beside(name, config=None, special_map=None, others=(), **members):
        pairs = [("tokenizer_config.json", config), ("special_tokens_map.json", special_map)]
        pairs = [pair for pair in [*pairs, *others] if pair[1] is not None]
        one(name, *((file, json.dumps(data)) for file, data in pairs), **members)

    end = "<|endoftext|>"
    gpt2 = {"tokenizer_class": "GPT2Tokenizer"}
    fast = {"tokenizer_class": "PreTrainedTokenizerFast"}
    new = len(vocab) + 1
    url = {"content": "<url>", "special": False, "normalized": True}
    decoder = {str(len(vocab)): {**end_of_text, "id": None}, str(new): url}
    beside("decoder", {**gpt2, "added_tokens_decoder": decoder})
    beside("decoder_fast", {**fast, "added_tokens_decoder": decoder, "pad_token": "[PAD]"})
    beside("decoder_list", {**gpt2, "added_tokens_decoder": []})
    beside("decoder_id", {**gpt2, "added_tokens_decoder": {"x1": url}})
    beside("decoder_large", {**gpt2, "added_tokens_decoder": {"9" * 30: url}})
    beside("decoder_hole", {**gpt2, "added_tokens_decoder": {str(new + 7): url}})
    beside("decoder_no_content", {**gpt2, "added_tokens_decoder": {"4": {"special": True}}})
    flags = {"content": "it", "lstrip": True, "rstrip": True, "single_word": True}
    beside("named_flags", {**gpt2, "mask_token": {"__type": "AddedToken", **flags}})
    beside("named_number", {**gpt2, "mask_token": 3})
    beside("named_empty", {**gpt2, "mask_token": "", "pad_token": None})
    beside("named_other", {**gpt2, "image_token": "<image>", "sep_token": end})
    beside(
        "lists",
        {
            **gpt2,
            "additional_special_tokens": ["<a>", {"content": "<b>", "normalized": True}],
            "extra_special_tokens": {"c_token": "<c>", "d": end},
            "model_specific_special_tokens": {"e": "<a>"},
        },
    )
    beside("lists_text", {**gpt2, "additional_special_tokens": "<a>"})
    beside("map", gpt2, {"unk_token": {"content": "<unk>"}, "additional_special_tokens": ["<a>"]})
    beside("map_list", gpt2, ["x"])
    beside("map_extra", fast, {"extra_special_tokens": ["<a>", "<b>"]})
    beside("added", gpt2, {"pad_token": "<p>"}, [("added_tokens.json", {"<p>": new, "u": new + 1})])
    beside("added_list", None, None, [("added_tokens.json", [])])
    beside("added_text", None, None, [("added_tokens.json", {"<p>": "1"})])
    beside("added_hole", gpt2, None, [("added_tokens.json", {"<p>": new + 9})])
    beside("added_empty", gpt2, None, [("added_tokens.json", {"": new})])
    beside("class_other", {"tokenizer_class": "LlamaTokenizer"})
    beside("class_number", {"tokenizer_class": 1})
    beside("class_config", {}, None, [("config.json", {"tokenizer_class": "GPT2TokenizerFast"})])
    beside("class_model", {}, None, [("config.json", {"model_type": "gpt2"})])
    beside("class_refused", None, None, [("config.json", {"tokenizer_class": "BertTokenizer"})])
    beside("config_list", [])
    beside("config_vocab", {**gpt2, "vocab": {"a": 0}})
    beside("config_inputs", {**gpt2, "init_inputs": [], "add_eos_token": True, "eos_token": end})
    beside("config_prefix", {**gpt2, "add_prefix_space": True, "model_max_length": 1e30})
    beside("config_prefix_text", {**gpt2, "add_prefix_space": "yes"})
    overlapping = ["that", "hat", "at", "t", "that\u00e9", "<|end", "@US"]
    beside(
        "overlapping",
        fast,
        added_tokens=[end_of_text]
        + [
            added(id=new + i, content=word, special=i % 2 == 0, normalized=i % 3 == 0)
            for i, word in enumerate(overlapping)
        ],
    )
    beside(
        "space_token",
        fast,
        added_tokens=[
            end_of_text,
            added(id=new, content=" ", lstrip=True, rstrip=True, special=False),
            added(id=new + 1, content="12", single_word=True, special=False),
            added(id=new + 2, content="\u00e9", single_word=True, lstrip=True),
        ],
    )


def make_tokenizers():
    t = "text_json"

    def one(name, *others, **members):
        put(t, name, files(("tokenizer.json", tokenizer(**members)), *others))

    def added(**members):
        return {**end_of_text, **members}

    one("plain")
    one("pairs", model={"merges": [list(m) for m in merges]})
    one("ignore_merges", model={"ignore_merges": True})
    one("no_specials", added_tokens=[])
    one("two_specials", added_tokens=[end_of_text, added(id=len(vocab) + 1, content="[MASK]")])
    one(
        "not_special",
        added_tokens=[
            end_of_text,
            added(id=len(vocab) + 1, content="<url>", special=False),
            added(id=len(vocab) + 2, content="@USER", special=False, normalized=True),
        ],
    )
    one(
        "strips",
        added_tokens=[
            added(lstrip=True, rstrip=True),
            added(id=len(vocab) + 1, content="it", single_word=True),
        ],
    )
    one("special_word", added_tokens=[added(id=vocab["tha"], content="tha")])
    one("hole", added_tokens=[added(id=len(vocab) + 3)])
    one("beyond", added_tokens=[added(id=2000000000)])
    one("taken", added_tokens=[added(id=3)])
    one("empty_special", added_tokens=[added(content="")])
    one("no_id", added_tokens=[{"content": "x"}])
    one("added_object", added_tokens={})
    one("normalizer", normalizer={"type": "Lowercase"})
    one("prefix_space", pre_tokenizer={"type": "ByteLevel", "add_prefix_space": True})
    one("prefix_default", pre_tokenizer={"type": "ByteLevel"})
    one(
        "no_regex",
        pre_tokenizer={"type": "ByteLevel", "add_prefix_space": False, "use_regex": False},
    )
    one("whitespace", pre_tokenizer={"type": "Whitespace"})
    one(
        "template",
        post_processor={
            "type": "TemplateProcessing",
            "single": [
                {"SpecialToken": {"id": "<|endoftext|>", "type_id": 0}},
                {"Sequence": {"id": "A", "type_id": 0}},
            ],
            "pair": [],
            "special_tokens": {
                "<|endoftext|>": {
                    "id": "<|endoftext|>",
                    "ids": [len(vocab)],
                    "tokens": ["<|endoftext|>"],
                }
            },
        },
    )
    one(
        "template_end",
        post_processor={
            "type": "TemplateProcessing",
            "single": [
                {"Sequence": {"id": "A", "type_id": 0}},
                {"SpecialToken": {"id": "<|endoftext|>", "type_id": 0}},
            ],
            "pair": [],
            "special_tokens": {
                "<|endoftext|>": {
                    "id": "<|endoftext|>",
                    "ids": [len(vocab)],
                    "tokens": ["<|endoftext|>"],
                }
            },
        },
    )
    one("wordpiece", model={"type": "WordPiece"})
    one("dropout", model={"dropout": 0.1})
    one("suffix", model={"end_of_word_suffix": "</w>"})
    one("byte_fallback", model={"byte_fallback": True})
    one("no_vocab", model={"vocab": ...})
    one("no_merges", model={"merges": ...})
    one("merge_unknown", model={"merges": ["q zz"]})
    one("merge_unmade", model={"merges": ["q z"]})
    one("merge_three", model={"merges": ["a a a"]})
    one("merge_one", model={"merges": ["a"]})
    one("merge_twice", model={"merges": ["a a", "a a"]})
    one("id_twice", model={"vocab": {**vocab, "aa": 3}})
    one("id_fraction", model={"vocab": {**vocab, "aa": 0.5}})
    one("id_text", model={"vocab": {**vocab, "aa": "1"}})
    one("no_byte", model={"vocab": {"a": 0}})
    one("empty_token", model={"vocab": {**vocab, "": 900}})
    one("nul", model={"vocab": {**vocab, "a\0": len(vocab)}})
    one("token_names", model={"vocab": {**vocab, "<|endoftext|>": len(vocab)}})
    one("ambiguous", added_tokens=[end_of_text, added(id=len(vocab) + 1, content="\u0120x")])
    one(
        "settings",
        (
            "tokenizer_config.json",
            json.dumps(
                {
                    "tokenizer_class": "GPT2Tokenizer",
                    "add_prefix_space": False,
                    "bos_token": "<|endoftext|>",
                    "model_max_length": 1024,
                    "pad_token": "<|endoftext|>",
                }
            ),
        ),
        ("special_tokens_map.json", json.dumps({"bos_token": "<|endoftext|>"})),
    )
    one(
        "settings_bos",
        (
            "tokenizer_config.json",
            json.dumps(
                {
                    "tokenizer_class": "GPT2Tokenizer",
                    "add_bos_token": True,
                    "bos_token": {"content": "<|endoftext|>"},
                }
            ),
        ),
    )
    make_settings(one, added)
    put(t, "list", files(("tokenizer.json", "[]")))
    put(t, "model_list", files(("tokenizer.json", '{"model":[]}')))
    put(
        t,
        "no_model",
        files(
            ("tokenizer.json", '{"pre_tokenizer":{"type":"ByteLevel","add_prefix_space":false}}')
        ),
    )
    put(t, "deep", files(("tokenizer.json", "[" * 3000)))

    t = "text_pair"
    pair = json.dumps({**vocab, "<|endoftext|>": len(vocab)}, ensure_ascii=False)
    lines = "".join("%s %s\n" % m for m in merges)
    put(t, "vocab", files(("vocab.json", pair), ("merges.txt", "#version: 0.2\n" + lines)))
    put(
        t,
        "marks",
        files(
            ("vocab.json", "\ufeff" + pair),
            ("merges.txt", "\ufeff#version: 0.2\n" + lines),
            ("tokenizer_config.json", '\ufeff{"pad_token":"<|endoftext|>"}'),
            ("special_tokens_map.json", '\ufeff{"unk_token":"<|endoftext|>"}'),
            ("config.json", '{"model_type":"gpt2"}'),
        ),
    )
    put(t, "marked_nul", files(("vocab.json", pair + "\0"), ("merges.txt", lines)))
    put(t, "encoder", files(("encoder.json", pair), ("vocab.bpe", lines)))
    put(t, "crlf", files(("vocab.json", pair), ("merges.txt", lines.replace("\n", "\r\n"))))
    put(
        t,
        "added",
        files(
            ("vocab.json", pair),
            ("merges.txt", lines),
            ("added_tokens.json", json.dumps({"<url>": len(vocab) + 1})),
        ),
    )
    put(t, "blank_line", files(("vocab.json", pair), ("merges.txt", "a a\n\nt h\n")))
    put(t, "three", files(("vocab.json", pair), ("merges.txt", "a a a\n")))
    put(t, "unknown_left", files(("vocab.json", pair), ("merges.txt", "zz a\n")))
    put(t, "unknown_right", files(("vocab.json", pair), ("merges.txt", "a " + "zz" * 30 + "\n")))
    put(t, "unmade", files(("vocab.json", pair), ("merges.txt", "z q\n")))
    put(t, "long_name", files(("vocab.json", pair), ("merges.txt", "\u0100" * 60 + "\n")))
    put(t, "escapes", files(("vocab.json", pair), ("merges.txt", "\x01" * 40 + "\n")))
    put(t, "twice", files(("vocab.json", pair), ("merges.txt", "a a\na a\n")))
    put(t, "no_merges", files(("vocab.json", pair), ("merges.txt", "")))
    put(t, "only_vocab", files(("vocab.json", pair)))
    put(t, "nothing", files(("other.txt", "x")))
    put(t, "hole", files(("vocab.json", json.dumps({"a": 0, "b": 2})), ("merges.txt", "")))
    put(
        t, "beyond", files(("vocab.json", json.dumps({"a": 0, "b": 2000000})), ("merges.txt", ""))
    )
    put(t, "same_id", files(("vocab.json", json.dumps({"a": 0, "b": 0})), ("merges.txt", "")))
    put(t, "fraction", files(("vocab.json", json.dumps({"a": 0.5})), ("merges.txt", "")))
    put(t, "empty", files(("vocab.json", json.dumps({"": 0})), ("merges.txt", "")))
    put(t, "list", files(("vocab.json", "[]"), ("merges.txt", "")))
    put(t, "few", files(("vocab.json", json.dumps({"a": 0})), ("merges.txt", "")))
    put(t, "nul", files(("vocab.json", '{"a\\u0000":0}'), ("merges.txt", "")))
    put(t, "escaped_nul", files(("vocab.json", '{"\\\\u0000":0}'), ("merges.txt", "")))


def make_tables():
    t = "data_table"
    csv, jsonl, json_, tsv = 0, 2, 4, 6  # the file's name
    known, present, absent, asked = 1, 8, 16, 64  # labels ham and spam; header; columns

    def one(name, options, text):
        data = text if isinstance(text, bytes) else text.encode()
        put(t, name, bytes([options]) + data)

    one("collection", tsv, 'ham\tHi, you\nspam\t"Win\n""now"""\n')
    one("quotes", csv, 'Label,Text\n0,"a ""b"""\r\n1,c\n')
    one("known", csv | known, 'label,text\nham,a\nspam,b\n0,c\r1,d\r\n\n \t\nham,"e"f\n')
    one("known_not", csv | known, "label,text\nham,a\neggs,b\n")
    one("known_number", csv | known, "label,text\n0,a\n7,b\n")
    one("lines", jsonl, '{"text":"a\\u00e9","label":"ham"}\n{"text":"b","label":1}\n\n')
    one("lines_json", json_, '{"text":"a","label":"ham"}\n{"text":"b","label":"spam"}\n')
    one("array", json_, '[{"text":"a","label":0},{"text":"b","label":1}]')
    one("array_deep", json_, "[" * 2000)
    one("json_columns", json_, '{"text":{"0":"a","1":"b"},"label":{"0":1,"1":true}}')
    one("json_lists", json_, '{"label":["x","y"],"text":["a","b"]}')
    one("json_keys_differ", json_, '{"text":{"0":"a","1":"b"},"label":{"0":1,"2":2}}')
    one("json_index", json_, '{"0":{"text":"a","label":"x"},"1":{"text":"b","label":"y"}}')
    one(
        "json_split",
        json_,
        '{"columns":["label","text"],"index":[0,1],"data":[["x","a"],["y","b"]]}',
    )
    one("json_split_short", json_, '{"columns":["label","text"],"data":[["x","a"],["y"]]}')
    one(
        "json_table",
        json_,
        '{"schema":{"fields":[]},"data":[{"text":"a","label":-1.5},\n'
        '{"text":"b","label":"x"}]}',
    )
    one("json_values", json_, '[["a",0],["b",1]]')
    one("json_row", json_, '{"text":"a","label":0}')
    one("json_break", json_, '[{"text":"a","label":0}, {"text":"b"')
    one("own", csv, "Label,Text,Name\n0,a,x\n1,b,3\n0,c,x\n")
    one("own_known", csv | known, "Label,Text,Name\n1,a,ham\n0,b,spam\n")
    one("own_number_twice", csv, "Label,Text,Name\n0,a,x\n1,b,y\n0,c,z\n")
    one("own_name_twice", csv, "Label,Text,Name\n0,a,x\n1,b,y\n2,c,y\n")
    one("own_no_name", csv, "Label,Text,Name\n0,a,x\n1,b,\n")
    one("not_own", csv, "Label,Text,Name\nx,a,Ann\ny,b,Bob\n")
    one("texts_first", tsv, "".join(f"text {i}\tclass{i % 2}\n" for i in range(8)))
    one("texts_repeat", tsv, "".join(f"text {i % 3}\tclass{i % 2}\n" for i in range(8)))
    one("header_unknown", tsv, "mood\treview\n" + "".join(f"c{i % 2}\tx{i}\n" for i in range(8)))
    one("header_unknown_known", tsv | known, "mood\treview\nham\ta\n")
    one("many_single", csv, "label,text\n" + "".join(f"c{i},x\n" for i in range(30)))
    one("one_single", csv, "label,text\nrare,x\n" + "".join(f"c{i % 2},x\n" for i in range(30)))
    one("bars", csv, "label|text\nx|a, b\ny|c; d\n")
    one("number_name", csv, "label,text\n1e5,a\n -.5 ,b\n+,c\n1.,d\n")
    one("numbers_asked", csv | absent | asked, "a,b\n")
    one("members", jsonl | asked, '{"body":"a","kind":"x"}\n{"body":"b","kind":"y"}\n')
    one("no_text", jsonl, '{"label":"x"}\n')
    one("no_text_asked", jsonl | asked, '{"label":"x"}\n')
    one("no_label", jsonl, '{"text":"x"}\n')
    one("no_label_asked", jsonl | asked, '{"body":"x"}\n')
    one("label_list", jsonl, '{"text":"x","label":[1]}\n')
    one("label_half", jsonl, '{"text":"x","label":0.5}\n')
    one("label_minus", jsonl, '{"text":"x","label":-1}\n{"text":"y","label":1}\n')
    one("label_large", jsonl, '{"text":"x","label":1e300}\n')
    one("label_long", jsonl, '{"text":"x","label":' + "1" * 400 + "}\n")
    one("nul_escape", jsonl, '{"text":"x\\u0000y","label":1}\n')
    one("nul_escaped", jsonl, '{"text":"x\\\\u0000y","label":1}\n{"text":"y","label":0}\n')
    one("no_json", jsonl, "text,label\n")
    one("header_present", csv | present, "id,message,class\n1,a,x\n2,b,y\n")
    one("header_absent", tsv | absent, "x\ty\nz\t\xc3\xa9\n")
    one("header_absent_wide", csv | absent, "a,b,c\n")
    one("columns", csv | asked, "kind,body\nx,a\ny,b\n")
    one("columns_missing", csv | asked, "label,text\nx,a\ny,b\n")
    one("column_missing", csv | present, "label,other\nx,a\n")
    one("text_missing", csv | present, "text,other\nx,a\n")
    one("any_case", csv, "LABEL,text,Text\nx,a,b\ny,c,d\n")
    one("integers", csv, "label,text\n1,a\n2,b\n3,c\n1,d\n")
    one("integers_from_zero", csv, "label,text\n1,a\n0,b\n2,c\n")
    one("integers_signed", csv, "label,text\n-1,a\n0,b\n1,c\n")
    one("numbers_alike", csv, "label,text\n01,a\n1,b\n1.0,c\n")
    one("named", csv, "Label,Text,Name\n0,a,5\n1,b,4\n0,c,5\n")
    one("one_class", csv, "label,text\nx,a\nx,b\n")
    one("narrow_row", csv, "label,text\nx\n")
    one("wide_row", csv, "label,text\nx,a,b\n")
    one("empty_text", csv, "label,text\nx,\n")
    one("empty_label", csv, "label,text\n,x\n")
    one("open_quote", csv, 'label,text\nx,"a\n')
    one("no_rows", csv, "\n\n")
    one("only_header", csv, "label,text\n")
    one("empty", csv, "")
    one("nul", csv, b"label,text\nx,a\0b\n")
    one("utf16", csv, b"\xff\xfea\0,\0")
    one("latin1", csv, b"label,text\r\nx,a\nx,caf\xe9\n")
    one("mark", csv, b"\xef\xbb\xbflabel,text\nx,a\ny,b\n")
    one("semicolon", csv, "label;text\nx;a\ny;b, c\n")
    one("pipe", csv, "label|text\nx|a\ny|b\n")
    one("sep", csv, "sep=;\nlabel;text\nx;a\ny;b\n")
    one("no_header", csv, "x,a\ny,b\n")
    one("many_classes", tsv, "".join("text number %d\tclass%d\n" % (i, i) for i in range(40)))
    one(
        "many_columns",
        csv,
        ",".join("c%d" % i for i in range(300)) + "\n" + ",".join(["1"] * 300) + "\n",
    )
    one(
        "classes",
        csv,
        "label,text\n" + "".join("c%d,t%d\n" % (i * 7 % 50, i) for i in range(100)),
    )
    one("unicode_names", csv, "label,text\n\u00e9t\u00e9,a\n\u4f60\u597d,b\n\U0001f600,c\n")
    one("controls", csv, "label,text\n\x1b[31m,a\ny\x07,b\n")
    one("same_columns", csv | present, "text\nx\n")

    t = "data_split"

    def folder(name, labels, train, validation="Label,Text\n0,c\n", test="Label,Text\n1,d\n"):
        pairs = [("train.csv", train), ("validation.csv", validation), ("test.csv", test)]
        pairs = [(n, text) for n, text in pairs if text is not None]
        put(t, name, files(*pairs, *([("labels.json", labels)] if labels is not None else [])))

    two = "Label,Text\n0,a\n1,b\n"
    folder("labels", '["ham","spam"]', two)
    folder("no_labels", None, two)
    folder("names", None, "Label,Text\nx,a\ny,b\n", "Label,Text\nx,c\n", "Label,Text\ny,d\n")
    folder(
        "third",
        '["5","4"]',
        "Label,Text,Name\n0,a,5\n1,b,4\n",
        "Label,Text,Name\n0,c,5\n",
        "Label,Text,Name\n1,d,4\n",
    )
    folder("third_differs", '["5","4"]', "Label,Text,Name\n0,a,4\n1,b,5\n")
    folder("numbers", '["1","0"]', two)
    folder("one_label", '["ham"]', two)
    folder("label_object", '{"ham":0}', two)
    folder("label_number", '["ham",1]', two)
    folder("label_empty", '["ham",""]', two)
    folder("label_twice", '["ham","ham"]', two)
    folder("label_beyond", '["ham","spam"]', "Label,Text\n0,a\n2,b\n")
    folder("class_unseen", None, two, "Label,Text\n2,c\n")
    folder("no_test", '["ham","spam"]', two, test=None)
    folder("no_validation", '["ham","spam"]', two, validation=None)
    folder("no_train", '["ham","spam"]', None)
    folder(
        "quotes",
        '["a\\"b","c,d"]',
        'Label,Text\n0,"a,""b"""\n1,"c\nd"\n',
        'Label,Text\n1,"e\rf"\n',
    )
    folder(
        "many",
        json.dumps(["c%d" % i for i in range(50)]),
        "Label,Text\n" + "".join("%d,t%d\n" % (i, i) for i in range(50)),
    )
    three = [("train.csv", two), ("validation.csv", two), ("test.csv", two)]
    for name, data in {
        "notes": {
            "schema": "clm data 1",
            "source": "x",
            "guesses": ["a"],
            "warnings": ["b", "c"],
        },
        "notes_text": {"schema": "clm data 1", "guesses": "a"},
        "notes_number": {"schema": "clm data 1", "warnings": [1]},
        "notes_other": {"schema": "clm data 9"},
        "notes_list": [],
    }.items():
        put(t, name, files(*three, ("data.json", json.dumps(data))))


def make_records():
    t = "selftest_record"
    record = {
        "format": 1,
        "key": "@KEY@",
        "gemm": "own-panels",
        "outcome": "passed",
        "comparisons": 211,
        "seconds": 5.25,
        "replaced": "",
        "why": "",
    }

    def one(name, *marks, **members):
        made = {k: v for k, v in {**record, **members}.items() if v is not ...}
        put(
            t,
            name,
            files(
                ("record.json", json.dumps(made)),
                ("mark.jsonl", "".join(json.dumps(m) + "\n" for m in marks)),
            ),
        )

    crash = {
        "key": "@KEY@",
        "operation": "gelu",
        "way": "item",
        "kernel": "gelu_forward",
        "shape": "count=9013",
    }
    one("passed")
    one(
        "replaced",
        outcome="replaced",
        replaced="gelu: group",
        why='gelu: 1 of 9013 "wrong"\n\u001b',
    )
    one("refused", outcome="refused", why="x" * 3000)
    one("outcome_unknown", outcome="good")
    one("clblast", gemm="clblast")
    one("other_key", key="x")
    one("format", format=2)
    one("no_outcome", outcome=...)
    one("comparisons", comparisons=-1)
    one("seconds", seconds="long")
    one("text", comparisons="1")
    put(t, "broken", files(("record.json", "{"), ("mark.jsonl", "{\n\n[]\n")))
    put(t, "list", files(("record.json", "[]")))
    put(t, "nothing", b"")
    one("mark", crash)
    one("marks", crash, crash)
    one("marks_many", *[crash] * 40)
    one(
        "marks_others",
        {**crash, "key": "x"},
        {**crash, "operation": "softmax"},
        {"key": "@KEY@"},
        {**crash, "shape": 1},
    )
    one(
        "mark_long",
        {**crash, "operation": "o" * 100, "shape": "s" * 500, "kernel": "\u00e9" * 80},
    )


def make_runs():
    t = "train_run"
    settings = {"model": "gpt2", "data": "spam", "lr": "5e-5", "text-column": "a\u00e9\n"}
    record = {"format": "clm-run-1", "clm": "1.0", "device": "d", "settings": settings}
    start = {"event": "start", "clm": "1.0", "n_train": 4}
    notes = [{"event": "note", "text": text} for text in ("a note", "b", "a note", "\u001b[31m")]
    step = {"event": "step", "step": 0, "loss": 0.5}

    def lines(*events):
        return "".join(json.dumps(e, separators=(",", ":")) + "\n" for e in events)

    def one(name, metrics=None, **members):
        made = {k: v for k, v in {**record, **members}.items() if v is not ...}
        pairs = [("run.json", json.dumps(made))]
        put(t, name, files(*pairs, *([("metrics.jsonl", metrics)] if metrics is not None else [])))

    one("plain", lines(start, step))
    one("no_metrics")
    one("notes", lines(start, *notes, step, *notes))
    one("notes_cut", lines(start, *notes) + '{"event":"note","te')
    one("note_number", lines(start, {"event": "note", "text": 3}))
    one("note_none", lines(start, {"event": "note"}))
    one("notes_many", lines(start, *({"event": "note", "text": "n%d" % i} for i in range(230))))
    one("other", lines(start), format="clm-run-9")
    one("no_format", format=...)
    one("no_settings", settings=...)
    one("settings_list", settings=["model"])
    one("setting_number", settings={"lr": 1})
    one("settings_many", settings={"s%d" % i: "x" for i in range(200)})
    put(t, "twice", files(("run.json", '{"format":"clm-run-1","settings":{"lr":"1","lr":"2"}}')))
    put(t, "broken", files(("run.json", "{"), ("metrics.jsonl", "\n\n")))
    put(t, "nothing", b"")


def make_trials():
    t = "tune_progress"

    def trial(**members):
        line = {
            "kind": "products",
            "preset": 0,
            "round": 0,
            "settings": "",
            "outcome": "ok",
            "speed": 1.02,
            "why": "",
        }
        line.update(members)
        return json.dumps({k: v for k, v in line.items() if v is not ...}) + "\n"

    started = trial(outcome="started", speed=0)
    put(t, "right", started + trial())
    put(t, "started", started)
    put(t, "crashed", started * 3)
    put(t, "stopped", started + trial(outcome="stopped") + started + trial(outcome="stopped"))
    put(t, "wrong", trial(kind="others", outcome="wrong", why='element 3 is "1"\u00e9'))
    put(t, "others", trial(kind="backends") + trial(kind="new") + trial(outcome="new"))
    put(t, "rounds", trial(round=1) + trial(round=2, outcome="slow") + trial(preset=1))
    put(t, "settings", trial(settings="gemm.rows=4") + trial(settings="x" * 300, why="y" * 300))
    put(t, "cut", trial() + trial()[:30])
    put(t, "preset", trial(preset=99) + trial(round=-1) + trial(speed="1"))
    for name in ("kind", "preset", "round", "settings", "outcome", "speed", "why"):
        put(t, "no_" + name, trial(**{name: ...}))
    put(t, "lines", "\n\n[]\n{}\n1\n")
    put(t, "infinite", trial().replace("1.02", "1e999"))
    put(t, "empty", "")


def make_beginnings():
    t = "base_sniff"
    for name, data in {
        "gguf": b"GGUF\x03\0\0\0",
        "ggml": b"ggjt\1\0\0\0",
        "pickle": b"\x80\x02}q\0.",
        "zip": b"PK\x03\x04\x14\0",
        "hdf5": b"\x89HDF\r\n\x1a\n",
        "gzip": b"\x1f\x8b\x08\0",
        "lfs": b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n",
        "page": b" \r\n\t<!DOCTYPE html>\n",
        "page_short": b"<HTML>",
        "text": b"\nsome text of a file\tthat is longer than what is shown of it",
        "space": b" \n",
        "weights": b"\x10\0\0\0\0\0\0\0{}",
        "empty": b"",
    }.items():
        put(t, name, data)
    put("text_encode", "added", b"a <url>x @USER, @USERS z@USER [MASK]\xc3\xa9[MASK] \xff@USER\xff")
    # One line end after another: what counts lines from the start takes time that grows with the
    # square of this.
    put("base_lines", "many_ends", b"a\r\xef\r" * 4096)


def make_zips():
    def archive(*members, **options):
        out = io.BytesIO()
        with zipfile.ZipFile(out, "w", **options) as made:
            for name, data in members:
                made.writestr(
                    zipfile.ZipInfo(name, (2024, 1, 1, 0, 0, 0)),
                    data,
                    options.get("compression", zipfile.ZIP_STORED),
                )
        return out.getvalue()

    t = "fetch_unzip"
    deflated = archive(
        ("readme", "x"), ("a.txt", "ham\tHi\n" * 40), compression=zipfile.ZIP_DEFLATED
    )
    put(t, "deflated.zip", deflated)
    stored = archive(("a.txt", "spam\tWin\n"))
    put(t, "stored.zip", stored)
    put(t, "empty_file.zip", archive(("a.txt", "")))
    put(t, "other.zip", archive(("b.txt", "x")))
    put(t, "empty.zip", archive())
    put(t, "checksum.zip", stored.replace(b"Win", b"Lose"[:3]))
    put(t, "cut.zip", deflated[:70])
    damaged = bytearray(deflated)
    damaged[damaged.index(b"a.txt") + 6] ^= 0xFF
    put(t, "damaged.zip", bytes(damaged))
    put(t, "text.zip", "no archive")
    put(t, "nothing.zip", b"")


def make_cache():
    t = "device_cache"
    put(t, "whole", b"\x03binary!")
    put(t, "odd_refused", b"\x03x")
    put(t, "no_kernels", b"\x03binary")
    put(t, "no_checksum", b"\x01binary!")
    put(t, "no_key", b"\x02binary!")
    put(t, "neither", b"\x00" + struct.pack("<Q", 5) + b"binary!")
    put(t, "empty", b"\x03")
    put(t, "trimmed", b"\x07binary!")
    put(t, "longer", b"\x03" + bytes(range(256)))


if __name__ == "__main__":
    make_tokenizers()
    make_tables()
    make_records()
    make_zips()
    make_cache()
    make_runs()
    make_trials()
    make_beginnings()
    make_corpus_model.make_all()

#!/usr/bin/env python3
"""Writes tables_golden.h: tables in every form that pandas and datasets write, and their rows.

  make_tables.py > tables_golden.h

The same rows, with texts and labels that are awkward, are written by pandas.DataFrame.to_csv,
DataFrame.to_json and datasets.Dataset.to_json with all their orients and separators, and read back
by pandas.read_csv and read_json, which must give the rows again: what they give is what clm must
give. Labels are names, so that numbers are what they look like in the file.

Needs pandas and datasets.
"""
import io
import json
import os
import tempfile

import datasets
import pandas as pd

TEXTS = ["Hi, you", "semi;colon", "a|bar", "tab\there", 'quo"te', '"all"', "line\nend", "car\rret",
         "cr\r\nlf", " spaces ", "\xe9\u20ac\U0001f600", "back\\slash", "sla/sh", "{\"text\": 1}",
         "[1]", "NA", "null", "sep=;", "\u2028", "a\x01b", "0", "-1", "</p>", "'", "#", "%d"]
LABELS = {
    "names": ["ham", "spam"],
    "integers": ["0", "1", "2"],
    "from-one": ["1", "2", "3", "4", "5"],
    "negative": ["-1", "0", "1"],
    "floats": ["0.5", "1.5"],
    "odd": ["a,b", 'q"q', "\xe9", "NA"],
}


def rows_of(kind):
    labels = LABELS[kind]
    return [(labels[i % len(labels)], text) for i, text in enumerate(TEXTS)]


def is_number(kind):
    return kind in ("integers", "from-one", "negative", "floats")


def typed(kind, label):
    return (float if kind == "floats" else int)(label) if is_number(kind) else label


def frame(kind, strings, columns=("label", "text"), extra=False):
    rows = rows_of(kind)
    table = {columns[0]: [l if strings else typed(kind, l) for l, _ in rows],
             columns[1]: [t for _, t in rows]}
    if extra:
        table = {"id": list(range(len(rows))), **table, "note": ["x;y,z|"] * len(rows)}
    return pd.DataFrame(table)


def check_json(text, kind, orient, lines=False):
    back = pd.read_json(io.StringIO(text.decode()), orient=orient, lines=lines, dtype=False,
                        convert_axes=False)
    got = [(str(l), t) for l, t in zip(back["label"], back["text"])]
    assert got == rows_of(kind), (kind, orient, got)


def csv_cases():
    for kind in ("odd", "negative"):
        for separator in ",\t;|":
            for name, options in (("", {}), ("quoted", {"quoting": 1}),
                                  ("crlf", {"lineterminator": "\r\n"}),
                                  ("mark", {"encoding": "utf-8-sig"})):
                for columns, extra in ((("label", "text"), False), (("Category", "SMS"), True)):
                    table = frame(kind, True, columns, extra)
                    # A carriage return alone is not quoted by to_csv: such rows do not come back.
                    buffer = io.BytesIO()
                    if name != "quoted":
                        table[columns[1]] = table[columns[1]].str.replace(
                            r"\r(?!\n)", "\n", regex=True)
                    table.to_csv(buffer, sep=separator, index=False, **options)
                    text = buffer.getvalue()
                    rows = list(zip(table[columns[0]], table[columns[1]]))
                    back = pd.read_csv(io.BytesIO(text), sep=separator, dtype=str,
                                       keep_default_na=False, encoding="utf-8-sig")
                    assert list(zip(back[columns[0]], back[columns[1]])) == rows
                    yield "table.csv", text, rows
                    if name == "" and not extra:
                        yield "excel.csv", b"sep=" + separator.encode() + b"\r\n" + text, rows
                    if name == "":
                        yield "table.csv", text[:-1], rows  # no last end


def json_cases():
    for kind in LABELS:
        for strings in (True, False) if is_number(kind) else (True,):
            table = frame(kind, strings)
            rows = rows_of(kind)
            for orient in ("records", "columns", "index", "split", "table"):
                for force_ascii in (True, False) if kind == "odd" else (True,):
                    for indent in (0, 2) if kind == "odd" else (0,):
                        text = table.to_json(orient=orient, force_ascii=force_ascii,
                                             indent=indent).encode()
                        if orient != "table":
                            check_json(text, kind, orient)
                        yield "table.json", text, rows
            names = ("table.json", "table.jsonl", "table")
            for name in names if kind == "odd" else names[:1]:
                text = table.to_json(orient="records", lines=True).encode()
                check_json(text, kind, "records", True)
                yield name, text, rows
            yield "table.json", json.dumps(table.to_dict("records")).encode(), rows
            yield "table.json", json.dumps(table.to_dict("list"), ensure_ascii=False).encode(), rows
            yield "table.json", json.dumps({"data": table.to_dict("records")}).encode(), rows
            yield "table.json", b"\xef\xbb\xbf" + text.replace(b"\n", b"\r\n"), rows
            if kind in ("odd", "integers"):
                yield from datasets_cases(table, rows)


def datasets_cases(table, rows):
    data = datasets.Dataset.from_pandas(table)
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "data.json")
        for options in ({}, {"lines": False}, {"orient": "records", "lines": False, "indent": 2},
                        {"orient": "columns", "lines": False}, {"orient": "index", "lines": False},
                        {"orient": "split", "lines": False}, {"orient": "table", "lines": False},
                        {"force_ascii": False}):
            data.to_json(path, **options)
            with open(path, "rb") as file:
                yield "data.json", file.read(), rows
        data.to_csv(path, index=False, lineterminator="\n", quoting=1)
        with open(path, "rb") as file:
            yield "data.csv", file.read(), rows


def literal(data):
    plain = set(range(32, 127)) - set(b'"\\?')
    lines = [""]
    for byte in data:
        piece = chr(byte) if byte in plain else f"\\{byte:03o}"
        if len(lines[-1]) + len(piece) > 90:
            lines.append("")
        lines[-1] += piece
    return "\n     ".join(f'"{line}"' for line in lines)


def hash_of(rows):
    """FNV-1a over labels and texts, each with a NUL."""
    value = 0xCBF29CE484222325
    for label, text in rows:
        for byte in label.encode() + b"\0" + text.encode() + b"\0":
            value = (value ^ byte) * 0x100000001B3 % 2**64
    return value


def main():
    datasets.disable_progress_bars()
    cases = list(dict.fromkeys((n, t, hash_of(r), len(r)) for n, t, r in
                               (*csv_cases(), *json_cases())))
    print(f"/* Made by make_tables.py with pandas {pd.__version__} and datasets "
          f"{datasets.__version__}; do not edit.\n *\n"
          " * SPDX-License-Identifier: Apache-2.0 */\n/* clang-format off */")
    print("static const struct {\n    const char *name;\n    const char *text;\n"
          "    size_t rows;\n    unsigned long long hash; /* of each row's label and text */\n"
          "} golden_forms[] = {")
    for name, text, value, count in cases:
        print(f'    {{"{name}", {literal(text)},\n     {count}, 0x{value:016X}ULL}},')
    print("};")


if __name__ == "__main__":
    main()

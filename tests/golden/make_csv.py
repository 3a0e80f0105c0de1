#!/usr/bin/env python3
"""Writes csv_golden.h: odd tables, and what pandas.read_csv reads in them.

  make_csv.py > csv_golden.h

Fields are joined by \\x1f, rows end in \\x1e; empty fields at the end of a row are left out,
because pandas fills up short rows with them. A table with a quote that is not closed has NULL.

Left out are tables in which pandas makes a mistake that clm does not repeat. After a blank line
that ends in CR alone pandas loses a separator, and a line that begins with a space is read from the
last LF on, so that lines between, which end in CR alone, come twice.

Needs pandas.
"""
import io
import random
import re

import pandas as pd

WIDTH = 12
BY_HAND = [
    "a,b\n1,2\n", "a,b\r\n1,2\r\n", "a,b\r1,2\r3,4", "a,b", "a,", ",a", ",", "a,b\n\n\n1,2",
    "\n\n\na", "  \na,b\n \t \nc", " a, b \n", '"a","b"\n', '"a"\n""\n"b"', '"a""b",c', '""""',
    '""x""', '"x"y,z', '"x" ,y', 'x"y",z"', 'x""y', '"a,b\nc\r\nd\re",f', '"a', 'a,"b\n', '"a""',
    '"a"b"c\nd', "\ufeffa,b\n1,2", '\ufeff"a,b",c', "a,b\n1,x\r\r\n2,y", "\r\n\r\na", "a\r\n",
    "a\n \n", "a\n  ", "\xe9,\u20ac \U0001f600\n", '1,"x"\r2,y\n', "a,b\n  c,d", '  "a",b',
    "NA,null\nnan,None\n",
]


def read(text, separator):
    table = pd.read_csv(io.BytesIO(text.encode()), sep=separator, header=None, names=range(WIDTH),
                        dtype=str, keep_default_na=False, index_col=False)
    rows = []
    for row in table.values.tolist():
        while row and row[-1] == "":
            row.pop()
        rows.append("\x1f".join(row) + "\x1e")
    return "".join(rows)


def is_mistaken(text, separator):
    return (re.search(r"(^|[\n\r])[ \t]*\r" + separator, text)
            or re.search(r"\r[ \t]", text))


def literal(text):
    plain = set(range(32, 127)) - set(b'"\\?')
    lines = [""]
    for byte in text.encode():
        piece = chr(byte) if byte in plain else f"\\{byte:03o}"
        if len(lines[-1]) + len(piece) > 80:
            lines.append("")
        lines[-1] += piece
    return "\n     ".join(f'"{line}"' for line in lines)


def main():
    draw = random.Random(123)
    cases = [(t, s) for t in BY_HAND for s in ",\t"]
    for _ in range(160):
        separator = draw.choice(",\t")
        letters = ['"', '"', separator, separator, "\n", "\r", "\r\n", " ", "a", "b", ",", "\t"]
        count = draw.randint(1, 24)
        cases.append(("".join(draw.choice(letters) for _ in range(count)), separator))
    print("/* Made by make_csv.py with pandas", pd.__version__ + "; do not edit.\n *\n"
          " * SPDX-License-Identifier: Apache-2.0 */\n/* clang-format off */")
    print("static const struct {\n    char separator;\n    const char *text;\n"
          "    const char *rows;\n} golden_tables[] = {")
    for text, separator in dict.fromkeys(cases):
        if is_mistaken(text, separator):
            continue
        try:
            rows = literal(read(text, separator))
        except pd.errors.EmptyDataError:
            rows = '""'
        except pd.errors.ParserError as error:
            if "EOF inside string" not in str(error):
                continue  # more fields than WIDTH
            rows = "NULL"
        shown = "'\\t'" if separator == "\t" else "','"
        print(f"    {{{shown}, {literal(text)},\n     {rows}}},")
    print("};")


if __name__ == "__main__":
    main()

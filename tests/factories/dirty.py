"""Tables as people really upload them: each a file in some dialect, encoding or state, with how it is to be read or refused."""

import csv
import io
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

NAMES = ("id", "city", "amount", "late", "signed_on")
CITIES = ("Zürich", "Málaga", "Łódź", "São Paulo", "Reykjavík")
MISSING = ("NA", "n/a", "?", "-", " ", "NULL", "None", "")
ROWS = 200


@dataclass(frozen=True)
class Dirty:
    """A file, the status of its upload, and what is read of it. None: either way is right, but never a 500."""

    content: bytes
    status: int | None = 201
    rows: int | None = ROWS
    columns: Sequence[str] | int | None = NAMES
    """Their names, or how many there are."""

    def check(self, status: int, rows: int | None = None, columns: Sequence[str] = ()) -> None:
        """Hold what became of an upload against what was to become of it."""
        assert status == self.status or (self.status is None and status in {201, 400, 422})
        if status == 201 and self.rows is not None:
            assert rows == self.rows
        if status == 201 and self.columns is not None:
            assert (len(columns) if isinstance(self.columns, int) else tuple(columns)) == self.columns


def _body(cities: Sequence[str] = CITIES) -> list[list[Any]]:
    draw = random.Random(1)
    return [
        [
            number,
            draw.choice(cities),
            round(draw.uniform(10, 9000), 2),
            draw.random() < 0.3,
            f"2024-{draw.randint(1, 12):02}-{draw.randint(1, 28):02}",
        ]
        for number in range(1, ROWS + 1)
    ]


def _csv(body: Sequence[Sequence[Any]], names: Sequence[str] | None = NAMES, **dialect: Any) -> str:
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n", **dialect)
    if names is not None:
        writer.writerow(names)
    writer.writerows(body)
    return text.getvalue()


def _dialects() -> Mapping[str, Dirty]:
    """The same table, written otherwise."""
    body = _body()
    plain = _csv(body)
    western = [[a, b, f"{c}".replace(".", ","), d, e] for a, b, c, d, e in _body(CITIES[:2])]
    quoted = [[a, f'{b}\n"old" town, centre', *rest] for a, b, *rest in body]
    symbols = ("Customer ID", "e-mail/City", "Amount ($)", "Late?", "Signed on")
    return {
        "utf8_bom.csv": Dirty(b"\xef\xbb\xbf" + plain.encode()),
        "utf16.csv": Dirty(plain.encode("utf-16")),
        "latin1_decimal_comma.csv": Dirty(_csv(western, delimiter=";").encode("latin-1")),
        "tabs.csv": Dirty(_csv(body, delimiter="\t").encode()),
        "pipes_crlf.csv": Dirty(_csv(body, delimiter="|").replace("\n", "\r\n").encode()),
        "no_names.csv": Dirty(_csv(body, None).encode(), columns=5),
        "line_ends_in_cells.csv": Dirty(_csv(quoted, quoting=csv.QUOTE_ALL).encode()),
        "repeated_and_blank_names.csv": Dirty(_csv(body, ("id", "amount", "amount", "", "id")).encode(), columns=5),
        "names_with_symbols.csv": Dirty(_csv(body, symbols).encode(), columns=symbols),
        "empty_lines_at_the_end.csv": Dirty((plain + "\n\n\n").encode()),
    }


def _cells() -> Mapping[str, Dirty]:
    """The same columns, with cells that are hard to read."""
    body, draw = _body(), random.Random(2)
    huge = ("inf", "-inf", "NaN", 1e308, 10**25)
    tables = {
        "missing_words": [[a, b, draw.choice((c, *MISSING)), d, e] for a, b, c, d, e in body],
        "currency": [[a, b, f"$ {c:,.2f}", "yes" if d else "no", e] for a, b, c, d, e in body],
        "day_first": [[*row[:4], f"{n % 28 + 1:02}/{n % 12 + 1:02}/2023"] for n, row in enumerate(body)],
        "formulas": [[a, '=HYPERLINK("http://127.0.0.1/x","go")', c, "@SUM(1)", "+1"] for a, _, c, *_ in body],
        "infinite_and_huge": [[a, b, huge[a % 5], d, e] for a, b, _, d, e in body],
    }
    return {f"{name}.csv": Dirty(_csv(table).encode()) for name, table in tables.items()}


def _shapes() -> Mapping[str, Dirty]:
    body = _body()
    wide = [[row * column % 97 for column in range(1500)] for row in range(60)]
    ragged = _csv(body[:100]) + "1,2\n1,2,3,4,5,6,7,8\n" + _csv(body[100:], None)
    return {
        "wide.csv": Dirty(_csv(wide, [f"f{n}" for n in range(1500)]).encode(), rows=60, columns=1500),
        "one_column.csv": Dirty(_csv([[n] for n in range(100)], ["only"]).encode(), rows=100, columns=("only",)),
        "ragged.csv": Dirty(ragged.encode(), status=None, rows=None, columns=None),
        "unclosed_quote.csv": Dirty(_csv(body).encode() + b'201,"never closed,1,True,2024-01-01\n', None, None, None),
    }


def _refused() -> Mapping[str, Dirty]:
    plain = _csv(_body()).encode()
    return {
        "empty.csv": Dirty(b"", 422),
        "names_only.csv": Dirty(b"a,b,c\n", 422),
        "binary.csv": Dirty(random.Random(3).randbytes(5000), 400),
        "nul_bytes.csv": Dirty(plain[:500] + b"\0" * 20 + plain[500:], 400),
        "no_parquet.parquet": Dirty(b"PAR1" + b"garbage" * 50 + b"PAR1", 400),
        "no_workbook.xlsx": Dirty(b"PK\x03\x04 not really", 400),
    }


@cache
def files() -> Mapping[str, Dirty]:
    """By file name."""
    return {**_dialects(), **_cells(), **_shapes(), **_refused()}

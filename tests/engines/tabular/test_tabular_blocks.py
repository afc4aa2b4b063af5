"""What is read depends neither on where the blocks end nor, where order means nothing, on the order of the rows.

Columns change their nature along the file here, as sorted files do: whole numbers, then fractions, then words.
"""

import datetime as dt
import tempfile
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from coreplex.engines.tabular.read.block_observers import AmbiguousFormats, MissingWordCounter, ValueLabels
from coreplex.engines.tabular.read.interface import Limits, ReadTable
from coreplex.engines.tabular.read.table import read_table
from coreplex.engines.tabular.schema import ColumnType
from coreplex.engines.tabular.types.inference import Inferred
from coreplex.engines.tabular.types.parse_rule import ParseRule

THOROUGH = settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.too_slow])
WHOLE = 1 << 22

STRETCHES: dict[str, st.SearchStrategy[str]] = {
    "integers": st.integers(-50, 10**6).map(str),
    "signed": st.integers(1, 3).map("+{}".format),
    "floats": st.floats(-1e6, 1e6).map("{:.3f}".format),
    "thousands": st.integers(1000, 999_999).map("{:,}".format),
    "exact money": st.integers(1000, 999_999).map("${:,}.25".format),
    "percent": st.integers(0, 100).map("{} %".format),
    "codes": st.integers(0, 99).map("{:05}".format),
    "yes": st.just("yes"),
    "no": st.just("no"),
    "ja": st.just("ja"),
    "T": st.just("T"),
    "nothing": st.sampled_from(["", "NA", " n/a ", "-", " " * 80]),
    "maybe nothing": st.sampled_from(["None", "NA", "unknown", "Missing", "?"]),
    "signs": st.sampled_from(["+", "-", "--"]),
    "words": st.sampled_from(["red", " blue", "green ", "dark red"]),
    "many words": st.integers(0, 900).map("w{}".format),
    "long": st.integers(0, 3).map(lambda n: "x" * (100 * n + 70)),
    "lines": st.sampled_from(["two\nlines", 'a "quoted" word', "comma, here"]),
    "days": st.dates(min_value=dt.date(1000, 1, 1)).map(dt.date.isoformat),
    "late days": st.integers(13, 28).map("2024-03-{}".format),
    "german days": st.integers(13, 28).map("{}.03.2024".format),
    "zulu": st.integers(10, 20).map("2024-01-01T{}:00:00Z".format),
    "offset": st.integers(10, 20).map("2024-01-01T{}:00:00+02:00".format),
    "fractions": st.integers(10, 20).map("2024-01-01T{}:00:00.25Z".format),
}


@st.composite
def columns(draw: st.DrawFn) -> list[str]:
    """A column of one to four stretches, each of one nature."""
    kinds = draw(st.lists(st.sampled_from(sorted(STRETCHES)), min_size=1, max_size=4))
    return [cell for kind in kinds for cell in draw(st.lists(STRETCHES[kind], min_size=1, max_size=12))]


def written(cells: Sequence[str]) -> bytes:
    frame = pl.DataFrame({"row": [f"r {index % 3}" for index in range(len(cells))], "value": cells})
    return frame.write_csv(quote_style="non_numeric").encode()


def taken(data: bytes, block: int, sample: int, **more: Any) -> tuple[ReadTable, pl.DataFrame]:
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "upload"
        source.write_bytes(data)
        limits = Limits(block_bytes=block, sample_rows=sample)
        reading = read_table(source, "table.csv", Path(folder) / "table.parquet", limits=limits, **more)
        return reading, pl.read_parquet(reading.path)


def same(one: tuple[ReadTable, pl.DataFrame], other: tuple[ReadTable, pl.DataFrame]) -> None:
    assert one[0].schema == other[0].schema
    assert one[0].findings == other[0].findings
    assert one[1].equals(other[1], null_equal=True)


@THOROUGH
@given(cells=columns(), block=st.sampled_from([1, 7, 40, 200]), sample=st.sampled_from([1, 5, 20_000]))
def test_blocks_of_any_size_give_the_same_table(cells: list[str], block: int, sample: int) -> None:
    data = written(cells)
    same(taken(data, block, sample), taken(data, WHOLE, sample))


@THOROUGH
@given(cells=columns(), sample=st.sampled_from([1, 5, 20_000]), kind=st.sampled_from(list(ColumnType)))
def test_ordered_types_lose_the_same_cells_whatever_the_blocks(cells: list[str], sample: int, kind: ColumnType) -> None:
    data, wanted = written(cells), {"overrides": {"value": kind}, "force": True}
    same(taken(data, 30, sample, **wanted), taken(data, WHOLE, sample, **wanted))


@settings(THOROUGH, max_examples=12)
@given(cells=columns(), seed=st.randoms(use_true_random=False))
def test_what_the_first_rows_do_not_show_is_found_further_down(cells: list[str], seed: Any) -> None:
    """Judged by one row, by three, by all, in any order: the type is that of the whole column, and no value is lost."""
    shuffled = list(cells)
    seed.shuffle(shuffled)
    whole, frame = taken(written(cells), WHOLE, 20_000)
    for order, sample in ((cells, 1), (cells[::-1], 3), (shuffled, 1)):
        reading, other = taken(written(order), 50, sample)
        assert reading.schema == whole.schema
        assert other["value"].sort().equals(frame["value"].sort(), null_equal=True)


def blocks_of(cells: Sequence[str | None], cuts: Sequence[int]) -> Iterator[pl.Series]:
    ends = sorted({0, len(cells), *(cut % (len(cells) + 1) for cut in cuts)})
    yield from (pl.Series(cells[start:stop], dtype=pl.String) for start, stop in pairwise(ends))


@settings(max_examples=60, deadline=None)
@given(
    cells=columns(),
    many=st.integers(0, 900),
    cuts=st.lists(st.integers(0, 2000), max_size=5),
    rule=st.sampled_from(
        [
            ParseRule("integer"),
            ParseRule("float"),
            ParseRule("string"),
            ParseRule("boolean", "01"),
            ParseRule("datetime", "%d.%m.%Y"),
        ]
    ),
)
def test_every_state_is_the_same_block_by_block(cells: list[str], many: int, cuts: list[int], rule: ParseRule) -> None:
    """Few spellings and then many, many and then few; the states see all of a file or its parts."""
    column = [*cells, *map(str, range(many)), *cells]
    inferred = Inferred(rule, ParseRule("datetime", "%m.%d.%Y"))
    results = []
    for parts in ([], cuts):
        spelled, absent, unclear = ValueLabels([rule]), MissingWordCounter([rule]), AmbiguousFormats([rule], {0: inferred})
        for block in blocks_of(column, parts):
            spelled.update(0, block)
            absent.update(0, block, rule.read(block)[0])
            unclear.update(0, block)
        notes = [*absent.findings(["c"], len(column)), *unclear.findings(["c"])]
        results.append((spelled.labels(0), [(finding.kind, finding.affected_rows, finding.evidence) for finding in notes]))
    assert results[0] == results[1]


def lines(*columns: Sequence[Any]) -> bytes:
    return "\n".join(["day,value", *(",".join(map(str, row)) for row in zip(*columns, strict=True))]).encode()


def test_a_large_table_in_date_order(tmp_path: Path) -> None:
    """Blocks of few days and blocks of many numbers: more spellings in a later block than are worth remembering."""
    day = [f"2024-{1 + i // 10_000:02d}-{1 + i // 400 % 25:02d}" for i in range(60_000)]
    value = [i % 100 if i < 30_000 else i / 8 for i in range(60_000)]
    reading, frame = taken(lines(day, value), 1 << 18, 20_000)
    assert [column.type.value for column in reading.schema] == ["datetime", "float"]
    assert frame["value"].to_list() == value
    assert not reading.findings


@pytest.mark.parametrize(
    ("first", "then", "kind"),
    [
        ([""], ["1.5", "2.5"], "float"),
        ([""], ["2024-01-31"], "datetime"),
        (["yes"], ["no"], "boolean"),
        (["no"], ["yes", "maybe"], "categorical"),
        (["F"], ["M"], "categorical"),
        (["999"], ["1,000", "12,500"], "integer"),
        (["2"], ["3,5"], "float"),
        (["y", "n"], ["t"], "categorical"),
        (["2024-01-01T10:00:00Z"], ["2024-01-01T10:00:00+02:00"], "datetime"),
    ],
)
def test_a_sorted_column_is_what_all_of_it_says(first: list[str], then: list[str], kind: str) -> None:
    cells = [first[i % len(first)] for i in range(300)] + [f'"{then[i % len(then)]}"' for i in range(300)]
    reading, frame = taken(lines([i % 7 for i in range(600)], cells), 1000, 50)
    assert reading.schema.columns[1].type.value == kind
    assert frame["value"].null_count() == (300 if first == [""] else 0)


def test_classes_written_with_a_plus_keep_it_when_they_come_last() -> None:
    reading, _ = taken(lines(range(600), ["-1"] * 300 + ["+1"] * 300), 500, 50)
    assert reading.schema.columns[1].labels == {"1": "+1"}


def test_a_later_date_settles_what_the_first_ones_leave_open() -> None:
    day = [f"{i % 12 + 1:02d}/{(5 * i) % 12 + 1:02d}/2024" for i in range(100)]
    assert [finding.kind for finding in taken(lines(range(100), day), 300, 20)[0].findings] == ["ambiguous_dates"]
    settled, frame = taken(lines(range(101), [*day, "12/31/2024"]), 300, 20)
    assert not settled.findings
    assert frame["value"][-1].isoformat() == "2024-12-31"


def test_a_wide_table_is_read_alike_whatever_part_of_it_is_held_at_once(tmp_path: Path) -> None:
    lines = [",".join(f"{i * j / 4}" if i > 60 else f"{i * j}" for j in range(30)) for i in range(100)]
    (tmp_path / "upload").write_text("\n".join([",".join(f"x{j}" for j in range(30)), *lines]))
    limits = [Limits(block_bytes=2_000), Limits(block_bytes=2_000, sample_cells=60)]
    whole, part = (
        read_table(tmp_path / "upload", "t.csv", tmp_path / f"{i}.parquet", limits=one) for i, one in enumerate(limits)
    )
    assert [column.type for column in part.schema] == [column.type for column in whole.schema]
    assert pl.read_parquet(part.path).equals(pl.read_parquet(whole.path))

"""Dates as people, programs and log files write them, and what only looks like dates: versions, scores, seasons."""

import datetime as dt
import random
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coreplex.engines.tabular.schema import Column, ColumnType
from coreplex.engines.tabular.types import dates, inference
from coreplex.engines.tabular.types.value_parser import parse_value
from tests.engines.tabular.judged import judge, take

MONTHS = {
    "English": "January February March April May June July August September October November December",
    "short": "Jan Feb Mar Apr May Jun Jul Aug Sept Oct Nov Dec",
    "German": "Januar Februar März April Mai Juni Juli August September Oktober November Dezember",
    "Austrian": "Jänner Feber Mär. Apr. Mai Jun. Jul. Aug. Sept. Okt. Nov. Dez.",
    "French": "janvier février mars avril mai juin juillet août septembre octobre novembre décembre",
    "fr.": "janv. févr. mars avr. mai juin juil. août sept. oct. nov. déc.",
    "Spanish": "enero febrero marzo abril mayo junio julio agosto septiembre octubre noviembre diciembre",
    "es.": "ENE FEB MAR ABR MAY JUN JUL AGO SET OCT NOV DIC",
}
WRITTEN = [
    "{d}. {month} {y}", "{d} {month} {y}", "{month} {d}, {y}", "{d}-{month}-{y}", "{d:02}/{month}/{y}", "{y}-{month}-{d:02}",
    "{d} de {month} de {y}", "{month} {d}th, {y}", "Mo., {d}. {month} {y}",
]  # fmt: skip
moments = st.datetimes(dt.datetime(1901, 1, 1), dt.datetime(2099, 12, 31)).map(lambda when: when.replace(microsecond=0))  # noqa: DTZ001
versions = st.tuples(st.integers(0, 12), st.integers(0, 14), st.integers(0, 40)).map(lambda parts: ".".join(map(str, parts)))


def infer(name: str, cells: list[str]) -> inference.ParseRule:
    texts = inference.distinct(pl.Series(cells, dtype=pl.String))
    return inference.infer(name, texts, inference.Conventions()).rule


def days(year: int = 2023) -> list[dt.date]:
    return [dt.date(year, 1, 1) + dt.timedelta(days=7 * i) for i in range(52)]


@settings(max_examples=60, deadline=None)
@given(st.lists(moments, min_size=1, max_size=8), st.sampled_from(sorted(MONTHS)), st.sampled_from(WRITTEN))
def test_names_of_months_are_read_in_every_language(when: list[dt.datetime], language: str, written: str) -> None:
    names = MONTHS[language].split()
    cells = [written.format(d=day.day, y=day.year, month=names[day.month - 1]) for day in when]
    rule = infer("value", cells)
    assert rule.kind == "datetime", cells
    assert rule.typed(pl.Series(cells)).to_list() == [day.date() for day in when]


@settings(max_examples=60, deadline=None)
@given(
    st.lists(moments, min_size=1, max_size=8),
    st.sampled_from(
        [
            ("value", "[%d/%b/%Y:%H:%M:%S +0000]"), ("value", "%d/%b/%Y:%H:%M:%S +0000"), ("value", "%Y%m%dT%H%M%S"),
            ("value", "%a, %d %b %Y %H:%M:%S +0000"), ("value", "%B %d, %Y %I:%M:%S %p"), ("created_at", "%Y%m%d%H%M%S"),
            ("value", "%Y%m%dT%H%M%SZ"), ("ts", "%Y%m%d%H%M%S"),
        ]
    ),
)  # fmt: skip
def test_moments_of_logs_and_programs(when: list[dt.datetime], case: tuple[str, str]) -> None:
    name, pattern = case
    cells = [moment.strftime(pattern) for moment in when]
    rule = infer(name, cells)
    assert rule.kind == "datetime", cells
    assert rule.typed(pl.Series(cells)).to_list() == when


@settings(max_examples=60, deadline=None)
@given(st.lists(st.datetimes(dt.datetime(1980, 1, 2), dt.datetime(2099, 12, 30)), min_size=1, max_size=8), st.data())  # noqa: DTZ001
def test_time_since_1970_where_name_and_range_say_so(when: list[dt.datetime], data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(["timestamp", "ts", "epoch", "time", "created_at", "updatedAt", "event_time"]))
    power = data.draw(st.sampled_from([1, 1_000, 1_000_000]))
    seconds = [moment.replace(tzinfo=dt.UTC).timestamp() for moment in when]
    numbers = [int(second) * power for second in seconds]
    rule = infer(name, list(map(str, numbers)))
    assert rule.kind == "datetime"
    assert rule.typed(pl.Series(list(map(str, numbers)))).to_list() == [moment.replace(microsecond=0) for moment in when]
    assert infer("amount", list(map(str, numbers))).kind == "integer"
    assert infer("elapsed_time", list(map(str, numbers))).kind == "integer"
    assert infer(name, [*map(str, numbers), "17"]).kind == "integer", "one is out of range"


@settings(max_examples=80, deadline=None)
@given(st.lists(versions, min_size=3, max_size=60, unique=True), st.sampled_from(["version", "release", "value", "tag", "app"]))
def test_versions_are_no_dates(cells: list[str], name: str) -> None:
    assert infer(name, cells).kind == "string", cells


@pytest.mark.parametrize(
    ("name", "cells"),
    [
        ("kda", ["10/2/8", "3/4/5", "7/1/12"]),
        ("record", ["10-2-5", "3-4-5", "7-1-12"]),
        ("season", ["2009-10", "2010-11", "2011-12"]),
        ("season", ["2009/10", "2010/11"]),
        ("version", ["2024.1.15", "2024.2.3", "2023.11.30"]),
        ("firmware", ["05.10.23", "05.11.02"]),
        ("value", [f"{major}.{minor}.{patch}" for major in (1, 5, 31) for minor in range(1, 13) for patch in range(10, 25)]),
        ("set", ["7:5", "6:4"]),
        ("build", ["1.2.1904", "1.3.2104"]),
    ],
)
def test_versions_scores_and_seasons_stay_text(tmp_path: Path, name: str, cells: list[str]) -> None:
    facts, issues = judge(tmp_path, table(name, cells))
    assert facts[name]["dtype"] == "string"
    assert not any(kind in ("invalid_dates", "mixed_dates", "ambiguous_dates") for kind, _ in issues)


@pytest.mark.parametrize(
    ("name", "cells"),
    [
        ("value", [f"{day:%d.%m.%y}" for day in days()]),
        ("value", [f"{day.day}.{day.month}.{day:%y}" for day in days()]),
        ("Datum", [f"{day.day}.{day.month}.{day:%y}" for day in days()[:3]]),
        ("value", [f"{day.month}/{day.day}/{day:%y}" for day in days()]),
        ("ordered", [f"{month}/1/{year}" for year in (22, 23) for month in range(1, 13)]),
        ("value", ["2020-05", "2020-06", "1999-12"]),
        ("value", ["05/2020", "12/1999"]),
        ("month", ["2009-10", "2010-11"]),
        ("value", [f"202001{day:02}{hour:02}1700" for day in range(1, 29) for hour in (3, 14, 23)]),
        ("until", ["31.12.9999", "1.2.2023"]),
        ("version_date", ["1.2.10", "5.3.11"]),
    ],
)
def test_dates_with_evidence_are_dates(tmp_path: Path, name: str, cells: list[str]) -> None:
    assert judge(tmp_path, table(name, cells))[0][name]["type"] == "datetime"


@pytest.mark.parametrize(
    ("cells", "seconds"),
    [
        (["00:12:33", "1:02:03", "23:59:59"], [753, 3723, 86_399]),
        (["0 days 00:12:33", "-2 days, 1:00:00.5"], [753, -176_400.5]),
        (["100:00:00", "-00:00:30"], [360_000, -30]),
    ],
)
def test_durations_and_times_of_day_are_seconds(tmp_path: Path, cells: list[str], seconds: list[float]) -> None:
    facts, issues = judge(tmp_path, table("took", cells))
    assert (facts["took"]["unit"], facts["took"]["type"] in ("integer", "float")) == ("s", True)
    assert issues["converted_type", "took"]["severity"] == "low"
    reading, frame = take(tmp_path, table("took", cells))
    assert frame["took"].to_list()[: len(cells)] == seconds
    column = reading.schema.columns[1]
    assert [parse_value(column, cell) for cell in (*cells, 12, "12", "1:60:00")] == [*seconds, 12, 12, None]
    text = take(tmp_path, table("took", cells), overrides={"took": ColumnType.categorical})[1]
    assert text["took"].to_list()[: len(cells)] == cells


@pytest.mark.parametrize(
    ("name", "cell", "sent", "value"),
    [
        ("ts", "1577836800", 1577836800.0, dt.datetime(2020, 1, 1)),  # noqa: DTZ001
        ("ts", "1577836800000", 1577836800000, dt.datetime(2020, 1, 1)),  # noqa: DTZ001
        ("ts", "20200101000000", 20200101000000, dt.datetime(2020, 1, 1)),  # noqa: DTZ001
        ("on", "3. März 2021", "3 march 2021", dt.date(2021, 3, 3)),
        ("on", "2020-05", "2020-05-01", dt.date(2020, 5, 1)),
    ],
)
def test_inputs_are_read_as_the_file_was(tmp_path: Path, name: str, cell: str, sent: Any, value: Any) -> None:
    column = take(tmp_path, table(name, [cell]))[0].schema.columns[1]
    assert parse_value(column, cell) == parse_value(column, sent) == parse_value(column, value.isoformat()) == value
    assert parse_value(column, "no such day") is None


def test_a_log_far_down_the_file_that_stops_being_dates_is_text(tmp_path: Path) -> None:
    cells = [*[f"{day.day}.{day.month}.{day:%y}" for day in days()] * 400, "1.13.23"]
    reading, frame = take(tmp_path, table("value", cells))
    assert reading.schema.columns[1].dtype == "string"
    assert frame["value"].to_list() == cells


@pytest.mark.parametrize("unit", dates.EPOCHS)
def test_moments_are_counted_exactly(unit: str) -> None:
    rng = random.Random(5)
    micros = [rng.randrange(315_532_800, 4_102_444_800) * 10**6 for _ in range(100)]
    written = [micro * 1000 if unit == "epoch:ns" else micro // int(dates.EPOCHS[unit]) for micro in micros]
    assert dates.column(pl.Series(list(map(str, written))), unit).to_physical().to_list() == micros


def table(name: str, cells: list[str]) -> str:
    rows = [cells[i % len(cells)] for i in range(max(60, len(cells)))]
    return f"group;{name}\n" + "".join(f'g{i % 7};"{cell}"\n' for i, cell in enumerate(rows))


@pytest.mark.parametrize("cell", ["١:00:00", "١ days 00:00:00", "00:00:0١", "00:00:00.١"])
def test_times_in_digits_of_another_script_are_no_times(tmp_path: Path, cell: str) -> None:
    _, frame = take(tmp_path, "t,x\n" + "00:12:33,1\n" * 5 + f"{cell},2\n")
    assert frame["t"].to_list() == ["00:12:33"] * 5 + [cell]


@pytest.mark.parametrize("written", [None, "%Y-%m-%dT%H:%M:%S%#z", "%Y-%m-%d"])
def test_no_text_lies_beyond_the_calendar(written: str | None) -> None:
    """A time in the year 9999 may be one of the year 10000 in UTC, which Python cannot hold."""
    for text in ("9999-12-31T23:59:59-14:00", "0001-01-01T00:00:00+14:00", "+10000-01-01", "-0001-01-01"):
        column = Column("when", ColumnType.datetime, "datetime", format=written)
        assert parse_value(column, text) is None

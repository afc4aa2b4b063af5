"""Scoring a table of any length: equal to single predictions, whatever the table is like; a line for each line; what an attempt
has finished is not done again, and the bytes are the same."""

import csv
import datetime as dt
import hashlib
import io
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from coreplex.engines.batch import task
from coreplex.engines.batch.parts import Parts
from coreplex.engines.scoring import bundle
from coreplex.engines.scoring.columns import NOTHING_KNOWN, TableScorer
from coreplex.engines.scoring.scorer import Scorer
from coreplex.engines.tabular.schema import TableSchema, spell
from coreplex.errors.tree import BadInput, DomainError, Invalid
from tests.engines.scoring_samples import COLUMNS, SCHEMA, Made, frame, manifest, member, target
from tests.factories.dataset import table

ROWS = frame(200)
TASKS = {"binary": "lightgbm", "multiclass": "linear", "regression": "xgboost"}
MODELS = Made(TASKS, lambda task: bundle.dumps(manifest(ROWS, task), [member(ROWS, target(ROWS, task), task, TASKS[task])]))
SCORERS = Made(TASKS, lambda task: Scorer.load(MODELS[task]))


class Told:
    """What a task reports."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.fractions: list[float] = []

    def progress(self, fraction: float, message: str = "") -> None:
        self.fractions.append(fraction)

    def log(self, message: str, level: str = "info") -> None:
        self.lines.append(message)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "work").mkdir()
    return tmp_path


def run(
    folder: Path,
    data: bytes | pl.DataFrame,
    name: str = "t.csv",
    kind: str = "binary",
    model: bytes | None = None,
    **more: Any,
) -> tuple[Any, pl.DataFrame]:
    """What the task returns, and the result."""
    model = model or MODELS[kind]
    (folder / "model.zip").write_bytes(model)
    source = folder / name
    if isinstance(data, bytes):
        source.write_bytes(data)
    else:
        data.write_parquet(source)
    request = {
        "bundle": str(folder / "model.zip"),
        "sha256": hashlib.sha256(model).hexdigest(),
        "source": str(source),
        "filename": name,
        "input_sha256": hashlib.sha256(source.read_bytes()).hexdigest(),
        "folder": str(folder / "work"),
        "destination": str(folder / "result.parquet"),
        **more,
    }
    found = task.run(request, more.pop("report", None) or Told())  # type: ignore[arg-type]
    return found, pl.read_parquet(folder / "result.parquet")


CELLS = st.one_of(
    st.sampled_from(
        [
            "",
            "12",
            "12.5",
            "-3",
            "1e3",
            "007",
            "1,5",
            "NaN",
            "NA",
            "inf",
            "yes",
            "no",
            "true",
            "0",
            "pro",
            "plus",
            " pro ",
            "T001",
            "?",
        ]
    ),
    st.sampled_from(
        ["2020-01-01", "2021-08-11T21:20:01.092085", "31.12.2020", "late parcel", "Straße, broken", 'say "x"', "1" * 30]
    ),
    st.text(st.characters(blacklist_categories=["Cs", "Cc"]), max_size=12),
    st.floats(allow_nan=False).map(repr),
    st.integers(-(10**20), 10**20).map(str),
)


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(kind=st.sampled_from(sorted(MODELS)), rows=st.lists(st.lists(CELLS, min_size=8, max_size=8), min_size=1, max_size=12))
def test_a_csv_file_is_predicted_as_its_cells_are_one_by_one(kind: str, rows: list[list[str]]) -> None:
    names = [column.name for column in COLUMNS][:8]
    anchor = ["12.5", "61", "true", "pro", "T001", "late parcel", "2020-01-01", "1"]
    anchors = [anchor] * 12  # or blank rows below them make the names look like another line of the table
    text = table([names, *anchors, *rows])
    with tempfile.TemporaryDirectory() as place:
        (Path(place) / "work").mkdir()
        _, result = run(Path(place), text, kind=kind)
    cells = [*anchors, *rows]
    assert result.height == len(cells)
    equal_to_single(kind, [dict(zip(names, row, strict=True)) for row in cells], result)


def equal_to_single(kind: str, rows: list[dict[str, Any]], result: pl.DataFrame) -> None:
    for row, found in zip(rows, result.to_dicts(), strict=True):
        if found["prediction_error"] is not None:
            assert found["prediction_error"] == NOTHING_KNOWN
            values, _ = SCORERS[kind].reader.read(row)
            assert all(value is None or value != value for value in values), row
            assert found["prediction"] is None
            continue
        alone, _ = SCORERS[kind].predict_row(row)
        if kind == "regression":
            assert found["prediction"] == pytest.approx(alone["prediction"], abs=1e-9, rel=1e-9), row
            continue
        assert found["prediction"] == alone["prediction"], row
        assert found["probability"] == pytest.approx(alone["probability"], abs=1e-9), row
        for label, share in alone["probabilities"].items():
            assert found[f"probability_{label}"] == pytest.approx(share, abs=1e-9), row


@pytest.mark.parametrize("kind", sorted(MODELS))
def test_a_parquet_file_is_predicted_as_its_rows_are_one_by_one(folder: Path, kind: str) -> None:
    rows = frame(150, seed=3).with_columns(
        amount=pl.col("amount").cast(pl.Float32), plan=pl.col("plan").cast(pl.Categorical), extra=pl.lit(1)
    )
    _, result = run(folder, rows, "t.parquet", kind)
    plain = rows.with_columns(amount=pl.col("amount").cast(pl.Float64), plan=pl.col("plan").cast(pl.String))
    spelled = [
        {name: value.isoformat() if isinstance(value, dt.datetime) else value for name, value in row.items()}
        for row in plain.to_dicts()
    ]
    equal_to_single(kind, spelled, result)
    assert result.columns[: rows.width] == rows.columns


def test_no_score_is_rounded_however_many_rows_there_are(folder: Path) -> None:
    """Of two thousand rows at once a booster's scores are nearly those of single rows; here they are those of single rows."""
    rows = frame(4_500, seed=9)
    _, result = run(folder, rows, "t.parquet")
    sample = rows.gather_every(90)
    spelled = [{k: v.isoformat() if isinstance(v, dt.datetime) else v for k, v in row.items()} for row in sample.to_dicts()]
    equal_to_single("binary", spelled, result.gather_every(90))


def test_columns_that_are_stored_otherwise_than_in_training_are_read_as_their_file_spells_them(folder: Path) -> None:
    """Numbers as texts and the other way round, a truth as `yes`, a date as a text."""
    rows = frame(60, seed=5).select(
        pl.col("amount").cast(pl.String),
        pl.col("age").cast(pl.Float64),
        pl.when("member").then(pl.lit("yes")).when(~pl.col("member")).then(pl.lit("no")).alias("member"),
        pl.lit(7).alias("plan"),
        pl.col("since").dt.date().alias("town"),
        pl.lit(value=True).alias("note"),
        pl.col("since").dt.to_string("iso"),
    )
    _, result = run(folder, rows, "t.parquet")
    columns = task.sources.of_file(folder / "t.parquet", "t.parquet", folder, task.Limits()).columns
    spelled = [{c.name: spell(c, row[c.name]) for c in columns} for row in rows.to_dicts()]
    equal_to_single("binary", spelled, result)


def test_every_line_keeps_its_line(folder: Path) -> None:
    good = "12.5,61,true,pro,T001,late parcel,2020-01-01,1,x"
    lines = ["amount,age,member,plan,town,note,since,key,same", good, "1,2", good + ",more,and more", "", ",,,,,,,5,", good, ""]
    found, result = run(folder, "\n".join(lines).encode())
    errors = result["prediction_error"].to_list()
    assert (found["rows"], found["refused"]) == (5, 3)
    assert errors == [
        None,
        "The line has 2 cells, the table has 9 columns.",
        "The line has 11 cells, the table has 9 columns.",
        NOTHING_KNOWN,
        None,
    ]
    assert result["amount"].to_list() == [12.5, 1.0, 12.5, None, 12.5]
    assert result["prediction"].is_null().to_list() == [error is not None for error in errors]


def test_quoted_cells_may_hold_separators_and_line_ends(folder: Path) -> None:
    text = 'amount,note\n1.5,"late, ""very""\nbroken"\n2.5,"x\n3.5,y"\n4.5,z,w\n'
    _, result = run(folder, text.encode())
    assert result["note"].to_list() == ['late, "very"\nbroken', "x\n3.5,y", "z"]
    assert result["prediction_error"].is_null().to_list() == [True, True, False]


@pytest.mark.parametrize("text", ["amount;age;plan\n1,5;20;pro\n", "amount\tage\n1.5\t20\n", "﻿amount,age\r\n1.5,20\r\n"])
def test_other_ways_to_write_a_file(folder: Path, text: str) -> None:
    _, result = run(folder, text.encode())
    assert (result.height, result["prediction_error"].to_list()) == (1, [None])


def test_what_no_model_can_predict_is_refused_with_a_reason(folder: Path) -> None:
    cases: list[tuple[bytes, str, str]] = [
        (table([["amuont", "colour"], [1, "red"]]), "no_column_known_of_table", "Did you mean 'amount'?"),
        (table([["amount", "plan"], ["", ""], ["?", ""]]), "no_row_scored", NOTHING_KNOWN),
        (b"amount,age\n", "no_rows_to_predict", "no rows"),
        (b"", "file_empty", "empty"),
        (b'{"amount": 1}', "batch_takes_csv_or_parquet", "dataset"),
        (b"%PDF-1.4", "not_a_table", "PDF"),
        (b"PAR1 and no more", "parquet_unreadable", "damaged"),
        (b'amount,note\n1,"never closed\n2,x\n', "quote_never_closed", "quote"),
    ]
    for data, reason, told in cases:
        with pytest.raises(DomainError) as refused:
            run(folder, data)
        assert refused.value.message.reason == reason, refused.value.message
        assert told in str(refused.value.message)


def test_a_column_of_nearly_the_same_name_is_taken_and_said(folder: Path) -> None:
    rows = frame(20).rename({"amount": "AMOUNT ", "plan": "Plan"}).drop("age").with_columns(colour=pl.lit("red"))
    found, result = run(folder, rows, "t.parquet")
    kinds = {(one["kind"], one["column"]) for one in found["warnings"] if one["rows"] is None}
    assert kinds == {
        ("matched_column", "amount"),
        ("matched_column", "plan"),
        ("missing_column", "age"),
        ("extra_column", "colour"),
    }
    assert "Plan" in result.columns
    spelled = rows.rename({"AMOUNT ": "amount", "Plan": "plan"}) if "AMOUNT " in rows.columns else rows
    texts = [{k: v.isoformat() if isinstance(v, dt.datetime) else v for k, v in row.items()} for row in spelled.to_dicts()]
    equal_to_single("binary", texts, result)


def test_odd_values_are_counted_over_all_chunks(folder: Path) -> None:
    rows = frame(250).with_columns(plan=pl.lit("never seen"), age=pl.lit(500))
    found, _ = run(folder, rows, "t.parquet", chunk_rows=40)
    counts = {(one["column"], one["kind"]): one["rows"] for one in found["warnings"] if one["rows"]}
    assert (counts["plan", "unseen_category"], counts["age", "out_of_range"]) == (250, 250)
    assert any("250 values of column “age” lie outside" in one["message"] for one in found["warnings"])
    found, _ = run(folder, table([["age", "amount", "plan"], ["x", "many", "basic"], ["y", 1, "gold"]]))
    assert [one["message"] for one in found["warnings"] if one["kind"] in {"unreadable_value", "unseen_category"}] == [
        "1 value of column “amount” is no number and is treated as a missing value.",
        "2 values of column “age” are no number and are treated as missing values.",
        "1 value of column “plan” is a category that training never saw.",
    ]


def test_under_strict_odd_rows_are_refused_by_their_values(folder: Path) -> None:
    rows = frame(30).with_columns(
        plan=pl.when(pl.int_range(30) == 3).then(pl.lit("gold")).otherwise("plan"),
        age=pl.when(pl.int_range(30) == 5).then(900).otherwise("age"),
    )
    found, result = run(folder, rows, "t.parquet", strict=True)
    errors = result["prediction_error"].to_list()
    assert found["refused"] == sum(error is not None for error in errors)
    assert errors[3] == "Column “plan” holds “gold”, which training never saw."
    assert errors[5] == "Column “age” holds “900”, which lies outside the range that training saw."
    with pytest.raises(Invalid, match=r"Column “colour” is no feature of the model\.$"):
        run(folder, rows.with_columns(colour=pl.lit(1)), "t.parquet", strict=True)
    with pytest.raises(Invalid, match=r"Column “age” is not in the table\.$"):
        run(folder, rows.drop("age"), "t.parquet", strict=True)


def test_a_result_is_scored_again_without_a_clash_of_names(folder: Path) -> None:
    _, once = run(folder, frame(20), "t.parquet")
    found, twice = run(folder, once, "t.parquet")
    assert found["renamed"]["prediction"] == "original_prediction"
    assert twice["prediction"].to_list() == once["prediction"].to_list() == twice["original_prediction"].to_list()
    third, _ = run(folder, twice, "t.parquet")
    assert third["renamed"]["prediction"] == "original_original_prediction"


def test_intervals_are_those_of_single_predictions(folder: Path) -> None:
    scorer, rows = SCORERS["regression"], frame(20)
    if scorer.manifest.conformal is None:
        with pytest.raises(Invalid) as refused:
            run(folder, rows, "t.parquet", "regression", interval=0.9)
        assert refused.value.message.reason
        return
    _, result = run(folder, rows, "t.parquet", "regression", interval=0.5)
    assert {"prediction_lower", "prediction_upper"} <= set(result.columns)


class Killed(Exception):
    """As a worker is, in the middle."""


def test_what_an_attempt_has_finished_is_not_done_again_and_the_bytes_are_the_same(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows, score, scored = frame(1_000), TableScorer.score, []

    def counted(self: TableScorer, *given: Any) -> Any:
        if len(scored) == 5 and killing:
            raise Killed
        scored.append(given[0].height)
        return score(self, *given)

    monkeypatch.setattr(TableScorer, "score", counted)
    killing = True
    with pytest.raises(Killed):
        run(folder, rows, "t.parquet", chunk_rows=100)
    killing, report = False, Told()
    found, _ = run(folder, rows, "t.parquet", chunk_rows=100, report=report)
    assert scored == [100] * 10
    assert report.lines == ["500 rows were scored by an earlier attempt; it goes on behind them."]
    assert report.fractions == sorted(report.fractions)
    shutil.rmtree(folder / "work")
    (folder / "work").mkdir()
    unbroken, _ = run(folder, rows, "t.parquet", chunk_rows=100)
    assert (found["sha256"], len(scored)) == (unbroken["sha256"], 20)


DAMAGE: dict[str, Callable[[Path], Any]] = {
    "no note": lambda part: part.with_suffix(".json").unlink(),
    "half a note": lambda part: part.with_suffix(".json").write_bytes(b"{"),
    "other bytes": lambda part: part.write_bytes(b"PAR1"),
    "no part": lambda part: part.unlink(),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_part_that_is_not_whole_is_made_again(folder: Path, damage: str) -> None:
    found, _ = run(folder, frame(300), "t.parquet", chunk_rows=100)
    (parts,) = [path for path in (folder / "work").iterdir() if path.is_dir()]
    DAMAGE[damage](parts / "000001.parquet")
    assert Parts(parts).rows == 100
    assert run(folder, frame(300), "t.parquet", chunk_rows=100)[0]["sha256"] == found["sha256"]


def test_parts_of_other_options_are_no_beginning(folder: Path) -> None:
    _, usual = run(folder, frame(50), "t.parquet")
    _, sure = run(folder, frame(50), "t.parquet", threshold=0.0)
    assert set(sure["prediction"]) == {"yes"} != set(usual["prediction"])


def test_a_stored_table_is_predicted_by_its_own_schema(folder: Path) -> None:
    rows = frame(40)
    rows.write_parquet(folder / "stored.parquet")
    found, result = run(folder, b"unused", table=str(folder / "stored.parquet"), schema=SCHEMA.to_json())
    assert TableSchema.from_json(found["schema"]).names == [*rows.columns, *result.columns[rows.width :]]
    assert result.select(rows.columns).equals(rows)


def test_numbers_of_a_file_of_texts_are_numbers_in_the_result(folder: Path) -> None:
    text = table(
        [["amount", "age", "code", "mixed", "long"], ["1.5", "20", "007", "3", "0.1234567890123456"], [" ", "-3", "1", "x", "2"]]
    )
    _, result = run(folder, text)
    assert result.schema["amount"] == pl.Float64
    assert result.schema["age"] == pl.Int64
    assert result["code"].to_list() == ["007", "1"]
    assert result["mixed"].to_list() == ["3", "x"]
    assert result["amount"].to_list() == [1.5, None]


def test_csv_by_the_standard_library_gives_the_same_cells(folder: Path) -> None:
    cells = [["amount", "note"], ["1.5", "a\nb"], ["2.5", ' "q" '], ["3.5", "ü,ö"]]
    out = io.StringIO()
    csv.writer(out, quoting=csv.QUOTE_ALL).writerows(cells)
    _, result = run(folder, out.getvalue().encode())
    assert result["note"].to_list() == ["a\nb", ' "q" ', "ü,ö"]


def test_a_damaged_file_in_a_table_is_bad_input(folder: Path) -> None:
    frame(50_000).write_parquet(folder / "whole.parquet", row_group_size=10_000)
    data = bytearray((folder / "whole.parquet").read_bytes())
    data[len(data) // 2 : len(data) // 2 + 2_000] = bytes(2_000)
    with pytest.raises(BadInput):
        run(folder, bytes(data), "t.parquet")

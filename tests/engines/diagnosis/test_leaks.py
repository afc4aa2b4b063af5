"""Planted leaks of every kind are found, for classes and numbers, and clean tables raise no alarm.

Many more seeds and real tables: `tests/benchmarks/leaks.py`.
"""

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from coreplex.engines.diagnosis import experiment_warnings
from coreplex.engines.diagnosis.diagnose import examine
from coreplex.engines.diagnosis.request import ColumnRoles, CpuDeadline, DiagnosisRequest
from coreplex.engines.tabular.read.table import read_table
from coreplex.errors.tree import Invalid
from tests.factories import ordinary
from tests.factories.leaks import KINDS, TARGET, clean, planted


def ask(tmp_path: Path, table: pl.DataFrame | Path, target: str, problem: str, **options: Any) -> dict[str, Any]:
    """The diagnosis of a table as it is after an upload."""
    source = table if isinstance(table, Path) else tmp_path / "t.csv"
    if isinstance(table, pl.DataFrame):
        table.write_csv(source)
    reading = read_table(source, "t.csv", tmp_path / "t.parquet")
    return examine(
        reading.path, reading.schema, DiagnosisRequest(target, problem, ColumnRoles.of(options)), deadline=CpuDeadline(60.0)
    )


def accused(found: dict[str, Any], severity: str = "high") -> set[str]:
    return {name for leak in found["leaks"] if leak["severity"] == severity for name in leak["columns"]}


@pytest.mark.parametrize("kind", KINDS)
def test_a_planted_leak_is_found_and_nothing_else(kind: str, tmp_path: Path) -> None:
    for seed, classes in ((1, True), (2, False)):
        made = planted(kind, seed, classes=classes)
        found = ask(tmp_path, made.frame, TARGET, made.problem)
        told = (kind, seed, made.problem, found["leaks"])
        assert accused(found) & made.leaks, told
        assert accused(found) <= made.leaks, told
        assert set(experiment_warnings.left_out(found)) <= made.leaks, told
        assert found["scores"]["without"] < found["scores"]["with"] or kind not in ("copy", "recoded", "noisy copy"), told
        assert any("quick model" in warning for warning in experiment_warnings.warnings(found, drop_leaks=False))


def test_clean_tables_raise_no_alarm(tmp_path: Path) -> None:
    """At most one in twenty; the strictest of them are honest columns that predict almost everything."""
    alarms, tables = [], list(clean(range(1)))[::2] + list(clean(range(3, 4)))[10:]
    for name, frame, target, problem in tables:
        found = ask(tmp_path, frame, target, problem)
        if accused(found):
            alarms.append((name, found["leaks"]))
        assert experiment_warnings.warnings(found, drop_leaks=False) == [] or accused(found)
    assert len(tables) >= 14
    assert len(alarms) / len(tables) <= 0.05, alarms


@pytest.mark.parametrize("name", ordinary.TABLES)
def test_leaks_of_ordinary_tables(name: str, tmp_path: Path) -> None:
    made = ordinary.TABLES[name]()
    problem = "classification" if made.classes else "regression"
    assert accused(ask(tmp_path, made.frame, made.target, problem)) == made.leaks


def test_a_column_that_says_one_of_several_classes(tmp_path: Path) -> None:
    """With a few values missing it is still found; with an exception, with a class of its own, or of few rows it is none."""
    draw = np.random.default_rng(0)
    mood = draw.choice(["low", "fair", "high"], 600)
    high = pl.Series(mood == "high")
    frame = pl.DataFrame({"mood": mood, "x": draw.normal(size=600), "very_high": high})
    holes, wrong = pl.Series(draw.random(600) < 0.05), pl.Series(np.arange(600) == int(np.argmax(mood == "high")))
    found = ask(tmp_path, frame.with_columns(very_high=pl.when(~holes).then(high)), "mood", "classification")
    (leak,) = found["leaks"]
    assert (leak["kind"], leak["columns"], leak["severity"]) == ("indicator", ("very_high",), "high")
    assert "'mood' is 'high'" in leak["message"]
    assert accused(ask(tmp_path, frame.with_columns(very_high=high ^ wrong), "mood", "classification")) == set()
    rare = frame.with_columns(very_high=pl.Series(mood == "high") & (pl.int_range(600) < 60)).filter(
        pl.col("very_high") | (pl.col("mood") != "high")
    )
    assert accused(ask(tmp_path, rare, "mood", "classification")) == set()


def test_a_target_that_counts_the_rows_is_named(tmp_path: Path) -> None:
    draw = np.random.default_rng(1)
    frame = pl.DataFrame({"x": draw.normal(size=400), "z": draw.normal(size=400)})
    targets = {
        "ticket": 1_000 + np.cumsum(draw.integers(8, 12, 400)),
        "downwards": -0.5 * np.arange(400) + 7,
        "sorted": np.sort(draw.normal(size=400)),
        "uniform": np.sort(draw.random(400)),
        "plain": np.arange(400)[draw.permutation(400)] * 1.5,
    }
    steps = {name: ask(tmp_path, frame.with_columns(pl.Series(name, y)), name, "regression") for name, y in targets.items()}
    assert {name for name, found in steps.items() if found["step"] is not None} == {"ticket", "downwards"}
    (warning,) = experiment_warnings.warnings(steps["ticket"], drop_leaks=False)
    assert "'ticket' rises by about 10" in warning
    assert [issue["kind"] for issue in steps["downwards"]["issues"]] == ["target_is_order"]


def test_columns_with_another_role_are_not_looked_at(tmp_path: Path) -> None:
    made = planted("copy", 0, classes=True)
    found = ask(tmp_path, made.frame, TARGET, made.problem, ignored_columns=["copy"])
    assert found["leaks"] == []
    assert "copy" not in {entry["column"] for entry in found["usefulness"]}


def test_rows_of_one_key_and_a_counter_that_is_an_identifier_are_told_of_but_not_left_out(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    sick = rng.integers(0, 2, 120)
    table = pl.DataFrame({"patient": [f"p{i:03}" for i in range(120)], "sick": sick}).select(pl.all().repeat_by(5).explode())
    table = table.with_columns(reading=pl.Series(rng.normal(size=600)))
    found = ask(tmp_path, table.sample(fraction=1, shuffle=True, seed=1), "sick", "classification")
    assert accused(found, "medium") == {"patient"}
    assert "group_column" in found["leaks"][0]["message"]

    ordered = table.select("sick", "reading").sort("sick").with_row_index("row")
    found = ask(tmp_path, ordered, "sick", "classification")
    assert accused(found, "medium") == {"row"}, "numbers of rows are identifiers and no features"
    assert experiment_warnings.left_out(found) == []


def test_the_later_of_two_times_is_left_out_and_the_planned_one_stays(tmp_path: Path) -> None:
    made = planted("later fact", 0, classes=False)
    assert experiment_warnings.left_out(ask(tmp_path, made.frame, TARGET, made.problem)) == ["came"]
    made = planted("part of a sum", 0, classes=False)
    assert experiment_warnings.left_out(ask(tmp_path, made.frame, TARGET, made.problem)) == ["total"]


def test_the_answer_is_the_same_every_time_and_bounded_on_wide_and_long_tables(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    wide = pl.DataFrame({**{f"c{i}": rng.normal(size=100) for i in range(150)}, "y": rng.integers(0, 2, 100)})
    first, second = (ask(tmp_path, wide, "y", "classification") for _ in range(2))
    assert (first["leaks"], first["usefulness"]) == (second["leaks"], second["usefulness"])
    assert first["leaks"] == []
    assert any("first 80 of 150" in one["message"] for one in first["unfinished"])
    long = pl.DataFrame({"x": rng.normal(size=90_000), "k": rng.integers(0, 5, 90_000), "y": rng.integers(0, 100, 90_000)})
    found = ask(tmp_path, long.with_columns(copy=pl.col("y") * 3), "y", "classification")
    assert found["sampled_rows"] <= 20_000
    assert accused(found) == {"copy"}
    assert found["imbalance"]["class_count"] == 100


@pytest.mark.parametrize("rows", [0, 1, 12])
def test_tables_too_small_to_tell_say_nothing(rows: int, tmp_path: Path) -> None:
    table = pl.DataFrame({"a": list(range(rows + 40)), "y": [i % 2 if i < rows else None for i in range(rows + 40)]})
    found = ask(tmp_path, table, "y", "classification")
    assert (found["leaks"], found["usefulness"]) == ([], [])


@pytest.mark.parametrize("problem", ["classification", "regression"])
def test_numbers_of_any_size_and_columns_of_any_sort_are_looked_at(problem: str, tmp_path: Path) -> None:
    rng = np.random.default_rng(4)
    n = 200
    columns = {
        "huge": rng.choice([1e300, -1e300, np.inf, 0.5], n),
        "steps": rng.choice([1e200, 2.5, 3.5, 7.25, 8.0, 9.0, 10.0, 11.0, 12.0, np.inf], n),
        "flag": rng.random(n) < 0.5,
        "empty": [None] * n,
        "same": ["x"] * n,
        "word": [f"w {i % 7} {i}" for i in range(n)],
        "y": rng.integers(0, 4, n),
    }
    pl.DataFrame(columns).with_columns(day=pl.lit("2024-01-31")).write_csv(tmp_path / "t.csv")
    with np.errstate(all="ignore"):
        found = ask(tmp_path, tmp_path / "t.csv", "y", problem)
    assert found["leaks"] == []
    assert all(np.isfinite([entry["share"], entry["score"]]).all() for entry in found["usefulness"])


def test_an_unknown_target_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Invalid):
        ask(tmp_path, planted("copy", 0, classes=True).frame, "nobody", "classification")

"""The profile against pandas and numpy, and JSON-readiness on awkward tables."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import polars as pl
import pytest

from coreplex.engines.tabular.profile import table_profile as profiling
from coreplex.engines.tabular.profile.correlation import correlation_ratio, cramers_v
from coreplex.engines.tabular.profile.table_profile import profile_table
from coreplex.engines.tabular.profile.target_suggestion import suggest
from coreplex.engines.tabular.read.interface import ReadTable
from coreplex.engines.tabular.read.table import read_table


@pytest.fixture
def reading(tmp_path: Path) -> ReadTable:
    rng = np.random.default_rng(0)
    n = 3000
    x = rng.normal(size=n)
    frame = pl.DataFrame(
        {
            "key": [f"k{i}" for i in range(n)],
            "x": x,
            "twice": 2 * x + rng.normal(size=n) * 0.1,
            "spread": np.exp(rng.normal(size=n) * 3),
            "group": np.where(x > 0, "high", "low"),
            "count": rng.integers(0, 9, n),
            "flag": rng.random(n) < 0.2,
            "day": pl.date_range(pl.date(2020, 1, 1), pl.date(2030, 1, 1), "1d", eager=True).head(n),
            "note": [f"some words about {i % 2000} things" for i in range(n)],
            "empty": pl.Series([None] * n, dtype=pl.Float64),
            "target": np.where(x > 0.5, "yes", "no"),
        }
    ).with_columns(pl.when(pl.int_range(n) % 10 == 3).then(None).otherwise(pl.col("count")).alias("count"))
    frame.write_csv(tmp_path / "t.csv")
    return read_table(tmp_path / "t.csv", "t.csv", tmp_path / "t.parquet")


def by_name(found: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {column["name"]: column for column in found["columns"]}


def test_statistics_are_those_of_numpy(reading: ReadTable) -> None:
    found = profile_table(reading.path, reading.schema)
    assert orjson.loads(orjson.dumps(found)) == found
    x = pl.read_parquet(reading.path)["x"].to_numpy()
    facts = by_name(found)["x"]
    assert facts["mean"] == pytest.approx(x.mean())
    assert facts["std"] == pytest.approx(x.std(ddof=1))
    assert facts["median"] == pytest.approx(np.median(x))
    assert facts["min"] == x.min()
    assert facts["quantiles"]["0.95"] == pytest.approx(np.quantile(x, 0.95))
    counts, edges = np.histogram(x, bins=20)
    assert facts["histogram"]["edges"] == pytest.approx(edges)
    assert sum(facts["histogram"]["counts"]) == len(x)
    assert np.abs(np.array(facts["histogram"]["counts"]) - counts).max() <= 1
    assert facts["unique_count"] == len(np.unique(x))
    assert facts["negatives"] == (x < 0).sum()


def test_every_kind_of_column_is_described(reading: ReadTable) -> None:
    found = profile_table(reading.path, reading.schema)
    facts = by_name(found)
    assert facts["count"]["missing_count"] == 300
    assert facts["count"]["missing_pct"] == 10.0
    assert facts["empty"]["missing_count"] == found["row_count"] == 3000
    assert facts["flag"]["unique_count"] == 2
    assert sum(entry["count"] for entry in facts["target"]["top_values"]) == 3000
    assert facts["day"]["min"] == "2020-01-01"
    assert facts["note"]["words_mean"] == 5.0
    assert facts["note"]["type"] == "text"
    assert facts["key"]["type"] == "id"
    assert found["missing"]["columns"] == 2
    assert found["missing"]["complete_rows"] == 0
    assert (found["suggested_target"], found["suggested_problem_type"]) == ("target", "classification")


def test_what_goes_together_is_found(reading: ReadTable) -> None:
    found = profile_table(reading.path, reading.schema)["correlations"]
    methods = {(pair["column_a"], pair["column_b"]): pair for pair in found}
    assert methods["x", "twice"]["pearson"] == pytest.approx(0.9987, abs=0.001)
    assert methods["group", "x"]["method"] == "correlation_ratio"
    assert methods["group", "target"]["method"] == "cramers_v"
    assert [abs(pair["value"]) for pair in found] == sorted((abs(pair["value"]) for pair in found), reverse=True)


def test_two_values_are_skewed_too(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("a,b\n" + "1,x\n0,y\n0,z\n0,z\n" * 20)
    reading = read_table(tmp_path / "t.csv", "t.csv", tmp_path / "t.parquet")
    assert by_name(profile_table(reading.path, reading.schema))["a"]["skew"] == pytest.approx(1.1547)


def test_duplicates_are_counted(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("a,b\n" + "1,x\n2,y\n3,\n" * 20)
    reading = read_table(tmp_path / "t.csv", "t.csv", tmp_path / "t.parquet")
    assert profile_table(reading.path, reading.schema)["duplicates"] == {"count": 57, "pct": 95.0}


AGAIN = """
import sys
from pathlib import Path
import orjson
from coreplex.engines.tabular.profile.table_profile import profile_table
from coreplex.engines.tabular.read.table import read_table
source = Path(sys.argv[1])
reading = read_table(source, source.name, source.with_suffix(".parquet"))
print(orjson.dumps(profile_table(reading.path, reading.schema)).decode())
"""


def test_two_processes_find_the_same(tmp_path: Path) -> None:
    """Though many values are equally common, and each process has an order of its own for them."""
    rng = np.random.default_rng(0)
    numbers = [str(number) for number in rng.integers(0, 10**9, 30_000)]
    names = [f"{letter}{number}" for letter, number in zip(rng.choice(list("abcdef"), 30_000), numbers, strict=True)]
    almost = [name if odd else number for name, number, odd in zip(names, numbers, rng.random(30_000) < 0.02, strict=True)]
    pl.DataFrame({"name": names, "almost": almost}).write_csv(tmp_path / "t.csv")
    command = [sys.executable, "-c", AGAIN, str(tmp_path / "t.csv")]
    first, second = (subprocess.run(command, capture_output=True, text=True, check=True).stdout for _ in range(2))
    assert first == second
    assert {column["name"]: column["texture"]["almost"] is None for column in orjson.loads(first)["columns"]} == {
        "name": True,
        "almost": False,
    }


def test_awkward_numbers_stay_json(tmp_path: Path) -> None:
    values = ["inf", "-inf", "1e308", "-1e308", "NaN", "0", "5e-324"]
    (tmp_path / "t.csv").write_text("a,b\n" + "".join(f"{value},{i}\n" for i, value in enumerate(values * 10)))
    reading = read_table(tmp_path / "t.csv", "t.csv", tmp_path / "t.parquet")
    found = profile_table(reading.path, reading.schema)
    assert by_name(found)["a"]["infinite_count"] == 20
    assert by_name(found)["a"]["sample_values"][:3] == ["inf", "-inf", 1e308]
    assert {entry["value"]: entry["count"] for entry in by_name(found)["a"]["top_values"]}.items() >= {
        "inf": 10,
        "-inf": 10,
    }.items()
    assert b"NaN" not in orjson.dumps(found)


def test_large_tables_are_sampled_and_exact_where_it_counts(reading: ReadTable, monkeypatch: pytest.MonkeyPatch) -> None:
    exact = by_name(profile_table(reading.path, reading.schema))
    monkeypatch.setattr(profiling, "EXACT_ROWS", 500)
    found = profile_table(reading.path, reading.schema)
    sampled = by_name(found)
    assert found["sampled_rows"] == 500
    assert found["row_count"] == 3000
    for name in ("x", "count", "spread"):
        assert {key: sampled[name][key] for key in ("min", "max", "missing_count")} == {
            key: exact[name][key] for key in ("min", "max", "missing_count")
        }
        assert sampled[name]["mean"] == pytest.approx(exact[name]["mean"])


def test_association_of_categories() -> None:
    rng = np.random.default_rng(0)
    a = rng.integers(0, 5, 2000)
    assert cramers_v(a, a) == pytest.approx(1.0, abs=1e-6)
    assert cramers_v(a, rng.integers(0, 5, 2000)) < 0.06
    assert correlation_ratio(a, a * 1.5) == pytest.approx(1.0)
    assert correlation_ratio(a, rng.normal(size=2000)) < 0.1
    assert cramers_v(np.full(10, -1), np.full(10, -1)) == 0.0


@pytest.mark.parametrize(
    ("names", "target"),
    [(["a", "b", "churn", "z"], "churn"), (["y", "x1", "x2"], "y"), (["x", "y", "price"], "price"), (["a", "b"], "b")],
)
def test_the_likeliest_target(names: list[str], target: str) -> None:
    columns = [{"name": name, "type": "float", "unique_count": 50, "missing_pct": 0.0} for name in names]
    assert suggest(columns, 100) == (target, "regression")


def test_a_wide_table_is_profiled(tmp_path: Path) -> None:
    frame = pl.DataFrame({f"f{j}": [i * j % 97 for i in range(60)] for j in range(1500)})
    frame.write_parquet(tmp_path / "t")
    reading = read_table(tmp_path / "t", "t.parquet", tmp_path / "t.parquet")
    found = profile_table(reading.path, reading.schema)
    assert len(found["columns"]) == 1500
    assert len(found["correlations"]) == 100

"""What a model says it wants: it takes the rows it learned from, and what it does not take the reader of rows warns of."""

from pathlib import Path
from typing import Any

import numpy as np
import orjson
import polars as pl
import pytest
from jsonschema import Draft202012Validator

from coreplex.engines.automl import train
from coreplex.engines.scoring.bundle import read_inputs
from coreplex.engines.scoring.input_schema import MOST_CATEGORIES, described, json_schema
from coreplex.engines.scoring.scorer import Scorer
from coreplex.engines.tabular.read.table import read_table
from coreplex.engines.tabular.schema import TableSchema, spell
from tests.engines.runs import Report

ROWS = 600
Made = tuple[Scorer, dict[str, Any], TableSchema, list[dict[str, Any]]]
TARGETS = {"left": "classification", "paid": "regression"}


def table(path: Path) -> None:
    """A column of each kind: spelled as people spell, with and without missing values, few and many categories."""
    draw = np.random.default_rng(0)
    days = draw.integers(0, 900, ROWS)
    size = draw.normal(size=ROWS).round(3)
    code = draw.integers(1, 10, ROWS)
    signal = size + (code == 7) * 2 + 0.5 * draw.normal(size=ROWS)
    pl.DataFrame(
        {
            "size": size,
            "count": [None if c > 17 else c for c in draw.integers(0, 20, ROWS)],
            "code": [f"{c:02d}" for c in code],
            "member": ["yes" if m else "no" for m in draw.random(ROWS) > 0.4],
            "answer": [None if m > 0.9 else m > 0.4 for m in draw.random(ROWS)],
            "price": [f"{v:.2f}".replace(".", ",") for v in np.exp(draw.normal(size=ROWS))],
            "town": [f"T{i:03d}" for i in draw.integers(0, 120, ROWS)],
            "day": [str(np.datetime64("2020-01-01") + d) for d in days],
            "at": [f"2021-03-04T{d % 24:02d}:{d % 60:02d}:00" for d in days],
            "note": [" ".join(draw.choice(["good", "bad", "late", "early", "parcel", "refund"], 6)) for _ in range(ROWS)],
            "left": ["gone" if s > 0.5 else "here" for s in signal],
            "paid": (signal + 10).round(3),
        }
    ).write_csv(path, separator=";")


@pytest.fixture(scope="module", params=TARGETS)
def made(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Made:
    """A model, what it wants, the schema of its table, and the rows of that as stored."""
    folder = tmp_path_factory.mktemp("schema")
    table(folder / "t.csv")
    schema = read_table(folder / "t.csv", "t.csv", folder / "t.parquet").schema
    report = Report()
    config = {"max_models": 1, "nfolds": 3, "include_algos": ["GBM"], "drop_leaks": False}
    told = {"table": str(folder / "t.parquet"), "schema": schema.to_json(), "target": request.param, "config": config}
    train.run({**told, "problem_type": TARGETS[request.param], "work_dir": str(folder), "threads": 1}, report)
    best = report.models[-1]
    reasons = orjson.loads(Path(best["explanation"]["path"]).read_bytes())["feature_importance"]
    shares = {one["feature"]: one["percentage"] for one in reasons}
    found = described(*read_inputs(best["bundle"]["path"], best["bundle"]["sha256"]), shares)
    return Scorer.load(best["bundle"]["path"]), found, schema, pl.read_parquet(folder / "t.parquet").to_dicts()


def validator(found: dict[str, Any]) -> Draft202012Validator:
    schema = json_schema(found)
    Draft202012Validator.check_schema(schema)
    return Draft202012Validator(schema, format_checker=Draft202012Validator.FORMAT_CHECKER)


def test_rows_of_training_are_valid_as_stored_and_as_spelled(made: Made) -> None:
    scorer, found, schema, rows = made
    valid = validator(found)
    columns = {column.name: column for column in schema}
    for row in rows:
        stored = orjson.loads(orjson.dumps(row))
        spelled = {name: spell(columns[name], value) for name, value in row.items()}
        for one in (stored, spelled):
            assert [error.message for error in valid.iter_errors(one)] == []
            assert scorer.reader.read(one)[1] == []


def test_what_a_form_shows(made: Made) -> None:
    scorer, found, _, rows = made
    fields = {field["name"]: field for field in found["fields"]}
    assert tuple(sorted(fields)) == tuple(sorted(scorer.features))
    assert list(fields) == [name for name in rows[0] if name in fields], "in the order of the table"
    low, high = min(row["size"] for row in rows), max(row["size"] for row in rows)
    assert (fields["size"]["min"], fields["size"]["max"], fields["size"]["is_nullable"]) == (low, high, False)
    assert low <= fields["size"]["default"] <= high
    assert (fields["count"]["min"], fields["count"]["max"], fields["count"]["is_nullable"]) == (0, 17, True)
    assert fields["member"]["categories"] == ["no", "yes"]
    assert fields["member"]["default"] == "yes"
    towns = sorted({row["town"] for row in rows})
    assert (fields["town"]["category_count"], fields["town"]["categories"]) == (len(towns), towns[:MOST_CATEGORIES])
    assert fields["day"]["min"][:4] == "2020"
    assert len(fields["day"]["min"]) == 10
    assert fields["at"]["max"].startswith("2021-03-04T23:")
    assert (fields["note"]["categories"], fields["note"]["default"]) == (None, None)
    assert len(fields["note"]["example"].split()) == 6
    assert sum(field["importance_percent"] for field in fields.values()) == pytest.approx(100)
    example = {name: field["example"] for name, field in fields.items()}
    assert scorer.reader.read(example)[1] == []
    begin = {name: field["default"] for name, field in fields.items() if field["default"] is not None}
    assert {one["kind"] for one in scorer.reader.read(begin)[1]} <= {"missing_column"}
    output = found["output"]
    if scorer.classes:
        assert (output["problem_type"], output["classes"], output["column"]) == ("classification", ["gone", "here"], "left")
        assert 0 < output["threshold"] < 1
    else:
        assert (output["problem_type"], output["classes"], output["threshold"]) == ("regression", [], None)
    assert 0.99 < output["highest_interval"] < 1


@pytest.mark.parametrize(
    "odd",
    [
        *({"size": value} for value in (1e6, -1e6, "much", [1], {"a": 1})),
        *({"count": value} for value in (-1, 10**9, "x")),
        *({"code": value} for value in ("77", "x", 99)),
        *({"member": value} for value in ("perhaps", 7)),
        *({"answer": value} for value in ("perhaps", [])),
        {"day": []},
        {"size": None, "Size": 1.0},
    ],
    ids=repr,
)
def test_what_is_not_valid_is_answered_with_a_warning(made: Made, odd: dict[str, Any]) -> None:
    scorer, found, _, rows = made
    row = {name: value for name, value in orjson.loads(orjson.dumps(rows[0])).items() if odd.get(name, value) is not None}
    assert validator(found).is_valid(row) == ("Size" not in odd)
    row |= {name: value for name, value in odd.items() if value is not None}
    assert not validator(found).is_valid(row)
    assert scorer.reader.read(row)[1]


def test_a_model_without_rows_of_training_has_no_examples(made: Made) -> None:
    scorer = made[0]
    found = described(scorer.manifest.model_copy(update={"background": (), "conformal": None}), scorer.reader, {})
    assert {(field["default"], field["example"], field["importance_percent"]) for field in found["fields"]} == {
        (None, None, None)
    }
    assert found["output"]["highest_interval"] is None
    assert validator(found)

"""The scorer: one code path for rows and frames, labels as uploaded, a warning for everything odd, never an error."""

import json
import math
from typing import Any

import numpy as np
import orjson
import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from coreplex.engines.encoding.encoder import Encoder
from coreplex.engines.encoding.rows import RowReader
from coreplex.engines.scoring import bundle
from coreplex.engines.scoring.calibration import Calibration
from coreplex.engines.scoring.contributions import background_of, contributions
from coreplex.engines.scoring.scorer import Scorer, gathered
from coreplex.engines.tabular.schema import spell
from coreplex.errors.tree import DomainError
from tests.engines.scoring_samples import COLUMNS, Made, column, encode_row, frame, manifest, member, predict_frame, target

TABLE = frame(300)
TASKS = ["binary", "multiclass", "regression"]


def made(task: str, *families: str, **more: Any) -> Scorer:
    y = target(TABLE, task)
    return Scorer.load(bundle.dumps(manifest(TABLE, task, **more), [member(TABLE, y, task, family) for family in families]))


MIXES = ["lightgbm response", "xgboost response", "mlp response", "lightgbm forest raw", "lightgbm linear mlp response"]


def _mixed(name: str) -> Scorer:
    task, *families, combine = name.split()
    return made(task, *families, combine=combine)


SCORERS = Made((f"{task} {mix}" for task in TASKS for mix in MIXES), _mixed)


@pytest.fixture(scope="module", params=SCORERS)
def scorer(request: pytest.FixtureRequest) -> Scorer:
    found: Scorer = SCORERS[request.param]
    return found


def one() -> Scorer:
    found: Scorer = SCORERS["binary lightgbm response"]
    return found


def rows(count: int = 30) -> list[dict[str, Any]]:
    return frame(count, seed=5).to_dicts()


def test_rows_and_frames_agree(scorer: Scorer) -> None:
    answers, warnings = scorer.predict_rows(rows())
    table = predict_frame(scorer, frame(30, seed=5))
    assert {w["kind"] for w in warnings} <= {"out_of_range", "unseen_category"}
    assert table.height == 30
    if scorer.task == "regression":
        assert table.columns == ["prediction"]
        np.testing.assert_allclose([a["prediction"] for a in answers], table["prediction"], atol=1e-6)
        assert all(set(answer) == {"prediction"} for answer in answers)
        return
    assert [a["prediction"] for a in answers] == table["prediction"].to_list()
    np.testing.assert_allclose([a["probability"] for a in answers], table["probability"], atol=1e-6)
    for label in scorer.classes:
        np.testing.assert_allclose([a["probabilities"][label] for a in answers], table[f"probability_{label}"], atol=1e-6)
    for answer in answers:
        assert sum(answer["probabilities"].values()) == pytest.approx(1)
        assert answer["probability"] == answer["probabilities"][answer["prediction"]]


def test_many_rows_are_answered_as_each_alone(scorer: Scorer) -> None:
    many = rows(40) * 6
    many[5] = many[5] | {"age": "?", "extra": 1}
    alone = [scorer.predict_row(row) for row in many]
    value = "prediction" if scorer.task == "regression" else "probability"
    for count in (3, 4, 200, 201, 240):
        answers, warnings = scorer.predict_rows(many[:count])
        expected = [answer for answer, _ in alone[:count]]
        np.testing.assert_allclose([a[value] for a in answers], [a[value] for a in expected], atol=1e-9)  # type: ignore[literal-required]
        assert [a.keys() for a in answers] == [a.keys() for a in expected]
        assert scorer.task == "regression" or [a["prediction"] for a in answers] == [a["prediction"] for a in expected]
        own = [w for number, (_, found) in enumerate(alone[:count]) for w in ({**item, "row": number} for item in found)]
        assert warnings == gathered(own, count)


@pytest.mark.parametrize("town", ["nowhere", "", None, "T001"])
def test_an_unseen_category_scores_alike_in_a_row_a_frame_and_an_explanation(scorer: Scorer, town: str | None) -> None:
    table = frame(8, seed=6).with_columns(pl.lit(town, pl.String).alias("town"))
    answers, _ = scorer.predict_rows(table.to_dicts())
    value = "prediction" if scorer.task == "regression" else "probability"
    np.testing.assert_allclose([answer[value] for answer in answers], predict_frame(scorer, table)[value], atol=1e-6)  # type: ignore[literal-required]
    assert max(abs(explained["residual"]) for explained in contributions(scorer, table.to_dicts())) < 1e-4


ANYTHING = st.recursive(
    st.one_of(
        st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=20), st.sampled_from(["pro", "1,5", "NA", "yes"])
    ),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=4,
)


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(row=st.dictionaries(st.one_of(st.sampled_from([c.name for c in COLUMNS]), st.text(max_size=5)), ANYTHING))
def test_whatever_a_row_holds_it_is_answered(scorer: Scorer, row: dict[str, Any]) -> None:
    answers, warnings = scorer.predict_rows([row])
    assert orjson.loads(orjson.dumps([answers, warnings], option=orjson.OPT_NON_STR_KEYS))[0][0]["prediction"] is not None
    json.dumps(answers, allow_nan=False)
    explained = contributions(scorer, [row], top=3)[0]
    assert abs(explained["residual"]) < 1e-4
    assert all(math.isfinite(part["contribution"]) for part in explained["contributions"])


@settings(max_examples=5, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(planted=st.lists(st.tuples(st.integers(0, 29), st.sampled_from([c.name for c in COLUMNS]), ANYTHING), max_size=6))
def test_odd_values_among_many_rows_are_found_in_their_rows(scorer: Scorer, planted: list[tuple[int, str, Any]]) -> None:
    many = rows(30)
    for place, name, value in planted:
        many[place] = many[place] | {name: value}
    alone = [scorer.predict_row(row) for row in many]
    answers, warnings = scorer.predict_rows(many)
    value = "prediction" if scorer.task == "regression" else "probability"
    np.testing.assert_allclose([a[value] for a in answers], [a[value] for a, _ in alone], atol=1e-9)  # type: ignore[literal-required]
    own = [w for number, (_, found) in enumerate(alone) for w in ({**item, "row": number} for item in found)]
    assert warnings == gathered(own, len(many))


def kinds(row: dict[str, Any]) -> dict[str, str]:
    return {warning["column"]: warning["kind"] for warning in one().predict_row(row)[1]}


def test_what_is_odd_is_said() -> None:
    good = rows(1)[0] | {
        "plan": "pro",
        "age": 30,
        "town": "T001",
        "amount": 20.0,
        "member": True,
        "since": "2015-01-01",
        "note": "x",
    }
    assert kinds(good) == {}
    assert kinds(good | {"plan": "gold"}) == {"plan": "unseen_category"}
    assert kinds(good | {"age": "old"}) == {"age": "unreadable_value"}
    assert kinds(good | {"age": [3]}) == {"age": "unreadable_value"}
    assert kinds(good | {"age": 400}) == {"age": "out_of_range"}
    assert kinds(good | {"since": "1900-01-01"}) == {"since": "out_of_range"}
    assert kinds(good | {"since": "someday"}) == {"since": "unreadable_value"}
    assert kinds(good | {"colour": "red"}) == {"colour": "extra_column"}
    assert kinds(good | {"plan": None, "age": "NA", "amount": math.nan}) == {}
    assert kinds(good | {"amount": math.inf}) == {"amount": "unreadable_value"}
    assert kinds({k: v for k, v in good.items() if k != "town"}) == {"town": "missing_column"}


def test_an_unknown_column_is_said_with_the_nearest() -> None:
    said = [warning["message"] for warning in one().predict_row({"amuont": 3, "zzz": 1})[1] if warning["kind"] == "extra_column"]
    assert said == [
        "Column “amuont” is no feature of the model and was ignored. Did you mean 'amount'?",
        "Column “zzz” is no feature of the model and was ignored.",
    ]


def test_a_name_may_come_in_another_form_of_unicode() -> None:
    """As a Mac writes it: the letter and its dots apart."""
    reader = RowReader.of(
        [Encoder.fit(pl.DataFrame({"größe": [1.0, 2.0]}), [column("größe", "float")], None, kind="tree", task="binary")]
    )
    values, warnings = reader.read({"gro\u0308ße": 1.5})
    assert (values, [one["kind"] for one in warnings]) == ([1.5], ["matched_column"])


def test_unused_columns_and_the_target_come_without_a_word() -> None:
    row = rows(1)[0] | {"plan": "pro", "town": "T001"}
    assert {"key", "same"} <= row.keys()
    assert not [w for w in one().predict_row(row | {"left": "no"})[1] if w["kind"] == "extra_column"]


def test_text_of_a_file_means_what_the_typed_value_means() -> None:
    typed = {"amount": 12.5, "age": 40, "member": True, "plan": "pro"}
    as_text = {"amount": "12.5", "age": " 40 ", "member": "yes", "plan": " pro "}
    assert one().predict_row(typed)[0] == one().predict_row(as_text)[0]


def test_numbers_are_read_as_the_file_wrote_them() -> None:
    """A column that came with a decimal comma takes it online as well, besides JSON's own numbers."""
    columns = (column("amount", "float", format=",.*€"), column("age", "integer"))
    encoder, _ = Encoder.fit_transform(TABLE, columns, target(TABLE, "binary"), kind="tree", task="binary")
    values = [encode_row(encoder, {"amount": raw})[0][0] for raw in ("1.234,5", "1,5", "€ 7,25", 2.5)]
    assert values == [1234.5, 1.5, 7.25, 2.5]


def test_a_column_missing_everywhere_is_said_once() -> None:
    several = [{"age": 30}, {"age": 40, "x": 1}, {"age": "?!"}]
    warnings = one().predict_rows(several)[1]
    missing = [w for w in warnings if w["column"] == "town"]
    assert len(missing) == 1
    assert "row" not in missing[0]
    assert [w["row"] for w in warnings if w["kind"] == "extra_column"] == [1]
    assert [w["row"] for w in warnings if w["kind"] == "unreadable_value"] == [2]
    assert len(one().predict_rows([{"age": "?!"}, {"plan": "?!"}] * 500)[1]) == 201


LABELS = [
    (column("y", "boolean", labels={"true": "Ja", "false": "Nein"}), [False, True], ["Nein", "Ja"]),
    (column("y", "boolean"), [False, True], [False, True]),
    (column("y", "integer"), [0, 1], [0, 1]),
    (column("y", "float"), [0.5, 1.5], [0.5, 1.5]),
    (column("y", "float", labels={"1.0": "1,0", "2.0": "2,0"}), [1.0, 2.0], ["1,0", "2,0"]),
    (column("y", "datetime", "date", labels={"2024-01-31": "31.01.2024"}), None, ["31.01.2024", "01.02.2024"]),
    (column("y", "categorical"), ["Süd", "NORD "], ["Süd", "NORD "]),
]


@pytest.mark.parametrize(("source", "values", "expected"), LABELS)
def test_labels_are_spelled_as_uploaded(source: Any, values: Any, expected: list[Any]) -> None:
    classes = expected if values is None else [spell(source, value) for value in values]
    assert classes == expected
    scorer = made("binary", "lightgbm", classes=tuple(classes), target="y")
    answers, _ = scorer.predict_rows(rows())
    assert {repr(answer["prediction"]) for answer in answers} <= {repr(label) for label in expected}
    assert list(answers[0]["probabilities"]) == [bundle.label_key(label) for label in expected]
    assert predict_frame(scorer, TABLE)["prediction"].to_list()[0] in expected


def test_the_threshold_decides() -> None:
    for threshold, label in ((0.0, "yes"), (1.0, "no")):
        assert {a["prediction"] for a in one().predict_rows(rows(), threshold)[0]} == {label}
        assert {a["prediction"] for a in made("binary", "lightgbm", threshold=threshold).predict_rows(rows())[0]} == {label}


def test_calibration_travels_with_the_model() -> None:
    calibrated = made("binary", "lightgbm", calibration=Calibration("platt", 2.0, 0.5).to_json())
    plain = predict_frame(one(), TABLE)["probability_yes"].to_numpy()
    expected = 1 / (1 + np.exp(-(2 * np.log(plain / (1 - plain)) + 0.5)))
    np.testing.assert_allclose(predict_frame(calibrated, TABLE)["probability_yes"], expected, atol=1e-9)
    assert abs(contributions(calibrated, rows(3))[0]["residual"]) < 1e-9


def test_frames_with_missing_and_further_columns() -> None:
    assert predict_frame(one(), TABLE.select("age", pl.lit(3).alias("other"))).height == 300


def test_the_background_is_json_and_bounded() -> None:
    background = background_of(TABLE, COLUMNS, 20)
    assert len(background) == 20
    assert orjson.loads(orjson.dumps(background)) == list(background)
    wide = pl.DataFrame({f"c{i}": [1.0] * 50 for i in range(2000)})
    assert len(background_of(wide, [column(name, "float") for name in wide.columns], 50)) == 10


def test_every_error_is_one_a_user_may_see() -> None:
    for wrong in (b"", b"x" * 100):
        with pytest.raises(DomainError):
            Scorer.load(wrong)


def test_what_is_odd_about_a_table_is_counted() -> None:
    table = (
        frame(40, seed=5)
        .drop("town")
        .with_columns(
            pl.Series("plan", ["gold"] * 3 + ["pro"] * 37),
            pl.Series("age", ["old", "400", "NA"] + ["30"] * 37),
            pl.lit(1).alias("colour"),
        )
    )
    found = {(w["column"], w["kind"]): w.get("rows") for w in one().reader.check(table)}
    found = {key: rows for key, rows in found.items() if key[0] not in ("amount", "since")}
    assert found == {
        ("town", "missing_column"): None,
        ("plan", "unseen_category"): 3,
        ("age", "unreadable_value"): 1,
        ("age", "out_of_range"): 1,
        ("colour", "extra_column"): None,
    }
    assert not one().reader.check(TABLE)


def test_the_same_odd_values_are_found_in_rows_and_in_their_frame() -> None:
    table = frame(60, seed=8)
    single = [w["kind"] for row in table.to_dicts() for w in one().predict_row(row)[1]]
    whole = {w["kind"]: 0 for w in one().reader.check(table)}
    for warning in one().reader.check(table):
        whole[warning["kind"]] += warning["rows"]
    assert whole == {kind: single.count(kind) for kind in set(single)}

"""Options: documented defaults, any case, and an error that names the key."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coreplex.engines.automl import checks, registry
from coreplex.engines.automl.clock import Clock
from coreplex.engines.automl.config import AutoMLConfig, parse_config
from coreplex.engines.tabular.schema import Column, ColumnType, TableSchema
from coreplex.errors import DomainError, Invalid


def test_documented_defaults() -> None:
    config = parse_config({"unknown": 1, "max_models": None})
    assert (config.max_runtime_secs, config.max_models, config.nfolds, config.seed) == (3600, 20, 5, 42)
    assert (config.sort_metric, config.stopping_rounds, config.stopping_tolerance) == ("AUTO", 3, 0.001)
    assert config.balance_classes is False
    assert config.max_runtime_secs_per_model is None


def test_names_in_any_case() -> None:
    config = parse_config({"sort_metric": "AUC", "exclude_algos": ["deeplearning", "glm"], "stopping_metric": "rmse"})
    assert config.sort_metric == "auc"
    assert config.algorithms == {"DRF", "XRT", "GBM", "XGBoost", "StackedEnsemble"}
    assert parse_config({"sort_metric": "log_loss"}).sort_metric == "logloss"
    assert parse_config({"include_algos": ["LightGBM"]}).algorithms == {"GBM"}


@pytest.mark.parametrize(
    ("values", "key"),
    [
        ({"max_runtime_secs": "60"}, "max_runtime_secs"),
        ({"max_runtime_secs": 0}, "max_runtime_secs"),
        ({"max_runtime_secs": 60.5}, "max_runtime_secs"),
        ({"max_models": True}, "max_models"),
        ({"max_models": 0}, "max_models"),
        ({"nfolds": -2}, "nfolds"),
        ({"nfolds": "5"}, "nfolds"),
        ({"seed": 1.5}, "seed"),
        ({"balance_classes": "yes"}, "balance_classes"),
        ({"exclude_algos": "GLM"}, "exclude_algos"),
        ({"exclude_algos": ["GLM", 3]}, "exclude_algos"),
        ({"include_algos": ["Prophet"]}, "include_algos"),
        ({"include_algos": ["GLM"], "exclude_algos": ["GBM"]}, "include_algos"),
        ({"include_algos": []}, "include_algos"),
        ({"include_algos": ["StackedEnsemble"]}, "include_algos"),
        ({"sort_metric": "best"}, "sort_metric"),
        ({"sort_metric": 3}, "sort_metric"),
        ({"stopping_metric": "f1"}, "stopping_metric"),
        ({"stopping_tolerance": -0.1}, "stopping_tolerance"),
        ({"exploitation_ratio": 1.1}, "exploitation_ratio"),
        ({"distribution": "bernoulli"}, "distribution"),
        ({"verbosity": "loud"}, "verbosity"),
        ({"fold_column": "a", "time_column": "b"}, "fold_column"),
    ],
)
def test_a_wrong_value_is_named(values: dict[str, object], key: str) -> None:
    with pytest.raises(Invalid) as caught:
        parse_config(values)
    assert caught.value.errors[0].loc[:2] == ("config", key)
    assert caught.value.errors[0].msg


def test_metrics_must_fit_the_problem() -> None:
    assert parse_config({"sort_metric": "AUC"}, "binary").sort_metric == "auc"
    for metric, problem in (("RMSE", "classification"), ("AUC", "regression")):
        with pytest.raises(Invalid) as caught:
            parse_config({"sort_metric": metric}, problem)
        assert caught.value.errors[0].loc == ("config", "sort_metric")


@given(st.dictionaries(st.sampled_from(sorted(AutoMLConfig.model_fields)), st.none() | st.integers() | st.text() | st.floats()))
def test_no_configuration_makes_anything_but_a_domain_error(values: dict[str, object]) -> None:
    with contextlib.suppress(DomainError):
        parse_config(values, "regression")


COLUMNS = (
    Column("price", ColumnType.float, "float64"),
    Column("kind", ColumnType.categorical, "string"),
    Column("note", ColumnType.text, "string"),
    Column("when", ColumnType.datetime, "datetime"),
    Column("rooms", ColumnType.integer, "int64"),
)


def profile(**facts: object) -> dict[str, object]:
    columns = [{"name": c.name, "missing_count": 0, "unique_count": 5, **facts} for c in COLUMNS]
    return {"row_count": 100, "columns": columns}


@pytest.mark.parametrize(
    ("target", "problem", "facts", "says"),
    [
        ("pric", "regression", {}, "not in this dataset"),
        ("kind", "regression", {}, "not a number"),
        ("note", "regression", {}, "not a number"),
        ("kind", "classification", {"unique_count": 1}, "the same"),
        ("price", "regression", {"unique_count": 1}, "the same"),
        ("kind", "classification", {"missing_count": 100, "unique_count": 0}, "missing"),
        ("kind", "classification", {"missing_count": 95, "unique_count": 2}, "at least 10"),
        ("note", "classification", {"unique_count": 99}, "free text"),
        ("price", "classification", {"unique_count": 99}, "regression"),
        ("when", "classification", {}, "point in time"),
        ("kind", "binary", {"unique_count": 3}, "needs two"),
        ("kind", "clustering", {}, "must be one of"),
    ],
)
def test_targets_that_cannot_be_learned_are_refused_at_creation(
    target: str, problem: str, facts: dict[str, object], says: str
) -> None:
    with pytest.raises(Invalid, match=says):
        checks.check_creation(profile(**facts), TableSchema(COLUMNS), target, problem)


def test_kinds_of_task() -> None:
    schema = TableSchema(COLUMNS)
    assert checks.check_creation(profile(), schema, "kind", "classification") == "multiclass"
    assert checks.check_creation(profile(unique_count=2), schema, "kind", "classification") == "binary"
    assert checks.check_creation(profile(), schema, "rooms", "classification") == "multiclass"
    assert checks.check_creation(profile(), schema, "rooms", "regression") == "regression"


def test_the_clock_counts_from_the_start_and_keeps_a_reserve() -> None:
    now = [100.0]
    stopped = [False]
    clock = Clock(60, per_model=5, stopped=lambda: stopped[0], spent=2.0, now=lambda: now[0])
    assert clock.elapsed == 2.0
    assert clock.left == pytest.approx(58 - clock.reserve)
    assert clock.share(3).left == 5
    before = clock.reserve
    clock.finishing(2.0)
    assert clock.reserve == pytest.approx(before + 4.0)
    deadline = clock.share(1)
    now[0] += 5
    assert deadline.passed
    assert clock.share(1).part(5).left == pytest.approx(1.0)
    stopped[0] = True
    assert clock.over
    assert clock.left == 0


def test_the_registry_tells_what_is_installed() -> None:
    assert registry.DEFAULT == "native"
    assert registry.installed()[0] == "native"
    assert not registry.ENGINES["h2o"].installed()
    assert "GBM" in registry.ENGINES["native"].algos

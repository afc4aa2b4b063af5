"""Options: documented defaults, any case, and an error that names the key."""

import contextlib

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from coreplex.engines.automl.budget import Clock
from coreplex.engines.automl.data import feasibility
from coreplex.engines.automl.options import engine_registry
from coreplex.engines.automl.options.config import AutoMLConfig, parse_config
from coreplex.engines.automl.options.unused import without_effect
from coreplex.engines.automl.splits.split import choose
from coreplex.engines.tabular.schema import Column, ColumnType, TableSchema
from coreplex.errors.tree import DomainError, Invalid


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
        ({"nfolds": 1}, "nfolds"),
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
        ({"preset": "fast"}, "preset"),
        ({"preset": 3}, "preset"),
        ({"threshold_metric": "auc"}, "threshold_metric"),
        ({"threshold_metric": "f1", "cost_false_positive": 2}, "threshold_metric"),
        ({"cost_false_negative": -1}, "cost_false_negative"),
        ({"cost_false_negative": 0, "cost_false_positive": 0}, "cost_false_positive"),
        ({"sort_metric": "pinball"}, "sort_metric"),
        ({"validation": "honest"}, "validation"),
        ({"validation": "random", "group_column": "a"}, "group_column"),
        ({"validation": "stratified", "time_column": "a"}, "time_column"),
        ({"validation": "time", "group_column": "a"}, "group_column"),
        ({"validation": "group"}, "group_column"),
        ({"validation": "group_time", "time_column": "a"}, "group_column"),
        ({"validation": "column", "group_column": "a"}, "group_column"),
        ({"validation": "column"}, "fold_column"),
        ({"validation": "Random", "time_gap": 3.0}, "time_gap"),
    ],
)
def test_a_wrong_value_is_named(values: dict[str, object], key: str) -> None:
    with pytest.raises(Invalid) as caught:
        parse_config(values)
    assert caught.value.errors[0].loc[:2] == ("config", key)
    assert caught.value.errors[0].msg


@pytest.mark.parametrize(
    ("values", "meant"),
    [
        ({}, ("stratified", [])),
        ({"group_column": "a"}, ("group", ["a"])),
        ({"time_column": "b"}, ("time", ["b"])),
        ({"group_column": "a", "time_column": "b"}, ("group_time", ["a", "b"])),
        ({"fold_column": "c"}, ("column", ["c"])),
        ({"validation": "RANDOM"}, ("random", [])),
        ({"validation": "time", "time_gap": 3.0}, ("time", [])),
        ({"validation": "group_time", "group_column": "a"}, ("group_time", ["a"])),
    ],
)
def test_what_the_options_of_a_split_mean(values: dict[str, object], meant: tuple[str, list[str]]) -> None:
    split = choose(parse_config(values))
    assert (split.strategy, split.columns) == meant
    assert split.gap == values.get("time_gap", 0.0)


def test_a_preset_stands_beneath_what_is_named() -> None:
    quick, best = parse_config({"preset": "Quick"}), parse_config({"preset": "best", "max_models": 7})
    assert (quick.preset, quick.max_runtime_secs, quick.nfolds) == ("quick", 60, 3)
    assert quick.algorithms == {"GLM", "DRF", "XRT", "GBM", "StackedEnsemble"}
    assert (best.max_models, best.nfolds, best.max_runtime_secs) == (7, 8, 3600)
    assert parse_config({"preset": "quick", "include_algos": ["XGBoost"]}).algorithms == {"XGBoost"}
    assert parse_config({"preset": "quick", "nfolds": None}).nfolds == 3
    for one in (quick, best, parse_config({"preset": "quick", "include_algos": ["XGBoost"]})):
        assert parse_config(one.model_dump(mode="json", exclude_none=True)) == one


def test_thresholds_are_for_two_classes_and_pinball_for_quantiles() -> None:
    for values in ({"threshold_metric": "f1"}, {"cost_false_negative": 3}):
        with pytest.raises(Invalid, match="two classes"):
            parse_config(values, "regression")
    config = parse_config(
        {"distribution": "quantile", "sort_metric": "quantile_loss", "stopping_metric": "pinball"}, "regression"
    )
    assert (config.sort_metric, config.stopping_metric) == ("pinball", "pinball")
    assert parse_config({"sort_metric": "mean_absolute_percentage_error"}).sort_metric == "mape"
    aim = parse_config({"cost_false_negative": 3}).aim
    assert aim is not None
    assert (aim.metric, aim.cost_false_positive, aim.cost_false_negative) == (None, 1.0, 3.0)
    assert parse_config({}).aim is None


def test_metrics_must_fit_the_problem() -> None:
    assert parse_config({"sort_metric": "AUC"}, "binary").sort_metric == "auc"
    for metric, problem in (("RMSE", "classification"), ("AUC", "regression")):
        with pytest.raises(Invalid) as caught:
            parse_config({"sort_metric": metric}, problem)
        assert caught.value.errors[0].loc == ("config", "sort_metric")


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
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
        feasibility.check_creation(profile(**facts), TableSchema(COLUMNS), target, problem)


def table(rows: int = 200, **facts: dict[str, object]) -> tuple[dict[str, object], TableSchema]:
    """The profile of columns that are all fine but for the facts given by name, and their schema."""
    plain = {"missing_count": 0, "unique_count": 90}
    columns = [{"name": c.name, **plain, **facts.get(c.name, {})} for c in COLUMNS]
    return {"row_count": rows, "columns": columns}, TableSchema(COLUMNS)


def counts(**rows: int) -> dict[str, object]:
    return {"unique_count": len(rows), "top_values": [{"value": v, "count": n} for v, n in rows.items()]}


@pytest.mark.parametrize(
    ("facts", "says"),
    [
        (counts(a=199, b=1), "1 class in 199 rows without 1 class with a single row \\(b\\)"),
        (counts(a=198, b=1, c=1), "without 2 classes with a single row \\(b, c\\)"),
        ({**counts(EU=100), "missing_count": 100}, "the same.* 100 were read as missing"),
        ({**counts(EU=3, US=2), "missing_count": 195}, "Only 5 rows .* 195 were read as missing"),
    ],
)
def test_classes_that_cannot_be_told_apart(facts: dict[str, object], says: str) -> None:
    with pytest.raises(Invalid, match=says):
        feasibility.check_creation(*table(kind=facts), "kind", "classification")


def test_rare_classes_are_no_reason_where_enough_is_left() -> None:
    for facts in (counts(a=100, b=99, c=1), {**counts(a=100), "unique_count": 30}):
        feasibility.check_creation(*table(kind=facts), "kind", "classification")


@pytest.mark.parametrize(
    ("target", "config", "facts", "place"),
    [
        ("price", {}, {"price": {"min": 0.0, "max": 1e19}}, ("target_column",)),
        ("price", {}, {"price": {"min": -1e19, "max": 0.0}}, ("target_column",)),
        ("price", {"sort_metric": "RMSLE"}, {"price": {"min": -1.0, "max": 2.0}}, ("config", "sort_metric")),
        ("price", {"fold_column": "rooms"}, {}, ("config", "fold_column")),
        ("price", {"fold_column": "rooms"}, {"rooms": {"unique_count": 1}}, ("config", "fold_column")),
        ("price", {"ignored_columns": ["nothing"]}, {}, ("config", "ignored_columns")),
        ("price", {"ignored_columns": ["kind", "price"]}, {}, ("config", "ignored_columns")),
        (
            "price",
            {"ignored_columns": ["kind", "note"]},
            {"when": {"missing_count": 200, "unique_count": 0}, "rooms": {"unique_count": 1}},
            ("dataset_version_id",),
        ),
    ],
)
def test_what_the_profile_knows_is_refused_at_creation(
    target: str, config: dict[str, object], facts: dict[str, dict[str, object]], place: tuple[str, ...]
) -> None:
    with pytest.raises(Invalid) as caught:
        feasibility.check_creation(*table(**facts), target, "regression", parse_config(config))
    assert caught.value.errors[0].loc == place


def test_what_training_may_still_bear_is_left_to_it() -> None:
    half_empty = {"rooms": {"unique_count": 55, "missing_count": 0}, "price": {"missing_count": 10}}
    feasibility.check_creation(*table(**half_empty), "price", "regression", parse_config({"fold_column": "rooms"}))
    feasibility.check_creation(*table(price={"min": -1.0, "max": 2.0}), "price", "regression", parse_config({}))


@pytest.mark.parametrize(
    ("problem", "engines", "config", "idle"),
    [
        ("regression", ["native"], {"include_algos": ["GLM"], "distribution": "quantile"}, ["native"]),
        ("regression", ["native"], {"include_algos": ["DeepLearning"], "distribution": "tweedie"}, ["native"]),
        ("regression", ["native"], {"include_algos": ["DRF"], "distribution": "gamma"}, ["native"]),
        ("regression", ["native"], {"include_algos": ["DRF", "GBM"], "distribution": "gamma"}, []),
        ("regression", ["native"], {"include_algos": ["GLM"]}, []),
        ("regression", ["flaml"], {"include_algos": ["GLM"]}, ["flaml"]),
        ("regression", ["flaml"], {"exclude_algos": ["GBM", "XGBoost", "DRF", "XRT"]}, ["flaml"]),
        ("regression", ["flaml", "native"], {"include_algos": ["GLM"]}, ["flaml"]),
        ("classification", ["flaml"], {"include_algos": ["DeepLearning"]}, ["flaml"]),
        ("classification", ["flaml"], {"include_algos": ["GLM"]}, []),
        ("classification", ["native"], {"include_algos": ["GLM"], "distribution": "quantile"}, []),
    ],
)
def test_algorithms_no_engine_can_train_are_refused(
    problem: str, engines: list[str], config: dict[str, object], idle: list[str]
) -> None:
    wanted, target = parse_config(config), "price" if problem == "regression" else "kind"
    assert feasibility.idle(engines, "regression" if problem == "regression" else "binary", wanted) == idle
    if idle != engines:
        feasibility.check_creation(*table(), target, problem, wanted, engines)
        return
    with pytest.raises(Invalid, match="allow one of") as caught:
        feasibility.check_creation(*table(), target, problem, wanted, engines)
    assert caught.value.errors[0].loc == ("config", next(iter(config)))


def test_every_algorithm_an_engine_names_can_be_asked_about() -> None:
    for engine in engine_registry.ENGINES.values():
        for algo in set(engine.algos) - {"StackedEnsemble"}:
            assert feasibility.idle([engine.key], "multiclass", parse_config({"include_algos": [algo]})) == []


def test_kinds_of_task() -> None:
    schema = TableSchema(COLUMNS)
    assert feasibility.check_creation(profile(), schema, "kind", "classification") == "multiclass"
    assert feasibility.check_creation(profile(unique_count=2), schema, "kind", "classification") == "binary"
    assert feasibility.check_creation(profile(), schema, "rooms", "classification") == "multiclass"
    assert feasibility.check_creation(profile(), schema, "rooms", "regression") == "regression"


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
    assert engine_registry.DEFAULT == "native"
    assert engine_registry.installed()[0] == "native"
    assert not engine_registry.ENGINES["h2o"].installed()
    assert "GBM" in engine_registry.ENGINES["native"].algos


def test_options_that_change_nothing_are_said() -> None:
    asked = AutoMLConfig(balance_classes=True, distribution="quantile", quantile_alpha=0.9, tweedie_power=1.7)
    classes = [one.split()[0] for one in without_effect(asked, "classification")]
    assert classes == ["config.distribution", "config.quantile_alpha", "config.tweedie_power"]
    numbers = [one.split()[0] for one in without_effect(asked, "regression")]
    assert numbers == ["config.balance_classes", "config.tweedie_power"]
    for problem in ("classification", "regression"):
        assert without_effect(AutoMLConfig(), problem) == []
        assert without_effect(parse_config({"preset": "best"}), problem) == []

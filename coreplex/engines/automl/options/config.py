"""What a caller may ask of a training run: every documented key, its type, its default and its bounds.

Strict on purpose: `"5"` is not a number of folds. Unknown keys are ignored aloud (`unused`), a null means the default,
and every wrong value is named by its key, all of them at once. Refuses nothing that the documentation allows; refuses
contradictions early.
"""

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    WithJsonSchema,
    model_validator,
)

from coreplex.engines.automl.evaluation.metrics import CLASSIFICATION, PINBALL, REGRESSION, THRESHOLD_METRICS, Aim
from coreplex.engines.automl.families.family import aliases
from coreplex.engines.automl.options.engine_registry import STACKED, trainable
from coreplex.errors.rules import wrong_values
from coreplex.errors.tree import Invalid, Message, WrongValue

DISTRIBUTIONS = ("AUTO", "gaussian", "poisson", "gamma", "tweedie", "laplace", "quantile", "huber")
STOPPING_METRICS = ("AUTO", "deviance", "logloss", "RMSE", "AUC", "MAE", "MAPE", "pinball", "mean_per_class_error", "accuracy")

DEFAULT_FOLDS = 5

VALIDATIONS: dict[str, tuple[str, ...]] = {
    "auto": ("group_column", "time_column", "fold_column"),
    "random": (),
    "stratified": (),
    "group": ("group_column",),
    "time": ("time_column",),
    "group_time": ("group_column", "time_column"),
    "column": ("fold_column",),
}
"""How rows may be split into those that train and those that judge, with the options that name columns for it."""
_NEEDED = {"group": "group_column", "group_time": "group_column", "column": "fold_column"}
"""A forward split without `time_column` takes the rows in their order."""

_METRIC_ALIASES = {
    "roc_auc": "auc",
    "pr_auc": "aucpr",
    "average_precision": "aucpr",
    "log_loss": "logloss",
    "mean_residual_deviance": "deviance",
    "f1_score": "f1",
    "root_mean_squared_error": "rmse",
    "mean_absolute_error": "mae",
    "mean_absolute_percentage_error": "mape",
    "weighted_mape": "wape",
    "quantile": PINBALL,
    "quantile_loss": PINBALL,
    "pinball_loss": PINBALL,
}
_PROBLEMS = {"binary": "classification", "multiclass": "classification"}
METRICS = ("AUTO", *dict.fromkeys((*CLASSIFICATION, *REGRESSION, PINBALL)))
PRESETS: Mapping[str, Mapping[str, Any]] = {
    "quick": {
        "max_runtime_secs": 60,
        "max_models": 5,
        "nfolds": 3,
        "exclude_algos": ["XGBoost", "DeepLearning"],
        "stopping_rounds": 1,
    },
    "balanced": {"max_runtime_secs": 600, "max_models": 20, "nfolds": 5, "stopping_rounds": 3},
    "best": {"max_runtime_secs": 3600, "max_models": 60, "nfolds": 8, "stopping_rounds": 12},
}
"""How much time and care a search gets: sets of options, of which a key that the caller names wins."""


def _word(value: object, allowed: tuple[str, ...], aliases: Mapping[str, str]) -> object:
    """The allowed spelling of a word, whatever its case; anything that is no word is left for the type check."""
    if not isinstance(value, str):
        return value
    folded = value.strip().casefold()
    known = {name.casefold(): name for name in allowed}
    word = known.get(folded) or known.get(aliases.get(folded, "").casefold())
    if word is None:
        raise WrongValue(
            Message(
                "unknown_option_value",
                "'{value}' is not known; choose one of {choices}",
                value=value[:100],
                choices=list(allowed),
            )
        )
    return word


def _words(allowed: tuple[str, ...], aliases: Mapping[str, str]) -> dict[str, Any]:
    """The words as JSON Schema has them; that their case does not matter it cannot say."""
    known = {name.casefold() for name in allowed}
    return {"type": "string", "enum": [*allowed, *(alias for alias, name in aliases.items() if name.casefold() in known)]}


def _algorithms(value: object) -> object:
    if not isinstance(value, list):
        return value
    return [_word(item, trainable(), _algorithm_aliases()) for item in value]


def _algorithm_aliases() -> dict[str, str]:
    return {**aliases(), "ensemble": STACKED}


def _folds(value: int) -> int:
    if value == 1:
        raise WrongValue(
            Message(
                "single_fold", "a single fold leaves nothing to train on: send 0 for one holdout, -1 to choose, or 2 and more"
            )
        )
    return value


def described_presets() -> str:
    """What each preset sets, in one line, for the references of the API."""
    return "; ".join(f"{name}: {', '.join(_told(k, v) for k, v in keys.items())}" for name, keys in PRESETS.items())


def _told(key: str, value: Any) -> str:
    return f"{key} {' and '.join(value) if isinstance(value, list) else value}"


Folds = Annotated[int, AfterValidator(_folds)]
Metric = Annotated[
    str, BeforeValidator(lambda value: _word(value, METRICS, _METRIC_ALIASES)), WithJsonSchema(_words(METRICS, _METRIC_ALIASES))
]
Algorithms = Annotated[
    list[str],
    BeforeValidator(_algorithms),
    WithJsonSchema({"type": "array", "items": _words(trainable(), _algorithm_aliases())}),
]
Distribution = Annotated[
    str, BeforeValidator(lambda value: _word(value, DISTRIBUTIONS, {})), WithJsonSchema(_words(DISTRIBUTIONS, {}))
]
Stopping = Annotated[
    str,
    BeforeValidator(lambda value: _word(value, STOPPING_METRICS, _METRIC_ALIASES)),
    WithJsonSchema(_words(STOPPING_METRICS, _METRIC_ALIASES)),
]
Validation = Annotated[
    Literal["auto", "random", "stratified", "group", "time", "group_time", "column"],
    BeforeValidator(lambda value: _word(value, tuple(VALIDATIONS), {})),
]
Threshold = Annotated[
    str,
    BeforeValidator(lambda value: _word(value, THRESHOLD_METRICS, _METRIC_ALIASES)),
    WithJsonSchema(_words(THRESHOLD_METRICS, _METRIC_ALIASES)),
]
Preset = Annotated[
    str,
    BeforeValidator(lambda value: _word(value, tuple(PRESETS), {})),
    WithJsonSchema(_words(tuple(PRESETS), {})),
]
Cost = Annotated[float, Field(ge=0.0, le=1e12)]
Verbosity = Annotated[
    Literal["debug", "info", "warning", "error"],
    BeforeValidator(lambda value: _word(value, ("debug", "info", "warning", "error"), {"warn": "warning"})),
]


class AutoMLConfig(BaseModel):
    """The options of one run. Times are whole seconds of wall clock, counted from the start of the run."""

    model_config = ConfigDict(strict=True, extra="ignore", frozen=True)

    preset: Preset | None = Field(None, description=f"Sets other options, which may be named beside it: {described_presets()}.")
    max_runtime_secs: int = Field(3600, ge=1, le=7 * 86_400, description="Total training time, seconds.")
    max_models: int = Field(20, ge=1, le=1_000, description="Models at most; the baseline and ensembles are not counted.")
    max_runtime_secs_per_model: int | None = Field(None, ge=1, le=7 * 86_400, description="Seconds for one model.")
    sort_metric: Metric = Field(
        "AUTO", description="AUTO: AUC, logloss with more than two classes, RMSE, pinball for a quantile."
    )
    seed: int = Field(
        42,
        ge=-(2**63),
        le=2**63 - 1,
        description="The same seed gives the same leaderboard where the clock ends nothing; FLAML's search goes by the clock.",
    )
    balance_classes: bool = Field(False, description="Weigh the classes alike inside every training fold.")
    include_algos: Algorithms | None = Field(
        None, description="Only these families, beside the baseline; excludes exclude_algos."
    )
    exclude_algos: Algorithms | None = Field(None, description="All families but these.")
    nfolds: Folds = Field(DEFAULT_FOLDS, ge=-1, le=50, description="-1 chooses by the size of the table, 0 keeps one holdout.")
    stopping_rounds: int = Field(3, ge=0, le=1_000, description="Candidates without progress that end the search.")
    stopping_metric: Stopping = Field("AUTO", description="What early stopping of one model watches.")
    stopping_tolerance: float = Field(0.001, ge=0.0, le=1.0, description="Relative progress that counts.")
    exploitation_ratio: float = Field(0.5, ge=0.0, le=1.0, description="Share of the search near the best found.")
    distribution: Distribution = Field("AUTO", description="Regression only: the family of the target.")
    quantile_alpha: float = Field(0.5, gt=0.0, lt=1.0, description="The quantile of distribution=quantile.")
    tweedie_power: float = Field(1.5, gt=1.0, lt=2.0, description="The power of distribution=tweedie.")
    threshold_metric: Threshold | None = Field(None, description="Two classes: the threshold is chosen for it; null: 0.5.")
    cost_false_positive: Cost | None = Field(None, description="Two classes: cost of saying the second class wrongly.")
    cost_false_negative: Cost | None = Field(None, description="Two classes: cost of missing the second class.")
    keep_cross_validation_predictions: bool = Field(True, description="Store the out-of-fold predictions.")
    keep_cross_validation_models: bool = Field(False, description="Accepted; fold copies are part of every model.")
    verbosity: Verbosity = Field("info", description="The least level that reaches the log.")
    validation: Validation = Field(
        "auto", description="How rows are split; auto takes the honest way where rows are found to depend on each other."
    )
    fold_column: str | None = Field(None, description="A column whose values are the folds.")
    group_column: str | None = Field(None, description="Rows with one value stay on one side of every fold.")
    time_column: str | None = Field(None, description="Train on the past, validate on the future.")
    time_gap: float = Field(0.0, ge=0.0, description="Left out between past and future: seconds, or units.")
    weights_column: str | None = Field(None, description="A weight for every row, zero or more.")
    ignored_columns: list[str] = Field(default_factory=list, description="Columns no model may see.")
    drop_leaks: bool = Field(False, description="Leave out the columns that give the target away.")

    @model_validator(mode="after")
    def _consistent(self) -> "AutoMLConfig":
        if self.include_algos is not None and self.exclude_algos:
            raise WrongValue(
                Message(
                    "algorithms_included_and_excluded",
                    "include_algos and exclude_algos exclude each other: send only one of them",
                )
            )
        if not self.algorithms - {STACKED}:
            raise WrongValue(
                Message("no_algorithm_left", "include_algos/exclude_algos leave no algorithm to train: allow at least one")
            )
        self._check_validation()
        costs = (self.cost_false_positive, self.cost_false_negative)
        if self.threshold_metric is not None and costs != (None, None):
            raise WrongValue(
                Message(
                    "threshold_metric_and_costs",
                    "threshold_metric and the costs of errors exclude each other: send one or the other",
                )
            )
        if any(c is not None for c in costs) and not any(costs):
            raise WrongValue(
                Message(
                    "errors_cost_nothing",
                    "cost_false_positive and cost_false_negative leave no error that costs anything: send one above zero",
                )
            )
        if self.distribution != "quantile" and PINBALL in (self.sort_metric, self.stopping_metric):
            key = "sort_metric" if self.sort_metric == PINBALL else "stopping_metric"
            raise WrongValue(
                Message(
                    "pinball_without_quantile",
                    "{option} pinball is the loss of a quantile: send distribution 'quantile' and quantile_alpha with it",
                    option=key,
                )
            )
        return self

    def _check_validation(self) -> None:
        """Refuse columns that the split asked for does not use, and a split without the column it needs."""
        if self.fold_column is not None and (self.group_column is not None or self.time_column is not None):
            raise WrongValue(
                Message("fold_column_and_others", "fold_column excludes group_column and time_column: send only one of them")
            )
        given = [key for key in VALIDATIONS["auto"] if getattr(self, key) is not None]
        unused = [key for key in given if key not in VALIDATIONS[self.validation]]
        if unused:
            users = " or ".join(f"'{name}'" for name, keys in VALIDATIONS.items() if unused[0] in keys)
            raise WrongValue(
                Message(
                    "option_unused_by_validation",
                    "{option} is not used by validation '{validation}': leave it out, or choose {choices}",
                    option=unused[0],
                    validation=self.validation,
                    choices=users,
                )
            )
        needed = _NEEDED.get(self.validation)
        if needed is not None and needed not in given:
            raise WrongValue(
                Message(
                    "option_needed_by_validation",
                    "{option} is needed by validation '{validation}': name the column, or choose 'auto'",
                    option=needed,
                    validation=self.validation,
                )
            )
        if self.time_gap and self.validation not in ("auto", "time", "group_time"):
            raise WrongValue(
                Message(
                    "time_gap_unused",
                    "time_gap is not used by validation '{validation}': leave it out, or choose 'time'",
                    validation=self.validation,
                )
            )

    @property
    def algorithms(self) -> set[str]:
        """The families this run may train."""
        chosen = set(self.include_algos) if self.include_algos is not None else set(trainable())
        return chosen - set(self.exclude_algos or ())

    @property
    def aim(self) -> Aim | None:
        """What the threshold between two classes is chosen for; None: it stays at 0.5. A cost that is not named is 1."""
        costs = (self.cost_false_positive, self.cost_false_negative)
        if self.threshold_metric is None and costs == (None, None):
            return None
        return Aim(self.threshold_metric, *(1.0 if cost is None else cost for cost in costs))

    @property
    def folds_asked(self) -> bool:
        """Whether a person chose the number of folds, rather than the default or a preset."""
        return self.nfolds != PRESETS.get(self.preset or "", {}).get("nfolds", DEFAULT_FOLDS) or self.nfolds < 2

    @property
    def special_columns(self) -> set[str]:
        """Columns with a role of their own, which are therefore no features. Time stays a feature."""
        return {c for c in (self.fold_column, self.group_column, self.weights_column, *self.ignored_columns) if c}


def described_options() -> str:
    """Every option and its default in one line, for the references of the API."""
    defaults = AutoMLConfig().model_dump(mode="json").items()
    return ", ".join(name if value in (None, []) else f"{name} ({json.dumps(value)})" for name, value in defaults)


def parse_config(values: Mapping[str, Any], problem_type: str | None = None) -> AutoMLConfig:
    """The options as sent. Raises `Invalid` that names every wrong key as `("config", key)`."""
    if not isinstance(values, Mapping):
        raise Invalid.field(Message("options_no_object", "must be an object of options"), "config")
    try:
        config = AutoMLConfig.model_validate(_with_preset(values))
    except ValidationError as error:
        raise _invalid(error) from None
    if problem_type is not None:
        _check_metrics(config, _PROBLEMS.get(problem_type, problem_type))
    return config


def _with_preset(values: Mapping[str, Any]) -> dict[str, Any]:
    """The options with those of their preset beneath. A null names no value; families the caller names replace the preset's."""
    said = {key: value for key, value in values.items() if value is not None}
    preset = said.get("preset")
    beneath = dict(PRESETS.get(preset.strip().casefold(), {})) if isinstance(preset, str) else {}
    if "include_algos" in said:
        beneath.pop("exclude_algos", None)
    return {**beneath, **said}


def _invalid(error: ValidationError) -> Invalid:
    errors = []
    for one in wrong_values(error):
        key = one.loc or (one.msg.split(" ", 1)[0].split("/")[0].rstrip(","),)
        errors.append(replace(one, loc=("config", *key)))
    return Invalid.fields(errors)


def _check_metrics(config: AutoMLConfig, problem: str) -> None:
    allowed = {"AUTO", "deviance", *(CLASSIFICATION if problem == "classification" else (*REGRESSION, PINBALL))}
    if config.aim is not None and problem != "classification":
        key = "threshold_metric" if config.threshold_metric else "cost_false_positive"
        raise Invalid.field(Message("for_two_classes", "is for two classes; a regression decides nothing"), "config", key)
    for key in ("sort_metric", "stopping_metric"):
        word = getattr(config, key)
        if word != "AUTO" and word.lower() not in allowed:
            raise Invalid.field(
                Message(
                    "cannot_rank",
                    "'{metric}' cannot rank {problem} models; choose one of {choices}",
                    metric=word,
                    problem=problem,
                    choices=sorted(allowed),
                ),
                "config",
                key,
            )

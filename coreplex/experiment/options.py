"""What may be said of a search, for who offers it to people: its options, and the metrics models are ranked by."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from coreplex.engines.automl.evaluation.metrics import CLASSIFICATION, HIGHER_IS_BETTER, PINBALL, REGRESSION
from coreplex.engines.automl.options.config import AutoMLConfig
from coreplex.experiment.table import ProblemType


@dataclass(frozen=True, slots=True)
class Metric:
    """A metric of the leaderboard."""

    name: str
    higher_is_better: bool
    problem_types: Sequence[ProblemType]


@dataclass(frozen=True, slots=True)
class Option:
    """A key of `config`: its JSON type, default, bounds (the limits themselves are left out where `exclusive`) and words."""

    name: str
    type: str
    default: Any
    minimum: float | None
    maximum: float | None
    exclusive: bool
    values: Sequence[str] | None
    description: str


@cache
def metrics() -> list[Metric]:
    """Every metric, those of classification first."""
    kinds = {ProblemType.classification: list(CLASSIFICATION), ProblemType.regression: [*REGRESSION, PINBALL]}
    names = dict.fromkeys(name for named in kinds.values() for name in named)
    return [Metric(name, name in HIGHER_IS_BETTER, [kind for kind, named in kinds.items() if name in named]) for name in names]


@cache
def options() -> list[Option]:
    """Every option, in the order of the documentation."""
    return [_option(name, schema) for name, schema in AutoMLConfig.model_json_schema()["properties"].items()]


def _option(name: str, schema: Mapping[str, Any]) -> Option:
    kind = next((one for one in schema.get("anyOf", ()) if one.get("type") != "null"), schema)
    items, low, high = kind.get("items", {}), kind.get("exclusiveMinimum"), kind.get("exclusiveMaximum")
    return Option(
        name=name,
        type=kind["type"],
        default=AutoMLConfig.model_fields[name].get_default(call_default_factory=True),
        minimum=_number(kind.get("minimum", low)),
        maximum=_number(kind.get("maximum", high)),
        exclusive=low is not None or high is not None,
        values=kind.get("enum", items.get("enum")),
        description=schema["description"],
    )


def _number(bound: float | None) -> float | None:
    """As a float: that of a seed is beyond the whole numbers a float can tell apart."""
    return None if bound is None else float(bound)

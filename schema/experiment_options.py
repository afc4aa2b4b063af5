"""What may be asked of an experiment, and what creating one would say, in the public contract."""

from enum import StrEnum
from typing import Any

import strawberry

from coreplex.experiment import options
from coreplex.experiment.table import ExecutionMode, ProblemType
from coreplex.platform.permissions import Plan
from schema.common import named_enum
from schema.enums import enum
from schema.metric import MetricName
from schema.model import Validation
from schema.notice import Notice
from schema.payload import user_errors_field
from schema.scalars import JSON


class MetricDirection(StrEnum):
    maximize = "maximize"
    minimize = "minimize"


enum(
    MetricDirection,
    "Which way a metric is better.",
    {"maximize": "More is better.", "minimize": "Less is better: it is a loss, or an error."},
)


enum(
    ExecutionMode,
    "One engine, or several side by side.",
    {"single": "One engine.", "parallel": "Several engines, side by side on the same folds."},
)


OptionType: Any = named_enum("OptionType", ("integer", "number", "boolean", "string", "array"))
enum(
    OptionType,
    "What an option of a search is, in the words of JSON Schema.",
    {
        "integer": "A whole number.",
        "number": "A number.",
        "boolean": "True or false.",
        "string": "A text, or one of `values`.",
        "array": "A list of texts, or of some of `values`.",
    },
)


def _direction(root: strawberry.Parent[options.Metric]) -> MetricDirection:
    return MetricDirection.maximize if root.higher_is_better else MetricDirection.minimize


@strawberry.type(description="A metric models are measured and can be ranked by.")
class MetricDescription:
    name: str = strawberry.field(graphql_type=MetricName, description="Its name; `config.sort_metric` takes it in any case.")
    direction: MetricDirection = strawberry.field(resolver=_direction, description="Which way it is better.")
    problem_types: list[ProblemType] = strawberry.field(description="The problems it is for.")


@strawberry.type(description="An option of a search: a key of `config`.")
class ExperimentOption:
    name: str = strawberry.field(description="The key.")
    type: str = strawberry.field(graphql_type=OptionType, description="What it is, in the words of JSON Schema.")
    default: JSON | None = strawberry.field(description="What holds where nothing is said.")
    minimum: float | None = strawberry.field(description="The least value.")
    maximum: float | None = strawberry.field(description="The greatest value.")
    exclusive: bool = strawberry.field(description="Whether the bounds themselves are left out.")
    values: list[str] | None = strawberry.field(description="The words it may be, or its items; null where it is no word.")
    description: str = strawberry.field(description="What it means.")


def _metrics() -> list[options.Metric]:
    return options.metrics()


def _options() -> list[options.Option]:
    return options.options()


@strawberry.type(description="What the caller's plan and this server allow.")
class ExperimentCapabilities:
    plan: Plan = strawberry.field(description="The caller's plan.")
    allowed_engines: list[str] = strawberry.field(description="Engines that may be asked for and are installed.")
    execution_modes: list[ExecutionMode] = strawberry.field(description="Modes that may be used.")
    default_engine: str = strawberry.field(description="The engine that runs when none is named.")
    max_models: int = strawberry.field(description="Most models of one experiment.")
    max_runtime_secs: int = strawberry.field(description="Longest training time in seconds.")
    gpu_available: bool = strawberry.field(description="Whether a GPU can be used: never, yet.")
    algorithms: list[str] = strawberry.field(
        description="Algorithm families, called as models and `config.exclude_algos` call them."
    )
    metrics: Any = strawberry.field(
        resolver=_metrics, graphql_type=list[MetricDescription], description="Metrics models are measured by."
    )
    options: Any = strawberry.field(resolver=_options, graphql_type=list[ExperimentOption], description="What `config` may say.")


@strawberry.type(
    description="How long a training is expected to take, by what models on this server took for the size of their table."
)
class ExpectedDuration:
    likely: float = strawberry.field(name="likelySecs", description="Seconds, as far as can be told.")
    low: float = strawberry.field(name="lowerSecs", description="Seconds, if all goes quickly.")
    high: float = strawberry.field(
        name="upperSecs", description="Seconds, if it does not; never more than `config.max_runtime_secs`."
    )
    models: int = strawberry.field(
        name="modelCount", description="Models of this server that it was estimated from; 0: a rule of thumb."
    )


@strawberry.type(description="What creating the experiment would say now.")
class ExperimentCheck:
    problem_type: ProblemType | None = strawberry.field(description="Classification or regression.")
    engines: list[str] = strawberry.field(description="The engines that would run.")
    config: JSON | None = strawberry.field(description="The options that would be in force, defaults included.")
    warnings: list[Notice] = strawberry.field(description="What would be done differently from what is asked, and what is wrong.")
    validation: Validation | None = strawberry.field(
        description="How rows would be split, and why; null where the table could not be looked at within seconds."
    )
    duration: ExpectedDuration | None = strawberry.field(description="How long it would take.")
    user_errors: Any = user_errors_field()

"""What a child process tells its parent while it works, as JSON objects told apart by `event`: written by `child.Report`, read by
whoever keeps what an engine reports."""

from typing import Any, Literal, NotRequired, Protocol, TypedDict, Unpack, cast

from coreplex.errors.tree import Message


class StoredFile(TypedDict):
    """A file that the child has written. `sha256` in hexadecimal, `size` in bytes."""

    path: str
    sha256: str
    size: int


class MetricInterval(TypedDict):
    """What a metric will be on a new holdout of `holdout_rows` rows, of `rows` of which it is `value`: from `low` to `high` in a
    share of `level` (0 to 1) of such holdouts."""

    metric: str
    value: float
    low: float
    high: float
    level: float
    rows: int
    holdout_rows: int


class ModelReport(TypedDict):
    """A finished model: what is kept of it, and where its files are."""

    name: str
    algo: str
    engine: str
    metrics: dict[str, float | None]
    """Out-of-fold; None where a metric is not defined on the rows."""
    cv_metrics: dict[str, dict[str, float]]
    """Of each metric `mean` and `std` over the folds."""
    metric_intervals: list[MetricInterval]
    threshold: dict[str, Any] | None
    """Two classes: `evaluation.metrics.described_decision`."""
    parameters: dict[str, Any]
    features: list[str]
    """The source columns that the model reads."""
    classes: list[object]
    """As spelled in the table, in the order of the probabilities; none for a number."""
    training_time_secs: float
    size_bytes: int
    latency_ms: float
    """Median of one row, from an object to the answer."""
    score: float | None
    """The metric `sort_metric`, which ranks."""
    sort_metric: str
    folds: int
    inputs: StoredFile
    """The columns of the table in bins, the same file for all models of a run (`coreplex.engines.drift.layout`)."""
    answers: list[dict[str, Any]]
    """What it answered out-of-fold, in bins."""
    bundle: StoredFile
    curves: StoredFile
    explanation: StoredFile
    estimation: StoredFile
    """What its metrics are estimated by without outcomes (`coreplex.engines.estimation.baseline`)."""
    predictions: NotRequired[StoredFile]
    """Out-of-fold predictions by row, where they were asked for."""


class LogMessage(TypedDict):
    event: Literal["log"]
    message: str
    level: str


class WarningMessage(TypedDict):
    """Something to stay with what the task works on, whatever of the log is kept."""

    event: Literal["warning"]
    message: str
    reason: str
    parameters: dict[str, Any]


class ProgressMessage(TypedDict):
    """`fraction` of the whole task done, 0 to 1."""

    event: Literal["progress"]
    fraction: float
    message: str


class ModelMessage(ModelReport):
    event: Literal["model"]


ChildMessage = LogMessage | WarningMessage | ProgressMessage | ModelMessage
"""All but the last one, `done` or `error`, which ends the task and is read by who started it."""


class Listener(Protocol):
    """Who is told, as the engines see it: `coreplex.engines.child.Report`, or a test."""

    def log(self, message: str, level: str = "info") -> None:
        """A line of the log; `level` is debug, info, warning or error."""
        ...

    def warn(self, message: Message) -> None:
        """Something to stay with the experiment."""
        ...

    def progress(self, fraction: float, message: str = "") -> None:
        """`fraction` of the whole run done, 0 to 1."""
        ...

    def model(self, **manifest: Unpack[ModelReport]) -> None:
        """A finished model."""
        ...

    @property
    def stopped(self) -> bool:
        """Whether the caller asked to stop and keep the best."""
        ...


def received(event: dict[str, Any]) -> ChildMessage:
    """An event of a child as what it is: the child is our own code, so nothing is checked again."""
    return cast(ChildMessage, event)

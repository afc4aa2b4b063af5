"""How deployments do, in the public contract: traffic, latencies, drift."""

from datetime import datetime
from math import exp
from typing import Any

import strawberry

from coreplex.engines.drift.evidence import ALPHA
from coreplex.engines.drift.window import Drift, DriftStatus, FeatureDrift
from coreplex.monitoring.drift import DriftBaseline, Watched
from coreplex.monitoring.metrics import Metrics, Traffic
from schema.cost import INSIDE, STATEMENT, Price
from schema.document_fields import at
from schema.enums import enum
from schema.field import computed
from schema.links import link
from schema.scalars import Long

TRAFFIC, DRIFT = Price(each=50 + 2 * STATEMENT), Price(each=100 + 3 * STATEMENT)

enum(
    DriftStatus,
    "What a look at drift came to.",
    {
        "insufficient_data": "Fewer than 30 rows on one of the two sides: nothing is said.",
        "stable": "Nothing has moved that chance does not explain and that is large enough to matter.",
        "warning": "Something has, by less than the threshold.",
        "drift": "Something has, by the threshold or more.",
    },
)
enum(
    DriftBaseline,
    "What a window is compared with.",
    {"training": "What the model was trained on; of answers, those out-of-fold.", "window": "An earlier window."},
)


def _percentile(share: float, description: str) -> Any:
    return computed(float | None, lambda traffic, _: traffic.latency(share), description)


@strawberry.type(
    description="How long the scoring of requests that were answered took, in milliseconds, within 1 %; null without any."
)
class LatencyMs:
    p50: float | None = _percentile(0.5, "The median.")
    p95: float | None = _percentile(0.95, "95 % took no longer.")
    p99: float | None = _percentile(0.99, "99 % took no longer.")


def _requests(of: Any) -> Any:
    return computed(Long, lambda root, _: of(root).requests, "Requests of which it answered rows.")


def _errors(of: Any) -> Any:
    return computed(Long, lambda root, _: of(root).errors, "Those of them that failed.")


def _error_rate(of: Any) -> Any:
    return computed(float | None, lambda root, _: of(root).error_rate, "Their share, 0 to 1; null without requests.")


def _rows(of: Any) -> Any:
    return computed(Long, lambda root, _: of(root).rows, "Rows of these requests.")


def _latency(of: Any) -> Any:
    return computed(LatencyMs, lambda root, _: of(root), "How long the scoring of those took that did not fail.")


def _itself(root: tuple[datetime, Traffic]) -> Traffic:
    return root[1]


def _whole(root: Metrics) -> Traffic:
    return root.whole


@strawberry.type(description="What a deployment did in a stretch of time.")
class MetricsBucket:
    began_at: datetime = at(0, "Where it begins.", datetime)
    request_count: Long = _requests(_itself)
    error_count: Long = _errors(_itself)
    error_rate: float | None = _error_rate(_itself)
    row_count: Long = _rows(_itself)
    latency_ms: LatencyMs = _latency(_itself)


def _buckets(root: strawberry.Parent[Any]) -> list[Any]:
    return list(root.buckets.items())


@strawberry.type(description="How a deployment did over a time: every answer that is in its inference log, a moment behind.")
class DeploymentMetrics:
    since: datetime = computed(
        datetime, lambda root, _: root.period.since, "Where the window begins: at a whole bucket of what is kept of its age."
    )
    until: datetime = computed(datetime, lambda root, _: root.period.until, "Where it ends: with the running minute.")
    bucket_secs: int = computed(int, lambda root, _: int(root.bucket.total_seconds()), "Seconds of a bucket.")
    request_count: Long = _requests(_whole)
    error_count: Long = _errors(_whole)
    error_rate: float | None = _error_rate(_whole)
    row_count: Long = _rows(_whole)
    latency_ms: LatencyMs = _latency(_whole)
    serving_since: datetime | None = strawberry.field(
        description="When it began to serve as it does, without a pause since; null when it does not serve."
    )
    buckets: list[MetricsBucket] = strawberry.field(
        resolver=_buckets,
        graphql_type=list[MetricsBucket],
        metadata=INSIDE,
        description="The window in stretches of equal length, oldest first.",
    )


@strawberry.type(description="A category and its share of the rows.")
class LevelShare:
    level: str = at(0, "The category, as the table has it.", str)
    share: float = at(1, "Its share, 0 to 1.")


def _quantile(share: str) -> Any:
    return strawberry.field(
        description=f"Of numbers: {share} below, to within a bin; null where it lies beyond all that training saw: `outsideRate` "
        "says how much does."
    )


@strawberry.type(description="Where the values of a feature lie.")
class DriftDistribution:
    row_count: Long = computed(Long, lambda root, _: root.rows, "Rows that are compared.")
    missing_rate: float | None = strawberry.field(description="Share of them in which it is missing, 0 to 1.")
    unseen_rate: float | None = strawberry.field(description="Share that holds a category training never saw.")
    outside_rate: float | None = strawberry.field(description="Share that lies below or above all that training saw.")
    p05: float | None = _quantile("5 % lie")
    median: float | None = _quantile("half of them lie")
    p95: float | None = _quantile("95 % lie")
    levels: list[LevelShare] = strawberry.field(metadata=INSIDE, description="Of categories: the ten commonest.")


def _figure(test: str, part: str, description: str) -> Any:
    return computed(float | None, lambda one, _: getattr(getattr(one[0], test), part), description)


def _own(name: str, kind: Any, description: str) -> Any:
    return computed(kind, lambda one, _: getattr(one[0], name), description)


@strawberry.type(description="A feature now, beside what it was. Figures are null where it has none: ranks are of numbers alone.")
class FeatureDriftReport:
    feature: str = computed(str, lambda one, _: one[0].feature.name, "The column, or what of the answer it is.")
    type: str = computed(
        str, lambda one, _: one[0].feature.kind, "How it is counted: `number`, `moment`, `category`, or `length` of a text."
    )
    drifted: bool = _own("drifted", bool, "Whether a test beyond chance and a size that matters agree.")
    reasons: list[str] = _own(
        "reasons", list[str], "What has drifted: its `distribution`, the share that is `missing`, the share that was `unseen`."
    )
    psi: float | None = _own(
        "psi",
        float | None,
        "Population stability index (Lewis 1994) of ten groups of numbers, or of the twenty commonest categories and the rest, "
        "and of what is missing. Of few rows chance alone makes it large.",
    )
    psi_beyond_chance: float | None = _own(
        "psi_beyond_chance",
        float | None,
        "The same without what chance alone gives, and of answers without what folds differ by: by it is judged and sorted.",
    )
    p_value: float | None = _own("p_value", float | None, "Of all its tests together.")
    adjusted_p_value: float | None = _own(
        "adjusted_p_value", float | None, "After the correction for so many features (Benjamini-Hochberg)."
    )
    ks_statistic: float | None = _figure("ks", "statistic", "Largest distance of the two distribution functions, 0 to 1.")
    ks_p_value: float | None = _figure("ks", "p_value", "Of the Kolmogorov-Smirnov test.")
    rank_shift: float | None = _figure(
        "mann_whitney", "statistic", "The chance that a value of now is above one of before; 0.5 where nothing has moved."
    )
    rank_p_value: float | None = _figure("mann_whitney", "p_value", "Of the Mann-Whitney test.")
    wasserstein: float | None = _own(
        "wasserstein",
        float | None,
        "Earth mover's distance, in the feature's unit, to within the bins. Values beyond all that training saw count as its "
        "farthest: with an `outsideRate` it is a lower bound.",
    )
    chi_square: float | None = _figure("chi_square", "statistic", "Of the shares of categories.")
    chi_square_p_value: float | None = _figure("chi_square", "p_value", "Of that test.")
    jensen_shannon: float | None = _own("jensen_shannon", float | None, "Jensen-Shannon distance of categories, 0 to 0.83.")
    missing_p_value: float | None = _figure("missing", "p_value", "Whether as many are missing as before.")
    unseen_p_value: float | None = _figure(
        "unseen", "p_value", "Whether more are new categories than training lets expect; beside a window, whether as many are."
    )
    importance_percent: float | None = computed(
        float | None,
        lambda one, _: one[1].importance.get(one[0].feature.name),
        "Share of the model's importance, in percent; null for answers, and for columns it does not look at.",
    )
    impact: float | None = computed(
        float | None, lambda one, _: _impact(*one), "`psiBeyondChance` times importance: by it they are sorted."
    )
    baseline: DriftDistribution = _own("baseline", DriftDistribution, "What it was.")
    current: DriftDistribution = _own("current", DriftDistribution, "What it is.")


def _impact(one: FeatureDrift, watched: Watched) -> float | None:
    importance = watched.importance.get(one.feature.name)
    return None if one.psi_beyond_chance is None or importance is None else one.psi_beyond_chance * importance / 100


def _features(root: strawberry.Parent[Any]) -> list[Any]:
    """Those that matter most first."""
    pairs = [(one, root) for one in root.found.inputs]
    return sorted(pairs, key=lambda pair: (not pair[0].drifted, -(_impact(*pair) or 0.0), -(pair[0].psi_beyond_chance or 0.0)))


def _answers(root: strawberry.Parent[Any]) -> list[Any]:
    return [(one, root) for one in root.found.answers]


def _found(name: str, kind: Any, description: str) -> Any:
    def read(root: Watched, _: Any) -> Any:
        found: Drift = root.found
        return getattr(found, name)

    return computed(kind, read, description)


@strawberry.type(description="A feature and the evidence that it has moved.")
class FeatureEvidence:
    feature: str = computed(str, lambda one, _: one["feature"], "The column, or what of the answer it is.")
    evidence: float = computed(float, lambda one, _: exp(one["evidence"]), "As of the whole.")


@strawberry.type(
    description="What all that was asked so far says together, looked at every few seconds. Evidence of 20 or more is drift: "
    "without any, at most one deployment in twenty gets there within 30 days, however often somebody looks."
)
class DriftEvidence:
    is_drifting: bool = computed(bool, lambda watch, _: watch.drifting_since is not None, "Whether there is evidence enough.")
    drifting_since: datetime | None = strawberry.field(
        description="When there was; null again once the data are as they were and the evidence is below 1."
    )
    evidence: float = computed(float, lambda watch, _: exp(watch.evidence or 0.0), "How much there is.")
    evidence_needed: float = computed(float, lambda _watch, _: 1 / ALPHA, "How much is enough.")
    row_count: Long = computed(
        Long, lambda watch, _: watch.rows, "Rows that it was weighed from; those that held no column of the model are none."
    )
    began_at: datetime = strawberry.field(description="When the first of them was.")
    looked_at: datetime = strawberry.field(description="When the last of them was.")
    features: list[FeatureEvidence] = strawberry.field(
        metadata=INSIDE, graphql_type=list[FeatureEvidence], description="The ten with the most evidence, most first."
    )


@strawberry.type(description="Whether a deployment is asked what its model was trained on, and answers so.")
class DeploymentDrift:
    model_id: strawberry.ID = strawberry.field(description="Identifier of the model, the one it has now.")
    model: Any = link("Model", "model_id", "The model.")
    status: DriftStatus = _found("status", DriftStatus, "What it came to, inputs and answers together.")
    watch: DriftEvidence | None = strawberry.field(
        description="What all looks together say, whatever the window; null before anything was asked."
    )
    overall_psi: float | None = _found("overall_psi", float | None, "The largest `psiBeyondChance` of all features.")
    threshold: float = strawberry.field(description="As it was given.")
    baseline_row_count: Long = _found("baseline_rows", Long, "Rows of the baseline; of a long table a sample of 100,000.")
    current_row_count: Long = _found("current_rows", Long, "Rows of the window.")
    window_start: datetime = computed(
        datetime, lambda root, _: root.period.since, "Where the window begins: at a whole minute, or hour, of what is kept."
    )
    window_end: datetime = computed(datetime, lambda root, _: root.period.until, "Where it ends.")
    baseline_start: datetime | None = computed(
        datetime | None, lambda root, _: root.baseline and root.baseline.since, "Where the baseline begins; null for training."
    )
    baseline_end: datetime | None = computed(
        datetime | None, lambda root, _: root.baseline and root.baseline.until, "Where it ends."
    )
    features: list[FeatureDriftReport] = strawberry.field(
        resolver=_features,
        graphql_type=list[FeatureDriftReport],
        metadata=INSIDE,
        description="The input columns: drifted ones first, then by `impact`.",
    )
    prediction_drift: list[FeatureDriftReport] = strawberry.field(
        resolver=_answers,
        graphql_type=list[FeatureDriftReport],
        metadata=INSIDE,
        description="Of answers: the number, or the class and its probability.",
    )

"""What an A/B test has found so far, or ended with, as it is shown."""

from dataclasses import dataclass
from datetime import datetime
from math import isfinite
from uuid import UUID

from coreplex.ab_test.table import AbTest, AbTestMethod, AbTestStatus, Variant
from coreplex.ab_test.verdict import belief, samples, share_p_value, verdict
from coreplex.deployment.table import Rollout
from coreplex.engines.sequential.mean_difference import difference, mean_interval
from coreplex.engines.sequential.posterior import credible_interval, posterior
from coreplex.engines.sequential.sample import Sample
from coreplex.errors.tree import Message


@dataclass(frozen=True, slots=True)
class Side:
    """One of the two: what it was asked, what came out, and the interval that holds its mean."""

    variant: Variant
    deployment_id: UUID
    request_count: int
    error_count: int
    row_count: int
    unit_count: int
    outcome_count: int
    judged_unit_count: int
    mean: float | None
    lower: float | None
    upper: float | None


@dataclass(frozen=True, slots=True)
class Results:
    """Both sides and B minus A, in the unit of the metric. What the test's method does not tell is None."""

    variants: list[Side]
    difference: float | None
    difference_lower: float | None
    difference_upper: float | None
    relative_difference: float | None
    p_value: float | None
    probability_a_better: float | None
    probability_b_better: float | None
    probability_no_difference: float | None
    expected_loss_a: float | None
    expected_loss_b: float | None
    sample_ratio_p_value: float | None
    winner: Variant | None
    reason: Message

    @property
    def conclusive(self) -> bool:
        return self.winner is not None


NOT_BEGUN = Message("test_not_begun", "It has not begun.")


def results(test: AbTest, rollout: Rollout | None, moment: datetime) -> Results:
    """What is found at a moment; of a test that has ended, what it ended with."""
    counted = rollout or _nothing(test)
    a, b = samples(test, counted)
    reason = test.reason or NOT_BEGUN
    if test.status is AbTestStatus.running:
        reason = verdict(test, counted, moment).reason
    return Results(
        variants=[_side(test, counted, Variant.a, a), _side(test, counted, Variant.b, b)],
        **(_by_posterior(test, a, b) if test.method is AbTestMethod.bayesian else _by_interval(test, a, b)),
        relative_difference=_relative(a.mean, b.mean),
        sample_ratio_p_value=share_p_value(test, counted) if rollout else None,
        winner=test.winner,
        reason=reason,
    )


def _relative(a: float | None, b: float | None) -> float | None:
    if not a or b is None:
        return None
    share = (b - a) / abs(a)
    return share if isfinite(share) else None


def _nothing(test: AbTest) -> Rollout:
    """The sums of a test that has not begun."""
    return Rollout(baseline_id=test.deployment_a_id, candidate_id=test.deployment_b_id, percent=test.traffic_split)


def _side(test: AbTest, rollout: Rollout, variant: Variant, sample: Sample) -> Side:
    side, deployment_id = ("baseline", test.deployment_a_id) if variant is Variant.a else ("candidate", test.deployment_b_id)
    counts = {
        f"{name}_count": getattr(rollout, f"{side}_{name}s")
        for name in ("request", "error", "row", "unit", "outcome", "judged_unit")
    }
    held = credible_interval if test.method is AbTestMethod.bayesian else mean_interval
    lower, upper = held(sample, test.confidence_level) or (None, None)
    return Side(variant, deployment_id, **counts, mean=sample.mean, lower=lower, upper=upper)


_NOT_TOLD = dict.fromkeys(
    ("p_value", "probability_a_better", "probability_b_better", "probability_no_difference", "expected_loss_a", "expected_loss_b")
)


def _by_interval(test: AbTest, a: Sample, b: Sample) -> dict[str, float | None]:
    told = difference(a, b, test.confidence_level)
    estimate, lower, upper, p_value = told or (None, None, None, None)
    return {**_NOT_TOLD, "difference": estimate, "difference_lower": lower, "difference_upper": upper, "p_value": p_value}


def _by_posterior(test: AbTest, a: Sample, b: Sample) -> dict[str, float | None]:
    found = posterior(a, b, test.confidence_level)
    if found is None:
        return {**_NOT_TOLD, "difference": None, "difference_lower": None, "difference_upper": None}
    said, (lower, upper) = belief(test, found), found.interval(test.confidence_level)
    return {
        "difference": found.estimate,
        "difference_lower": lower,
        "difference_upper": upper,
        "p_value": None,
        "probability_a_better": said.better[Variant.a],
        "probability_b_better": said.better[Variant.b],
        "probability_no_difference": said.none,
        "expected_loss_a": said.loss[Variant.a],
        "expected_loss_b": said.loss[Variant.b],
    }

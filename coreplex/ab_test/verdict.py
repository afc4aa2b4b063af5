"""Whether an A/B test may end, and how: from its row and the sums of its rollout alone."""

from datetime import datetime
from math import sqrt
from typing import NamedTuple

from coreplex.ab_test.table import AbTest, AbTestGoal, AbTestMethod, AbTestMetric, AbTestStatus, Variant
from coreplex.deployment.table import Rollout
from coreplex.engines.sequential.mean_difference import difference
from coreplex.engines.sequential.posterior import Posterior, posterior
from coreplex.engines.sequential.sample import Sample, UnitSums, of_units
from coreplex.engines.sequential.sample_ratio import sample_ratio_p_value
from coreplex.errors.tree import Message

MISMATCH = 0.01
"""Below this p-value of the share of keys the test is invalid: one of a hundred sound tests ever gets there."""
USUAL_LOSS = 0.01
"""Standard deviations that the winner may cost, where nothing is said."""


class Verdict(NamedTuple):
    """How a test ends, and why; running: why it does not."""

    status: AbTestStatus
    winner: Variant | None
    reason: Message


def samples(test: AbTest, rollout: Rollout) -> tuple[Sample, Sample]:
    """The metric's values of A and of B."""
    return _sample(test, rollout, "baseline"), _sample(test, rollout, "candidate")


SUMS = ("judged_units", "outcomes", "loss", "unit_outcome_squares", "unit_products", "unit_loss_squares")


def _sample(test: AbTest, rollout: Rollout, side: str) -> Sample:
    sums = UnitSums(*(getattr(rollout, f"{side}_{name}") for name in SUMS))
    return of_units(sums.complement() if test.metric is AbTestMetric.accuracy else sums)


class Belief(NamedTuple):
    """A posterior of B minus A, said of which side is better."""

    better: dict[Variant, float]
    loss: dict[Variant, float]
    """What taking each side costs on average, should it be the worse one."""
    none: float


def belief(test: AbTest, found: Posterior) -> Belief:
    """What a posterior says of the two sides, whether more is better or less."""
    more_is_better = test.goal is AbTestGoal.maximize
    greater, smaller = (Variant.b, Variant.a) if more_is_better else (Variant.a, Variant.b)
    return Belief(
        {greater: found.p_greater, smaller: found.p_smaller},
        {greater: found.loss_of_greater, smaller: found.loss_of_smaller},
        found.p_none,
    )


def winner(test: AbTest, a: Sample, b: Sample) -> Variant | None:
    """The side that is better as certainly as the test asks for, by its method; None while there is none."""
    if test.method is AbTestMethod.bayesian:
        found = posterior(a, b, test.confidence_level)
        return None if found is None else _believed(test, belief(test, found), a, b)
    told = difference(a, b, test.confidence_level)
    if told is None or told.lower <= 0 <= told.upper:
        return None
    return Variant.b if (told.estimate > 0) == (test.goal is AbTestGoal.maximize) else Variant.a


def _believed(test: AbTest, found: Belief, a: Sample, b: Sample) -> Variant | None:
    limit = test.max_expected_loss or USUAL_LOSS * sqrt((a.variance + b.variance) / 2)
    for variant in Variant:
        if found.better[variant] >= test.confidence_level and found.loss[variant] <= limit:
            return variant
    return None


def share_p_value(test: AbTest, rollout: Rollout) -> float:
    """The always valid p-value of the share in which keys fell to the two sides."""
    return sample_ratio_p_value(rollout.baseline_units, rollout.candidate_units, test.traffic_split / 100)


def verdict(test: AbTest, rollout: Rollout, moment: datetime) -> Verdict:
    """Whether a running test ends now, and how."""
    p_value = share_p_value(test, rollout)
    if p_value < MISMATCH:
        return Verdict(AbTestStatus.invalid, None, _mismatch(test, rollout, p_value))
    lacks = _lacking(test, rollout, moment)
    best = None if lacks else winner(test, *samples(test, rollout))
    if best is not None:
        return Verdict(AbTestStatus.completed, best, _won(test, rollout, best))
    if _is_over(test, rollout, moment):
        return Verdict(AbTestStatus.completed, None, _open_end(rollout))
    return Verdict(AbTestStatus.running, None, lacks or _undecided(rollout))


def _hours(test: AbTest, moment: datetime) -> float:
    """For how long it has run; the clock may have been put back."""
    return max(0.0, (moment - (test.started_at or moment)).total_seconds() / 3600)


def _is_over(test: AbTest, rollout: Rollout, moment: datetime) -> bool:
    known = rollout.baseline_outcomes + rollout.candidate_outcomes
    return _hours(test, moment) >= test.max_duration_hours or known >= (test.max_samples or known + 1)


def _lacking(test: AbTest, rollout: Rollout, moment: datetime) -> Message | None:
    if min(rollout.baseline_outcomes, rollout.candidate_outcomes) < test.min_samples:
        return Message(
            "test_lacks_outcomes",
            "It knows {a} and {b} outcomes of the two sides; a winner needs at least {least} of each.",
            a=rollout.baseline_outcomes,
            b=rollout.candidate_outcomes,
            least=test.min_samples,
        )
    if _hours(test, moment) < test.min_duration_hours:
        return Message(
            "test_lacks_time",
            "It has run {hours:.1f} hours; a winner needs at least {least:g}.",
            hours=_hours(test, moment),
            least=test.min_duration_hours,
        )
    return None


def _mismatch(test: AbTest, rollout: Rollout, p_value: float) -> Message:
    return Message(
        "test_sample_ratio",
        "{a} different keys fell to A and {b} to B, where {percent} % were to fall to B (p = {p_value:.2g}): rows of one side "
        "are lost, and what is left cannot be compared.",
        a=rollout.baseline_units,
        b=rollout.candidate_units,
        percent=test.traffic_split,
        p_value=p_value,
    )


def _won(test: AbTest, rollout: Rollout, best: Variant) -> Message:
    a, b = samples(test, rollout)
    return Message(
        "test_won",
        "{winner} is better: {metric} is {a:.4g} of A over {a_outcomes} outcomes and {b:.4g} of B over {b_outcomes}.",
        winner=best.upper(),
        metric=test.metric,
        a=a.mean or 0.0,
        a_outcomes=rollout.baseline_outcomes,
        b=b.mean or 0.0,
        b_outcomes=rollout.candidate_outcomes,
    )


def _open_end(rollout: Rollout) -> Message:
    return Message(
        "test_inconclusive",
        "It ended with {a} and {b} outcomes of the two sides and without a winner: the difference may be none.",
        a=rollout.baseline_outcomes,
        b=rollout.candidate_outcomes,
    )


def _undecided(rollout: Rollout) -> Message:
    return Message(
        "test_undecided",
        "After {a} and {b} outcomes of the two sides, of {a_units} and {b_units} different keys, the difference may still be "
        "none.",
        a=rollout.baseline_outcomes,
        b=rollout.candidate_outcomes,
        a_units=rollout.baseline_judged_units,
        b_units=rollout.candidate_judged_units,
    )

"""Mean losses compared at every look: what is promised, and how soon it speaks."""

from collections.abc import Callable

import numpy as np
import pytest

from coreplex.deployment.judging import excess, loss_increase
from coreplex.deployment.table import Loss, Rollout
from coreplex.engines.sequential.mean_losses import LEAST_OUTCOMES, least_increase, margin
from coreplex.engines.sequential.sample import Sample

Draw = Callable[[np.random.Generator, int], np.ndarray]
LOSSES: dict[str, Draw] = {
    "of normal errors": lambda draw, size: np.abs(draw.normal(size=size)),
    "exponential": lambda draw, size: draw.exponential(size=size),
    "of a long tail": lambda draw, size: draw.lognormal(sigma=1.0, size=size),
}


def sums(losses: np.ndarray) -> Sample:
    return Sample(len(losses), float(losses.sum()), float((losses**2).sum()))


@pytest.mark.parametrize("name", LOSSES)
def test_no_difference_seldom_stops_a_canary(name: str) -> None:
    """200 rollouts of 4,000 outcomes, looked at after each fortieth: at most 10 may stop, 5 in 100."""
    draw = np.random.default_rng(11)
    stopped = 0
    for _ in range(200):
        taken, losses = draw.random(4000) < 0.25, LOSSES[name](draw, 4000)
        for end in range(40, 4001, 40):
            ours, theirs = (sums(losses[:end][arm]) for arm in (~taken[:end], taken[:end]))
            if (least_increase(ours, theirs, 0.95) or 0) > 0:
                stopped += 1
                break
    assert stopped <= 10


def test_a_worse_one_is_found() -> None:
    draw = np.random.default_rng(3)
    found = [least_increase(sums(draw.exponential(size=1000)), sums(1.4 * draw.exponential(size=1000)), 0.95) for _ in range(50)]
    assert sum((one or 0) > 0 for one in found) >= 48


def test_nothing_is_said_of_few_outcomes() -> None:
    enough, few = Sample(LEAST_OUTCOMES, 0.0, 0.0), Sample(LEAST_OUTCOMES - 1, 1e9, 1e18)
    assert least_increase(enough, few, 0.95) is None
    assert least_increase(few, enough, 0.95) is None
    assert least_increase(enough, enough, 0.95) == 0


def test_the_margin_shrinks_with_outcomes_and_with_certainty() -> None:
    margins = [margin(Sample(known, 0.0, float(known)), alpha) for known in (50, 500, 5000) for alpha in (0.005, 0.025, 0.1)]
    assert margins == sorted(margins, key=lambda one: -one)


def rollout(loss: Loss, **more: float) -> Rollout:
    return Rollout(loss=loss, percent=50, kind="canary", confidence=0.95, **more)  # type: ignore[arg-type]


def test_a_canary_is_judged_by_what_its_models_predict() -> None:
    wrong = {"baseline_outcomes": 100, "baseline_loss": 5.0, "baseline_loss_squares": 5.0, "candidate_outcomes": 100}
    told = excess(rollout(Loss.misclassification, **wrong, candidate_loss=60.0, candidate_loss_squares=60.0))
    assert told is not None
    assert told.startswith("60.0% of 100 outcomes were not what it had answered, and 5.0% of")
    numbers = {"baseline_outcomes": 200, "baseline_loss": 200.0, "baseline_loss_squares": 400.0, "candidate_outcomes": 200}
    told = excess(rollout(Loss.absolute_error, **numbers, candidate_loss=900.0, candidate_loss_squares=5000.0))
    assert told is not None
    assert told.startswith("Its mean absolute error is 4.5 over 200 outcomes, and 1 of the production")
    allowed = rollout(Loss.absolute_error, **numbers, candidate_loss=900.0, candidate_loss_squares=5000.0, max_loss_increase=4.0)
    assert (excess(allowed), loss_increase(rollout(Loss.absolute_error))) == (None, None)
    assert loss_increase(rollout(Loss.misclassification)) is None

"""How often do A/B tests without a difference have a winner, when they are looked at daily, and how often is a planted one found?

    .venv/bin/python tests/benchmarks/ab_tests.py --runs 2000 > tests/benchmarks/ab_tests.md

Beside them stands what others do at each look: a t-test, and the posterior of a flat prior with a threshold for its loss. With
`--gbstats`, by an interpreter that has `gbstats` 0.8.0 (it wants an environment of its own), it says instead how far the numbers
are from those of that package where both do the same.
"""

import argparse
import sys
from collections.abc import Callable
from dataclasses import dataclass
from math import erf, exp, pi, sqrt
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import numpy as np

from coreplex.engines.sequential.mean_difference import difference, says_enough, squared_error
from coreplex.engines.sequential.posterior import SLABS, posterior
from coreplex.engines.sequential.sample import Sample, UnitSums, of_units
from coreplex.engines.sequential.sample_ratio import sample_ratio_p_value

CONFIDENCE, DAYS = 0.95, 60
Random = np.random.Generator
Draw = Callable[[Random, int], Any]


def sequence(a: Sample, b: Sample) -> int:
    """1 where B has the greater mean by the confidence sequence, -1 where A has, else 0."""
    told = difference(a, b, CONFIDENCE)
    return 0 if told is None else int(told.lower > 0) - int(told.upper < 0)


def believed(a: Sample, b: Sample) -> int:
    """The same by the posterior, at its probability and its usual loss."""
    found = posterior(a, b, CONFIDENCE)
    if found is None:
        return 0
    limit = 0.01 * sqrt((a.variance + b.variance) / 2)
    greater = found.p_greater >= CONFIDENCE and found.loss_of_greater <= limit
    return int(greater) - int(found.p_smaller >= CONFIDENCE and found.loss_of_smaller <= limit)


def z_of(a: Sample, b: Sample) -> float:
    return (b.total / b.size - a.total / a.size) / sqrt(squared_error(a, b)) if says_enough(a, b) else 0.0


def t_test(a: Sample, b: Sample) -> int:
    return int(z_of(a, b) > 1.96) - int(z_of(a, b) < -1.96)


def flat(a: Sample, b: Sample) -> int:
    """By the posterior of a flat prior: at its probability, and a loss of a hundredth of a standard deviation."""
    if not says_enough(a, b):
        return 0
    z = abs(z_of(a, b))
    loss = sqrt(squared_error(a, b)) * (exp(-z * z / 2) / sqrt(2 * pi) - z * (1 - erf(z / sqrt(2))) / 2)
    sure = (1 + erf(z / sqrt(2))) / 2 >= CONFIDENCE and loss <= 0.01 * sqrt((a.variance + b.variance) / 2)
    return (1 if z_of(a, b) > 0 else -1) if sure else 0


METHODS: dict[str, Callable[[Sample, Sample], int]] = {
    "frequentist": sequence,
    "bayesian": believed,
    "t-test at each look": t_test,
    "flat prior at each look": flat,
}


@dataclass(frozen=True)
class Case:
    """What comes to a test in a day: rows, the candidate's share, and what their values are drawn from."""

    name: str
    rows: int
    share: float
    draw: Draw
    lift: Draw | None = None
    days: int = DAYS


def rate(p: float) -> Draw:
    return lambda random, size: (random.random(size) < p).astype(float)


def tailed(sigma: float) -> Draw:
    return lambda random, size: random.lognormal(sigma=sigma, size=size)


def revenue(buyers: float, sigma: float, factor: float = 1.0) -> Draw:
    """What visitors pay: most of them nothing."""
    return lambda random, size: np.where(random.random(size) < buyers, factor * random.lognormal(0.0, sigma, size), 0.0)


def baskets(factor: float = 1.0) -> Draw:
    """The same of a shop whose baskets are much alike."""
    return lambda random, size: np.where(random.random(size) < 0.1, factor * random.gamma(2.0, 1.0, size), 0.0)


def outliers(random: Random, size: int) -> Any:
    return random.exponential(size=size) + np.where(random.random(size) < 0.001, 1000.0, 0.0)


def uneven_cases() -> list[Case]:
    """Of values that are seldom large, which a small side has not seen yet: 400 rows a day, and 2,000."""
    kinds = {
        "revenue, 2 % buy, log-normal of s = 1.5": revenue(0.02, 1.5),
        "revenue, 5 % buy, log-normal of s = 1": revenue(0.05, 1.0),
        "log-normal, s = 2.5": tailed(2.5),
        "exponential, and 1,000 more of 0.1 %": outliers,
    }
    shares = (0.5, 0.2, 0.1, 0.9)
    found = [Case(name, 400, share, draw, days=50) for name, draw in kinds.items() for share in shares]
    return [*found, Case("revenue, 2 % buy, log-normal of s = 1.5", 2000, 0.05, revenue(0.02, 1.5), days=30)]


def null_cases() -> list[Case]:
    rates = [
        Case(f"rate of {p:.1%}", rows, share, rate(p)) for p in (0.005, 0.05, 0.5) for rows in (100, 1000) for share in (0.5, 0.1)
    ]
    means: dict[str, Draw] = {
        "normal": lambda random, size: random.normal(size=size),
        "exponential": lambda random, size: random.exponential(size=size),
        "log-normal, s = 1": tailed(1.0),
        "log-normal, s = 1.5": tailed(1.5),
    }
    return rates + [Case(name, 100, share, draw) for name, draw in means.items() for share in (0.5, 0.1)]


PLANTED = (
    Case("rate of 10 % to 12 %", 1000, 0.5, rate(0.10), rate(0.12), 20),
    Case("rate of 50 % to 53 %", 2000, 0.5, rate(0.50), rate(0.53), 20),
    Case("rate of 5 % to 7 %, a share of 10 %", 2000, 0.1, rate(0.05), rate(0.07), 20),
    Case("mean, 0.1 standard deviations", 1000, 0.5, lambda r, n: r.normal(size=n), lambda r, n: r.normal(size=n) + 0.1, 20),
    Case("log-normal, 20 % more", 1000, 0.5, tailed(1.0), lambda r, n: 1.2 * r.lognormal(sigma=1.0, size=n), 20),
)

PLANTED_UNEVEN = [
    case
    for share in (0.5, 0.1, 0.9)
    for case in (
        Case("rate of 10 % to 11.5 %", 2000, share, rate(0.10), rate(0.115), 20),
        Case("baskets of 10 %, 20 % more", 4000, share, baskets(), baskets(1.2), 20),
        Case("baskets of 10 %, 10 % more", 8000, share, baskets(), baskets(1.1), 20),
        Case("revenue, 5 % buy, log-normal of s = 1, 20 % more", 20_000, share, revenue(0.05, 1), revenue(0.05, 1, 1.2), 20),
        Case("log-normal, s = 1, 10 % more", 2000, share, tailed(1.0), lambda r, n: 1.1 * r.lognormal(sigma=1.0, size=n), 20),
    )
]


def days_of(case: Case, random: Random) -> list[tuple[Sample, Sample]]:
    """What is known of the two sides at the end of each day."""
    sums, seen = np.zeros((2, 3)), []
    for _ in range(case.days):
        theirs = int(random.binomial(case.rows, case.share))
        for side, (size, draw) in enumerate(((case.rows - theirs, case.draw), (theirs, case.lift or case.draw))):
            values = draw(random, size)
            sums[side] += size, values.sum(), (values * values).sum()
        a, b = (Sample(int(row[0]), float(row[1]), float(row[2])) for row in sums)
        seen.append((a, b))
    return seen


def first(method: Callable[[Sample, Sample], int], seen: list[tuple[Sample, Sample]]) -> tuple[int, int]:
    """The first winner, and the day on which there is one; 0 where there is none."""
    for day, (a, b) in enumerate(seen, 1):
        if (winner := method(a, b)) != 0:
            return winner, day
    return 0, 0


def measured(case: Case, runs: int, seed: int) -> dict[str, list[tuple[int, int]]]:
    random = np.random.default_rng(seed)
    found: dict[str, list[tuple[int, int]]] = {name: [] for name in METHODS}
    for _ in range(runs):
        seen = days_of(case, random)
        for name, method in METHODS.items():
            found[name].append(first(method, seen))
    return found


def table(title: str, cells: Callable[[list[tuple[int, int]]], str], cases: list[Case], runs: int) -> None:
    print(f"\n## {title}\n\n| values | rows a day | share of B | {' | '.join(METHODS)} |\n|---|---|---|{'---|' * len(METHODS)}")
    for seed, case in enumerate(cases):
        found = measured(case, runs, seed)
        print(f"| {case.name} | {case.rows} | {case.share:.0%} | {' | '.join(map(cells, found.values()))} |", flush=True)


def share_with_winner(all_of: list[tuple[int, int]]) -> str:
    return f"{np.mean([winner != 0 for winner, _ in all_of]):.1%}"


def ratios(runs: int) -> None:
    print("\n## Sample-ratio mismatch\n\nLooked at after each 500 keys, up to 20,000.\n\n| keys fell | invalid |\n|---|---|")
    for share in (0.5, 0.52, 0.48, 0.515):
        random, found = np.random.default_rng(5), 0
        for _ in range(runs):
            theirs = np.cumsum(random.binomial(500, share, size=40))
            found += any(sample_ratio_p_value(500 * at - int(b), int(b), 0.5) < 0.01 for at, b in enumerate(theirs, 1))
        print(f"| {1 - share:.1%} / {share:.1%} | {found / runs:.1%} |", flush=True)


def customers(runs: int) -> None:
    """Customers with 30 rows each, of a rate of their own: by customer, and by row."""
    print("\n## Customers who come often\n")
    print(
        "60 days of 20 new customers with 30 rows each, of a rate of their own (beta 1, 3), no difference: share with a winner.\n"
    )
    print("| taken as | frequentist | bayesian |\n|---|---|---|")
    random, found = np.random.default_rng(9), {"customers": [0, 0], "rows": [0, 0]}
    for _ in range(runs):
        sides, totals = random.random(1200) < 0.5, random.binomial(30, random.beta(1, 3, 1200)).astype(float)
        seen: dict[str, list[tuple[Sample, Sample]]] = {"customers": [], "rows": []}
        for day in range(1, 61):
            arms = [totals[: day * 20][sides[: day * 20] == side] for side in (False, True)]
            sums = [
                UnitSums(len(s), 30 * len(s), float(s.sum()), 900.0 * len(s), 30 * float(s.sum()), float((s * s).sum()))
                for s in arms
            ]
            seen["customers"].append((of_units(sums[0]), of_units(sums[1])))
            a, b = (Sample(one.values, one.total, one.total) for one in sums)
            seen["rows"].append((a, b))
        for name, looks in seen.items():
            for place, method in enumerate((sequence, believed)):
                found[name][place] += first(method, looks)[0] != 0
    for name, (by_sequence, by_posterior) in found.items():
        print(f"| {name} | {by_sequence / runs:.1%} | {by_posterior / runs:.1%} |", flush=True)


def against_gbstats() -> None:
    """The greatest relative distance of each number over random samples."""
    from gbstats.bayesian.tests import EffectBayesianABTest, EffectBayesianConfig, GaussianPrior
    from gbstats.frequentist.tests import SequentialConfig, SequentialTwoSidedTTest
    from gbstats.models.statistics import SampleMeanStatistic
    from gbstats.utils import check_srm

    random, far = np.random.default_rng(1), dict[str, float]()

    def hold(name: str, ours: float, theirs: float) -> None:
        far[name] = max(far.get(name, 0.0), abs(ours - theirs) / max(abs(theirs), 1e-12))

    for _ in range(300):
        # Of two sizes the larger side varies less: the other way round gbstats has no floor under the variance.
        sizes = sorted(int(one) for one in random.integers(600, 5000, 2))
        means = (1.0, 1.0 + random.normal(0, 0.1))
        values = [random.normal(mean, sd, size) for mean, sd, size in zip(means, (2.4, 2.0), sizes, strict=True)]
        a, b = (Sample(len(one), float(one.sum()), float((one**2).sum())) for one in values)
        stats = [SampleMeanStatistic(n=one.size, sum=one.total, sum_squares=one.squares) for one in (a, b)]
        theirs = SequentialTwoSidedTTest(*stats, SequentialConfig(difference_type="absolute"))
        ours = difference(a, b, CONFIDENCE)
        assert ours is not None
        lower, upper = theirs.confidence_interval
        hold("confidence sequence: lower", ours.lower, lower)
        hold("confidence sequence: upper", ours.upper, upper)
        hold("confidence sequence: p-value", ours.p_value, theirs.p_value)
        found = posterior(a, b, CONFIDENCE)
        assert found is not None
        for part, slab in zip(found.parts, SLABS, strict=True):
            prior = GaussianPrior(0, slab * slab * (a.variance + b.variance) / 2, True)
            config = EffectBayesianConfig(difference_type="absolute", prior_type="absolute", prior_effect=prior)
            told = EffectBayesianABTest(*stats, config).compute_result()
            hold("posterior of one slab: mean", part.mean, told.uplift.mean)
            hold("posterior of one slab: deviation", part.deviation, told.uplift.stddev)
            hold("posterior of one slab: chance to win", part.negated().below(0.0), told.chance_to_win)
            hold("posterior of one slab: risk of B", part.mean_below(), told.risk[1])
            hold("posterior of one slab: risk of A", part.negated().mean_below(), told.risk[0])
        counts = random.multinomial(int(random.integers(1000, 30000)), [0.5, 0.5])
        fixed = check_srm([int(one) for one in counts], [0.5, 0.5])
        assert sample_ratio_p_value(int(counts[0]), int(counts[1]), 0.5) >= fixed, (
            "a look of many may not say more than the only one"
        )
    print("| number | greatest relative distance to gbstats |\n|---|---|")
    for name, distance in far.items():
        print(f"| {name} | {distance:.1e} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=2000)
    parser.add_argument("--gbstats", action="store_true")
    said = parser.parse_args()
    if said.gbstats:
        against_gbstats()
        return
    print(f"# A/B tests\n\nMeasured by `tests/benchmarks/ab_tests.py --runs {said.runs}` at a confidence of {CONFIDENCE:.0%}.")
    print("Tests are looked at at the end of each day, and end with their first winner.")
    told = f"No difference, {DAYS} days: share of {said.runs:,} tests with a winner"
    table(told, share_with_winner, null_cases(), said.runs)

    def power(all_of: list[tuple[int, int]]) -> str:
        days = [day for winner, day in all_of if winner > 0]
        wrong = sum(winner < 0 for winner, _ in all_of) / len(all_of)
        middle = f"day {int(np.median(days))}" if days else "never"
        return f"{len(days) / len(all_of):.1%} ({middle}; wrong {wrong:.1%})"

    few = said.runs // 4
    table("B is better, 20 days: found, on which day in the median", power, list(PLANTED), few)
    told = f"No difference, values that are seldom large, uneven shares: share of {few:,} tests with a winner"
    table(told, share_with_winner, uneven_cases(), few)
    table("B is better, uneven shares, 20 days", power, PLANTED_UNEVEN, said.runs // 10)
    ratios(said.runs)
    customers(said.runs // 2)


if __name__ == "__main__":
    main()

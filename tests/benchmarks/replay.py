"""How often does a replay call an equal challenger better, and how often does its gate let a worse one in, looked at daily?

    .venv/bin/python tests/benchmarks/replay.py --runs 500 > tests/benchmarks/replay.md

Outcomes arrive over twenty days; the candidate is replayed at the end of each, from the same start, and whoever looks stops as
soon as he likes what he sees. Beside it stands what others do: a test of the paired difference at each look.
"""

import argparse
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import numpy as np

from coreplex.engines.replay.net_gain import Losses, gain, margin_of
from coreplex.engines.replay.verdict import ReplayVerdict, verdict
from coreplex.engines.sequential.paired_gain import spent

CONFIDENCE, DAYS, STARTS = 0.95, 20, 10
PASSES = {ReplayVerdict.better, ReplayVerdict.not_worse}
Random = np.random.Generator
Draw = Callable[[Random, int], tuple[Any, Any]]
"""Losses of the answers that were given and of the candidate's, n of each."""


@dataclass(frozen=True)
class Case:
    name: str
    is_class: bool
    rows: int
    draw: Draw
    repeats: int = 1
    """Rows of one customer, whose losses are the same."""


def classes(differ: float, points: float) -> Draw:
    """Accuracy of 80 %; the two differ in a share of the rows, and the candidate is right in so many points less of all."""
    each = np.array([(differ + points) / 2, (differ - points) / 2])

    def draw(random: Random, n: int) -> tuple[Any, Any]:
        kind = random.random(n)
        loses, wins = kind < each[0], (kind >= each[0]) & (kind < each.sum())
        both_wrong = ~loses & ~wins & (random.random(n) < 0.2)
        return (both_wrong | wins).astype(float), (both_wrong | loses).astype(float)

    return draw


def numbers(noise: Callable[[Random, int], Any], worse: float) -> Draw:
    """Absolute errors of two models whose errors have most in common; those of the candidate greater by a share."""

    def draw(random: Random, n: int) -> tuple[Any, Any]:
        common = noise(random, n)
        served, candidate = (np.abs(common + 0.4 * noise(random, n)) for _ in range(2))
        return served, (1 + worse) * candidate

    return draw


def rarely_far(worse: float) -> Draw:
    """The candidate errs a little less in most rows and ten times as much in one of a hundred; equal in the mean."""

    def draw(random: Random, n: int) -> tuple[Any, Any]:
        served = random.exponential(size=n)
        rare = random.random(n) < 0.01
        return served, (1 + worse) * served * np.where(rare, 10.0, (1 - 0.1) / 0.99)

    return draw


def normal(random: Random, n: int) -> Any:
    return random.normal(size=n)


def tailed(random: Random, n: int) -> Any:
    return random.standard_t(3, size=n)


def cases(worse: float) -> list[Case]:
    """Of a candidate that is worse by so many points of all answers, or whose errors are greater by that share."""
    made = [
        Case(f"classes, {differ:.0%} of the answers differ", True, rows, classes(differ, worse))
        for differ in (0.03, 0.1, 0.3)
        for rows in (10_000, 20_000)
    ]
    for rows in (10_000, 20_000):
        made += [
            Case("numbers, normal errors", False, rows, numbers(normal, worse)),
            Case("numbers, errors of Student's t (3)", False, rows, numbers(tailed, worse)),
            Case("numbers, rarely far off", False, rows, rarely_far(worse)),
        ]
    return [*made, Case("classes, 10 % differ, each row asked five times", True, 10_000, classes(0.1, worse), 5)]


def stream(case: Case, random: Random) -> Losses:
    served, candidate = case.draw(random, case.rows // case.repeats)
    units = np.tile(np.arange(len(served)), case.repeats)
    order = random.permutation(len(units))
    units = units[order]
    reach = 1.0 if case.is_class else float(max(served.max(), candidate.max()))
    return Losses(np.arange(len(units)), served[units], candidate[units], units, reach)


def looks(case: Case, found: Losses) -> list[ReplayVerdict]:
    """What is said at the end of each day."""
    said = []
    for day in range(1, DAYS + 1):
        until = len(found.places) * day // DAYS
        some = first(found, until)
        told = gain(some, case.is_class, 1 - spent(1 - CONFIDENCE, 1))
        said.append(verdict(told and told.lower, told and told.upper, margin_of(some, case.is_class)))
    return said


def first(found: Losses, until: int, since: int = 0) -> Losses:
    part = slice(since, until)
    served, candidate = found.served[part], found.candidate[part]
    reach = found.reach if found.reach == 1.0 else float(max(served.max(), candidate.max()))
    return Losses(found.places[part], served, candidate, found.units[part], reach)


def restarts(case: Case, found: Losses) -> list[ReplayVerdict]:
    """What is said at the end when it is replayed from one start after another, each a look of its own."""
    said = []
    for look in range(1, STARTS + 1):
        some = first(found, len(found.places), len(found.places) * (look - 1) // (2 * STARTS))
        told = gain(some, case.is_class, 1 - spent(1 - CONFIDENCE, look))
        said.append(verdict(told and told.lower, told and told.upper, margin_of(some, case.is_class)))
    return said


def tests(case: Case, found: Losses) -> list[ReplayVerdict]:
    """The same by a test at each look: a paired z-test at 95 %, and its interval for the margin."""
    said = []
    for day in range(1, DAYS + 1):
        some = first(found, len(found.places) * day // DAYS)
        each = some.served - some.candidate
        half = 1.96 * float(each.std()) / np.sqrt(len(each))
        said.append(verdict(each.mean() - half, each.mean() + half, margin_of(some, case.is_class)))
    return said


METHODS: dict[str, Callable[[Case, Losses], list[ReplayVerdict]]] = {
    "replayed daily": looks,
    f"from {STARTS} starts": restarts,
    "a test at each look": tests,
}


def measured(case: Case, runs: int, seed: int) -> dict[str, list[list[ReplayVerdict]]]:
    random = np.random.default_rng(seed)
    found: dict[str, list[list[ReplayVerdict]]] = {name: [] for name in METHODS}
    for _ in range(runs):
        losses = stream(case, random)
        for name, method in METHODS.items():
            found[name].append(method(case, losses))
    return found


def ever(said: list[list[ReplayVerdict]], wanted: set[ReplayVerdict]) -> float:
    """The share of runs in which one of these was said at any look."""
    return sum(any(one in wanted for one in looks) for looks in said) / len(said)


def table(title: str, worse: float, wanted: set[ReplayVerdict], runs: int) -> None:
    heads = [*METHODS, "at the end let in by the gate", "worse", "inconclusive"]
    print(f"\n## {title}\n\n| rows | outcomes | {' | '.join(heads)} |\n|---|---|{'---|' * len(heads)}")
    for seed, case in enumerate(cases(worse)):
        found = measured(case, runs, seed)
        cells = [f"{ever(found[name], wanted):.1%}" for name in METHODS]
        last = [looks[-1] for looks in found["replayed daily"]]
        kinds = (PASSES, {ReplayVerdict.worse}, {ReplayVerdict.inconclusive})
        cells += [f"{sum(one in kind for one in last) / runs:.0%}" for kind in kinds]
        print(f"| {case.name} | {case.rows:,} | {' | '.join(cells)} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=500)
    runs = parser.parse_args().runs
    print(f"# Replays\n\nMeasured by `tests/benchmarks/replay.py --runs {runs}` at a confidence of {CONFIDENCE:.0%}.")
    print(f"Outcomes come over {DAYS} days; it counts what was said at any look.")
    table(f"Equal challengers: share of {runs} that pass as better", 0.0, {ReplayVerdict.better}, runs)
    title = "Two points worse (numbers: 2 % more error): share that the gate lets in at the usual margin"
    table(title, 0.02, PASSES, runs)
    table("Two points better (numbers: 2 % less error): share that pass as better", -0.02, {ReplayVerdict.better}, runs)


if __name__ == "__main__":
    main()

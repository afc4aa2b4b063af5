"""What comes after the portfolio: new configurations, near the best ones or anywhere in the space.

A plain random search: with folds and an ensemble behind it, what counts is that candidates are sound and unlike each
other. Where each family is drawn from, it declares itself (`families.family.Family.space`).
"""

from collections.abc import Sequence

import numpy as np

from coreplex.engines.automl.families.family import Candidate, Family, Space


def searched(families: Sequence[Family], algorithms: set[str]) -> list[tuple[Family, Space]]:
    """The families with a space whose first algorithm, the one drawn, is among the names; each with its space."""
    known = [(family, family.space) for family in families if family.algorithms[0].name in algorithms]
    return [(family, space) for family, space in known if space is not None]


def propose(
    best: Sequence[Candidate], spaces: Sequence[tuple[Family, Space]], exploitation: float, draw: np.random.Generator
) -> Candidate:
    """A candidate not tried yet, in one of the `spaces` (one at least). `best`: the leaders so far, best first;
    `exploitation`: how many of the proposals, 0 to 1, are near one of the best three."""
    within = dict(spaces)
    leaders = [one for one in best if one.family in within][:3]
    if leaders and draw.random() < exploitation:
        leader = leaders[int(draw.integers(len(leaders)))]
        return _near(leader, within[leader.family], draw)
    weights = np.array([space.weight for _, space in spaces])
    return _anywhere(*spaces[int(draw.choice(len(spaces), p=weights / weights.sum()))], draw)


def _anywhere(family: Family, space: Space, draw: np.random.Generator) -> Candidate:
    drawn = {name: sample(draw) for name, sample in space.drawn.items()}
    return Candidate(family.algorithms[0].name, family, {**space.fixed, **drawn})


def _near(leader: Candidate, space: Space, draw: np.random.Generator) -> Candidate:
    """A leader with up to two of its parameters drawn anew."""
    changed = draw.choice(sorted(space.drawn), size=min(2, len(space.drawn)), replace=False)
    return leader.like(**{str(name): space.drawn[str(name)](draw) for name in changed})

"""A model is a weighted average of members, each an encoder and a predictor: one member for a plain model, the fold
copies of a bag, the chosen members of a stack.

`combine="raw"` averages raw scores, which keeps TreeSHAP and linear contributions exact; it needs one link for all
members.
`combine="response"` averages probabilities (or values), whatever the members are.

Members score many rows at the same time, on all cores this process may use: their libraries give up the interpreter's lock.
"""

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any, Literal, TypeVar

import numpy as np
import polars as pl

from coreplex.engines.encoding.encoder import Encoder
from coreplex.engines.encoding.steps import Floats
from coreplex.engines.encoding.values import Canonical
from coreplex.engines.scoring.calibration import Calibration
from coreplex.engines.scoring.predictor import Link, Predictor, raw_of, respond, respond_row

Combine = Literal["raw", "response"]
Transform = Literal["none", "log1p"]
_LARGEST_LOG = 700.0
Part = TypeVar("Part")
_MANY_ROWS = 1_000
"""From here on a member takes longer than handing it to another thread."""
_MOST_THREADS = 8


@dataclass(frozen=True, eq=False)
class Member:
    """Members may share an encoder: it then runs once, and is stored once."""

    encoder: Encoder
    predictor: Predictor
    weight: float = 1.0

    def __post_init__(self) -> None:
        if self.encoder.width != self.predictor.width:
            raise ValueError(f"the encoder makes {self.encoder.width} columns, the predictor wants {self.predictor.width}")


@dataclass(frozen=True, eq=False)
class Ensemble:
    """The whole model. Members have weights of zero or more, of which shares count."""

    members: tuple[Member, ...]
    combine: Combine = "response"
    calibration: Calibration | None = None
    target_transform: Transform = "none"
    """`log1p`: members predict log(1 + target)."""

    def __post_init__(self) -> None:
        weights = [member.weight for member in self.members]
        if not weights or min(weights) < 0 or not 0 < sum(weights) < float("inf"):
            raise ValueError("an ensemble needs members with weights that are not negative and not all zero")
        if len({member.predictor.outputs for member in self.members}) > 1:
            raise ValueError("the members have different numbers of outputs")
        if self.combine == "raw" and len({member.predictor.link for member in self.members}) > 1:
            raise ValueError("members with different links cannot be averaged raw; take combine='response'")

    @property
    def outputs(self) -> int:
        """Columns of the answer: classes, or 1 for a number."""
        return self.members[0].predictor.outputs

    @property
    def link(self) -> Link:
        """The space in which the whole model is explained."""
        if self.outputs > 1:
            return "logit" if self.outputs == 2 and self.members[0].predictor.link == "logit" else "softmax"
        return self.members[0].predictor.link if self.mixes_raw else "identity"

    @cached_property
    def mixes_raw(self) -> bool:
        """True where the model's raw score is the weighted sum of its members': what makes their contributions add up."""
        links = {member.predictor.link for member in self.members}
        return self.combine == "raw" or len(self.members) == 1 or links == {"identity"}

    @property
    def method(self) -> str | None:
        """How the whole model can be explained exactly; None when only sampling is left."""
        methods = {member.predictor.method for member in self.members}
        if not self.mixes_raw or None in methods:
            return None
        return "linear" if methods == {"linear"} else "tree_shap"

    @cached_property
    def weights(self) -> tuple[float, ...]:
        """The share of each member, summing to 1."""
        total = sum(member.weight for member in self.members)
        return tuple(member.weight / total for member in self.members)

    @cached_property
    def encoders(self) -> tuple[Encoder, ...]:
        """Each distinct encoder once, in order of first use."""
        return tuple({id(member.encoder): member.encoder for member in self.members}.values())

    @cached_property
    def places(self) -> tuple[int, ...]:
        """Per member the index of its encoder."""
        order = {id(encoder): index for index, encoder in enumerate(self.encoders)}
        return tuple(order[id(member.encoder)] for member in self.members)

    def encode(self, frame: pl.DataFrame | Canonical) -> list[Floats]:
        """One (n, width) matrix per encoder, in their order."""
        seen = frame if isinstance(frame, Canonical) else Canonical(frame, keep=len(self.encoders) > 1)
        return [encoder.transform(seen) for encoder in self.encoders]

    def predict(self, frame: pl.DataFrame | Canonical) -> Floats:
        """(n, k): probabilities per class, or (n, 1) values on the scale of the target."""
        return self.respond(self.raw(self.encode(frame)))

    def raw(self, matrices: Sequence[Floats]) -> Floats:
        """(n, r) raw scores of the whole model, calibrated where that is affine."""
        rows = len(matrices[0])
        if self.mixes_raw:
            parts = each(lambda member, place: member.predictor.raw(matrices[place]), self.members, self.places, rows=rows)
            total = self._mixed(parts)
        else:
            parts = each(lambda member, place: member.predictor.predict(matrices[place]), self.members, self.places, rows=rows)
            total = raw_of(self.link, np.asarray(self._mixed(parts)))
        raw = np.asarray(total, dtype=np.float64)
        return self.calibration.raw(raw) if self.calibration else raw

    def _mixed(self, parts: Iterator[Floats]) -> Floats | int:
        """The weighted sum of what the members say, always in their order, so that threads change no bit of it."""
        return sum(weight * part for weight, part in zip(self.weights, parts, strict=True))

    def respond(self, raw: Floats) -> Floats:
        """(n, r) raw scores → (n, k) the answer: link, isotonic calibration, inverse of the target's transform."""
        response = respond(self.link, raw)
        if self.calibration:
            response = self.calibration.response(response)
        return np.expm1(np.minimum(response, _LARGEST_LOG)) if self.target_transform == "log1p" else response

    def respond_rows(self, rows: Sequence[Sequence[float]]) -> Sequence[float]:
        """The answer for one row, given its encoded form per encoder: the hot path."""
        if self._plain:
            return respond_row(self.link, self.members[0].predictor.raw_row(rows[0]))
        if self.mixes_raw:
            scores = self._weighted([m.predictor.raw_row(rows[p]) for m, p in zip(self.members, self.places, strict=True)])
            if self.calibration is None and self.target_transform == "none":
                return respond_row(self.link, scores)
            raw = np.array([self.calibration.raw_row(scores) if self.calibration else scores])
        else:
            mixed = self._weighted(
                [
                    respond_row(member.predictor.link, member.predictor.raw_row(rows[place]))
                    for member, place in zip(self.members, self.places, strict=True)
                ]
            )
            if self.calibration is None and self.target_transform == "none":
                return mixed
            raw = raw_of(self.link, np.array([mixed]))
            raw = self.calibration.raw(raw) if self.calibration else raw
        answer: list[float] = self.respond(raw)[0].tolist()
        return answer

    @cached_property
    def _plain(self) -> bool:
        """One member and nothing around it."""
        alone = len(self.members) == 1 and self.calibration is None and self.target_transform == "none"
        return alone and self.link == self.members[0].predictor.link

    def _weighted(self, scores: Sequence[Sequence[float]]) -> list[float]:
        weights = self.weights
        return [sum(map(float.__mul__, weights, map(float, column))) for column in zip(*scores, strict=True)]


def cores() -> int:
    """How many threads may score: as OMP_NUM_THREADS says, at most the cores that this process may run on."""
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    told = os.environ.get("OMP_NUM_THREADS", "").split(",")[0].strip()
    return max(1, min(allowed, int(told) if told.isdecimal() else allowed, _MOST_THREADS))


def each(work: Callable[..., Part], *items: Iterable[Any], rows: int) -> Iterator[Part]:
    """`map(work, *items)`, in order, by several threads where there are many rows. `work` must not call `each`."""
    return _pool().map(work, *items) if rows >= _MANY_ROWS and cores() > 1 else map(work, *items)


@lru_cache(maxsize=1)
def _pool() -> ThreadPoolExecutor:
    """One for all calls of the process, so that many at a time take no more cores."""
    return ThreadPoolExecutor(cores(), thread_name_prefix="scoring")

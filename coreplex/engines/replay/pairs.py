"""Logged rows with the answers that were given, answered again by a candidate: the same reader, encoder, members and threshold as
in serving.

A row the candidate cannot answer stays, as a failure with its reason: what it knows no column of, and, where callers are strict,
what is odd to it.
"""

import math
import time
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import orjson

from coreplex.engines.performance.realised import Output
from coreplex.engines.performance.spelling import spelled
from coreplex.engines.replay.training_rows import keys_of_rows
from coreplex.engines.scoring.bundle import label_key
from coreplex.engines.scoring.scorer import Prediction, Scorer

Reason = tuple[str, str]
"""Why a row has no answer, and the column it is about, if it is about one."""
CHUNK_ROWS = 2_000
ALONE = 200
"""Rows that are answered one by one, to know how long a request of one row takes."""
FARTHEST = 1e100
"""A number beyond it has no square that could be summed; no outcome is."""
LONGEST_VALUE = 100
"""Characters of a slice's value."""
NO_COLUMN, NOT_FINITE = "no_column_known", "answer_not_finite"


class Logged(NamedTuple):
    """A row of the log: what was sent, what was answered, and what came out, if that is known.

    `outcome`: a class or a number, None while nobody has said it. `unit`: rows of the same unit are alike."""

    request_id: str
    row_index: int
    inputs: dict[str, Any]
    prediction: Any
    probabilities: dict[str, float] | None
    outcome: Any
    unit: str
    is_early: bool = False
    """Answered before the candidate's table was made."""


@dataclass
class Pairs:
    """What became of each row, in the order of the log. Of classes `given` and `answers` are texts, of numbers floats; an answer
    is None where there is none. `distances`: of the two answers, |difference| of numbers, and of classes half the sum of the
    probabilities' (total variation, 0 to 1)."""

    is_class: bool
    ids: list[tuple[str, int]] = field(default_factory=list)
    given: list[Any] = field(default_factory=list)
    answers: list[Any] = field(default_factory=list)
    distances: list[float] = field(default_factory=list)
    outcomes: list[Any] = field(default_factory=list)
    units: list[str] = field(default_factory=list)
    judged: dict[int, tuple[Output, Output]] = field(default_factory=dict)
    """By row that both have answered, and whose outcome is known: both answers, of as many rows as are kept."""
    values: dict[str, list[Any]] = field(default_factory=dict)
    """By column of a slice, the value of each row; None where it has none."""
    failures: Counter[Reason] = field(default_factory=Counter)
    first_failed: dict[Reason, int] = field(default_factory=dict)
    early: list[bytes] = field(default_factory=list)
    """Of each early row with an outcome what it has in common with the same row in the candidate's table."""
    secs: float = 0.0
    """That the candidate took for all."""
    alone_ms: list[float] = field(default_factory=list)

    @property
    def size(self) -> int:
        return len(self.ids)


@dataclass(frozen=True)
class Candidate:
    """How the candidate is asked. `odd`: kinds of warnings for which a row is refused; none where callers are not strict."""

    scorer: Scorer
    threshold: float | None = None
    odd: Collection[str] = ()

    def answer(self, rows: Sequence[Mapping[str, Any]]) -> list[Prediction | Reason]:
        """Of each row its answer, or why there is none."""
        found: list[Prediction | Reason] = [(NO_COLUMN, "")] * len(rows)
        known = [place for place, row in enumerate(rows) if self.scorer.reader.knows(row)]
        answers, warnings = self.scorer.predict_each([rows[place] for place in known], self.threshold)
        for place, answer in zip(known, answers, strict=True):
            said = answer["prediction"]
            found[place] = (NOT_FINITE, "") if isinstance(said, float) and not abs(said) <= FARTHEST else answer
        for one in reversed(warnings if self.odd else ()):
            if one["kind"] in self.odd:
                found[known[one.get("row", 0)]] = (f"strict_{one['kind']}", one["column"])
        return found


def read(path: Path) -> Iterator[Logged]:
    """The rows of a file that has one as a JSON list on each line."""
    with path.open("rb") as lines:
        for line in lines:
            yield Logged(*orjson.loads(line))


def paired(candidate: Candidate, rows: Iterator[Logged], columns: Sequence[str], most_judged: int) -> Iterator[Pairs]:
    """The rows answered, the same object after each chunk. `columns`: whose values are kept;
    `most_judged`: rows whose answers are."""
    pairs = Pairs(bool(candidate.scorer.classes), values={column: [] for column in columns})
    while chunk := list(islice(rows, CHUNK_ROWS)):
        if not pairs.size:
            pairs.alone_ms = _one_by_one(candidate, chunk[:ALONE])
        began = time.perf_counter()
        answers = candidate.answer([row.inputs for row in chunk])
        pairs.secs += time.perf_counter() - began
        for row, answer in zip(chunk, answers, strict=True):
            _add(pairs, row, answer, most_judged)
        _add_early(pairs, candidate.scorer, [row for row in chunk if row.is_early and row.outcome is not None])
        yield pairs


def _one_by_one(candidate: Candidate, rows: Sequence[Logged]) -> list[float]:
    """Milliseconds that each row takes alone."""
    found = []
    for row in rows:
        began = time.perf_counter()
        candidate.answer([row.inputs])
        found.append((time.perf_counter() - began) * 1000)
    return found


def _add(pairs: Pairs, row: Logged, answer: Prediction | Reason, most_judged: int) -> None:
    place, read_as = pairs.size, spelled if pairs.is_class else _within
    pairs.ids.append((row.request_id, row.row_index))
    pairs.given.append(read_as(row.prediction))
    pairs.outcomes.append(None if row.outcome is None else read_as(row.outcome))
    pairs.units.append(row.unit)
    for column, values in pairs.values.items():
        values.append(_brief(row.inputs.get(column)))
    if isinstance(answer, tuple):
        pairs.failures[answer] += 1
        pairs.first_failed.setdefault(answer, place)
        pairs.answers.append(None)
        pairs.distances.append(math.nan)
        return
    pairs.answers.append(read_as(answer["prediction"]))
    pairs.distances.append(_distance(row, answer))
    if row.outcome is not None and len(pairs.judged) < most_judged:
        before = {"prediction": pairs.given[place], **({"probabilities": row.probabilities} if row.probabilities else {})}
        pairs.judged[place] = before, answer


def _brief(said: Any) -> Any:
    """A value as slices tell it apart: of a long text, or of what is none, the beginning."""
    return said if said is None or isinstance(said, int | float) else str(said)[:LONGEST_VALUE]


def _add_early(pairs: Pairs, scorer: Scorer, rows: Sequence[Logged]) -> None:
    read_as = spelled if pairs.is_class else float
    if rows:
        pairs.early += keys_of_rows(scorer, [row.inputs for row in rows], [read_as(row.outcome) for row in rows])


def _within(number: Any) -> float:
    return max(-FARTHEST, min(FARTHEST, float(number)))


def _distance(row: Logged, answer: Prediction) -> float:
    shares = answer.get("probabilities")
    if shares is None:
        return abs(_within(answer["prediction"]) - _within(row.prediction))
    if not row.probabilities:
        return float(label_key(row.prediction) != label_key(answer["prediction"]))
    before = row.probabilities
    return sum(abs(shares.get(label, 0.0) - before.get(label, 0.0)) for label in {*shares, *before}) / 2

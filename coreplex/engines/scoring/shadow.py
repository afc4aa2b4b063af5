"""Answers rows for nobody: what a shadow predicts beside the answer that was given, in a child that may crash or hang."""

import time
from collections import OrderedDict
from collections.abc import Mapping
from typing import Any

import orjson

from coreplex.engines.child import Report, refused
from coreplex.engines.scoring.bundle import label_key
from coreplex.engines.scoring.scorer import Scorer
from coreplex.errors.tree import DomainError, Message

MOST_LOADED = 8
"""Models kept loaded; the one asked longest ago goes first."""


def run(_request: dict[str, Any], report: Report) -> dict[str, Any]:
    """Score batches until the parent ends: each line it sends is `{bundle, sha256, rows, answers}`.

    Each is answered by a `scored` event: `outputs[i]` for row i, and what `compared` says of it beside the answer that was given;
    or an `error` with its message.
    """
    loaded: OrderedDict[str, Scorer] = OrderedDict()
    while True:
        report.send("scored", **_scored(orjson.loads(report.heard()), loaded))


def _scored(asked: Mapping[str, Any], loaded: OrderedDict[str, Scorer]) -> dict[str, Any]:
    began = time.perf_counter()
    try:
        scorer = loaded.get(asked["sha256"])
        if scorer is None:
            scorer = loaded[asked["sha256"]] = Scorer.load(asked["bundle"], asked["sha256"])
            while len(loaded) > MOST_LOADED:
                loaded.popitem(last=False)
        loaded.move_to_end(asked["sha256"])
        outputs, _ = scorer.predict_rows(asked["rows"])
    except DomainError as error:
        return {"failed": refused(error)}
    except Exception as error:
        kind = type(error).__name__
        return {"failed": Message("shadow_failed", "The model could not answer ({kind}).", kind=kind).to_json()}
    each = [compared(output, answer) for output, answer in zip(outputs, asked["answers"], strict=True)]
    return {"outputs": outputs, "compared": each, "ms": (time.perf_counter() - began) * 1000}


def compared(output: Mapping[str, Any], answer: Mapping[str, Any]) -> dict[str, Any]:
    """`agreed`: the same class, or a number that differs by no more than 1 in 1,000; `difference`: of the numbers, or of the
    probability of the class that was answered. Both are left out where the two cannot be compared."""
    mine, given = output["prediction"], answer["prediction"]
    shares = output.get("probabilities")
    if shares is not None:
        before = (answer.get("probabilities") or {}).get(label := label_key(given))
        there = {} if before is None or label not in shares else {"difference": abs(shares[label] - before)}
        return {"agreed": mine == given, **there}
    if isinstance(mine, str) or isinstance(given, str):
        return {"agreed": mine == given}
    return {"agreed": alike(mine, given), "difference": abs(mine - given)}


def alike(mine: float, given: float) -> bool:
    """Whether two numbers differ by no more than 1 in 1,000 of the one that was given."""
    return abs(mine - given) <= 1e-3 * max(abs(given), 1e-12)

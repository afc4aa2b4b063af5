"""Answers the rows of a request by two deployments. A candidate that fails costs nobody an answer: the baseline gives it."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import structlog

from coreplex.deployment.table import Arm
from coreplex.engines.scoring.scorer import gathered
from coreplex.errors.tree import Busy, CallerLeft, FieldError, Invalid
from coreplex.serving.address import Split
from coreplex.serving.arms import RANGE, hashed, keys_of, places_by_arm
from coreplex.serving.call import Call, Part, said_of
from coreplex.serving.options import parse_options
from coreplex.serving.prediction import Answer, key_list, rows_of

log = structlog.get_logger()


async def answer(call: Call, split: Split) -> tuple[Answer, list[Part]]:
    """The answers in the order of the rows, and who gave them. Raises as `prediction.predict` does for the baseline."""
    rows = rows_of(call.inputs)
    keys = key_list(parse_options(call.options), rows) if call.options else None
    call = replace(call, options={name: value for name, value in call.options.items() if name != "keys"})
    parts = _parts(split, keys_of(rows, keys))
    failed = await _candidate(call, parts, rows)
    try:
        await _baseline(call, split, parts, rows)
    finally:
        lost = [warning for part in (*failed, *parts) for warning in await _log(call, split, part, rows)]
    made = merged(parts, len(rows))
    made.warnings += lost
    for part in failed:
        made.warnings += _told(part)
    return made, parts


def _parts(split: Split, keys: Sequence[bytes]) -> list[Part]:
    routes = {Arm.candidate: split.share.candidate, Arm.baseline: split.baseline}
    hashes = hashed(split.share, keys)
    parts = [Part(arm, routes[arm], places) for arm, places in places_by_arm(split.share, hashes).items()]
    for part in parts if split.share.counts_units else ():
        part.units = {place: hashes[place] - RANGE // 2 for place in part.places}  # as a signed integer
    return parts


async def _candidate(call: Call, parts: list[Part], rows: Sequence[Mapping[str, Any]]) -> list[Part]:
    """Ask the candidate; returns its part if it failed, which is none of `parts` any more."""
    part = parts[0]
    if part.arm is not Arm.candidate:
        return []
    try:
        part.answer = await call.answer(part.route, [rows[place] for place in part.places])
    except (Busy, CallerLeft):
        raise  # says nothing of the candidate
    except Exception as error:
        log.warning("rollout.candidate_failed", deployment_id=str(part.route.deployment_id), error=repr(error))
        part.error = error
        return [parts.pop(0)]
    return []


async def _baseline(call: Call, split: Split, parts: list[Part], rows: Sequence[Mapping[str, Any]]) -> None:
    """Ask the baseline for its rows, and for those the candidate has not answered."""
    answered = {place for part in parts if part.answer is not None for place in part.places}
    left = [place for place in range(len(rows)) if place not in answered]
    if not left:
        return
    units = next((one.units for one in parts if one.arm is Arm.baseline), None)
    part = Part(Arm.baseline, split.baseline, left, units=units)
    parts[:] = [*(one for one in parts if one.answer is not None), part]
    alone = len(left) == len(rows)
    try:
        part.answer = await call.answer(part.route, call.inputs if alone else [rows[place] for place in left])
    except Invalid as error:
        part.error = error if alone else _with_places(error, left)
        raise part.error from None
    except Exception as error:
        part.error = error
        raise


def _with_places(error: Invalid, places: Sequence[int]) -> Invalid:
    """The complaint about some of the rows, with their places in the request."""

    def placed(one: FieldError) -> FieldError:
        match one.loc:
            case ("inputs", int(row), *rest):
                return replace(one, loc=("inputs", places[row], *rest))
        return one

    errors = [placed(one) for one in error.errors]
    listed = error.message == Invalid.fields(error.errors).message
    return Invalid.fields(errors) if listed else Invalid(error.message, errors=errors)


async def _log(call: Call, split: Split, part: Part, rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    if isinstance(part.error, Busy | CallerLeft) or (part.answer is None and part.error is None):
        return []
    said = None if part.error is None else said_of(part.error)
    own = [rows[place] for place in part.places]
    of_arm: dict[str, Any] = {"arm": part.arm, "rollout_id": split.share.rollout_id, "places": part.places}
    if part.units is not None:
        of_arm["more"] = [{"unit": part.units.get(place)} for place in part.places]
    return await call.log(part.route, own, part.answer, said, **of_arm)


def merged(parts: Sequence[Part], count: int) -> Answer:
    """One answer of several: predictions say who gave them, warnings of a row its place in the request."""
    predictions: list[dict[str, Any]] = [{}] * count
    warnings: list[dict[str, Any]] = []
    latency = 0.0
    rows: list[Mapping[str, Any]] = [{}] * count
    for part in parts:
        assert part.answer is not None
        latency += part.answer.latency_ms
        for place, row, one in zip(part.places, part.answer.rows, part.answer.predictions, strict=True):
            rows[place] = row
            predictions[place] = {**one, "deployment_id": part.route.deployment_id, "model_id": part.route.model_id}
        warnings += _placed(part.answer.warnings, part.places)
    warnings.sort(key=lambda warning: warning.get("row", -1))
    return Answer(rows, predictions, list(gathered(warnings, count)), latency)  # type: ignore[arg-type]


def _placed(warnings: Sequence[Mapping[str, Any]], places: Sequence[int]) -> list[dict[str, Any]]:
    placed: list[dict[str, Any]] = []
    for warning in warnings:
        if "row" in warning:
            placed.append({**warning, "row": places[warning["row"]]})
        elif warning["column"]:
            placed += [{**warning, "row": place} for place in places]  # held for every row of this arm
        else:
            placed.append(dict(warning))
    return placed


def _told(part: Part) -> list[dict[str, Any]]:
    message = f"The candidate could not answer {len(part.places)} of the rows; the baseline did."
    return [{"column": "", "kind": "candidate_failed", "message": message}]

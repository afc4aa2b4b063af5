"""Warnings of an experiment, and columns `drop_leaks` leaves out, from a stored diagnosis (its JSON). Reads no table."""

from collections.abc import Mapping, Sequence
from typing import Any

DIAGNOSIS_PENDING = (
    "The table could not be looked at within seconds. Columns that give the target away and rows that depend on each other are "
    "looked for when the training begins, and what is found is said here."
)
"""The warning of an experiment that was created without a diagnosis, until its training has made one."""
METRICS = {"r2": "R²", "auc": "AUC", "accuracy": "accuracy"}


def high_leaks(found: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The leaks of severity high: those an experiment is warned of. `found`: what `diagnose` returned."""
    return [leak for leak in found["leaks"] if leak["severity"] == "high"]


def left_out(found: Mapping[str, Any]) -> list[str]:
    """Names of the columns `drop_leaks` leaves out, each once. `found`: what `diagnose` returned."""
    return list(dict.fromkeys(name for leak in high_leaks(found) for name in leak["leave_out"]))


def warning_texts(found: Mapping[str, Any], *, drop_leaks: bool) -> list[str]:
    """The warnings of an experiment, as sentences: what was not looked at, a target that counts the rows, leaks and what is done.

    `found`: what `diagnose` returned; `drop_leaks`: whether the leaking columns are left out.
    """
    order = [row_counter_text(found["target"], found["step"])] if found.get("step") is not None else []
    said = [str(leak["message"]) for leak in high_leaks(found)]
    if said:
        said.append(_consequence(found, left_out(found), drop_leaks=drop_leaks))
    return [*(f"The table was looked at in part only. {one}" for one in found["unfinished"]), *order, *said]


def not_diagnosed(why: str, *, drop_leaks: bool) -> str:
    """The warning of a training without a diagnosis, `why` being a sentence."""
    nothing = " drop_leaks leaves nothing out." if drop_leaks else ""
    return f"Columns that give the target away and rows that depend on each other were not looked for.{nothing} {why}"


def row_counter_text(target: str, step: float) -> str:
    """The warning of a target that changes by about `step` from each row of the file to the next."""
    return (
        f"The target {target!r} {'rises' if step > 0 else 'falls'} by about {abs(step):g} from each row to the next: it counts "
        "the rows. All that can be learned of it is the order of the file. Choose another target."
    )


def _consequence(found: Mapping[str, Any], names: Sequence[str], *, drop_leaks: bool) -> str:
    listed = ", ".join(repr(name) for name in names)
    scores = found.get("scores")
    measured = ""
    if scores is not None:
        metric = METRICS[scores["metric"]]
        measured = (
            f" A quick model reaches {metric} {scores['with']:.3f} with {_them(names)} and {scores['without']:.3f} without."
        )
    if drop_leaks:
        return f"Left out of the features, as drop_leaks asks: {listed}.{measured}"
    return (
        f"What gives the target away is used for training: {listed}.{measured} Send drop_leaks: true to leave {_them(names)} out."
    )


def _them(names: Sequence[str]) -> str:
    return "it" if len(names) == 1 else "them"

"""Warnings of an experiment, and columns `drop_leaks` leaves out, from a stored diagnosis (its JSON). Reads no table."""

from collections.abc import Mapping, Sequence
from typing import Any

from coreplex.errors.tree import Message

DIAGNOSIS_PENDING = Message(
    "diagnosis_pending",
    "The table could not be looked at within seconds. Columns that give the target away and rows that depend on each other are "
    "looked for when the training begins, and what is found is said here.",
)
"""The warning of an experiment that was created without a diagnosis, until its training has made one."""
METRICS = {"r2": "R²", "auc": "AUC", "accuracy": "accuracy"}


def high_leaks(found: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The leaks of severity high: those an experiment is warned of. `found`: what `diagnose` returned."""
    return [leak for leak in found["leaks"] if leak["severity"] == "high"]


def left_out(found: Mapping[str, Any]) -> list[str]:
    """Names of the columns `drop_leaks` leaves out, each once. `found`: what `diagnose` returned."""
    return list(dict.fromkeys(name for leak in high_leaks(found) for name in leak["leave_out"]))


def warnings(found: Mapping[str, Any], *, drop_leaks: bool) -> list[Message]:
    """The warnings of an experiment: what was not looked at, a target that counts the rows, leaks and what is done.

    `found`: what `diagnose` returned; `drop_leaks`: whether the leaking columns are left out.
    """
    order = [row_counter(found["target"], found["step"])] if found.get("step") is not None else []
    leaks = [Message.from_json(leak) for leak in high_leaks(found)]
    if leaks:
        leaks.append(_consequence(found, left_out(found), drop_leaks=drop_leaks))
    partly = [Message.from_json(one).at("The table was looked at in part only") for one in found["unfinished"]]
    return [*partly, *order, *leaks]


def not_diagnosed(why: Message, *, drop_leaks: bool) -> Message:
    """The warning of a training without a diagnosis."""
    said = Message("not_diagnosed", "Columns that give the target away and rows that depend on each other were not looked for.")
    return said.then(Message("no_leaks_dropped", "drop_leaks leaves nothing out.") if drop_leaks else None).then(why)


def row_counter(target: str, step: float) -> Message:
    """The warning of a target that changes by about `step` from each row of the file to the next."""
    return Message(
        "target_counts_rows",
        "The target {column!r} {way} by about {step:g} from each row to the next: it counts the rows. All that can be learned of "
        "it is the order of the file. Choose another target.",
        column=target,
        way="rises" if step > 0 else "falls",
        step=abs(step),
    )


def _consequence(found: Mapping[str, Any], names: Sequence[str], *, drop_leaks: bool) -> Message:
    if drop_leaks:
        said = Message("leaks_left_out", "Left out of the features, as drop_leaks asks: {columns!r}.", columns=names)
        return said.then(_measured(found))
    said = Message("leaks_used", "What gives the target away is used for training: {columns!r}.", columns=names)
    return said.then(_measured(found)).then(Message("drop_leaks", "Send drop_leaks: true to leave it out."))


def _measured(found: Mapping[str, Any]) -> Message | None:
    scores = found.get("scores")
    if scores is None:
        return None
    return Message(
        "leaks_measured",
        "A quick model reaches {metric} {score:.3f} with what gives the target away and {score_without:.3f} without.",
        metric=METRICS[scores["metric"]],
        score=scores["with"],
        score_without=scores["without"],
    )

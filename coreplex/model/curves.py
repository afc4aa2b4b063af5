"""What follows from the curves that are kept of a model or an evaluation: gains, and the confusion at another threshold.

A curve keeps at most two hundred cuts of all there are; at those it keeps, everything here is exact.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from coreplex.engines.scoring.bundle import Label, label_key
from coreplex.errors.tree import Invalid, Message

Document = Mapping[str, Any]
OTHERS = "(other)"


@dataclass(frozen=True, slots=True)
class Confusion:
    """`counts[i][j]`: rows of class i that are predicted as class j."""

    labels: Sequence[Label]
    counts: Sequence[Sequence[int]]
    threshold: float | None = None


def of_label(curves: Document, kind: str, label: Label | None) -> list[dict[str, Any]] | None:
    """The curves of a kind (`roc`, `pr`, `calibration`), one for each class shown, or that of one class; None where there is no
    such curve. Raises Invalid for a label that has none."""
    found: list[dict[str, Any]] | None = curves.get(kind)
    if found is None or label is None:
        return found
    return [_named(found, label)]


def gain(curves: Document, label: Label | None) -> list[dict[str, Any]] | None:
    """Cumulative gains: of each ROC curve, `share` of the rows that score highest, and the `found` share of the class."""
    kept = of_label(curves, "roc", label)
    return None if kept is None else [{"label": one["label"], **_gain(one, *_sizes(curves, one["label"]))} for one in kept]


def confusion(curves: Document, threshold: float | None, label: Label | None) -> Confusion | None:
    """How classes are predicted; one class beside all others with `label`, at another threshold than the model's with that.

    None for numbers. Raises Invalid for a threshold where it must be said for which class.
    """
    kept = curves.get("confusion_matrix")
    if kept is None:
        return None
    if threshold is None:
        return Confusion(kept["labels"], kept["matrix"]) if label is None else _one_against_rest(kept, label)
    if label is None and len(curves["labels"]) != 2:
        raise Invalid.field(Message("class_needed", "say of which class: a threshold parts one class from the others"), "label")
    return _at_threshold(curves, curves.get("roc") or [], threshold, curves["labels"][1] if label is None else label)


def _at_threshold(curves: Document, rocs: Sequence[dict[str, Any]], threshold: float, label: Label) -> Confusion:
    """At the lowest cut that is kept and not below the threshold; of nobody at all where the threshold is above all."""
    roc, labels = _named(rocs, label), curves["labels"]
    here, there = _sizes(curves, label)
    above = [place for place, cut in enumerate(roc["threshold"]) if cut >= threshold]
    place = above[-1] if above else 0
    hits, falls = round(roc["tpr"][place] * here), round(roc["fpr"][place] * there)
    rest = labels[0] if len(labels) == 2 else OTHERS
    return Confusion([rest, roc["label"]], [[there - falls, falls], [here - hits, hits]], float(roc["threshold"][place]))


def _one_against_rest(kept: Document, label: Label) -> Confusion:
    place = next((i for i, one in enumerate(kept["labels"]) if label_key(one) == label_key(label)), None)
    if place is None:
        raise _unknown(label, kept["labels"])
    table = kept["matrix"]
    if len(table) == 2:
        order = [1 - place, place]
        return Confusion([kept["labels"][i] for i in order], [[table[i][j] for j in order] for i in order])
    hits, here = table[place][place], sum(table[place])
    predicted, rows = sum(row[place] for row in table), sum(map(sum, table))
    falls = predicted - hits
    return Confusion([OTHERS, kept["labels"][place]], [[rows - here - falls, falls], [here - hits, hits]])


def _sizes(curves: Document, label: Label) -> tuple[int, int]:
    """Rows of the class, and of all others."""
    kept = curves["confusion_matrix"]
    sizes = {label_key(one): sum(row) for one, row in zip(kept["labels"], kept["matrix"], strict=True)}
    return sizes[label_key(label)], sum(sizes.values()) - sizes[label_key(label)]


def _gain(roc: Document, here: int, there: int) -> dict[str, Any]:
    share = [
        (tpr * here + fpr * there) / (here + there)  # exact up to the six digits that a curve keeps
        for tpr, fpr in zip(roc["tpr"], roc["fpr"], strict=True)
    ]
    lift = [found / part if part else None for found, part in zip(roc["tpr"], share, strict=True)]
    return {"share": share, "found": roc["tpr"], "lift": lift}


def _named(found: Sequence[dict[str, Any]], label: Label) -> dict[str, Any]:
    one = next((one for one in found if label_key(one["label"]) == label_key(label)), None)
    if one is None:
        raise _unknown(label, [one["label"] for one in found])
    return one


def _unknown(label: Label, known: Sequence[Label]) -> Invalid:
    return Invalid.field(
        Message(
            "no_such_curve",
            "there is no such curve of the class '{label}'; there is: {known}",
            label=label_key(label),
            known=[label_key(one) for one in known] or "none",
        ),
        "label",
    )

"""The options of one predict call: read, and held against those that there are."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import islice
from typing import Any

from pydantic import ValidationError

from coreplex.errors.nearest import hint
from coreplex.errors.rules import wrong_values
from coreplex.errors.tree import FieldError, Invalid, Message
from coreplex.serving.inputs import Explain, PredictOptions

_MOST_NAMED = 20
_LONGEST = 100


def parse_options(options: Any) -> PredictOptions:
    """The known options of a call. Raises Invalid naming the wrong one, and under `strict` the unknown ones."""
    try:
        wanted = PredictOptions.model_validate(options)
    except ValidationError as error:
        raise Invalid.fields([_placed(one) for one in wrong_values(error)[:_MOST_NAMED]]) from None
    if wanted.strict and (unknown := list(_unknown(options))):
        raise Invalid.fields([_refused(*one) for one in unknown])
    return wanted


def unknown_options(options: Mapping[str, Any]) -> list[dict[str, Any]]:
    """A warning for each key that is no option, naming the nearest one."""
    return [{"column": "", "kind": "unknown_option", "message": _ignored(*one)} for one in _unknown(options)]


def idle_options(wanted: PredictOptions, task: str) -> list[dict[str, Any]]:
    """A warning for an option that changes nothing for a model of the task (binary, multiclass, regression).

    Raises Invalid for it under `strict`.
    """
    if wanted.threshold is None or task == "binary":
        return []
    told = Message("threshold_not_binary", "threshold is for models of two classes; this one is {task}.", task=task)
    if wanted.strict:
        raise Invalid.field(told, "options", "threshold")
    return [{"column": "", "kind": "idle_option", "message": told}]


def _placed(error: FieldError) -> FieldError:
    """A place as the caller wrote it: of a value that may be of several kinds Pydantic adds which it tried."""
    depth = 2 if error.loc[:1] == ("explain",) else 1
    return replace(error, loc=("options", *error.loc[:depth]))


def _unknown(options: Mapping[str, Any]) -> Iterator[tuple[Sequence[str], str, Sequence[str]]]:
    """Where a key stands that is no option, its name, and the options there; of the first twenty."""
    groups: list[tuple[Sequence[str], Any, Sequence[str]]] = [
        (("options",), options, list(PredictOptions.model_fields)),
        (("options", "explain"), options.get("explain"), list(Explain.model_fields)),
    ]
    every = ((place, key[:_LONGEST], known) for place, said, known in groups for key in said or () if key not in known)
    return islice(every, _MOST_NAMED)


def _ignored(place: Sequence[str], name: str, known: Sequence[str]) -> Message:
    told = Message(
        "predict_option_ignored", "{place} has no option '{option}', which is ignored.", place=".".join(place), option=name
    )
    return told.then(hint(name, known))


def _refused(place: Sequence[str], name: str, known: Sequence[str]) -> FieldError:
    return FieldError((*place, name), Message("no_such_option", "there is no such option.").then(hint(name, known)))

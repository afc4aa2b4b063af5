"""The issues of a version, each with an identifier that leads back to it."""

from typing import Any, NamedTuple
from uuid import UUID, uuid5

from coreplex.dataset.issue_kinds import OF_TARGET

MARK = 12
"""Digits that tell the issues of one version apart."""


class Judging(NamedTuple):
    """What a version is judged for: a target, as one kind of problem, or nothing."""

    version_id: UUID
    target: str | None = None
    problem_type: str | None = None


class Issue(NamedTuple):
    """An issue of a version, as it is stored."""

    id: str
    stored: dict[str, Any]


def issues(judging: Judging, found: list[dict[str, Any]]) -> list[Issue]:
    """Each with an id that it keeps: of the version, its kind and column, its place among several such, and what is judged."""
    seen: dict[str, int] = {}
    made = []
    for one in found:
        of = judging if one["kind"] in OF_TARGET else Judging(judging.version_id)
        name = f"{one['kind']}/{one['column'] or ''}/{of.target or ''}"
        seen[name] = seen.get(name, 0) + 1
        made.append(Issue(_spelled(of, uuid5(of.version_id, f"{name}/{seen[name]}").hex[:MARK]), one))
    return made


def _spelled(of: Judging, mark: str) -> str:
    judged = f":{of.problem_type or ''}:{of.target}" if of.target is not None else ""
    return f"{of.version_id}:{mark}{judged}"


def judged_for(identity: str) -> Judging | None:
    """What the version of an issue with this identifier was judged for; None for what is no such identifier."""
    version, _, rest = identity.partition(":")
    _mark, *judged = rest.split(":", 2)
    try:
        match judged:
            case []:
                return Judging(UUID(version))
            case [problem, target]:
                return Judging(UUID(version), target, problem or None)
    except ValueError:
        pass
    return None

"""Who asks, as parameters of a statement: so that one statement serves all callers, each with ids of their own."""

from dataclasses import replace
from typing import Any

from sqlalchemy import Uuid

from coreplex.platform.permissions import Grant
from coreplex.platform.prepared import parameter

CALLER, PROJECT = "caller", "caller_project"


def anybody(grant: Grant) -> Grant:
    """A grant of nobody in particular, with parameters where this one has ids."""
    nobody: Any = {
        "user_id": parameter(CALLER, Uuid()),
        "project_id": parameter(PROJECT, Uuid()) if is_bound(grant) else None,
    }
    return replace(grant, principal=replace(grant.principal, **nobody))


def ids_of(grant: Grant) -> dict[str, Any]:
    """The values of those parameters for a caller."""
    return {CALLER: grant.principal.user_id, PROJECT: grant.principal.project_id}


def is_bound(grant: Grant) -> bool:
    """Whether the caller's credential is bound to a project: statements of those that are differ from all others."""
    return grant.principal.project_id is not None

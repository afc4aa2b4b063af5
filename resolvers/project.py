"""What is loaded of projects and memberships."""

from typing import Any

from sqlalchemy import Select, Uuid, any_, select
from sqlmodel import col

from coreplex.membership.table import Membership, Project
from coreplex.platform.anybody import CALLER
from coreplex.platform.prepared import parameter
from coreplex.project import service
from resolvers.loading import Read, Rows

projects = Rows(Project)
project_counts = Read(service.counts, lambda rows: {key: dict(zip(service.COUNTED, row, strict=True)) for key, *row in rows})


def _own(ids: Any) -> Select[*tuple[Any, ...]]:
    query = select(col(Membership.project_id), col(Membership.role))
    return query.where(col(Membership.user_id) == parameter(CALLER, Uuid()), col(Membership.project_id) == any_(ids))


own_roles = Read(_own)
"""The caller's role by project id."""

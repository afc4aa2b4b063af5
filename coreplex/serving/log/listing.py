"""The list of the inference log's entries, paged for its readers."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

import orjson
from sqlalchemy import ColumnElement, Select, and_, func, select
from sqlalchemy.orm import defer
from sqlmodel import col

from coreplex.deployment.table import Deployment
from coreplex.membership.access import visible_rows
from coreplex.platform.database import ReadSession
from coreplex.platform.document import read_together
from coreplex.platform.paging import Listing, Order
from coreplex.platform.permissions import Grant
from coreplex.serving.table import InferenceLog

LIGHT = tuple(defer(getattr(InferenceLog, name), raiseload=True) for name in ("inputs", "output"))
"""Load rows of the log without their documents."""
Key = tuple[UUID, datetime]
"""Of a row: its id, and its time, which says in which partition it is."""


class Documents(NamedTuple):
    inputs: dict[str, Any]
    output: dict[str, Any] | None


async def documents(session: ReadSession, keys: Sequence[Key], read: Callable[[int], None]) -> Mapping[Key, Documents]:
    """The documents of rows that are there. `read(bytes)` is told how large some of them are as JSON, and may raise to end it."""
    found: dict[Key, Documents] = {}
    for chunk in read_together(await _stored_sizes(session, keys)):
        query = select(*_KEY, col(InferenceLog.inputs), col(InferenceLog.output)).where(_among(chunk))
        for identity, moment, inputs, output in await session.execute(query):
            read(len(orjson.dumps(inputs)) + len(orjson.dumps(output)))
            found[identity, moment] = Documents(inputs, output)
    return found


_KEY = (col(InferenceLog.id), col(InferenceLog.created_at))


def _among(keys: Sequence[Key]) -> ColumnElement[bool]:
    identities, moments = zip(*keys, strict=True)
    return and_(_KEY[0].in_(identities), _KEY[1].in_(set(moments)))


async def _stored_sizes(session: ReadSession, keys: Sequence[Key]) -> Sequence[tuple[Key, int]]:
    columns = (col(InferenceLog.inputs), col(InferenceLog.output))
    size: Any = sum(func.coalesce(func.pg_column_size(column), 0) for column in columns)
    rows = await session.execute(select(*_KEY, size).where(_among(keys)))
    return [((identity, moment), stored) for identity, moment, stored in rows]


def visible(grant: Grant) -> Select[InferenceLog]:
    """Rows of the log of deployments the caller sees, without their documents; those of one that is gone wait to be removed."""
    there = select(col(Deployment.id)).where(col(Deployment.id) == col(InferenceLog.deployment_id))
    return visible_rows(grant, InferenceLog, *LIGHT).where(there.exists())


LOGS = Listing(
    query=select(InferenceLog),
    identity=col(InferenceLog.id),
    order=Order({"created_at": col(InferenceLog.created_at)}),
    parent=col(InferenceLog.deployment_id),
    options=LIGHT,
)
"""The inference logs of deployments the caller may see, newest first, without their documents."""

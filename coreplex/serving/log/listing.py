"""The list of the inference log's entries, paged for its readers."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple
from uuid import UUID

import orjson
from sqlalchemy import ColumnElement, Select, Text, and_, cast, func, select
from sqlmodel import col

from coreplex.deployment.table import Arm, Deployment
from coreplex.membership.access import visible_rows
from coreplex.platform.columns import sentence
from coreplex.platform.database import ReadSession
from coreplex.platform.document import read_together
from coreplex.platform.filtering import FloatRange, flag, moments, numbers, one_of, reference, words
from coreplex.platform.page import Order, Search
from coreplex.platform.paging import Listing
from coreplex.platform.permissions import Grant
from coreplex.platform.prepared import behind
from coreplex.serving.table import InferenceLog

DOCUMENTS = ("inputs", "output")
LIGHT = behind(InferenceLog, DOCUMENTS)
"""Load rows of the log without their documents."""
Key = tuple[UUID, int]
"""Of a row: its id, and its week, which says in which partition it is."""


class Documents(NamedTuple):
    inputs: dict[str, Any]
    output: dict[str, Any] | None


async def documents(session: ReadSession, keys: Sequence[Key], read: Callable[[int], None]) -> Mapping[Key, Documents]:
    """The documents of rows that are there. `read(bytes)` is told how large some of them are as JSON, and may raise to end it."""
    found: dict[Key, Documents] = {}
    for chunk in read_together(await stored_sizes(session, keys)):
        query = select(*_KEY, col(InferenceLog.inputs), col(InferenceLog.output)).where(among(chunk))
        for identity, week, inputs, output in await session.execute(query):
            read(len(orjson.dumps(inputs)) + len(orjson.dumps(output)))
            found[identity, week] = Documents(inputs, output)
    return found


_KEY = (col(InferenceLog.id), col(InferenceLog.retention_week))


def among(keys: Sequence[Key]) -> ColumnElement[bool]:
    """Whether a row is one of these."""
    identities, weeks = zip(*keys, strict=True)
    return and_(_KEY[0].in_(identities), _KEY[1].in_(set(weeks)))


async def stored_sizes(session: ReadSession, keys: Sequence[Key]) -> Sequence[tuple[Key, int]]:
    """How many bytes the documents of rows have on the disk."""
    columns = (col(InferenceLog.inputs), col(InferenceLog.output))
    size: Any = sum(func.coalesce(func.pg_column_size(column), 0) for column in columns)
    rows = await session.execute(select(*_KEY, size).where(among(keys)))
    return [((identity, week), stored) for identity, week, stored in rows]


def visible(grant: Grant) -> Select[InferenceLog]:
    """Rows of the log of deployments the caller sees, without their documents; those of one that is gone wait to be removed."""
    there = select(col(Deployment.id)).where(col(Deployment.id) == col(InferenceLog.deployment_id))
    return visible_rows(grant, InferenceLog, *LIGHT).where(there.exists())


NEWEST = 10_000
"""Entries of a deployment that are read where no index finds what is wanted: a log's length is bounded by nothing."""
LOOKED_AT = f"looked for in the newest {NEWEST:,} entries that times, requests, sides and failures leave"
LOGS = Listing(
    noun="InferenceLogEntry",
    query=select(InferenceLog),
    identity=col(InferenceLog.id),
    order=Order({"created_at": col(InferenceLog.created_at)}),
    search=Search(
        f"the rows and the answers as JSON, the error and the request id; {LOOKED_AT}",
        (
            cast(col(InferenceLog.inputs), Text),
            cast(col(InferenceLog.output), Text),
            sentence(col(InferenceLog.error)),
            col(InferenceLog.request_id),
        ),
    ),
    filters={
        "created_at": moments(col(InferenceLog.created_at), "By when they were asked.", quick=True),
        "model_id": reference(col(InferenceLog.model_id), "Model", f"Only those this model answered; {LOOKED_AT}."),
        "request_id": words(col(InferenceLog.request_id), "Only those of these requests.", quick=True),
        "arm": one_of(col(InferenceLog.arm), Arm, "Only those of these sides of a split.", quick=True),
        "failed": flag(
            col(InferenceLog.error).is_not(None), "True: only those that ended in an error; false: only the others.", quick=True
        ),
        "latency_ms": numbers(col(InferenceLog.latency_ms), f"By milliseconds the scoring took; {LOOKED_AT}.", FloatRange),
    },
    parent=col(InferenceLog.deployment_id),
    without=DOCUMENTS,
    newest=NEWEST,
)
"""The inference logs of deployments the caller may see, newest first, without their documents."""

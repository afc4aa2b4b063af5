"""The diagnosis of a target, made in a child with limits and kept beside the version; and the quality of a version for a target.

Shared by quality and by experiments. Never inside a transaction: a child takes seconds. At most `AT_ONCE` children for the web
run side by side on a host, one for each caller; who asks for what is being made waits for it instead of making it twice.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from uuid import UUID
from weakref import WeakValueDictionary

import structlog
from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert
from sqlmodel import col

from coreplex.artifact.table import Artifact
from coreplex.dataset.table import DatasetVersion
from coreplex.dataset.table import Diagnosis as Row
from coreplex.dataset.versions import Documents
from coreplex.engines.automl.data import feasibility
from coreplex.engines.diagnosis.request import WALL_PER_CPU, DiagnosisRequest
from coreplex.engines.tabular.findings import Finding
from coreplex.engines.tabular.profile import target_suggestion
from coreplex.engines.tabular.quality import assessment
from coreplex.engines.tabular.schema import TableSchema
from coreplex.errors.nearest import listed, nearest
from coreplex.errors.tree import Busy, DomainError, Invalid, Message
from coreplex.platform.clock import now
from coreplex.platform.database import Database, ReadSession, WriteSession
from coreplex.platform.deferred_import import child_task
from coreplex.platform.document import storable
from coreplex.platform.fair_places import FairPlaces, HostPlaces, Limits, turn
from coreplex.platform.identifier import new_id
from coreplex.platform.isolation import Control, run_child
from coreplex.platform.services import Part, Services
from coreplex.platform.settings import Settings

log = structlog.get_logger()

Found = dict[str, Any]
DIAGNOSE = child_task("coreplex.engines.diagnosis.diagnose:run")
AT_ONCE = 2
PLACES = Limits(total=AT_ONCE, each=1, waiting_each=40, retry_after=10)
SECONDS = 8.0
"""What the child may think, in processor time; what it did not get to, it names."""


@dataclass(frozen=True)
class Pace:
    """Limits of a child's time: seconds by the clock for one of processor time, and for the child in all."""

    patience: float
    time_limit_secs: float


WAITED_FOR = Pace(WALL_PER_CPU, 30.0)
IN_TRAINING = Pace(6.0, 90.0)
"""Nobody holds a connection open, and a training on rows nobody has looked at may mislead."""
SOON_SECS = 15.0
"""How long the creation of an experiment waits, for a turn too: the published client gives up after 30 s."""
QUALITY_SECS = 25.0
"""How long the quality for a target waits: less than the published client does."""
MEMORY_BYTES = 2 << 30


async def known(session: ReadSession, version_id: UUID, question: DiagnosisRequest) -> Found | None:
    """The kept answer to the question, if there is one."""
    query = select(col(Row.found)).where(col(Row.dataset_version_id) == version_id, col(Row.fingerprint) == question.fingerprint)
    return await session.scalar(query)


async def keep(session: WriteSession, version_id: UUID, question: DiagnosisRequest, found: Found) -> None:
    """Keep an answer, unless a busy machine cut it short; one that somebody else has kept meanwhile is the same."""
    if found["rushed"]:
        return
    values = {
        "id": new_id(),
        "dataset_version_id": version_id,
        "fingerprint": question.fingerprint,
        "found": found,
        "created_at": now(),
    }
    await session.execute(insert(Row).values(values).on_conflict_do_nothing())


async def make(
    settings: Settings,
    table: Path,
    schema: Mapping[str, Any],
    question: DiagnosisRequest,
    pace: Pace,
    control: Control | None = None,
) -> Found:
    """Ask a child. Raises the errors of `run_child`."""
    found = await run_child(
        DIAGNOSE,
        {
            "table": str(table),
            "schema": schema,
            "target": question.target,
            "problem_type": question.problem_type,
            "roles": asdict(question.roles),
            "seed": 0,
            "seconds": SECONDS,
            "patience": pace.patience,
        },
        time_limit_secs=pace.time_limit_secs,
        memory_bytes=MEMORY_BYTES,
        env_threads=settings.training_threads,
        control=control,
    )
    return storable(found)


class Diagnoses(Part):
    """Queues the children that diagnose targets, and lets callers who ask the same wait for one."""

    def __init__(self, services: Services) -> None:
        super().__init__(services)
        self._fair = FairPlaces(PLACES, "the diagnosis of a target")
        self._host = HostPlaces(services.settings.data_dir / "places", "diagnoses", AT_ONCE)
        self._making: WeakValueDictionary[tuple[UUID, str], asyncio.Lock] = WeakValueDictionary()

    async def ask(self, version_id: UUID, question: DiagnosisRequest, wait_secs: float) -> Found:
        """The answer about a version, made now where it is not kept.

        Raises TimeoutError when it takes longer than `wait_secs`, waiting for a turn included (the child is ended then), and the
        errors of `run_child`.
        """
        async with asyncio.timeout(wait_secs):
            lock = self._making.setdefault((version_id, question.fingerprint), asyncio.Lock())
            async with lock:
                async with self.services.database.read() as session:
                    found = await known(session, version_id, question)
                if found is None:
                    async with turn(self._fair, self._host):
                        found = await self._make(version_id, question)
                return found

    async def soon(self, version_id: UUID, question: DiagnosisRequest) -> Found | None:
        """The answer if it can be had within `SOON_SECS`; None when it takes longer or cannot be made, which the log says."""
        try:
            return await self.ask(version_id, question, SOON_SECS)
        except (TimeoutError, DomainError) as error:
            log.warning("diagnosis_missed", version_id=str(version_id), error=repr(error), detail=getattr(error, "detail", ""))
            return None

    async def _make(self, version_id: UUID, question: DiagnosisRequest) -> Found:
        database: Database = self.services.database
        async with database.read() as session:
            version = await session.get_one(DatasetVersion, version_id)
            artifact = await session.get_one(Artifact, version.artifact_id)
        table = await self.services.storage.path(artifact.storage_key)
        found = await make(self.services.settings, table, version.table_schema, question, WAITED_FOR)
        async with database.transaction() as session:
            await keep(session, version_id, question, found)
        return found


@dataclass(frozen=True, slots=True)
class Judged:
    """A version's quality: `quality` as stored with it; `diagnosis` of the target, where one was named and can be learned."""

    quality: dict[str, Any]
    diagnosis: Found | None = None


async def quality_for_target(
    services: Services, version_id: UUID, documents: Documents, target: str, problem_type: str | None
) -> Judged:
    """The quality that speaks of one target. A target that cannot be learned is an issue that says why.

    Raises Invalid for an unknown column, Busy when the diagnosis cannot be made now.
    """
    schema = TableSchema.from_json(documents.table_schema)
    if schema.get(target) is None:
        raise _unknown(target, schema.names)
    profile = documents.profile
    facts = next(column for column in profile["columns"] if column["name"] == target)
    identifier = [
        Finding("target_is_identifier", "high", said, column=target)
        for said in feasibility.target_warnings(profile, schema, target)
    ]
    question = DiagnosisRequest(target, problem_type or target_suggestion.problem_type(facts, profile["row_count"]))
    try:
        feasibility.check_creation(profile, schema, target, question.problem_type)
    except Invalid as error:
        issue = Finding("unusable_target", "high", error.message, column=target)
        return Judged(assessment.for_target(documents.quality, profile, target, [*identifier, issue]))
    found = await _ask(services, version_id, question)
    issues = [*identifier, *(Finding(**issue) for issue in found["issues"])]
    return Judged(assessment.for_target(documents.quality, profile, target, issues), found)


async def _ask(services: Services, version_id: UUID, question: DiagnosisRequest) -> Found:
    try:
        return await Diagnoses.of(services).ask(version_id, question, QUALITY_SECS)
    except (TimeoutError, DomainError) as error:
        log.warning("diagnosis_failed", version_id=str(version_id), error=repr(error), detail=getattr(error, "detail", ""))
        raise Busy(
            Message("diagnosis_busy", "The target could not be looked at now: the server is busy. Try again shortly."),
            retry_after=5,
        ) from None


def _unknown(target: str, names: list[str]) -> Invalid:
    close = nearest(target, names)
    if close:
        message = Message(
            "target_misspelt",
            "There is no column {target!r} in this version; did you mean {nearest!r}?",
            target=target,
            nearest=close,
        )
    else:
        message = Message(
            "no_such_target",
            "There is no column {target!r} in this version; it has {columns}.",
            target=target,
            columns=listed(names, 20),
        )
    return Invalid.field(message, "target")

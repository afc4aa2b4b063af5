"""The rows of what happened: audit (timeline), state, log or progress; and of what every process must hear of."""

from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, Column, Identity, Index, text
from sqlmodel import Field, SQLModel

from coreplex.platform.bound import Bound, Rule
from coreplex.platform.columns import document, key, moment, reference, word


class EventKind(StrEnum):
    audit = "audit"
    state = "state"
    log = "log"
    progress = "progress"


TOLD = frozenset({"model.trained"})
"""Types of events that are told as what they are, beside the kinds."""
EXPERIMENT_IS_THERE = "EXISTS (SELECT 1 FROM experiments x WHERE x.id = t.entity_id)"
LATER_PROGRESS = (
    "EXISTS (SELECT 1 FROM events l WHERE l.entity_type = t.entity_type AND l.entity_id = t.entity_id "
    "AND l.seq > t.seq AND l.kind = 'progress')"
)


class Event(SQLModel, table=True):
    """`seq` grows in commit order within one (entity_type, entity_id): appending takes a lock per entity."""

    __tablename__ = "events"
    __bound__ = Bound(
        "`EVENT_DAYS`; those of an experiment stay as long as it does, save figures of progress that later ones have replaced, "
        "which go after an hour.",
        (
            Rule("kind = 'progress' AND created_at < :horizon AND " + LATER_PROGRESS, timedelta(hours=1)),
            Rule(
                "(entity_type <> 'experiment' OR kind IN ('audit', 'progress')) AND created_at < :horizon "
                f"AND NOT (entity_type = 'experiment' AND {EXPERIMENT_IS_THERE})",
                "event_days",
            ),
        ),
    )
    __table_args__ = (
        Index("ix_events_entity", "entity_type", "entity_id", "seq"),
        Index("ix_events_project_kind", "project_id", "kind", "seq"),
        Index(
            "ix_events_aged", "created_at", postgresql_where=text("entity_type <> 'experiment' OR kind IN ('audit', 'progress')")
        ),
        Index("ix_events_actor", "actor_id", postgresql_where=text("actor_id IS NOT NULL")),
    )

    seq: int | None = Field(default=None, sa_column=Column(BigInteger, Identity(always=True), primary_key=True))
    project_id: UUID | None = reference("projects.id", default=None, index=False)
    entity_type: str = Field(max_length=32)
    entity_id: UUID
    kind: EventKind = word(EventKind)
    type: str = Field(max_length=64)
    level: str = Field(default="info", max_length=16)
    message: str = ""
    actor_id: UUID | None = reference("users.id", default=None, on_delete="SET NULL", index=False)
    data: dict[str, Any] = document()
    created_at: datetime = moment()

    @property
    def told_as(self) -> str:
        """What kind of event it is for who follows it: its kind, or the type of a state that has figures of its own."""
        return self.type if self.type in TOLD else str(self.kind)


class Announcement(SQLModel, table=True):
    """A change no process may go on without, which listeners look for (`coreplex.platform.listener`). It is kept
    longer than they look back."""

    __tablename__ = "announcements"
    __bound__ = Bound("Ten minutes.", (Rule("created_at < :horizon", timedelta(minutes=10)),))

    id: UUID = key()
    created_at: datetime = moment(index=True)

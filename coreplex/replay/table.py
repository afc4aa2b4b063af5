"""The row of a replay: what was asked of which candidate, and what it came to."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Index
from sqlmodel import Field

from coreplex.deployment.table import Arm
from coreplex.engines.replay.verdict import ReplayVerdict
from coreplex.errors.tree import Message
from coreplex.job.lifecycle import FollowsJob
from coreplex.platform.bound import OF_PROJECT, Bound
from coreplex.platform.columns import document, key, maybe_document, maybe_word, moment, notices, reference

REPLAY = "replay"
"""The kind of job that answers the rows (`coreplex.replay.jobs`)."""


class Replay(FollowsJob, table=True):
    """Rows that a deployment has answered, answered again by a candidate. Who deletes the candidate leaves what it came to."""

    __tablename__ = "replays"
    __bound__ = Bound(OF_PROJECT)
    __table_args__ = (Index("ix_replays_created_at", "created_at"),)

    id: UUID = key()
    project_id: UUID = reference("projects.id")
    deployment_id: UUID = reference("deployments.id")
    model_id: UUID | None = reference("models.id", default=None, on_delete="SET NULL")
    """The candidate."""
    model_name: str = Field(max_length=200)
    since: datetime = moment()
    until: datetime = moment()
    arm: Arm | None = maybe_word(Arm)
    """Only rows that this side of a split has answered."""
    threshold: float | None = None
    is_strict: bool = False
    columns: list[str] | None = maybe_document()
    """Of the slices; None: the most important ones."""
    confidence_level: float = 0.95
    wanted_margin: float | None = None
    """As it was asked for; None: the usual one."""
    max_row_count: int
    look: int | None = None
    """Which start of looking at this candidate it is, from 1: what is promised holds for all of them together."""
    is_sampled: bool = False
    logged_row_count: int | None = None
    """Rows that were there to be replayed."""
    row_count: int | None = None
    failed_row_count: int | None = None
    outcome_count: int | None = None
    unit_count: int | None = None
    agreement: float | None = None
    verdict: ReplayVerdict | None = maybe_word(ReplayVerdict)
    margin: float | None = None
    gain: float | None = None
    """Mean loss of the answers that were given minus the candidate's, in the unit of the loss; with its interval."""
    gain_lower: float | None = None
    gain_upper: float | None = None
    served_loss: float | None = None
    candidate_loss: float | None = None
    report: dict[str, Any] = document()
    """What `coreplex.engines.replay.task` found besides."""
    warnings: list[Message] = notices()
    created_by: UUID | None = reference("users.id", default=None, on_delete="SET NULL")

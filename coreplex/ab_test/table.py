"""The rows of A/B tests; how their rows are split, and what is counted of each side, is in their rollout."""

from datetime import datetime
from enum import StrEnum
from uuid import UUID

from sqlmodel import Field, SQLModel

from coreplex.errors.tree import Message
from coreplex.platform.bound import OF_PROJECT, Bound
from coreplex.platform.columns import key, maybe_moment, maybe_notice, maybe_word, moment, reference, word


class AbTestStatus(StrEnum):
    draft = "draft"
    running = "running"
    completed = "completed"
    stopped = "stopped"
    invalid = "invalid"


class AbTestMethod(StrEnum):
    frequentist = "frequentist"
    bayesian = "bayesian"


class AbTestMetric(StrEnum):
    """What the sides are compared by: the mean over the rows whose outcome is known."""

    accuracy = "accuracy"
    mae = "mae"
    outcome = "outcome"


class AbTestGoal(StrEnum):
    maximize = "maximize"
    minimize = "minimize"


class Variant(StrEnum):
    a = "a"
    b = "b"


class AbTest(SQLModel, table=True):
    """A baseline and a candidate between which rows are split until one is better, or nobody can tell."""

    model_config = {"arbitrary_types_allowed": True}  # messages

    __tablename__ = "ab_tests"
    __bound__ = Bound(OF_PROJECT)

    id: UUID = key()
    project_id: UUID = reference("projects.id")
    name: str = Field(max_length=200)
    deployment_a_id: UUID = reference("deployments.id")
    """The baseline."""
    deployment_b_id: UUID = reference("deployments.id")
    """The candidate."""
    rollout_id: UUID | None = reference("rollouts.id", default=None, on_delete="SET NULL")
    """None of a draft."""
    traffic_split: int
    """Percent of the keys that are the candidate's."""
    metric: AbTestMetric = word(AbTestMetric)
    goal: AbTestGoal = word(AbTestGoal)
    method: AbTestMethod = word(AbTestMethod)
    confidence_level: float
    max_expected_loss: float | None = None
    min_samples: int
    max_samples: int | None = None
    min_duration_hours: float
    max_duration_hours: float
    status: AbTestStatus = word(AbTestStatus, AbTestStatus.draft)
    winner: Variant | None = maybe_word(Variant)
    reason: Message | None = maybe_notice()
    """Why it ended."""
    created_by: UUID | None = reference("users.id", default=None, on_delete="SET NULL")
    created_at: datetime = moment(index=True)
    started_at: datetime | None = maybe_moment()
    finished_at: datetime | None = maybe_moment()

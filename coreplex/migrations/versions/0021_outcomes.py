"""Outcomes of logged rows, and what they say of the two sides of a canary."""

from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0021"
down_revision = "0020"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("inference_logs", sa.Column("outcome", JSONB(none_as_null=True), nullable=True))
    op.add_column("inference_logs", sa.Column("outcome_at", sa.DateTime(timezone=True), nullable=True))
    op.add_column("rollouts", sa.Column("loss", sa.String(32), nullable=True))
    op.execute(
        "UPDATE rollouts SET loss = CASE m.problem_type WHEN 'regression' THEN 'absolute_error' ELSE 'misclassification' END "
        "FROM deployments d JOIN models m ON m.id = d.model_id WHERE d.id = rollouts.baseline_id"
    )
    op.alter_column("rollouts", "loss", nullable=False)
    for name in ("baseline_outcomes", "candidate_outcomes"):
        _add("rollouts", name, sa.BigInteger())
    sums = ("baseline_loss", "baseline_loss_squares", "candidate_loss", "candidate_loss_squares")
    for name in ("max_loss_increase", *sums):
        _add("rollouts", name, sa.Float())


def _add(table: str, name: str, kind: sa.types.TypeEngine[Any]) -> None:
    op.add_column(table, sa.Column(name, kind, server_default="0", nullable=False))
    op.alter_column(table, name, server_default=None)


def downgrade() -> None:
    for name in ("outcome", "outcome_at"):
        op.drop_column("inference_logs", name)
    sides = [f"{side}_{name}" for side in ("baseline", "candidate") for name in ("outcomes", "loss", "loss_squares")]
    for name in ("loss", "max_loss_increase", *sides):
        op.drop_column("rollouts", name)

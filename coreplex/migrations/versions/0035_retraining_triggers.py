"""Retrain policies by metrics, and with outcomes."""

import sqlalchemy as sa
from alembic import op

revision = "0035"
down_revision = "0034"
branch_labels = None
depends_on = None

POLICIES, RUNS = "retrain_policies", "retrain_runs"


def upgrade() -> None:
    op.add_column(POLICIES, sa.Column("metric", sa.String(32), nullable=True))
    op.add_column(POLICIES, sa.Column("metric_threshold", sa.Float(), nullable=True))
    op.add_column(POLICIES, sa.Column("metric_window_secs", sa.Integer(), nullable=False, server_default="86400"))
    op.add_column(POLICIES, sa.Column("next_look_at", sa.DateTime(timezone=True), nullable=True))
    op.add_column(POLICIES, sa.Column("bad_model_id", sa.Uuid(), nullable=True))
    op.add_column(POLICIES, sa.Column("include_outcomes", sa.Boolean(), nullable=False, server_default=sa.false()))
    for name in ("metric_window_secs", "include_outcomes"):
        op.alter_column(POLICIES, name, server_default=None)
    op.create_index("ix_retrain_policies_next_look_at", POLICIES, ["next_look_at"])
    for name in ("outcome_rows", "known_outcomes"):
        op.add_column(RUNS, sa.Column(name, sa.BigInteger(), nullable=True))


def downgrade() -> None:
    for name in ("known_outcomes", "outcome_rows"):
        op.drop_column(RUNS, name)
    for name in ("include_outcomes", "bad_model_id", "next_look_at", "metric_window_secs", "metric_threshold", "metric"):
        op.drop_column(POLICIES, name)

"""Challengers of retrainings answer what was asked before."""

import sqlalchemy as sa
from alembic import op

revision = "0038"
down_revision = "0037"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("retrain_policies", sa.Column("replay_window_secs", sa.Integer(), nullable=True))
    op.add_column("retrain_runs", sa.Column("replay_id", sa.Uuid(), nullable=True))
    op.create_foreign_key(
        "fk_retrain_runs_replay_id_replays", "retrain_runs", "replays", ["replay_id"], ["id"], ondelete="SET NULL"
    )
    op.create_index("ix_retrain_runs_replay_id", "retrain_runs", ["replay_id"])


def downgrade() -> None:
    op.drop_column("retrain_runs", "replay_id")
    op.drop_column("retrain_policies", "replay_window_secs")

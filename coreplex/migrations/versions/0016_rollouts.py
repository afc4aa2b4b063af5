"""Rollouts: candidates beside production deployments, and which arm answered a row of the inference log."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None

COUNTS = (
    *("baseline_requests", "baseline_errors", "baseline_rows", "candidate_requests", "candidate_errors", "candidate_rows"),
    *("skipped_rows", "compared_rows", "agreed_rows"),
)
ACTIVE = "stage = 'production' AND status = 'active'"


def upgrade() -> None:
    op.add_column("deployments", sa.Column("is_candidate", sa.Boolean(), server_default=sa.false(), nullable=False))
    op.alter_column("deployments", "is_candidate", server_default=None)
    op.add_column("deployments", sa.Column("successor_id", sa.Uuid(), nullable=True))
    op.create_foreign_key(
        "fk_deployments_successor_id_deployments",
        *("deployments", "deployments"),
        *(["successor_id"], ["id"]),
        ondelete="SET NULL",
    )
    op.create_index("ix_deployments_successor_id", "deployments", ["successor_id"])
    _one_active(f"{ACTIVE} AND NOT is_candidate")
    op.create_table(
        "rollouts",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("project_id", sa.Uuid(), nullable=False),
        sa.Column("baseline_id", sa.Uuid(), nullable=False),
        sa.Column("candidate_id", sa.Uuid(), nullable=False),
        sa.Column("kind", sa.String(32), nullable=False),
        sa.Column("status", sa.String(32), nullable=False),
        sa.Column("percent", sa.Integer(), nullable=False),
        sa.Column("steps", JSONB(), nullable=False),
        sa.Column("min_row_count", sa.Integer(), nullable=False),
        sa.Column("min_secs", sa.Integer(), nullable=False),
        sa.Column("step", sa.Integer(), nullable=False),
        sa.Column("step_began_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("rows_before_step", sa.BigInteger(), nullable=False),
        sa.Column("auto_advance", sa.Boolean(), nullable=False),
        sa.Column("max_error_increase", sa.Float(), nullable=False),
        sa.Column("confidence", sa.Float(), nullable=False),
        *(sa.Column(name, sa.BigInteger(), nullable=False) for name in COUNTS),
        sa.Column("difference_sum", sa.Float(), nullable=False),
        sa.Column("reason", JSONB(none_as_null=True), nullable=True),
        sa.Column("created_by", sa.Uuid(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["project_id"], ["projects.id"], name="fk_rollouts_project_id_projects", ondelete="CASCADE"),
        sa.ForeignKeyConstraint(
            ["baseline_id"], ["deployments.id"], name="fk_rollouts_baseline_id_deployments", ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["candidate_id"], ["deployments.id"], name="fk_rollouts_candidate_id_deployments", ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(["created_by"], ["users.id"], name="fk_rollouts_created_by_users", ondelete="SET NULL"),
        sa.PrimaryKeyConstraint("id", name="pk_rollouts"),
    )
    for name in ("project_id", "baseline_id", "candidate_id", "created_by", "created_at"):
        op.create_index(f"ix_rollouts_{name}", "rollouts", [name])
    running = sa.text("status = 'running'")
    op.create_index("uq_rollouts_running", "rollouts", ["baseline_id", "kind"], unique=True, postgresql_where=running)
    op.create_index("uq_rollouts_running_candidate", "rollouts", ["candidate_id"], unique=True, postgresql_where=running)
    op.add_column("inference_logs", sa.Column("arm", sa.String(32), nullable=True))


def downgrade() -> None:
    """Candidates of production end: only one may serve there."""
    op.execute("UPDATE deployments SET status = 'inactive' WHERE is_candidate AND stage = 'production'")
    op.drop_column("inference_logs", "arm")
    op.drop_table("rollouts")
    _one_active(ACTIVE)
    op.drop_column("deployments", "successor_id")
    op.drop_column("deployments", "is_candidate")


def _one_active(condition: str) -> None:
    op.drop_index("uq_deployments_active_production", table_name="deployments")
    op.create_index(
        "uq_deployments_active_production",
        *("deployments", ["project_id"]),
        unique=True,
        postgresql_where=sa.text(condition),
    )

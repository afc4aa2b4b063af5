"""Replays of logged rows, and what a gate asks of them."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0033"
down_revision = "0032"
branch_labels = None
depends_on = None

NUMBERS = ("wanted_margin", "agreement", "margin", "gain", "gain_lower", "gain_upper", "served_loss", "candidate_loss", "threshold")
COUNTS = ("look", "logged_row_count", "row_count", "failed_row_count", "outcome_count", "unit_count")


def upgrade() -> None:
    op.create_table(
        "replays",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("project_id", sa.Uuid(), nullable=False),
        sa.Column("deployment_id", sa.Uuid(), nullable=False),
        sa.Column("model_id", sa.Uuid(), nullable=True),
        sa.Column("job_id", sa.Uuid(), nullable=True),
        sa.Column("created_by", sa.Uuid(), nullable=True),
        sa.Column("model_name", sa.String(200), nullable=False),
        sa.Column("since", sa.DateTime(timezone=True), nullable=False),
        sa.Column("until", sa.DateTime(timezone=True), nullable=False),
        sa.Column("arm", sa.String(32), nullable=True),
        sa.Column("is_strict", sa.Boolean(), nullable=False),
        sa.Column("columns", JSONB(), nullable=True),
        sa.Column("confidence_level", sa.Float(), nullable=False),
        sa.Column("max_row_count", sa.Integer(), nullable=False),
        sa.Column("is_sampled", sa.Boolean(), nullable=False),
        *(sa.Column(name, sa.Integer(), nullable=True) for name in COUNTS),
        *(sa.Column(name, sa.Float(), nullable=True) for name in NUMBERS),
        sa.Column("verdict", sa.String(32), nullable=True),
        sa.Column("report", JSONB(), nullable=False),
        sa.Column("warnings", JSONB(), nullable=False),
        sa.Column("status", sa.String(32), nullable=False),
        sa.Column("error", JSONB(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_replays"),
        sa.ForeignKeyConstraint(["project_id"], ["projects.id"], name="fk_replays_project_id_projects", ondelete="CASCADE"),
        sa.ForeignKeyConstraint(
            ["deployment_id"], ["deployments.id"], name="fk_replays_deployment_id_deployments", ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(["model_id"], ["models.id"], name="fk_replays_model_id_models", ondelete="SET NULL"),
        sa.ForeignKeyConstraint(["job_id"], ["jobs.id"], name="fk_replays_job_id_jobs", ondelete="SET NULL"),
        sa.ForeignKeyConstraint(["created_by"], ["users.id"], name="fk_replays_created_by_users", ondelete="SET NULL"),
    )
    for name in ("project_id", "deployment_id", "model_id", "job_id", "created_by", "created_at"):
        op.create_index(f"ix_replays_{name}", "replays", [name])
    op.add_column("promotion_gates", sa.Column("replay_verdict", sa.String(32), nullable=True))
    op.add_column("promotion_gates", sa.Column("replay_margin", sa.Float(), nullable=True))
    op.add_column("promotion_gates", sa.Column("replay_max_age_days", sa.Integer(), nullable=False, server_default="7"))
    op.alter_column("promotion_gates", "replay_max_age_days", server_default=None)


def downgrade() -> None:
    op.execute("DELETE FROM promotion_gates WHERE metric IS NULL AND max_drift IS NULL")
    for name in ("replay_verdict", "replay_margin", "replay_max_age_days"):
        op.drop_column("promotion_gates", name)
    op.drop_table("replays")

"""Policies by which deployments are retrained, and retrainings."""

from datetime import datetime

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0032"
down_revision = "0031"
branch_labels = None
depends_on = None


def _reference(table: str, column: str, target: str, on_delete: str = "SET NULL") -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint([column], [f"{target}.id"], name=f"fk_{table}_{column}_{target}", ondelete=on_delete)


def _moments(*names: str, nullable: bool = True) -> list[sa.Column[datetime]]:
    return [sa.Column(name, sa.DateTime(timezone=True), nullable=nullable) for name in names]


def _policies() -> None:
    table = "retrain_policies"
    op.create_table(
        table,
        sa.Column("deployment_id", sa.Uuid(), nullable=False),
        sa.Column("project_id", sa.Uuid(), nullable=False),
        sa.Column("owner_id", sa.Uuid(), nullable=True),
        *(sa.Column(name, sa.Boolean(), nullable=False) for name in ("is_enabled", "on_drift", "is_mailed")),
        sa.Column("disabled_reason", JSONB(), nullable=True),
        sa.Column("schedule", sa.String(100), nullable=True),
        sa.Column("time_zone", sa.String(64), nullable=False),
        sa.Column("cooldown_hours", sa.Integer(), nullable=False),
        *(sa.Column(name, sa.Integer(), nullable=True) for name in ("max_runtime_secs", "max_models")),
        sa.Column("min_new_rows", sa.BigInteger(), nullable=False),
        *_moments("next_run_at", "drift_episode_at", "quiet_until"),
        *_moments("created_at", "updated_at", nullable=False),
        sa.PrimaryKeyConstraint("deployment_id", name="pk_retrain_policies"),
        _reference(table, "deployment_id", "deployments", "CASCADE"),
        _reference(table, "project_id", "projects", "CASCADE"),
        _reference(table, "owner_id", "users"),
    )
    for name in ("project_id", "owner_id", "next_run_at"):
        op.create_index(f"ix_{table}_{name}", table, [name])


def _runs() -> None:
    table = "retrain_runs"
    links = {
        "job_id": "jobs",
        "experiment_id": "experiments",
        "dataset_version_id": "dataset_versions",
        "previous_model_id": "models",
        "model_id": "models",
        "created_by": "users",
    }
    op.create_table(
        table,
        *(sa.Column(name, sa.Uuid(), nullable=False) for name in ("id", "project_id", "deployment_id")),
        *(sa.Column(name, sa.Uuid(), nullable=True) for name in links),
        *(sa.Column(name, sa.String(32), nullable=False) for name in ("trigger", "status")),
        sa.Column("reason", JSONB(), nullable=True),
        sa.Column("is_forced", sa.Boolean(), nullable=False),
        sa.Column("new_rows", sa.BigInteger(), nullable=True),
        sa.Column("metric", sa.String(32), nullable=True),
        *(sa.Column(name, sa.Float(), nullable=True) for name in ("previous_value", "value")),
        *_moments("created_at", nullable=False),
        *_moments("started_at", "finished_at"),
        sa.PrimaryKeyConstraint("id", name="pk_retrain_runs"),
        _reference(table, "project_id", "projects", "CASCADE"),
        _reference(table, "deployment_id", "deployments", "CASCADE"),
        *(_reference(table, name, target) for name, target in links.items()),
    )
    for name in ("project_id", "deployment_id", *links, "created_at", "finished_at"):
        op.create_index(f"ix_{table}_{name}", table, [name])
    active = sa.text("status IN ('pending', 'running')")
    op.create_index("uq_retrain_runs_active", table, ["deployment_id"], unique=True, postgresql_where=active)
    op.create_index("ix_retrain_runs_running", table, ["id"], postgresql_where=sa.text("status = 'running'"))


def upgrade() -> None:
    _policies()
    _runs()


def downgrade() -> None:
    for table in ("retrain_runs", "retrain_policies"):
        op.drop_table(table)

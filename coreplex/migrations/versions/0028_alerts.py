"""Alerts, and what became of them."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0028"
down_revision = "0027"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "alerts",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("project_id", sa.Uuid(), nullable=False),
        sa.Column("deployment_id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.String(200), nullable=False),
        sa.Column("kind", sa.String(32), nullable=False),
        sa.Column("threshold", sa.Float(), nullable=True),
        sa.Column("percentile", sa.Float(), nullable=True),
        *(sa.Column(name, sa.Integer(), nullable=False) for name in ("window_secs", "breaches_needed", "looks_counted")),
        sa.Column("min_requests", sa.Integer(), nullable=False),
        sa.Column("is_mailed", sa.Boolean(), nullable=False),
        sa.Column("is_enabled", sa.Boolean(), nullable=False),
        sa.Column("muted_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("state", sa.String(32), nullable=False),
        sa.Column("reason", JSONB(), nullable=True),
        sa.Column("waiting_cost", JSONB(), nullable=True),
        sa.Column("value", sa.Float(), nullable=True),
        sa.Column("looks", JSONB(), nullable=False),
        sa.Column("fine_since", sa.DateTime(timezone=True), nullable=True),
        sa.Column("next_look_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("changed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("told_state", sa.String(32), nullable=False),
        sa.Column("told_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("told_before_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("created_by", sa.Uuid(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_alerts"),
        sa.ForeignKeyConstraint(["project_id"], ["projects.id"], name="fk_alerts_project_id_projects", ondelete="CASCADE"),
        sa.ForeignKeyConstraint(
            ["deployment_id"], ["deployments.id"], name="fk_alerts_deployment_id_deployments", ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(["created_by"], ["users.id"], name="fk_alerts_created_by_users", ondelete="SET NULL"),
    )
    for name in ("project_id", "deployment_id", "created_by", "created_at", "next_look_at"):
        op.create_index(f"ix_alerts_{name}", "alerts", [name])
    op.create_table(
        "alert_events",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("project_id", sa.Uuid(), nullable=False),
        sa.Column("alert_id", sa.Uuid(), nullable=False),
        sa.Column("state", sa.String(32), nullable=False),
        sa.Column("value", sa.Float(), nullable=True),
        sa.Column("reason", JSONB(), nullable=True),
        sa.Column("waiting_cost", JSONB(), nullable=True),
        sa.Column("actor_id", sa.Uuid(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_alert_events"),
        sa.ForeignKeyConstraint(["project_id"], ["projects.id"], name="fk_alert_events_project_id_projects", ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["alert_id"], ["alerts.id"], name="fk_alert_events_alert_id_alerts", ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["actor_id"], ["users.id"], name="fk_alert_events_actor_id_users", ondelete="SET NULL"),
    )
    for name in ("project_id", "alert_id", "actor_id", "created_at"):
        op.create_index(f"ix_alert_events_{name}", "alert_events", [name])


def downgrade() -> None:
    for table in ("alert_events", "alerts"):
        op.drop_table(table)

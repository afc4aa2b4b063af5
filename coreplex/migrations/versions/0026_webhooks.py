"""Webhooks, and what is sent to them."""

from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0026"
down_revision = "0025"
branch_labels = None
depends_on = None


def _moment(name: str, nullable: bool = True) -> sa.Column[Any]:
    return sa.Column(name, sa.DateTime(timezone=True), nullable=nullable)


def _to(table: str, column: str, other: str, on_delete: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint([column], [f"{other}.id"], name=f"fk_{table}_{column}_{other}", ondelete=on_delete)


def upgrade() -> None:
    op.create_table(
        "webhooks",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("project_id", sa.Uuid(), nullable=False),
        sa.Column("url", sa.String(2000), nullable=False),
        sa.Column("description", sa.String(), nullable=False),
        sa.Column("event_types", JSONB(), nullable=False),
        sa.Column("is_enabled", sa.Boolean(), nullable=False),
        sa.Column("disabled_reason", JSONB(none_as_null=True), nullable=True),
        sa.Column("salt", sa.LargeBinary(), nullable=False),
        sa.Column("previous_salt", sa.LargeBinary(), nullable=True),
        *(_moment(name) for name in ("rotated_at", "failing_since", "rests_until")),
        sa.Column("sender_id", sa.Uuid(), nullable=True),
        sa.Column("created_by", sa.Uuid(), nullable=True),
        *(_moment(name, nullable=False) for name in ("created_at", "updated_at")),
        _to("webhooks", "project_id", "projects", "CASCADE"),
        _to("webhooks", "created_by", "users", "SET NULL"),
        sa.PrimaryKeyConstraint("id", name="pk_webhooks"),
    )
    for name in ("project_id", "created_by", "created_at"):
        op.create_index(f"ix_webhooks_{name}", "webhooks", [name])
    op.create_table(
        "webhook_deliveries",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("project_id", sa.Uuid(), nullable=False),
        sa.Column("webhook_id", sa.Uuid(), nullable=False),
        sa.Column("event_id", sa.Uuid(), nullable=False),
        sa.Column("type", sa.String(64), nullable=False),
        sa.Column("subject", sa.String(200), nullable=False),
        sa.Column("data", JSONB(), nullable=False),
        sa.Column("status", sa.String(32), nullable=False),
        sa.Column("error", JSONB(none_as_null=True), nullable=True),
        sa.Column("attempts", JSONB(), nullable=False),
        sa.Column("attempt_count", sa.Integer(), nullable=False),
        sa.Column("tries", sa.Integer(), nullable=False),
        _moment("next_attempt_at"),
        _moment("created_at", nullable=False),
        _moment("finished_at"),
        _to("webhook_deliveries", "project_id", "projects", "CASCADE"),
        _to("webhook_deliveries", "webhook_id", "webhooks", "CASCADE"),
        sa.PrimaryKeyConstraint("id", name="pk_webhook_deliveries"),
    )
    for name in ("project_id", "webhook_id", "created_at"):
        op.create_index(f"ix_webhook_deliveries_{name}", "webhook_deliveries", [name])
    op.create_index(
        "ix_webhook_deliveries_due",
        *("webhook_deliveries", ["webhook_id", "next_attempt_at"]),
        postgresql_where=sa.text("status = 'waiting'"),
    )


def downgrade() -> None:
    op.drop_table("webhook_deliveries")
    op.drop_table("webhooks")

"""Explanations of why metrics changed."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0037"
down_revision = "0036"
branch_labels = None
depends_on = None

MOMENTS = ("since", "until", "baseline_since", "baseline_until")
REFERENCES = {
    "project_id": ("projects", "CASCADE"),
    "deployment_id": ("deployments", "CASCADE"),
    "model_id": ("models", "SET NULL"),
    "job_id": ("jobs", "SET NULL"),
    "created_by": ("users", "SET NULL"),
}


def upgrade() -> None:
    op.create_table(
        "metric_changes",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("project_id", sa.Uuid(), nullable=False),
        sa.Column("deployment_id", sa.Uuid(), nullable=False),
        *(sa.Column(name, sa.Uuid(), nullable=True) for name in ("model_id", "job_id", "created_by")),
        sa.Column("metric", sa.String(32), nullable=False),
        sa.Column("wanted_basis", sa.String(32), nullable=False),
        *(sa.Column(name, sa.DateTime(timezone=True), nullable=False) for name in MOMENTS),
        sa.Column("used_basis", sa.String(32), nullable=True),
        *(sa.Column(name, sa.Float(), nullable=True) for name in ("before", "after", "std_error")),
        *(sa.Column(name, sa.BigInteger(), nullable=True) for name in ("after_row_count", "before_row_count")),
        sa.Column("parts", JSONB(), nullable=False),
        sa.Column("warnings", JSONB(), nullable=False),
        sa.Column("status", sa.String(32), nullable=False),
        sa.Column("error", JSONB(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_metric_changes"),
        *(
            sa.ForeignKeyConstraint([name], [f"{table}.id"], name=f"fk_metric_changes_{name}_{table}", ondelete=ondelete)
            for name, (table, ondelete) in REFERENCES.items()
        ),
    )
    for name in (*REFERENCES, "created_at"):
        op.create_index(f"ix_metric_changes_{name}", "metric_changes", [name])


def downgrade() -> None:
    op.drop_table("metric_changes")

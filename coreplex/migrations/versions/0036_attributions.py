"""By how much each column moves the answers: in training, and by day."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0036"
down_revision = "0035"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "attribution_baselines",
        sa.Column("model_id", sa.Uuid(), nullable=False),
        sa.Column("row_count", sa.Integer(), nullable=False),
        sa.Column("features", JSONB(), nullable=False),
        sa.PrimaryKeyConstraint("model_id", name="pk_attribution_baselines"),
        sa.ForeignKeyConstraint(["model_id"], ["models.id"], name="fk_attribution_baselines_model_id_models", ondelete="CASCADE"),
    )
    op.create_table(
        "attribution_days",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("deployment_id", sa.Uuid(), nullable=False),
        sa.Column("model_id", sa.Uuid(), nullable=False),
        sa.Column("began_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("answered_count", sa.BigInteger(), nullable=False),
        sa.Column("row_count", sa.Integer(), nullable=False),
        sa.Column("features", JSONB(), nullable=False),
        sa.Column("made_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_attribution_days"),
        sa.ForeignKeyConstraint(
            ["deployment_id"], ["deployments.id"], name="fk_attribution_days_deployment_id_deployments", ondelete="CASCADE"
        ),
        sa.UniqueConstraint("deployment_id", "model_id", "began_at", name="uq_attribution_days_day"),
    )
    for name in ("deployment_id", "began_at"):
        op.create_index(f"ix_attribution_days_{name}", "attribution_days", [name])


def downgrade() -> None:
    op.drop_table("attribution_days")
    op.drop_table("attribution_baselines")

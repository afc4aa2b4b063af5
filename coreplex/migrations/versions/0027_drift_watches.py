"""Evidence of drift, after every look."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0027"
down_revision = "0026"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "drift_watches",
        sa.Column("deployment_id", sa.Uuid(), nullable=False),
        sa.Column("model_id", sa.Uuid(), nullable=False),
        sa.Column("capital", sa.LargeBinary(), nullable=False),
        sa.Column("rows", sa.BigInteger(), nullable=False),
        sa.Column("evidence", sa.Float(), nullable=True),
        sa.Column("features", JSONB(), nullable=False),
        sa.Column("began_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("looked_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("drifting_since", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("deployment_id", name="pk_drift_watches"),
        sa.ForeignKeyConstraint(
            ["deployment_id"], ["deployments.id"], name="fk_drift_watches_deployment_id_deployments", ondelete="CASCADE"
        ),
    )


def downgrade() -> None:
    op.drop_table("drift_watches")

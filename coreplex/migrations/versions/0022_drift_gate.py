"""A promotion gate may ask that production is asked what the newcomer has learned from."""

import sqlalchemy as sa
from alembic import op

revision = "0022"
down_revision = "0021"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.alter_column("promotion_gates", "metric", nullable=True)
    op.add_column("promotion_gates", sa.Column("max_drift", sa.Float(), nullable=True))


def downgrade() -> None:
    op.execute("DELETE FROM promotion_gates WHERE metric IS NULL")
    op.drop_column("promotion_gates", "max_drift")
    op.alter_column("promotion_gates", "metric", nullable=False)

"""Alerts on a metric of the model."""

import sqlalchemy as sa
from alembic import op

revision = "0034"
down_revision = "0033"
branch_labels = None
depends_on = None


def upgrade() -> None:
    for name in ("metric", "basis"):
        op.add_column("alerts", sa.Column(name, sa.String(32), nullable=True))


def downgrade() -> None:
    op.execute("DELETE FROM alerts WHERE kind = 'metric'")
    for name in ("basis", "metric"):
        op.drop_column("alerts", name)

"""What the metric of a retrain policy may stand on."""

import sqlalchemy as sa
from alembic import op

revision = "0039"
down_revision = "0038"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("retrain_policies", sa.Column("metric_basis", sa.String(32), nullable=False, server_default="either"))
    op.alter_column("retrain_policies", "metric_basis", server_default=None)


def downgrade() -> None:
    op.drop_column("retrain_policies", "metric_basis")

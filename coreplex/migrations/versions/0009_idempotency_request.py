"""The first request under an idempotency key: its predictions are in the inference log by its id."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("idempotency_keys", sa.Column("request_id", sa.String(36), nullable=True))


def downgrade() -> None:
    op.drop_column("idempotency_keys", "request_id")

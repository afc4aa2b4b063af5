"""What was done under an idempotency key, committed with it."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("DELETE FROM idempotency_keys WHERE status IS NULL")  # of requests that died: nothing tells what they did
    empty = sa.text("'{}'::jsonb")
    kind = postgresql.JSONB(astext_type=sa.Text())
    op.add_column("idempotency_keys", sa.Column("outcomes", kind, nullable=False, server_default=empty))
    op.alter_column("idempotency_keys", "outcomes", server_default=None)


def downgrade() -> None:
    op.execute("DELETE FROM idempotency_keys WHERE status IS NULL")
    op.drop_column("idempotency_keys", "outcomes")

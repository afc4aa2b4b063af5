"""Indexes of the inference log for requests, failures and sides of a split, however long it is."""

import sqlalchemy as sa
from alembic import op

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None

LOG = "inference_logs"


def upgrade() -> None:
    """Entries wait in the spool meanwhile. Weeks that are over get no entries, so nobody would look at what the index holds."""
    op.create_index("ix_inference_logs_request", LOG, ["deployment_id", sa.text("lower(request_id)")])
    failed, split = sa.text("error IS NOT NULL"), sa.text("arm IS NOT NULL")
    op.create_index("ix_inference_logs_failed", LOG, ["deployment_id", "created_at", "id"], postgresql_where=failed)
    op.create_index("ix_inference_logs_arm", LOG, ["deployment_id", "created_at", "id", "arm"], postgresql_where=split)
    op.execute("ANALYZE inference_logs")


def downgrade() -> None:
    for name in ("arm", "failed", "request"):
        op.drop_index(f"ix_inference_logs_{name}", table_name=LOG)

"""How a version's file was read (the sheet of a workbook), so that it can be read again the same way."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    column = sa.Column("read_options", postgresql.JSONB(astext_type=sa.Text()), server_default=sa.text("'{}'"), nullable=False)
    op.add_column("dataset_versions", column)
    op.alter_column("dataset_versions", "read_options", server_default=None)


def downgrade() -> None:
    op.drop_column("dataset_versions", "read_options")

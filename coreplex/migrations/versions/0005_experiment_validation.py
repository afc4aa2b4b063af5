"""How the rows of an experiment are split."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("experiments", sa.Column("validation", postgresql.JSONB(astext_type=sa.Text(), none_as_null=True), nullable=True))


def downgrade() -> None:
    op.drop_column("experiments", "validation")

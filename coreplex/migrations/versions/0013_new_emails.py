"""A link in a mail may be for another e-mail than the account has."""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("one_time_tokens", sa.Column("email", sa.String(320), nullable=True))


def downgrade() -> None:
    op.execute("DELETE FROM one_time_tokens WHERE purpose = 'change_email'")
    op.drop_column("one_time_tokens", "email")

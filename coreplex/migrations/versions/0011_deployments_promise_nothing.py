"""What deployments were told of privacy and traffic, and never did, is taken back: what is stored is what is so.

Whoever asked for it sees that it is not there, and asks again when it is. There is no way back to a promise that was not kept.
"""

from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(
        "UPDATE deployments SET strategy = 'direct', traffic_percent = 100, privacy_policy_id = NULL,"
        " privacy_anonymize_logs = false, privacy_anonymize_response = false, privacy_column_map = '{}', privacy_threshold = NULL"
        " WHERE strategy <> 'direct' OR traffic_percent <> 100 OR privacy_policy_id IS NOT NULL OR privacy_anonymize_logs"
        " OR privacy_anonymize_response OR privacy_column_map <> '{}' OR privacy_threshold IS NOT NULL"
    )


def downgrade() -> None:
    """Nothing: the tables are the same."""

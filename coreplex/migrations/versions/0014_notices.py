"""Warnings and errors have machine words and parameters, so that they can be said in another language.

Those that are there keep their sentence; of what it was made is not known any more. The column is made anew where a changed type
would write every row again: the inference log has many, and few with an error.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None

FAILED = ("jobs", "experiments", "engine_runs", "inference_logs")
REASON = """CASE
    WHEN said = 'cancelled' THEN 'job_cancelled'
    WHEN starts_with(said, 'An unexpected error;') THEN 'unexpected_error'
    WHEN starts_with(said, 'The table could not be looked at within seconds.') THEN 'diagnosis_pending'
    ELSE 'as_it_was_said' END"""
"""The words of what is always said in the same way."""
NOTICE = f"jsonb_build_object('message', said, 'parameters', '{{}}'::jsonb, 'reason', {REASON})"


def upgrade() -> None:
    op.execute(
        f"UPDATE experiments SET warnings = (SELECT jsonb_agg({NOTICE} ORDER BY place)"
        " FROM jsonb_array_elements_text(warnings) WITH ORDINALITY AS one (said, place)) WHERE warnings <> '[]'"
    )
    for table in FAILED:
        op.alter_column(table, "error", new_column_name="said")
        op.add_column(table, sa.Column("error", JSONB(), nullable=True))
        op.execute(f"UPDATE {table} SET error = {NOTICE} WHERE said IS NOT NULL")
        op.drop_column(table, "said")


def downgrade() -> None:
    op.execute(
        "UPDATE experiments SET warnings = (SELECT jsonb_agg(said -> 'message' ORDER BY place)"
        " FROM jsonb_array_elements(warnings) WITH ORDINALITY AS one (said, place)) WHERE warnings <> '[]'"
    )
    for table in FAILED:
        op.alter_column(table, "error", new_column_name="said")
        op.add_column(table, sa.Column("error", sa.String(), nullable=True))
        op.execute(f"UPDATE {table} SET error = said ->> 'message' WHERE said IS NOT NULL")
        op.drop_column(table, "said")

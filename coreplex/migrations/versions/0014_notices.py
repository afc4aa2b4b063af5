"""Warnings have machine words and parameters, so that they can be said in another language.

Those that are there keep their sentence; of what it was made is not known any more.
"""

from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None

PENDING = "The table could not be looked at within seconds."
"""How the one warning begins that is taken back by its word."""


def upgrade() -> None:
    op.execute(
        "UPDATE experiments SET warnings = (SELECT jsonb_agg(jsonb_build_object('message', said, 'parameters', '{}'::jsonb,"
        f" 'reason', CASE WHEN starts_with(said, '{PENDING}') THEN 'diagnosis_pending' ELSE 'as_it_was_said' END) ORDER BY place)"
        " FROM jsonb_array_elements_text(warnings) WITH ORDINALITY AS one (said, place)) WHERE warnings <> '[]'"
    )


def downgrade() -> None:
    op.execute(
        "UPDATE experiments SET warnings = (SELECT jsonb_agg(said -> 'message' ORDER BY place)"
        " FROM jsonb_array_elements(warnings) WITH ORDINALITY AS one (said, place)) WHERE warnings <> '[]'"
    )

"""Sums of losses are exact, so that a value taken back leaves nothing behind."""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0040"
down_revision = "0039"
branch_labels = None
depends_on = None

OF_SIDES = ("loss", "loss_squares", "unit_outcome_squares", "unit_products", "unit_loss_squares")
SUMS = {
    "rollouts": [f"{side}_{name}" for side in ("baseline", "candidate") for name in OF_SIDES],
    "rollout_units": ["loss"],
}


def upgrade() -> None:
    # By way of text: a cast of its own keeps 15 digits of a float.
    _become(sa.Numeric(), "::text::numeric")


def downgrade() -> None:
    _become(sa.Float(), "::float8")


def _become(kind: sa.types.TypeEngine[Any], cast: str) -> None:
    for table, names in SUMS.items():
        changes = (f"ALTER COLUMN {name} TYPE {kind.compile(op.get_bind().dialect)} USING {name}{cast}" for name in names)
        op.execute(f"ALTER TABLE {table} {', '.join(changes)}")

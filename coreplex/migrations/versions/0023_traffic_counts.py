"""What training saw of each column, and counts of what deployments are asked and answer."""

from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0023"
down_revision = "0022"
branch_labels = None
depends_on = None


def upgrade() -> None:
    for table, key, of in (("feature_baselines", "experiment_id", "experiments"), ("answer_baselines", "model_id", "models")):
        op.create_table(
            table,
            sa.Column(key, sa.Uuid(), nullable=False),
            sa.Column("features", JSONB(), nullable=False),
            sa.PrimaryKeyConstraint(key, name=f"pk_{table}"),
            sa.ForeignKeyConstraint([key], [f"{of}.id"], name=f"fk_{table}_{key}_{of}", ondelete="CASCADE"),
        )
    _counts("traffic_counts", ("requests", "errors", "rows"), ("latency_bins", "latency_counts"))
    op.create_index("ix_traffic_counts_deployment", "traffic_counts", ["deployment_id", "began_at"])
    new: sa.Column[Any] = sa.Column("is_new", sa.Boolean(), nullable=False)
    _counts("bin_counts", ("rows",), ("bins", "counts"), sa.Column("model_id", sa.Uuid(), nullable=False), new)
    op.create_index("ix_bin_counts_deployment", "bin_counts", ["deployment_id", "model_id", "began_at"])
    op.create_index("ix_bin_counts_new", "bin_counts", ["id"], postgresql_where=sa.text("is_new"))


def _counts(table: str, sums: tuple[str, ...], sparse: tuple[str, str], *more: sa.Column[Any]) -> None:
    op.create_table(
        table,
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("deployment_id", sa.Uuid(), nullable=False),
        sa.Column("arm", sa.String(32), nullable=True),
        sa.Column("began_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("span_secs", sa.Integer(), nullable=False),
        *more,
        *(sa.Column(name, sa.BigInteger(), nullable=False) for name in sums),
        sa.Column(sparse[0], sa.ARRAY(sa.Integer()), nullable=False),
        sa.Column(sparse[1], sa.ARRAY(sa.BigInteger()), nullable=False),
        sa.PrimaryKeyConstraint("id", name=f"pk_{table}"),
    )
    op.create_index(f"ix_{table}_span", table, ["span_secs", "began_at"])


def downgrade() -> None:
    for table in ("bin_counts", "traffic_counts", "answer_baselines", "feature_baselines"):
        op.drop_table(table)

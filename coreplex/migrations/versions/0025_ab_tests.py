"""A/B tests: two deployments whose rows are split until one is better."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0025"
down_revision = "0023"
branch_labels = None
depends_on = None

SIDES = ("baseline", "candidate")
UNITS = [f"{side}_{name}" for side in SIDES for name in ("units", "judged_units")]
SUMS = [f"{side}_{name}" for side in SIDES for name in ("unit_outcome_squares", "unit_products", "unit_loss_squares")]


def upgrade() -> None:
    op.create_table("ab_tests", *_columns(), sa.PrimaryKeyConstraint("id", name="pk_ab_tests"), *_references())
    for name in ("project_id", "deployment_a_id", "deployment_b_id", "rollout_id", "created_by", "created_at"):
        op.create_index(f"ix_ab_tests_{name}", "ab_tests", [name])
    op.create_table(
        "rollout_units",
        sa.Column("rollout_id", sa.Uuid(), nullable=False),
        sa.Column("unit", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("outcomes", sa.Integer(), nullable=False),
        sa.Column("loss", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("rollout_id", "unit", name="pk_rollout_units"),
        sa.ForeignKeyConstraint(
            ["rollout_id"], ["rollouts.id"], name="fk_rollout_units_rollout_id_rollouts", ondelete="CASCADE"
        ),
    )
    for name in (*UNITS, *SUMS):
        kind = sa.BigInteger() if name in UNITS else sa.Float()
        op.add_column("rollouts", sa.Column(name, kind, server_default="0", nullable=False))
        op.alter_column("rollouts", name, server_default=None)
    op.add_column("inference_logs", sa.Column("unit", sa.BigInteger(), nullable=True))
    op.add_column("inference_logs", sa.Column("worth", JSONB(none_as_null=True), nullable=True))


def _columns() -> list[sa.Column[object]]:
    return [
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("project_id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.String(200), nullable=False),
        sa.Column("deployment_a_id", sa.Uuid(), nullable=False),
        sa.Column("deployment_b_id", sa.Uuid(), nullable=False),
        sa.Column("rollout_id", sa.Uuid(), nullable=True),
        sa.Column("traffic_split", sa.Integer(), nullable=False),
        sa.Column("metric", sa.String(32), nullable=False),
        sa.Column("goal", sa.String(32), nullable=False),
        sa.Column("method", sa.String(32), nullable=False),
        sa.Column("confidence_level", sa.Float(), nullable=False),
        sa.Column("max_expected_loss", sa.Float(), nullable=True),
        sa.Column("min_samples", sa.Integer(), nullable=False),
        sa.Column("max_samples", sa.Integer(), nullable=True),
        sa.Column("min_duration_hours", sa.Float(), nullable=False),
        sa.Column("max_duration_hours", sa.Float(), nullable=False),
        sa.Column("status", sa.String(32), nullable=False),
        sa.Column("winner", sa.String(32), nullable=True),
        sa.Column("reason", JSONB(none_as_null=True), nullable=True),
        sa.Column("created_by", sa.Uuid(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
    ]


def _references() -> list[sa.ForeignKeyConstraint]:
    return [
        sa.ForeignKeyConstraint([name], [f"{table}.id"], name=f"fk_ab_tests_{name}_{table}", ondelete=on_delete)
        for name, table, on_delete in (
            ("project_id", "projects", "CASCADE"),
            ("deployment_a_id", "deployments", "CASCADE"),
            ("deployment_b_id", "deployments", "CASCADE"),
            ("rollout_id", "rollouts", "SET NULL"),
            ("created_by", "users", "SET NULL"),
        )
    ]


def downgrade() -> None:
    op.execute("DELETE FROM rollouts WHERE kind = 'ab_test'")
    for name in ("worth", "unit"):
        op.drop_column("inference_logs", name)
    for name in (*UNITS, *SUMS):
        op.drop_column("rollouts", name)
    op.drop_table("rollout_units")
    op.drop_table("ab_tests")

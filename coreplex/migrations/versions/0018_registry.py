"""A registry: versions, parents and notes of models, and gates before production."""

import sqlalchemy as sa
from alembic import op

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None

NUMBERS = ("version_major", "version_minor", "version_patch")


def upgrade() -> None:
    """Models there are count one first number per target: nobody remembers what their callers relied on."""
    for name in NUMBERS:
        op.add_column("models", sa.Column(name, sa.Integer(), server_default="1" if name == "version_major" else "0", nullable=False))
        op.alter_column("models", name, server_default=None)
    op.execute(
        "UPDATE models m SET version_minor = n.minor, version_patch = n.patch FROM ("
        " SELECT m.id, dense_rank() OVER (PARTITION BY m.project_id, m.target_column ORDER BY e.created_at, e.id) - 1 AS minor,"
        " row_number() OVER (PARTITION BY m.project_id, m.target_column, e.created_at, e.id ORDER BY m.created_at, m.id) - 1 AS patch"
        " FROM models m JOIN experiments e ON e.id = m.experiment_id) n WHERE n.id = m.id"
    )
    op.create_unique_constraint("uq_models_version", "models", ["project_id", "target_column", *NUMBERS])
    op.add_column("models", sa.Column("parent_id", sa.Uuid(), nullable=True))
    op.create_foreign_key("fk_models_parent_id_models", "models", "models", ["parent_id"], ["id"], ondelete="SET NULL")
    op.create_index("ix_models_parent_id", "models", ["parent_id"])
    op.add_column("models", sa.Column("notes", sa.String(10_000), server_default="", nullable=False))
    op.alter_column("models", "notes", server_default=None)
    op.create_table(
        "promotion_gates",
        sa.Column("project_id", sa.Uuid(), nullable=False),
        sa.Column("metric", sa.String(32), nullable=False),
        sa.Column("max_loss", sa.Float(), nullable=False),
        sa.Column("updated_by", sa.Uuid(), nullable=True),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["project_id"], ["projects.id"], name="fk_promotion_gates_project_id_projects", ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(["updated_by"], ["users.id"], name="fk_promotion_gates_updated_by_users", ondelete="SET NULL"),
        sa.PrimaryKeyConstraint("project_id", name="pk_promotion_gates"),
    )
    op.create_index("ix_promotion_gates_updated_by", "promotion_gates", ["updated_by"])


def downgrade() -> None:
    op.drop_table("promotion_gates")
    for name in ("notes", "parent_id"):
        op.drop_column("models", name)
    op.drop_constraint("uq_models_version", "models", type_="unique")
    for name in NUMBERS:
        op.drop_column("models", name)

"""What is said of a model: promises, its threshold; evaluations on holdouts."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    document = postgresql.JSONB(astext_type=sa.Text())
    op.add_column("models", sa.Column("metric_intervals", document, nullable=False, server_default="[]"))
    op.alter_column("models", "metric_intervals", server_default=None)
    op.add_column("models", sa.Column("threshold", document, nullable=True))
    op.create_table(
        "evaluations",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("project_id", sa.Uuid(), nullable=False),
        sa.Column("model_id", sa.Uuid(), nullable=False),
        sa.Column("dataset_version_id", sa.Uuid(), nullable=True),
        sa.Column("filename", sa.String(length=300), nullable=False),
        sa.Column("rows", sa.Integer(), nullable=False),
        sa.Column("rows_used", sa.Integer(), nullable=False),
        sa.Column("metrics", document, nullable=False),
        sa.Column("promises", document, nullable=False),
        sa.Column("interval_coverage", document, nullable=True),
        sa.Column("curves", document, nullable=False),
        sa.Column("warnings", document, nullable=False),
        sa.Column("notes", document, nullable=False),
        sa.Column("created_by", sa.Uuid(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["created_by"], ["users.id"], name=op.f("fk_evaluations_created_by_users"), ondelete="SET NULL"),
        sa.ForeignKeyConstraint(
            ["dataset_version_id"],
            ["dataset_versions.id"],
            name=op.f("fk_evaluations_dataset_version_id_dataset_versions"),
            ondelete="SET NULL",
        ),
        sa.ForeignKeyConstraint(["model_id"], ["models.id"], name=op.f("fk_evaluations_model_id_models"), ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["project_id"], ["projects.id"], name=op.f("fk_evaluations_project_id_projects"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_evaluations")),
    )
    for column in ("created_at", "model_id", "project_id"):
        op.create_index(op.f(f"ix_evaluations_{column}"), "evaluations", [column], unique=False)


def downgrade() -> None:
    op.drop_table("evaluations")
    op.drop_column("models", "threshold")
    op.drop_column("models", "metric_intervals")

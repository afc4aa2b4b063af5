"""Batches of predictions."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None

REFERENCES = {
    "project_id": ("projects", "CASCADE"),
    "model_id": ("models", "SET NULL"),
    "deployment_id": ("deployments", "SET NULL"),
    "dataset_version_id": ("dataset_versions", "SET NULL"),
    "input_artifact_id": ("artifacts", "SET NULL"),
    "artifact_id": ("artifacts", "SET NULL"),
    "created_by": ("users", "SET NULL"),
    "job_id": ("jobs", "SET NULL"),
}


def upgrade() -> None:
    op.create_table(
        "prediction_batches",
        sa.Column("id", sa.Uuid(), nullable=False),
        *(sa.Column(name, sa.Uuid(), nullable=name != "project_id") for name in REFERENCES),
        sa.Column("model_name", sa.String(200), nullable=False),
        sa.Column("filename", sa.String(300), nullable=False),
        sa.Column("of_dataset", sa.Boolean(), nullable=False),
        sa.Column("options", JSONB(), nullable=False),
        sa.Column("warnings", JSONB(), nullable=False),
        sa.Column("column_warnings", JSONB(), nullable=False),
        sa.Column("result_schema", JSONB(), nullable=False),
        sa.Column("model_sha256", sa.String(64), nullable=False),
        sa.Column("input_sha256", sa.String(64), nullable=False),
        sa.Column("output_sha256", sa.String(64), nullable=True),
        sa.Column("row_count", sa.BigInteger(), nullable=True),
        sa.Column("refused_row_count", sa.BigInteger(), nullable=True),
        sa.Column("status", sa.String(32), nullable=False),
        sa.Column("error", JSONB(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        *(
            sa.ForeignKeyConstraint([name], [f"{table}.id"], name=f"fk_prediction_batches_{name}_{table}", ondelete=after)
            for name, (table, after) in REFERENCES.items()
        ),
        sa.PrimaryKeyConstraint("id", name="pk_prediction_batches"),
    )
    for name in (*REFERENCES, "created_at"):
        op.create_index(f"ix_prediction_batches_{name}", "prediction_batches", [name])


def downgrade() -> None:
    op.drop_table("prediction_batches")

"""Diagnoses of targets."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "diagnoses",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("dataset_version_id", sa.Uuid(), nullable=False),
        sa.Column("fingerprint", sa.String(length=64), nullable=False),
        sa.Column("found", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["dataset_version_id"], ["dataset_versions.id"], name=op.f("fk_diagnoses_dataset_version_id_dataset_versions"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_diagnoses")),
        sa.UniqueConstraint("dataset_version_id", "fingerprint", name=op.f("uq_diagnoses_dataset_version_id_fingerprint")),
    )
    op.create_index(op.f("ix_diagnoses_created_at"), "diagnoses", ["created_at"], unique=False)


def downgrade() -> None:
    op.drop_index(op.f("ix_diagnoses_created_at"), table_name="diagnoses")
    op.drop_table("diagnoses")

"""By what metrics are estimated without outcomes; an index of the rows of the log whose outcome is known."""

import sqlalchemy as sa
from alembic import op

revision = "0031"
down_revision = "0030"
branch_labels = None
depends_on = None

LOG = "inference_logs"


def upgrade() -> None:
    """Entries wait in the spool while the index is made."""
    op.create_table(
        "estimation_baselines",
        sa.Column("model_id", sa.Uuid(), nullable=False),
        sa.Column("archive", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("model_id", name="pk_estimation_baselines"),
        sa.ForeignKeyConstraint(
            ["model_id"], ["models.id"], name="fk_estimation_baselines_model_id_models", ondelete="CASCADE"
        ),
    )
    known = sa.text("outcome IS NOT NULL")
    columns = ["deployment_id", "created_at", "id", "model_id", "arm"]
    op.create_index("ix_inference_logs_outcome", LOG, columns, postgresql_where=known)


def downgrade() -> None:
    op.drop_index("ix_inference_logs_outcome", table_name=LOG)
    op.drop_table("estimation_baselines")

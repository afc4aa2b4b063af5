"""An index for every reference: without one, each row that is deleted made the database read the whole table that may refer to it."""

from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

COLUMNS = {
    "datasets": ("created_by",),
    "dataset_versions": ("artifact_id", "upload_artifact_id", "parent_version_id", "created_by"),
    "deployments": ("previous_deployment_id", "previous_model_id", "created_by"),
    "experiments": ("created_by",),
    "jobs": ("created_by",),
    "models": ("artifact_id", "curves_artifact_id", "explanation_artifact_id"),
    "evaluations": ("dataset_version_id", "created_by"),
}


def upgrade() -> None:
    for table, columns in COLUMNS.items():
        for column in columns:
            op.create_index(op.f(f"ix_{table}_{column}"), table, [column])


def downgrade() -> None:
    for table, columns in COLUMNS.items():
        for column in columns:
            op.drop_index(op.f(f"ix_{table}_{column}"), table_name=table)

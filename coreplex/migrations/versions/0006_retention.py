"""The inference log in weekly partitions, and indexes for what is removed by age.

The rows that are there stay where they are: their table becomes the first partition, for all that came before next Monday.
"""

from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

LOG = "inference_logs"
REFERENCES = {"deployment_id": "deployments", "model_id": "models", "project_id": "projects"}


def _columns() -> list[sa.Column[Any]]:
    document = postgresql.JSONB(astext_type=sa.Text())
    return [
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("project_id", sa.Uuid(), nullable=False),
        sa.Column("deployment_id", sa.Uuid(), nullable=False),
        sa.Column("model_id", sa.Uuid(), nullable=False),
        sa.Column("request_id", sa.String(length=64), nullable=False),
        sa.Column("row_index", sa.Integer(), nullable=False),
        sa.Column("inputs", document, nullable=False),
        sa.Column("output", document, nullable=True),
        sa.Column("error", sa.String(), nullable=True),
        sa.Column("latency_ms", sa.Float(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
    ]


def upgrade() -> None:
    monday = op.get_bind().scalar(sa.text("SELECT (date_trunc('week', now() AT TIME ZONE 'UTC') + interval '1 week')::date"))
    first = f"{LOG}_until_{monday:%Y%m%d}"
    op.drop_constraint("pk_inference_logs", LOG, type_="primary")
    for column, table in REFERENCES.items():
        op.drop_constraint(f"fk_inference_logs_{column}_{table}", LOG, type_="foreignkey")
    op.drop_index("ix_inference_logs_project_id", table_name=LOG)
    op.drop_index("ix_inference_logs_deployment", table_name=LOG)
    op.rename_table(LOG, first)
    key = sa.PrimaryKeyConstraint("id", "created_at", name=op.f("pk_inference_logs"))
    op.create_table(LOG, *_columns(), key, postgresql_partition_by="RANGE (created_at)")
    op.create_index("ix_inference_logs_deployment", LOG, ["deployment_id", "created_at", "id"], unique=False)
    op.execute(f"CREATE TABLE {LOG}_default PARTITION OF {LOG} DEFAULT")
    # Rows of a clock that went ahead.
    names = ", ".join(column.name for column in _columns())  # in an order of their own where a later revision was taken back
    later = f"DELETE FROM {first} WHERE created_at >= '{monday} 00:00+00' RETURNING {names}"
    op.execute(f"WITH later AS ({later}) INSERT INTO {LOG}_default ({names}) SELECT {names} FROM later")  # noqa: S608
    op.execute(f"ALTER TABLE {LOG} ATTACH PARTITION {first} FOR VALUES FROM (MINVALUE) TO ('{monday} 00:00+00')")

    aged = sa.text("entity_type <> 'experiment' OR kind IN ('audit', 'progress')")
    op.create_index("ix_events_aged", "events", ["created_at"], postgresql_where=aged)
    op.create_index("ix_events_actor", "events", ["actor_id"], postgresql_where=sa.text("actor_id IS NOT NULL"))
    op.create_index(op.f("ix_jobs_finished_at"), "jobs", ["finished_at"])
    op.create_index(op.f("ix_experiments_job_id"), "experiments", ["job_id"])
    # What experiments that were deleted had to say: nobody can ask for it any more.
    gone = "NOT EXISTS (SELECT 1 FROM experiments x WHERE x.id = events.entity_id)"
    op.execute(f"DELETE FROM events WHERE entity_type = 'experiment' AND kind <> 'audit' AND {gone}")  # noqa: S608


def downgrade() -> None:
    for name, table in (
        ("ix_experiments_job_id", "experiments"),
        ("ix_jobs_finished_at", "jobs"),
        ("ix_events_actor", "events"),
        ("ix_events_aged", "events"),
    ):
        op.drop_index(name, table_name=table)
    op.execute(f"CREATE TABLE {LOG}_whole (LIKE {LOG} INCLUDING DEFAULTS)")
    known = " AND ".join(
        f"EXISTS (SELECT 1 FROM {table} WHERE {table}.id = l.{column})"  # noqa: S608
        for column, table in REFERENCES.items()
    )
    op.execute(f"INSERT INTO {LOG}_whole SELECT l.* FROM {LOG} l WHERE {known}")  # noqa: S608
    op.drop_table(LOG)
    op.rename_table(f"{LOG}_whole", LOG)
    op.create_primary_key("pk_inference_logs", LOG, ["id"])
    for column, table in REFERENCES.items():
        op.create_foreign_key(f"fk_inference_logs_{column}_{table}", LOG, table, [column], ["id"], ondelete="CASCADE")
    op.create_index("ix_inference_logs_deployment", LOG, ["deployment_id", "created_at"], unique=False)
    op.create_index("ix_inference_logs_project_id", LOG, ["project_id"], unique=False)

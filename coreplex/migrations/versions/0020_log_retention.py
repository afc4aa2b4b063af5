"""The inference log in weeks by how long entries are kept: deployments may have days of their own.

The rows that are there stay where they are, in the week of their partition; those of the default partition are told their own.
"""

from collections.abc import Sequence
from datetime import date, datetime, timedelta

import sqlalchemy as sa
from alembic import op

revision = "0020"
down_revision = "0019"
branch_labels = None
depends_on = None

LOG = "inference_logs"
OLD = f"{LOG}_before"
INDEXES = {
    "deployment": "(deployment_id, created_at, id)",
    "request": "(deployment_id, lower(request_id))",
    "failed": "(deployment_id, created_at, id) WHERE error IS NOT NULL",
    "arm": "(deployment_id, created_at, id, arm) WHERE arm IS NOT NULL",
}
FIRST = date(1970, 1, 5)
PARTITIONS = "SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid WHERE i.inhparent = CAST(:log AS regclass)"
KEY = "SELECT conname FROM pg_constraint WHERE contype = 'p' AND conrelid = CAST(:log AS regclass)"
WEEK = "greatest(div(extract(epoch FROM created_at) - 345600, 604800), 1)::int"


def upgrade() -> None:
    op.add_column("deployments", sa.Column("log_days", sa.Integer(), nullable=True))
    names = _partitions()
    for name in names:
        op.execute(f"ALTER TABLE {LOG} DETACH PARTITION {name}")
    op.rename_table(LOG, OLD)
    more = ", retention_week integer NOT NULL"
    op.execute(f"CREATE TABLE {LOG} (LIKE {OLD} INCLUDING DEFAULTS{more}) PARTITION BY LIST (retention_week)")
    op.drop_table(OLD)
    _index("retention_week")
    for name in names:
        key = op.get_bind().scalar(sa.text(KEY), {"log": name})
        op.execute(f'ALTER TABLE {name} DROP CONSTRAINT "{key}"')
        op.execute(f"ALTER TABLE {name} ALTER id SET NOT NULL, ALTER created_at SET NOT NULL")
        _attach(name)


def _attach(name: str) -> None:
    """A constant for a whole table is written nowhere but in its description."""
    if name.endswith("_default"):
        op.execute(f"ALTER TABLE {name} ADD retention_week integer")
        op.execute(f"UPDATE {name} SET retention_week = {WEEK}")  # noqa: S608 of our own
        op.execute(f"ALTER TABLE {name} ALTER retention_week SET NOT NULL")
        op.execute(f"ALTER TABLE {LOG} ATTACH PARTITION {name} DEFAULT")
        return
    week = (_day(name) - FIRST).days // 7 - 1
    op.execute(f"ALTER TABLE {name} ADD retention_week integer NOT NULL DEFAULT {week}")
    op.execute(f"ALTER TABLE {name} ALTER retention_week DROP DEFAULT")
    op.execute(f"ALTER TABLE {LOG} ATTACH PARTITION {name} FOR VALUES IN ({week})")


def downgrade() -> None:
    """All entries are written again, each by its time."""
    names = _partitions()
    op.rename_table(LOG, OLD)
    for name in names:
        op.rename_table(name, f"{name}_before")
    op.execute(f"CREATE TABLE {LOG} (LIKE {OLD} INCLUDING DEFAULTS) PARTITION BY RANGE (created_at)")
    op.drop_column(LOG, "retention_week")
    op.execute(f"CREATE TABLE {LOG}_default PARTITION OF {LOG} DEFAULT")
    for number, name in enumerate(sorted(name for name in names if "_until_" in name)):
        end, start = _day(name), f"'{_day(name) - timedelta(days=7)} 00:00+00'" if number else "MINVALUE"
        op.execute(f"CREATE TABLE {name} PARTITION OF {LOG} FOR VALUES FROM ({start}) TO ('{end} 00:00+00')")
    columns = ", ".join(column["name"] for column in sa.inspect(op.get_bind()).get_columns(LOG))
    op.execute(f"INSERT INTO {LOG} ({columns}) SELECT {columns} FROM {OLD}")  # noqa: S608 of our own
    op.drop_table(OLD)
    _index("created_at")
    op.drop_column("deployments", "log_days")


def _index(key: str) -> None:
    op.create_primary_key(f"pk_{LOG}", LOG, ["id", key])
    for name, on in INDEXES.items():
        op.execute(f"CREATE INDEX ix_{LOG}_{name} ON {LOG} {on}")


def _partitions() -> Sequence[str]:
    return op.get_bind().scalars(sa.text(PARTITIONS), {"log": LOG}).all()


def _day(name: str) -> date:
    return datetime.strptime(name.rpartition("_")[2], "%Y%m%d").date()  # noqa: DTZ007 a day

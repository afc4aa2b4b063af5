"""What every deployment was ever asked, as sums that only grow; begins with what is counted already."""

import sqlalchemy as sa
from alembic import op

revision = "0029"
down_revision = "0028"
branch_labels = None
depends_on = None

EDGES = (349, 396, 431, 466, 512, 547, 582, 628, 663, 698, 744, 814)
WITHIN = ", ".join(f"coalesce(sum(count) FILTER (WHERE bin <= {edge}), 0)::bigint" for edge in EDGES)


def upgrade() -> None:
    op.create_table(
        "traffic_totals",
        sa.Column("deployment_id", sa.Uuid(), nullable=False),
        sa.Column("arm", sa.String(32), nullable=False),
        *(sa.Column(name, sa.BigInteger(), nullable=False) for name in ("requests", "errors", "rows", "latency_us")),
        sa.Column("within_counts", sa.ARRAY(sa.BigInteger()), nullable=False),
        sa.Column("last_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("deployment_id", "arm", name="pk_traffic_totals"),
    )
    op.execute(
        f"""
        INSERT INTO traffic_totals (deployment_id, arm, requests, errors, rows, latency_us, within_counts, last_at)
        SELECT deployment_id, arm, requests, errors, rows, coalesce(latency_us, 0),
            coalesce(within_counts, array_fill(0::bigint, ARRAY[{len(EDGES) + 1}])), last_at
        FROM (
            SELECT deployment_id, coalesce(arm, '') AS arm, sum(requests)::bigint AS requests, sum(errors)::bigint AS errors,
                sum(rows)::bigint AS rows, max(began_at) AS last_at
            FROM traffic_counts WHERE span_secs > 0 GROUP BY 1, 2
        ) a LEFT JOIN (
            SELECT deployment_id, coalesce(arm, '') AS arm,
                sum(count * round(2 / 2.02 * power(1.02::float8, bin))::bigint)::bigint AS latency_us,
                ARRAY[{WITHIN}, coalesce(sum(count), 0)::bigint] AS within_counts
            FROM traffic_counts, unnest(latency_bins, latency_counts) AS u(bin, count) WHERE span_secs > 0 GROUP BY 1, 2
        ) b USING (deployment_id, arm)
        """
    )


def downgrade() -> None:
    op.drop_table("traffic_totals")

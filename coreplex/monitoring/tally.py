"""Counts of entries of the inference log on their way into the database, to be added in the transaction that stores them."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple
from uuid import UUID

import numpy as np

from coreplex.engines.drift import latency
from coreplex.engines.drift.counting import RowCounter
from coreplex.engines.drift.layout import Counts
from coreplex.platform.identifier import new_text_ids

Entry = Mapping[str, Any]

TALLIES = """
    SELECT c.*, date_trunc('minute', c.at) AS began_at
    FROM jsonb_to_recordset(CAST(:tallies AS jsonb)) AS c(
        id uuid, deployment_id uuid, model_id uuid, arm text, at timestamptz, requests bigint, errors bigint, rows bigint,
        latency_bins text, latency_counts text, bins text, counts text)
    WHERE EXISTS (SELECT FROM deployments d WHERE d.id = c.deployment_id)
"""
"""What `tallies` returns, without what is of deployments deleted meanwhile."""
TRAFFIC = """
    INSERT INTO traffic_counts
        (id, deployment_id, arm, began_at, span_secs, requests, errors, rows, latency_bins, latency_counts)
    SELECT id, deployment_id, arm, began_at, 0, requests, errors, rows, latency_bins::int[], latency_counts::bigint[]
    FROM tallies
"""
BINS = """
    INSERT INTO bin_counts (id, deployment_id, model_id, arm, began_at, span_secs, is_new, rows, bins, counts)
    SELECT id, deployment_id, model_id, arm, began_at, 0, true, rows, bins::int[], counts::bigint[]
    FROM tallies WHERE bins <> '{}'
"""
"""Add `tallies` to the counts."""


class Group(NamedTuple):
    """What is counted together: a deployment with its model, an arm, a minute."""

    deployment_id: str
    model_id: str
    arm: str | None
    minute: str


def model_ids(entries: Iterable[Entry]) -> set[UUID]:
    """The models that have answered."""
    return {UUID(one) for one in {entry["model_id"] for entry in entries}}


def tallies(entries: Iterable[Entry], counters: Mapping[UUID, RowCounter]) -> list[dict[str, Any]]:
    """One row for each group of entries as the log has them; of models without a counter only traffic."""
    groups: dict[Group, list[Entry]] = {}
    for entry in entries:
        group = Group(entry["deployment_id"], entry["model_id"], entry.get("arm"), entry["created_at"][:16])
        groups.setdefault(group, []).append(entry)
    ids = new_text_ids(len(groups))
    return [
        {"id": made, **_tally(group, own, counters.get(UUID(group.model_id)))}
        for made, (group, own) in zip(ids, groups.items(), strict=True)
    ]


def _tally(group: Group, entries: Sequence[Entry], counter: RowCounter | None) -> dict[str, Any]:
    opening = [entry for entry in entries if entry["row_index"] == 0 or entry.get("first")]
    # What was refused took no time: among the others it would make them look quick.
    answered = [latency.place(entry["latency_ms"]) for entry in opening if entry["error"] is None]
    latencies = np.array(answered, dtype=np.int64)
    times, took = sparse(np.bincount(latencies, minlength=1))
    bins, counts = ([], []) if counter is None else sparse(counted(counter, entries))
    return {
        "deployment_id": group.deployment_id,
        "model_id": group.model_id,
        "arm": group.arm,
        "at": entries[0]["created_at"],
        "requests": len(opening),
        "errors": sum(entry["error"] is not None for entry in opening),
        "rows": len(entries),
        "latency_bins": _array(times),
        "latency_counts": _array(took),
        "bins": _array(bins),
        "counts": _array(counts),
    }


def counted(counter: RowCounter, entries: Sequence[Entry]) -> Counts:
    """What the rows and answers of entries held, as one vector."""
    return counter.count([entry["inputs"] for entry in entries], [entry["output"] for entry in entries])


def sparse(vector: Counts) -> tuple[list[int], list[int]]:
    """The bins that were met, and how often."""
    bins = np.flatnonzero(vector)
    return bins.tolist(), vector[bins].tolist()


def _array(numbers: Sequence[int]) -> str:
    """As PostgreSQL spells it, which reads it sooner than JSON."""
    return f"{{{','.join(map(str, numbers))}}}"

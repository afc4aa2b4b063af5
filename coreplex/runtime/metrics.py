"""What this server tells Prometheus: of deployments and jobs the same in every process, of the inference log that of its host.

Two statements. Series are bounded: those of `totals.MOST` deployments and arms, of the kinds of jobs, and a handful.
"""

import asyncio
import platform
import socket
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import structlog
from sqlalchemy import text

from coreplex.errors.tree import Unavailable
from coreplex.job import kinds
from coreplex.job.lifecycle import JobStatus
from coreplex.monitoring.totals import EDGES_MS, MOST, Asked, Totals, totals
from coreplex.platform.database import Database, ReadSession
from coreplex.platform.exposition import Family, Kind, counter, distribution, gauge
from coreplex.platform.services import Services
from coreplex.platform.version import server_version
from coreplex.runtime.readiness import WORKER_SILENT_SECS
from coreplex.serving.log import dropped
from coreplex.serving.log.spool import spool_in

JOBS = text(
    """
    SELECT type AS kind, status, count(*) AS jobs,
        extract(epoch FROM now() - min(greatest(created_at, not_before)) FILTER (WHERE status = 'queued'))::float8 AS waits,
        (SELECT count(*) FROM workers WHERE seen_at BETWEEN now() - make_interval(secs => :silent) AND now()) AS workers
    FROM jobs WHERE status = 'queued' OR status = 'running' OR finished_at > now() - interval '1 hour'
    GROUP BY GROUPING SETS ((type, status), ())
    """
)
"""The last row, without a kind, is of all: there without any job, too."""
log = structlog.get_logger(__name__)


async def families(services: Services) -> list[Family]:
    """Of everything. While the database is away, what can be told without it."""
    told = await _from_database(services.database)
    up = gauge("coreplexml_database_up", "Whether the database answers.", [({}, int(bool(told)))])
    return [_build(), up, *told, *await asyncio.to_thread(_of_host, services)]


async def _from_database(database: Database) -> list[Family]:
    try:
        async with database.read() as session:
            found, jobs = await totals(session), await _jobs(session)
    except Unavailable as error:
        log.warning("metrics.without_database", error=error.message)
        return []
    return [*await asyncio.to_thread(_traffic, found), *jobs]


def _build() -> Family:
    labels = {"version": server_version(), "python": platform.python_version()}
    return gauge("coreplexml_build_info", "The version of the server and of its Python.", [(labels, 1)])


def _traffic(found: Totals) -> list[Family]:
    asked = [(_labels(one), one) for one in found.asked]
    edges = [edge / 1000 for edge in EDGES_MS]
    latencies = [sample for labels, one in asked for sample in distribution(labels, edges, one.within, one.latency_secs)]
    about = {one.deployment_id: _about(one) for one in found.asked}
    requests = "Requests that a deployment was to answer, by the arm of a rollout."
    left_out = f"Deployments and arms that are not told of, as {MOST} others were asked later."
    return [
        counter("coreplexml_prediction_requests", requests, [(labels, one.requests) for labels, one in asked]),
        counter("coreplexml_prediction_errors", "Those of them that failed.", [(labels, one.errors) for labels, one in asked]),
        counter("coreplexml_prediction_rows", "Rows of all of them.", [(labels, one.rows) for labels, one in asked]),
        Family(
            "coreplexml_prediction_latency_seconds",
            Kind.histogram,
            "How long scoring took, by request that was answered.",
            latencies,
        ),
        gauge("coreplexml_deployment_info", "What a deployment is.", [(labels, 1) for labels in about.values()]),
        gauge("coreplexml_deployments_left_out", left_out, [({}, found.left_out)]),
    ]


def _labels(one: Asked) -> dict[str, str]:
    return {"deployment": str(one.deployment_id), "arm": one.arm or "none"}


def _about(one: Asked) -> dict[str, str]:
    ids = {"deployment": str(one.deployment_id), "project": str(one.project_id)}
    return {**ids, "name": one.name, "stage": one.stage, "status": one.status}


async def _jobs(session: ReadSession) -> list[Family]:
    found = (await session.execute(JOBS, {"silent": WORKER_SILENT_SECS})).all()
    counts = {(kind, str(status)): 0 for kind in kinds.names() for status in JobStatus}
    counts |= {(row.kind, row.status): row.jobs for row in found if row.kind}
    whole = next(row for row in found if row.kind is None)
    jobs = "Jobs that wait or run, and those that ended within the last hour."
    waits = "How long the job that has waited longest could have begun."
    return [
        gauge("coreplexml_jobs", jobs, [({"kind": kind, "status": status}, n) for (kind, status), n in counts.items()]),
        gauge("coreplexml_job_queue_age_seconds", waits, [({}, max(whole.waits or 0.0, 0.0))]),
        gauge("coreplexml_workers", "Worker processes that have reported lately.", [({}, whole.workers)]),
    ]


def _of_host(services: Services) -> Sequence[Family]:
    """The file of what was dropped alone: what a process could not write to it yet another one would not know."""
    spool, host = spool_in(services.settings.data_dir), {"host": socket.gethostname()}
    lost = dropped.read(spool)
    waits = "Bytes in the spool of the inference log of this host; more than a megabyte a process waits for the database."
    requests, rows = "Requests that were answered on this host and could not be logged.", "Rows of these requests."
    return [
        gauge("coreplexml_inference_log_spool_bytes", waits, [(host, _size(spool))]),
        counter("coreplexml_inference_log_dropped_requests", requests, [(host, lost.requests)]),
        counter("coreplexml_inference_log_dropped_rows", rows, [(host, lost.rows)]),
    ]


def _size(spool: Path) -> int:
    total = 0
    for path in spool.glob("*.jsonl"):
        with suppress(FileNotFoundError):  # stored meanwhile
            total += path.stat().st_size
    return total

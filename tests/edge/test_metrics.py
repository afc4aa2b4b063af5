"""What Prometheus reads: counters that never fall, the same in every process, for those who may."""

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest
from httpx import AsyncClient, Response
from prometheus_client import parser
from prometheus_client.openmetrics.parser import text_string_to_metric_families as strictly
from pydantic import ValidationError
from sqlalchemy import text

from coreplex.errors.tree import Message
from coreplex.monitoring import spans
from coreplex.monitoring.totals import MOST
from coreplex.platform.clock import now
from coreplex.platform.database import Database
from coreplex.platform.settings import Settings
from coreplex.runtime.retention import purge
from coreplex.serving.log.dropped import DropCount
from coreplex.serving.log.spool import spool_in
from coreplex.serving.log.writer import InferenceWriter
from tests.factories.account import bearer, browser, serving
from tests.factories.served import Served, serve

TOKEN = "a-token-of-length-32-for-the-test"
OPEN = {"Accept": "application/openmetrics-text; version=1.0.0"}
Found = dict[tuple[str, frozenset[tuple[str, str]]], float]


@pytest.fixture
async def scraper(settings: Settings) -> AsyncIterator[AsyncClient]:
    async with serving(settings) as app, browser(app, "127.0.0.1") as client:
        yield client


def sampled(answer: Response) -> Found:
    assert answer.status_code == 200, answer.text
    read = strictly if "openmetrics" in answer.headers["Content-Type"] else parser.text_string_to_metric_families
    samples = [sample for family in read(answer.text) for sample in family.samples]
    found = {(sample.name, frozenset(sample.labels.items())): sample.value for sample in samples}
    assert len(found) == len(samples)
    return found


def of(found: Found, served: Served, name: str, arm: str = "none", **labels: str) -> float:
    about = {"deployment": str(served.deployment_id), "arm": arm, **labels}
    return found[f"coreplexml_prediction_{name}", frozenset(about.items())]


async def age(database: Database, days: int) -> None:
    async with database.transaction() as session:
        await session.execute(text("UPDATE traffic_counts SET began_at = began_at - make_interval(days => :d)"), {"d": days})


async def test_counters_stay_when_rows_are_joined_and_purged(
    scraper: AsyncClient, database: Database, settings: Settings, tmp_path: Path
) -> None:
    served, writer = await serve(database), InferenceWriter(database, tmp_path / "another-process")
    for latency in (0.5, 0.9, 30.0, 30.0, 60_000.0):
        await served.record(writer, {"x": 1}, {"x": 2}, latency_ms=latency)
    failed = Message("failed", "It failed.")
    await served.record(writer, {"x": 1}, latency_ms=4.0, error=failed, arm="candidate", outputs=[None])
    await served.record(writer, {"x": 1}, latency_ms=4.0, arm="shadow")
    await writer.flush()
    before = sampled(await scraper.get("/metrics"))
    assert [of(before, served, f"{what}_total") for what in ("requests", "errors", "rows")] == [5, 0, 10]
    assert [of(before, served, f"{what}_total", "candidate") for what in ("requests", "errors", "rows")] == [1, 1, 1]
    assert of(before, served, "latency_seconds_count", "candidate") == 0, "it was refused: that took no time"
    assert of(before, served, "requests_total", "shadow") == 1
    buckets = [of(before, served, "latency_seconds_bucket", le=le) for le in ("0.001", "0.025", "0.05", "10.0", "+Inf")]
    assert buckets == [2, 2, 4, 4, 5]
    assert of(before, served, "latency_seconds_sum") == pytest.approx(60.0614, rel=0.01)

    async def still(**more: float) -> None:
        found = sampled(await scraper.get("/metrics", headers=OPEN))
        for (name, labels), value in before.items():
            if name.startswith("coreplexml_prediction_"):
                assert found[name, labels] == value + more.get(dict(labels)["arm"], 0) * name.endswith("requests_total"), name

    await spans.join(database, now() + timedelta(minutes=5))
    await still()
    await served.record(writer, {"x": 1}, latency_ms=4.0, arm="candidate")
    await writer.flush()
    assert of(sampled(await scraper.get("/metrics")), served, "requests_total", "candidate") == 2
    before = sampled(await scraper.get("/metrics"))
    await age(database, 500)  # both what is joined, and what waits for it: a log that comes late is counted before it goes
    await purge(database, settings)
    await still()
    await spans.join(database, now())
    await purge(database, settings)
    assert (await served.run("SELECT count(*) FROM traffic_counts"))[0][0] == 0
    await still()
    await writer.stop()


async def test_it_is_read_by_a_strict_reader_whatever_names_say(scraper: AsyncClient, database: Database) -> None:
    served, name = await serve(database), 'a "quoted"\\name\nof {two} lines'
    async with database.transaction() as session:
        await session.execute(text("UPDATE deployments SET name = :n, status = 'active'"), {"n": name})
    plain, opened = await scraper.get("/metrics"), await scraper.get("/metrics", headers=OPEN)
    assert plain.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert opened.headers["Content-Type"].startswith("application/openmetrics-text; version=1.0.0")
    found = sampled(plain)
    assert found.keys() == sampled(opened).keys()
    about = [dict(labels) for (kind, labels) in found if kind == "coreplexml_deployment_info"]
    assert [one["name"] for one in about] == [name]
    assert of(found, served, "requests_total") == 0, "there before the first request, so that it counts"
    job = frozenset({"kind": "automl_train", "status": "queued"}.items())
    assert found["coreplexml_jobs", job] == 0
    assert found["coreplexml_database_up", frozenset()] == 1


async def test_series_are_bounded(scraper: AsyncClient, database: Database) -> None:
    served = await serve(database)
    more = """INSERT INTO traffic_totals SELECT CAST(:id AS uuid), 'arm' || n, n, 0, n, 0, array_fill(0::bigint, ARRAY[13]),
        now() + make_interval(secs => n) FROM generate_series(1, 1100) n"""
    async with database.transaction() as session:
        await session.execute(text(more), {"id": served.deployment_id})
    found = sampled(await scraper.get("/metrics"))
    assert sum(name == "coreplexml_prediction_requests_total" for name, _ in found) == MOST
    assert found["coreplexml_deployments_left_out", frozenset()] == 1100 - MOST
    assert of(found, served, "requests_total", "arm1100") == 1100, "those that were asked last"


async def test_without_the_database_it_says_so(settings: Settings) -> None:
    DropCount(spool_in(settings.data_dir)).add(7, now())
    async with serving(settings) as app, browser(app, "127.0.0.1") as client:
        app.state.services.database.watch.silent.set()
        found = {name: value for (name, _), value in sampled(await client.get("/metrics", headers=OPEN)).items()}
        app.state.services.database.watch.silent.clear()
    assert found["coreplexml_database_up"] == 0
    assert found["coreplexml_inference_log_dropped_rows_total"] == 7
    assert found["coreplexml_build_info"] == 1
    assert not any(name.startswith("coreplexml_prediction_") for name in found), "a gap is no fall"


@pytest.mark.parametrize(
    ("address", "headers", "status"),
    [
        ("127.0.0.1", {}, 200),
        ("::1", {"Host": "[::1]:8888"}, 200),
        ("192.0.2.1", {}, 404),
        ("127.0.0.1", {"Host": "rebound.example"}, 404),
        ("127.0.0.1", {"X-Forwarded-For": "192.0.2.1"}, 404),
        ("192.0.2.1", bearer(TOKEN), 404),
    ],
)
async def test_without_a_token_programs_of_this_machine_read_it(
    settings: Settings, address: str, headers: dict[str, str], status: int
) -> None:
    async with serving(settings) as app, browser(app, address) as client:
        answer = await client.get("/metrics", headers=headers)
        nowhere = await client.get("/nowhere", headers=headers)
    assert answer.status_code == status
    if status == 404:
        assert answer.json()["detail"] == nowhere.json()["detail"]


async def test_with_a_token_those_who_send_it(settings: Settings) -> None:
    async with serving(Settings(**{**settings.model_dump(), "metrics_token": TOKEN})) as app:
        for address in ("127.0.0.1", "192.0.2.1"):
            async with browser(app, address) as client:
                for headers in ({}, bearer(TOKEN + "x"), bearer("ü"), {"Authorization": f"Basic {TOKEN}"}):
                    refused = await client.get("/metrics", headers={k: v.encode() for k, v in headers.items()})
                    assert (refused.status_code, refused.headers["WWW-Authenticate"]) == (401, "Bearer")
                    assert TOKEN not in refused.text
                answer = await client.get("/metrics", headers=bearer(TOKEN) | {"Host": "10.0.0.5"})
                assert sampled(answer)
    with pytest.raises(ValidationError, match="at least 16"):
        Settings(metrics_token="short")

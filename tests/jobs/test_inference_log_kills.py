"""Processes that log to one folder are killed at any moment and store what the others left: the log is what was acknowledged."""

import asyncio
import random
import subprocess
import sys
import time
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import islice
from pathlib import Path

import orjson
import pytest

from coreplex.engines.drift.layout import Layout
from coreplex.monitoring import spans
from coreplex.monitoring.totals import totals
from coreplex.platform.clock import now
from coreplex.platform.database import Database
from coreplex.serving.log.writer import InferenceWriter
from coreplex.supervisor.process import python_path
from tests.factories import counted
from tests.factories.served import Served, serve, stored
from tests.jobs.harness import ROOT
from tests.jobs.log_process import requests


@dataclass
class Writers:
    """The processes that live, and whose output is which: the number of each request that was acknowledged."""

    served: Served
    folder: Path
    alive: dict[int, subprocess.Popen[bytes]] = field(default_factory=dict)
    said: dict[int, Path] = field(default_factory=dict)

    def start(self, seed: int) -> None:
        ids = (str(self.served.deployment_id), str(self.served.model_id))
        command = [sys.executable, "-m", "tests.jobs.log_process", self.served.url, str(self.folder / "spool"), *ids, str(seed)]
        self.said[seed] = self.folder / f"{seed}.acknowledged"
        with self.said[seed].open("wb") as output, (self.folder / "processes.log").open("ab") as errors:
            self.alive[seed] = subprocess.Popen(
                command, stdout=output, stderr=errors, cwd=ROOT, env={"PYTHONPATH": python_path()}
            )

    def acknowledged(self, seed: int) -> int:
        """How many requests were: they are acknowledged in their order. A number without its line end was not."""
        return self.said[seed].read_bytes().count(b"\n")

    def kill(self, seed: int) -> None:
        process = self.alive.pop(seed)
        process.kill()
        process.wait()

    def log(self) -> str:
        return (self.folder / "processes.log").read_text()[-3000:]


async def battle(served: Served, folder: Path, side_by_side: int, kills: int, seed: int) -> Writers:
    """Kill one process after another within its work, and start another in its place."""
    random_, writers = random.Random(seed), Writers(served, folder)
    seeds = iter(range(seed, seed + side_by_side + kills))
    for number in islice(seeds, side_by_side):
        writers.start(number)
    for number in seeds:
        victim, enough = random_.choice(list(writers.alive)), random_.randrange(1, 70)
        deadline = time.monotonic() + 120
        while writers.acknowledged(victim) < enough:
            assert time.monotonic() < deadline, writers.log()
            assert writers.alive[victim].poll() is None, writers.log()
            await asyncio.sleep(0.005)
        await asyncio.sleep(random_.random() / 20)
        writers.kill(victim)
        writers.start(number)
    for number in list(writers.alive):
        writers.kill(number)
    return writers


async def compare(database: Database, writers: Writers) -> int:
    """Store what the last ones left, and hold the log against what was acknowledged; returns how many rows that is."""
    last = InferenceWriter(database, writers.folder / "spool")
    await last.adopt()
    await last.stop()
    found = {seed: {} for seed in writers.said}  # type: dict[int, dict[tuple[int, int], object]]
    records = await writers.served.logged("inputs, output")
    for inputs, output in ((orjson.loads(record[0]), orjson.loads(record[1])) for record in records):
        place = (inputs["number"], inputs["row"])
        assert place not in found[inputs["seed"]], "twice"
        found[inputs["seed"]][place] = (inputs, output)
    rows = 0
    for seed, logged in found.items():
        acknowledged = writers.acknowledged(seed)
        sent = {
            (number, row): (stored(values), {"prediction": stored(values)})
            for number, rows_ in enumerate(islice(requests(seed), acknowledged + 1))
            for row, values in enumerate(rows_)
        }
        strange = {place: (values, sent.get(place)) for place, values in logged.items() if values != sent.get(place)}
        assert not strange, f"only what was killed before its answer is logged unsaid: {str(strange)[:2000]}"
        missing = {place for place in sent if place[0] < acknowledged} - set(logged)
        assert not missing, f"lost of seed {seed}: {sorted(missing)}\n{writers.log()}"
        rows += sum(place[0] < acknowledged for place in sent)
    left = [path.name for path in (writers.folder / "spool").rglob("*") if path.is_file()]
    left = [name for name in left if name != "dropped.json" and not name.endswith(".torn")]
    assert not left, left
    return rows


LAYOUT = Layout(
    (counted.numbers("seed", range(1, 4)), counted.numbers("number", (5, 10, 20, 50)), counted.numbers("row", (0, 1, 40)))
)
TRAFFIC = "SELECT sum(requests), sum(rows), sum((SELECT sum(n) FROM unnest(latency_counts) n)) FROM traffic_counts"


async def recount(database: Database, served: Served) -> None:
    """What was counted is what the log holds, before and after it is joined to longer spans of time."""
    logged = [orjson.loads(record[0]) for record in await served.logged()]
    expected = counted.recounted(LAYOUT, logged)
    opening = len({(row["seed"], row["number"]) for row in logged})
    for _ in range(2):
        assert await counted.kept(served) == expected
        (traffic,) = await served.run(TRAFFIC)
        assert [*map(int, traffic)] == [opening, len(logged), opening]
        async with database.read() as session:
            (asked,) = (await totals(session)).asked
        assert (asked.requests, asked.rows, asked.within[-1]) == (opening, len(logged), opening)
        await spans.join(database, now() + timedelta(days=50))


async def test_what_was_acknowledged_is_logged_and_counted(database: Database, tmp_path: Path) -> None:
    served = await serve(database)
    await counted.keep(database, served, LAYOUT)
    writers = await battle(served, tmp_path, side_by_side=2, kills=2, seed=1)
    assert await compare(database, writers) > 100
    await recount(database, served)


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1000, 2000])
async def test_what_was_acknowledged_is_logged_after_many_kills(database: Database, tmp_path: Path, seed: int) -> None:
    served = await serve(database)
    await counted.keep(database, served, LAYOUT)
    writers = await battle(served, tmp_path, side_by_side=4, kills=40, seed=seed)
    assert await compare(database, writers) > 1000
    await recount(database, served)

"""A concept declares its kinds of jobs itself, and what is declared wrongly stops the process when it starts."""

import subprocess
import sys
import tomllib
from pathlib import Path
from uuid import UUID

import pytest

from coreplex.job import kinds, service
from coreplex.job.kinds import JobKind, Queue
from coreplex.job.service import STORAGE_DELETE
from coreplex.platform.database import Database
from coreplex.platform.deferred_import import child_task, later
from coreplex.runtime import concepts
from tests.jobs.harness import ROOT, unfinished

HEAVY = {
    "numpy",
    "polars",
    "pandas",
    "scipy",
    "sklearn",
    "lightgbm",
    "coreplex.training.service",
    "coreplex.engines.automl.train",
}


OWN_QUEUES = {
    "automl_train": Queue.training,
    "batch_predict": Queue.predictions,
    "explain_metric_change": Queue.predictions,
    "replay": Queue.predictions,
    "webhook_send": Queue.webhooks,
}
"""Long jobs: a mail waits for none of them, and nobody's predictions for a training, nor anything for a stranger's server."""


def test_every_kind_is_known_once_the_concepts_are_loaded() -> None:
    assert {"automl_train", "mail_send", "storage_delete", "probe"} <= set(kinds.names())
    assert {name: kinds.kind_of(name).queue for name in OWN_QUEUES} == OWN_QUEUES
    assert {kinds.kind_of(name).queue for name in kinds.names() if name not in OWN_QUEUES} == {Queue.chores}


def test_a_kind_is_declared_once_and_fits_its_column() -> None:
    run = kinds.kind_of("probe").run
    with pytest.raises(ValueError, match=r"`probe` is declared twice: by coreplex\.job\.probe too"):
        kinds.declare(JobKind("probe", run))
    for name in ("", "x" * 33):
        with pytest.raises(ValueError, match="1 to 32 characters"):
            kinds.declare(JobKind(name, run))
    assert kinds.kind_of("probe").run is run


async def test_a_job_of_a_kind_nobody_declares_is_not_queued(database: Database) -> None:
    with pytest.raises(LookupError, match="no concept declares the kind of job `storage_delet`"):
        async with database.transaction() as session:
            await service.enqueue(session, "storage_delet", entity_type="probe", entity_id=UUID(int=1))
    assert await unfinished(database) == 0


async def test_attempts_are_the_kinds_unless_said(database: Database) -> None:
    async with database.transaction() as session:
        mail = await service.enqueue(session, "mail_send", entity_type="mail", entity_id=UUID(int=1))
        removal = await service.enqueue(session, STORAGE_DELETE, entity_type="x", entity_id=UUID(int=1), max_attempts=1)
    assert (mail.max_attempts, removal.max_attempts) == (kinds.kind_of("mail_send").attempts, 1)


def test_the_list_of_concepts_is_that_of_the_layers(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that none is left out: the layers name every package of the domain, or the import contract fails."""
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    layers = next(one["layers"] for one in contracts if one.get("exhaustive"))
    between = layers[layers.index("runtime") + 1 : layers.index("platform | engines")]
    assert sorted(concepts.CONCEPTS) == sorted(name for layer in between for name in layer.split(" | "))
    monkeypatch.setattr(concepts, "CONCEPTS", ("job", "no_such_concept"))
    with pytest.raises(ModuleNotFoundError, match="no_such_concept"):
        concepts.load("jobs")


def test_a_worker_starts_without_what_jobs_and_their_children_work_with() -> None:
    code = "import sys, workers.__main__; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
    assert not HEAVY & set(loaded)
    assert {"coreplex.training.jobs", "coreplex.runtime.jobs"} <= set(loaded)


async def test_what_is_imported_later_is_looked_up_now(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ImportError, match=r"`coreplex\.training\.service` has no `runs`"):
        later("coreplex.training.service:runs")
    called = later("coreplex.job.probe:run")

    async def run(*arguments: object) -> object:
        return arguments

    monkeypatch.setattr("coreplex.job.probe.run", run)
    assert await called(1, 2) == (1, 2)


@pytest.mark.parametrize(
    ("target", "reason"),
    [
        ("coreplex.engines.automl.trian:run", "there is no module `coreplex.engines.automl.trian`"),
        ("coreplex.engines.automl.train:runs", "`coreplex.engines.automl.train` has no `runs`"),
        ("coreplex.engines.automl.train", "has no ``"),
    ],
)
def test_a_childs_task_that_is_not_there_is_refused(target: str, reason: str) -> None:
    with pytest.raises(ImportError, match=reason):
        child_task(target)


@pytest.mark.parametrize("program", ["workers", "asgi"])
def test_a_process_does_not_start_with_a_name_of_nothing(tmp_path: Path, program: str) -> None:
    """The real programs, with one name in the way of a training's `run`, and neither begins."""
    (tmp_path / "sitecustomize.py").write_text(
        "import coreplex.platform.deferred_import as tasks\n"
        "look = tasks.look_up\n"
        "tasks.look_up = lambda name: look(name.replace('training.service:run', 'training.service:gone'))\n"
    )
    environment = {"PYTHONPATH": f"{tmp_path}:{ROOT}", "PATH": "/usr/bin:/bin", "DATA_DIR": str(tmp_path / "data")}
    command = [sys.executable, "-m", program]
    ended = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode != 0
    assert "`coreplex.training.service` has no `gone`" in ended.stderr

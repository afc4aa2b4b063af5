"""A concept declares its kinds of jobs itself, and what is declared wrongly stops the process when it starts."""

import subprocess
import sys
import tomllib
from pathlib import Path
from uuid import UUID

import pytest

from coreplex.job import kinds, service
from coreplex.job.cleaning import STORAGE_DELETE
from coreplex.job.kinds import JobKind, Queue
from coreplex.platform.child_task import child_task
from coreplex.platform.database import Database
from coreplex.runtime import concepts
from tests.jobs.harness import ROOT, unfinished

HEAVY = ("lightgbm", "sklearn", "catboost", "flaml", "scipy.stats")


def test_every_kind_is_known_once_the_concepts_are_loaded() -> None:
    assert {"automl_train", "mail_send", "storage_delete", "probe"} <= set(kinds.names())
    assert kinds.kind_of("automl_train").queue is Queue.training
    assert {kinds.kind_of(name).queue for name in kinds.names() if name != "automl_train"} == {Queue.chores}


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


def test_a_childs_task_is_looked_up_without_being_imported() -> None:
    name = "coreplex.engines.automl.train:run"
    code = f"import sys; from coreplex.platform.child_task import child_task as c; c({name!r}); print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
    assert not {"numpy", "polars", "coreplex.engines.automl.train", *HEAVY} & set(loaded)


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
def test_a_process_does_not_start_with_a_task_that_is_not_there(tmp_path: Path, program: str) -> None:
    """Checked on the real programs: one name in the way of `ENGINE`, and neither begins."""
    (tmp_path / "sitecustomize.py").write_text(
        "import coreplex.platform.child_task as tasks\n"
        "look = tasks.child_task\n"
        "tasks.child_task = lambda name: look(name.replace('automl.train:run', 'automl.train:gone'))\n"
    )
    environment = {"PYTHONPATH": f"{tmp_path}:{ROOT}", "PATH": "/usr/bin:/bin", "DATA_DIR": str(tmp_path / "data")}
    command = [sys.executable, "-m", program]
    ended = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode != 0
    assert "`coreplex.engines.automl.train` has no `gone`" in ended.stderr

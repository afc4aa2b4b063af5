"""Trained models on a running stack: a small table, a project with it, and experiments that end."""

import random
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx

from tests.factories.dataset import table
from tests.stack import Stack

TINY = {"max_runtime_secs": 60, "max_models": 2, "nfolds": 2, "seed": 1}
ONE_MODEL = {**TINY, "max_models": 1}
LONG = {"max_runtime_secs": 600, "max_models": 500, "nfolds": 5}
"""More than a test wants to see the end of."""
WRONG_CONFIG: list[tuple[str, Any]] = [
    *(("max_runtime_secs", value) for value in (0, -1, "60", 1.5, 10**9, [])),
    *(("max_models", value) for value in (0, "2", 10**6, True)),
    *(("nfolds", value) for value in (-2, 1, 51, "5", 2.5)),
    *(("seed", value) for value in ("x", 2**70, 1.5)),
    *(("sort_metric", value) for value in ("best", 1, "rmse")),
    *(("balance_classes", value) for value in ("yes", 1)),
    *(("include_algos", value) for value in ("GBM", ["Magic"], [1], [])),
    ("exclude_algos", ["Magic"]),
    *(("stopping_rounds", value) for value in (-1, "3")),
    ("stopping_metric", "hunch"),
    *(("stopping_tolerance", value) for value in (-0.1, 2, "0.1")),
    ("exploitation_ratio", 1.5),
    ("distribution", "flat"),
    ("quantile_alpha", 1),
    ("tweedie_power", 2),
    ("keep_cross_validation_predictions", "no"),
    ("verbosity", "loud"),
    ("max_runtime_secs_per_model", 0),
    *(("ignored_columns", value) for value in ("size", [1])),
]
"""Values that each option of a training refuses."""
WAIT_SECS = 120
ROW = {"size": 3.5, "weight": 1, "kind": "b"}
FINAL = ("succeeded", "failed")


def leaves(rows: int = 240, seed: int = 0) -> bytes:
    """Numbers, a category, a yes/no and a number to predict, and columns nobody can predict."""
    rng = random.Random(seed)
    made: list[list[object]] = [["size", "weight", "kind", "label", "amount", "same", "empty"]]
    for _ in range(rows):
        size, weight, kind = round(rng.uniform(0, 6), 2), rng.randint(0, 9), rng.choice("abc")
        score = size + (2 if kind == "b" else 0) - weight / 4 + rng.gauss(0, 0.5)
        made.append([size, weight, kind, "yes" if score > 2.5 else "no", round(score, 3), "x", ""])
    return table(made)


@dataclass
class Lab:
    """A person's client on the stack, their project and a version of the table in it."""

    stack: Stack
    client: httpx.Client
    key: str
    project_id: str
    version_id: str
    experiment_id: str = ""
    models: list[dict[str, Any]] = field(default_factory=list)

    def upload(self, content: bytes, name: str = "Leaves") -> dict[str, Any]:
        form = {"project_id": self.project_id, "name": name}
        answer = self.client.post("/api/datasets/upload", data=form, files={"file": ("t.csv", content)})
        assert answer.status_code == 201, answer.text
        return dict(answer.json())

    def ask(self, **more: Any) -> httpx.Response:
        """POST /api/experiments with good values, `more` in place of them; None leaves one out."""
        body = {
            "project_id": self.project_id,
            "dataset_version_id": self.version_id,
            "name": "Try",
            "target_column": "label",
            "problem_type": "classification",
            "config": TINY,
            **more,
        }
        return self.client.post("/api/experiments", json={name: value for name, value in body.items() if value is not None})

    def start(self, **more: Any) -> str:
        answer = self.ask(**more)
        assert answer.status_code == 201, answer.text
        return str(answer.json()["experiment_id"])

    def status(self, experiment_id: str) -> dict[str, Any]:
        answer = self.client.get(f"/api/experiments/{experiment_id}/status")
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    def wait(self, experiment_id: str, *wanted: str) -> dict[str, Any]:
        """The status once it is one of `wanted`, or final."""
        return self.until(experiment_id, lambda status: status["status"] in (wanted or FINAL))

    def until(self, experiment_id: str, enough: Any) -> dict[str, Any]:
        deadline = time.monotonic() + WAIT_SECS
        while not enough(status := self.status(experiment_id)):
            assert time.monotonic() < deadline, f"{status}\n{self.stack.log()}"
            assert status["status"] not in FINAL, f"ended first: {status}\n{self.stack.log()}"
            time.sleep(0.1)
        return status

    def models_of(self, experiment_id: str) -> list[dict[str, Any]]:
        return list(self.client.get(f"/api/experiments/{experiment_id}/leaderboard").json()["items"])


@contextmanager
def laboratory(stack: Stack, key: str | None = None) -> Iterator[Lab]:
    """A new person with a project and the table."""
    key = key or stack.key()
    with stack.client(key) as client:
        project = client.post("/api/projects", json={"name": "Leaves"}).json()["project_id"]
        lab = Lab(stack, client, key, project, "")
        lab.version_id = lab.upload(leaves())["version_id"]
        yield lab


@contextmanager
def trained(stack: Stack, config: Mapping[str, Any] = TINY) -> Iterator[Lab]:
    """The same with a finished experiment; its models best first."""
    with laboratory(stack) as lab:
        lab.experiment_id = lab.start(name="Trained", config=config)
        status = lab.wait(lab.experiment_id)
        assert status["status"] == "succeeded", stack.log()
        lab.models = lab.models_of(lab.experiment_id)
        yield lab

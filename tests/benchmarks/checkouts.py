"""This checkout beside another one: one-row predictions and a page of projects over REST, in interleaved passes of one run.

    python -m tests.benchmarks.checkouts FOLDER_OF_THE_OTHER

Each checkout starts its server with its own `.venv` and fills it by its own `tests/benchmarks/seed.py`.
"""

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil  # type: ignore[import-untyped]

from tests.benchmarks import seed, stack
from tests.benchmarks.passes import Contestant, dumps, interleaved, write

HERE = Path(__file__).resolve().parents[2]
PROJECTS, PASSES = 60, 7


def serve() -> None:
    """In the environment of a checkout, with its modules: say what to ask it for, and run until stdin ends."""
    with stack.running() as running:
        trained = seed.train()
        models = seed.seed(running, trained)
        for number in range(PROJECTS):
            running.call("POST", "/api/projects", json={"name": f"project {number}"})
        path = f"/api/mlops/deployments/{models.deployment_id}/predict"
        found = {"port": running.port, "web": running.web.pid, "headers": running.headers, "path": path, "row": trained.row}
        sys.stdout.write(json.dumps(found) + "\n")
        sys.stdout.flush()
        sys.stdin.read()


@contextmanager
def served(checkout: Path) -> Iterator[Mapping[str, Any]]:
    """A server of the checkout, as `serve` describes it."""
    command = [str(checkout / ".venv/bin/python"), "-P", __file__, "--serve"]
    environment = {"PYTHONPATH": str(checkout), "PATH": "/usr/bin:/bin"}
    with subprocess.Popen(command, cwd=checkout, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        assert child.stdin is not None
        try:
            yield json.loads(child.stdout.readline())
        finally:
            child.stdin.close()


def named(checkout: Path) -> str:
    said = subprocess.run(["git", "-C", str(checkout), "log", "-1", "--format=%h"], capture_output=True, text=True, check=True)
    return said.stdout.strip()


def main(other: Path) -> None:
    with served(other) as before, served(HERE) as now:
        servers = [(named(other), before, psutil.Process(before["web"])), (named(HERE), now, psutil.Process(now["web"]))]

        def contestants(request: Any) -> list[Contestant]:
            return [Contestant(name, found["port"], request(found), [process]) for name, found, process in servers]

        def prediction(found: Mapping[str, Any]) -> dict[str, Any]:
            return {"method": "POST", "path": found["path"], "headers": found["headers"], "body": dumps({"inputs": found["row"]})}

        predict = contestants(prediction)
        projects = contestants(lambda found: {"method": "GET", "path": "/api/projects?limit=50", "headers": found["headers"]})
        parts = [f"Two checkouts, one after the other in each of {PASSES} passes; {stack.cores()}."]
        parts += [f"## One-row predictions, concurrency {many}\n\n{interleaved(predict, PASSES, many)}" for many in (1, 8)]
        parts += [f"## 50 of {PROJECTS} projects, concurrency 8\n\n{interleaved(projects, PASSES, 8)}"]
    write("checkouts", "\n\n".join(parts))


if __name__ == "__main__":
    serve() if sys.argv[1] == "--serve" else main(Path(sys.argv[1]).resolve())

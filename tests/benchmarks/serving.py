"""One-row prediction over HTTP beside `mlflow models serve` with the same LightGBM model; writes serving.md.

    python -m tests.benchmarks.serving [PYTHON_WITH_MLFLOW]

Without an interpreter that has mlflow one is made in a temporary folder (a minute, 1 GB).
"""

import os
import subprocess
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx

from tests.benchmarks import passes, seed, stack

MLFLOW = ("mlflow==3.17.2", "lightgbm==4.7.0")
SAVE = "import sys, lightgbm, mlflow.lightgbm as m; m.save_model(lightgbm.Booster(model_file=sys.argv[1]), sys.argv[2])"
PASSES, FEWER = 5, 3
METHOD = """# One-row prediction

Measured by `tests/benchmarks/serving.py`. {machine}. LightGBM, 100 trees × 31 leaves, 20 features (16 numbers, 4 categories);
one server process each; closed loop of the generator in `load.py`, a process of its own on the same machine; passes of 4 s taken
in turn, medians. The machine is shared, so ratios and CPU time say more than requests a second.

mlflow {version} gets the row already encoded as numbers in all its lines: as named columns (`dataframe_records`), the request
most like ours, and as bare numbers in the model's order (`inputs`), its quickest. "As it comes" leaves LightGBM its two threads,
"one thread" sets OMP_NUM_THREADS=1. Ours gets the row as a caller has it, checks the key, counts the rate limit, reads and
checks the row and writes the inference log, whose storing in PostgreSQL happens in the same process and is in its CPU time.

Outputs: largest difference {difference:.1e}.
"""
SAID = """
`POST /empty` is Starlette on uvicorn that parses the JSON and answers a constant: no keys, limits, log or model.

Ours by REST at concurrency 8, in requests a second: {ratios}. The step on the way is 15 × mlflow, p99 ≤ 5 ms
(measured: {p99:.1f} ms); the goal after it 50 × and half of the empty endpoint (measured: {empty:.2f}).
"""


def interpreter(folder: Path) -> str:
    """A Python that has mlflow."""
    if len(sys.argv) > 1:
        return sys.argv[1]
    subprocess.run([sys.executable, "-m", "venv", folder / "venv"], check=True)
    python = str(folder / "venv" / "bin" / "python")
    subprocess.run([python, "-m", "pip", "install", "--quiet", *MLFLOW], check=True)
    return python


def mlflow_command(python: str, folder: Path, trained: seed.Trained, port: int) -> list[str]:
    """Give the booster to mlflow, and how it is served."""
    text, model = folder / f"{port}.txt", folder / f"{port}"
    text.write_text(trained.booster.model_to_string())
    subprocess.run([python, "-c", SAVE, text, model], check=True, capture_output=True)
    command = [str(Path(python).with_name("mlflow")), "models", "serve", "-m", str(model), "-p", str(port)]
    return [*command, "--env-manager", "local", "--workers", "1"]


def post(path: str, body: Any, **headers: str) -> dict[str, Any]:
    return {"method": "POST", "path": path, "headers": headers, "body": passes.dumps(body)}


def mlflow_contestants(folder: Path, python: str, trained: seed.Trained, running: ExitStack) -> list[passes.Contestant]:
    """The same model on two mlflow servers (with and without its own threads), asked in two ways."""
    named = {"dataframe_records": [{f"f{number}": value for number, value in enumerate(trained.encoded)}]}
    bare = {"inputs": [trained.encoded]}
    path = {"PATH": f"{Path(python).parent}:{os.environ['PATH']}"}
    found: list[passes.Contestant] = []
    for threads, said in (("", "as it comes"), ("1", "one thread")):
        port = stack.free_port()
        environment = os.environ | path | ({"OMP_NUM_THREADS": threads} if threads else {})
        command = mlflow_command(python, folder, trained, port)
        root = running.enter_context(passes.server(command, port, "/ping", environment))
        everyone = [root, *root.children(recursive=True)]
        for body, how in ((named, "named columns"), (bare, "bare numbers")):
            found.append(passes.Contestant(f"mlflow, {how}, {said}", port, post("/invocations", body), everyone))
    return found


def own_contestants(ours: stack.Stack, made: seed.Seeded, row: dict[str, Any]) -> list[passes.Contestant]:
    """Our two doors."""
    path = f"/api/mlops/deployments/{made.deployment_id}/predict"
    document = (
        "mutation P($input: PredictInput!) { predict(input: $input) "
        "{ predictions { prediction probability probabilities { label probability } } modelId requestId latencyMs } }"
    )
    asked = {"query": document, "variables": {"input": {"deploymentId": made.deployment_id, "inputs": row}}}
    return [
        passes.Contestant("ours, REST", ours.port, post(path, {"inputs": row}, **ours.headers), [ours.web]),
        passes.Contestant("ours, GraphQL", ours.port, post("/graphql", asked, **ours.headers), [ours.web]),
    ]


def difference(mlflow: list[passes.Contestant], rest: passes.Contestant, expected: float) -> float:
    """The largest difference of anybody's answer from the LightGBM package's."""
    said = [answer(one)["predictions"][0] for one in mlflow]
    said.append(answer(rest)["predictions"][0]["probabilities"]["yes"])
    return max(abs(one - expected) for one in said)


def answer(one: passes.Contestant) -> Any:
    request = one.request
    headers = {**request["headers"], "Content-Type": "application/json"}
    found = httpx.post(f"http://127.0.0.1:{one.port}{request['path']}", content=request["body"], headers=headers, timeout=60)
    return found.raise_for_status().json()


def main() -> None:
    with tempfile.TemporaryDirectory() as temporary, stack.running() as ours, ExitStack() as running:
        python, trained = interpreter(Path(temporary)), seed.train()
        made, plain_port = seed.seed(ours, trained), stack.free_port()
        mlflow = mlflow_contestants(Path(temporary), python, trained, running)
        rest, graphql = own_contestants(ours, made, trained.row)
        plain = [sys.executable, "-m", "tests.benchmarks.handwritten", str(plain_port)]
        root = running.enter_context(passes.server(plain, plain_port, "/", os.environ | {"DATABASE_URL": ours.database_url}))
        empty = passes.Contestant("`POST /empty`", plain_port, post("/empty", {"inputs": trained.row}), [root])
        away = difference(mlflow, rest, trained.expected)
        version = subprocess.run(
            [python, "-c", "import mlflow; print(mlflow.__version__)"], capture_output=True, text=True, check=True
        ).stdout.strip()
        everyone = [*mlflow, rest, graphql, empty]
        text = METHOD.format(machine=stack.cores(), version=version, difference=away)
        text += f"\n## Concurrency 8 ({PASSES} passes)\n\n" + passes.interleaved(everyone, PASSES, 8)
        text += "\n" + verdict(mlflow, rest, empty)
        text += f"\n## Concurrency 1 ({FEWER} passes)\n\n" + passes.interleaved(everyone, FEWER, 1)
        passes.write("serving", text)


def verdict(mlflow: list[passes.Contestant], rest: passes.Contestant, empty: passes.Contestant) -> str:
    """What was reached of the goals, against each way to ask mlflow."""
    ours = rest.median("rps")
    ratios = "; ".join(f"{ours / one.median('rps'):.1f} × {one.name}" for one in mlflow)
    return SAID.format(ratios=ratios, p99=rest.median("p99"), empty=ours / empty.median("rps"))


if __name__ == "__main__":
    main()

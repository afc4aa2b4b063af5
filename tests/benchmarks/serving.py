"""Predictions over HTTP beside `mlflow models serve` and BentoML with the same LightGBM model; writes serving.md.

    python -m tests.benchmarks.serving [PYTHON_WITH_BOTH]

Without an interpreter that has them one is made in a temporary folder (two minutes, 1 GB).
"""

import os
import statistics
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx

from coreplex.engines.scoring.scorer import Scorer
from tests.benchmarks import passes, seed, stack
from tests.benchmarks import serving_peers as peers

PASSES, FEWER = 3, 2
MANY = 100
"""Rows a call, where it is about rows a second."""
METHOD = """# Predictions over HTTP

Measured by `tests/benchmarks/serving.py`. {machine}. LightGBM, 100 trees × 31 leaves, 20 features (16 numbers, 4 categories);
one server process each; closed loop of the generator in `load.py`, a process of its own on the same machine; passes of 4 s taken
in turn, medians. The machine is shared, so ratios and CPU time say more than requests a second.

Peers: {version}. They get the row already encoded as numbers: mlflow as named columns (`dataframe_records`), the request most
like ours, and as bare numbers in the model's order (`inputs`), its quickest; BentoML as those. "As it comes" leaves LightGBM its
two threads,
"one thread" sets OMP_NUM_THREADS=1. Ours gets the row as a caller has it, checks the key, counts the rate limit, reads and
checks the row and writes the inference log, whose storing in PostgreSQL happens in the same process and is in its CPU time.

Outputs: largest difference {difference:.1e}.
"""
SAID = """
`POST /empty` is Starlette on uvicorn that parses the JSON and answers a constant: no keys, limits, log or model.

Ours by REST, in requests a second: {ratios}. p99 {p99:.1f} ms; {empty:.2f} of the empty endpoint.
"""


def own_contestants(ours: stack.Stack, made: seed.Seeded, row: Any) -> list[passes.Contestant]:
    """Our two doors."""
    path = f"/api/mlops/deployments/{made.deployment_id}/predict"
    document = (
        "mutation P($input: PredictInput!) { predict(input: $input) "
        "{ predictions { prediction probability probabilities { label probability } } modelId requestId latencyMs } }"
    )
    asked = {"query": document, "variables": {"input": {"deploymentId": made.deployment_id, "inputs": row}}}
    return [
        passes.Contestant("ours, REST", ours.port, passes.post(path, {"inputs": row}, **ours.headers), [ours.web]),
        passes.Contestant("ours, GraphQL", ours.port, passes.post("/graphql", asked, **ours.headers), [ours.web]),
    ]


def difference(mlflow: list[passes.Contestant], bento: passes.Contestant, rest: passes.Contestant, expected: float) -> float:
    """The largest difference of anybody's answer from the LightGBM package's."""
    said = [answer(one)["predictions"][0] for one in mlflow] + answer(bento)
    said.append(answer(rest)["predictions"][0]["probabilities"]["yes"])
    return max(abs(one - expected) for one in said)


def answer(one: passes.Contestant) -> Any:
    request = one.request
    headers = {**request["headers"], "Content-Type": "application/json"}
    found = httpx.post(f"http://127.0.0.1:{one.port}{request['path']}", content=request["body"], headers=headers, timeout=60)
    return found.raise_for_status().json()


def main() -> None:
    with tempfile.TemporaryDirectory() as temporary, stack.running() as ours, ExitStack() as running:
        folder, trained = Path(temporary), seed.train()
        python = peers.interpreter(folder)
        made, plain_port = seed.seed(ours, trained), stack.free_port()
        mlflow = peers.mlflow_contestants(folder, python, trained, running)
        bento = peers.bento_contestant(folder, python, trained, running)
        rest, graphql = own_contestants(ours, made, trained.row)
        plain = [sys.executable, "-m", "tests.benchmarks.handwritten", str(plain_port)]
        root = running.enter_context(passes.server(plain, plain_port, "/", os.environ | {"DATABASE_URL": ours.database_url}))
        empty = passes.Contestant("`POST /empty`", plain_port, passes.post("/empty", {"inputs": trained.row}), [root])
        away = difference(mlflow, bento, rest, trained.expected)
        text = METHOD.format(machine=stack.cores(), version=", ".join(peers.PEERS), difference=away)
        everyone = [*mlflow, bento, rest, graphql, empty]
        for concurrency, often in ((8, PASSES), (1, FEWER), (64, FEWER)):
            text += f"\n## Concurrency {concurrency} ({often} passes)\n\n{passes.interleaved(everyone, often, concurrency)}\n"
            text += verdict([*mlflow, bento], rest, empty)
        text += explained(mlflow[0], explaining(rest, trained.row))
        running.close()
        text += many(folder, python, trained, ours, made)
        passes.write("serving", text)


def explaining(rest: passes.Contestant, row: dict[str, Any]) -> passes.Contestant:
    """The same request with the five strongest reasons."""
    body = passes.dumps({"inputs": row, "options": {"explain": {"top_k": 5}}})
    return passes.Contestant("ours, REST, with the top 5 reasons", rest.port, {**rest.request, "body": body}, rest.processes)


def explained(mlflow: passes.Contestant, ours: passes.Contestant) -> str:
    table = passes.interleaved([mlflow, ours], FEWER, 8)
    ratio = ours.median("rps") / mlflow.median("rps")
    head = f"\n## With reasons (concurrency 8, {FEWER} passes)\n\n"
    return f"{head}{table}\n\n{ratio:.1f} × mlflow without reasons; the goal is 10 ×.\n"


def many(folder: Path, python: str, trained: seed.Trained, ours: stack.Stack, made: seed.Seeded) -> str:
    """Rows a second at a hundred a call, beside one call of the model after the other in a process."""
    with ExitStack() as running:
        mlflow = peers.mlflow_contestants(folder, python, trained, running, MANY)
        bento = peers.bento_contestant(folder, python, trained, running, MANY)
        own = own_contestants(ours, made, [trained.row] * MANY)
        table = passes.interleaved([*mlflow, bento, *own], FEWER, 8)
    alone, asked = in_process(trained), own[0].median("rps") * MANY
    head = f"\n## {MANY} rows a call (concurrency 8, {FEWER} passes; requests a second)\n\n"
    said = f"Ours by REST: {asked:,.0f} rows a second, {asked / alone:.2f} of the {alone:,.0f} of the scorer alone in a process"
    return f"{head}{table}\n\n{said}\nwith the same hundred rows; the goal is 0.5.\n"


def in_process(trained: seed.Trained) -> float:
    """Rows a second of the scorer itself, the median of five seconds."""
    scorer, rows, seen = Scorer.load(trained.bundle), [trained.row] * MANY, []
    for _ in range(5):
        count, end = 0, time.perf_counter() + 1
        while time.perf_counter() < end:
            scorer.predict_rows(rows)
            count += MANY
        seen.append(float(count))
    return statistics.median(seen)


def verdict(mlflow: list[passes.Contestant], rest: passes.Contestant, empty: passes.Contestant) -> str:
    """What was reached of the goals, against each way to ask mlflow."""
    ours = rest.median("rps")
    ratios = "; ".join(f"{ours / one.median('rps'):.1f} × {one.name}" for one in mlflow)
    return SAID.format(ratios=ratios, p99=rest.median("p99"), empty=ours / empty.median("rps"))


if __name__ == "__main__":
    main()

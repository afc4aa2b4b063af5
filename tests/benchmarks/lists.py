"""Lists of 50 and 500 rows through GraphQL and REST beside a hand-written endpoint over the same rows; writes lists.md.

    python -m tests.benchmarks.lists

500 deployments of one model, 27 fields each (one, the model's name, from another table), and how many there are in all.
"""

import os
import sys
from typing import Any

import httpx
from strawberry.utils.str_converters import to_camel_case

from coreplex.deployment.table import Deployment, DeploymentStatus, Stage
from coreplex.platform.clock import now
from coreplex.platform.database import WriteSession
from coreplex.platform.identifier import parse_id
from tests.benchmarks import passes, seed, stack

SIZES, PASSES, CONCURRENCY = (50, 500), 5, 8
METHOD = """# Lists

Measured by `tests/benchmarks/lists.py`. {machine}. The same rows of PostgreSQL, 27 fields each, with the total count, one server
process each; concurrency {concurrency}; {passes} passes of 4 s taken in turn, medians. The hand-written endpoint is Starlette,
asyncpg, dictionaries and orjson (`handwritten.py`), without keys, limits or permissions. PostgreSQL's own CPU is not counted.
All three answers were compared and hold the same values.
"""
DOCUMENT = """query($p: ID!, $n: Int!) { deployments(filter: {projectId: $p}, first: $n, sort: {field: CREATED_AT}) {
  nodes { FIELDS } totalCount } }"""

ASKED = {
    "privacy_column_map": "privacyColumnMap { column kind }",
    "successor_deployment_id": "successorDeploymentId: successorId",
}
"""Fields of REST that GraphQL has a type for, or another name."""
WORDS = ("stage", "status", "strategy")


async def add_deployments(session: WriteSession, made: seed.Seeded) -> None:
    project, model = parse_id(made.project_id, "Project"), parse_id(made.model_id, "Model")
    for number in range(max(SIZES) - 1):
        session.add(
            Deployment(
                project_id=project,
                model_id=model,
                name=f"deployment {number}",
                stage=Stage.staging,
                status=DeploymentStatus.inactive,
                config={"note": "a benchmark", "number": number},
                deployed_at=now(),
            )
        )


def main() -> None:
    with stack.running() as ours:
        made = seed.seed(ours, seed.train())
        seed.transact(ours, lambda session: add_deployments(session, made))
        port = stack.free_port()
        command = [sys.executable, "-m", "tests.benchmarks.handwritten", str(port)]
        text = METHOD.format(machine=stack.cores(), concurrency=CONCURRENCY, passes=PASSES)
        with passes.server(command, port, "/", os.environ | {"DATABASE_URL": ours.database_url}) as plain:
            for size in SIZES:
                contestants = competitors(ours, made, size, port, plain)
                compare(contestants)
                text += f"\n## {size} rows\n\n" + passes.interleaved(contestants, PASSES, CONCURRENCY) + "\n"
        passes.write("lists", text)


def competitors(ours: stack.Stack, made: seed.Seeded, size: int, port: int, plain: Any) -> list[passes.Contestant]:
    project = made.project_id
    path = f"/api/mlops/projects/{project}/deployments?limit={size}&sort_field=created_at"
    fields = ours.call("GET", path)["items"][0]
    document = DOCUMENT.replace("FIELDS", " ".join(ASKED.get(name) or to_camel_case(name) for name in fields))
    body = {"query": document, "variables": {"p": project, "n": size}}
    hand = {"path": f"/deployments?project={project}&limit={size}"}
    graphql = {"method": "POST", "path": "/graphql", "headers": ours.headers, "body": passes.dumps(body)}
    return [
        passes.Contestant("by hand", port, hand, [plain]),
        passes.Contestant("ours, REST", ours.port, {"path": path, "headers": ours.headers}, [ours.web]),
        passes.Contestant("ours, GraphQL", ours.port, graphql, [ours.web]),
    ]


def compare(contestants: list[passes.Contestant]) -> None:
    """Refuse to measure answers that differ (in more than the server's own address)."""
    hand, rest, graphql = [answer(one) for one in contestants]
    items = graphql["data"]["deployments"]
    spelled = [{name: in_rest(name, row[to_camel_case(name)]) for name in rest["items"][0]} for row in items["nodes"]]
    for row in (*hand["items"], *rest["items"], *spelled):
        row["endpoint_url"] = row["endpoint_url"].partition("/api")[2]
    if not (hand["items"] == rest["items"] == spelled and hand["total"] == rest["total"] == items["totalCount"]):
        raise RuntimeError("the servers answer different things")


def in_rest(name: str, value: Any) -> Any:
    """A value of GraphQL as REST spells it: words are small, names with values are an object."""
    if name in WORDS:
        return value.lower()
    return {one["column"]: one["kind"] for one in value} if isinstance(value, list) else value


def answer(one: passes.Contestant) -> Any:
    request = dict(one.request)
    url = f"http://127.0.0.1:{one.port}{request['path']}"
    headers = {**request.get("headers", {}), "Content-Type": "application/json"}
    return httpx.request(request.get("method", "GET"), url, headers=headers, content=request.get("body"), timeout=60).json()


if __name__ == "__main__":
    main()

"""What one would write by hand instead of this server: Starlette, asyncpg, dictionaries, orjson. No keys, limits or logs.

    DATABASE_URL=postgresql://… python -m tests.benchmarks.handwritten PORT

`POST /empty` answers a constant; `GET /deployments?project=…&limit=…` the fields the REST list of deployments has.
"""

import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import asyncpg
import orjson
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

QUERY = """
    SELECT d.*, m.name AS model_name FROM deployments d JOIN models m ON m.id = d.model_id
    WHERE d.project_id = $1 ORDER BY d.created_at DESC, d.id DESC LIMIT $2
"""
COUNT = "SELECT count(*) FROM deployments WHERE project_id = $1"


def moment(value: datetime | None) -> str | None:
    return value.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ") if value else None


def text(value: Any) -> str | None:
    return None if value is None else str(value)


def shown(row: Any) -> dict[str, Any]:
    """A deployment as the REST list has it."""
    return {
        "id": str(row["id"]),
        "project_id": str(row["project_id"]),
        "model_id": str(row["model_id"]),
        "model_name": row["model_name"],
        "name": row["name"],
        "stage": row["stage"],
        "status": row["status"],
        "strategy": row["strategy"],
        "traffic_percent": row["traffic_percent"],
        "is_candidate": row["is_candidate"],
        "successor_deployment_id": text(row["successor_id"]),
        "config": orjson.loads(row["config"]),
        "version": row["version"],
        "privacy_policy_id": text(row["privacy_policy_id"]),
        "privacy_anonymize_logs": row["privacy_anonymize_logs"],
        "privacy_anonymize_response": row["privacy_anonymize_response"],
        "privacy_column_map": orjson.loads(row["privacy_column_map"]),
        "privacy_threshold": row["privacy_threshold"],
        "previous_deployment_id": text(row["previous_deployment_id"]),
        "previous_model_id": text(row["previous_model_id"]),
        "endpoint_url": f"http://localhost/api/mlops/deployments/{row['id']}/predict",
        "log_days": row["log_days"],
        "request_count": row["request_count"],
        "error_count": row["error_count"],
        "created_at": moment(row["created_at"]),
        "updated_at": moment(row["updated_at"]),
        "deployed_at": moment(row["deployed_at"]),
    }


async def deployments(request: Request) -> Response:
    pool, project, limit = request.app.state.pool, request.query_params["project"], int(request.query_params["limit"])
    async with pool.acquire() as connection:
        found = await connection.fetch(QUERY, project, limit)
        total = await connection.fetchval(COUNT, project)
    body = {"items": [shown(row) for row in found], "total": total, "limit": limit, "offset": 0}
    return Response(orjson.dumps(body), media_type="application/json")


async def empty(request: Request) -> Response:
    orjson.loads(await request.body())
    return Response(b'{"predictions":[]}', media_type="application/json")


@asynccontextmanager
async def lifespan(app: Starlette) -> AsyncIterator[None]:
    app.state.pool = await asyncpg.create_pool(os.environ["DATABASE_URL"], min_size=1, max_size=10)
    yield
    await app.state.pool.close()


routes = [Route("/empty", empty, methods=["POST"]), Route("/deployments", deployments)]
app = Starlette(routes=routes, lifespan=lifespan)

if __name__ == "__main__":
    uvicorn.run(app, port=int(sys.argv[1]), access_log=False, log_level="warning")

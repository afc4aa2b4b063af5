"""`/api/experiments` (contract B.5)."""

from collections.abc import Mapping
from typing import Any

from coreplex.errors.tree import Conflict, Message
from rest_compat import documents, shapes
from rest_compat.endpoint import Endpoint
from rest_compat.whole import Whole

ROOT = "/api/experiments"
ONE = "/api/experiments/{experiment_id}"

CREATE = (
    "project_id",
    "dataset_version_id",
    "name",
    "target_column",
    "problem_type",
    "config",
    "use_gpu",
    "engine",
    "engines",
    "execution_mode",
)


PROBLEMS = {
    "classification": "classification",
    "regression": "regression",
    "binary": "classification",
    "multiclass": "classification",
}
ENGINES = Whole(
    "the engines and the error",
    ("engine", "requested_engine", "error"),
    ("engine", "requested_engine", "status", "models_trained", "best_metric", "started_at", "finished_at"),
)


def one(result: Any, variables: Mapping[str, Any]) -> Any:
    return shapes.mirrored("experiment")(documents.experiment(result), variables)


def changed(result: Any, _: Mapping[str, Any]) -> Any:
    experiment = shapes.outcome(documents.experiment(result["experiment"]))
    return {"id": experiment["id"], "status": experiment["status"], "experiment": experiment}


def created(result: Any, _: Mapping[str, Any]) -> Any:
    experiment = shapes.outcome(documents.experiment(result["experiment"]))
    top = {key: experiment[key] for key in ("id", "job_id", "status", "warnings")}
    return {**top, "experiment_id": experiment["id"], "experiment": experiment}


def status(result: Any, _: Mapping[str, Any]) -> Any:
    return shapes.outcome({"id": result["experiment_id"], **result})


def engine_runs(result: Any, _: Mapping[str, Any]) -> Any:
    runs = shapes.outcomes(result["engine_runs"])
    return {"items": runs, "total": len(runs), "limit": len(runs), "offset": 0}


def explanation(result: Any, _: Mapping[str, Any]) -> Any:
    best = result["best_model"]
    if best is None:
        raise Conflict(Message("no_model_yet", "The experiment has no finished model yet; wait until it has, then ask again."))
    return {"model_id": best["id"], **documents.explanation(best["explanation"])}


ROWS = (
    Endpoint(
        "GET",
        ROOT,
        "ListExperiments",
        shapes.page_of(documents.experiment),
        paged=True,
        params=("project_id", "status"),
        into={"project_id": "filter.projectId", "status": "filter.status"},
        words={"status": shapes.OUTCOMES},
    ),
    Endpoint("POST", ROOT, "CreateExperiment", created, 201, body=CREATE, words={"problem_type": PROBLEMS}),
    Endpoint("GET", f"{ROOT}/capabilities", "ExperimentCapabilities", shapes.plain),
    Endpoint("GET", ONE, "GetExperiment", one),
    Endpoint("GET", f"{ONE}/status", "ExperimentStatus", status),
    Endpoint("GET", f"{ONE}/explain", "ExperimentExplain", explanation),
    Endpoint("GET", f"{ONE}/logs", "ExperimentLogs", shapes.named_page("logs"), paged=True),
    Endpoint("GET", f"{ONE}/engine-runs", "ExperimentEngineRuns", engine_runs, whole=ENGINES),
    Endpoint("GET", f"{ONE}/leaderboard", "ExperimentLeaderboard", shapes.page_of(documents.model), paged=True),
    Endpoint("POST", f"{ONE}/cancel", "CancelExperiment", changed, body_optional=True),
    Endpoint("POST", f"{ONE}/stop", "StopExperiment", changed, body_optional=True),
    Endpoint("DELETE", ONE, "DeleteExperiment", shapes.ok, params=("force",)),
)

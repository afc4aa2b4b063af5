"""The one place that predicts: the way to the model, whether it serves, the scoring, and the inference log.

Web and worker processes call the same functions: a resolver for one request, a job for each of its rows.
"""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from coreplex.errors.tree import Busy, CallerLeft, DomainError
from coreplex.idempotency.service import Attempt, Mark
from coreplex.platform.permissions import Grant
from coreplex.platform.services import Services
from coreplex.serving import prediction
from coreplex.serving.inputs import Predict, PredictModel
from coreplex.serving.log.writer import InferenceWriter
from coreplex.serving.prediction import HeavyScoring, Scorers
from coreplex.serving.route import Route, Routes


@dataclass(slots=True)
class Asked:
    """The request of the rows: its id, and under an `Idempotency-Key` the attempt and the field's place and name in it."""

    request_id: str
    attempt: Attempt | None = None
    place: str = ""
    field: str = ""


@dataclass(slots=True)
class Predicted:
    """`predictions[i]` answers row i."""

    predictions: list[dict[str, Any]]
    warnings: list[dict[str, Any]]
    model_id: UUID
    deployment_id: UUID | None
    request_id: str
    latency_ms: float
    """Of the scoring alone."""

    @property
    def count(self) -> int:
        return len(self.predictions)


async def predict(services: Services, grant: Grant, wanted: Predict, asked: Asked) -> Predicted:
    """Answer rows through an active deployment and write each to its inference log.

    Raises NotFound, Forbidden, Conflict for a deployment that does not serve, Invalid for rows that cannot be read (which is
    logged), Busy and CallerLeft for many rows.
    """
    route = await Routes.of(services).deployment(grant, wanted.deployment_id)
    if asked.attempt is not None:
        asked.attempt.answered(asked.place, asked.field, route.project_id)
    route.require_active()
    scorer, heavy, log = await Scorers.of(services).scorer(route), HeavyScoring.of(services), InferenceWriter.of(services)
    mark = None if asked.attempt is None else await asked.attempt.mark(services.database, asked.place)
    ids = _ids(route, asked, mark)
    try:
        answer = await prediction.predict(scorer, route, heavy, wanted.inputs, wanted.options)
    except (Busy, CallerLeft):
        raise  # says nothing of the deployment
    except DomainError as error:
        await log.record(**ids, rows=[{}], outputs=[None], latency_ms=0.0, error=error.message)
        raise
    answer.warnings += await log.record(**ids, rows=answer.rows, outputs=answer.predictions, latency_ms=answer.latency_ms)
    return _predicted(answer, route, ids["request_id"])


async def predict_model(services: Services, grant: Grant, wanted: PredictModel, asked: Asked) -> Predicted:
    """Answer rows with a model itself; nothing is logged. Raises as `predict`."""
    route = await Routes.of(services).model(grant, wanted.model_id)
    if asked.attempt is not None:
        asked.attempt.answered(asked.place, asked.field, route.project_id)
    scorer, heavy = await Scorers.of(services).scorer(route), HeavyScoring.of(services)
    answer = await prediction.predict(scorer, route, heavy, wanted.inputs, wanted.options)
    return _predicted(answer, route, asked.request_id)


def _ids(route: Route, asked: Asked, mark: Mark | None) -> dict[str, Any]:
    """What every row of the log carries; under a key the same when the request is sent again."""
    return {
        "deployment_id": route.deployment_id,
        "model_id": route.model_id,
        "request_id": mark.request_id if mark else asked.request_id,
        "again": (mark.name, mark.moment) if mark else None,
    }


def _predicted(answer: prediction.Answer, route: Route, request_id: str) -> Predicted:
    return Predicted(answer.predictions, answer.warnings, route.model_id, route.deployment_id, request_id, answer.latency_ms)

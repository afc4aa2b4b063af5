"""The one place that predicts: the way to the model, whether it serves, the scoring, and the inference log.

Web and worker processes call the same functions: a resolver for one request, a job for each of its rows.
"""

from dataclasses import dataclass
from typing import Any, Protocol
from uuid import UUID

from coreplex.errors.tree import Busy, CallerLeft, DomainError
from coreplex.idempotency.service import Attempt
from coreplex.platform.document import JSON, JSONObject
from coreplex.platform.permissions import Grant
from coreplex.platform.services import Services
from coreplex.serving import prediction, split
from coreplex.serving.address import Route, Split
from coreplex.serving.call import Call
from coreplex.serving.inputs import Predict, PredictModel
from coreplex.serving.prediction import HeavyScoring, Scorers
from coreplex.serving.route import Routes
from coreplex.serving.shadows import Shadows


@dataclass(slots=True)
class Asked:
    """The request of the rows: its id, and under an `Idempotency-Key` the attempt and the field's place and name in it."""

    request_id: str
    attempt: Attempt | None = None
    place: str = ""
    field: str = ""


class Rows(Protocol):
    """What is asked of whatever answers."""

    inputs: JSON
    options: JSONObject


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
    """Answer rows through an active deployment and write each to the inference log of the one that answered.

    Raises NotFound, Forbidden, Conflict for a deployment that does not serve, Invalid for rows that cannot be read (which is
    logged), Busy and CallerLeft for many rows.
    """
    return await along(services, await Routes.of(services).deployment(grant, wanted.deployment_id), wanted, asked)


async def along(services: Services, route: Route, wanted: Rows, asked: Asked) -> Predicted:
    """The same on a way that is found already."""
    if asked.attempt is not None:
        asked.attempt.answered(asked.place, asked.field, route.project_id)
    route.require_active()
    mark = None if asked.attempt is None else await asked.attempt.mark(services.database, asked.place)
    request_id, again = (asked.request_id, None) if mark is None else (mark.request_id, (mark.name, mark.moment))
    call = Call(services, wanted.inputs, wanted.options, request_id, again)
    if route.split is None:
        made = _predicted(await _alone(call, route), route, request_id)
    else:
        made = await _split(call, route, route.split)
    if route.shadow is not None:
        Shadows.of(services).offer(call, route.shadow, made.predictions)
    return made


async def _alone(call: Call, route: Route) -> prediction.Answer:
    try:
        answer = await call.answer(route, call.inputs)
    except (Busy, CallerLeft):
        raise  # says nothing of the deployment
    except DomainError as error:
        await call.log(route, [{}], None, error.message)
        raise
    answer.warnings += await call.log(route, answer.rows, answer)
    return answer


async def _split(call: Call, route: Route, halves: Split) -> Predicted:
    """By who answers; where that is one deployment alone, the answer as a whole is its."""
    answer, parts = await split.answer(call, halves)
    return _predicted(answer, parts[0].route if len(parts) == 1 else route, call.request_id)


async def predict_model(services: Services, grant: Grant, wanted: PredictModel, asked: Asked) -> Predicted:
    """Answer rows with a model itself; nothing is logged. Raises as `predict`."""
    route = await Routes.of(services).model(grant, wanted.model_id)
    if asked.attempt is not None:
        asked.attempt.answered(asked.place, asked.field, route.project_id)
    scorer, heavy = await Scorers.of(services).scorer(route), HeavyScoring.of(services)
    answer = await prediction.predict(scorer, route, heavy, wanted.inputs, wanted.options)
    return _predicted(answer, route, asked.request_id)


def _predicted(answer: prediction.Answer, route: Route, request_id: str) -> Predicted:
    return Predicted(answer.predictions, answer.warnings, route.model_id, route.deployment_id, request_id, answer.latency_ms)

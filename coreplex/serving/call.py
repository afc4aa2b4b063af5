"""One request's rows on their way through a deployment: scored by what answers there, and written into its log."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from coreplex.deployment.table import Arm
from coreplex.errors.tree import DomainError, Message
from coreplex.platform.services import Services
from coreplex.serving import prediction
from coreplex.serving.address import Route
from coreplex.serving.log.writer import InferenceWriter
from coreplex.serving.prediction import Answer, HeavyScoring, Scorers

UNEXPECTED = Message("answer_failed", "The model could not answer; the server's log has the details.")


@dataclass(slots=True)
class Call:
    """What is asked, and what its entries of the log carry: under an `Idempotency-Key` the same when it is sent again."""

    services: Services
    inputs: Any
    options: Mapping[str, Any]
    request_id: str
    again: tuple[UUID, datetime] | None = None

    async def answer(self, route: Route, inputs: Any) -> Answer:
        """The answers of a route's model. Raises as `prediction.predict`."""
        scorer = await Scorers.of(self.services).scorer(route)
        return await prediction.predict(scorer, route, HeavyScoring.of(self.services), inputs, self.options)

    async def log(
        self, route: Route, rows: Sequence[Mapping[str, Any]], answer: Answer | None, error: Message | None = None, **arm: Any
    ) -> list[dict[str, Any]]:
        """Write the entries of rows that were answered, or in which an error ended; the warnings where that was not possible."""
        assert route.deployment_id is not None
        return await InferenceWriter.of(self.services).record(
            deployment_id=route.deployment_id,
            model_id=route.model_id,
            request_id=self.request_id,
            again=self.again,
            rows=rows,
            outputs=[None] * len(rows) if answer is None else answer.predictions,
            latency_ms=0.0 if answer is None else answer.latency_ms,
            log_days=route.log_days,
            error=error,
            **arm,
        )


def said_of(error: Exception) -> Message:
    """What an entry of the log says of an error."""
    return error.message if isinstance(error, DomainError) else UNEXPECTED


@dataclass(slots=True)
class Part:
    """The rows of a request that one arm has, by their places, and what became of them."""

    arm: Arm
    route: Route
    places: list[int]
    answer: Answer | None = None
    error: Exception | None = None
    units: dict[int, int] | None = None
    """Which unit of an A/B test each place is, where this side is the one that its key falls to."""

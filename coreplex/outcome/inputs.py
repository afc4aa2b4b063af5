"""What a caller must say about outcomes."""

from datetime import datetime
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, Field, StringConstraints

from coreplex.errors.tree import Message, WrongValue
from coreplex.platform.document import Value
from coreplex.platform.inputs import NO_NUL, Identifier, storable

MOST = 10_000
FARTHEST = 1e100
"""A number beyond it has no square that could be summed."""
RequestId = Annotated[str, StringConstraints(min_length=1, max_length=64), AfterValidator(storable), NO_NUL]


def _plain(value: Any) -> Any:
    if isinstance(value, str):
        return storable(value)
    if not isinstance(value, bool) and not -FARTHEST <= value <= FARTHEST:
        raise WrongValue(Message("outcome_too_far", "must be a number between -1e100 and 1e100"))
    return float(value) if isinstance(value, int) and abs(value) > 1 << 62 else value


class Outcome(BaseModel):
    request_id: RequestId = Field(description="The request the row came with, as its answer said.")
    row_index: int = Field(0, ge=0, le=MOST, description="Place of the row in the request, from 0.")
    outcome: Annotated[Value, AfterValidator(_plain)] = Field(
        description="What was true: a class, spelled as in the uploaded file, or a number."
    )
    at: datetime | None = Field(None, description="When it came out; now, when nothing is said.")


class RecordOutcomes(BaseModel):
    deployment_id: Identifier = Field(description="The deployment that was asked, whichever side of a canary answered.")
    items: list[Outcome] = Field(
        min_length=1,
        max_length=MOST,
        description="What came out, each of one row; said again, it replaces what was said before. A request has "
        "4 MB, by REST 24 MB.",
    )

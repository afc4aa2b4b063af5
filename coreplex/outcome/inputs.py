"""What a caller must say about outcomes."""

from datetime import datetime
from typing import Annotated

from pydantic import BaseModel, Field, StringConstraints

from coreplex.platform.document import Value
from coreplex.platform.inputs import Identifier

MOST = 10_000
RequestId = Annotated[str, StringConstraints(min_length=1, max_length=64)]


class Outcome(BaseModel):
    request_id: RequestId = Field(description="The request the row came with, as its answer said.")
    row_index: int = Field(0, ge=0, le=MOST, description="Place of the row in the request, from 0.")
    outcome: Value = Field(description="What was true: a class, spelled as in the uploaded file, or a number.")
    at: datetime | None = Field(None, description="When it came out; now, when nothing is said.")


class RecordOutcomes(BaseModel):
    deployment_id: Identifier = Field(description="The deployment that was asked, whichever side of a canary answered.")
    items: list[Outcome] = Field(
        min_length=1, max_length=MOST, description="What came out, each of one row; said again, it replaces what was said before."
    )

"""What a caller may ask about jobs."""

from pydantic import BaseModel, Field

from coreplex.platform.inputs import Identifier


class CancelJob(BaseModel):
    job_id: Identifier = Field(description="The job.")

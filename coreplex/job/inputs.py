"""What a caller may ask about jobs."""

from pydantic import BaseModel, Field

from coreplex.job.lifecycle import JobStatus
from coreplex.platform.inputs import Identifier


class CancelJob(BaseModel):
    job_id: Identifier = Field(description="The job.")


class JobFilter(BaseModel):
    project_id: Identifier | None = Field(None, description="Only jobs of this project.")
    type: str | None = Field(None, description="Only jobs of this type.")
    status: list[JobStatus] | None = Field(None, max_length=8, description="Only jobs in one of these states.")

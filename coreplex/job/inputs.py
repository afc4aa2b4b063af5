"""What a caller may ask about jobs."""

from pydantic import BaseModel, Field

from coreplex.job.table import JobStatus, JobType


class JobFilter(BaseModel):
    project_id: str | None = Field(None, description="Only jobs of this project.")
    type: JobType | None = Field(None, description="Only jobs of this type.")
    status: JobStatus | None = Field(None, description="Only jobs in this state.")

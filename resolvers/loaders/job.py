"""What is loaded of jobs."""

from coreplex.job.table import Job
from resolvers.loading import rows

jobs = rows(Job)

"""The kinds of jobs that belong to no concept."""

from coreplex.job import cleaning, probe
from coreplex.job.kinds import JobKind, declare

declare(JobKind(cleaning.STORAGE_DELETE, cleaning.run))
declare(JobKind("probe", probe.run, on_final=probe.on_final))

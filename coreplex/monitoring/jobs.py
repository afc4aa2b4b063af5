"""The job of monitoring."""

from datetime import timedelta

from coreplex.job.kinds import JobKind, declare
from coreplex.platform.deferred_import import later

make_missing = later("coreplex.monitoring.missing:make")

declare(JobKind("missing_baselines", make_missing, every=timedelta(minutes=5)))

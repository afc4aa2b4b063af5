"""The jobs of monitoring."""

from datetime import timedelta

from coreplex.job.kinds import JobKind, declare
from coreplex.platform.deferred_import import later

make_missing = later("coreplex.monitoring.missing:make")

declare(JobKind("missing_baselines", make_missing, every=timedelta(minutes=5)))
declare(JobKind("attributions", later("coreplex.monitoring.attribution_days:make"), every=timedelta(minutes=15)))

"""What begins an experiment, what may be asked of one, and what is loaded of them."""

from uuid import UUID

from coreplex.dataset.diagnosis import Diagnoses
from coreplex.experiment import inputs, service
from coreplex.experiment.capabilities import Capabilities, capabilities
from coreplex.experiment.table import EngineRun, Experiment
from coreplex.job.table import Job
from coreplex.training.forecast import Forecast, forecast
from resolvers.context import Info, act, once
from resolvers.loading import Read, Rows

jobs = Rows(Job)
experiments = Rows(Experiment)


def _by_experiment(runs: list[EngineRun]) -> dict[UUID, list[EngineRun]]:
    found: dict[UUID, list[EngineRun]] = {}
    for run in runs:
        found.setdefault(run.experiment_id, []).append(run)
    return found


engine_runs = Read(service.engine_runs, _by_experiment, missing=[], table=EngineRun)
"""The runs of an experiment's engines, in their order, by experiment id."""


@once
async def create(info: Info, input: inputs.CreateExperiment) -> Experiment:
    """Checked, then diagnosed outside any transaction, then checked again and queued in one."""
    grant, services = info.grant, info.context.services
    async with info.context.read() as session:
        checked = await service.check(session, grant, input, services.settings)
    found = await Diagnoses.of(services).soon(checked.version.id, checked.question(input))
    made = await act(info, lambda session: service.create(session, grant, input, services.settings, found))
    info.context.unspent.pop(grant.permission.category, None)
    return made


async def check(info: Info, input: inputs.CreateExperiment) -> Forecast:
    """What creating it would say; nothing is made but the diagnosis of the target, which is kept."""
    grant, services = info.grant, info.context.services
    async with info.context.read() as session:
        checked = await service.check(session, grant, input, services.settings)
    found = await Diagnoses.of(services).soon(checked.version.id, checked.question(input))
    async with info.context.read() as session:
        return await forecast(session, checked, input, found)


async def allowed(info: Info) -> Capabilities:
    """What the caller's plan and this server allow."""
    return capabilities(info.grant.principal.plan)

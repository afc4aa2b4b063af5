"""Lists of everything the caller sees, narrowed to a project or an experiment: one that is named must be one the caller sees."""

from typing import Any

from coreplex.experiment.table import Experiment
from coreplex.membership.access import open_project, open_row
from coreplex.platform.paging import Listing, Page, Slice
from coreplex.platform.permissions import Grant
from resolvers.guard import Info


async def narrowed(info: Info, grant: Grant, listing: Listing, page: Page, wanted: Any) -> Slice[Any]:
    """One page. Raises NotFound when the filter names what is unknown, or another person's, as it does for a malformed id.

    Asked only when the page is empty: a row of the project is proof enough that the caller sees it.
    """
    found = await info.context.slice(listing, page)
    if found.nodes or wanted is None:
        return found
    project_id, experiment_id = wanted.project_id, getattr(wanted, "experiment_id", None)
    async with info.context.read() as session:
        if project_id is not None:
            await open_project(session, grant, project_id)
        if experiment_id is not None:
            await open_row(session, grant, Experiment, experiment_id, "Experiment")
    return found

"""Lists of everything the caller sees, filtered to a project or an experiment: one that is named must be one the caller sees."""

from typing import Any

from coreplex.experiment.table import Experiment
from coreplex.membership.access import open_project, open_row
from coreplex.platform.page import Page, Slice
from coreplex.platform.paging import View
from resolvers.context import Info


async def filtered_list(info: Info, view: View, page: Page, wanted: Any) -> Slice[Any]:
    """One page. Raises NotFound when the `project_id` or `experiment_id` of the filter is unknown or another person's, as the
    listing does for a malformed one.

    Asked only when the page is empty: a row of the project is proof enough that the caller sees it.
    """
    found = await info.context.slice(view, page)
    if found.nodes:
        return found
    project_id, experiment_id = getattr(wanted, "project_id", None), getattr(wanted, "experiment_id", None)
    if project_id is None and experiment_id is None:
        return found
    async with info.context.read() as session:
        if project_id is not None:
            await open_project(session, info.grant, project_id)
        if experiment_id is not None:
            await open_row(session, info.grant, Experiment, experiment_id, "Experiment")
    return found

"""Objects behind ids: `project` beside `projectId`, found for all objects of a level at once, as if each were asked for by id.

Types name each other in circles (a project has models, a model a project), so they are named here by where they are declared.
"""

from collections.abc import Callable
from operator import attrgetter
from typing import Annotated, Any

import strawberry

from coreplex.errors.tree import NotFound
from resolvers import visible
from resolvers.account import users
from resolvers.loading import Loads
from schema.field import loaded

FOUND: dict[str, tuple[str, Loads]] = {
    "Alert": ("schema.alert", visible.alerts),
    "Artifact": ("schema.file", visible.artifacts),
    "Dataset": ("schema.dataset", visible.datasets),
    "DatasetVersion": ("schema.dataset", visible.versions),
    "Deployment": ("schema.deployment", visible.deployments),
    "Experiment": ("schema.experiment", visible.experiments),
    "Job": ("schema.job", visible.jobs),
    "Model": ("schema.model", visible.models),
    "Project": ("schema.project", visible.projects),
    "Replay": ("schema.replay", visible.replays),
    "Rollout": ("schema.rollout", visible.rollouts),
    "User": ("schema.account", users),
    "Webhook": ("schema.webhook", visible.webhooks),
}
"""Types by name: the module that declares each, and what finds its rows."""


def link(noun: str, attribute: str, description: str) -> Any:
    """The object whose id is the row's `attribute`; null where it is gone, and for a caller who might not ask for it by id."""
    return linked(noun, attrgetter(attribute), description)


def linked(noun: str, key: Callable[[Any], Any], description: str) -> Any:
    """The same for an id that `key(row)` tells."""
    module, batch = FOUND[noun]
    return loaded(Annotated[noun, strawberry.lazy(module)] | None, batch, key, description)


def owner(noun: str, attribute: str, description: str) -> Any:
    """The object without which the row would not be there; an error for a caller who might not ask for it by id."""
    module, batch = FOUND[noun]

    def there(found: Any, _row: Any) -> Any:
        if found is None:
            raise NotFound.of(noun)
        return found

    return loaded(Annotated[noun, strawberry.lazy(module)], batch, attrgetter(attribute), description, there)

"""The table of documented endpoints, joined from the concepts."""

from rest_compat.endpoint import Endpoint
from rest_compat.endpoints import account, deployment, experiment, model, project

TABLE: tuple[Endpoint, ...] = (*account.ROWS, *project.ROWS, *experiment.ROWS, *model.ROWS, *deployment.ROWS)

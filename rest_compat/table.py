"""The table of documented endpoints, joined from the concepts."""

from rest_compat.endpoint import Endpoint
from rest_compat.endpoints import account, dataset, deployment, experiment, model, project

TABLE: tuple[Endpoint, ...] = (*account.ROWS, *project.ROWS, *dataset.ROWS, *experiment.ROWS, *model.ROWS, *deployment.ROWS)

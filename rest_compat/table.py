"""The table of documented endpoints, joined from the concepts."""

from rest_compat.endpoint import Endpoint
from rest_compat.endpoints import account, dataset, deployment, experiment, job, model, project

CONCEPTS = (account, project, dataset, experiment, model, deployment, job)

TABLE: tuple[Endpoint, ...] = tuple(row for concept in CONCEPTS for row in concept.ROWS)

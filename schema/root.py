"""Joins the concepts into Query, Mutation and Subscription and builds the schema, once."""

import strawberry
from strawberry.schema.config import StrawberryConfig

from resolvers.guard import Info
from schema.deployment import DeploymentMutation, DeploymentQuery
from schema.experiment import ExperimentMutation, ExperimentQuery
from schema.model import ModelMutation, ModelQuery
from schema.project import ProjectMutation, ProjectQuery
from schema.scalars import SCALARS


@strawberry.type(description="Everything that can be read.")
class Query(ProjectQuery, ExperimentQuery, ModelQuery, DeploymentQuery):
    pass


@strawberry.type(description="Everything that can be done.")
class Mutation(ProjectMutation, ExperimentMutation, ModelMutation, DeploymentMutation):
    pass


graphql_schema = strawberry.Schema(
    query=Query,
    mutation=Mutation,
    config=StrawberryConfig(info_class=Info, scalar_map=SCALARS),
)

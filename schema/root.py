"""Joins the concepts into Query, Mutation and Subscription and builds the schema, once."""

import strawberry
from strawberry.schema.config import StrawberryConfig

from resolvers.context import Info
from schema.account import AccountMutation, AccountQuery
from schema.dataset import DatasetMutation, DatasetQuery
from schema.deployment import DeploymentMutation, DeploymentQuery
from schema.event import EventSubscription
from schema.experiment import ExperimentMutation, ExperimentQuery
from schema.file import FileQuery
from schema.job import JobMutation, JobQuery
from schema.model import ModelMutation, ModelQuery
from schema.project import ProjectMutation, ProjectQuery
from schema.scalars import SCALARS
from schema.serving import ServingMutation


@strawberry.type(description="Everything that can be read.")
class Query(
    AccountQuery,
    ProjectQuery,
    DatasetQuery,
    FileQuery,
    ExperimentQuery,
    ModelQuery,
    DeploymentQuery,
    JobQuery,
):
    pass


@strawberry.type(description="Everything that can be done.")
class Mutation(
    AccountMutation,
    ProjectMutation,
    DatasetMutation,
    ExperimentMutation,
    ModelMutation,
    DeploymentMutation,
    ServingMutation,
    JobMutation,
):
    pass


@strawberry.type(description="Everything that can be followed, from a cursor on.")
class Subscription(EventSubscription):
    pass


graphql_schema = strawberry.Schema(
    query=Query,
    mutation=Mutation,
    subscription=Subscription,
    config=StrawberryConfig(info_class=Info, scalar_map=SCALARS),
)

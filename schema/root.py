"""Joins the concepts into Query, Mutation and Subscription, and builds the schema: for callers, and for REST's documents."""

from collections.abc import Iterable, Iterator

import strawberry
from graphql import (
    GraphQLArgument,
    GraphQLInputField,
    GraphQLInputObjectType,
    GraphQLNamedType,
    GraphQLObjectType,
    Undefined,
)
from strawberry.schema.config import StrawberryConfig
from strawberry.schema.name_converter import NameConverter
from strawberry.types.enum import EnumValue, StrawberryEnumDefinition

from resolvers.context import Info
from schema.ab_test import AbTestMutation, AbTestQuery
from schema.account import AccountMutation, AccountQuery
from schema.alert import AlertMutation, AlertQuery
from schema.batch import BatchMutation, BatchQuery
from schema.dataset import DatasetMutation, DatasetQuery
from schema.deployment import DeploymentMutation, DeploymentQuery
from schema.error_codes import ErrorCode
from schema.event import KINDS, EventSubscription
from schema.experiment import ExperimentMutation, ExperimentQuery
from schema.file import FileQuery
from schema.invitation import InvitationMutation, InvitationQuery
from schema.job import JobMutation, JobQuery
from schema.metric_change import MetricChangeMutation, MetricChangeQuery
from schema.model import ModelMutation, ModelQuery
from schema.node import NodeQuery
from schema.outcome import OutcomeMutation
from schema.payload import own_payloads
from schema.project import ProjectMutation, ProjectQuery
from schema.promotion_gate import PromotionGateMutation
from schema.replay import ReplayMutation, ReplayQuery
from schema.retraining import RetrainMutation, RetrainQuery
from schema.rollout import RolloutMutation, RolloutQuery
from schema.scalars import SCALARS
from schema.search import SearchQuery
from schema.serving import ServingMutation, ServingQuery
from schema.session import SessionQuery
from schema.webhook import WebhookMutation, WebhookQuery
from schema.wording import in_public_words, name_pages


@strawberry.type(description="Everything that can be read.")
class Query(
    SessionQuery,
    AccountQuery,
    ProjectQuery,
    InvitationQuery,
    DatasetQuery,
    FileQuery,
    ExperimentQuery,
    ModelQuery,
    DeploymentQuery,
    ServingQuery,
    BatchQuery,
    RolloutQuery,
    AbTestQuery,
    ReplayQuery,
    MetricChangeQuery,
    WebhookQuery,
    AlertQuery,
    RetrainQuery,
    JobQuery,
    NodeQuery,
    SearchQuery,
):
    pass


@strawberry.type(description="Everything that can be done.")
class Mutation(
    AccountMutation,
    ProjectMutation,
    InvitationMutation,
    DatasetMutation,
    ExperimentMutation,
    ModelMutation,
    DeploymentMutation,
    RolloutMutation,
    PromotionGateMutation,
    ServingMutation,
    BatchMutation,
    OutcomeMutation,
    AbTestMutation,
    ReplayMutation,
    MetricChangeMutation,
    WebhookMutation,
    AlertMutation,
    RetrainMutation,
    JobMutation,
):
    pass


@strawberry.type(description="Everything that can be followed, from a cursor on.")
class Subscription(EventSubscription):
    pass


class Upper(NameConverter):
    """Values of enums in upper case, as GraphQL has them; the domain and REST have them in lower case."""

    def from_enum_value(self, enum: StrawberryEnumDefinition, enum_value: EnumValue) -> str:
        return super().from_enum_value(enum, enum_value).upper()


def _built(names: NameConverter) -> strawberry.Schema:
    config = StrawberryConfig(info_class=Info, scalar_map=SCALARS, name_converter=names)
    made = strawberry.Schema(query=Query, mutation=Mutation, subscription=Subscription, types=[ErrorCode, *KINDS], config=config)
    for given in _given(made._schema.type_map.values()):
        if given.default_value is None:
            given.default_value = Undefined  # nothing is said by null that is not said by leaving it out
    name_pages(made._schema)
    return made


def _given(kinds: Iterable[GraphQLNamedType]) -> Iterator[GraphQLArgument | GraphQLInputField]:
    """What callers give: arguments, and fields of inputs."""
    for kind in kinds:
        if isinstance(kind, GraphQLInputObjectType):
            yield from kind.fields.values()
        elif isinstance(kind, GraphQLObjectType):
            for field in kind.fields.values():
                yield from field.args.values()


stored_schema = _built(NameConverter())
"""What REST's stored documents run against: with the domain's words for the values of enums, which are REST's, and built
before mutations get payloads of their own, because a refusal is an answer of its own there."""
own_payloads(Mutation)
graphql_schema = _built(Upper())
"""The public contract."""
in_public_words(graphql_schema._schema)

"""What several concepts of the contract share: identifiers, what names repeat, and the publishing of enums and inputs."""

from collections.abc import Iterable
from enum import StrEnum
from typing import Annotated, Any

import strawberry
import strawberry.pydantic
from pydantic import BaseModel
from strawberry.types.base import get_object_definition

from coreplex.deployment.table import DeploymentStatus, Stage
from coreplex.engines.replay.verdict import ReplayVerdict, RequiredVerdict
from coreplex.experiment.table import ProblemType
from coreplex.job.lifecycle import JobStatus
from coreplex.membership.duplicate_names import duplicate_name_warnings
from coreplex.membership.table import MemberRole
from coreplex.monitoring.table import MetricBasis
from coreplex.platform.permissions import Plan
from resolvers.context import Info
from schema.compiler.reading import Item
from schema.enums import enum
from schema.field_sources import READING
from schema.input_model import read_input
from schema.notice import Notice

Id = Annotated[strawberry.ID, strawberry.argument(description="Its identifier.")]


def named_enum(name: str, members: Iterable[str]) -> Any:
    """An enumeration whose members another declaration lists; each has its name as its value."""
    make: Any = StrEnum  # mypy knows it with names that are written out only
    return make(name, {member: member for member in members})


def published(model: type[BaseModel], name: str, description: str) -> None:
    """Publish an input of the domain."""
    strawberry.pydantic.input(model, name=name, description=description)
    get_object_definition(model, strict=True).from_input = read_input


enum(
    Plan,
    "What an account may use.",
    {
        "free": "Without payment: the smallest limits.",
        "pro": "For one person: larger limits.",
        "team": "For a group: larger limits still.",
        "enterprise": "The largest limits; administrators have it.",
    },
)
enum(
    ProblemType, "What kind of column is predicted.", {"classification": "A class out of two or more.", "regression": "A number."}
)
enum(
    JobStatus,
    "State of a job, and of what runs as one: an experiment, an engine's run.",
    {
        "queued": "It waits for a worker.",
        "running": "A worker is at it.",
        "succeeded": "It is done.",
        "failed": "It ended without a result; `error` says why.",
        "cancelled": "A person ended it; what was finished stays.",
    },
)
enum(
    MetricBasis,
    "What the value of a metric may stand on.",
    {
        "realised": "Outcomes alone: until enough are known, nothing is said.",
        "estimated": "Estimates alone, as of `Deployment.performance`; nothing is said where the model cannot be estimated.",
        "either": "Outcomes where enough are known, else estimates.",
    },
)
enum(
    MemberRole,
    "What a member may do besides the owner, of whom a project has one.",
    {
        "viewer": "May see everything.",
        "editor": "May also upload, train, deploy and delete what is in the project.",
        "admin": "May also change the project and its members.",
    },
)
enum(
    Stage,
    "Where a deployment stands.",
    {"staging": "To be tried.", "production": "In earnest: one deployment of a project at a time."},
    "DeploymentStage",
)
enum(
    DeploymentStatus,
    "Whether a deployment serves.",
    {"active": "It answers.", "inactive": "It was stopped, and can come back.", "archived": "Another one took its place."},
)

enum(
    ReplayVerdict,
    "What a replay came to, at all looks together.",
    {
        "better": "The candidate would have cost less: its gain is certain to lie above 0.",
        "not_worse": "It would not have cost more than the margin.",
        "worse": "It would have cost more, and may have cost more than the margin.",
        "inconclusive": "The outcomes that are known do not say.",
        "no_outcomes": "No outcome is known: there is agreement only.",
    },
)
enum(
    RequiredVerdict,
    "What is asked of a replay.",
    {
        "better": "The candidate's gain is certain to lie above 0.",
        "not_worse": "It is certain not to cost more than the margin.",
    },
    "RequiredReplayVerdict",
)


def key(name: str, description: str, kind: Any) -> Any:
    """A field read from a dictionary instead of an object."""

    def read(root: strawberry.Parent[Any]) -> Any:
        return root.get(name)

    return strawberry.field(resolver=read, graphql_type=kind, description=description, metadata={READING: Item(name)})


def name_warnings(attribute: str) -> Any:
    """The field of a payload that says whether its `attribute` shares its name with something."""

    async def resolve(root: strawberry.Parent[Any], info: Info) -> Any:
        if getattr(root, attribute) is None:
            return []
        async with info.context.read() as session:
            return await duplicate_name_warnings(session, getattr(root, attribute))

    said = "Says so when another thing of the kind has the same name; else empty."
    return strawberry.field(resolver=resolve, graphql_type=list[Notice], description=said)

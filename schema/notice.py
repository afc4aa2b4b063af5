"""What the server has to say of a thing, in the public contract: a sentence that can be said in another language."""

from typing import Any

import strawberry

from coreplex.errors.tree import Message
from schema.scalars import JSON

REASON = "A machine word for the message, to translate it by (`schema/messages.json`)."
PARAMETERS = "The figures and names in the message, by name."


def _sentence(root: strawberry.Parent[Message]) -> str:
    return root


def _parameters(root: strawberry.Parent[Message]) -> Any:
    return root.parameters


@strawberry.type(description="A sentence for people, with what it takes to say it in another language.")
class Notice:
    message: str = strawberry.field(resolver=_sentence, description="The sentence.")
    reason: str = strawberry.field(description=REASON)
    parameters: JSON = strawberry.field(resolver=_parameters, graphql_type=JSON, description=PARAMETERS)

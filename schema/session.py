"""What the doors above GraphQL may use of the resolvers' request handling, named once."""

from coreplex.platform.services import Services
from resolvers.context import Context
from edge.request import answer_of, charge, check_csrf, open_context

__all__ = ["Context", "Services", "answer_of", "charge", "check_csrf", "open_context"]

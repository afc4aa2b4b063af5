"""Types of values whose shape is the user's own: GraphQL publishes both as the scalar JSON."""

from typing import Any, NewType

JSON = NewType("JSON", Any)  # type: ignore[valid-newtype]
"""Any JSON value."""

JSONObject = NewType("JSONObject", dict[str, Any])
"""A JSON object; Pydantic refuses anything else."""

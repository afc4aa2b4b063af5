"""Inputs that many concepts take."""

from typing import NewType

from pydantic import BaseModel, Field

Identifier = NewType("Identifier", str)
"""An identifier in an input: a plain text, which the contract shows as what it is."""


class Delete(BaseModel):
    id: Identifier = Field(description="Its identifier.")


class DeleteInUse(BaseModel):
    id: Identifier = Field(description="Its identifier.")
    force: bool = Field(
        False,
        description="Delete it though it is in use, which is a conflict else: training is cancelled, deployments end.",
    )

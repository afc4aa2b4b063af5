"""What a caller must say about projects and members."""

from typing import Annotated

from pydantic import BaseModel, Field, StringConstraints

from coreplex.account.inputs import NewEmail, Token
from coreplex.membership.table import MemberRole
from coreplex.platform.inputs import Description, Force, Identifier, Name


class CreateProject(BaseModel):
    name: Name = Field(description="Name of the project, 1 to 200 characters.")
    description: Description = Field("", description="What the project is about.")


class UpdateProject(BaseModel):
    project_id: Identifier = Field(description="The project to change.")
    name: Name = Field(description="New name, 1 to 200 characters.")
    description: Description | None = Field(None, description="New description; left out, the old one stays.")


class AddMember(BaseModel):
    project_id: Identifier = Field(description="The project that gets a member.")
    email: Annotated[str, StringConstraints(strip_whitespace=True, min_length=3, max_length=320)] = Field(
        description="E-mail of a registered user."
    )
    role: MemberRole = Field(MemberRole.editor, description="What the member may do.")


class ChangeMemberRole(BaseModel):
    project_id: Identifier = Field(description="The project.")
    member_id: Identifier = Field(description="Identifier of the membership.")
    role: MemberRole = Field(description="What the member may do from now on.")


class TransferProject(BaseModel):
    project_id: Identifier = Field(description="The project to give away.")
    member_id: Identifier = Field(description="Identifier of the membership of the new owner.")


class ArchiveProject(BaseModel):
    project_id: Identifier = Field(description="The project to put away.")


class UnarchiveProject(BaseModel):
    project_id: Identifier = Field(description="The project to take into use again.")


class RemoveMember(BaseModel):
    project_id: Identifier = Field(description="The project.")
    member_id: Identifier = Field(description="Identifier of the membership.")


class InviteMember(BaseModel):
    project_id: Identifier = Field(description="The project that gets a member.")
    email: NewEmail = Field(description="E-mail of the person, who need not be registered.")
    role: MemberRole = Field(MemberRole.editor, description="What the member may do.")


class OneInvitation(BaseModel):
    invitation_id: Identifier = Field(description="The invitation.")


class ResendInvitation(OneInvitation):
    pass


class RevokeInvitation(OneInvitation):
    pass


class AcceptInvitation(BaseModel):
    token: Token = Field(description="The token from the mail.")


class DeleteProject(BaseModel):
    project_id: Identifier = Field(description="The project.")
    force: Force = False

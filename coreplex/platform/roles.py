"""The enumerations that permissions are made of: plans, scopes, roles of users and of members."""

from enum import StrEnum


class UserRole(StrEnum):
    user = "user"
    admin = "admin"


class Plan(StrEnum):
    free = "free"
    pro = "pro"
    team = "team"
    enterprise = "enterprise"


class Scope(StrEnum):
    read = "read"
    write = "write"
    predict = "predict"
    admin = "admin"


class Role(StrEnum):
    """What a member may do; each role includes the ones before it."""

    viewer = "viewer"
    editor = "editor"
    admin = "admin"
    owner = "owner"

    @property
    def rank(self) -> int:
        return list(Role).index(self)

    def covers(self, needed: "Role") -> bool:
        return self.rank >= needed.rank

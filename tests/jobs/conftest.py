"""A project to have jobs in, and short periods."""

from uuid import UUID

import pytest

from coreplex.account.table import User
from coreplex.database import Database
from coreplex.job.timing import Timing
from coreplex.project.table import Project

QUICK = Timing(lease=2.0, beat=0.4, sweep=0.4, redispatch=1.5, flush=0.1, backoff=0.05, backoff_most=0.2, drain=2.0)


@pytest.fixture
def timing() -> Timing:
    return QUICK


@pytest.fixture
async def project_id(database: Database) -> UUID:
    async with database.transaction() as session:
        user = User(email="ada@example.org", name="Ada", password_hash="-")
        session.add(user)
        await session.flush()
        project = Project(owner_id=user.id, name="Engine")
        session.add(project)
    return project.id

"""What keeps a table from growing for ever. Each table says it of itself, as `__bound__`; a table that does not fails a test."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from coreplex.platform.clock import now
from coreplex.platform.settings import Settings

OF_OWNER = "Quota of the project's owner: "
OF_PROJECT = "Quota of the project: `MAX_ITEMS_PER_PROJECT`. Goes with it."


@dataclass(frozen=True)
class Rule:
    """Rows `t` that go by themselves: `ended` is their condition in SQL, in which `:horizon` is as long ago as `after` says.

    `after` is a period, or the name of a setting in days or hours, whose 0 keeps the rows for ever. `only_if` names a setting
    that must be on. `batch` rows go in one statement: few where each has many others that refer to it.
    """

    ended: str
    after: timedelta | str = timedelta(0)
    only_if: str | None = None
    batch: int = 1000

    def horizon(self, settings: Settings) -> datetime | None:
        """None: nothing is to go."""
        if self.only_if is not None and not getattr(settings, self.only_if):
            return None
        if isinstance(self.after, timedelta):
            return now() - self.after
        amount = getattr(settings, self.after)
        return now() - amount * timedelta(hours=1 if self.after.endswith("_hours") else 24) if amount else None


@dataclass(frozen=True)
class Bound:
    """Words for docs/growth.md, and the rules `coreplex.runtime.retention` carries out. Rows without a rule go with what they
    belong to, and a quota bounds that."""

    words: str
    rules: tuple[Rule, ...] = ()

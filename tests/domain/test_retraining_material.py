"""What versions are learned from: whoever makes which, no logged row is twice in one that outcomes were appended to."""

from collections import Counter
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from coreplex.dataset.table import DatasetVersion, VersionSource
from coreplex.retraining.material import without_own

DEPLOYMENTS = ("a", "b", "c")


class History:
    """The versions of a dataset, with the rows in each: those of uploads, and those that deployments were asked."""

    def __init__(self) -> None:
        self.versions: dict[UUID, DatasetVersion] = {}
        self.rows: dict[UUID, list[str]] = {}
        self.own: dict[str, set[UUID | None]] = {name: set() for name in DEPLOYMENTS}
        self.log: dict[str, int] = dict.fromkeys(DEPLOYMENTS, 0)
        self.upload()

    def _add(self, rows: list[str], parent: UUID | None, source: VersionSource) -> UUID:
        number = len(self.versions) + 1
        made = DatasetVersion(id=UUID(int=number), version=number, row_count=len(rows), parent_version_id=parent, source=source)
        self.versions[made.id], self.rows[made.id] = made, rows
        return made.id

    def upload(self) -> None:
        self._add([f"upload {len(self.versions)}"], None, VersionSource.upload)

    def reread(self, at: int) -> None:
        """Some version, with other types."""
        parent = list(self.versions)[at % len(self.versions)]
        self._add(self.rows[parent], parent, VersionSource.override)

    def ask(self, name: str) -> None:
        self.log[name] += 1

    def retrain(self, name: str) -> None:
        base = without_own(self.versions, self.own[name])
        rows = [*self.rows[base.id], *(f"{name} {number}" for number in range(self.log[name]))]
        self.own[name].add(self._add(rows, base.id, VersionSource.outcomes))


STEPS = st.one_of(
    st.just(("upload",)),
    st.tuples(st.just("reread"), st.integers(0, 30)),
    st.tuples(st.sampled_from(["ask", "retrain", "retrain"]), st.sampled_from(DEPLOYMENTS)),
)


@given(st.lists(STEPS, max_size=30))
def test_no_row_comes_twice_and_none_that_is_known_is_missing(steps: list[tuple[str, ...]]) -> None:
    history = History()
    for name, *given_ in steps:
        getattr(history, name)(*given_)
        newest = list(history.versions)[-1]
        assert max(Counter(history.rows[newest]).values()) == 1
        if name == "retrain":
            mine = {row for row in history.rows[newest] if row.startswith(f"{given_[0]} ")}
            assert len(mine) == history.log[given_[0]]

"""Places are handed out in turn: never more than there are, never more than a share, none lost by who stops waiting."""

import asyncio
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coreplex.errors.tree import Busy
from coreplex.platform.fair_places import FairPlaces, Limits

CALLERS = st.sampled_from("abcd")
ENDS = st.tuples(st.sampled_from(["leave", "cancel"]), st.integers(0, 50))
STEPS = st.lists(st.one_of(st.tuples(st.just("ask"), CALLERS), ENDS), max_size=60)


class Watched:
    """Requests for places, one task each, and what was seen of them."""

    def __init__(self, places: FairPlaces) -> None:
        self.places = places
        self.asked: list[str] = []
        self.holding: list[int] = []
        self.waiting: dict[int, asyncio.Task[None]] = {}
        self.leaving: dict[int, asyncio.Event] = {}
        self.overtaken: dict[int, Counter[str]] = {}
        """How often each other caller was served while a caller's only request waited."""

    async def _hold(self, number: int, who: str) -> None:
        async with self.places.place(who):
            del self.waiting[number]
            self.overtaken.pop(number, None)
            assert not any(self.asked[other] == who and other < number for other in self.waiting), "own requests keep their order"
            for seen in self.overtaken.values():
                seen[who] += 1
            self.holding.append(number)
            await self.leaving[number].wait()
        self.holding.remove(number)

    async def ask(self, who: str) -> None:
        number = len(self.asked)
        if not any(self.asked[other] == who for other in [*self.holding, *self.waiting]):
            self.overtaken[number] = Counter()
        self.asked.append(who)
        self.leaving[number] = asyncio.Event()
        self.waiting[number] = asyncio.create_task(self._hold(number, who))
        await settle()

    async def leave(self, place: int) -> None:
        if self.holding:
            self.leaving[self.holding[place % len(self.holding)]].set()
            await settle()

    async def cancel(self, place: int) -> None:
        if self.waiting:
            number = sorted(self.waiting)[place % len(self.waiting)]
            self.overtaken.pop(number, None)
            self.waiting.pop(number).cancel()
            await settle()

    def check(self, limits: Limits) -> None:
        held = Counter(self.asked[number] for number in self.holding)
        assert len(self.holding) == self.places.used <= limits.total
        assert held == Counter(self.places.taken)
        assert max(held.values(), default=0) <= limits.each
        if self.places.used < limits.total:
            assert all(held[self.asked[number]] == limits.each for number in self.waiting), "a free place is used"
        assert all(seen <= Counter(dict.fromkeys("abcd", 1)) for seen in self.overtaken.values()), "the turn goes round"


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


@settings(max_examples=60, deadline=None)
@given(STEPS, st.integers(1, 4), st.integers(1, 4))
def test_places_under_random_comings_and_goings(steps: list[tuple[str, str | int]], total: int, each: int) -> None:
    limits = Limits(total, min(each, total))

    async def play() -> None:
        watched = Watched(FairPlaces(limits, "a test"))
        for act, what in steps:
            await getattr(watched, act)(what)
            watched.check(limits)
        while watched.holding:
            await watched.leave(0)
            watched.check(limits)
        assert not watched.waiting, "whoever waited came to its turn"
        assert (watched.places.used, watched.places.taken) == (0, {})

    asyncio.run(play())


async def test_a_place_that_comes_with_the_cancellation_is_not_lost() -> None:
    places = FairPlaces(Limits(1, 1), "a test")
    await places.take("a")
    waiting = asyncio.create_task(places.take("b"))
    await settle()
    places.give_back("a")  # hands the place to b …
    waiting.cancel()  # … who is told to stop before it runs
    await asyncio.gather(waiting, return_exceptions=True)
    assert places.used == 0
    assert places.take_now("c")


async def test_refusals() -> None:
    places = FairPlaces(Limits(2, 1, patience=0.01, waiting_each=1, retry_after=7), "a test")
    await places.take("a")
    waiting = asyncio.create_task(places.take("a"))
    await settle()
    with pytest.raises(Busy) as full:
        await places.take("a")
    assert full.value.retry_after == 7
    with pytest.raises(Busy, match="a test"):
        await waiting
    assert places.take_now("b")
    assert places.waiting("a") == 0
    places.give_back("a")
    assert places.take_now("a")


@pytest.mark.parametrize("others", [0, 1])
async def test_a_place_is_not_lost_to_who_stops_waiting_as_it_comes(others: int) -> None:
    """Told to stop, a task leaves the queue only when it comes round: a place that falls free in between is another's."""
    places = FairPlaces(Limits(total=1, each=1, patience=None, waiting_each=None, retry_after=1), "places")
    await places.take("a")
    waiting = [asyncio.create_task(places.take("b")) for _ in range(1 + others)]
    await settle()
    waiting[0].cancel()
    places.give_back("a")
    ends = await asyncio.gather(*waiting, return_exceptions=True)
    assert isinstance(ends[0], asyncio.CancelledError)
    assert ends[1:] == [None] * others
    assert (places.used, places.waiting_in_all) == (others, 0)


async def test_who_is_told_both_busy_and_to_stop_gives_no_place_back() -> None:
    places = FairPlaces(Limits(total=1, each=1, patience=None, waiting_each=None, retry_after=1), "places")
    await places.take("a")
    waiting = asyncio.create_task(places.take("b", most=5))
    await settle()
    places._give_up("b", places._waiting["b"][-1])
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert (places.used, places.waiting_in_all) == (1, 0)

"""Tables whose rows are not independent, and tables whose rows are: each a frame with the target `y`."""

from collections.abc import Callable

import numpy as np
import polars as pl
from numpy.typing import NDArray

Array = NDArray[np.float64]
START = np.datetime64("2021-01-01T00:00:00", "ms")


def answer(signal: Array, classes: bool) -> list[str] | Array:
    """The signal itself, or whether it is above its median."""
    return ["yes" if above else "no" for above in signal > np.median(signal)] if classes else signal


def subjects(
    seed: int,
    *,
    people: int = 150,
    each: int = 8,
    classes: bool = False,
    traits: bool = True,
    name: str = "subject",
    form: str = "S{}",
) -> pl.DataFrame:
    """A few rows of every subject, who has an offset of their own, and traits that tell them apart; in random order."""
    draw = np.random.default_rng(seed)
    who = draw.permutation(np.repeat(np.arange(people), each))
    trait, state = draw.normal(size=(people, 3))[who], draw.normal(size=(len(who), 2))
    signal = draw.normal(0, 1.2, people)[who] + 0.4 * trait[:, 0] + 0.7 * state[:, 0] + draw.normal(0, 0.6, len(who))
    columns = {f"trait_{i}": trait[:, i] for i in range(3)} if traits else {}
    columns |= {f"state_{i}": state[:, i] for i in range(2)}
    names = [form.format(1000 + k) for k in who.tolist()]
    return pl.DataFrame({**columns, name: names, "y": answer(signal, classes)})


def walk(
    seed: int, *, rows: int = 1_500, classes: bool = False, when: str | None = "date", shuffled: bool = False
) -> pl.DataFrame:
    """A target whose level walks at random over time. `when` None: no column says the time."""
    draw = np.random.default_rng(seed)
    x = draw.normal(size=(rows, 3))
    signal = x[:, 0] + 0.5 * x[:, 1] + np.cumsum(draw.normal(0, 0.1, rows)) + draw.normal(0, 0.5, rows)
    columns = {f"x{i}": x[:, i] for i in range(3)}
    if when is not None:
        columns[when] = (
            START + (np.arange(rows) * 3_600_000).astype("timedelta64[ms]") if when == "date" else np.arange(rows) * 10
        )
    frame = pl.DataFrame({**columns, "y": answer(signal, classes)})
    return frame.sample(fraction=1.0, shuffle=True, seed=seed) if shuffled else frame


def sensors(seed: int, *, rows: int = 2_000, classes: bool = False) -> pl.DataFrame:
    """Readings in order without a column of time: slow sensors, and a slow rest that none of them shows."""
    draw = np.random.default_rng(seed)

    def slow(keep: float) -> Array:
        out = np.empty(rows)
        out[0] = draw.normal()
        for i, step in enumerate(draw.normal(0, np.sqrt(1 - keep**2), rows - 1), start=1):
            out[i] = keep * out[i - 1] + step
        return out

    sensor = np.column_stack([slow(0.98) for _ in range(4)])
    signal = sensor[:, 0] + 0.5 * sensor[:, 1] * sensor[:, 2] + 0.8 * slow(0.97) + draw.normal(0, 0.2, rows)
    columns = {f"sensor_{i}": sensor[:, i] + draw.normal(0, 0.05, rows) for i in range(4)}
    return pl.DataFrame({**columns, "y": answer(signal, classes)})


def copies(seed: int, *, rows: int = 300, times: int = 4, classes: bool = True, jitter: float = 0.01) -> pl.DataFrame:
    """Every row several times with a little noise, as augmentation makes them; in random order."""
    draw = np.random.default_rng(seed)
    x, word = draw.normal(size=(rows, 5)), draw.choice(["a", "b", "c"], rows)
    signal = x[:, 0] + 0.5 * x[:, 1] + draw.normal(0, 1.0, rows)
    which = draw.permutation(np.repeat(np.arange(rows), times))
    columns = {f"x{i}": x[which, i] + draw.normal(0, jitter, len(which)) for i in range(5)}
    target = np.array(answer(signal, True))[which] if classes else signal[which] + draw.normal(0, jitter, len(which))
    return pl.DataFrame({**columns, "word": word[which], "y": target})


def panel(
    seed: int, *, entities: int = 40, periods: int = 40, classes: bool = False, pass_by: bool = False, name: str = "store"
) -> pl.DataFrame:
    """Entities over time, with offsets of their own and shocks all of them share; sorted by time. `pass_by`: they come and go."""
    draw = np.random.default_rng(seed)
    who = np.repeat(np.arange(entities), periods)
    day = np.tile(np.arange(periods), entities) + (who * 3 if pass_by else 0)
    trait, x = draw.normal(size=(entities, 2))[who], draw.normal(size=(len(who), 2))
    shock = np.cumsum(draw.normal(0, 0.35, int(day.max()) + 1))[day]
    signal = draw.normal(0, 1, entities)[who] + shock + 0.5 * trait[:, 0] + 0.7 * x[:, 0] + draw.normal(0, 0.5, len(who))
    columns = {name: [f"E{k:03d}" for k in who], "date": START + day.astype("timedelta64[D]").astype("timedelta64[ms]")}
    columns |= {f"trait_{i}": trait[:, i] for i in range(2)} | {f"x{i}": x[:, i] for i in range(2)}
    return pl.DataFrame({**columns, "y": answer(signal, classes)}).sort("date")


def countries(seed: int, *, entities: int = 140, periods: int = 14) -> pl.DataFrame:
    """Countries every five years, on levels of their own, moved together from year to year: an ordinary category, and a panel."""
    draw = np.random.default_rng(seed)
    who, turn = np.repeat(np.arange(entities), periods), np.tile(np.arange(periods), entities)
    level, shock = draw.normal(60, 5, entities)[who], np.cumsum(draw.normal(2, 3, periods))[turn]
    y = level + shock + draw.normal(0, 0.7, len(who))
    columns = {"country": [f"{'ABCDEFGHIJ'[k % 10]}land {'abcdefghijklmn'[k // 10]}" for k in who], "year": 1950 + 5 * turn}
    return pl.DataFrame({**columns, "income": np.exp(level / 12 + draw.normal(0, 0.3, len(who))), "y": y})


def independent(seed: int) -> pl.DataFrame:
    """Independent rows of many shapes, with columns that look like groups and times and mean nothing, perhaps sorted."""
    draw = np.random.default_rng(seed)
    rows, wide = int(draw.integers(200, 2_500)), int(draw.integers(2, 8))
    x, level = draw.normal(size=(rows, wide)), draw.integers(0, int(draw.integers(2, 40)), rows)
    x = [x, np.exp(x), x.round(1)][int(draw.integers(0, 3))]
    signal = x[:, 0] + (x[:, 1] > 0) + 0.5 * np.sin(level) + draw.normal(0, float(draw.uniform(0.2, 2)), rows)
    columns = {f"x{i}": x[:, i] for i in range(wide)} | {"kind": [f"c{k}" for k in level]}
    if draw.random() < 0.5:
        name = str(draw.choice(["subject", "patient_id", "store", "user", "session_id"]))
        columns[name] = draw.integers(0, max(rows // int(draw.integers(2, 20)), 5), rows)
    if draw.random() < 0.5:
        days = draw.integers(0, 700, rows)
        days = np.sort(days) if draw.random() < 0.6 else days
        columns[str(draw.choice(["date", "created_at"]))] = START + days.astype("timedelta64[D]").astype("timedelta64[ms]")
    columns |= {"id": np.arange(rows)} if draw.random() < 0.3 else {}
    frame = pl.DataFrame({**columns, "y": answer(signal, bool(draw.random() < 0.5))})
    order = [None, None, None, ["x0"], ["y"], ["kind"], ["kind", "x0"]][int(draw.integers(0, 7))]
    return frame.sort(order) if order else frame


PLANTED: dict[str, tuple[Callable[[int], pl.DataFrame], tuple[str, str | None, str | None]]] = {
    "subjects": (subjects, ("group", "subject", None)),
    "subjects, classes": (lambda seed: subjects(seed, classes=True), ("group", "subject", None)),
    "subjects as numbers": (lambda seed: subjects(seed, name="patient_id", form="{}"), ("group", "patient_id", None)),
    "subjects as hashes": (lambda seed: subjects(seed, name="k", form="{}").with_columns(hashed("k")), ("group", "k", None)),
    "users without traits": (lambda seed: subjects(seed, name="user", traits=False), ("group", "user", None)),
    "few patients": (lambda seed: subjects(seed, people=25, each=30, name="patient"), ("group", "patient", None)),
    "sessions of three": (lambda seed: subjects(seed, people=300, each=3, name="session"), ("group", "session", None)),
    "stores": (lambda seed: subjects(seed, people=60, each=20, name="store"), ("group", "store", None)),
    "random walk": (walk, ("time", None, "date")),
    "random walk, classes": (lambda seed: walk(seed, classes=True), ("time", None, "date")),
    "random walk, shuffled": (lambda seed: walk(seed, shuffled=True), ("time", None, "date")),
    "random walk over numbers": (lambda seed: walk(seed, when="timestamp"), ("time", None, "timestamp")),
    "random walk without a time": (lambda seed: walk(seed, when=None), ("time", None, None)),
    "sensors": (sensors, ("time", None, None)),
    "sensors, classes": (lambda seed: sensors(seed, classes=True), ("time", None, None)),
    "near copies": (copies, ("stratified", None, None)),
    "near copies of numbers": (lambda seed: copies(seed, classes=False, times=3), ("stratified", None, None)),
    "near copies, twice": (lambda seed: copies(seed, rows=600, times=2, jitter=0.02), ("stratified", None, None)),
    "panel of patients": (lambda seed: panel(seed, name="patient"), ("group_time", "patient", "date")),
    "panel that passes by": (lambda seed: panel(seed, entities=60, periods=20, pass_by=True), ("group_time", "store", "date")),
    "panel that stays": (panel, ("time", None, "date")),
    "countries over years": (countries, ("time", None, "year")),
}
"""What is to be found: strategy, column of the groups, column of the time."""


def hashed(name: str) -> pl.Expr:
    """The values of a column as eleven hexadecimal digits."""
    return pl.col(name).map_elements(lambda text: f"{int(text) * 2654435761 % 2**44:011x}", return_dtype=pl.String)

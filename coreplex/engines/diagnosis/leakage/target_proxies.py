"""Finds columns that stand for the target without being a function of it value by value: by where they are missing, by their
words, as means of it over groups.

Values filled in only after the outcome, as a leaving date is, determine the class by being there (informative missingness). Texts
hold the target's number, or a word that stands in texts of one class only and in almost all of them. A target mean encoding is,
for every value it takes, the mean of the target over the rows that have it, the row's own value included: sampling would break
that, so such a column and the target are read whole; only columns that could be such means by their form are.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from coreplex.engines.diagnosis.leakage.detector import LARGEST, LEAVE_OUT, DetectorInput, Leak, single_column_leak
from coreplex.engines.diagnosis.leakage.univariate import CLASSES, Codes, Floats
from coreplex.errors.tree import Message

Flags = NDArray[np.bool_]
LEAST_MISSING = 20
"""Rows with a value, and rows without, that it takes at least."""
LEAST_PURITY = 0.98
"""Fraction of these rows that must be of one class."""
MOST_BASE_RATE = 0.8
"""A class of a greater fraction of all rows proves nothing by being there."""
MOST_LOG_CHANCE = -30.0
"""Natural logarithm of the chance that so many rows are of one outcome by accident."""
MOST_COLUMNS = 12
"""Columns read whole."""
LEAST_GROUPS = 8
MOST_OF_CHANCE = 0.1
"""Residuals of the means about a straight line, in their standard errors: independent means would give about 1."""
MOST_UNEXPLAINED = 0.001
"""Fraction of the variance of the means that a line over the values may leave."""
LEAST_TEXTS, MOST_TEXTS = 50, 5_000
LEAST_SHARE = 0.95
"""Fraction of rows for which the text must say the target."""
_WORD = r"[\p{L}\p{N}]+"


def missingness(data: DetectorInput, flagged: set[str]) -> Iterator[Leak]:
    """Missing or present values that determine the class, or whether a number is its most frequent one (a claim of 0)."""
    classes, names = data.outcomes()
    if classes is None:
        return
    for column, values in data.unflagged(flagged):
        rule = _outcome_of_missingness(values.is_null().to_numpy(), classes)
        if rule is None:
            continue
        said = Message(
            "leak_by_absence",
            "Where {column!r} {state} ({rows:,} of the rows looked at), {target!r} is {outcome} in {percent:.1f} %: it is filled "
            "in only after the outcome.",
            column=column.name,
            state="has a value" if rule.present else "is empty",
            rows=rule.rows,
            target=data.name,
            outcome=names[rule.outcome],
            percent=100 * rule.share,
        ).then(LEAVE_OUT)
        yield single_column_leak(
            data, "absence", column.name, said, present=rule.present, outcome=names[rule.outcome], share=rule.share
        )


@dataclass(frozen=True)
class _MissingnessRule:
    """Of the `rows` rows whose value is `present` (or is missing), the fraction `share` (0..1) is of class `outcome`.

    `outcome` is a class code from 0, as in `EncodedTarget.codes`.
    """

    outcome: int
    present: bool
    share: float
    rows: int


def _outcome_of_missingness(missing: Flags, classes: Codes) -> _MissingnessRule | None:
    """The class that missing, or present, values almost always have; None where there is none, or it is the usual one anyway.

    `missing` (n,): whether the value is missing; `classes` (n,): class codes from 0. Of both, the one with more rows.
    """
    best: _MissingnessRule | None = None
    for present in (True, False):
        rows = classes[missing != present]
        if len(rows) < LEAST_MISSING or len(rows) > len(classes) - LEAST_MISSING:
            continue
        counts = np.bincount(rows)
        outcome = int(counts.argmax())
        share, usual = counts[outcome] / len(rows), float((classes == outcome).mean())
        if share < LEAST_PURITY or usual > MOST_BASE_RATE or len(rows) * np.log(usual) > MOST_LOG_CHANCE:
            continue
        if best is None or len(rows) > best.rows:
            best = _MissingnessRule(outcome, present, float(share), len(rows))
    return best


def mean_encodings(data: DetectorInput, flagged: set[str]) -> Iterator[Leak]:
    """Columns that are means of the target over groups of rows."""
    for name, rows in _mean_encoded_columns(data):
        if name not in flagged:
            said = Message(
                "leak_of_group_mean",
                "Column {column!r} is the mean of {target!r} over groups of about {rows:.0f} rows, each row's own value "
                "included. Leave it out, or compute it from earlier rows only.",
                column=name,
                target=data.name,
                rows=rows,
            )
            yield single_column_leak(data, "group_mean", name, said, rows_per_group=round(rows, 1))


def _mean_encoded_columns(data: DetectorInput) -> list[tuple[str, float]]:
    """(column, rows per group on average) of each column that is a mean of the target; reads whole columns, 12 at most.

    Columns there was no time for are said in `data.unfinished`.
    """
    found = []
    for name in _likely(data)[:MOST_COLUMNS]:
        if data.deadline.over:
            data.unfinished.append(
                Message("group_means_not_all_sought", "Columns that are group means of the target were not all looked for.")
            )
            break
        rows = _is_mean(data, name)
        if rows is not None:
            found.append((name, rows))
    return found


def _likely(data: DetectorInput) -> list[str]:
    """Float features whose values repeat and explain more than 1 % of the target, highest univariate skill first."""
    able = []
    for column in data.features:
        values = data.frame.get_column(column.name)
        distinct = values.n_unique()
        repeated = distinct <= 0.5 * values.len() or not data.whole
        if values.dtype.is_float() and distinct >= LEAST_GROUPS and repeated and data.skill(column.name) > 0.01:
            able.append(column.name)
    return sorted(able, key=lambda name: -data.skill(name))


def _is_mean(data: DetectorInput, name: str) -> float | None:
    """Rows per value on average, where the target's means by value of the column lie on a line; else None."""
    target = pl.col(data.name)
    responses = [target]
    if data.classification:
        responses = [target.eq(pl.lit(value)) for value in data.target.classes[:3]]
    scan = pl.scan_parquet(data.table, glob=False).select(name, data.name).drop_nulls().filter(pl.col(name).abs() < LARGEST)
    for response in (one.cast(pl.Float64) for one in responses):
        asked = (pl.len().alias("rows"), response.mean().alias("mean"), response.std().alias("spread"))
        groups = scan.group_by(name).agg(asked).collect(engine="streaming").filter(pl.col("spread") > 0)
        if groups.height >= LEAST_GROUPS and _on_a_line(*(groups[key].to_numpy() for key in (name, "mean", "spread", "rows"))):
            return float(groups["rows"].to_numpy().mean())
    return None


def _on_a_line(values: Floats, means: Floats, spreads: Floats, rows: Floats) -> bool:
    """Whether means lie much nearer to a line over the values than their standard errors allow: (values,) each."""
    errors = spreads / np.sqrt(rows)
    slope, level = np.polyfit(values - values.mean(), means, 1, w=1 / errors)
    away = (means - level - slope * (values - values.mean())) / errors
    spread = (means - np.average(means, weights=errors**-2)) / errors
    return bool(
        (away**2).sum() < MOST_OF_CHANCE**2 * (len(values) - 2) and (away**2).sum() < MOST_UNEXPLAINED * (spread**2).sum()
    )


def texts(data: DetectorInput, flagged: set[str]) -> Iterator[Leak]:
    """Texts and categories that contain the target, as a keyword of its class or as its number."""
    for column, values in data.unflagged(flagged):
        if values.dtype != pl.String or data.deadline.over:
            continue
        if data.classification and int(data.target.codes.max()) < CLASSES:
            found = _class_keywords(values, data.target.codes, [str(data.spelled(value)) for value in data.target.classes])
            if found is not None:
                words = ", ".join(f"{word!r} for {outcome!r}" for outcome, word in list(found.words.items())[:5])
                said = Message(
                    "leak_of_keywords",
                    "The texts of {column!r} say {target!r} ({words}) in {percent:.1f} % of rows.",
                    column=column.name,
                    target=data.name,
                    words=words,
                    percent=100 * found.share,
                ).then(LEAVE_OUT)
                yield Leak(
                    "text",
                    (column.name,),
                    "high",
                    said,
                    found.share,
                    0.0,
                    (column.name,),
                    {"words": found.words, "share": found.share},
                )
        elif not data.classification:
            share = _quoted_share(values, data.frame.get_column(data.name))
            if share >= LEAST_SHARE:
                said = Message(
                    "leak_of_quoted_number",
                    "The texts of {column!r} hold {target!r} itself in {percent:.1f} % of the rows.",
                    column=column.name,
                    target=data.name,
                    percent=100 * share,
                ).then(LEAVE_OUT)
                yield Leak("text", (column.name,), "high", said, share, 0.0, (column.name,), {"share": share})


@dataclass(frozen=True)
class _ClassKeywords:
    """`words`: the keywords of the classes that have one, by name. `share`: fraction (0..1) of rows classified right."""

    words: dict[str, str]
    share: float


def _class_keywords(texts: pl.Series, classes: Codes, names: list[str]) -> _ClassKeywords | None:
    """The keywords by which texts say the class; all classes but one must have one (its texts are those without any). Else None.

    `texts` (n,) strings, null where missing; `classes` (n,) codes from 0; `names`: of the classes, by code. Looks at 5,000 texts.
    """
    present = texts.is_not_null().to_numpy()
    texts, classes = texts.filter(present).head(MOST_TEXTS), classes[present][:MOST_TEXTS]
    if len(classes) < LEAST_TEXTS or len(np.unique(classes)) < 2:
        return None
    words = [frozenset(found) for found in texts.str.to_lowercase().str.extract_all(_WORD).to_list()]
    found = {index: word for index in np.unique(classes).tolist() if (word := _keyword(index, words, classes))}
    if len(found) < len(np.unique(classes)) - 1:
        return None
    rest = next((index for index in np.unique(classes).tolist() if index not in found), None)
    predictions = np.array([next((i for i, word in found.items() if word in row), -1 if rest is None else rest) for row in words])
    share = float((predictions == classes).mean())
    return _ClassKeywords({names[index]: word for index, word in found.items()}, share) if share >= LEAST_SHARE else None


def _keyword(index: int, words: list[frozenset[str]], classes: Codes) -> str | None:
    own = [row for row, code in zip(words, classes, strict=True) if code == index]
    if not own:
        return None
    counts = Counter(word for row in own for word in row)
    likely = {word for word, count in counts.items() if count >= LEAST_SHARE * len(own)}
    elsewhere = Counter(word for row, code in zip(words, classes, strict=True) if code != index for word in row & likely)
    clear = [word for word in likely if elsewhere[word] <= (1 - LEAST_SHARE) * counts[word]]
    return min(clear, key=lambda word: (elsewhere[word], -counts[word], word), default=None)


def _quoted_share(texts: pl.Series, values: pl.Series) -> float:
    """Fraction of texts that contain the row's own number, less that of texts with another row's (−1..1; 0 below 50 rows).

    `texts`, `values`: (n,), null where missing. Looks at 5,000 rows.
    """
    both = pl.DataFrame({"text": texts, "value": values}).drop_nulls().head(MOST_TEXTS)
    if both.height < LEAST_TEXTS or both["value"].n_unique() < 20:
        return 0.0
    numbers = [{float(found) for found in row} for row in both["text"].str.extract_all(r"-?\d+(?:\.\d+)?").to_list()]
    own = both["value"].cast(pl.Float64).to_list()
    hits = sum(value in found for value, found in zip(own, numbers, strict=True))
    by_chance = sum(value in found for value, found in zip(own[1:] + own[:1], numbers, strict=True))
    return (hits - by_chance) / len(own)

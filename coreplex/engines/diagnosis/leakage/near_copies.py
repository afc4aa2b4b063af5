"""Finds columns that predict the target suspiciously well: far better alone than any other, and than a model of all others.

The model is a small LightGBM model over many columns at once, cross-validated; it also says what is lost without what leaks.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import polars as pl

from coreplex.engines.diagnosis.leakage.detector import LEAVE_OUT, VERIFY_TIMING, DetectorInput, Leak, single_column_leak
from coreplex.engines.diagnosis.leakage.exact_relations import in_file_order
from coreplex.engines.diagnosis.leakage.univariate import Codes, EncodedTarget, Floats, UnivariateScore, variance_explained
from coreplex.engines.import_boosters import lightgbm
from coreplex.engines.tabular.schema import Column, ColumnType
from coreplex.errors.tree import Message

NEAR_COPY_SKILL_OF_CLASS, NEAR_COPY_SKILL_OF_NUMBER = 0.9, 0.965
"""Fraction of variance explained from which a column alone is nearly a copy of the target."""
ERROR_RATIO = 3.0
"""The next best column leaves at least this many times the squared error."""
NEAR_COPIES_SKILL, ERROR_RATIO_OF_TWO = 0.97, 5.0
"""The same for two columns ahead of all others: two copies of one leak, but length and width of a petal too."""
SUSPICIOUS_SKILL, SUSPICIOUS_LEAD = 0.8, 0.25
"""Skill of a column, and how far ahead of the next best it is, that are worth a question."""
ROWS, COLUMNS, FOLDS = 4_000, 60, 3
CLASSES = 10
"""Of more classes only the rows of the commonest are looked at."""
TREES, LEAST_ROUNDS = 120, 20
SETTINGS = {"verbosity": -1, "num_threads": 1, "learning_rate": 0.1, "num_leaves": 15, "min_data_in_leaf": 5, "seed": 0}


def near_copies(data: DetectorInput, flagged: set[str]) -> Iterator[Leak]:
    """Columns that nearly determine the target where no other comes near, and a model of all the others does no better."""
    skills = sorted(((one.skill, name) for name, one in data.univariate.items() if name not in flagged), reverse=True)
    skills = [(skill, name) for skill, name in skills if not _is_time(data, name)]
    one = (NEAR_COPY_SKILL_OF_CLASS if data.classification else NEAR_COPY_SKILL_OF_NUMBER, ERROR_RATIO)
    for count, (least, far) in ((2, (NEAR_COPIES_SKILL, ERROR_RATIO_OF_TWO)), (1, one)):
        if len(skills) <= count:
            continue
        ahead, (next_skill, next_name) = skills[:count], skills[count]
        if ahead[-1][0] >= least and (1 - next_skill) >= far * (1 - ahead[-1][0]):
            names = [name for _, name in ahead]
            if not data.deadline.over and cross_validate(data, data.ranked({*flagged, *names})).skill <= ahead[-1][0]:
                for skill, name in ahead:
                    said = Message(
                        "leak_of_near_copy",
                        "Column {column!r} alone nearly settles {target!r} ({percent:.1f} % explained); the next best, {next!r}, "
                        "{next_percent:.1f} %. It probably repeats it or is known only afterwards.",
                        column=name,
                        target=data.name,
                        percent=100 * skill,
                        next=next_name,
                        next_percent=100 * max(next_skill, 0),
                    ).then(LEAVE_OUT)
                    yield single_column_leak(
                        data, "near_copy", name, said, skill=round(skill, 4), next_best_skill=round(next_skill, 4)
                    )
                return
    if len(skills) > 2 and skills[0][0] >= SUSPICIOUS_SKILL and skills[1][0] <= skills[0][0] - SUSPICIOUS_LEAD:
        (skill, name), (next_skill, next_name) = skills[:2]
        said = Message(
            "leak_suspected",
            "Column {column!r} explains {target!r} suspiciously well ({percent:.0f} %; the next best, {next!r}, "
            "{next_percent:.0f} %).",
            column=name,
            target=data.name,
            percent=100 * skill,
            next=next_name,
            next_percent=100 * max(next_skill, 0),
        ).then(VERIFY_TIMING)
        yield single_column_leak(
            data, "suspicious", name, said, "medium", skill=round(skill, 4), next_best_skill=round(next_skill, 4)
        )


def _is_time(data: DetectorInput, name: str) -> bool:
    """Whether a column is a time, or sorted along the file: a trend in time is no leak."""
    if data.frame.get_column(name).dtype.is_temporal():
        return True
    numbers = data.numbers.get(name)
    return numbers is not None and in_file_order(numbers)


def cross_validate(data: DetectorInput, columns: Sequence[Column]) -> UnivariateScore:
    """Out-of-fold skill and score of LightGBM on up to `ROWS` rows and the first `COLUMNS` of these columns, texts apart.

    Of more than `CLASSES` classes only rows of the commonest are used. Without usable columns, those of the mean.
    """
    target = data.target
    able = np.flatnonzero(target.codes < CLASSES) if data.classification else np.arange(target.rows)
    rows = np.sort(np.random.default_rng(0).permutation(able)[:ROWS])
    usable = [column for column in columns if column.type is not ColumnType.text][:COLUMNS]
    truth = target.responses[0][rows]
    predictions = np.broadcast_to(truth.mean(axis=0), truth.shape)
    if usable:
        matrix = np.column_stack([_numbers(data.frame.get_column(column.name))[rows] for column in usable])
        predictions = _out_of_fold(matrix, target, rows)
    return UnivariateScore(variance_explained(truth, predictions), target.score(predictions, rows=rows))


def _out_of_fold(matrix: Floats, target: EncodedTarget, rows: Codes) -> Floats:
    """Out-of-fold predictions (rows, k) of the first response, from a matrix (rows, columns); `rows`: their numbers."""
    truth = target.responses[0][rows]
    predictions = np.zeros_like(truth)
    classes = len(np.unique(target.codes[rows])) if target.classification else 1
    settings: dict[str, Any] = dict(SETTINGS)
    if classes > 1:
        settings |= {"objective": "binary"} if classes == 2 else {"objective": "multiclass", "num_class": classes}
    wanted = target.codes[rows] if target.classification else truth[:, 0]
    rounds = max(TREES // max(classes - 1, 2), LEAST_ROUNDS)
    folds = np.random.default_rng(0).permutation(len(rows)) % FOLDS
    for fold in range(FOLDS):
        inside = folds != fold
        found = lightgbm.train(settings, lightgbm.Dataset(matrix[inside], wanted[inside]), rounds).predict(matrix[~inside])
        found = np.column_stack((1 - found, found)) if classes == 2 else found.reshape(len(found), -1)
        predictions[~inside, : found.shape[1]] = found
    return predictions


def _numbers(values: pl.Series) -> Floats:
    """(n,) floats, NaN where missing; categories by their number."""
    if values.dtype in (pl.String, pl.Boolean):
        return values.rank("dense").cast(pl.Float64).to_numpy()
    return values.to_physical().cast(pl.Float64).to_numpy()

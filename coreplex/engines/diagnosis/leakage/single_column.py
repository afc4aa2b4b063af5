"""Leak detectors over single columns: exact relations to the target first, then columns that predict suspiciously well."""

from collections.abc import Iterator

import numpy as np
import polars as pl

from coreplex.engines.diagnosis.leakage import (
    cross_validated_model,
    functional_relations,
    informative_missingness,
    mean_encoding,
    target_in_text,
    univariate,
)
from coreplex.engines.diagnosis.leakage.detector_input import DetectorInput
from coreplex.engines.diagnosis.leakage.leak import VERIFY_TIMING, Leak, single_column_leak
from coreplex.engines.tabular.schema import Column, ColumnType

NEAR_COPY_SKILL_OF_CLASS, NEAR_COPY_SKILL_OF_NUMBER = 0.9, 0.965
"""Fraction of variance explained from which a column alone is nearly a copy of the target."""
ERROR_RATIO = 3.0
"""The next best column leaves at least this many times the squared error."""
NEAR_COPIES_SKILL, ERROR_RATIO_OF_TWO = 0.97, 5.0
"""The same for two columns ahead of all others: two copies of one leak, but length and width of a petal too."""
SUSPICIOUS_SKILL, SUSPICIOUS_LEAD = 0.8, 0.25
"""Skill of a column, and how far ahead of the next best it is, that are worth a question."""
SORTED = 0.999
"""Fraction of steps along the file that go one way, in a column the file is sorted by."""


def _unflagged(data: DetectorInput, flagged: set[str]) -> Iterator[tuple[Column, pl.Series]]:
    """Features that no earlier detector has flagged, with their (n,) values."""
    for column in data.features:
        if column.name not in flagged and column.type is not ColumnType.id:
            yield column, data.frame.get_column(column.name)


def _exact_relations(data: DetectorInput, flagged: set[str]) -> Iterator[Leak]:
    """Columns that are an exact function of the target, or it of them, by ties and order."""
    for column, values in _unflagged(data, flagged):
        name, codes, numbers = column.name, functional_relations.observed_level_codes(values), data.numbers.get(column.name)
        form = _class_form(data, codes, numbers) if data.classification else _number_form(data, codes, numbers)
        if form is None:
            continue
        in_order = numbers is not None and _in_file_order(numbers)
        if form in ("cut", "transform") and in_order:
            said = f"The rows stand in the order of {data.name!r}, and {name!r} counts them. Leave it out."
            yield single_column_leak(data, "row_counter", name, said)
        else:
            yield single_column_leak(data, form, name, _FORMS[form].format(column=repr(name), target=repr(data.name)))


def _indicators(data: DetectorInput, flagged: set[str]) -> Iterator[Leak]:
    """Columns of two values that say whether the target is one of several classes."""
    if not data.classification:
        return
    for column, values in _unflagged(data, flagged):
        code = functional_relations.indicated_class(values, data.target.codes)
        if code is not None:
            outcome = _outcomes(data)[1][code]
            said = (
                f"Column {column.name!r} has one value where {data.name!r} is {outcome}, and another everywhere else: it was "
                "made from it. Leave it out."
            )
            yield single_column_leak(data, "indicator", column.name, said, outcome=outcome)


_FORMS = {
    "copy": "Column {column} is {target} under other names: each of its values stands for one class. Leave it out.",
    "cut": "The classes of {target} are ranges of {column} that touch each other: {target} was cut from it. Leave it out.",
    "binned": "The values of {column} are ranges of {target} that do not overlap: it was made from it. Leave it out.",
    "transform": "Column {column} rises or falls with {target} without exception: one was computed from the other. Leave it out.",
}


def _class_form(data: DetectorInput, codes: univariate.Codes, numbers: univariate.Floats | None) -> str | None:
    classes = data.target.codes
    if functional_relations.is_relabelling(codes, classes):
        return "copy"
    if numbers is not None and int(classes.max()) < univariate.CLASSES and functional_relations.is_thresholding(numbers, classes):
        return "cut"
    return None


def _number_form(data: DetectorInput, codes: univariate.Codes, numbers: univariate.Floats | None) -> str | None:
    target = data.target.responses[0][:, 0]
    if functional_relations.is_binning(codes, target):
        return "binned"
    if numbers is not None and functional_relations.is_monotone(numbers, target):
        return "transform"
    return None


def _in_file_order(numbers: univariate.Floats) -> bool:
    """Whether a column only rises, or only falls, along the file."""
    known = numbers[~np.isnan(numbers)]
    if len(known) < functional_relations.LEAST_ROWS:
        return False
    steps = np.diff(known)
    return bool(max((steps >= 0).mean(), (steps <= 0).mean()) >= SORTED)


def _missingness(data: DetectorInput, flagged: set[str]) -> Iterator[Leak]:
    """Missing or present values that determine the class, or whether a number is its most frequent one (a claim of 0)."""
    classes, names = _outcomes(data)
    if classes is None:
        return
    for column, values in _unflagged(data, flagged):
        rule = informative_missingness.outcome_of_missingness(values.is_null().to_numpy(), classes)
        if rule is None:
            continue
        when = "has a value" if rule.present else "is empty"
        said = (
            f"Where {column.name!r} {when} ({rule.rows:,} of the rows looked at), {data.name!r} is {names[rule.outcome]} in "
            f"{100 * rule.share:.1f} %: it is filled in only after the outcome. Leave it out."
        )
        yield single_column_leak(
            data, "absence", column.name, said, present=rule.present, outcome=names[rule.outcome], share=rule.share
        )


def _outcomes(data: DetectorInput) -> tuple[univariate.Codes | None, list[str]]:
    """(class of each row, names of the classes); of a number, whether it is its most frequent value."""
    if data.classification:
        return data.target.codes, [repr(data.spelled(value)) for value in data.target.classes]
    usual, rows = data.frame.get_column(data.name).value_counts(sort=True).row(0)
    if not 0.02 * data.target.rows <= rows <= 0.98 * data.target.rows:
        return None, []
    is_usual = (data.frame.get_column(data.name) == usual).to_numpy().astype(np.int64)
    return is_usual, [f"not {data.spelled(usual)!r}", repr(data.spelled(usual))]


def _mean_encodings(data: DetectorInput, flagged: set[str]) -> Iterator[Leak]:
    """Columns that are means of the target over groups of rows."""
    for name, rows in mean_encoding.mean_encoded_columns(data):
        if name not in flagged:
            said = (
                f"Column {name!r} is the mean of {data.name!r} over groups of about {rows:.0f} rows, each row's own value "
                "included. Leave it out, or compute it from earlier rows only."
            )
            yield single_column_leak(data, "group_mean", name, said, rows_per_group=round(rows, 1))


def _texts(data: DetectorInput, flagged: set[str]) -> Iterator[Leak]:
    """Texts and categories that contain the target, as a keyword of its class or as its number."""
    for column, values in _unflagged(data, flagged):
        if values.dtype != pl.String or data.deadline.over:
            continue
        if data.classification and int(data.target.codes.max()) < univariate.CLASSES:
            found = target_in_text.class_keywords(
                values, data.target.codes, [str(data.spelled(value)) for value in data.target.classes]
            )
            if found is not None:
                words = ", ".join(f"{word!r} for {outcome!r}" for outcome, word in list(found.words.items())[:5])
                percent = 100 * found.share
                said = f"The texts of {column.name!r} say {data.name!r} ({words}) in {percent:.1f} % of rows. Leave it out."
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
            share = target_in_text.quoted_share(values, data.frame.get_column(data.name))
            if share >= target_in_text.LEAST_SHARE:
                said = f"The texts of {column.name!r} hold {data.name!r} itself in {100 * share:.1f} % of the rows. Leave it out."
                yield Leak("text", (column.name,), "high", said, share, 0.0, (column.name,), {"share": share})


def _near_copies(data: DetectorInput, flagged: set[str]) -> Iterator[Leak]:
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
            if (
                not data.deadline.over
                and cross_validated_model.cross_validate(data, data.ranked({*flagged, *names})).skill <= ahead[-1][0]
            ):
                for skill, name in ahead:
                    said = (
                        f"Column {name!r} alone nearly settles {data.name!r} ({100 * skill:.1f} % explained); the next best, "
                        f"{next_name!r}, {100 * max(next_skill, 0):.1f} %. It probably repeats it or is known only afterwards. "
                        "Leave it out."
                    )
                    yield single_column_leak(
                        data, "near_copy", name, said, skill=round(skill, 4), next_best_skill=round(next_skill, 4)
                    )
                return
    if len(skills) > 2 and skills[0][0] >= SUSPICIOUS_SKILL and skills[1][0] <= skills[0][0] - SUSPICIOUS_LEAD:
        (skill, name), (next_skill, next_name) = skills[:2]
        said = (
            f"Column {name!r} explains {data.name!r} suspiciously well ({100 * skill:.0f} %; the next best, {next_name!r}, "
            f"{100 * max(next_skill, 0):.0f} %). {VERIFY_TIMING}"
        )
        yield single_column_leak(
            data, "suspicious", name, said, "medium", skill=round(skill, 4), next_best_skill=round(next_skill, 4)
        )


def _is_time(data: DetectorInput, name: str) -> bool:
    """Whether a column is a time, or sorted along the file: a trend in time is no leak."""
    if data.frame.get_column(name).dtype.is_temporal():
        return True
    numbers = data.numbers.get(name)
    return numbers is not None and _in_file_order(numbers)


def _lookup_keys(data: DetectorInput, flagged: set[str]) -> Iterator[Leak]:
    """Keys that repeat, always with one class: a matter of how models are judged, not of a column to leave out."""
    for column, values in _unflagged(data, flagged):
        if column.type is ColumnType.text or values.dtype.is_float() or values.dtype.is_temporal():
            continue
        if functional_relations.is_lookup_key(
            functional_relations.observed_level_codes(values), data.target.codes
        ) and not _in_ranges(data, column.name):
            said = (
                f"Each value of {column.name!r} comes again, always with the same {data.name!r}: rows of one value are not "
                "independent. Name it as group_column, or models are judged by rows they know."
            )
            yield single_column_leak(data, "lookup", column.name, said, "medium", values=values.n_unique())


def _in_ranges(data: DetectorInput, name: str) -> bool:
    """Whether the classes are few runs along the sorted values of a numeric column: no key does that."""
    numbers = data.numbers.get(name)
    if numbers is None:
        return False
    codes = data.target.codes[np.argsort(numbers, kind="stable")]
    return bool((np.diff(codes) != 0).sum() < 3 * len(np.unique(codes)))


def _row_counters(data: DetectorInput, flagged: set[str]) -> Iterator[Leak]:
    """Identifiers that number the rows of a file sorted by its target: no features, but the file's order gives it away."""
    for column in data.ids:
        values = data.frame.get_column(column.name)
        if column.name in flagged or not values.dtype.is_numeric():
            continue
        numbers = values.cast(pl.Float64).to_numpy()
        target = data.target.responses[0][:, 0]
        related = (
            functional_relations.is_thresholding(numbers, data.target.codes)
            if data.classification
            else functional_relations.is_monotone(numbers, target)
        )
        if related and _in_file_order(numbers):
            said = (
                f"The rows stand in the order of {data.name!r}, so their number {column.name!r} gives it away. It is an "
                "identifier and not used for training."
            )
            yield Leak("row_counter", (column.name,), "medium", said, 1.0, 0.0, ())


EXACT_DETECTORS = (_exact_relations, _indicators, _missingness, _mean_encodings, _texts, _lookup_keys)
HEURISTIC_DETECTORS = (_near_copies, _row_counters)
"""Run after the exact ones, those of several columns too."""

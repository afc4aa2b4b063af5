"""Searches for single columns that give the target away."""

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
from coreplex.engines.diagnosis.leakage.detector_input import Case
from coreplex.engines.diagnosis.leakage.leak import LATER, Leak, of_one
from coreplex.engines.tabular.schema import Column, ColumnType

NEAR_CLASS, NEAR_NUMBER = 0.9, 0.965
"""Skill from which a column alone nearly settles the target."""
FAR = 3.0
"""No other column comes near: it leaves this many times the error, at least."""
TWO_NEAR, TWO_FAR = 0.97, 5.0
"""The same for two columns ahead of all others: two copies of one leak, but length and width of a petal too."""
STRONG, GAP = 0.8, 0.25
"""Skill of a column, and its distance to the next best, that are worth a question."""
ORDERED = 0.999


def _open(case: Case, accused: set[str]) -> Iterator[tuple[Column, pl.Series]]:
    for column in case.features:
        if column.name not in accused and column.type is not ColumnType.id:
            yield column, case.frame.get_column(column.name)


def _forms(case: Case, accused: set[str]) -> Iterator[Leak]:
    """The target in another form, by ties and order."""
    for column, values in _open(case, accused):
        name, codes, numbers = column.name, functional_relations.codes_of(values), case.numbers.get(column.name)
        form = _class_form(case, codes, numbers) if case.classification else _number_form(case, codes, numbers)
        if form is None:
            continue
        in_order = numbers is not None and _in_file_order(numbers)
        if form in ("cut", "transform") and in_order:
            said = f"The rows stand in the order of {case.name!r}, and {name!r} counts them. Leave it out."
            yield of_one(case, "row_counter", name, said)
        else:
            yield of_one(case, form, name, _FORMS[form].format(column=repr(name), target=repr(case.name)))


def _indicators(case: Case, accused: set[str]) -> Iterator[Leak]:
    """Columns of two values that say whether it is one of several classes."""
    if not case.classification:
        return
    for column, values in _open(case, accused):
        code = functional_relations.one_class(values, case.target.codes)
        if code is not None:
            outcome = _outcomes(case)[1][code]
            said = (
                f"Column {column.name!r} has one value where {case.name!r} is {outcome}, and another everywhere else: it was "
                "made from it. Leave it out."
            )
            yield of_one(case, "indicator", column.name, said, outcome=outcome)


_FORMS = {
    "copy": "Column {column} is {target} under other names: each of its values stands for one class. Leave it out.",
    "cut": "The classes of {target} are ranges of {column} that touch each other: {target} was cut from it. Leave it out.",
    "binned": "The values of {column} are ranges of {target} that do not overlap: it was made from it. Leave it out.",
    "transform": "Column {column} rises or falls with {target} without exception: one was computed from the other. Leave it out.",
}


def _class_form(case: Case, codes: univariate.Codes, numbers: univariate.Floats | None) -> str | None:
    classes = case.target.codes
    if functional_relations.same_classes(codes, classes):
        return "copy"
    if numbers is not None and int(classes.max()) < univariate.CLASSES and functional_relations.cut(numbers, classes):
        return "cut"
    return None


def _number_form(case: Case, codes: univariate.Codes, numbers: univariate.Floats | None) -> str | None:
    target = case.target.looks[0][:, 0]
    if functional_relations.binned(codes, target):
        return "binned"
    if numbers is not None and functional_relations.monotone(numbers, target):
        return "transform"
    return None


def _in_file_order(numbers: univariate.Floats) -> bool:
    """Whether a column only rises, or only falls, along the file."""
    known = numbers[~np.isnan(numbers)]
    if len(known) < functional_relations.LEAST_ROWS:
        return False
    steps = np.diff(known)
    return bool(max((steps >= 0).mean(), (steps <= 0).mean()) >= ORDERED)


def _absent(case: Case, accused: set[str]) -> Iterator[Leak]:
    """Absence or presence that tells the class, or whether a number is its usual one (a claim of 0)."""
    classes, names = _outcomes(case)
    if classes is None:
        return
    for column, values in _open(case, accused):
        told = informative_missingness.told(values.is_null().to_numpy(), classes)
        if told is None:
            continue
        when = "has a value" if told.present else "is empty"
        said = (
            f"Where {column.name!r} {when} ({told.rows:,} of the rows looked at), {case.name!r} is {names[told.outcome]} in "
            f"{100 * told.share:.1f} %: it is filled in only after the outcome. Leave it out."
        )
        yield of_one(case, "absence", column.name, said, present=told.present, outcome=names[told.outcome], share=told.share)


def _outcomes(case: Case) -> tuple[univariate.Codes | None, list[str]]:
    """(class of each row, names of the classes); of a number, whether it is its most frequent value."""
    if case.classification:
        return case.target.codes, [repr(case.spelled(value)) for value in case.target.classes]
    usual, rows = case.frame.get_column(case.name).value_counts(sort=True).row(0)
    if not 0.02 * case.target.rows <= rows <= 0.98 * case.target.rows:
        return None, []
    is_usual = (case.frame.get_column(case.name) == usual).to_numpy().astype(np.int64)
    return is_usual, [f"not {case.spelled(usual)!r}", repr(case.spelled(usual))]


def _means(case: Case, accused: set[str]) -> Iterator[Leak]:
    for name, rows in mean_encoding.encoded(case):
        if name not in accused:
            said = (
                f"Column {name!r} is the mean of {case.name!r} over groups of about {rows:.0f} rows, each row's own value "
                "included. Leave it out, or compute it from earlier rows only."
            )
            yield of_one(case, "group_mean", name, said, rows_per_group=round(rows, 1))


def _named(case: Case, accused: set[str]) -> Iterator[Leak]:
    """Texts and categories that say the outcome in words."""
    for column, values in _open(case, accused):
        if values.dtype != pl.String or case.deadline.over:
            continue
        if case.classification and int(case.target.codes.max()) < univariate.CLASSES:
            told = target_in_text.told(values, case.target.codes, [str(case.spelled(value)) for value in case.target.classes])
            if told is not None:
                words = ", ".join(f"{word!r} for {outcome!r}" for outcome, word in list(told.words.items())[:5])
                said = (
                    f"The texts of {column.name!r} say {case.name!r} ({words}) in {100 * told.share:.1f} % of rows. Leave it out."
                )
                yield Leak(
                    "text",
                    (column.name,),
                    "high",
                    said,
                    told.share,
                    0.0,
                    (column.name,),
                    {"words": told.words, "share": told.share},
                )
        elif not case.classification:
            share = target_in_text.quotes(values, case.frame.get_column(case.name))
            if share >= target_in_text.CLEAR:
                said = f"The texts of {column.name!r} hold {case.name!r} itself in {100 * share:.1f} % of the rows. Leave it out."
                yield Leak("text", (column.name,), "high", said, share, 0.0, (column.name,), {"share": share})


def _near(case: Case, accused: set[str]) -> Iterator[Leak]:
    """Columns that nearly settle the target, where no other comes near, and all the others together do no better."""
    skills = sorted(((one.skill, name) for name, one in case.probes.items() if name not in accused), reverse=True)
    skills = [(skill, name) for skill, name in skills if not _is_time(case, name)]
    one = (NEAR_CLASS if case.classification else NEAR_NUMBER, FAR)
    for count, (least, far) in ((2, (TWO_NEAR, TWO_FAR)), (1, one)):
        if len(skills) <= count:
            continue
        ahead, (next_skill, next_name) = skills[:count], skills[count]
        if ahead[-1][0] >= least and (1 - next_skill) >= far * (1 - ahead[-1][0]):
            names = [name for _, name in ahead]
            if not case.deadline.over and cross_validated_model.model(case, case.best({*accused, *names})).skill <= ahead[-1][0]:
                for skill, name in ahead:
                    said = (
                        f"Column {name!r} alone nearly settles {case.name!r} ({100 * skill:.1f} % explained); the next best, "
                        f"{next_name!r}, {100 * max(next_skill, 0):.1f} %. It probably repeats it or is known only afterwards. "
                        "Leave it out."
                    )
                    yield of_one(case, "near_copy", name, said, skill=round(skill, 4), next_best_skill=round(next_skill, 4))
                return
    if len(skills) > 2 and skills[0][0] >= STRONG and skills[1][0] <= skills[0][0] - GAP:
        (skill, name), (next_skill, next_name) = skills[:2]
        said = (
            f"Column {name!r} explains {case.name!r} suspiciously well ({100 * skill:.0f} %; the next best, {next_name!r}, "
            f"{100 * max(next_skill, 0):.0f} %). {LATER}"
        )
        yield of_one(case, "suspicious", name, said, "medium", skill=round(skill, 4), next_best_skill=round(next_skill, 4))


def _is_time(case: Case, name: str) -> bool:
    """Times, and what rises along the file: a trend in time is no leak."""
    if case.frame.get_column(name).dtype.is_temporal():
        return True
    numbers = case.numbers.get(name)
    return numbers is not None and _in_file_order(numbers)


def _lookups(case: Case, accused: set[str]) -> Iterator[Leak]:
    """Keys that come again, always with one outcome: a matter of how models are judged, not of a column to leave out."""
    for column, values in _open(case, accused):
        if column.type is ColumnType.text or values.dtype.is_float() or values.dtype.is_temporal():
            continue
        if functional_relations.looks_up(functional_relations.codes_of(values), case.target.codes) and not _in_ranges(
            case, column.name
        ):
            said = (
                f"Each value of {column.name!r} comes again, always with the same {case.name!r}: rows of one value are not "
                "independent. Name it as group_column, or models are judged by rows they know."
            )
            yield of_one(case, "lookup", column.name, said, "medium", values=values.n_unique())


def _in_ranges(case: Case, name: str) -> bool:
    """Whether a number's outcomes stand side by side along it: no key does that."""
    numbers = case.numbers.get(name)
    if numbers is None:
        return False
    codes = case.target.codes[np.argsort(numbers, kind="stable")]
    return bool((np.diff(codes) != 0).sum() < 3 * len(np.unique(codes)))


def _counters(case: Case, accused: set[str]) -> Iterator[Leak]:
    """Identifiers that number the rows of a file sorted by its target: no feature, but telling of the file."""
    for column in case.ids:
        values = case.frame.get_column(column.name)
        if column.name in accused or not values.dtype.is_numeric():
            continue
        numbers = values.cast(pl.Float64).to_numpy()
        target = case.target.looks[0][:, 0]
        told = (
            functional_relations.cut(numbers, case.target.codes)
            if case.classification
            else functional_relations.monotone(numbers, target)
        )
        if told and _in_file_order(numbers):
            said = (
                f"The rows stand in the order of {case.name!r}, so their number {column.name!r} gives it away. It is an "
                "identifier and not used for training."
            )
            yield Leak("row_counter", (column.name,), "medium", said, 1.0, 0.0, ())


CERTAIN = (_forms, _indicators, _absent, _means, _named, _lookups)
DOUBTFUL = (_near, _counters)
"""What is looked for when the certain ones have been found, those of several columns too."""

"""What a model answers, in bins, by which its answers are counted once it serves; and how far these lie from that by themselves.

Bins are filled with out-of-fold answers, each of a copy that has not seen the row. What serves is all copies together, or one
that has seen all rows. So its answers to the same kind of rows are a little others, which is no drift.
"""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from coreplex.engines.automl.evaluation.measures import Array, Labels
from coreplex.engines.automl.evaluation.metrics import decided
from coreplex.engines.automl.execution.copies import MOST_ROWS, Copies
from coreplex.engines.automl.trial.leaderboard import Finished
from coreplex.engines.drift.bins import NumberBins
from coreplex.engines.drift.layout import Counts, Feature, by_chance, distance, of_classes, of_numbers, places_of
from coreplex.engines.scoring.ensemble import Ensemble

HALF = 0.5
"""Of how far apart answers lie of rows that some of the copies have learned from: they look more different than they are."""


def answer_bins(model: Finished, copies: Copies | None) -> tuple[Feature, ...]:
    """The features of its answers, with their floors."""
    task, judged = model.task, model.predictions
    made = of_classes(task.classes, judged.p, judged.predicted) if task.classification else of_numbers(judged.p[:, 0])
    return tuple(replace(feature, floor=_floor(model, feature, copies)) for feature in made)


def _floor(model: Finished, feature: Feature, copies: Copies | None) -> float:
    """How far its answers may lie from those out-of-fold (`distance`), 0 to 1: as far as those of a fold lie from the others
    beyond chance, and what averaging moves; with one fold, as far as those of the model that has seen its rows.

    A copy that answers all rows alike says nothing of what another answers: then no distance is too far.
    """
    rows, folds = model.task.plan.validated, model.task.plan.folds
    if isinstance(feature.bins, NumberBins) and len(feature.bins.edges) <= len(folds):
        return 1.0
    if len(folds) == 1:
        return HALF * distance(feature, *_seen_and_not(model, feature))
    every = _counts(model, feature, model.oof[rows], model.predicted[rows])
    parts = [_counts(model, feature, model.oof[fold.valid], model.predicted[fold.valid]) for fold in folds]
    between = [distance(feature, part, every - part) - by_chance(feature, part, every - part) for part in parts]
    averaging = list(_averaging(model, feature, copies)) or [0.0]
    return min(max(float(np.mean(between)), 0.0) + HALF * float(np.mean(averaging)), 1.0)


def _seen_and_not(model: Finished, feature: Feature) -> tuple[Counts, Counts]:
    """Answers to some rows by the model that serves, and by that which has not seen them."""
    rows = model.task.plan.validated[:MOST_ROWS]
    served = Ensemble(model.members, model.combine, model.calibration).predict(model.task.frame[rows])
    return _counts(model, feature, served), _counts(model, feature, model.oof[rows], model.predicted[rows])


def _averaging(model: Finished, feature: Feature, copies: Copies | None) -> Iterator[float]:
    """How far each copy by itself lies from all together, of the same rows."""
    if copies is not None:
        together = _counts(model, feature, copies.together)
        for alone in copies.alone:
            yield distance(feature, _counts(model, feature, alone), together)


def _counts(model: Finished, feature: Feature, p: Array, predicted: Labels | None = None) -> Counts:
    """(size,) of (n, k) answers, decided as the model decides where nothing else is said."""
    if predicted is None and model.task.classification:
        predicted = decided(p) if model.decision is None else decided(p, model.decision.threshold)
    places = places_of(feature, model.task.classes, p, predicted)
    return np.bincount(places, minlength=feature.bins.size)

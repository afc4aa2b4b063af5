"""Texts as sparse TF-IDF rows beside the dense columns of all else: what a linear model of words is trained on.

A row of it is hundreds of thousands of columns wide, so it is never served: once the model is there, its weights go into the
steps of the texts, and what is served is an ordinary encoder with one score per class and text, and weights that add them up.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from types import MappingProxyType
from typing import Any, ClassVar

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy import sparse

from coreplex.engines.encoding import choice
from coreplex.engines.encoding.encoder import Encoder
from coreplex.engines.encoding.steps import Floats, TaskKind
from coreplex.engines.encoding.values import Canonical
from coreplex.engines.encoding.vocabulary import Counted, Vocabulary
from coreplex.engines.tabular.schema import Column
from coreplex.errors.tree import Invalid, Message

NOTHING: Mapping[str, Counted] = MappingProxyType({})
_SCALE = 0.1
"""Standardised columns beside TF-IDF values, which are about as large: one rate of learning serves both."""


@dataclass(frozen=True)
class SparseEncoder:
    """`texts` and their `words`, one for each, then the dense columns of `others`, None where there are none."""

    categorical: ClassVar[tuple[int, ...]] = ()
    texts: tuple[Column, ...]
    words: tuple[Vocabulary, ...]
    others: Encoder | None

    @classmethod
    def fit_transform(
        cls,
        frame: pl.DataFrame,
        columns: Sequence[Column],
        target: NDArray[Any],
        *,
        task: TaskKind,
        seed: int,
        counted: Mapping[str, Counted] = NOTHING,
    ) -> tuple["SparseEncoder", sparse.csr_array]:
        """The encoder and the (n, width) matrix to train on. Raises `Invalid` where no column is a text. `counted`: columns of
        these rows whose words are counted already."""
        seen = Canonical(frame)
        texts = choice.texts(columns, seen)
        if not texts:
            raise Invalid(Message("no_texts_that_differ", "No column holds texts that differ."))
        rest = [column for column in columns if column not in texts]
        usable = any(choice.reason_to_drop(column, seen.series(column)) is None for column in rest)
        scores = len(np.unique(target)) if task == "multiclass" else 1
        steps, blocks = [], []
        for column in texts:
            known = counted.get(column.name) or Counted.of(seen.series(column), texts=len(texts))
            step, block = Vocabulary.fit(column.name, known, scores)
            steps.append(step)
            blocks.append(block)
        others = None
        if usable:
            others, dense = Encoder.fit_transform(frame, rest, target, kind="dense", task=task, seed=seed)
            blocks.append(sparse.csr_array((dense * _SCALE).astype(np.float32)))
        return cls(texts, tuple(steps), others), sparse.csr_array(sparse.hstack(blocks, format="csr"))

    def transform(self, frame: pl.DataFrame, counted: Mapping[str, Counted] = NOTHING) -> sparse.csr_array:
        """(n, width). `counted`: columns of these rows, counted together with those that this was learned from."""
        seen, blocks = Canonical(frame), []
        for column, step in zip(self.texts, self.words, strict=True):
            known = counted.get(column.name)
            blocks.append(step.tfidf(seen.series(column)) if known is None else step.tfidf_counted(known))
        if self.others is not None:
            blocks.append(sparse.csr_array((self.others.transform(frame) * _SCALE).astype(np.float32)))
        return sparse.csr_array(sparse.hstack(blocks, format="csr"))

    def served(self, slopes: NDArray[np.float32], centre: Floats) -> tuple[Encoder, Floats, Floats]:
        """An encoder whose texts are scores by these slopes (width, k), the weights (its width, k) that add all up, and `centre`
        (width,), a row, as it encodes it."""
        ends = np.cumsum([0, *(len(step.buckets) for step in self.words)])
        parts = list(pairwise(ends))
        steps = tuple(step.trained(slopes[a:b]) for step, (a, b) in zip(self.words, parts, strict=True))
        middle = [centre[a:b] @ slopes[a:b] for a, b in parts]
        weights = [np.eye(slopes.shape[1])] * len(steps)
        if self.others is None:
            return Encoder("dense", self.texts, steps, {}), np.vstack(weights), np.concatenate(middle)
        weights.append(slopes[ends[-1] :].astype(np.float64) * _SCALE)
        middle.append(centre[ends[-1] :] / _SCALE)
        both = Encoder("dense", (*self.texts, *self.others.columns), (*steps, *self.others.steps), self.others.dropped)
        return both, np.vstack(weights), np.concatenate(middle)

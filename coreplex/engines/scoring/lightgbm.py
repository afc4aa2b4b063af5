"""LightGBM (boosting, random forests and extra trees alike) from its model text."""

import re
from collections.abc import Sequence
from functools import cached_property
from typing import Any

from coreplex.engines.encoding.steps import Floats
from coreplex.engines.scoring.lightgbm_blocks import Blocks, Untranslatable
from coreplex.engines.scoring.lightgbm_library import CONTRIBUTIONS, RAW, Booster, Rows
from coreplex.engines.scoring.links import Link
from coreplex.engines.scoring.predictor import Files, Scoring

_MANY_ROWS = 2_000
"""From here on the form of the model that blocks of rows need is worth being made."""
_LINKS: dict[str, Link] = {
    "binary": "logit",
    "cross_entropy": "logit",
    "multiclass": "softmax",
    **dict.fromkeys(("regression", "regression_l1", "huber", "fair", "quantile", "mape"), "identity"),
    **dict.fromkeys(("poisson", "gamma", "tweedie"), "log"),
}


class LightGbm(Scoring):
    """`LightGbm.of(booster)` after training, `from_files` when loading."""

    kind = "lightgbm"
    method = "tree_shap"

    def __init__(self, text: str) -> None:
        self.text = text
        self.link = _link(text)
        self._booster = Booster(text)
        self.width, self.raw_width = self._booster.width, self._booster.raw_width
        # A forest (`average_output`) gives raw scores and contributions as sums over its trees, responses as means.
        forest = re.search(r"^average_output$", text, re.MULTILINE)
        self._share = 1.0 / max(self._booster.iterations, 1) if forest else 1.0
        self._rows = Rows.of(self._booster)

    @classmethod
    def of(cls, booster: Any) -> "LightGbm":
        """From a trained `lightgbm.Booster`, cut at its best iteration when it was stopped early."""
        return cls(booster.model_to_string(num_iteration=booster.best_iteration or -1, importance_type="gain"))

    def raw(self, matrix: Floats) -> Floats:
        """(n, width) → (n, r) raw scores."""
        many = self._blocks if len(matrix) >= _MANY_ROWS else None
        return (self._booster.predict(matrix, RAW) if many is None else many.predict(matrix)) * self._share

    @cached_property
    def _blocks(self) -> Blocks | None:
        """None for a model that has no such form."""
        try:
            return Blocks(self.text, self.width, self.raw_width)
        except Untranslatable:
            return None

    def raw_row(self, row: Sequence[float]) -> Sequence[float]:
        """The r raw scores of one encoded row of `width` floats."""
        if self._rows is None:
            return super().raw_row(row)
        scores = self._rows.predict(row)
        return scores if self._share == 1.0 else [score * self._share for score in scores]

    def contributions(self, matrix: Floats) -> Floats:
        """(n, width) → (n, r, width + 1), the base value last."""
        found = self._booster.predict(matrix, CONTRIBUTIONS) * self._share
        return found.reshape(len(matrix), self.raw_width, self.width + 1)

    def files(self) -> dict[str, bytes]:
        """`model.txt`, LightGBM's own text."""
        return {"model.txt": self.text.encode()}

    @classmethod
    def from_files(cls, files: Files) -> "LightGbm":
        """From what `files` returned; `KeyError` or `ValueError` where that is no model."""
        return cls(files["model.txt"].decode())


def _link(text: str) -> Link:
    found = re.search(r"^objective=(\S+)(.*)$", text, re.MULTILINE)
    name, options = (found.group(1), found.group(2)) if found else ("", "")
    slope = re.search(r"\bsigmoid:(\S+)", options)
    if name not in _LINKS or "sqrt" in options.split() or (slope and float(slope.group(1)) != 1.0):
        raise ValueError(f"the LightGBM objective {name!r} {options.strip()!r} is not served")
    return _LINKS[name]

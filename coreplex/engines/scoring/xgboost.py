"""XGBoost from its own binary JSON (UBJ)."""

from typing import Any

import numpy as np

from coreplex.engines.encoding.steps import Floats
from coreplex.engines.scoring.links import Link
from coreplex.engines.scoring.predictor import Files, Scoring
from coreplex.engines.scoring.xgboost_library import Booster

# One step inside: float32's own largest value is refused as infinite once text has rounded it up.
_LARGEST = float(np.nextafter(np.finfo(np.float32).max, np.float32(0)))

_LINKS: dict[str, Link] = {
    "binary:logistic": "logit",
    "multi:softprob": "softmax",
    "multi:softmax": "softmax",
    **dict.fromkeys(
        ("reg:squarederror", "reg:absoluteerror", "reg:pseudohubererror", "reg:squaredlogerror", "reg:quantileerror"),
        "identity",
    ),
    **dict.fromkeys(("count:poisson", "reg:gamma", "reg:tweedie"), "log"),
}


class XgBoost(Scoring):
    """`XgBoost.of(booster)` after training, `from_files` when loading. It computes in float32, everywhere alike."""

    kind = "xgboost"
    method = "tree_shap"

    def __init__(self, data: bytes) -> None:
        self.data = data
        self._booster = Booster(data)
        learner = self._booster.config()["learner"]
        objective = learner["objective"]["name"]
        if objective not in _LINKS:
            raise ValueError(f"the XGBoost objective {objective!r} is not served")
        self.link = _LINKS[objective]
        self.width = self._booster.width
        self.raw_width = max(int(learner["learner_model_param"]["num_class"]), 1)

    @classmethod
    def of(cls, booster: Any) -> "XgBoost":
        """From a trained `xgboost.Booster`, cut at its best iteration when it was stopped early."""
        best = booster.attr("best_iteration")
        kept = booster[: int(best) + 1] if best is not None else booster
        kept.set_attr(best_iteration=None, best_score=None)
        return cls(bytes(kept.save_raw("ubj")))

    def raw(self, matrix: Floats) -> Floats:
        """(n, width) → (n, r) raw scores."""
        return self._booster.margins(within_float32(matrix)).astype(np.float64).reshape(len(matrix), self.raw_width)

    def contributions(self, matrix: Floats) -> Floats:
        """(n, width) → (n, r, width + 1), the base value last."""
        found = self._booster.contributions(within_float32(matrix))
        return found.astype(np.float64).reshape(len(matrix), self.raw_width, self.width + 1)

    def files(self) -> dict[str, bytes]:
        """`model.ubj`, XGBoost's own binary JSON."""
        return {"model.ubj": self.data}

    @classmethod
    def from_files(cls, files: Files) -> "XgBoost":
        """From what `files` returned; `KeyError` or `ValueError` where that is no model."""
        return cls(files["model.ubj"])


def within_float32(matrix: Floats) -> Floats:
    """(n, width) held within the range of float32: XGBoost refuses what does not fit, and beyond it every split says the same
    anyway."""
    return np.clip(matrix, -_LARGEST, _LARGEST)

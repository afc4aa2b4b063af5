"""LightGBM (boosting, random forests and extra trees alike) from its model text, by its C library without its Python package.

Scoring needs a dozen lines of the C API and nothing else. The package imports pandas, SciPy and scikit-learn; a web process that
only serves models is spared 80 MB and two seconds. Only scoring is here, on one thread. Training uses the package.
"""

import ctypes
import re
import weakref
from collections import deque
from collections.abc import Sequence
from functools import cached_property, lru_cache
from typing import Any

import numpy as np

from coreplex.engines.encoding.steps import Floats
from coreplex.engines.scoring.lightgbm_blocks import Blocks
from coreplex.engines.scoring.lightgbm_trees import Untranslatable, read
from coreplex.engines.scoring.predictor import Files, Link, Scoring
from coreplex.engines.scoring.shared_library import library_path
from coreplex.engines.scoring.tree_shap import LazyTreeShap, TreeShap

MANY_ROWS = 2_000
"""From here on the form of the model that blocks of rows need is worth being made; its scores are rounded (`lightgbm_blocks`)."""
_ZERO_TO = float(np.float32(1e-35))
"""No further from zero, LightGBM reads a value as zero."""
FEW_ROWS = 4
"""Up to here each is quicker alone."""
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
        self._tables = LazyTreeShap()

    @classmethod
    def of(cls, booster: Any) -> "LightGbm":
        """From a trained `lightgbm.Booster`, cut at its best iteration when it was stopped early."""
        return cls(booster.model_to_string(num_iteration=booster.best_iteration or -1, importance_type="gain"))

    def raw(self, matrix: Floats) -> Floats:
        """(n, width) → (n, r) raw scores."""
        if 0 < len(matrix) <= FEW_ROWS and self._rows is not None and matrix.shape[1] == self.width:
            return np.array([self.raw_row(row) for row in matrix.tolist()])
        many = self._blocks if len(matrix) >= MANY_ROWS else None
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
        self._booster.check(matrix)
        tables = self._tables.get(self._tree_shap)
        if tables is None:
            found = self._booster.predict(matrix, CONTRIBUTIONS)
        else:
            found = tables.contributions(np.where(np.abs(matrix) <= _ZERO_TO, 0.0, matrix))
        return found.reshape(len(matrix), self.raw_width, self.width + 1) * self._share

    def _tree_shap(self) -> TreeShap:
        trees = read(self.text)
        base = self._booster.predict(np.zeros((1, self.width)), CONTRIBUTIONS).reshape(self.raw_width, -1)[:, -1]
        return TreeShap(trees, np.arange(trees.count) % self.raw_width, base, self.width)

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


def rescaled(text: str, slope: float, offset: float) -> str:
    """The model text with every leaf value v as slope * v + offset, no longer an average."""
    text = re.sub(r"^average_output\n", "", text, flags=re.MULTILINE)
    # The sizes of the trees in bytes change; without the line LightGBM reads the trees one after the other.
    text = re.sub(r"^tree_sizes=.*\n", "", text, flags=re.MULTILINE)

    def change(line: re.Match[str]) -> str:
        values = (float(v) * slope + offset for v in line.group(1).split())
        return "leaf_value=" + " ".join(f"{v:.17g}" for v in values)

    return re.sub(r"^leaf_value=(.*)$", change, text, flags=re.MULTILINE)


RAW, CONTRIBUTIONS = 1, 3  # C_API_PREDICT_RAW_SCORE, C_API_PREDICT_CONTRIB
_FLOAT64 = 1  # C_API_DTYPE_FLOAT64
_PARAMETERS = b"num_threads=1 verbosity=-1"


@lru_cache(maxsize=2)
def _library(*, holding_lock: bool) -> Any:
    """The library; `holding_lock`: its functions are called without giving up the interpreter's lock."""
    path = library_path("lightgbm", "lib_lightgbm", told_by="lightgbm.basic")
    library = (ctypes.PyDLL if holding_lock else ctypes.CDLL)(path)
    library.LGBM_GetLastError.restype = ctypes.c_char_p
    return library


def _check(code: int) -> None:
    if code:
        message = _library(holding_lock=False).LGBM_GetLastError() or b"LightGBM failed"
        raise ValueError(message.decode("utf-8", "replace")[:200])


class Booster:
    """A model read from text, for scoring. Shared by threads: the library reads it under a shared lock."""

    def __init__(self, text: str) -> None:
        self._c = _library(holding_lock=False)
        self.handle = ctypes.c_void_p()
        iterations = ctypes.c_int()
        _check(self._c.LGBM_BoosterLoadModelFromString(text.encode(), ctypes.byref(iterations), ctypes.byref(self.handle)))
        weakref.finalize(self, self._c.LGBM_BoosterFree, self.handle).atexit = False
        self.iterations = iterations.value
        self.width = self._count(self._c.LGBM_BoosterGetNumFeature)
        self.raw_width = self._count(self._c.LGBM_BoosterNumModelPerIteration)

    def _count(self, function: Any) -> int:
        count = ctypes.c_int()
        _check(function(self.handle, ctypes.byref(count)))
        return count.value

    def check(self, matrix: Floats) -> None:
        """Raise ValueError for what is no (n, width) matrix."""
        if matrix.ndim != 2 or matrix.shape[1] != self.width:
            raise ValueError(f"expected {self.width} encoded columns, got an array of shape {matrix.shape}")

    def predict(self, matrix: Floats, what: int) -> Floats:
        """(n, r) raw scores or (n, r × (width + 1)) contributions of an (n, width) matrix."""
        self.check(matrix)
        data = np.ascontiguousarray(matrix, dtype=np.float64)
        out = np.empty((len(data), self.raw_width * (self.width + 1 if what == CONTRIBUTIONS else 1)))
        if len(data):
            size = ctypes.c_int64()
            source, sink = (array.ctypes.data_as(ctypes.c_void_p) for array in (data, out))
            shape = [ctypes.c_int32(length) for length in data.shape]
            options = (1, what, 0, -1, _PARAMETERS)  # 1: row-major; all iterations
            function = self._c.LGBM_BoosterPredictForMat
            _check(function(self.handle, source, _FLOAT64, *shape, *options, ctypes.byref(size), sink))
        return out


class Rows:
    """Raw scores of one row at a time: 3 µs instead of 27 µs with the package's `predict`.

    A pool of prepared calls: each thread takes one, uses it and puts it back. The interpreter's lock is kept during
    the call, which is shorter than handing the lock over and back; under load a thread would wait milliseconds to get
    it again. Preparing may have to wait for another thread's batch, so that gives the lock up.
    """

    def __init__(self, booster: Booster) -> None:
        library = _library(holding_lock=True)
        self._predict = library.LGBM_BoosterPredictForMatSingleRowFast
        self._prepare = _library(holding_lock=False).LGBM_BoosterPredictForMatSingleRowFastInit
        self._free = library.LGBM_FastConfigFree
        self._booster = booster
        self._idle: deque[tuple[Any, Any, Any, Any]] = deque()
        self._idle.append(self._new())

    @classmethod
    def of(cls, booster: Booster) -> "Rows | None":
        """None where this LightGBM has no such function: the ordinary call is used instead."""
        try:
            return cls(booster)
        except (AttributeError, OSError):
            return None

    def _new(self) -> tuple[Any, Any, Any, Any]:
        config, width = ctypes.c_void_p(), ctypes.c_int32(self._booster.width)
        _check(self._prepare(self._booster.handle, RAW, 0, -1, _FLOAT64, width, _PARAMETERS, ctypes.byref(config)))
        weakref.finalize(self, self._free, config).atexit = False
        row, out = (ctypes.c_double * self._booster.width)(), (ctypes.c_double * self._booster.raw_width)()
        return config, row, ctypes.byref(ctypes.c_int64()), out

    def predict(self, values: Sequence[float]) -> list[float]:
        """The r raw scores of one encoded row of `width` floats."""
        try:
            prepared = self._idle.pop()
        except IndexError:
            prepared = self._new()
        config, row, size, out = prepared
        row[:] = values
        code = self._predict(config, row, size, out)
        scores: list[float] = out[:]
        self._idle.append(prepared)
        if code:
            _check(code)
        return scores

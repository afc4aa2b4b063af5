"""LightGBM's C library, loaded without its Python package: scoring needs a dozen lines of the C API and nothing else.

The package imports pandas, SciPy and scikit-learn; a web process that only serves models is spared 80 MB and two
seconds. Only scoring is here, on one thread. Training uses the package.
"""

import ctypes
import weakref
from collections import deque
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from coreplex.engines.encoding.steps import Floats
from coreplex.engines.scoring.shared_library import library_path

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

    def predict(self, matrix: Floats, what: int) -> Floats:
        """(n, r) raw scores or (n, r × (width + 1)) contributions of an (n, width) matrix."""
        if matrix.ndim != 2 or matrix.shape[1] != self.width:
            raise ValueError(f"expected {self.width} encoded columns, got an array of shape {matrix.shape}")
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

"""Addresses: an URL is its host, a category, and the words of the rest; an e-mail address counts by its domain."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import polars as pl
from numpy.typing import NDArray

from coreplex.engines.encoding.categories import Table
from coreplex.engines.encoding.steps import Arrays, Context, Floats, State
from coreplex.engines.encoding.text import Text

_URL = re.compile(r"(?:[a-z][a-z0-9+.-]*://)?(?:[^/?#@]*@)?([^/?#:]*)(?::\d*)?(.*)", re.IGNORECASE | re.DOTALL)


def hosts(series: pl.Series) -> pl.Series:
    """(n,) the host of each URL, null where there is none."""
    return pl.Series(series.name, [_host(url) for url in series.to_list()], dtype=pl.String)


def _rests(series: pl.Series) -> pl.Series:
    return pl.Series(series.name, [_rest(url) for url in series.to_list()], dtype=pl.String)


def _host(url: str | None) -> str | None:
    """The host of an address: `example.org` of `https://www.example.org:443/a?b`; None without one."""
    found = _URL.match(url or "")
    return found.group(1).lower().removeprefix("www.") or None if found else None


def _rest(url: str | None) -> str | None:
    """What follows the host: `/a?b` of `https://www.example.org:443/a?b`; None without."""
    found = _URL.match(url or "")
    return found.group(2) or None if found else None


@dataclass(frozen=True)
class Url:
    """An URL: its host as a category, the rest as text, one after the other."""

    kind: ClassVar[str] = "url"
    host: Table
    rest: Text

    @property
    def column(self) -> str:
        """The source column."""
        return self.host.column

    @property
    def names(self) -> Sequence[str]:
        """Of the encoded columns, those of the host first."""
        return [*(f"host of {name}" for name in self.host.names), *self.rest.names]

    @property
    def categorical(self) -> Sequence[int]:
        """Places of the codes of hosts."""
        return self.host.categorical

    @classmethod
    def fit(cls, series: pl.Series, context: Context, fit_host: Callable[[pl.Series, Context], Table]) -> "Url":
        """From (n,) URLs. `fit_host`: how their hosts are fitted."""
        return cls(fit_host(hosts(series), context), Text.fit(_rests(series), context))

    def transform(self, series: pl.Series) -> Floats:
        """(n, host + rest) float64."""
        return np.hstack([self.host.transform(hosts(series)), self.rest.transform(_rests(series))])

    def training(self, series: pl.Series, context: Context) -> Floats:
        """(n, host + rest) float64, with the means of the target out of inner folds."""
        return np.hstack([self.host.training(hosts(series), context), self.rest.training(_rests(series), context)])

    def row(self) -> Callable[[Any], Sequence[float]]:
        """A function of one URL or None, to as many floats."""
        host_row, rest_row = self.host.row(), self.rest.row()
        return lambda value: (*host_row(_host(value)), *rest_row(_rest(value)))

    def state(self) -> tuple[State, Arrays]:
        """The states of both parts; arrays are prefixed by `host_` and `rest_`."""
        (first, own), (second, others) = self.host.state(), self.rest.state()
        arrays = {f"host_{name}": array for name, array in own.items()} | {f"rest_{n}": array for n, array in others.items()}
        return {"host": first, "rest": second}, arrays

    @classmethod
    def from_state(cls, column: str, state: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> "Url":
        """From what `state` returned."""
        part = {
            prefix: {name.removeprefix(prefix): array for name, array in arrays.items() if name.startswith(prefix)}
            for prefix in ("host_", "rest_")
        }
        return cls(Table.from_state(column, state["host"], part["host_"]), Text.from_state(column, state["rest"], part["rest_"]))

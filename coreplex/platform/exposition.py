"""The text that Prometheus reads: families of samples, in its own format 0.0.4 and in OpenMetrics 1.0."""

from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum
from typing import NamedTuple

Labels = Mapping[str, str]
PLAIN = "text/plain; version=0.0.4; charset=utf-8"
OPEN = "application/openmetrics-text; version=1.0.0; charset=utf-8"
ESCAPES = str.maketrans({"\\": r"\\", "\n": r"\n", '"': r"\""})


class Kind(StrEnum):
    counter = "counter"
    gauge = "gauge"
    histogram = "histogram"


class Sample(NamedTuple):
    """`suffix`: what stands behind the name of the family."""

    labels: Labels
    value: float
    suffix: str = ""


class Family(NamedTuple):
    """What is counted or measured of many things. The name of a counter is without the `_total` of its samples."""

    name: str
    kind: Kind
    says: str
    samples: Sequence[Sample]


def counter(name: str, says: str, samples: Iterable[tuple[Labels, float]]) -> Family:
    """What only grows."""
    return Family(name, Kind.counter, says, [Sample(labels, value, "_total") for labels, value in samples])


def gauge(name: str, says: str, samples: Iterable[tuple[Labels, float]]) -> Family:
    """What is so now."""
    return Family(name, Kind.gauge, says, [Sample(*one) for one in samples])


def distribution(labels: Labels, edges: Sequence[float], within: Sequence[int], total: float) -> list[Sample]:
    """The samples of a histogram: how many were up to each edge, and of all of them the number (last) and the sum."""
    names = [*(repr(float(edge)) for edge in edges), "+Inf"]
    buckets = [Sample({**labels, "le": name}, count, "_bucket") for name, count in zip(names, within, strict=True)]
    return [*buckets, Sample(labels, within[-1], "_count"), Sample(labels, total, "_sum")]


def exposed(families: Iterable[Family], kind: str = PLAIN) -> str:
    """The text, of the type `PLAIN` or `OPEN`."""
    lines = [line for family in families if family.samples for line in _lines(family, kind)]
    return "\n".join([*lines, *(["# EOF"] if kind == OPEN else []), ""])


def _lines(family: Family, kind: str) -> Iterable[str]:
    name = f"{family.name}_total" if family.kind is Kind.counter and kind == PLAIN else family.name
    yield f"# HELP {name} {family.says}"
    yield f"# TYPE {name} {family.kind}"
    for sample in family.samples:
        labels = ",".join(f'{label}="{value.translate(ESCAPES)}"' for label, value in sample.labels.items())
        yield f"{family.name}{sample.suffix}{f'{{{labels}}}' if labels else ''} {sample.value}"

"""Which of two deployments answers a row: by the row's key, always the same one, in every process and after every restart.

A key is hashed with SipHash-2-4 (Aumasson & Bernstein 2012) under the id of the test, whose 16 bytes are the hash's key: nobody
who does not know it can choose an arm, and rows that a candidate has it keeps when its share grows.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import orjson
from siphash24 import siphash24

from coreplex.deployment.table import Arm
from coreplex.platform.document import storable
from coreplex.serving.address import Share

RANGE = 1 << 64


def keys_of(rows: Sequence[Mapping[str, Any]], keys: Sequence[str] | None) -> list[bytes]:
    """What assigns each row: its key, or else the row itself, whatever the order of its columns, and whether whole numbers are
    written 8 or 8.0."""
    if keys is not None:
        return [key.encode(errors="surrogatepass") for key in keys]
    return [_canonical(row) for row in rows]


def _canonical(row: Mapping[str, Any]) -> bytes:
    if float in set(map(type, row.values())):
        row = {name: int(value) if type(value) is float and value.is_integer() else value for name, value in row.items()}
    try:
        return orjson.dumps(row, option=orjson.OPT_SORT_KEYS, default=str)
    except TypeError:  # a lone surrogate, an integer beyond 64 bits
        return orjson.dumps(storable(dict(row)), option=orjson.OPT_SORT_KEYS, default=str)


def hashed(share: Share, keys: Sequence[bytes]) -> list[int]:
    """Where each key lies in the `RANGE`."""
    secret = share.test_id.bytes
    return [siphash24(key, key=secret).intdigest() % RANGE for key in keys]


def chosen(share: Share, hashes: Sequence[int]) -> list[bool]:
    """Whether each key falls into the share."""
    limit = RANGE * share.percent // 100
    return [one < limit for one in hashes]


def places_by_arm(share: Share, hashes: Sequence[int]) -> dict[Arm, list[int]]:
    """The places of the rows of each arm that has any, the candidate first."""
    taken = chosen(share, hashes)
    places = {
        Arm.candidate: [place for place, mine in enumerate(taken) if mine],
        Arm.baseline: [place for place, mine in enumerate(taken) if not mine],
    }
    return {arm: found for arm, found in places.items() if found}

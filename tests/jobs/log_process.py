"""A process that logs predictions for nobody: `python -m tests.jobs.log_process URL FOLDER DEPLOYMENT MODEL SEED`.

Writes the number of each request it has logged as a line to standard output, and works until it is killed. What request n of a
seed holds, `requests` says to whoever wants to compare.
"""

import asyncio
import random
import sys
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any
from uuid import UUID

from coreplex.platform.database import Database
from coreplex.serving.log import spool, writer
from coreplex.serving.log.writer import InferenceWriter
from tests.factories.served import Served

REQUESTS = 80
PIECES = (
    "\\u0000",
    "\\",
    '"',
    "\0",
    "\ud800",
    "\udfff",
    "\n",
    "\r",
    "\u2028",
    "\x85",
    "é",
    "🜁",
    "a",
    "0",
    "}",
    "\\\\u0000",
    "null",
)


def requests(seed: int) -> Iterator[list[dict[str, Any]]]:
    """The rows of each request: mostly small, some longer than a megabyte, with everything JSON can spell and some it cannot."""
    random_ = random.Random(seed)
    for number in range(REQUESTS):
        count = random_.choice((1, 1, 1, 2, 5, 70 if number % 10 == 0 else 3))
        yield [{"seed": seed, "number": number, "row": row, **_row(random_, large=count == 1)} for row in range(count)]


def _row(random_: random.Random, large: bool) -> dict[str, Any]:
    row = {_text(random_, 6): _value(random_, random_.randrange(4)) for _ in range(random_.randrange(4))}
    if large and random_.random() < 0.04:
        row["long"] = _text(random_, 10) * random_.randrange(10_000, 200_000)
    if random_.random() < 0.05:
        row["deep"] = _nested(random_.randrange(1, 190))
    return row


def _value(random_: random.Random, depth: int) -> Any:
    kinds = [
        lambda: _text(random_, 12),
        lambda: random_.randrange(-(2 ** random_.randrange(1, 300)), 2 ** random_.randrange(1, 300)),
        lambda: random_.choice((0.0, -0.0, 1e308, 5e-324, 0.1, random_.random() * 10 ** random_.randrange(-300, 300))),
        lambda: random_.choice((None, True, False)),
    ]
    if depth:
        kinds += [lambda: [_value(random_, depth - 1) for _ in range(3)], lambda: {_text(random_, 3): _value(random_, depth - 1)}]
    return random_.choice(kinds)()


def _text(random_: random.Random, most: int) -> str:
    return "".join(random_.choice(PIECES) for _ in range(random_.randrange(most)))


def _nested(levels: int) -> list[Any]:
    return [_nested(levels - 1)] if levels else []


async def main(url: str, folder: Path, deployment: str, model: str, seed: int) -> None:
    spool.ROTATE_BYTES = 200_000
    writer.ORPHANS_EVERY_SECS, writer.FLUSH_SECS, writer.RETRY_SECS = 0.1, 0.02, 0.1
    served = Served(url, UUID(deployment), UUID(model))
    log = InferenceWriter(Database(url, pool_size=2), folder)
    log.start()
    for number, rows in enumerate(islice(requests(seed), REQUESTS)):
        if not await served.record(log, *rows):
            sys.stdout.write(f"{number}\n")
            sys.stdout.flush()
        await asyncio.sleep(0.002)
    await asyncio.sleep(600)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], Path(sys.argv[2]), sys.argv[3], sys.argv[4], int(sys.argv[5])))

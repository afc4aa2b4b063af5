"""The one place that sets the longest field the standard `csv` module reads: it keeps one such limit for the process.

Tables are read in a child process of their own, so nothing else reads CSV meanwhile; afterwards the limit is what it
was.
"""

import csv
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def longest_csv_field(characters: int) -> Iterator[None]:
    """Inside, `csv.reader` reads fields of up to so many characters; its default is 131,072, and a cell may be a whole
    record.
    """
    before = csv.field_size_limit(characters)
    try:
        yield
    finally:
        csv.field_size_limit(before)

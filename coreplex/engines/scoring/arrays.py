"""Arrays as bytes and back: NumPy's own .npy format, plain numbers only. Refuses objects, and headers that lie about
the size."""

import io
import math
from typing import Any

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from coreplex.errors.tree import BadInput


def dump(array: NDArray[Any]) -> bytes:
    """The .npy bytes of a numeric array of any shape."""
    out = io.BytesIO()
    npy.write_array(out, np.ascontiguousarray(array), allow_pickle=False)
    return out.getvalue()


def load(data: bytes) -> NDArray[Any]:
    """The array in .npy bytes, of any shape and read-only; BadInput unless it is a plain numeric array of exactly the size it
    claims."""
    stream = io.BytesIO(data)
    try:
        version = npy.read_magic(stream)
        read = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
        shape, fortran, dtype = read(stream)
    except (ValueError, EOFError, SyntaxError, TypeError, RecursionError, MemoryError) as error:
        raise BadInput(f"An array in this model cannot be read: {error}") from error
    if dtype.hasobject or dtype.kind not in "fiub" or any(size < 0 for size in shape):
        raise BadInput("An array in this model does not hold plain numbers.")
    if math.prod(shape) * dtype.itemsize != len(data) - stream.tell():
        raise BadInput("An array in this model is not as large as it says.")
    flat = np.frombuffer(data, dtype=dtype, offset=stream.tell())
    return flat.reshape(shape, order="F" if fortran else "C")

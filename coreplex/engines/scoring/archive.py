"""The parts of a model file: a zip of a few names of a fixed form, in memory, with caps, and the arrays in it. Nothing is ever
extracted to disk.

Refuses: names outside the form (so no `..`, no absolute paths, no directories), duplicates, encryption, other
compression than deflate, too many or too large members, and compression ratios that only bombs have. The same caps
hold when writing. Arrays are NumPy's own .npy format, plain numbers only: no objects, no headers that lie about the size.
"""

import io
import math
import re
import zipfile
import zlib
from collections.abc import Mapping, Set
from typing import Any

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from coreplex.engines.learner_families import endings
from coreplex.errors.tree import BadInput, Message

MOST_MEMBERS = 10_000
MOST_BYTES = 2 << 30
_HIGHEST_RATIO = 100
_LEVEL = 1
"""Of zlib. Texts of trees are an eighth larger than at its usual 6, in a quarter of the time."""
_NAME = re.compile(r"manifest\.(json)|(?:encoders|members)/\d{1,4}/[a-z][a-z0-9_]{0,40}\.([a-z]{2,8})", re.ASCII)
_WHEN = (1980, 1, 1, 0, 0, 0)
"""The same model makes the same bytes, whenever it is written."""
TOO_LARGE = Message("model_too_large", "The model file is too large.")


def pack(files: Mapping[str, bytes]) -> bytes:
    """The zip of `files`; deflated, except where that would look like a bomb."""
    whole, dense = _packed(files, frozenset())
    return whole if not dense else _packed(files, dense)[0]


def _packed(files: Mapping[str, bytes], stored: Set[str]) -> tuple[bytes, Set[str]]:
    """The zip, and the names that deflate shrank so much that they are to be `stored` as they are."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as box:
        for name, data in files.items():
            if not _allowed(name):
                raise ValueError(f"{name!r} is not a name of a model file")
            info = zipfile.ZipInfo(name, _WHEN)
            info.external_attr = 0o600 << 16
            info.compress_type = zipfile.ZIP_STORED if name in stored else zipfile.ZIP_DEFLATED
            box.writestr(info, data, compresslevel=_LEVEL)
        dense = {one.filename for one in box.infolist() if one.compress_size * _HIGHEST_RATIO <= 2 * one.file_size}
    return out.getvalue(), dense


def _allowed(name: str) -> bool:
    """Whether it has the form, and an ending that one of the learner families stores."""
    found = _NAME.fullmatch(name)
    return found is not None and (found[1] or found[2]) in endings()


def unpack(data: bytes, *, most_bytes: int = MOST_BYTES, without: str | None = None) -> dict[str, bytes]:
    """Name → content, less the names that begin with `without`; BadInput for everything that `pack` would not have made."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as box:
            infos = box.infolist()
            _check(infos, most_bytes)
            wanted = [info for info in infos if without is None or not info.filename.startswith(without)]
            return {info.filename: _content(box, info) for info in wanted}
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError, ValueError, NotImplementedError, RuntimeError) as error:
        raise BadInput(Message("model_no_archive", "The model file is damaged: it is no readable archive.")) from error


def _check(infos: list[zipfile.ZipInfo], most_bytes: int) -> None:
    if len(infos) > MOST_MEMBERS:
        raise BadInput(Message("model_too_many_parts", "The model file has too many parts."))
    if len({info.filename for info in infos}) != len(infos):
        raise BadInput(Message("model_part_twice", "The model file has two parts of one name."))
    for info in infos:
        if not _allowed(info.filename) or info.orig_filename != info.filename:
            raise BadInput(Message("model_foreign_part", "The model file has a part that does not belong there."))
        if info.flag_bits & 0x1 or info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise BadInput(Message("model_packed_unusually", "The model file is packed in a way that is not read here."))
        if info.file_size > _HIGHEST_RATIO * max(info.compress_size, 1):
            raise BadInput(Message("model_claims_too_much", "The model file claims to be far larger than it is."))
    if sum(info.file_size for info in infos) > most_bytes:
        raise BadInput(TOO_LARGE)


def _content(box: zipfile.ZipFile, info: zipfile.ZipInfo) -> bytes:
    with box.open(info) as part:
        content = part.read(info.file_size + 1)
    if len(content) != info.file_size:
        raise BadInput(Message("model_part_of_other_size", "A part of the model file is not as large as it says."))
    return content


def dump_array(array: NDArray[Any]) -> bytes:
    """The .npy bytes of a numeric array of any shape."""
    out = io.BytesIO()
    npy.write_array(out, np.ascontiguousarray(array), allow_pickle=False)
    return out.getvalue()


def load_array(data: bytes) -> NDArray[Any]:
    """The array in .npy bytes, of any shape and read-only; BadInput unless it is a plain numeric array of exactly the size it
    claims."""
    stream = io.BytesIO(data)
    try:
        version = npy.read_magic(stream)
        read = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
        shape, fortran, dtype = read(stream)
    except (ValueError, EOFError, SyntaxError, TypeError, RecursionError, MemoryError) as error:
        raise BadInput(
            Message("model_array_unreadable", "An array in this model cannot be read: {error}", error=str(error))
        ) from error
    if dtype.hasobject or dtype.kind not in "fiub" or any(size < 0 for size in shape):
        raise BadInput(Message("model_array_no_numbers", "An array in this model does not hold plain numbers."))
    if math.prod(shape) * dtype.itemsize != len(data) - stream.tell():
        raise BadInput(Message("model_array_of_other_size", "An array in this model is not as large as it says."))
    flat = np.frombuffer(data, dtype=dtype, offset=stream.tell())
    return flat.reshape(shape, order="F" if fortran else "C")

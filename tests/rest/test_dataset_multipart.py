"""The streaming form: the same whatever the pieces it arrives in, and never more in memory than a piece."""

import asyncio
from collections.abc import AsyncIterator
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coreplex.errors.tree import DomainError
from edge.multipart import Form
from rest_compat.files import attachment

TYPE = "multipart/form-data; boundary=cut"
words = st.text(st.characters(exclude_categories=["Cs"], exclude_characters='"\r\n\\\0'), min_size=1, max_size=30)
names = words.filter(str.strip)


def part(name: str, value: bytes, filename: str | None = None) -> bytes:
    told = f'; filename="{filename}"' if filename is not None else ""
    return b"--cut\r\n" + f'Content-Disposition: form-data; name="{name}"{told}'.encode() + b"\r\n\r\n" + value + b"\r\n"


async def read(body: bytes, cuts: list[int]) -> tuple[dict[str, str], str | None, bytes]:
    """What a form holds when its body arrives cut at these places."""
    places = [0, *sorted(cut % (len(body) + 1) for cut in cuts), len(body)]

    async def pieces() -> AsyncIterator[bytes]:
        for start, end in pairwise(places):
            yield body[start:end]

    form = Form(TYPE, pieces(), limit=100_000)
    await form.until_file()
    content = b"".join([chunk async for chunk in form.file()])
    return form.fields, form.filename, content


@given(
    before=st.dictionaries(names, words, max_size=4),
    after=st.dictionaries(names, words, max_size=4),
    filename=words,
    content=st.one_of(
        st.binary(max_size=400), st.lists(st.sampled_from([b"\r\n--cut", b"--", b"\r", b"\n", b"x"])).map(b"".join)
    ),
    cuts=st.lists(st.integers(0, 10**6), max_size=30),
)
def test_a_form_reads_the_same_however_it_is_cut(
    before: dict[str, str], after: dict[str, str], filename: str, content: bytes, cuts: list[int]
) -> None:
    content = content.replace(b"\r\n--cut", b"\r\n-- cut")
    fields = [*before.items(), *after.items()]
    parts = [part(name, value.encode()) for name, value in fields]
    parts.insert(len(before), part("file", content, filename))
    found = asyncio.run(read(b"".join(parts) + b"--cut--\r\n", cuts))
    assert found == (dict(fields), filename, content)


@given(body=st.binary(max_size=300), cuts=st.lists(st.integers(0, 300), max_size=5))
def test_no_bytes_raise_anything_but_a_refusal(body: bytes, cuts: list[int]) -> None:
    with pytest.raises(DomainError):
        asyncio.run(read(b"--cut\r\n" + body, cuts))


@pytest.mark.parametrize(
    "endless", [b"preamble ", part("a", b"x"), part("file", b"1", "a.csv") + b"--cut--\r\n", part("b", b"y" * 5_000)]
)
def test_a_form_without_end_is_refused(endless: bytes) -> None:
    with pytest.raises(DomainError):
        asyncio.run(read(endless * (200_000 // len(endless)), list(range(0, 200_000, 777))))


@given(st.text(max_size=60))
def test_a_disposition_is_one_clean_header(name: str) -> None:
    header = attachment(name.encode("utf-8", "replace").decode())
    header.encode("ascii")
    assert header.isprintable()
    assert header.count('"') == 2
    assert header.startswith('attachment; filename="')

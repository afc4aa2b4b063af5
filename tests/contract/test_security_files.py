"""Files that bite and names that climb: uploads are data, names are labels."""

import bz2
import gzip
import io
import lzma
import os
import pickle
import re
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import numpy as np
import pytest
from sqlmodel import col, select

from coreplex.artifact.table import Artifact, ArtifactKind
from coreplex.platform.database import Database
from coreplex.platform.settings import Settings
from tests.factories.dataset import PEOPLE, Person


class Bite:
    """Unpickled, it touches the canary."""

    def __init__(self, canary: Path) -> None:
        self.canary = canary

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.canary),)


def zipped(**members: bytes) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name.replace("__", "/").replace("_", "."), content)
    return out.getvalue()


def tarred(name: str, content: bytes) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        member = tarfile.TarInfo(name)
        member.size = len(content)
        archive.addfile(member, io.BytesIO(content))
    return out.getvalue()


def evil_files(canary: Path) -> dict[str, bytes]:
    bite = pickle.dumps(Bite(canary), protocol=4)
    objects = io.BytesIO()
    np.save(objects, np.array([Bite(canary)], dtype=object), allow_pickle=True)
    return {
        "pickle": bite,
        "old pickle": pickle.dumps(Bite(canary), protocol=2),
        "joblib zlib": zlib.compress(bite),
        "joblib gzip": gzip.compress(bite),
        "joblib bz2": bz2.compress(bite),
        "joblib lzma": lzma.compress(bite),
        "joblib ZF": b"ZF0x%-19x" % len(bite) + zlib.compress(bite),
        "npy": objects.getvalue(),
        "npz": zipped(arr_npy=objects.getvalue()),
        "torch": zipped(archive__data_pkl=bite, archive__version=b"3\n"),
        "keras": zipped(config_json=b'{"class_name": "Lambda"}', model_weights_h5=b"\x89HDF\r\n\x1a\n"),
        "skops": zipped(schema_json=b'{"__class__": "system", "__module__": "os"}'),
        "bundle": zipped(manifest_json=b'{"format": 1}'),
        "zip slip": zipped(**{"..__..__..__canary": bite}),
        "tar": tarred("../../canary", bite),
        "tar gz": gzip.compress(tarred("/tmp/canary", bite)),
        "gzip bomb": gzip.compress(b"0" * (50 << 20)),
        "parquet in name only": b"PAR1" + bite + b"PAR1",
        "parquet, huge footer": b"PAR1" + b"\xff\xff\xff\x7fPAR1",
        "hdf5": b"\x89HDF\r\n\x1a\n" + bytes(500),
        "elf": b"\x7fELF" + bytes(500),
        "sqlite": b"SQLite format 3\0" + bytes(500),
        "xls": b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(500),
        "arrow": b"ARROW1\0\0" + bytes(64),
        "nothing": b"",
        "nul": bytes(4096),
    }


async def test_evil_files_are_refused_and_nothing_in_them_runs(ada: Person, tmp_path: Path, watched: list[str]) -> None:
    canary = tmp_path / "canary"
    names = ("table.csv", "table.parquet", "model.pkl")
    for number, (kind, content) in enumerate(evil_files(canary).items()):
        answer = await ada.upload(content, names[number % 3])
        assert 400 <= answer.status_code < 500, (kind, answer.text)
        assert answer.json()["detail"]
    assert not canary.exists()
    assert watched == []


# Names

CLIMBING = [
    "..",
    "../..",
    "../../../etc/passwd",
    "..\\..\\windows\\system.ini",
    "....//....//x",
    "%2e%2e%2fx",
    "..%2fx",
    "..%c0%afx",
]
CLIMBING += [
    "%252e%252e%252fx",
    "..;/x",
    "./x",
    ".",
    "/",
    "//",
    "\\",
    "\\\\host\\share",
    "/etc/passwd",
    "/dev/null",
    "C:\\x",
    "c:x",
]
CLIMBING += [
    "file:///etc/passwd",
    "http://example.com/x",
    "data:,x",
    "a/../../b",
    "a/./b",
    "a//b",
    "~root/x",
    "~",
    "$HOME",
    "${x}",
]
STRANGE = [
    "\0",
    "a\0b.csv",
    "a\r\nSet-Cookie: x=y",
    "a\nb",
    "a\tb",
    "\x1b[31m",
    "\x7f",
    "\u2028",
    "\u2029",
    "\x85",
    "\u202egpj.csv",
]
STRANGE += [
    "\u200b",
    "\ufeffx",
    "﹒﹒/x",
    "．．／x",
    "a" * 300,
    "é" * 300,
    "😀" * 300,
    "\ud7ff",
    "\ufffd",
    "ａ．csv",
    "a\u0300" * 100,
]
STRANGE += [
    'a"b',
    'a"; filename="x',
    "a'b",
    "a;b",
    "a,b",
    "a=b",
    "a%b",
    "a%0d%0ab",
    "a?b",
    "a#b",
    "a&b",
    "a|b",
    "a*b",
    "<b>",
    "`id`",
]
STRANGE += [
    "$(id)",
    "; rm -rf x",
    "--help",
    "-rf",
    "=1+1",
    "@x",
    "+x",
    "{{7*7}}",
    "${7*7}",
    "%s%n",
    "{0}",
    "\\x41",
    "\\u0041",
    "null",
]
RESERVED = [
    "CON",
    "con.csv",
    "PRN",
    "AUX",
    "NUL",
    "COM1",
    "LPT1.csv",
    "x.",
    "x ",
    " x",
    ".htaccess",
    ".x",
    "x.json",
    "x.part",
    "lock",
]
RESERVED += [
    "x.csv.exe",
    "x.csv%00.exe",
    "desktop.ini",
    "Thumbs.db",
    "x:stream",
    "x::$DATA",
    "*",
    "?",
    "|",
    "<",
    ">",
    '"',
    "true",
    "0",
]
NAMES = [*CLIMBING, *STRANGE, *RESERVED]


def snapshot(folder: Path) -> dict[str, int]:
    return {str(path): path.stat().st_size for path in folder.rglob("*") if path.is_file()}


def check_disposition(value: str, suffix: str = "") -> None:
    """One line of plain characters; what a browser makes of it is a name without a folder."""
    match = re.fullmatch(r"attachment; filename=\"([\w\-. ]*)\"; filename\*=UTF-8''([\w.~%-]+)", value, re.ASCII)
    assert match, value
    decoded = unquote(match[2], errors="strict")
    assert decoded.isprintable(), value
    assert not set(decoded) & set("/\\"), value
    assert decoded.endswith(suffix), value
    assert decoded not in {"", ".", ".."}, value


@pytest.fixture
def outside(settings: Settings) -> Iterator[dict[str, int]]:
    """Whatever the names say, nothing beside the data folder changes."""
    canary = settings.data_dir.parent / "x"
    canary.write_text("untouched")
    before = {path: size for path, size in snapshot(canary.parent).items() if not path.startswith(str(settings.data_dir))}
    yield before
    after = {path: size for path, size in snapshot(canary.parent).items() if not path.startswith(str(settings.data_dir))}
    assert after == before


async def test_names_of_uploads_are_labels(ada: Person, settings: Settings, outside: dict[str, int]) -> None:
    assert len(NAMES) >= 100
    for name in NAMES:
        answer = await ada.client.post("/api/uploads", params={"filename": name}, content=PEOPLE)
        assert answer.status_code in {201, 422}, (name, answer.text)
        if answer.status_code == 201:
            shown = answer.json()["filename"]
            assert shown.isprintable(), repr(name)
            assert not set(shown) & set("/\\"), repr(name)
            assert len(shown) <= 200
    made = {path.name for path in (settings.data_dir / "staging").iterdir()}
    assert all(re.fullmatch(r"[0-9a-f-]{36}(\.[0-9a-f-]{36})?\.(part|json)", name) for name in made)


async def test_names_of_datasets_become_safe_file_names(ada: Person, outside: dict[str, int]) -> None:
    dataset = (await ada.dataset())["dataset_id"]
    rename = "mutation($input: UpdateDatasetInput!) { updateDataset(input: $input) { dataset { name } } }"
    renamed = 0
    for name in NAMES:
        answer = await ada.ask(rename, input={"datasetId": dataset, "name": name})
        assert "errors" not in answer or answer["errors"][0]["extensions"]["code"] == "INVALID", (name, answer)
        renamed += "errors" not in answer
        got = await ada.client.get(f"/api/datasets/{dataset}/download", params={"format": "parquet"})
        assert got.status_code == 200
        check_disposition(got.headers["Content-Disposition"], "_v1.parquet")
    assert renamed > 50


@pytest.mark.parametrize("name", ["../../x.csv", "a\\..\\x.csv", "a%00b.csv", "a" * 300 + ".csv", "\u202egpj.csv", "x; y.csv"])
async def test_the_uploaded_file_comes_back_under_a_safe_name(
    ada: Person, database: Database, outside: dict[str, int], name: str
) -> None:
    await ada.dataset(filename=name)
    async with database.read() as session:
        artifact = await session.scalar(select(col(Artifact.id)).where(col(Artifact.kind) == ArtifactKind.upload))
    got = await ada.client.get(f"/api/artifacts/{artifact}/download")
    assert got.status_code == 200
    check_disposition(got.headers["Content-Disposition"])


async def test_names_in_paths_name_nothing(ada: Person, outside: dict[str, int]) -> None:
    for name in NAMES:
        quoted = "".join(f"%{byte:02x}" for byte in name.encode())
        for template in (
            "/api/files/{}/download",
            "/api/artifacts/{}/download",
            "/api/datasets/{}",
            "/api/projects/{}",
            "/docs/{}",
        ):
            answer = await ada.client.get(template.format(quoted))
            assert answer.status_code in {404, 405, 422}, (template, name, answer.text)
            assert "root:" not in answer.text

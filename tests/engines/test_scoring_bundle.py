"""Bundles: the same bytes again, a changed byte refused, evil archives refused, nothing unpickled."""

import hashlib
import io
import json
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from coreplex.engines.scoring import archive, bundle
from coreplex.engines.scoring.bundle import Corrupt, Manifest
from coreplex.engines.scoring.scorer import Scorer
from coreplex.errors.tree import BadInput, DomainError, NotFound
from tests.engines.scoring_samples import frame, manifest, member, predict_frame, target

TABLE = frame(200)
BOOSTER = member(TABLE, target(TABLE, "binary"), "binary", "lightgbm")
LINEAR = member(TABLE, target(TABLE, "binary"), "binary", "linear")
DATA = bundle.dumps(manifest(TABLE), [BOOSTER, LINEAR])
REPO = Path(__file__).parents[2]


def test_the_same_model_makes_the_same_bytes_and_answers(tmp_path: Path) -> None:
    assert bundle.dumps(manifest(TABLE), [BOOSTER, LINEAR]) == DATA
    written = bundle.write(tmp_path / "model.zip", manifest(TABLE), [BOOSTER, LINEAR])
    assert written.path.read_bytes() == DATA
    assert (written.size, written.sha256) == (len(DATA), hashlib.sha256(DATA).hexdigest())
    assert [path.name for path in tmp_path.iterdir()] == ["model.zip"]
    loaded = bundle.read(written.path, written.sha256)
    assert bundle.dumps(loaded.manifest, loaded.ensemble.members) == DATA
    before = predict_frame(Scorer(bundle.read(DATA)), TABLE)
    assert predict_frame(Scorer.load(written.path, written.sha256), TABLE).equals(before)


def test_a_shared_encoder_is_stored_once() -> None:
    twice = bundle.dumps(manifest(TABLE), [BOOSTER, BOOSTER])
    with zipfile.ZipFile(io.BytesIO(twice)) as box:
        names = box.namelist()
    assert sum(name.endswith("encoder.json") for name in names) == 1
    assert sum(name.endswith("member.json") for name in names) == 2


def test_a_changed_byte_is_refused() -> None:
    sha256 = hashlib.sha256(DATA).hexdigest()
    for place in np.random.default_rng(0).integers(0, len(DATA), 100):
        spoiled = bytearray(DATA)
        spoiled[place] ^= 1
        with pytest.raises(Corrupt):
            bundle.read(bytes(spoiled), sha256)


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.one_of(st.binary(max_size=300), st.integers(0, len(DATA)).map(lambda n: DATA[:n])))
def test_bytes_that_are_no_bundle_are_refused(data: bytes) -> None:
    if data != DATA:
        with pytest.raises(BadInput):
            bundle.read(data)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(NotFound):
        bundle.read(tmp_path / "none.zip")


def parts(**changed: bytes | None) -> dict[str, bytes]:
    files = archive.unpack(DATA)
    for name, data in changed.items():
        if data is None:
            del files[name]
        else:
            files[name] = data
    return files


def zipped(entries: list[tuple[Any, bytes]], compression: int = zipfile.ZIP_STORED) -> bytes:
    out = io.BytesIO()
    with (
        pytest.warns(UserWarning, match=r"Duplicate name|^$") if len({str(e[0]) for e in entries}) < len(entries) else _nothing()
    ):
        with zipfile.ZipFile(out, "w", compression) as box:
            for name, data in entries:
                box.writestr(name, data)
    return out.getvalue()


class _nothing:
    def __enter__(self) -> None: ...
    def __exit__(self, *error: object) -> None: ...


def link(name: str) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name)
    info.external_attr = 0o120777 << 16
    return info


def lying() -> bytes:
    """A part whose declared size is a hundred million times its real one."""
    data = bytearray(zipped([("manifest.json", b"{}")]))
    at = data.rindex(b"PK\x01\x02") + 24
    data[at : at + 4] = (2**32 - 2).to_bytes(4, "little")
    return bytes(data)


def encrypted() -> bytes:
    data = bytearray(zipped([("manifest.json", b"{}")]))
    data[data.rindex(b"PK\x01\x02") + 8] |= 1
    return bytes(data)


EVIL = {
    "parent": zipped([("../manifest.json", b"{}")]),
    "inner parent": zipped([("members/0/../../x.json", b"{}")]),
    "absolute": zipped([("/etc/passwd.json", b"{}")]),
    "backslash": zipped([("members\\0\\x.json", b"{}")]),
    "drive": zipped([("C:/x.json", b"{}")]),
    "folder": zipped([("members/0/", b"")]),
    "pickle": zipped([("members/0/model.pkl", b"\x80\x04N.")]),
    "link elsewhere": zipped([(link("link"), b"/etc/passwd")]),
    "duplicate": zipped([("manifest.json", b"{}"), ("manifest.json", b"[]")]),
    "bomb": zipped([("manifest.json", b" " * 5_000_000)], zipfile.ZIP_DEFLATED),
    "bzip2": zipped([("manifest.json", b"{}")], zipfile.ZIP_BZIP2),
    "lzma": zipped([("manifest.json", b"{}")], zipfile.ZIP_LZMA),
    "lying": lying(),
    "encrypted": encrypted(),
    "crowd": zipped([(f"members/{i % 10000}/a{i // 10000}.json", b"") for i in range(10_001)]),
    "empty": zipped([]),
    "other digits": zipped([("members/٣/x.json", b"{}")]),
    "newline": zipped([("manifest.json\n", b"{}")]),
}


@pytest.mark.parametrize("data", EVIL.values(), ids=EVIL.keys())
def test_evil_archives_are_refused(data: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(BadInput):
        bundle.read(data)
    assert not list(tmp_path.iterdir())


HEAD = json.loads(archive.unpack(DATA)["manifest.json"])
MEMBER = "members/0/member.json"
SPOILED = {
    "no manifest": {"manifest.json": None},
    "manifest no json": {"manifest.json": b"{"},
    "manifest a list": {"manifest.json": b"[]"},
    "unknown format": {"manifest.json": json.dumps({**HEAD, "format": 2}).encode()},
    "three classes": {"manifest.json": json.dumps({**HEAD, "classes": ["a", "b", "c"]}).encode()},
    "same classes": {"manifest.json": json.dumps({**HEAD, "classes": ["1", 1]}).encode()},
    "other task": {"manifest.json": json.dumps({**HEAD, "task": "regression", "classes": []}).encode()},
    "schema": {"manifest.json": json.dumps({**HEAD, "feature_schema": {}}).encode()},
    "calibration": {"manifest.json": json.dumps({**HEAD, "calibration": {"kind": "magic"}}).encode()},
    "no member": {MEMBER: None},
    "other encoder": {MEMBER: b'{"kind":"lightgbm","encoder":7,"weight":1}'},
    "other kind": {MEMBER: b'{"kind":"os.system","encoder":0,"weight":1}'},
    "negative weight": {MEMBER: b'{"kind":"lightgbm","encoder":0,"weight":-1}'},
    "swapped": {MEMBER: b'{"kind":"lightgbm","encoder":1,"weight":1}'},
    "deep": {MEMBER: b"[" * 5000 + b"]" * 5000},
    "object array": {
        "members/1/weights.npy": b"\x93NUMPY\x01\x00v\x00{'descr': '|O', 'fortran_order': False, 'shape': (1,), }".ljust(128)
    },
}


@pytest.mark.parametrize("changes", SPOILED.values(), ids=SPOILED.keys())
def test_parts_that_do_not_fit_are_refused(changes: dict[str, bytes | None]) -> None:
    with pytest.raises(DomainError):
        Scorer.load(archive.pack(parts(**changes)))


@pytest.mark.parametrize("name", ["../x.json", "members/0/x.pkl", "x.json", "members/0/X.json"])
def test_only_names_of_the_form_are_written(name: str) -> None:
    with pytest.raises(ValueError, match="not a name"):
        archive.pack({name: b""})


def test_what_is_written_can_be_read_however_well_it_packs() -> None:
    files = {"manifest.json": b" " * 5_000_000, "members/0/a.json": bytes(range(256)) * 100, "members/0/b.json": b""}
    assert archive.unpack(archive.pack(files)) == files


@pytest.mark.parametrize(
    ("task", "classes"), [("binary", ("a",)), ("binary", ()), ("multiclass", ("a",)), ("regression", ("a",))]
)
def test_classes_fit_the_task(task: Any, classes: Any) -> None:
    with pytest.raises(ValueError, match="classes"):
        Manifest(task=task, target="y", classes=classes, feature_schema={"columns": []}, algo="GLM")


def test_another_process_gives_the_same_answers(tmp_path: Path) -> None:
    """The worker that trained a model and the web process that serves it."""
    scorer = Scorer.load(DATA)
    (tmp_path / "model.zip").write_bytes(DATA)
    rows = TABLE.drop("since").to_dicts()[:50]
    script = """
import json, sys
from coreplex.engines.scoring.scorer import Scorer
print(json.dumps(Scorer.load(sys.argv[1], sys.argv[2]).predict_rows(json.load(sys.stdin))[0]))
"""
    command = [sys.executable, "-c", script, str(tmp_path / "model.zip"), scorer.sha256]
    done = subprocess.run(command, input=json.dumps(rows), capture_output=True, text=True, check=True, cwd=REPO, timeout=120)
    for there, here in zip(json.loads(done.stdout), scorer.predict_rows(rows)[0], strict=True):
        assert there["prediction"] == here["prediction"]
        assert there["probabilities"] == pytest.approx(here["probabilities"], abs=1e-6)


def test_loading_and_scoring_never_unpickles(tmp_path: Path) -> None:
    """In a process of its own: an audit hook can never be taken away again."""
    for family in ("lightgbm", "xgboost", "linear", "mlp"):
        (tmp_path / family).write_bytes(bundle.dumps(manifest(TABLE), [member(TABLE, target(TABLE, "binary"), "binary", family)]))
    script = """
import sys
seen = []
sys.addaudithook(lambda event, args: seen.append(args) if event == "pickle.find_class" else None)
from pathlib import Path
from coreplex.engines.scoring.contributions import contributions
from coreplex.engines.scoring.scorer import Scorer
for path in sorted(Path(sys.argv[1]).iterdir()):
    scorer = Scorer.load(path)
    scorer.predict_row({"age": 40})
    contributions(scorer, [{"age": 40}])
assert not seen, seen
"""
    subprocess.run([sys.executable, "-c", script, str(tmp_path)], check=True, cwd=REPO, timeout=120)

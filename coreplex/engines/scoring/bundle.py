"""A trained model as one file: what it is (manifest.json), how it reads a table (encoders/), how it scores (members/).

    manifest.json                       task, target, classes as uploaded, schema, threshold, how members combine
    encoders/<j>/encoder.json, *.npy    what preprocessing learned
    members/<i>/member.json             {"kind", "encoder": j, "weight"}
    members/<i>/model.txt | model.ubj | model.cbm | *.npy, *.json

Data only, nothing that runs. The SHA-256 in the database is checked against the very bytes that are then read.
"""

import hashlib
import os
import platform
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any, Literal, TypeVar

import orjson
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from coreplex.engines.encoding.encoder import Encoder
from coreplex.engines.encoding.rows import RowReader
from coreplex.engines.encoding.steps import TaskKind
from coreplex.engines.learner_families import distributions
from coreplex.engines.scoring import archive
from coreplex.engines.scoring.calibration import Calibration, Conformal
from coreplex.engines.scoring.ensemble import Combine, Ensemble, Member, Transform
from coreplex.engines.scoring.predictor import from_files
from coreplex.engines.tabular.schema import TableSchema
from coreplex.errors.tree import BadInput, Damaged, Message, NotFound

Label = str | bool | int | float
Made = TypeVar("Made")


class Corrupt(Damaged):
    """A stored model is not the one that was written: its bytes have changed."""


class Manifest(BaseModel):
    """What a model is. `classes` are spelled as in the uploaded file, in the order of the probabilities."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    format: Literal[1] = 1
    task: TaskKind
    target: str
    classes: tuple[Label, ...] = ()
    feature_schema: dict[str, Any]
    """`TableSchema.to_json()` of all columns the model was offered, without the target."""
    algo: str
    engine: str = "native"
    threshold: float = Field(0.5, ge=0, le=1)
    """Binary: the second class is predicted from this probability on."""
    combine: Combine = "response"
    target_transform: Transform = "none"
    calibration: dict[str, Any] | None = None
    conformal: dict[str, Any] | None = None
    """What intervals and sets of classes are made of (`Conformal`); models of earlier versions have none."""
    background: tuple[dict[str, Any], ...] = Field((), max_length=500)
    """Rows of training that model-agnostic explanations are measured against (`contributions.background_of`)."""
    parameters: dict[str, Any] = Field(default_factory=dict)
    versions: dict[str, str] = Field(default_factory=lambda: versions())
    extra: dict[str, Any] = Field(default_factory=dict)
    """Whatever else an engine wants to keep with a model; JSON."""

    @model_validator(mode="after")
    def _classes_fit_the_task(self) -> "Manifest":
        few = {"binary": 2, "multiclass": 2, "regression": 0}[self.task]
        if len(self.classes) < few or (self.task != "multiclass" and len(self.classes) != few):
            raise ValueError(f"a {self.task} model cannot have {len(self.classes)} classes")
        if len({label_key(label) for label in self.classes}) != len(self.classes):
            raise ValueError("two classes are spelled alike")
        return self

    @field_validator("feature_schema")
    @classmethod
    def _schema_can_be_read(cls, value: dict[str, Any]) -> dict[str, Any]:
        try:
            TableSchema.from_json(value)
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError("the feature schema cannot be read") from error
        return value

    @field_validator("conformal")
    @classmethod
    def _intervals_can_be_read(cls, value: dict[str, Any] | None) -> dict[str, Any] | None:
        if value is not None:
            Conformal.from_json(value)
        return value

    @property
    def schema_(self) -> TableSchema:
        """The columns the model was offered, without the target."""
        return TableSchema.from_json(self.feature_schema)


@dataclass(frozen=True)
class Written:
    """Where a bundle is, and what goes into the database about it."""

    path: Path
    sha256: str
    size: int


@dataclass(frozen=True)
class Bundle:
    """A model that was read: what it is, how it scores, and the SHA-256 (hexadecimal) and size in bytes of its file."""

    manifest: Manifest
    ensemble: Ensemble
    sha256: str
    size: int


def versions() -> dict[str, str]:
    """Versions of Python and of the libraries that make scores."""
    found = {"python": platform.python_version()}
    for name in ("numpy", "polars", *distributions(), "flaml"):
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def label_key(label: Label) -> str:
    """A class as a key of `probabilities`, which JSON wants to be text."""
    return ("true" if label else "false") if isinstance(label, bool) else str(label)


def dumps(manifest: Manifest, members: Sequence[Member]) -> bytes:
    """The bytes of a bundle; the same model gives the same bytes."""
    ensemble = _ensemble(manifest, members)
    files = {"manifest.json": orjson.dumps(manifest.model_dump(mode="json"), option=orjson.OPT_SERIALIZE_NUMPY)}
    for index, encoder in enumerate(ensemble.encoders):
        state, own = encoder.to_json()
        files[f"encoders/{index}/encoder.json"] = orjson.dumps(state)
        files |= {f"encoders/{index}/a{name}.npy": archive.dump_array(array) for name, array in own.items()}
    for index, (member, place) in enumerate(zip(ensemble.members, ensemble.places, strict=True)):
        head = {"kind": member.predictor.kind, "encoder": place, "weight": member.weight}
        files[f"members/{index}/member.json"] = orjson.dumps(head)
        files |= {f"members/{index}/{name}": data for name, data in member.predictor.files().items()}
    return archive.pack(files)


def write(path: Path, manifest: Manifest, members: Sequence[Member]) -> Written:
    """Write a bundle to `path`, whole or not at all."""
    data = dumps(manifest, members)
    part = path.with_name(path.name + ".part")
    with part.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)
    return Written(path, hashlib.sha256(data).hexdigest(), len(data))


def read(source: Path | str | bytes, sha256: str | None = None) -> Bundle:
    """Load a bundle. `Corrupt` when the bytes are not those of `sha256`; `BadInput` when they make no model."""
    data, found = _checked(source, sha256)
    files = archive.unpack(data)
    return _made(files, lambda manifest: Bundle(manifest, _ensemble(manifest, _members(files)), found, len(data)))


def read_inputs(source: Path | str | bytes, sha256: str | None = None) -> tuple[Manifest, RowReader]:
    """What a bundle says of the rows it wants, without the members that would score them. Raises as `read`."""
    files = archive.unpack(_checked(source, sha256)[0], without="members/")
    return _made(files, lambda manifest: (manifest, row_reader(manifest, _encoders(_folders(files)))))


def row_reader(manifest: Manifest, encoders: Sequence[Encoder]) -> RowReader:
    """The reader of rows for a model: what it was offered and did not use, and its target, may come with them."""
    return RowReader.of(encoders, [*manifest.schema_.names, manifest.target])


def _checked(source: Path | str | bytes, sha256: str | None) -> tuple[bytes, str]:
    """The bytes and their hash."""
    data = source if isinstance(source, bytes) else _bytes(Path(source))
    found = hashlib.sha256(data).hexdigest()
    if sha256 is not None and found != sha256.lower():
        raise Corrupt(
            Message(
                "model_changed",
                "The stored model was changed since it was written and is not loaded. Train it again, or restore a backup.",
            )
        )
    return data, found


def _made(files: dict[str, bytes], make: Callable[[Manifest], Made]) -> Made:
    """What is made of the parts of a bundle and its manifest. Raises BadInput where they make no model."""
    try:
        return make(Manifest.model_validate(orjson.loads(files["manifest.json"])))
    except ValidationError as error:
        raise BadInput(
            Message("model_manifest_not_valid", "The model's manifest is not valid: {error}", error=str(error.errors()[0]["msg"]))
        ) from error
    except (KeyError, ValueError, TypeError, IndexError, AttributeError, RecursionError) as error:
        raise BadInput(Message("model_not_complete", "The model file is not complete: {error}", error=str(error))) from error


def _bytes(path: Path) -> bytes:
    try:
        if path.stat().st_size > archive.MOST_BYTES:
            raise BadInput(archive.TOO_LARGE)
        return path.read_bytes()
    except FileNotFoundError as error:
        raise NotFound.of("Model file") from error
    except OSError as error:
        raise BadInput(
            Message("model_unreadable", "The model file cannot be read: {error}", error=str(error.strerror))
        ) from error


def _ensemble(manifest: Manifest, members: Sequence[Member]) -> Ensemble:
    calibration = Calibration.from_json(manifest.calibration) if manifest.calibration else None
    ensemble = Ensemble(tuple(members), manifest.combine, calibration, manifest.target_transform)
    if ensemble.outputs != (len(manifest.classes) or 1):
        raise ValueError(f"{ensemble.outputs} outputs do not fit {len(manifest.classes)} classes")
    return ensemble


Folders = dict[tuple[str, int], dict[str, bytes]]
"""By area and number the files in it."""


def _folders(files: dict[str, bytes]) -> Folders:
    folders: Folders = {}
    for name, data in files.items():
        if name != "manifest.json":
            area, number, file = name.split("/")
            folders.setdefault((area, int(number)), {})[file] = data
    return folders


def _encoders(folders: Folders) -> list[Encoder]:
    return [_encoder(folders["encoders", index]) for index in range(_count(folders, "encoders"))]


def _members(files: dict[str, bytes]) -> list[Member]:
    folders = _folders(files)
    encoders = _encoders(folders)
    members = []
    for index in range(_count(folders, "members")):
        own = folders["members", index]
        head = orjson.loads(own["member.json"])
        predictor = from_files(head["kind"], own)
        members.append(Member(encoders[int(head["encoder"])], predictor, float(head["weight"])))
    return members


def _count(folders: Folders, area: str) -> int:
    return sum(1 for found, _ in folders if found == area)


def _encoder(files: dict[str, bytes]) -> Encoder:
    own = {name[1:-4]: archive.load_array(data) for name, data in files.items() if name.endswith(".npy")}
    return Encoder.from_json(orjson.loads(files["encoder.json"]), own)

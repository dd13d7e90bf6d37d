"""The file: a gzipped tar of a manifest, the database and, if wanted, the secrets. Checked whole before it is used."""

import hashlib
import json
import os
import tarfile
import zlib
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import IO

from portal.errors import Conflict, PortalError

DATABASE = "database"
_MANIFEST = "manifest.json"
_FORM = 1
_LARGEST_MANIFEST = 100_000


class CannotBackUp(PortalError):
    """`str()` says what is in the way and what to do about it."""


class CannotRestore(Conflict):
    """Nothing has changed. `str()` says what is in the way and what to do about it."""


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a backup says of itself, as JSON in `manifest.json`, the first file of the tar."""

    form: int
    portico: str
    """The version that made it."""
    schema: str
    """The schema's revision."""
    made_at: str
    """ISO 8601, UTC."""
    database: str
    """`sqlite` or `postgresql`."""
    files: dict[str, str]
    """Name -> SHA-256 in hex, of everything else in the tar."""


def describe(folder: Path, *, version: str, schema: str, made_at: datetime, kind: str) -> Manifest:
    files = {path.name: _sha256(path) for path in sorted(folder.iterdir())}
    return Manifest(_FORM, version, schema, made_at.isoformat(timespec="seconds"), kind, files)


def pack(folder: Path, manifest: Manifest, path: Path) -> None:
    """Raises CannotBackUp when `path` has come to be meanwhile, and OSError."""
    (folder / _MANIFEST).write_text(json.dumps(asdict(manifest), indent=2))
    draft = folder / "whole.tar.gz"
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        with tarfile.open(fileobj=file, mode="w:gz", compresslevel=6) as tar:
            for name in (_MANIFEST, *manifest.files):
                tar.add(folder / name, arcname=name, filter=_nobody)
        file.flush()
        os.fsync(file.fileno())
    try:
        os.link(draft, path)  # unlike a rename, it replaces nothing
    except FileExistsError:
        raise CannotBackUp(f"{path} exists already. Choose another name, or move it away.") from None
    sync_folder(path.parent)


def unpack(path: Path, folder: Path) -> Manifest:
    """Put the files of the backup into `folder`. Raises CannotRestore for what is missing, damaged or no backup."""
    damaged = CannotRestore(f"{path} is damaged or no backup of Portico. Take another one.")
    try:
        with tarfile.open(path, mode="r:gz") as tar:
            manifest = _read_manifest(tar)
            if manifest is None:
                raise damaged
            if manifest.form != _FORM:
                raise CannotRestore(f"{path} has form {manifest.form} of backups, and this release reads {_FORM}.")
            found = {}
            for member in tar:
                source = tar.extractfile(member) if member.isreg() and member.name in manifest.files else None
                if member.name == _MANIFEST:
                    continue
                if source is None or "/" in member.name or member.name in found:
                    raise damaged
                found[member.name] = _copy(source, folder / member.name)
    except FileNotFoundError:
        raise CannotRestore(f"{path} is not there.") from None
    except (tarfile.TarError, zlib.error, EOFError, OSError, ValueError, TypeError, KeyError) as error:
        raise damaged from error
    if found != manifest.files or DATABASE not in found:
        raise damaged
    return manifest


def sync_folder(folder: Path) -> None:
    """A name that was given survives a power failure from here on."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _read_manifest(tar: tarfile.TarFile) -> Manifest | None:
    first = tar.next()
    if first is None or first.name != _MANIFEST or not first.isreg() or first.size > _LARGEST_MANIFEST:
        return None
    source = tar.extractfile(first)
    manifest = Manifest(**json.loads(source.read())) if source else None
    return manifest if manifest and manifest.database in {"sqlite", "postgresql"} else None


def _nobody(member: tarfile.TarInfo) -> tarfile.TarInfo:
    member.uid = member.gid = 0
    member.uname = member.gname = ""
    member.mode = 0o600
    return member


def _copy(source: IO[bytes], target: Path) -> str:
    digest = hashlib.sha256()
    descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        while block := source.read(1 << 20):
            digest.update(block)
            file.write(block)
        file.flush()
        os.fsync(descriptor)
    return digest.hexdigest()


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()

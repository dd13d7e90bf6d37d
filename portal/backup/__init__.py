"""Backups: one file with the database and the generated secrets, and the way back.

A backup is made while everything runs. A restore happens while nothing runs, and is all or nothing: what is in the file
is put together and migrated aside, and takes the place of what is there in one step.
"""

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from sqlalchemy.engine import URL
from sqlalchemy.exc import SQLAlchemyError

from portal import migrate
from portal.backup import archive, postgres, sqlite
from portal.backup.archive import CannotBackUp, CannotRestore, Manifest
from portal.config import KEPT_SECRETS, Config
from portal.db import engine_url, utcnow

__all__ = ["CannotBackUp", "CannotRestore", "Made", "Manifest", "Restored", "backup", "restore"]

_KINDS = {"sqlite": sqlite, "postgresql": postgres}


@dataclass(frozen=True, slots=True)
class Made:
    path: Path
    size: int
    """Bytes."""
    manifest: Manifest


@dataclass(frozen=True, slots=True)
class Restored:
    manifest: Manifest
    migrated: list[str]
    """Sentences of the revisions that the backup did not have."""
    kept: Path | None
    """Where what was there before is now; None when there was nothing."""


def backup(config: Config, path: Path | None = None, *, version: str, secrets: bool = True) -> Made:
    """Write one file, which is there whole or not at all, readable by its owner only; everything may run meanwhile.

    Without `path` it stands in the working folder, with the time in its name. Raises CannotBackUp.
    """
    now = utcnow()
    path = (path or Path(f"portico-{_stamp(now)}.tar.gz")).absolute()
    if path.exists():
        raise CannotBackUp(f"{path} exists already. Choose another name, or move it away.")
    url = engine_url(config.database_url)
    try:
        with _folder_beside(path) as folder:
            revision = _kind(url).dump(url, folder / archive.DATABASE)
            if secrets:
                _copy_secrets(config.data_dir, folder)
            manifest = archive.describe(folder, version=version, schema=revision, made_at=now, kind=_name(url))
            archive.pack(folder, manifest, path)
    except OSError as error:
        raise CannotBackUp(f"{path} cannot be written: {error.strerror or error}.") from error
    return Made(path, path.stat().st_size, manifest)


def restore(config: Config, path: Path, *, version: str, replace: bool = False) -> Restored:
    """Put the database and the secrets of a backup in the place of what is there, migrated to this release.

    The caller has seen to it that nothing of this installation starts meanwhile. With `replace` what is there is kept
    in the data folder first. Raises CannotRestore, CannotBackUp, and what a migration raises: then nothing has changed.
    """
    url = engine_url(config.database_url)
    kind = _kind(url)
    config.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    with _folder_beside(kind.place(url) or config.data_dir / "restore") as folder:
        manifest = archive.unpack(path, folder)
        if manifest.database != _name(url):
            raise CannotRestore(
                f"{path} is a backup of {_SAID[manifest.database]}, and this installation uses {_SAID[_name(url)]}. "
                "Set PORTAL_DATABASE_URL to a database of that kind."
            )
        if manifest.schema not in migrate.revisions():
            raise CannotRestore(
                f"{path} was made by Portico {manifest.portico}, whose schema {manifest.schema} this release does not "
                "know. Restore it with that release or a newer one."
            )
        kept = None
        if kind.has_data(url):
            if not replace:
                raise CannotRestore("The database has data already. With --replace it is kept in a file and replaced.")
            kind.require_unused(url)
            kept = _keep(config, url, version)
        migrated = kind.prepare(url, folder / archive.DATABASE)
        _add_keys(config.data_dir, folder)
        done = kind.put_in_place(url, folder / archive.DATABASE)
        _put_secret_key(config.data_dir, folder)
    return Restored(manifest, migrated or done, kept)


_SAID = {"sqlite": "SQLite", "postgresql": "PostgreSQL"}


def _keep(config: Config, url: URL, version: str) -> Path:
    """What is there before it is replaced. A SQLite file that is too broken for a backup is copied as it is."""
    stamp = f"{utcnow():%Y%m%dT%H%M%S.%fZ}"  # two in one second keep both
    try:
        return backup(config, config.data_dir / f"before-restore-{stamp}.tar.gz", version=version).path
    except (CannotBackUp, SQLAlchemyError):
        place = _kind(url).place(url)
        if place is None:
            raise
        kept = config.data_dir / f"before-restore-{stamp}.sqlite3"
        shutil.copyfile(place, kept)
        kept.chmod(0o600)
        return kept


def _copy_secrets(source: Path, folder: Path) -> None:
    for name in KEPT_SECRETS:
        with contextlib.suppress(FileNotFoundError):
            _write(folder / name, (source / name).read_text())


def _add_keys(data_dir: Path, folder: Path) -> None:
    """Before the database is replaced: with both keys there is no moment when something sealed cannot be opened."""
    restored = folder / "encryption_keys"
    if not restored.exists():
        return
    keys = restored.read_text().split()
    with contextlib.suppress(FileNotFoundError):
        keys += [key for key in (data_dir / "encryption_keys").read_text().split() if key not in keys]
    _write(data_dir / "encryption_keys", "\n".join(keys))


def _put_secret_key(data_dir: Path, folder: Path) -> None:
    """After it: until then who was signed in before stays so."""
    with contextlib.suppress(FileNotFoundError):
        _write(data_dir / "secret_key", (folder / "secret_key").read_text())


def _write(path: Path, text: str) -> None:
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
        file.flush()
        os.fsync(descriptor)
    os.replace(draft, path)


@contextlib.contextmanager
def _folder_beside(path: Path) -> Iterator[Path]:
    """On the same disk, so that what is finished in it is moved, not copied; nobody else may look in."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".portico-", dir=path.parent) as name:
        yield Path(name)


def _kind(url: URL):  # type: ignore[no-untyped-def]  # one of two modules with the same functions
    try:
        return _KINDS[url.get_backend_name()]
    except KeyError:
        raise CannotBackUp(f"A {url.get_backend_name()} database cannot be backed up by Portico.") from None


def _name(url: URL) -> str:
    return url.get_backend_name()


def _stamp(when: datetime) -> str:
    return f"{when:%Y%m%dT%H%M%SZ}"

"""`flask export` and `flask apply`: the installation as files, for review, for Git, and for another installation."""

import os
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import tzinfo
from pathlib import Path
from typing import TYPE_CHECKING

import click
from flask import current_app
from flask.cli import with_appcontext
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from portal import config_of, letters
from portal.accounts import Person, audit
from portal.db import db, utcnow
from portal.errors import Conflict, Invalid, PortalError
from portal.terminal import Spoken

if TYPE_CHECKING:
    from portal.registry.installation import Installation, Loaded, Problem, Step, Thing

WOULD_CHANGE = 2
"""The status of `--plan` when something would change."""


@dataclass(frozen=True, slots=True)
class _Wish:
    """What was typed, and the files that it named."""

    loaded: "Loaded"
    prune: bool
    drafts: bool
    owner: str | None


class _WrongWords(click.UsageError):
    exit_code = 1


class _OwnStatus(Spoken):
    """Wrong options end with 1, since 2 means that something would change."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        try:
            return super().parse_args(ctx, args)
        except click.UsageError as error:
            raise _WrongWords(error.message, error.ctx) from None


@click.command("export", cls=Spoken)
@click.option("--to", "folder", type=click.Path(path_type=Path), help="A folder, with one file a team and an API.")
@click.option("--keys", is_flag=True, help="With the hashes of keys, so that they work in another installation.")
@with_appcontext
def export(folder: Path | None, keys: bool) -> None:
    """Write teams, categories, plans, APIs, consumers and subscriptions as YAML.

    Without --to it is one file on standard output. People, personal teams and secrets are not in it.
    """
    from portal.registry import installation as room
    from portal.registry.models import Revision

    session = db.session()
    found = room.stored(session, keys=keys, now=utcnow())
    sources = room.sources_of(found, room.stored_sources(session, room.sources_named(found.apis)))
    found = found.model_copy(update={"sources": sources})
    session.rollback()
    if keys:
        with db.begin() as writing:
            audit.record(
                writing, "exported keys", Revision, count=sum(len(each.keys or ()) for each in found.consumers)
            )
    if folder is None:
        click.echo(room.as_text(found), nl=False)
        return
    changed, removed = _write(folder, room.as_folder(found))
    click.echo(
        f"{folder} has {len(found.teams):,} teams and {len(found.apis):,} APIs: "
        f"{changed:,} files written, {removed:,} removed."
    )


@click.command("apply", cls=_OwnStatus)
@click.argument("files", nargs=-1, required=True, metavar="FILE…")
@click.option("--yes", is_flag=True, help="Without asking, for CI.")
@click.option("--plan", "only_plan", is_flag=True, help="Only show what would change; status 2 when something would.")
@click.option("--prune", is_flag=True, help="Delete what the files leave out of the teams that they list.")
@click.option("--drafts", is_flag=True, help="Save drafts and publish nothing.")
@click.option("--owner", metavar="EMAIL", help="Who owns teams that are made. Without, administrators add members.")
@with_appcontext
def apply_files(
    files: tuple[str, ...], yes: bool, only_plan: bool, prune: bool, drafts: bool, owner: str | None
) -> None:
    """Make the installation as FILE… say: files of `flask export`, folders of them, or - for standard input.

    All or nothing, after it has shown what changes and asked. What the files do not speak of stays.
    """
    from portal.registry import installation as room

    loaded = room.load(_read(files))
    if loaded.problems:
        _refuse(loaded.problems)
    wish = _Wish(loaded, prune, drafts, owner)
    steps, stays = _planned(wish, rehearse=not yes)
    click.echo(room.shown(steps))
    if said := room.about_left_out(stays):
        click.echo(said)
    if not steps:
        return
    if only_plan:
        raise click.exceptions.Exit(WOULD_CHANGE)
    if not yes:
        click.confirm("Apply this?", abort=True)
    _apply(wish, steps)
    click.echo("Applied.")


def _planned(wish: _Wish, *, rehearse: bool) -> tuple[list["Step"], list["Thing"]]:
    """What would be done and what stays only for want of `--prune`. Ends the command with every problem there is."""
    from portal.registry import installation as room

    session = db.session()
    try:
        current, wanted = _both(session, wish)
        steps = room.plan(current, wanted, prune=wish.prune)
        problems = [
            wish.loaded.origins[identity].problem(field, sentence)
            for identity, field, sentence in (
                *room.references(current, wanted, steps),
                *room.shut_out(current, wanted, steps),
            )
        ]
        named = room.sources_named(wanted.apis)
        problems += room.unknown_sources(wish.loaded, room.stored_sources(session, named))
        problems += room.unreadable_sources(session, wish.loaded)
        if problems:
            _refuse(problems)
        stays: list[Thing] = [] if wish.prune else list(room.left_out(current, wanted))
    finally:
        session.rollback()
    if rehearse and steps:
        _rehearse(wish, steps)
    return steps, stays


def _both(session: Session, wish: _Wish) -> tuple["Installation", "Installation"]:
    from portal.registry import installation as room
    from portal.registry.keys import TOMBSTONE

    now = utcnow()
    current = room.stored(session, keys=True, now=now)
    wanted = room.without_buried(wish.loaded.installation, now=now, tombstone=TOMBSTONE)
    return current, room.as_drafts(current, wanted) if wish.drafts else wanted


def _rehearse(wish: _Wish, steps: list["Step"]) -> None:
    """Do it all and take it back: what would be refused is told by the verbs that would refuse it."""
    from portal.registry import installation as room

    session = db.lock()
    try:
        room.pretend_sources(session, wish.loaded)
        room.carry_out(session, steps, zone=_zone(), owner=_owner(session, wish.owner))
        return
    except PortalError:
        session.rollback()
    finally:
        session.rollback()
    _tell_refusals(wish, steps)


def _tell_refusals(wish: _Wish, steps: list["Step"]) -> None:
    from portal.registry import installation as room

    session = db.lock()
    try:
        room.pretend_sources(session, wish.loaded)
        found = room.refusals(session, steps, zone=_zone(), owner=_owner(session, wish.owner))
    finally:
        session.rollback()
    if any(step.publishes for step, _ in found):
        click.echo("With --drafts, drafts are saved and nothing is published.", err=True)
    _refuse(problem for step, error in found for problem in _problems(wish.loaded, step, error))


def _apply(wish: _Wish, agreed: list["Step"]) -> None:
    """Raises Conflict when something else would happen now than was agreed to."""
    from portal.registry import installation as room

    room.keep_sources(db.begin, wish.loaded)
    try:
        with db.begin() as session:
            room.hold(session, agreed)
            current, wanted = _both(session, wish)
            if room.plan(current, wanted, prune=wish.prune) != agreed or any(room.shut_out(current, wanted, agreed)):
                raise _Meanwhile
            lost = room.carry_out(session, agreed, zone=_zone(), owner=_owner(session, wish.owner))
            letters.apis_deleted(session, [(loss.team, loss.uses) for loss in lost], by=None)
    except _Meanwhile:
        raise
    except PortalError:
        _tell_refusals(wish, agreed)
        raise


class _Meanwhile(Conflict):
    def __init__(self) -> None:
        super().__init__(
            "Somebody has changed something meanwhile, so that other things would be done than are shown above. "
            "Nothing was changed. Run the command again."
        )


def _problems(loaded: "Loaded", step: "Step", error: PortalError) -> Iterator["Problem"]:
    from portal.registry.installation import Problem

    origin = loaded.origins.get(step.identity)
    fields = error.fields if isinstance(error, Invalid) else {"": str(error)}
    for field, sentence in fields.items():
        said = f"{sentence}" if origin else f"{sentence} (To {step.action} the {step.label}.)"
        yield origin.problem(field, said) if origin else Problem("--prune", 0, "", said)


def _refuse(problems: Iterable["Problem"]) -> None:
    found = list(problems)
    if not found:
        return
    for problem in found:
        click.echo(str(problem), err=True)
    several = len(found) > 1
    raise click.ClickException(f"{len(found)} {'problems' if several else 'problem'}. Nothing was changed.")


def _zone() -> tzinfo:
    return config_of(current_app).quota_zone


def _owner(session: Session, email: str | None) -> Person | None:
    if email is None:
        return None
    person = session.scalar(select(Person).where(func.lower(Person.email) == email.strip().lower()))
    if person is None:
        raise click.ClickException(f"Nobody here signs in as {email}.")
    return person


def _read(names: Sequence[str]) -> Iterator[tuple[str, bytes]]:
    for name in names:
        path = Path(name)
        if name == "-":
            yield "standard input", sys.stdin.buffer.read()
        elif path.is_dir():
            files = sorted(_below(path))
            if not files:
                raise click.ClickException(f"{name} has no .yaml file.")
            yield from ((str(file), _bytes(file)) for file in files)
        else:
            yield name, _bytes(path)


def _below(folder: Path) -> Iterator[Path]:
    """What `export` writes, and what people lay beside it. Nothing of hidden folders, such as .git."""
    for path in folder.rglob("*"):
        hidden = any(part.startswith(".") for part in path.relative_to(folder).parts)
        if not hidden and path.is_file() and path.suffix in {".yaml", ".yml", ".json"}:
            yield path


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise click.ClickException(f"{path} cannot be read: {error.strerror}.") from error


def _write(folder: Path, wanted: Mapping[str, bytes]) -> tuple[int, int]:
    """How many files were written and removed. What is equal is not touched, nor what nobody's export has written."""
    from portal.registry import installation as room

    try:
        folder.mkdir(parents=True, exist_ok=True)
        there = {path.relative_to(folder).as_posix(): path.read_bytes() for path in _below(folder)}
        changed = [name for name, data in wanted.items() if there.get(name) != data]
        for name in changed:
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            draft = path.with_name(f".{path.name}.tmp")
            draft.write_bytes(wanted[name])
            os.replace(draft, path)
        removed = room.left_over(there, wanted)
        for name in removed:
            (folder / name).unlink()
    except OSError as error:
        raise click.ClickException(f"{folder} cannot be written: {error.strerror} ({error.filename}).") from error
    return len(changed), len(removed)

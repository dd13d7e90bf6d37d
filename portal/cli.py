"""`flask …`: what is done from a terminal. The verbs are those of the rooms.

Every process imports this file; what takes long to import stands inside the command that needs it.
"""

import json
import os
from dataclasses import asdict
from pathlib import Path

import click
from flask import Flask, current_app
from flask.cli import AppGroup, with_appcontext
from flask_security import hash_password
from sqlalchemy import create_engine, func, select
from sqlalchemy.exc import SQLAlchemyError

from portal import config_of, letters
from portal.accounts import Person, audit, people
from portal.accounts import second_factor as factor
from portal.config import Config
from portal.db import db, engine_options, engine_url
from portal.declared import apply_files, export
from portal.terminal import Spoken


class _Group(Spoken, AppGroup):
    """The same for all commands of a group."""


gateway = _Group("gateway", help="The gateway of this machine.")
worker = _Group("worker", help="Queued and periodic work.")
user = _Group("user", help="People who sign in.")
database = _Group("db", help="The database's schema.")
the_secrets = _Group("secrets", help="What is stored sealed.")
the_sample = _Group("sample", help="The sample of the first start.")
the_search = _Group("search", help="What the catalogue is searched by.")

_ask = click.option("--ask", is_flag=True, help="Ask for the password instead of making one.")


def set_up(app: Flask) -> None:
    for each in (
        gateway,
        worker,
        user,
        database,
        the_secrets,
        the_sample,
        the_search,
        back_up,
        restore,
        doctor,
        export,
        apply_files,
    ):
        app.cli.add_command(each)


@gateway.command("run")
def run_gateway() -> None:
    """Compile what is published, run Envoy, store its log."""
    from portal.gateway import node

    node.run(config_of(current_app))


@worker.command("run")
def run_worker() -> None:
    """Do what is due in the job table."""
    from portal import worker as room

    room.run(config_of(current_app))


@user.command("create")
@click.argument("email")
@click.option("--name", help="The name that others see; without it what stands before the @.")
@click.option("--administrator", is_flag=True, help="With every right.")
@_ask
def create_user(email: str, name: str | None, administrator: bool, ask: bool) -> None:
    """Make somebody who can sign in with EMAIL."""
    email = _normal(email)
    password = _password(ask, email)
    with db.begin() as session:
        person = people.create_person(
            session,
            email=email,
            name=name or email.partition("@")[0],
            password_hash=hash_password(password),
            is_administrator=administrator,
        )
        if not ask:
            audit.record(session, "shown password", person)
    _tell(email, password, ask)


@user.command("reset")
@click.argument("email")
@click.option("--second-factor", is_flag=True, help="Also take the second factor off.")
@_ask
def reset_user(email: str, second_factor: bool, ask: bool) -> None:
    """Give EMAIL a new password and sign them out everywhere."""
    password = _password(ask, email)
    with db.begin() as session:
        person = session.scalar(select(Person).where(func.lower(Person.email) == email.strip().lower()))
        if person is None:
            raise click.ClickException(f"Nobody here signs in as {email}.")
        people.set_password(person, hash_password(password))
        letters.password_changed(session, person)
        if not ask:
            audit.record(session, "shown password", person)
        if second_factor and person.has_second_factor:
            factor.take_off(person)
            letters.second_factor_off(session, person)
        email, asks_for_code = person.email, person.has_second_factor
    _tell(email, password, ask)
    if asks_for_code:
        click.echo("Their second factor is still asked for; --second-factor takes it off.")


@database.command("upgrade")
def upgrade_database() -> None:
    """Apply the migrations that are waiting, all or none."""
    from portal import migrate

    # Of all commands the one that may make a SQLite file: see db.existing.
    url = engine_url(config_of(current_app).database_url)
    engine = create_engine(url, **engine_options(url))
    done = migrate.upgrade(engine)
    engine.dispose()
    click.echo("\n".join(f"Migrated: {sentence}" for sentence in done) or "Nothing to migrate.")


@database.command("check")
def check_database() -> None:
    """Fail when migrations wait, or when tables and models differ."""
    from portal import migrate, schema

    if waiting := migrate.pending(db.engine):
        raise click.ClickException(f"{len(waiting)} migrations wait; the first one is “{waiting[0]}”.")
    if found := migrate.differences(db.engine, schema.metadata):
        raise click.ClickException("Tables and models differ:\n" + "\n".join(found))
    click.echo("The database is as this release needs it.")


@the_secrets.command("rotate")
def rotate_secrets() -> None:
    """Seal every stored secret anew, with a new key or with the first of PORTAL_ENCRYPTION_KEYS."""
    from portal import jobs, schema, vault
    from portal.web import second_factor as factors

    assert schema.metadata  # every model is there now, and has said what it keeps
    config = config_of(current_app)
    if not config.encryption_keys:
        try:
            vault.make_newest(config.data_dir)
        except OSError as error:
            raise click.ClickException(f"The new key cannot be kept: {error.strerror} ({error.filename}).") from error
    with db.begin() as session:
        keys = vault.Vault.of(config)
        count = vault.reseal(session, keys) + jobs.reseal(session, keys) + factors.reseal(session, config)
    key = "the first key of PORTAL_ENCRYPTION_KEYS" if config.encryption_keys else "a new key"
    counted = f"{count:,} {'secret is' if count == 1 else 'secrets are'}"
    click.echo(f"{counted} sealed with {key}. Nothing stored needs an older one now.")


@the_search.command("reindex")
def reindex() -> None:
    """Make the catalogue's index anew from what is published."""
    from portal.registry import indexing

    count = 0
    with db.begin() as session:
        indexing.outdate(session)
    while True:
        with db.begin() as session:  # one transaction for all would keep others waiting
            done = indexing.mend(session)
        if not done:
            break
        count += done
    click.echo(f"{count:,} published {'API is' if count == 1 else 'APIs are'} indexed.")


@the_sample.command("remove")
def remove_sample() -> None:
    """Take away the sample API with its plan, consumer and key."""
    from portal import sample

    with db.begin() as session:
        removed = sample.remove(session)
    click.echo("The sample is gone." if removed else "There is no sample.")


@click.command("backup", cls=Spoken)
@click.argument("file", required=False, type=click.Path(path_type=Path))
@click.option("--without-secrets", is_flag=True, help="Leave out the secrets that were made in the data folder.")
@with_appcontext
def back_up(file: Path | None, without_secrets: bool) -> None:
    """Write everything into FILE, while everything runs.

    Without FILE it stands in the working folder, with the time in its name.
    """
    from portal import __version__, backup
    from portal.registry.models import Revision

    config = config_of(current_app)
    made = backup.backup(config, file, version=__version__, secrets=not without_secrets)
    click.echo(f"{made.path} has the database ({made.size / 1e6:,.1f} MB, schema {made.manifest.schema}).")
    click.echo(_about_secrets(config, set(made.manifest.files)))
    try:
        with db.begin() as session:
            audit.record(session, "backed up", Revision, file=made.path.name, with_secrets=not without_secrets)
    except SQLAlchemyError as error:
        # A backup is what a database needs that takes no more writing, or that waits for a migration.
        why = str(getattr(error, "orig", None) or error).partition("\n")[0].rstrip(".")
        click.echo(f"The audit trail does not say so, since the database takes no entry: {why}.", err=True)


@click.command("restore", cls=Spoken)
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--replace", is_flag=True, help="Also when there is data, which is kept in a file in the data folder.")
@with_appcontext
def restore(file: Path, replace: bool) -> None:
    """Put FILE, a backup, in the place of what is there. All or nothing.

    Nothing of this installation may run meanwhile but Envoy, which goes on serving.
    """
    from portal import __version__, backup, run
    from portal.gateway import claims
    from portal.registry.models import Revision

    config = config_of(current_app)
    db.engine.dispose()  # or this very process would have the database open
    with run.alone(config):
        lock, _ = claims.take_folder(config.gateway_dir)
        try:
            done = backup.restore(config, file, version=__version__, replace=replace)
            with db.begin() as session:
                audit.record(
                    session,
                    "restored",
                    Revision,
                    file=file.name,
                    made_at=done.manifest.made_at,
                    replaced=bool(done.kept),
                )
            db.engine.dispose()
        finally:
            os.close(lock)
    if done.kept:
        click.echo(f"What was there before is in {done.kept}.")
    for sentence in done.migrated:
        click.echo(f"Migrated: {sentence}")
    click.echo(f"Restored as it was at {done.manifest.made_at}. Start Portico: {file.name} is in its place.")
    if "encryption_keys" not in done.manifest.files and not config.encryption_keys:
        click.echo("The backup has no encryption keys. What was sealed with others cannot be opened; store it again.")


@click.command("doctor", cls=Spoken)
@click.option("--json", "as_json", is_flag=True, help="As a list of findings for programs.")
@with_appcontext
def doctor(as_json: bool) -> None:
    """Say what is wrong with this installation and what to do; status 1 when something is."""
    from portal import doctor as room

    found = room.examine(config_of(current_app), db.engine)
    wrong = [each for each in found if not each.is_note]
    if as_json:
        click.echo(json.dumps([asdict(each) for each in found], indent=2))
    else:
        for each in found:
            click.echo(f"{each.about}{' (a note)' if each.is_note else ''}: {each.sentence}\n    {each.remedy}")
        if not wrong:
            click.echo("Nothing is wrong.")
    if wrong:
        raise click.exceptions.Exit(1)


def _about_secrets(config: Config, files: set[str]) -> str:
    if config.encryption_keys:
        return (
            "The encryption keys come from PORTAL_ENCRYPTION_KEYS and are not in it. Keep them too: without them "
            "sealed secrets cannot be read."
        )
    if files & {"secret_key", "encryption_keys"}:
        return "It has the secrets that open what is sealed in the database: keep it as safe as a password."
    return (
        f"The secrets of {config.data_dir} are not in it. Keep the files secret_key and encryption_keys, if they are "
        "there: without them sealed secrets cannot be read."
    )


def _normal(email: str) -> str:
    try:
        return str(current_app.extensions["security"]._mail_util.validate(email))
    except ValueError as error:
        raise click.ClickException(f"{email} is not an e-mail address: {error}") from error


def _password(ask: bool, email: str) -> str:
    if not ask:
        return people.new_password()
    typed = click.prompt("Password", hide_input=True, confirmation_prompt=True)
    wrong, password = current_app.extensions["security"].password_util.validate(typed, True, email=email)
    if wrong:
        raise click.ClickException(" ".join(wrong))
    return str(password)


def _tell(email: str, password: str, asked: bool) -> None:
    click.echo(f"{email} can sign in." if asked else f"{email} can sign in with the password {password}")
    if not asked:
        click.echo("They have to choose another one when they sign in with it.", err=True)

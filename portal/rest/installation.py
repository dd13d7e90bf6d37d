"""The installation, for administrators: its settings, how it does and what is wrong with it, the sample."""

from flask import current_app
from sqlalchemy.orm import Session

from portal import config_of, doctor, sample
from portal.accounts import Permission
from portal.accounts.tokens import Scope
from portal.db import utcnow
from portal.doctor import Finding
from portal.rest.route import tagged
from portal.rest.shapes import Instant, Told
from portal.web import health
from portal.web.installation import settings_of

route = tagged("Installation")


class SettingAnswer(Told):
    name: str
    value: str
    """Of a secret only `set` or `not set`."""
    meaning: str
    is_default: bool


class InstallationAnswer(Told):
    version: str
    database: str
    """`sqlite` or `postgresql`."""
    has_sample: bool
    settings: list[SettingAnswer]


class FindingAnswer(Told):
    about: str
    """Such as `settings`, `disk`, `database`, `gateway`, `certificate`, `mail` or `worker`."""
    detail: str
    remedy: str
    is_note: bool
    """Worth knowing, and nothing is wrong."""


class IngestAnswer(Told):
    waiting_bytes: int | None
    """Of access log that is not stored as calls yet; null without nodes."""
    newest_call_at: Instant | None
    misread_lines_24h: int
    """Lines of the log that were not a call."""


class WorkerAnswer(Told):
    last_turn_at: Instant | None
    """When it last did something periodic."""
    jobs_due: int
    jobs_given_up: int


class StatusAnswer(Told):
    findings: list[FindingAnswer]
    examined_at: Instant | None
    """When the worker last took a closer look; null for never."""
    examined_on: str
    """The machine that was looked at then."""
    is_being_examined: bool
    ingest: IngestAnswer
    worker: WorkerAnswer


@route("GET", "/installation", Permission.ADMINISTER, scope=Scope.ADMIN, answer=InstallationAnswer)
def show(session: Session) -> InstallationAnswer:
    """What the installation is set to."""
    found = health.facts(session, utcnow())
    return InstallationAnswer(
        version=found["version"],
        database=found["database"],
        has_sample=sample.exists(session),
        settings=[
            SettingAnswer(name=each.name, value=each.value, meaning=each.says, is_default=each.is_default)
            for each in settings_of(config_of(current_app))
        ],
    )


@route("DELETE", "/installation/sample", Permission.ADMINISTER, scope=Scope.ADMIN)
def remove_sample(session: Session) -> None:
    """Remove the sample of the first start. It does not come back."""
    sample.remove(session)


@route("GET", "/status", Permission.ADMINISTER, scope=Scope.ADMIN, answer=StatusAnswer)
def status(session: Session) -> StatusAnswer:
    """How the installation does, and what is wrong with it. Its nodes are under `gateway`."""
    now = utcnow()
    found, looked = health.facts(session, now), doctor.last(session, now=now)
    findings = [*doctor.glance(config_of(current_app), session), *looked.findings]
    return StatusAnswer(
        findings=[_told(each) for each in findings],
        examined_at=looked.at,
        examined_on=looked.machine,
        is_being_examined=looked.is_asked_for,
        ingest=IngestAnswer.model_validate(found["ingest"]),
        worker=WorkerAnswer.model_validate(found["worker"]),
    )


def _told(finding: Finding) -> FindingAnswer:
    return FindingAnswer(about=finding.about, detail=finding.sentence, remedy=finding.remedy, is_note=finding.is_note)


@route("POST", "/status/examine", Permission.ADMINISTER, scope=Scope.ADMIN)
def examine(session: Session) -> None:
    """Have the worker take a closer look now, which takes up to a minute. A conflict where no worker has run (409)."""
    doctor.ask(session, now=utcnow())

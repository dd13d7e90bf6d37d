"""What the portal writes to people about their accounts and about APIs that they use: one verb a letter, each with its
text in `templates/mail`.

Links start with `PORTAL_URL`, whatever Host a request names, and a letter to an address that nobody has confirmed holds
no word that a stranger has typed. Needs an application context; sent when the caller's transaction has committed.
"""

import contextlib
import json
import re
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any, Literal

from flask import current_app
from flask_security.confirmable import generate_confirmation_token
from flask_security.recoverable import generate_reset_password_token
from itsdangerous import BadData, URLSafeTimedSerializer
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from portal import accounts, config_of, jobs, notify, registry
from portal.accounts import Invitation, Person, Team, audit
from portal.config import Config
from portal.db import db
from portal.errors import Invalid, LinkDead
from portal.registry.models import Api, Approval, Release, Subscription
from portal.registry.periods import Period
from portal.vault import Unreadable, Vault

RESET_LASTS = timedelta(hours=1)
CONFIRMATION_LASTS = timedelta(days=2)
CHANGE_LASTS = timedelta(hours=2)
APPROVAL_LASTS = timedelta(days=30)

_MOST_TOLD = 50

Wish = Literal["reset", "confirm"]


def ask_for_link(session: Session, wish: Wish, email: str) -> None:
    """Somebody wants a link sent to `email`. Who has an account is looked up by the worker alone: whoever asks here
    is answered the same in the same time."""
    sealed = Vault.of(config_of(current_app)).seal(json.dumps([wish, email]).encode())
    jobs.enqueue(session, "account_link", {"sealed": sealed.decode()})


def answer(config: Config, payload: dict[str, Any]) -> str:
    """The worker's part of `ask_for_link`. Says nothing: the log does not tell who has an account either."""
    wish, email = json.loads(Vault.of(config).open(payload["sealed"].encode()))
    with db.begin() as session:
        audit.act_as(session, audit.Actor(by="worker"))
        person = session.scalar(select(Person).where(func.lower(Person.email) == email.lower()))
        if person is None or not person.active:
            return ""
        if wish == "reset":
            reset(session, person)
            audit.record(session, "reset link sent", person)
        elif person.confirmed_at is None:
            confirmation(session, person, confirmation_token(person))
    return ""


def forget(session: Session, email: str) -> None:
    """What waits for somebody who is being deleted: mails, and links that were asked for."""
    config = config_of(current_app)
    notify.forget(session, config, email)
    vault = Vault.of(config)
    for job in session.scalars(select(jobs.Job).where(jobs.Job.kind == "account_link")):
        with contextlib.suppress(Unreadable):
            _wish, asked = json.loads(vault.open(job.payload["sealed"].encode()))
            if asked.lower() == email.lower():
                session.delete(job)


def confirmation_token(person: Person) -> str:
    return str(generate_confirmation_token(person))  # type: ignore[no-untyped-call]


def reset(session: Session, person: Person) -> None:
    token = str(generate_reset_password_token(person))  # type: ignore[no-untyped-call]
    link = _link("security.reset_password", token=token)
    _write(session, person.email, "Set a new password for Portico", "reset", link=link, lasts="an hour")


def confirmation(session: Session, person: Person, token: str) -> None:
    link = _link("security.confirm_email", token=token)
    _write(session, person.email, "Confirm your address for Portico", "confirmation", link=link, lasts="two days")


def has_account(session: Session, person: Person) -> None:
    """To somebody with whose address another sign-up was tried, by themselves or by a stranger."""
    links = {"sign_in": _link("security.login"), "forgot": _link("security.forgot_password")}
    _write(session, person.email, "You have an account at Portico already", "has_account", **links)


def password_changed(session: Session, person: Person) -> None:
    _write(session, person.email, "Your password for Portico was changed", "password_changed", **_help())


def new_address(session: Session, person: Person, email: str) -> None:
    """To the new address, with the link that makes it theirs."""
    link = _link("accounts.confirm_address", token=_serializer("change-address").dumps([person.fs_uniquifier, email]))
    _write(session, email, "Confirm your new address for Portico", "new_address", link=link, lasts="two hours")


def read_new_address(token: str, person: Person) -> str:
    """The address that `person` wanted. Raises LinkDead, also for the link of somebody else."""
    data = _read("change-address", token, CHANGE_LASTS)
    if data is None or data[0] != person.fs_uniquifier:
        raise LinkDead("Change your address anew under Settings.")
    return str(data[1])


def address_changed(session: Session, old: str, new: str) -> None:
    """To both: who took an account over owns only one of them."""
    _write(session, old, "Your address for Portico was changed", "address_changed")
    _write(session, new, "Your address for Portico was changed", "address_is_new")


def second_factor_on(session: Session, person: Person) -> None:
    _write(session, person.email, "A second factor was set up for Portico", "second_factor_on", **_help())


def second_factor_off(session: Session, person: Person) -> None:
    _write(session, person.email, "Your second factor for Portico was taken off", "second_factor_off", **_help())


def recovery_codes_renewed(session: Session, person: Person) -> None:
    _write(session, person.email, "New recovery codes for Portico", "recovery_codes_renewed", **_help())


def recovery_code_used(session: Session, person: Person, left: int) -> None:
    words = _help() | {"left": left}
    _write(session, person.email, "A recovery code for Portico was used", "recovery_code_used", **words)


def invitation(session: Session, invited: Invitation, by: Person) -> None:
    token = _serializer("invitation").dumps([invited.id, invited.nonce])
    link = _link("invitations.accept", token=token)
    days = accounts.INVITATION_LASTS.days
    _write(session, invited.email, "You are invited to Portico", "invitation", link=link, by=by, lasts=f"{days} days")


def apis_deleted(
    session: Session, lost: Iterable[tuple[Team, Sequence[tuple[str, str]]]], *, by: Person | None
) -> None:
    """To each team, but not to who did it; None is the command line. With each team what it loses: names of a consumer
    and of an API."""
    for team, uses in lost:
        words = {"uses": uses[:_MOST_TOLD], "left": max(0, len(uses) - _MOST_TOLD)}
        _tell(session, "api.deleted", team, "APIs that you use were deleted", "apis_deleted", by, {}, **words)


def api_deprecated(session: Session, api: Api, *, by: Person | None, changed: bool = False) -> None:
    """To each team that uses the API, but not to who did it. `changed`: it was deprecated before, and its end or its
    successor is another now."""
    subject = "The end of an API that you use has changed" if changed else "An API that you use is deprecated"
    words = {"sunset_at": api.sunset_at, "message": api.deprecation_message}
    _about(session, "api.deprecated", api, registry.teams_using(session, api), by, subject, "api_deprecated", **words)


def deprecation_withdrawn(session: Session, api: Api, *, by: Person | None) -> None:
    subject = "An API that you use goes on"
    _about(session, "api.continued", api, registry.teams_using(session, api), by, subject, "deprecation_withdrawn")


def api_retired(session: Session, api: Api, *, by: Person | None) -> None:
    using = registry.teams_using(session, api)
    _about(session, "api.retired", api, using, by, "An API that you use is retired", "api_retired")


def api_broken(session: Session, api: Api, release: int, breaks: Sequence[str], *, by: int | None) -> None:
    """To each team that uses the API: the release changed what callers rely on. `by` is a person's number."""
    words = {"release": release, "breaks": breaks[:_MOST_TOLD], "more": max(0, len(breaks) - _MOST_TOLD)}
    using = registry.teams_using(session, api)
    _about(session, "api.broken", api, using, by, "An API that you use has changed", "api_broken", **words)


def compare_release(_config: Config, payload: dict[str, Any]) -> str:
    """The worker's part of a publish: who calls the API is told what the release breaks, if it breaks anything."""
    reading = db.session()  # which takes its time, and holds nobody up
    before, after = (reading.get(Release, payload[name]) for name in ("before", "after"))
    breaks = _breaks(reading, before, after) if before is not None and after is not None else []
    reading.rollback()
    if not breaks:
        return ""
    with db.begin() as session:
        release = session.get(Release, payload["after"])
        if release is not None:
            api_broken(session, release.api, release.number, breaks, by=payload["by"])
    return f"A release breaks {len(breaks)} things that calls rely on; its callers are told."


def _breaks(session: Session, before: Release, after: Release) -> list[str]:
    """In sentences."""
    try:
        was, now = registry.read_document(before.document), registry.read_document(after.document)
    except Invalid:
        return []  # of a release that cannot be read any more nothing can be said
    found = [effect.sentence for effect in registry.effects(was, now) if effect.breaking]
    compared = registry.operation_changes(session, was.openapi, now.openapi)
    if compared is None:
        return found
    found += [f"{place} is gone." for place in compared.removed_first]
    if compared.changes is not None:
        found += [f"{each.method} {each.path} is gone." for each in compared.changes.removed]
        found += [
            f"{each.method} {each.path}: {' '.join(each.reasons)}" for each in compared.changes.changed if each.breaking
        ]
    return found


def subscriptions_carried(session: Session, old: Api, made: Sequence[Subscription], *, by: Person | None) -> None:
    """To the teams whose consumers may call the new version too, but not to who did it."""
    if made:
        subject = "You may call a new version of an API"
        event, using, words = "subscription.carried", registry.by_team(made), {"before": old.version}
        _about(session, event, made[0].api, using, by, subject, "subscriptions_carried", **words)


def _about(
    session: Session,
    event: str,
    api: Api,
    using: Iterable[tuple[Team, Sequence[str]]],
    by: Person | int | None,
    subject: str,
    name: str,
    **words: Any,
) -> None:
    """With each team the names of its consumers that are concerned. A successor is named to who may know of it."""
    next_ = api.successor
    for team, consumers in using:
        named = next_ is not None and registry.team_may_see(team, next_)
        known = {
            "name": f"{api.name} {api.version}",
            "consumers": consumers[:_MOST_TOLD],
            "left": max(0, len(consumers) - _MOST_TOLD),
            "successor": f"{next_.name} {next_.version}" if named and next_ else None,
            **words,
        }
        data = {"api": api.label, "consumers": consumers[:_MOST_TOLD]}
        _tell(session, event, team, subject, name, by, data, api=known)


def _tell(
    session: Session,
    event: str,
    team: Team,
    subject: str,
    name: str,
    by: Person | int | None,
    data: dict[str, Any],
    **words: Any,
) -> None:
    text = current_app.jinja_env.get_template(f"mail/{name}.txt").render(**words)
    text = re.sub(r"\n{3,}", "\n\n", text)
    link = _path("consumers.index")
    notify.tell(session, event, teams=[team], subject=subject, text=text, link=link, data=data, but=by)


def quotas_reached(session: Session, *, now: datetime, limit: int = 100) -> int:
    """Tell the teams of consumers how much of their quotas is used; how many notices that has settled."""
    config = config_of(current_app)
    found, settled = registry.take_untold(session, now=now, zone=config.quota_zone, limit=limit)
    for each in found:
        subscription, consumer, api = each.subscription, each.subscription.consumer, each.subscription.api
        is_over = each.percent == 100
        when = f"on {each.first.day} {each.first:%B}" if each.period is Period.DAY else f"in {each.first:%B}"
        anew = each.begins_anew.astimezone(config.quota_zone)
        what = f"{consumer.name} has used {each.used:,} of the {each.quota:,} calls"
        then = (
            "Its calls are answered with 429 quota_exceeded until then."
            if is_over
            else "When all are used, its calls are answered with 429 quota_exceeded until then."
        )
        notify.tell(
            session,
            "quota.used_up" if is_over else "quota.warned",
            teams=[consumer.team_id],
            subject=f"{consumer.name} has used {'up' if is_over else f'{each.percent} % of'} its quota for {api.name}",
            text=f"{what} that the plan {subscription.plan.name} of {api.name} {api.version} allows it {when}. "
            f"The quota begins anew on {anew.day} {anew:%B %Y} at {anew:%H:%M} ({config.quota_timezone}). {then}",
            link=_path("apis.subscribers", team=api.team.slug, slug=api.slug, version=api.version)
            if consumer.everyone
            else _path("consumers.show", team=consumer.team.slug, consumer=consumer.slug),
            data={
                "subscription": subscription.id,
                "consumer": f"{consumer.team.slug}/{consumer.slug}",
                "api": api.label,
                "plan": subscription.plan.slug,
                "period": each.period.value,
                "percent": each.percent,
                "used": each.used,
                "quota": each.quota,
                "begins_anew_at": each.begins_anew.isoformat(),
            },
        )
    return settled


def read_invitation(token: str) -> tuple[int, str]:
    """The id and nonce of an invitation, as `accounts.find_invitation` takes them. Raises LinkDead."""
    data = _read("invitation", token, accounts.INVITATION_LASTS)
    if data is None:
        raise LinkDead("Ask the administrator who invited you for a new one.")
    return int(data[0]), str(data[1])


def approval_link(approval: Approval) -> str:
    """The path that leads to where the approval is decided, or to what came of it. It opens nothing by itself: whoever
    follows it signs in and is shown what they may see."""
    return _path("approvals.follow", token=_serializer("approval").dumps(approval.id))


def read_approval(token: str) -> int:
    """The number of the approval. Raises LinkDead."""
    found = _read("approval", token, APPROVAL_LASTS)
    if not isinstance(found, int):
        raise LinkDead("Sign in and open Approvals, or the consumer: both show what became of it.")
    return found


def _write(session: Session, to: str, subject: str, name: str, **words: Any) -> None:
    config = config_of(current_app)
    text = current_app.jinja_env.get_template(f"mail/{name}.txt").render(portal=config.url, **words)
    notify.mail(session, config, to=to, subject=subject, text=text)


def _link(endpoint: str, **values: str) -> str:
    """Absolute, and the same with and without a request."""
    return f"{config_of(current_app).url}{_path(endpoint, **values)}"


def _path(endpoint: str, **values: str) -> str:
    return current_app.url_map.bind("portal").build(endpoint, values)


def _help() -> dict[str, Any]:
    return {"forgot": _link("security.forgot_password")}


def _serializer(purpose: str) -> URLSafeTimedSerializer:
    return URLSafeTimedSerializer(str(current_app.secret_key), salt=f"portico-{purpose}")


def _read(purpose: str, token: str, lasts: timedelta) -> Any:
    """What was signed, or None."""
    try:
        return _serializer(purpose).loads(token, max_age=int(lasts.total_seconds()))
    except BadData:
        return None

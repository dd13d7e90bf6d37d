"""Home: is anything wrong? And for who has nothing yet: what to do first."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from flask import Blueprint, render_template, request, url_for
from flask.typing import ResponseReturnValue
from sqlalchemy import exists, func, select
from sqlalchemy.orm import Session, joinedload

from portal import gateway, sample
from portal.accounts import Permission
from portal.db import db, utcnow
from portal.registry.models import Api, Consumer, Key, Subscription
from portal.traffic import calls
from portal.traffic.filters import Filters
from portal.traffic.scope import Scope
from portal.web import attention, figures, own, scopes, windows
from portal.web.guards import me, requires, teams_for
from portal.web.windows import View

bp = Blueprint("home", __name__)

_ROWS = 8
_FIRST_DAY = timedelta(days=1)
_FEW = 3
"""Consumers of somebody who has just begun; who has more is not asked after their first one."""


@dataclass(frozen=True, slots=True)
class Step:
    title: str
    sentence: str
    done: bool
    action: str
    url: str | None


@bp.get("/")
@requires(Permission.SIGNED_IN)
def show() -> ResponseReturnValue:
    """The page, or only what changes of it when it refreshes itself."""
    session, now, person = db.session(), utcnow(), me()
    scope = scopes.scope_of(session, person)
    preset, window = windows.read_window(session, request.args.get("window"), now)
    view = View(preset, window)
    shown = figures.figures(session, scope, view, rows=_ROWS)
    has_calls = bool(shown.calls or calls.list_calls(session, scope, Filters(), limit=1).calls)
    mine = own.own(session, scope, now)
    return render_template(
        "home/_live.html" if "HX-Request" in request.headers else "home/show.html",
        figures=shown if has_calls else None,
        apis=_with_idle(session, scope, shown.view, shown.apis),
        windows={name: url_for("home.show", window=name) for name in windows.PRESETS},
        preset=preset,
        updated_at=now,
        matters=attention.matters(session, person, scope, now),
        most_matters=attention.MOST,
        serving=gateway.coverage(session) if person.acts_as_administrator else None,
        has_sample=person.acts_as_administrator and sample.exists(session),
        own=mine,
        own_days=own.DAYS,
        consumer_steps=_consumer_steps(session, scope, has_calls, now),
        api_steps=_api_steps(session, scope),
        has_calls=has_calls,
    )


def _with_idle(session: Session, scope: Scope, view: View, rows: list[figures.Row]) -> list[figures.Row]:
    """Own APIs that nobody called fill up the table: they have a state, too."""
    room = _ROWS - len(rows)
    if room <= 0:
        return rows
    statement = select(Api).options(joinedload(Api.team)).order_by(func.lower(Api.name), Api.id).limit(_ROWS)
    if not scope.everything:
        statement = statement.where(Api.id.in_(scope.api_ids))
    there = {row.named.label for row in rows}
    idle = [api for api in session.scalars(statement) if api.label not in there]
    return rows + [figures.idle_row(view, scopes.name_api(scope, api)) for api in idle[:room]]


def _consumer_steps(session: Session, scope: Scope, has_calls: bool, now: datetime) -> list[Step] | None:
    """From nothing to a first call. On the day when somebody made their first consumer they see that all is done; later
    they need no steps, and neither do administrators."""
    if scope.everything or (has_calls and len(scope.consumer_ids) > _FEW):
        return None
    mine = Consumer.id.in_(scope.consumer_ids)
    first = session.scalar(
        select(Consumer).options(joinedload(Consumer.team)).where(mine).order_by(Consumer.id).limit(1)
    )
    if has_calls and (first is None or first.created_at < now - _FIRST_DAY):
        return None
    subscribed = session.scalar(select(exists().where(Subscription.consumer_id.in_(scope.consumer_ids))))
    keyed = session.scalar(select(exists().where(Key.consumer_id.in_(scope.consumer_ids))))
    page = url_for("consumers.show", team=first.team.slug, consumer=first.slug) if first else None
    return [
        Step(
            "Make a consumer",
            "It stands for the application that will call APIs.",
            first is not None,
            "Make consumer",
            url_for("consumers.new"),
        ),
        Step(
            "Subscribe it to an API",
            "The catalogue says what each does. The plan that you choose says how many calls it may make.",
            bool(subscribed),
            "Find an API",
            url_for("catalogue.index"),
        ),
        Step("Issue a key", "It is shown once, with a command that uses it.", bool(keyed), "Issue key", page),
        Step(
            "Make the first call",
            "Run the command. The call stands here a moment later.",
            has_calls and bool(keyed),
            "Open consumer",
            page if keyed else None,
        ),
    ]


def _api_steps(session: Session, scope: Scope) -> list[Step] | None:
    """For those who may publish and have not: register, publish. None when they have, or may not."""
    if not teams_for(Permission.MANAGE_APIS):
        return None
    statement = select(Api).options(joinedload(Api.team)).order_by(Api.live_release_id.is_(None), Api.id).limit(1)
    first = session.scalar(statement if scope.everything else statement.where(Api.id.in_(scope.api_ids)))
    if first is not None and first.live_release_id is not None:
        return None
    page = url_for("apis.show", team=first.team.slug, slug=first.slug, version=first.version) if first else None
    return [
        Step(
            "Register an API",
            "Say where it runs and under which path the gateway shall serve it.",
            first is not None,
            "Register an API",
            url_for("apis.new"),
        ),
        Step("Publish it", "From then on consumers can subscribe and call it.", False, "Open API", page),
    ]

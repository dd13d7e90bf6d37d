"""The end of a team: what goes with it is shown beforehand, and goes when its name was typed."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from flask import Blueprint, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from sqlalchemy.orm import Session

from portal import letters, registry
from portal.accounts import Permission, Team
from portal.db import db, utcnow
from portal.errors import Conflict
from portal.registry import Estate
from portal.traffic import rankings
from portal.traffic.scope import Scope
from portal.traffic.window import Window
from portal.web import lists
from portal.web.guards import a_team, me, requires

bp = Blueprint("estate", __name__)

SHOWN = 20
"""Things of a kind that the page names; those that were called most come first."""


@dataclass(frozen=True, slots=True)
class _Figures:
    """Calls of the last 30 days by number of an API and of a consumer, and the keys of each consumer that work now."""

    of_apis: dict[int, int]
    of_consumers: dict[int, int]
    keys: dict[int, int]


@bp.route("/settings/teams/<team>/delete", methods=["GET", "POST"])
@requires(Permission.MANAGE_TEAM, a_team)
def delete(team: Team) -> ResponseReturnValue:
    wrong, status = None, 200
    if request.method == "POST":
        if request.form.get("confirm", "").strip() == team.slug:
            name = team.name
            try:
                with db.begin() as session:
                    lost = registry.delete_team(session, team, expected=request.form.get("seen", ""))
                    letters.apis_deleted(session, [(loss.team, loss.uses) for loss in lost], by=me())
            except Conflict as error:
                wrong, status = str(error), error.status
            else:
                flash(f"{name} is deleted. Its paths and keys stop working within a second.", "success")
                return redirect(url_for("settings.teams"), 303)
        else:
            wrong, status = f"This is not {team.slug}. Type it to delete the team.", 422
    session = db.session()
    found = registry.estate(session, team)
    figures = _figures(session, found)
    page = render_template(
        "settings/delete_team.html",
        team=team,
        found=found,
        figures=figures,
        apis=sorted(found.apis, key=lambda api: -figures.of_apis.get(api.id, 0))[:SHOWN],
        consumers=sorted(found.consumers, key=lambda each: -figures.of_consumers.get(each.id, 0))[:SHOWN],
        shown=SHOWN,
        wrong=wrong,
    )
    return page, status


def _figures(session: Session, found: Estate) -> _Figures:
    now = utcnow()
    window = Window.between(now - timedelta(days=30), now, now)
    api_ids = frozenset(api.id for api in found.apis)
    consumer_ids = frozenset(consumer.id for consumer in found.consumers)
    return _Figures(
        _calls(rankings.top_apis, session, Scope(api_ids=api_ids), window, len(api_ids)),
        _calls(rankings.top_consumers, session, Scope(consumer_ids=consumer_ids), window, len(consumer_ids)),
        lists.active_keys(session, found.consumers, now),
    )


def _calls(top: Any, session: Session, scope: Scope, window: Window, limit: int) -> dict[int, int]:
    return {each.id: each.calls for each in top(session, scope, window, limit).first} if limit else {}

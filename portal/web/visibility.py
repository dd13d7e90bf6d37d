"""Who may know of one API."""

import hashlib

from flask import current_app, render_template, request
from flask.typing import ResponseReturnValue
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from portal import config_of, registry
from portal.accounts import Permission, Team
from portal.db import db
from portal.errors import Invalid
from portal.registry.models import Api, Visibility
from portal.web.apis import address, back, bp
from portal.web.forms import choices
from portal.web.forms.ending import VisibilityForm
from portal.web.guards import an_api, me, requires


@bp.route("/<team>/<slug>/<version>/visibility", methods=["GET", "POST"])
@requires(Permission.MANAGE_APIS, an_api)
def visibility(api: Api) -> ResponseReturnValue:
    """Teams that use the API and could not see it any more are named before it is so: a second press agrees to them."""
    session = db.session()
    form = VisibilityForm()
    form.teams.choices = choices({team.slug: team.name for team in _known(session, api)})
    if request.method == "GET":
        form.visibility.data = api.visibility.value
        form.teams.data = [team.slug for team in api.viewers]
    if not form.validate_on_submit():
        return _page(api, form, []), form.status
    wanted = Visibility(form.visibility.data)
    try:
        viewers = _viewers(session, form) if wanted is Visibility.CHOSEN else []
        lost = registry.losing_sight(session, api, wanted, viewers)
        if lost and request.form.get("agreed") != _mark(lost):
            return _page(api, form, lost), 409
        with db.begin() as writing:
            registry.set_visibility(writing, api, wanted, viewers)
    except Invalid as error:
        status = form.refuse(error)
        return _page(api, form, []), status
    return back(api, f"Who may see {api.name} is changed, at once.")


def _page(api: Api, form: VisibilityForm, lost: list[tuple[Team, int]]) -> str:
    return render_template(
        "apis/visibility.html",
        api=api,
        form=form,
        lost=lost,
        mark=_mark(lost),
        is_open=config_of(current_app).public_catalogue,
        address=address,
    )


def _known(session: Session, api: Api) -> list[Team]:
    """Teams that the form can name without giving any away: chosen already, using the API, or one's own."""
    using = [team for team, _ in registry.teams_using(session, api)]
    found = dict.fromkeys([*api.viewers, *using, *me().teams])
    return sorted(
        (team for team in found if not team.is_personal and team is not api.team), key=lambda it: it.name.lower()
    )


def _viewers(session: Session, form: VisibilityForm) -> list[Team]:
    slugs = form.slugs
    if not slugs:
        raise Invalid({"viewers": "Choose at least one team, or show it to its own team only."})
    found = list(
        session.scalars(
            select(Team).where(Team.slug.in_(slugs), Team.person_id.is_(None)).order_by(func.lower(Team.name))
        )
    )
    missing = [slug for slug in slugs if slug not in {team.slug for team in found}]
    if missing:
        raise Invalid({"viewers": f"There is no team {missing[0][:63]} of several people. Correct its slug."})
    return found


def _mark(lost: list[tuple[Team, int]]) -> str:
    """Another one as soon as other teams would lose sight."""
    return hashlib.sha256(repr([(team.id, count) for team, count in lost]).encode()).hexdigest()[:16]

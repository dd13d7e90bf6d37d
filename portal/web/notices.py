"""What people are told: their list behind the bell, what they choose to get, and the page that ends mails of a kind."""

from flask import Blueprint, current_app, flash, g, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from sqlalchemy.orm import Session

from portal import config_of
from portal.accounts import Permission, Person
from portal.db import db, utcnow
from portal.errors import NotFound
from portal.notify import bell, choices
from portal.notify.events import EVENTS
from portal.notify.models import NoticeCopy, Way
from portal.web import lists
from portal.web.forms import Form
from portal.web.guards import me, person, requires
from portal.web.intake import LARGEST_ID

bp = Blueprint("notices", __name__)

_ROWS = 50


def unread() -> str:
    """How many notices the person of this request has not read, for the bell; "" for none."""
    someone = person()
    if someone is None:
        return ""
    if "unread_notices" not in g:
        g.unread_notices = bell.unread(db.session(), someone.id)
    count: int = g.unread_notices
    return "" if not count else str(count) if count <= bell.MOST_COUNTED else f"{bell.MOST_COUNTED}+"


@bp.get("/notices")
@requires(Permission.SIGNED_IN)
def index() -> ResponseReturnValue:
    before = request.args.get("before", type=int)
    if before is not None and not 0 < before <= LARGEST_ID:
        before = None
    only_unread = request.args.get("unread") == "1"
    found = bell.page(db.session(), me().id, before=before, size=_ROWS, only_unread=only_unread)
    return render_template(
        "notices/index.html",
        copies=found[:_ROWS],
        events=EVENTS,
        only_unread=only_unread,
        newest=lists.here(before=None) if before else None,
        older=lists.here(before=found[_ROWS - 1].id) if len(found) > _ROWS else None,
        days=config_of(current_app).notice_days,
        form=Form(),
    )


@bp.post("/notices/read")
@requires(Permission.SIGNED_IN)
def read_all() -> ResponseReturnValue:
    """All up to the newest one that was on the page."""
    up_to = request.form.get("up_to", type=int) or 0
    with db.begin() as session:
        bell.mark_all(session, me().id, up_to=min(max(up_to, 0), LARGEST_ID), now=utcnow())
    return redirect(url_for(".index"), 303)


@bp.post("/notices/<int:notice_copy>/open")
@requires(Permission.SIGNED_IN)
def open_one(notice_copy: int) -> ResponseReturnValue:
    """Mark it read and go where it leads."""
    with db.begin() as session:
        copy = _own(session, notice_copy)
        bell.mark(copy, read=True, now=utcnow())
        link = copy.notice.link
    return redirect(f"{request.script_root}{link}" if link else url_for(".index"), 303)


@bp.post("/notices/<int:notice_copy>/mark")
@requires(Permission.SIGNED_IN)
def mark(notice_copy: int) -> ResponseReturnValue:
    with db.begin() as session:
        bell.mark(_own(session, notice_copy), read=request.form.get("read") == "1", now=utcnow())
    return redirect(url_for(".index"), 303)


def _own(session: Session, copy_id: int) -> NoticeCopy:
    found = bell.find_own(session, me().id, copy_id) if copy_id <= LARGEST_ID else None
    if found is None:
        raise NotFound("This notice is gone: notices are kept for a while only.")
    return found


@bp.route("/settings/notices", methods=["GET", "POST"], endpoint="choices")
@requires(Permission.SIGNED_IN)
def choose() -> ResponseReturnValue:
    form = Form()
    if request.method == "POST" and form.validate_on_submit():
        if request.form.get("act") == "defaults":
            with db.begin() as session:
                choices.forget(session, me())
            flash("You get what everybody gets.", "success")
        else:
            with db.begin() as session:
                _save(session, me())
            flash("What you get is saved.", "success")
        return redirect(url_for(".choices"), 303)
    shown = choices.shown_to(db.session(), me())
    return render_template("notices/choices.html", shown=shown, ways=Way, form=form, person=me()), form.status


def _save(session: Session, someone: Person) -> None:
    """Only what differs from what stood there: a default that nobody touched goes on following the role."""
    for choice in choices.shown_to(session, someone):
        wanted = f"{choice.way}:{choice.event.word}" in request.form
        if not choice.event.must and wanted != choice.wanted:
            choices.choose(session, someone, choice.event.word, choice.way, wanted)


@bp.route("/unsubscribe/<token>", methods=["GET", "POST"])
@requires(Permission.PUBLIC)
def unsubscribe(token: str) -> ResponseReturnValue:
    """From a mail, without signing in. Looking decides nothing: programs follow links."""
    links = choices.Unsubscribing(config_of(current_app))
    someone, event = links.read(db.session(), token)
    form = Form()
    is_done = False
    if form.validate_on_submit():
        with db.begin() as session:
            someone, event = links.read(session, token)
            choices.choose(session, someone, event.word, Way.MAIL, request.form.get("act") == "again")
        is_done = True
    return render_template(
        "notices/unsubscribe.html",
        event=event,
        form=form,
        is_done=is_done,
        gets_mail=request.form.get("act") == "again" if is_done else choices.gets_mail(db.session(), someone, event),
    ), form.status

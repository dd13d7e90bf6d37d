"""Releases of one API: what a publish would change, the publish, how far it has come, old ones, differences."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from flask import current_app, render_template, request
from flask.typing import ResponseReturnValue
from sqlalchemy import select
from sqlalchemy.orm import Session, defer, joinedload

from portal import config_of, gateway, registry
from portal.accounts import Permission
from portal.db import db
from portal.errors import Changed, Conflict, Invalid, NotFound, PathTaken
from portal.registry import revision
from portal.registry.models import Api, Release
from portal.web import lists
from portal.web.apis import address, back_to, bp, draft_number, openapi_links
from portal.web.forms.access import shuts_out
from portal.web.forms.apis import PublishForm
from portal.web.guards import a_release, an_api, may, me, requires
from portal.web.intake import LARGEST_ID

MOST_LISTED = 50
DRAFT = "draft"


@dataclass(frozen=True, slots=True)
class Side:
    """One of two documents that are compared: what the address calls it, and what people do."""

    word: str
    name: str
    values: dict[str, Any]


@bp.route("/<team>/<slug>/<version>/publish", methods=["GET", "POST"])
@requires(Permission.MANAGE_APIS, an_api)
def publish(api: Api) -> ResponseReturnValue:
    return _publishing(api, None)


@bp.route("/<team>/<slug>/<version>/releases/<int:number>/publish", methods=["GET", "POST"])
@requires(Permission.MANAGE_APIS, a_release)
def republish(release: Release) -> ResponseReturnValue:
    return _publishing(release.api, release)


def _publishing(api: Api, release: Release | None) -> ResponseReturnValue:
    """The draft, or the release that is to be brought back."""
    form = PublishForm()
    status, error = form.status, None
    if request.method == "POST" and form.validate_on_submit():
        try:
            return _published(api, release, form)
        except PathTaken as taken:
            status, error = taken.status, taken
        except Changed as changed:
            status = form.refuse(_looked_at_another(changed))
        except Conflict as conflict:
            status = form.refuse(conflict)
    if not error:
        form.number.data = str(api.draft_number)
        form.live.data = str(_live_number(api))
    return _publish_page(api, release, form, error), status


def _published(api: Api, release: Release | None, form: PublishForm) -> ResponseReturnValue:
    seen: dict[str, Any] = {
        "by": me(),
        "expected": draft_number(form),
        "note": form.note.data or "",
        "replacing": _number(form.live.data),
    }
    with db.begin() as session:
        if release is None:
            made = registry.publish(session, api, **seen)
        else:
            made = registry.republish(session, api, release, **seen)
    since = revision.current(db.session())
    again = "" if release is None else f", which says what release {release.number} said"
    return back_to(
        address(api, "apis.release", number=made.number, since=since),
        f"Release {made.number} of {api.name} is published{again}.",
    )


def _publish_page(api: Api, release: Release | None, form: PublishForm, error: PathTaken | None) -> str:
    session = db.session()
    live = api.live_release
    values = api.draft if release is None else release.document
    wanted, before = registry.read_document(values), registry.read_document(live.document) if live else None
    names = registry.openapi_names(session, [each.openapi for each in (before, wanted) if each])
    obstacles = registry.obstacles(session, api, values, by=me())
    if error is not None:
        obstacles = [error]
    elif form.errors:
        obstacles = [each for each in obstacles if str(each) not in str(form.errors)]
    return render_template(
        "apis/publish.html",
        api=api,
        release=release,
        form=form,
        next=registry.next_number(session, api),
        wanted=wanted,
        differences=registry.differences(before, wanted, names),
        links=openapi_links(api, names),
        effects=registry.effects(before, wanted),
        obstacles=obstacles,
        shuts_out=shuts_out(wanted.addresses, request.remote_addr),
        says_the_same=live is not None and live.document == values,
        envoy=envoy_preview(session, api, values),
        operations=_operations_url(api, live.document if live else {}, values, live, release),
        address=address,
    )


def envoy_preview(session: Session, api: Api, values: dict[str, Any]) -> gateway.Preview:
    """What Envoy would get otherwise than now if this document took the place of the live one."""
    live = api.live_release
    return gateway.preview(
        session.connection(),
        gateway.place_of(config_of(current_app)),
        api.id,
        (live.document, live.number) if live else None,
        values,
    )


def _operations_url(
    api: Api, before: dict[str, Any], after: dict[str, Any], live: Release | None, release: Release | None
) -> str | None:
    """Where the operations of the two are compared, which may take seconds; None where they are the same."""
    if live is None or before.get("openapi") == after.get("openapi"):
        return None
    to = DRAFT if release is None else str(release.number)
    return address(api, "apis.compare_operations", **{"from": live.number, "to": to})


@bp.get("/<team>/<slug>/<version>/targets")
@requires(Permission.MANAGE_APIS, an_api)
def targets(api: Api) -> ResponseReturnValue:
    """Whether calls can be sent to the draft's targets from here: a fragment for pages that ask for it, or a page.

    It waits for name servers, 3 s at the longest, so no other page waits for it.
    """
    count, problems = target_problems(api)
    name = "apis/_targets.html" if "HX-Request" in request.headers else "apis/targets.html"
    return render_template(name, api=api, problems=problems, count=count, address=address)


def target_problems(api: Api) -> tuple[int, list[str]]:
    """How many targets the draft has, and why calls cannot be sent to some of them. Waits for name servers."""
    rules = gateway.rules_of(config_of(current_app))
    urls = [target.url for target in registry.read_document(api.draft).upstream.targets]
    with ThreadPoolExecutor(len(urls)) as threads:
        found = list(threads.map(lambda url: gateway.upstream_address_problem(url, rules), urls))
    return len(urls), [problem for problem in found if problem]


@bp.get("/<team>/<slug>/<version>/releases")
@requires(Permission.SEE_APIS, an_api)
def releases(api: Api) -> ResponseReturnValue:
    session = db.session()
    before = request.args.get("before", type=int)
    rows = _releases(session, api, before)
    return render_template(
        "apis/releases.html",
        api=api,
        releases=rows[:MOST_LISTED],
        older_url=lists.here(before=rows[MOST_LISTED - 1].number) if len(rows) > MOST_LISTED else None,
        newer_url=address(api, "apis.releases") if before else None,
        choices=_choices(session, api),
        may_manage=may(Permission.MANAGE_APIS, api.team),
        address=address,
    )


@bp.get("/<team>/<slug>/<version>/releases/<int:number>")
@requires(Permission.SEE_APIS, a_release)
def release(release: Release) -> ResponseReturnValue:
    api = release.api
    names = registry.openapi_names(db.session(), [release.document.get("openapi")])
    try:
        facts, unreadable = registry.facts(registry.read_document(release.document), names), None
    except Invalid as error:
        facts, unreadable = [], str(error)
    return render_template(
        "apis/release.html",
        api=api,
        release=release,
        facts=facts,
        links=openapi_links(api, names),
        unreadable=unreadable,
        may_manage=may(Permission.MANAGE_APIS, api.team),
        older=[each for each in registry.siblings(db.session(), api) if each.live_release_id and each.id < api.id],
        address=address,
        **_live_on(release),
    )


@bp.get("/<team>/<slug>/<version>/releases/<int:number>/live")
@requires(Permission.SEE_APIS, a_release)
def live(release: Release) -> ResponseReturnValue:
    """On how many gateways the release is: a fragment for the page that polls it, a page for those who open it."""
    name = "apis/_live_on.html" if "HX-Request" in request.headers else "apis/live_on.html"
    return render_template(name, api=release.api, release=release, address=address, **_live_on(release))


def _live_on(release: Release) -> dict[str, Any]:
    """Since which revision the publish left behind stands in the address; without it, the newest is asked for."""
    session, api = db.session(), release.api
    since = request.args.get("since", type=int)
    asked = since if since is not None and 0 < since <= LARGEST_ID else None
    return {
        "is_live": release.id == api.live_release_id,
        "coverage": gateway.coverage(session, asked),
        "since": asked,
        "complaints": complaints(session, api),
    }


def complaints(session: Session, api: Api) -> list[str]:
    """Why gateways do not serve it, each sentence once."""
    return sorted({each.sentence for node in gateway.nodes(session) for each in node.problems if each.api == api.label})


@bp.get("/<team>/<slug>/<version>/compare")
@requires(Permission.SEE_APIS, an_api)
def compare(api: Api) -> ResponseReturnValue:
    session = db.session()
    before, after = _sides(session, api)
    old, new = registry.read_document(before.values), registry.read_document(after.values)
    names = registry.openapi_names(session, (old.openapi, new.openapi))
    operations = None
    if before.values.get("openapi") != after.values.get("openapi"):
        operations = address(api, "apis.compare_operations", **{"from": before.word, "to": after.word})
    return render_template(
        "apis/compare.html",
        api=api,
        before=before,
        after=after,
        choices=_choices(session, api),
        differences=registry.differences(old, new, names),
        links=openapi_links(api, names),
        effects=registry.effects(old, new),
        operations=operations,
        address=address,
    )


@bp.get("/<team>/<slug>/<version>/compare/operations")
@requires(Permission.SEE_APIS, an_api)
def compare_operations(api: Api) -> ResponseReturnValue:
    """A fragment for pages that ask for it, or a page. It takes seconds for documents of some MB."""
    session = db.session()
    before, after = _sides(session, api)
    found = registry.operation_changes(session, before.values.get("openapi"), after.values.get("openapi"))
    name = "apis/_operation_changes.html" if "HX-Request" in request.headers else "apis/operation_changes.html"
    return render_template(name, api=api, found=found, before=before, after=after, address=address)


def _sides(session: Session, api: Api) -> tuple[Side, Side]:
    """`from` and `to` of the address; left out they are the live release, or the latest, and the draft."""
    latest = api.live_release.number if api.live_release else registry.next_number(session, api) - 1
    usual = str(latest) if latest else DRAFT
    return _side(session, api, request.args.get("from") or usual), _side(session, api, request.args.get("to") or DRAFT)


def _side(session: Session, api: Api, word: str) -> Side:
    if word == DRAFT:
        return Side(DRAFT, "the draft", api.draft)
    found = None
    if word.isdecimal() and len(word) < 10:
        found = session.scalar(select(Release).where(Release.api_id == api.id, Release.number == int(word)))
    if found is None:
        raise NotFound(f"{api.name} has no release {word[:20]}. Choose two of its releases.")
    return Side(word, f"release {found.number}", found.document)


def _choices(session: Session, api: Api) -> list[tuple[str, str]]:
    """What can be compared, the draft first."""
    rows = session.execute(
        select(Release.number).where(Release.api_id == api.id).order_by(Release.number.desc()).limit(500)
    )
    return [(DRAFT, "Draft"), *((str(number), f"Release {number}") for (number,) in rows)]


def _releases(session: Session, api: Api, before: int | None) -> list[Release]:
    """The newest first, one more than a page shows; without their documents."""
    rows = select(Release).where(Release.api_id == api.id).options(defer(Release.document))
    if before is not None and 0 < before <= LARGEST_ID:
        rows = rows.where(Release.number < before)
    rows = rows.options(joinedload(Release.published_by)).order_by(Release.number.desc())
    return list(session.scalars(rows.limit(MOST_LISTED + 1)))


def _live_number(api: Api) -> int:
    return api.live_release.number if api.live_release else 0


def _looked_at_another(error: Changed) -> Conflict:
    return Conflict(
        f"{str(error).partition(' while ')[0]} since you opened this page. Nothing was published. "
        "What would change now is below; look at it, then publish."
    )


def _number(text: str | None) -> int | None:
    return int(text) if text and text.isdecimal() and len(text) < 10 else None

"""Calls: the list, and one of them."""

import re
import uuid
from dataclasses import replace
from typing import Any

from flask import Blueprint, current_app, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from sqlalchemy.orm import Session

from portal import config_of, registry
from portal.accounts import Permission
from portal.db import db
from portal.errors import NotFound
from portal.registry.models import Api, Consumer, Key, Plan
from portal.traffic import calls
from portal.traffic.calls import CallView
from portal.traffic.filters import STATUS_CLASSES
from portal.traffic.reasons import REASONS
from portal.traffic.scope import Scope
from portal.web import call_filters, envoy_words, operations, scopes
from portal.web.guards import me, requires
from portal.web.operations import NamedOperation
from portal.web.told import told

bp = Blueprint("calls", __name__, url_prefix="/calls")

_KEY = re.compile(r"pc[ob]_[0-9A-Za-z_:]+")


@bp.get("")
@requires(Permission.SIGNED_IN)
def index() -> ResponseReturnValue:
    """The page, or only its rows when it follows new calls."""
    if typed := request.args.get("q", "").strip():
        return redirect(_meant(typed), 303)
    if "" in request.args.values():
        # A form sends its empty fields, too; the address that people copy is without them.
        return redirect(url_for("calls.index", **_kept("follow", "cursor")), 303)
    session = db.session()
    scope = scopes.scope_of(session, me())
    asked = call_filters.read(session, scope, request.args)
    page = calls.Page([], None, None, None)
    if not asked.mistakes:
        page = calls.list_calls(session, scope, asked.filters, request.args.get("cursor"))
    following = "follow" in request.args and page.newer is None
    values: dict[str, Any] = dict(asked.values)
    here = values | ({"follow": "1"} if following else {})
    context = {
        "page": page,
        "asked": asked,
        "apis": scopes.name_apis(session, scope, [call.api_id for call in page.calls]),
        "consumers": scopes.name_consumers(session, scope, [call.consumer_id for call in page.calls]),
        "reasons": REASONS,
        "following": following,
        # In the place of the API, which the filter names; but for a deleted one that is its number.
        "with_operations": asked.filters.api_id is not None and not asked.values["api"].isdecimal(),
        "here": url_for("calls.index", **here),
        "newest": url_for("calls.index", **values),
        "follow": url_for("calls.index", **values, follow="1"),
        "newer": page.newer and url_for("calls.index", **values, cursor=page.newer),
        "older": page.older and url_for("calls.index", **values, cursor=page.older),
        "never_any": not page.calls and not asked.values and not request.args.get("cursor"),
    }
    if "HX-Request" in request.headers:
        return render_template("calls/_rows.html", **context)
    page_ = render_template(
        "calls/index.html",
        **context,
        chips=[
            {"label": label, "value": value, "remove_url": _without(asked.values, name)}
            for name, label, value in asked.chips()
        ],
        classes=STATUS_CLASSES,
        methods=call_filters.METHODS,
        all_apis=scopes.suggest_apis(session, scope),
        all_consumers=scopes.suggest_consumers(session, scope),
    )
    return page_, 422 if asked.mistakes else 200


@bp.get("/<request_id>")
@requires(Permission.SIGNED_IN)
def show(request_id: str) -> ResponseReturnValue:
    session = db.session()
    scope = scopes.scope_of(session, me())
    call = calls.find_call(session, scope, request_id)
    if call is None:
        days = config_of(current_app).call_days
        raise NotFound(
            f"No call {request_id[:60]} is here for you: it is not stored yet (that takes a second or two), older than "
            f"{days} days, or none that you may see."
        )
    key, plan = _key_and_plan(session, scope, call)
    return render_template(
        "calls/show.html",
        call=call,
        why=told(session, call),
        operation=_operation(session, call),
        flags=envoy_words.flags(call.flags),
        details=envoy_words.details(call.details),
        api=scopes.name_apis(session, scope, [call.api_id]).get(call.api_id or 0),
        consumer=scopes.name_consumers(session, scope, [call.consumer_id]).get(call.consumer_id or 0),
        key=key,
        by_token=_is_by_token(session, call),
        plan=plan,
        similar=_similar(session, scope, call, key),
    )


def _is_by_token(session: Session, call: CallView) -> bool:
    """A consumer that was found without a key has shown a token, unless it stands for everybody."""
    if call.key_id is not None or call.subscription_id is None:
        return False
    consumer = session.get(Consumer, call.consumer_id) if call.consumer_id else None
    return consumer is not None and not consumer.everyone


def _operation(session: Session, call: CallView) -> NamedOperation | None:
    """With a way into the docs only for those who may read them."""
    if not call.operation:
        return None
    api = session.get(Api, call.api_id) if call.api_id else None
    if api is None:
        return NamedOperation.unknown(call.operation)
    found = operations.name_operations(session, api, [call.operation])[call.operation]
    return found if registry.may_see(me(), api) else replace(found, docs_url=None)


def _kept(*more: str) -> dict[str, Any]:
    """What of the address goes on into the next one: known names only, since `url_for` has words of its own."""
    return {name: value for name in (*call_filters.NAMES, *more) if (value := request.args.get(name, "").strip())}


def _meant(typed: str) -> str:
    """Where what was pasted into the one search field leads: to a call, to a key's calls, or to a path's."""
    kept = _kept()
    try:
        return url_for("calls.show", request_id=str(uuid.UUID(typed)))
    except ValueError:
        pass
    if _KEY.fullmatch(typed):
        return url_for("calls.index", **{**kept, "key": typed[:16]})
    return url_for("calls.index", **{**kept, "path": typed})


def _without(values: dict[str, Any], name: str) -> str:
    return url_for("calls.index", **{each: value for each, value in values.items() if each != name})


def _key_and_plan(session: Session, scope: Scope, call: CallView) -> tuple[Key | None, Plan | None]:
    key = session.get(Key, call.key_id) if call.key_id else None
    return key, session.get(Plan, call.plan_id) if call.plan_id else None


def _similar(session: Session, scope: Scope, call: CallView, key: Key | None) -> list[tuple[str, str]]:
    """(words, address) of lists that this call stands in."""
    found: list[tuple[str, dict[str, Any]]] = []
    api = scopes.name_apis(session, scope, [call.api_id]).get(call.api_id or 0)
    consumer = scopes.name_consumers(session, scope, [call.consumer_id]).get(call.consumer_id or 0)
    of_api = {"api": api.label} if api else {}
    if call.reason != "ok":
        found.append((f"Calls with the reason {call.reason}", {"reason": call.reason, **of_api}))
    if call.operation and api:
        found.append((f"Calls of the operation {call.operation}", {"operation": call.operation, **of_api}))
    if call.path and api:
        found.append((f"{call.method} calls of this path", {"path": call.path, "method": call.method, **of_api}))
    if api and consumer:
        found.append((f"Calls of {consumer.name} to {api.name}", {"consumer": consumer.label, **of_api}))
    elif consumer:
        found.append((f"Calls of {consumer.name}", {"consumer": consumer.label}))
    if key:
        found.append(("Calls with the same key", {"key": key.public_id}))
    return [(words, url_for("calls.index", **filters)) for words, filters in found]

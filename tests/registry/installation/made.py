"""Installations for tests: a small one with everything in it, and any one at all."""

import itertools
from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import strategies as st
from sqlalchemy.orm import Session

from portal.registry import installation as room
from portal.registry.installation.values import Installation
from portal.registry.models import Visibility

EVERYTHING = """\
portico: 1
teams:
- slug: payments
  name: Payments
  may_publish: true
- slug: shop
  name: The Shop
plans:
- team: payments
  slug: gold
  name: Gold
  description: For those who pay.
  per_second: 100
  per_second_burst: 200
  quota_day: 5000
  quota_month: 100000
  approval: true
  terms: |-
    # Terms

    Be kind.
  price: 10 EUR a month
  public: false
  chosen: [shop]
- team: payments
  slug: free
  name: Free
  per_minute: 60
apis:
- team: payments
  slug: orders
  version: v1
  note: The first one.
  plans:
  - free
  - gold
  default_plan: free
  document:
    name: Orders
    description: |
      Everything that was ordered.

      And more.
    path: /orders/v1
    upstream:
      targets:
      - url: https://orders.example
- team: payments
  slug: orders
  version: v2
  paused: true
  plans:
  - gold
  document:
    name: Orders
    path: /orders/v2
    upstream:
      targets:
      - url: https://a.orders.example
        weight: 3
      - url: https://b.orders.example
    cors:
      origins:
      - https://app.example.com
      max_age_s: 60
    addresses:
      allow:
      - 10.0.0.0/8
  live_document:
    name: Orders, soon
    path: /orders/v2
    upstream:
      targets:
      - url: https://a.orders.example
- team: payments
  slug: refunds
  version: v1
  published: false
  plans: []
  document:
    name: Refunds
    host: refunds.example.com
    upstream:
      targets:
      - url: http://refunds.example:8080
consumers:
- team: shop
  slug: web
  id: con_abcdefgh234567ab
  name: Web shop
  contacts:
  - shop@portico.example
  metadata:
    squad: checkout
  suspended: true
  subscriptions:
  - api: payments/orders/v1
    plan: gold
    state: suspended
  - api: payments/refunds/v1
    plan: free
    ends_at: '2099-01-01T00:00:00Z'
    approved_until: '2100-01-01T00:00:00Z'
    subject: web-shop@login.example
  keys:
  - id: 0123456789AB
    sha256: e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855
    label: web
    read_only: true
    addresses:
    - 10.0.0.0/8
    - 2001:db8::/32
    apis:
    - payments/orders/v1
    operations:
    - api: payments/orders/v1
      method: GET
      path: /orders/{id}
  - id: 0123456789CD
    sha256: 6b86b273ff34fce19d6b804eff5a3f5747ada4eaa22f1d49c01e52ddb7875b4b
    apis: []
"""

_SHELVES = """\
categories:
- slug: art
  name: Art
- slug: money
  name: Money & more
  description: What is paid and owed.
  position: 1
"""

ENDING = EVERYTHING.replace("plans:\n- team", f"{_SHELVES}plans:\n- team", 1).replace(
    "  note: The first one.\n",
    """\
  note: The first one.
  visibility: chosen
  viewers:
  - shop
  category: money
  overall_per_second: 250
  closed: true
  deprecated:
    since: '2026-01-01T00:00:00Z'
    sunset: '2026-12-31T23:59:59Z'
    successor: payments/orders/v2
    message: |
      Use v2.

      It is faster.
  retired: '2027-01-01T00:00:00Z'
""",
)
"""The same, with one API that is hidden, and at its end."""

ROTATED = f"""\
{EVERYTHING}\
  - id: 0123456789FG
    sha256: d4735e3a265e16eee03f59718b9b5d03019c07d8b6c51f90da3a666eec13ab35
    expires_at: '2099-01-01T00:00:00Z'
    follows: 9123456789YZ
    unrotated_expires_at: never
  - id: 0123456789GH
    sha256: 4e07408562bedb8b60ce05c1decfe3ad16b72230967de01f640b7e4729b49fce
    follows: 0123456789FG
  - id: 9123456789YZ
    sha256: 4b227777d4dd1fc61c6f884f48641d02b4d121d3fd328cb08b5531fcacdabf8a
    expires_at: '2098-01-01T00:00:00Z'
    unrotated_expires_at: '2099-06-01T00:00:00Z'
"""
"""The same, with a key that was rotated twice; its names are in another order than the keys came."""


def loaded(*texts: str) -> room.Loaded:
    return room.load((f"{number}.yaml", text.encode()) for number, text in enumerate(texts))


def read(*texts: str) -> Installation:
    found = loaded(*texts)
    assert found.problems == []
    return found.installation


def now() -> datetime:
    return datetime.now(UTC)


def stored(session: Session, *, keys: bool = True) -> Installation:
    return room.stored(session, keys=keys, now=now())


def steps(session: Session, wanted: Installation, *, prune: bool = False) -> list[room.Step]:
    return room.plan(stored(session), wanted, prune=prune)


def apply(session: Session, wanted: Installation, *, prune: bool = False) -> list[room.Step]:
    """What was done."""
    planned = steps(session, wanted, prune=prune)
    room.hold(session, planned)
    room.carry_out(session, planned, zone=UTC)
    session.commit()
    return planned


# Whatever a database keeps: PostgreSQL has no NUL, and no text has half a surrogate.
_texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=60)
_names = _texts.map(lambda text: " ".join(text.split())).filter(bool)
_slugs = st.from_regex(r"[a-z0-9](?:[a-z0-9-]{0,6}[a-z0-9])?", fullmatch=True)
_versions = st.sampled_from(["v1", "v2", "1.0", "2026-11-20", "no", "1e3"])
_later = st.none() | st.datetimes(datetime(2090, 1, 1), datetime(2200, 1, 1), timezones=st.just(UTC))
_lately = st.none() | st.timedeltas(timedelta(0), timedelta(days=20)).map(lambda ago: now() - ago)


@st.composite
def _documents(draw: Any, path: str) -> dict[str, Any]:
    return {
        "name": draw(_names),
        "description": draw(_texts),
        "path": path,
        "upstream": {
            "targets": [{"url": f"https://{host}.example"} for host in draw(st.sets(_slugs, min_size=1, max_size=2))],
            "retries": draw(st.integers(0, 5)),
            "ca_pem": draw(st.none() | _texts),
        },
        "key": draw(st.sampled_from([{"place": "header", "name": "X-Token"}, {"place": "bearer"}, {}])),
    }


@st.composite
def _apis(draw: Any, team: str, plans: list[str], shelves: list[str]) -> dict[str, Any]:
    slug, version = draw(_slugs), draw(_versions)
    published = draw(st.booleans())
    path = f"/{team}/{slug}/{version}"
    return {
        "team": team,
        "slug": slug,
        "version": version,
        "published": published,
        "note": draw(_texts) if published else "",
        "plans": draw(st.sets(st.sampled_from(plans))) if plans else [],
        "paused": published and draw(st.booleans()),
        "overall_per_second": draw(st.none() | st.integers(1, 1_000_000)),
        "closed": published and draw(st.booleans()),
        "visibility": draw(st.sampled_from(Visibility)).value,
        "category": draw(st.sampled_from([None, *shelves])),
        **(draw(_endings()) if published else {}),
        "document": draw(_documents(path)),
        "live_document": draw(st.none() | _documents(path)) if published else None,
    }


@st.composite
def _endings(draw: Any) -> dict[str, Any]:
    """Deprecated perhaps, retired perhaps; successors are drawn when all APIs are there."""
    since = draw(st.none() | st.datetimes(datetime(2020, 1, 1), datetime(2080, 1, 1), timezones=st.just(UTC)))
    if since is None:
        return {}
    deprecated = {"since": since, "sunset": draw(_later), "message": draw(_texts)}
    return {"deprecated": deprecated, "retired": draw(_later)}


def _distinct(things: list[dict[str, Any]], *names: str) -> list[dict[str, Any]]:
    return list({tuple(thing[name] for name in names): thing for thing in things}.values())


@st.composite
def _categories(draw: Any, slugs: list[str]) -> list[dict[str, Any]]:
    return [
        {
            "slug": slug,
            "name": f"{slug}: {draw(_names)}",
            "description": draw(_texts),
            "position": draw(st.integers(0, 1_000_000)),
        }
        for slug in slugs
    ]


@st.composite
def _keys(draw: Any, number: str, apis: list[str]) -> dict[str, Any]:
    return {
        "id": number,
        "sha256": number.encode().hex().ljust(64, "0"),
        "label": draw(_texts),
        "expires_at": draw(_later),
        "revoked_at": draw(_lately),
        "read_only": draw(st.booleans()),
        "addresses": draw(st.lists(st.sampled_from(["10.0.0.0/8", "::1/128", "192.0.2.7/32"]), unique=True)),
        "operations": [{"api": name, "method": "GET", "path": "/x/{id}"} for name in apis if draw(st.booleans())],
    }


def _rotated(draw: Any, keys: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Some come after one another, whatever the order of their names."""
    line = draw(st.permutations(keys))
    for before, after in itertools.pairwise(line):
        if draw(st.booleans()):
            after["follows"] = before["id"]
            if after["revoked_at"] is None:
                before["unrotated_expires_at"] = draw(_later) or "never"
    return keys


@st.composite
def installations(draw: Any) -> Installation:
    slugs = sorted(draw(st.sets(_slugs.filter(lambda slug: slug not in {"new", "api"}), min_size=1, max_size=3)))
    teams = [{"slug": slug, "name": draw(_names), "may_publish": draw(st.booleans())} for slug in slugs]
    plans = [
        {
            "team": team,
            "slug": slug,
            "name": draw(_names),
            "description": draw(_texts),
            **draw(_limits),
            **draw(_promises),
        }
        | {"chosen": draw(st.sets(st.sampled_from(slugs))) - {team}}
        for team in slugs
        for slug in sorted(draw(st.sets(_slugs, max_size=2)))
    ]
    shelves = sorted(draw(st.sets(_slugs, max_size=2)))
    of_team = {team: [plan["slug"] for plan in plans if plan["team"] == team] for team in slugs}
    apis = [api for team in slugs for api in draw(st.lists(_apis(team, of_team[team], shelves), max_size=2))]
    apis = _distinct(apis, "team", "slug", "version")
    names = [f"{api['team']}/{api['slug']}/{api['version']}" for api in apis]
    for api, name in zip(apis, names, strict=True):
        api["viewers"] = draw(st.sets(st.sampled_from(slugs))) - {api["team"]}
        others = [other for other in names if other != name]
        if "deprecated" in api and others:
            api["deprecated"]["successor"] = draw(st.none() | st.sampled_from(others))
    for plan in plans:
        limited = draw(st.sets(st.tuples(st.sampled_from(names), _slugs), max_size=2)) if names else ()
        plan["operations"] = [{"api": api, "operation": word, "per_minute": len(word)} for api, word in sorted(limited)]
    usable = [api for api in apis if of_team[api["team"]]]
    ids = iter(sorted(draw(st.sets(st.from_regex(r"[0-9A-Za-z]{12}", fullmatch=True), min_size=12, max_size=12))))
    consumers = [
        {
            "team": team,
            "slug": slug,
            "name": draw(_names),
            "description": draw(_texts),
            "contacts": [*filter(None, [" ".join(draw(_texts).split())[:200]])],
            "metadata": draw(st.dictionaries(_slugs, st.sampled_from(["4711", "checkout"]), max_size=2)),
            "suspended": draw(st.booleans()),
            "subscriptions": [
                {
                    "api": f"{api['team']}/{api['slug']}/{api['version']}",
                    "plan": draw(st.sampled_from(of_team[api["team"]])),
                    "state": draw(st.sampled_from(["approved", "suspended"])),
                    "ends_at": draw(_later),
                    "approved_until": draw(_later),
                    "subject": draw(st.sampled_from([None, f"{team}/{slug}"])),
                }
                for api in usable
                if draw(st.booleans())
            ],
            "keys": _rotated(draw, [draw(_keys(next(ids), names)) for _ in range(draw(st.integers(0, 3)))]),
        }
        for team, slug in draw(st.sets(st.tuples(st.sampled_from(slugs), _slugs), max_size=4))
    ]
    for consumer in consumers:
        used = [use["api"] for use in consumer["subscriptions"]]
        for key in consumer["keys"]:
            key["apis"] = draw(st.none() | st.lists(st.sampled_from(used), unique=True) if used else st.none())
    return Installation.model_validate(
        {
            "portico": 1,
            "teams": teams,
            "categories": draw(_categories(shelves)),
            "plans": plans,
            "apis": apis,
            "consumers": consumers,
        }
    )


_promises = st.fixed_dictionaries(
    {},
    optional={
        "quota_day": st.integers(1, 10**6),
        "quota_month": st.integers(10**6, 10**9),
        "approval": st.booleans(),
        "terms": _texts,
        "price": _names,
        "public": st.booleans(),
    },
)
_limits = st.sampled_from(
    [{}, {"per_second": 5}, {"per_second": 5, "per_second_burst": 9, "per_minute": 60}, {"per_minute": 60_000_000}]
)

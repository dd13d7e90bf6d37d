"""Whatever is sent, no route fails: the answer is never 500."""

import uuid
from urllib.parse import quote

import psycopg
import pytest
from flask import Flask
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy.engine import make_url

from portal import create_app
from portal.config import Config
from portal.db import db
from portal.registry.models import Revision
from portal.schema import metadata
from tests import factories
from tests.conftest import sign_in
from tests.web.attacks.pages import browser, routes

FORM = "application/x-www-form-urlencoded"
BOUNDED = "multipart/form-data; boundary=x"
FILE = b'--x\r\nContent-Disposition: form-data; name="name"; filename="../../etc/passwd"\r\n\r\nabc\r\n--x--\r\n'

BODIES = [
    ("application/json", b"[1]"),
    ("application/json", b'"a"'),
    ("application/json", b'{"email": {"a": 1}, "name": ["b"], "csrf_token": 5}'),
    ("application/json", rb'{"email": "\ud800", "name": "\ud800"}'),
    ("application/json", b"{broken"),
    ("application/vnd.api+json", b"[1]"),
    ("text/xml", b'<!DOCTYPE a [<!ENTITY b SYSTEM "file:///etc/passwd">]><a>&b;</a>'),
    (FORM, b"\xff\xfe=\xff&%ff=%fe"),
    (FORM, b"name=%ED%A0%80&email=%ED%A0%80"),
    (FORM + "; charset=utf-7", b"name=+AGE-"),
    ("multipart/form-data", b"garbage"),
    ("multipart/form-data; boundary=", b"garbage"),
    (BOUNDED, b'--x\r\nContent-Disposition: form-data; name="a"\r\n\r\nnever ends'),
    (
        BOUNDED,
        b'--x\r\nContent-Disposition: form-data; name="a"\r\nContent-Type: text/plain; charset=no\r\n\r\nx\r\n--x--',
    ),
    (BOUNDED, FILE),
]
NUL = "&".join(f"{n}=%00" for n in ("name", "email", "password", "slug", "api", "plan", "role", "team", "confirm", "q"))
QUERIES = [
    NUL,
    "after=-1",
    "after=99999999999999999999",
    "before=2147483648&after=x",
    "cursor=%00",
    "cursor=99999999999999999999-1",
    "_scheme=javascript&_external=1&_anchor=x&_method=PUT",
    "endpoint=x&self=y&values=z&filename=1&team=a&slug=b&consumer=c",
    "from=9999-12-31T23:59&to=0001-01-01&status=²&min_ms=²&key=%25%5F",
    "window=%F0%9F%92%A9&at=nan&state=none",
    "q=" + "%25_" * 500,
    "%ff=%fe&=&&;",
]


class TestEveryRoute:
    @pytest.mark.parametrize("who", ["stranger", "administrator"])
    @pytest.mark.parametrize(("kind", "body"), BODIES)
    def test_answers_what_is_no_form(self, world, who, kind, body):
        client, failed = browser(world, who), []
        for rule, address in routes(world, "POST"):
            answer = client.post(address, data=body, content_type=kind)
            if answer.status_code >= 500:
                failed.append(f"{rule}: {answer.status_code}")
        world.restore()
        assert failed == []

    @pytest.mark.parametrize("query", QUERIES)
    def test_answers_what_is_no_query(self, world, query):
        client, failed = browser(world, "administrator"), []
        for rule, address in routes(world, "GET"):
            with client.get(f"{address}?{query}") as answer:
                if answer.status_code >= 500 or "javascript:" in answer.get_data(as_text=True):
                    failed.append(f"{rule}: {answer.status_code}")
        assert failed == []

    @pytest.mark.parametrize("number", [2**31, 2**63, 10**30])
    def test_knows_no_number_that_no_id_reaches(self, world, number):
        client = browser(world, "administrator")
        numbered = [rule for rule, _ in routes(world, "GET") if "<int:" in rule.rule]
        assert numbered
        for rule in numbered:
            parts = {name: number if f"<int:{name}>" in rule.rule else world.parts[name] for name in rule.arguments}
            path = rule.rule
            for name, value in parts.items():
                path = path.replace(f"<int:{name}>", str(value)).replace(f"<{name}>", str(value))
            assert client.get(path).status_code == 404, path

    def test_refuses_a_body_that_is_too_large(self, world):
        client = browser(world, "administrator")
        for rule, address in routes(world, "POST"):
            answer = client.post(address, data={"name": "x" * 2_100_000})
            assert answer.status_code == 413, rule

    def test_answers_cookies_that_are_none_of_ours(self, world):
        client, failed = browser(world, "stranger"), []
        for cookie in ("portico_session=.eJw", "portico_session=\xff", "portico_remember=1|x", "=;;=", "x" * 9_000):
            for rule, address in routes(world, "GET"):
                with client.get(address, headers={"Cookie": cookie}) as answer:
                    if answer.status_code >= 500:
                        failed.append(f"{rule} with {cookie[:20]}: {answer.status_code}")
        assert failed == []


WORDS = st.one_of(
    st.text(max_size=30),
    st.sampled_from(
        ["", "0", "-1", "1e400", "NaN", "²", "%00", "\0", "\ud7ff", "../..", "'", '"', "\\", "\r\n", "💩" * 99]
    ),
)
NAMES = st.sampled_from(
    (
        *("name", "slug", "team", "email", "password", "new_password", "next", "role", "remember", "csrf_token"),
        *("target_0_url", "target_999_weight", "targets", "path", "host", "number", "over", "retries", "ca_pem"),
        *("key_place", "key_name", "body_limit", "expires", "until", "birth", "label", "confirm", "api", "plan"),
        *("per_second", "q", "from", "to", "status", "cursor", "after", "before", "state", "window"),
        *("allowed", "active", "administrator"),
    )
)
PARTS = st.dictionaries(NAMES, WORDS, max_size=6)
METHODS = st.sampled_from(["GET", "POST", "HEAD", "OPTIONS", "PUT", "PATCH", "DELETE", "TRACE", "BREW"])
HEADERS = st.dictionaries(
    st.sampled_from(
        ["Accept", "Referer", "Origin", "Range", "If-None-Match", "HX-Request", "X-CSRFToken", "User-Agent"]
    ),
    st.text(st.characters(min_codepoint=32, max_codepoint=255, exclude_characters="\x7f"), max_size=40),
    max_size=2,
)


@st.composite
def asked(draw):
    """(number of the route, what stands in its address instead, method, query, form, headers)"""
    return draw(st.tuples(st.integers(0, 10_000), st.lists(WORDS, max_size=4), METHODS, PARTS, PARTS, HEADERS))


def send(client, app: Flask, parts, wanted):
    number, instead, method, query, form, headers = wanted
    rules = sorted(app.url_map.iter_rules(), key=lambda rule: (rule.rule, rule.endpoint))
    rule = rules[number % len(rules)]
    path, others = rule.rule, iter(instead)
    for name in sorted(rule.arguments):
        value = next(others, None) or str(parts.get(name, "x"))
        for spelt in (f"<{name}>", f"<int:{name}>", f"<path:{name}>"):
            path = path.replace(spelt, value)
    return client.open(quote(path, safe="/%"), method=method, query_string=query, data=form or None, headers=headers)


@settings(derandomize=True, max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(wanted=asked())
def test_no_route_fails_on_anything(world, wanted):
    with send(browser(world, "administrator"), world.app, world.parts, wanted) as answer:
        assert answer.status_code < 500, answer.text
    if wanted[2] == "POST" and answer.status_code < 400:
        world.restore()


@pytest.mark.slow
@settings(max_examples=5_000, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(wanted=asked())
def test_no_route_fails_on_much_more(world, wanted):
    with send(browser(world, "administrator"), world.app, world.parts, wanted) as answer:
        assert answer.status_code < 500, answer.text
    if wanted[2] == "POST" and answer.status_code < 400:
        world.restore()


@pytest.fixture(scope="module")
def on_postgres(postgres_server, tmp_path_factory):
    """(browser of an administrator, app, parts of addresses), on a PostgreSQL."""
    name = f"portico_{uuid.uuid4().hex[:12]}"
    with psycopg.connect(postgres_server, autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{name}"')
    url = make_url(postgres_server).set(database=name).render_as_string(hide_password=False)
    app = create_app(Config(data_dir=tmp_path_factory.mktemp("malformed") / "var", database_url=url))
    app.config.update(WTF_CSRF_ENABLED=False, PROPAGATE_EXCEPTIONS=False)
    with app.app_context():
        metadata.create_all(db.engine)
        session = db.session()
        session.add(Revision(id=1, n=0))
        someone = factories.person(session, is_administrator=True)
        team = factories.team(session, owner=someone)
        plan = factories.plan(session, team=team)
        api = factories.api(session, team=team, live=True, plans=[plan])
        consumer = factories.consumer(session, team=team)
        parts = {"team": team.slug, "slug": api.slug, "version": api.version, "number": 1, "plan": plan.slug}
        parts |= {"consumer": consumer.slug, "person": someone.id}
        session.commit()
        client = sign_in(app.test_client(), someone)
        session.close()
    client.environ_base["HTTP_ACCEPT"] = "text/html"
    yield client, app, parts
    with app.app_context():
        db.session.remove()
        db.engine.dispose()
    with psycopg.connect(postgres_server, autocommit=True) as connection:
        connection.execute(f'DROP DATABASE "{name}" WITH (FORCE)')


@pytest.mark.postgres
class TestOnPostgreSQL:
    """It refuses what SQLite stores: a NUL in a text, numbers out of range."""

    @settings(derandomize=True, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(wanted=asked())
    def test_no_route_fails_on_anything(self, on_postgres, wanted):
        with send(*on_postgres, wanted) as answer:
            assert answer.status_code < 500, answer.text

    @pytest.mark.parametrize("query", QUERIES)
    def test_answers_what_is_no_query(self, on_postgres, query):
        client, app, parts = on_postgres
        addresses = app.url_map.bind("localhost")
        asked = [rule for rule in app.url_map.iter_rules() if "GET" in rule.methods and rule.arguments <= parts.keys()]
        failed = []
        for rule in asked:
            with client.get(
                f"{addresses.build(rule.endpoint, {a: parts[a] for a in rule.arguments})}?{query}"
            ) as answer:
                if answer.status_code >= 500:
                    failed.append(f"{rule}: {answer.status_code}")
        assert len(asked) > 30
        assert failed == []

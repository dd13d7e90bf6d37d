"""Texts of strangers stay texts on every page: typed into forms, sent as calls, or standing in the address bar."""

import re
from urllib.parse import quote

import orjson
import pytest
from sqlalchemy import select

from portal.db import db
from portal.gateway.models import Node
from portal.registry.models import Api, Consumer, Key
from tests.web import logged
from tests.web.attacks.pages import Page, browser, routes

PROBE = "xssprobe"
"""Names every element and attribute that would be an escape."""

PAYLOADS = {
    "an element": f"<{PROBE} a=1>",
    "a script": f"</script><script {PROBE}>alert(1)</script>",
    "a quoted attribute": f'" {PROBE}="1" autofocus onfocus="alert(1)',
    "a single quoted attribute": f"' {PROBE}='1' onmouseover='alert(1)",
    "an unquoted attribute": f"x {PROBE}=1 onload=alert(1) ",
    "a comment": f"--><!--><{PROBE}>",
    "the end of a title": f"</title></textarea></style><{PROBE}>",
    "an image": f"<img src=x onerror=alert(1) {PROBE}>",
    "a drawing": f"<svg/onload=alert(1) {PROBE}=1>",
    "a script's text": f"\\u003c{PROBE}>\\'-alert(1)-'\u2028</ScRiPt >",
    "entities": f"&lt;{PROBE}&gt;&#60;{PROBE}&#62;&quot;",
    "a template": f"{{{{7919*7907}}}}{{% {PROBE} %}}${{7919*7907}}<%= 7919*7907 %>",
    "an address": f"javascript:alert(1)//{PROBE}",
    "a control character": f"\x1b<{PROBE}>\x7f\u202e",
}


def packs() -> list[str]:
    """The payloads, as many in one text as the shortest field takes: 80 characters."""
    found = [""]
    for payload in sorted(PAYLOADS.values(), key=len):
        if len(found[-1]) + len(payload) > 78:
            found.append("")
        found[-1] += payload
    return found


EACH = [*packs(), *(pytest.param(payload, id=name, marks=pytest.mark.slow) for name, payload in PAYLOADS.items())]
RUNS = re.compile(r"[\x00-\x20]*(javascript|data|vbscript)[\x00-\x20]*:", re.IGNORECASE)
FIELDS = (
    *("name", "slug", "team", "email", "password", "next", "role", "description", "version", "target_0_url", "path"),
    *("host", "number", "note", "ca_pem", "key_place", "key_name", "body_limit", "expires", "until", "birth", "label"),
    *("confirm", "api", "plan", "per_second", "per_minute", "new_password", "new_password_confirm"),
)


def escapes(address: str, html: str) -> list[str]:
    """What of a payload became part of the page."""
    page, found = Page(html), []
    for tag, attributes in page.elements:
        if tag == PROBE or PROBE in attributes:
            found.append(f"{address}: <{tag}>")
        found += [f"{address}: <{tag} {name}>" for name in attributes if name.startswith("on")]
        for name in ("href", "src", "action", "formaction", "hx-get"):
            if re.match(
                r"[\x00-\x20]*(javascript|data|vbscript)[\x00-\x20]*:", attributes.get(name, ""), re.IGNORECASE
            ):
                found.append(f"{address}: <{tag} {name}={attributes[name]!r}>")
    for attributes, content in page.scripts:
        if "src" not in attributes:
            assert attributes.get("type") == "application/json", f"{address}: {attributes}"
            orjson.loads(content)
        if re.search(r"<|>|\u2028", content):
            found.append(f"{address}: {content[:80]!r} in a script")
    if "62615533" in html:
        found.append(f"{address}: a template was run")
    return found


def fill(world, payload: str) -> list[str]:
    """Store `payload` wherever a form or a caller may write; the request ids of the calls that carry it."""
    client, parts = browser(world, "administrator"), world.parts
    api = "/apis/{team}/{slug}/{version}".format(**parts)
    consumer = "/consumers/{team}/{consumer}".format(**parts)
    document = {"path": "/hostile/v1", "target_0_url": "http://127.0.0.1:1", "target_0_weight": "1", "retries": "1"}
    document |= {"connect_timeout": "5", "first_byte_timeout": "30", "idle_timeout": "300", "body_limit": "10"}
    document |= {"ways": "key", "key_place": "header", "key_name": "X-API-Key", "tls_verify": "y"}
    plan = {"per_second": "10", "per_minute": "100", "per_second_burst": "10", "per_minute_burst": ""}
    for address, form in (
        ("/settings", {"name": payload}),
        (f"/settings/teams/{parts['team']}/name", {"name": payload}),
        (f"{api}/document", document | {"name": payload, "description": payload, "number": "1"}),
        (f"{api}/publish", {"number": "2", "note": payload}),
        (f"/plans/{parts['team']}/{parts['plan']}", plan | {"name": payload, "description": payload}),
        (f"{consumer}/edit", {"name": payload, "description": payload}),
        ("/settings/teams/new", {"name": payload, "slug": "hostile-team"}),
        ("/consumers/new", {"name": payload, "slug": "hostile", "team": "hostile-team", "description": payload}),
        ("/settings/people/new", {"name": payload, "email": "hostile@portico.example"}),
    ):
        answer = client.post(address, data=form)
        assert answer.status_code in {201, 303}, f"{address}: {answer.status_code} {answer.text}"
        assert not escapes(address, answer.text)
    page = client.get(f"{consumer}/keys/new")
    birth = re.search(r'name="birth"[^>]*value="([^"]+)"', page.text)[1]
    born = client.post(f"{consumer}/keys/new", data={"birth": birth, "label": payload, "expires": "never"})
    assert born.status_code == 201
    assert not escapes("the page of the new key", born.text)
    return _call(world, payload)


def _call(world, payload: str) -> list[str]:
    """Calls whose every text is `payload`, and a line that is none; the request ids of the calls."""
    parts, n = world.parts, len(list(world.kept.parent.glob("hostile-*")))
    folder = world.kept.parent / f"hostile-{n}"
    folder.mkdir()
    texts = {name: payload for name in ("ip", "ua", "up", "h", "m", "cid", "d", "f")}
    with world.app.app_context():
        session = db.session()
        api = session.scalars(select(Api).where(Api.slug == parts["slug"])).one()
        consumer = session.scalars(select(Consumer).where(Consumer.slug == parts["consumer"])).one()
        key = session.scalars(select(Key).where(Key.public_id == parts["key"])).one()
        lines = [
            logged.line(api, consumer, key, **texts | {"p": f"/{payload}", "st": 502}),
            logged.line(api, consumer, key, **{"p": f"/{payload}", "ua": payload, "h": payload}),
            logged.line(**texts | logged.REFUSED | {"p": f"/{payload}", "st": 404, "f": "NR", "d": payload}),
            logged.line(api, consumer, key, **logged.REFUSED | {"st": 401, "rs": payload[:20]}),
        ]
        session.add(
            Node(
                name=payload[:60],
                instance_id="1" * 32,
                envoy_version=payload[:40],
                state="troubled",
                sentence=payload,
                problems=[{"api": api.label, "sentence": payload}, {"api": "", "sentence": payload}],
            )
        )
        session.commit()
        session.close()
        logged.store(db.engine, folder, *lines, f"not a line {payload}\n".encode())
    return [logged.id_of(line) for line in lines]


@pytest.fixture
def restored(world):
    yield world
    world.restore()


@pytest.mark.parametrize("payload", EACH)
class TestStored:
    def test_stays_text_on_every_page(self, restored, payload):
        ids = fill(restored, payload)
        found, shown = [], set()
        client = browser(restored, "administrator")
        pages = [address for _, address in routes(restored, "GET") if not address.startswith("/static/")]
        for address in [*pages, *(f"/calls/{id}" for id in ids)]:
            with client.get(address) as answer:
                assert answer.status_code < 500
                if answer.mimetype == "text/html":
                    html = answer.get_data(as_text=True)
                    found += escapes(address, html)
                    if any(PROBE in text for text in Page(html).texts):
                        shown.add(address)
        assert found == []
        assert len(shown) > 25, sorted(shown)


@pytest.mark.parametrize("payload", EACH)
class TestReflected:
    def test_query_stays_text_on_every_page(self, world, payload):
        names = "q status reason api consumer key method path min_ms from to cursor after before team state window next"
        query = "&".join(f"{name}={quote(payload, safe='')}" for name in names.split())
        client, found = browser(world, "administrator"), []
        for one in (query, f"{quote(payload)}=1&team=x"):
            for _, address in routes(world, "GET"):
                with client.get(f"{address}?{one}") as answer:
                    assert answer.status_code < 500
                    if answer.mimetype == "text/html":
                        found += escapes(address, answer.get_data(as_text=True))
        assert found == []

    def test_form_stays_text_when_it_is_shown_again(self, world, payload):
        form = dict.fromkeys(FIELDS, payload)
        refused = 0
        for _, address in routes(world, "POST"):
            answer = browser(world, "administrator").post(address, data=form)  # one of them signs out
            refused += answer.status_code in {409, 422}
            assert answer.status_code < 500
            if answer.mimetype == "text/html":
                assert escapes(address, answer.text) == []
        world.restore()
        assert refused > 8

    def test_path_and_headers_stay_text(self, world, payload):
        client = browser(world, "administrator")
        plain = re.sub(r"[^\x20-\xff]", "", payload).replace("\x7f", "")
        for address in (f"/{quote(payload)}", f"/calls/{quote(payload)}", f"/gateway/files/{quote(payload)}"):
            with client.get(
                address, headers={"Referer": plain, "User-Agent": plain, "Accept-Language": plain}
            ) as answer:
                assert answer.status_code in {404, 308}
                assert escapes(address, answer.get_data(as_text=True)) == []

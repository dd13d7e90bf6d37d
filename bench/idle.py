"""How much memory the programs take that `make run` starts, once they have served a little and idle."""

import http.client
from contextlib import closing
from pathlib import Path

from bench.keys import wait_until
from bench.rows import Budget, Row
from bench.stack import Stack
from portal import create_app
from portal.accounts import people, sessions
from portal.db import db, utcnow

ROWS = ("memory_web", "memory_node")
_PAGES = ("/", "/apis", "/calls", "/consumers", "/gateway", "/plans", "/traffic", "/settings", "/settings/audit")
_ADMINISTRATOR = "administrator@portico.example"


def measure(house: Stack) -> list[Row]:
    cookie = sign_in(house)
    for _ in range(3):
        for page in _PAGES:
            if (status := ask(house, page, {"Cookie": cookie, "Accept": "text/html"})) != 200:
                raise RuntimeError(f"{page} answered {status}.")
    wait_until(house.config.gateway_port, house.rights[0], 200)
    return [
        _row(house, "web", f"web worker that has served {len(_PAGES)} pages three times", 150),
        _row(house, "node", f"node process that has published {len(house.rights):,} subscriptions", 100),
    ]


def _row(house: Stack, program: str, which: str, budget: int) -> Row:
    # Of gunicorn's processes the one that serves is the larger.
    resident, share = max(_memory_of(pid) for pid in house.pids(program))
    return Row(
        f"memory_{program}",
        f"resident memory of an idle {which}",
        resident,
        "MB",
        Budget("≤", budget),
        note=f"{share:.0f} MB where what several processes share is divided among them.",
    )


def _memory_of(pid: int) -> tuple[float, float]:
    """Resident and proportional set size in megabytes, from /proc."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]
    found = {name: int(number) * 1_024 / 1_000_000 for name, number, *_ in map(str.split, lines)}
    return found["Rss:"], found["Pss:"]


def sign_in(house: Stack) -> str:
    """The cookie of an administrator: this process has the secrets of the data folder too."""
    app, token = create_app(house.config), sessions.new_token()
    client = app.test_client()
    with app.app_context(), db.begin() as session:
        person = people.create_person(
            session, email=_ADMINISTRATOR, name="Administrator", password_hash="!", is_administrator=True
        )
        session.flush()  # a session is begun for a person with a number
        sessions.begin(session, person.fs_uniquifier, token, now=utcnow())
    with client.session_transaction() as values:
        values["_user_id"], values["_fresh"] = token, True
    name = app.config["SESSION_COOKIE_NAME"]
    cookie = client.get_cookie(name)
    assert cookie is not None
    return f"{name}={cookie.value}"


def ask(house: Stack, path: str, headers: dict[str, str]) -> int:
    """The portal's status; 0 when it does not answer."""
    with closing(http.client.HTTPConnection("127.0.0.1", house.config.port, timeout=5)) as connection:
        try:
            connection.request("GET", path, headers=headers)
            return connection.getresponse().status
        except (OSError, http.client.HTTPException):
            return 0

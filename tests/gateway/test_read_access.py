"""What the gateway gets to know of whose pages may call, and from where."""

from sqlalchemy import Engine
from sqlalchemy.orm import Session

from portal.gateway.ir import AddressLists, Api, Cors
from portal.gateway.read import Reader, consistent
from portal.registry.access import EXPOSED_HEADERS, METHODS
from tests import factories


def served(engine: Engine, session: Session) -> dict[int, Api]:
    session.commit()
    with consistent(engine) as connection:
        return {api.id: api for api in Reader().read(connection).snapshot.apis}


def test_rules_come_with_what_goes_without_saying(engine: Engine, session: Session) -> None:
    origins = ["https://a.example"]
    by_header = factories.api(
        session, live=True, cors={"origins": origins, "headers": ["X-Trace"]}, key={"place": "header", "name": "X-Key"}
    )
    in_query = factories.api(session, live=True, cors={"origins": origins}, key={"place": "query", "name": "api_key"})
    silent = factories.api(session, live=True)

    found = served(engine, session)

    usual = ("Content-Type", "Authorization")
    assert found[by_header.id].cors == Cors(
        ("https://a.example",), METHODS, ("X-Key", *usual, "X-Trace"), EXPOSED_HEADERS, False, 600
    )
    assert found[in_query.id].cors == Cors(("https://a.example",), METHODS, usual, EXPOSED_HEADERS)
    assert found[silent.id].cors is None


def test_address_lists(engine: Engine, session: Session) -> None:
    closed = factories.api(session, live=True, addresses={"allow": ["10.0.0.0/8"], "deny": ["10.0.0.7"]})
    opened = factories.api(session, live=True)

    found = served(engine, session)

    assert found[closed.id].addresses == AddressLists(("10.0.0.0/8",), ("10.0.0.7/32",))
    assert found[opened.id].addresses is None

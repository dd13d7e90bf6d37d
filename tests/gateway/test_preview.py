"""What a publish would change for Envoy."""

from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.orm import Session

from portal import registry
from portal.gateway.ir import Place
from portal.gateway.preview import Preview, preview
from portal.registry.models import Api
from portal.vault import Vault
from tests import factories

PLACE = Place(Path("/gateway"), portal="https://portal.example")


def look(session: Session, api: Api, values: dict[str, Any]) -> Preview:
    live = api.live_release
    before = (live.document, live.number) if live is not None else None
    return preview(session.connection(), PLACE, api.id, before, values)


def changed(api: Api, **values: Any) -> dict[str, Any]:
    return registry.read_document(api.draft | values).as_json()


def test_a_first_release_is_all_new(session: Session) -> None:
    api = factories.api(session, path="/orders/v1")

    found = look(session, api, api.draft)

    assert found.problems == ()
    assert any('"prefix": "/orders/v1"' in line for line in found.difference)
    assert {line[0] for line in found.difference} <= {"+", "@"}


def test_only_what_changes_is_shown(session: Session) -> None:
    factories.api(session, live=True, path="/noise")
    api = factories.api(session, live=True, path="/orders/v1")

    found = look(session, api, changed(api, path="/orders/v2"))

    text = "\n".join(found.difference)
    assert "/orders/v2" in text
    assert "/noise" not in text
    assert any(line.startswith("-") and "/orders/v1" in line for line in found.difference)


def test_words_change_nothing_but_the_number(session: Session) -> None:
    api = factories.api(session, live=True)

    found = look(session, api, changed(api, description="New words."))

    moved = [line for line in found.difference if line[0] in "+-"]
    assert [line[0] for line in moved] == ["-", "+"]
    assert f"{api.id}|1|h" in moved[0]
    assert f"{api.id}|2|h" in moved[1]


def test_secrets_are_masked(session: Session) -> None:
    team = factories.team(session)
    factories.upstream_secret(session, team=team, vault=Vault(["v" * 40]), name="token", texts={"value": "hush"})
    credential = {"kind": "header", "secret": "token", "header": "X-Token"}
    upstream = {"targets": [{"url": "http://orders.example"}], "credential": credential}
    api = factories.api(session, team=team)

    found = look(session, api, changed(api, upstream=upstream))

    assert any("x-token" in line.lower() for line in found.difference)
    assert not any("hush" in line for line in found.difference)
    assert found.problems == ()


def test_a_secret_that_there_is_not_is_a_problem(session: Session) -> None:
    credential = {"kind": "header", "secret": "token", "header": "X-Token"}
    api = factories.api(session, upstream={"targets": [{"url": "http://orders.example"}], "credential": credential})

    (problem,) = look(session, api, api.draft).problems

    assert "token" in problem


@pytest.mark.parametrize("values", [{"schema_version": 0}, {}])
def test_what_cannot_be_read_is_a_problem(session: Session, values: dict[str, Any]) -> None:
    api = factories.api(session, live=True)

    assert "cannot be read by this version" in look(session, api, values).problems[0]


def test_a_long_difference_is_cut(session: Session) -> None:
    api = factories.api(session, live=True)
    wanted = changed(api, path="/elsewhere", body_limit_bytes=5)
    whole = look(session, api, wanted)

    live = api.live_release
    found = preview(session.connection(), PLACE, api.id, (live.document, live.number), wanted, most=3)

    assert found.difference == whole.difference[:3]
    assert found.cut == len(whole.difference) - 3


def test_a_long_line_is_cut(session: Session) -> None:
    api = factories.api(session, live=True)
    upstream = {"targets": [{"url": "https://orders.example"}], "ca_pem": "certificate " * 5_000}

    found = look(session, api, changed(api, upstream=upstream))

    assert max(map(len, found.difference)) == 501

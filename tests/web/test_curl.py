"""Ready commands, run by a real shell."""

import subprocess

import pytest

from portal.web import curl
from tests import factories


def words(command: str, key: str = "the-key") -> list[str]:
    """What curl would get."""
    script = f"curl() {{ printf '%s\\n' \"$@\"; }}\n{command}"
    done = subprocess.run(["sh", "-c", script], env={"PORTICO_KEY": key}, capture_output=True, text=True, check=True)
    assert done.stderr == ""
    return done.stdout.splitlines()


@pytest.mark.parametrize(
    ("place", "expected"),
    [
        ({}, ["http://gw.example:8080/orders", "-H", "X-API-Key: the-key"]),
        ({"place": "bearer"}, ["http://gw.example:8080/orders", "-H", "Authorization: Bearer the-key"]),
        ({"place": "query", "name": "key"}, ["http://gw.example:8080/orders?key=the-key"]),
        ({"name": "x`id`$PORTICO_KEY'"}, ["http://gw.example:8080/orders", "-H", "x`id`$PORTICO_KEY': the-key"]),
    ],
)
def test_a_shell_sends_the_key_where_the_api_wants_it(place, expected):
    document = factories.document(path="/orders", key=place)

    (command,) = curl.commands(document, "http://gw.example:8080")

    assert words(command) == expected
    assert "the-key" not in command


def test_a_key_that_is_given_stands_in_the_command():
    (command,) = curl.commands(factories.document(path="/orders"), "http://gw.example", "pco_x")

    assert words(command, key="another")[2] == "X-API-Key: pco_x"


@pytest.mark.parametrize(
    ("authentication", "key", "expected"),
    [
        ({"public": {"plan": "free"}}, "$PORTICO_KEY", []),
        ({"key": False, "basic": True}, "$PORTICO_KEY", ["-u", "the-key"]),
        ({"basic": True}, "$PORTICO_KEY", ["-H", "X-API-Key: the-key"]),
        ({"basic": True}, "pcb_x:y", ["-u", "pcb_x:y"]),
    ],
)
def test_other_ways_have_their_own_commands(authentication, key, expected):
    document = factories.document(path="/orders", authentication=authentication)

    (command,) = curl.commands(document, "http://gw.example", key)

    assert words(command) == ["http://gw.example/orders", *expected]


def test_each_address_has_a_command():
    document = factories.document(path="/orders", host="orders.localhost")

    assert curl.addresses(document, "http://localhost:8080") == [
        "http://localhost:8080/orders",
        "http://orders.localhost:8080/",
    ]
    assert len(curl.commands(document, "http://localhost:8080")) == 2
    only_host = factories.document(path=None, host="orders.example.com")
    assert curl.addresses(only_host, "https://gw.example") == ["https://orders.example.com/"]

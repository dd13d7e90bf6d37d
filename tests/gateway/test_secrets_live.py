"""Upstream secrets from the row to the target, through a node with a real Envoy; and where they must not be found."""

import base64
import http.client
import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from sqlalchemy import Engine, select
from sqlalchemy.orm import Session

from portal import registry, vault
from portal.config import Config
from portal.gateway.node import Node
from portal.registry.models import SecretKind, UpstreamSecret
from portal.registry.secrets import open_secret
from portal.vault import Vault
from tests import factories
from tests.gateway.envoy import AUTHORITY, Upstream, serving, wait_for
from tests.nodes import StartNode

pytestmark = pytest.mark.envoy

KEPT = ("rds/rds.json", "cds/cds.json", "good/apis.json", "good/rds.json", "good/cds.json")
"""The only files that may hold secrets."""
PASSWORD, TOKEN = "Qm8-hush-basic-Zx3", "Kp4-hush-header-Wv7"
BASIC = base64.b64encode(f"portico:{PASSWORD}".encode()).decode()


@pytest.fixture
def config(node_config: Config) -> Config:
    return node_config


@pytest.fixture
def node(start_node: StartNode) -> Node:
    return start_node()


@pytest.fixture
def upstream() -> Iterator[Upstream]:
    with serving() as server:
        yield server


class Shop:
    """A team with an API for each credential, and a key that may call all of them."""

    def __init__(self, session: Session, config: Config) -> None:
        self.session, self.port = session, config.gateway_port
        self.vault = Vault.of(config)
        self.team = factories.team(session, slug="shop")
        # Waiting is done by calling.
        self.plan = factories.plan(session, team=self.team, per_second=None, per_minute=None)
        self.consumer = factories.consumer(session)
        self.key = factories.key(session, self.consumer)[1].value

    def offer(self, path: str, upstream: Upstream, **credential: Any) -> None:
        scheme = "https" if credential["kind"] == "client_certificate" else "http"
        wanted = {
            "targets": [{"url": f"{scheme}://127.0.0.1:{upstream.port}"}],
            "credential": credential,
            "ca_pem": AUTHORITY.cert_pem.bytes().decode(),
        }
        slug = path.strip("/")
        api = factories.api(self.session, team=self.team, slug=slug, path=path, upstream=wanted, live=True)
        factories.subscription(self.session, self.consumer, api, self.plan)

    def call(self, path: str, **headers: str) -> tuple[int, dict[str, str]]:
        """Status, and the headers that reached the target."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            connection.request("GET", path, headers={"X-API-Key": self.key} | headers)
            answer = connection.getresponse()
            body = answer.read()
            sent = json.loads(body).get("headers", []) if answer.status == 200 else []
            return answer.status, {name.lower(): value for name, value in sent}
        except OSError:
            return 0, {}
        finally:
            connection.close()


def files_with(config: Config, *texts: str) -> set[str]:
    """Files of the data folder that hold one of these texts, by their names inside it."""
    found = set()
    for path in config.data_dir.rglob("*"):
        if path.is_file() and not path.is_socket():
            content = path.read_bytes()
            if any(text.encode() in content for text in texts):
                found.add(str(path.relative_to(config.data_dir)))
    return found


def test_targets_get_them_and_only_files_of_the_gateway_hold_them(
    node: Node, config: Config, writing: Callable[[], Session], upstream: Upstream, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    ours = AUTHORITY.issue_cert("portico.internal")
    pair = {
        "chain_pem": ours.cert_chain_pems[0].bytes().decode(),
        "key_pem": ours.private_key_pem.bytes().decode(),
    }
    with writing() as session, serving(tls=True, asks=True) as asking:
        shop = Shop(session, config)
        store = {"team": shop.team, "vault": shop.vault}
        factories.upstream_secret(session, **store, name="token", texts={"value": TOKEN})
        factories.upstream_secret(
            session, **store, name="pair", kind=SecretKind.BASIC, texts={"user": "portico", "password": PASSWORD}
        )
        kept = factories.upstream_secret(session, **store, name="ours", kind=SecretKind.CLIENT_CERTIFICATE, texts=pair)
        key_lines = [
            line for line in open_secret(kept.sealed, shop.vault)["key_pem"].splitlines() if "-----" not in line
        ]
        shop.offer("/token", upstream, kind="header", secret="token", header="X-Api-Token")
        shop.offer("/basic", upstream, kind="basic", secret="pair")
        shop.offer("/certificate", asking, kind="client_certificate", secret="ours")
        session.commit()

        wait_for(lambda: shop.call("/token")[1].get("x-api-token") == TOKEN, "the header arrives")
        assert shop.call("/basic", Authorization="Basic dGhlaXJz")[1]["authorization"] == f"Basic {BASIC}"
        assert shop.call("/certificate")[0] == 200
        reached = len(upstream.calls)
        shop.key = "pco_no"
        assert {shop.call(path)[0] for path in ("/token", "/basic", "/certificate")} == {401}
        assert len(upstream.calls) == reached
    node.stop()

    texts = (TOKEN, PASSWORD, BASIC, *key_lines)
    found = files_with(config, *texts)
    assert {"gateway/rds/rds.json", "gateway/cds/cds.json"} <= found
    for name in found:
        assert name in {f"gateway/{kept}" for kept in KEPT}, name
        assert (config.data_dir / name).stat().st_mode & 0o777 == 0o600, name
    assert config.gateway_dir.stat().st_mode & 0o777 == 0o700
    assert not any(text in caplog.text for text in texts)


def test_replacing_and_losing_one_is_noticed_at_once(
    node: Node, config: Config, engine: Engine, writing: Callable[[], Session], upstream: Upstream
) -> None:
    with writing() as session:
        shop = Shop(session, config)
        secret = factories.upstream_secret(session, team=shop.team, vault=shop.vault, name="token")
        shop.offer("/token", upstream, kind="header", secret="token", header="X-Api-Token")
        session.commit()
    wait_for(lambda: shop.call("/token")[1].get("x-api-token") == "hush", "the header arrives")

    # A key that is newer than the node, as after `flask secrets rotate`.
    vault.make_newest(config.data_dir)
    with writing() as session:
        secret = session.scalars(select(UpstreamSecret)).one()
        registry.replace_secret(session, secret, texts={"value": TOKEN}, vault=Vault.of(config), by=None)
        session.commit()
    wait_for(lambda: shop.call("/token")[1].get("x-api-token") == TOKEN, "the new value arrives")
    wait_for(lambda: not files_with(config, '"hush"'), "the former value is gone from the disk")
    assert files_with(config, TOKEN) == {"gateway/rds/rds.json", "gateway/good/rds.json", "gateway/good/apis.json"}

    with writing() as session:
        # Past the verb, which refuses: as after a restored backup.
        session.delete(session.scalars(select(UpstreamSecret)).one())
        registry.revision.touch(session)
        session.commit()
    wait_for(lambda: shop.call("/token")[0] == 503, "the API answers 503")
    reached = len(upstream.calls)
    assert shop.call("/token")[0] == 503
    assert len(upstream.calls) == reached
    wait_for(lambda: any("has no secret token" in each.sentence for each in node._problems()), "the node says so")
    assert files_with(config, TOKEN) == set()


def test_one_that_no_key_opens_is_told_and_not_left_out(
    node: Node, config: Config, writing: Callable[[], Session], upstream: Upstream
) -> None:
    with writing() as session:
        shop = Shop(session, config)
        factories.upstream_secret(session, team=shop.team, vault=Vault(["l" * 40]), name="token")
        shop.offer("/token", upstream, kind="header", secret="token", header="X-Api-Token")
        session.commit()

    wait_for(lambda: shop.call("/token")[0] == 503, "the API answers 503")
    assert upstream.calls == []
    (problem,) = wait_for(node._problems, "the node says so")
    assert problem.api == "shop/token/v1"
    assert "cannot be read with this node's encryption keys" in problem.sentence

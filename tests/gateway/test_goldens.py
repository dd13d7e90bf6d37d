"""Snapshots and what becomes of them, readable: `<a sentence>.in.json` and `.out.json` in goldens/.

`pytest tests/gateway/test_goldens.py --update-goldens` writes the outs anew; read the difference before you keep it.
"""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson
import pytest

from portal.gateway import compile as compiler
from portal.gateway.check import problems
from portal.gateway.ir import (
    AddressLists,
    Api,
    ClientCertificate,
    Consumer,
    Cors,
    Credential,
    Jwt,
    OperationLimit,
    Place,
    Plan,
    Snapshot,
    Subscription,
    Target,
    Upstream,
)
from tests.gateway.envoy import AUTHORITY, validate

GOLDENS = Path(__file__).with_name("goldens")
CASES = sorted(GOLDENS.glob("*.in.json"))
PLACE = Place(Path("/gateway"), ca_bundle=Path("/etc/ssl/certs/ca-certificates.crt"))


def place_of(case: dict[str, Any]) -> Place:
    return Place(PLACE.directory, ca_bundle=PLACE.ca_bundle, **case.get("place", {}))


def snapshot_of(case: dict[str, Any]) -> Snapshot:
    apis = tuple(api_of(fields) for fields in case.get("apis", ()))
    return Snapshot(
        1,
        apis,
        tuple(Plan(**fields) for fields in case.get("plans", ())),
        [Consumer(**fields) for fields in case.get("consumers", ())],
        [Subscription(**fields) for fields in case.get("subscriptions", ())],
        operation_limits=tuple(OperationLimit(**fields) for fields in case.get("operation_limits", ())),
    )


def api_of(fields: dict[str, Any]) -> Api:
    credential = fields.get("credential")
    made: dict[str, Any] = {
        "upstream": upstream_of(fields["upstream"]),
        "credential": Credential(*credential) if credential else None,
        "cors": Cors(**_frozen(fields["cors"])) if "cors" in fields else None,
        "addresses": AddressLists(**_frozen(fields["addresses"])) if "addresses" in fields else None,
        "jwt": Jwt(**fields["jwt"]) if "jwt" in fields else None,
    }
    return Api(**{**fields, **made})


def _frozen(fields: dict[str, Any]) -> dict[str, Any]:
    return {name: tuple(value) if isinstance(value, list) else value for name, value in fields.items()}


def upstream_of(fields: dict[str, Any]) -> Upstream:
    certificate = fields.get("client_certificate")
    made = {
        "targets": tuple(Target(*target) for target in fields["targets"]),
        "client_certificate": ClientCertificate(*certificate) if certificate else None,
    }
    return Upstream(**{**fields, **made})


def with_real_certificates(snapshot: Snapshot) -> Snapshot:
    """Goldens hold words where a key would stand."""
    ours = AUTHORITY.issue_cert("portico.internal")
    chain, key = (blob.bytes().decode() for blob in (ours.cert_chain_pems[0], ours.private_key_pem))
    apis = tuple(
        replace(api, upstream=replace(api.upstream, client_certificate=replace(shown, chain_pem=chain, key_pem=key)))
        if (shown := api.upstream.client_certificate)
        else api
        for api in snapshot.apis
    )
    return replace(snapshot, apis=apis)


def compiled(case: dict[str, Any]) -> dict[str, Any]:
    """What Envoy gets, without the parts that are the same for every snapshot unless the case asks for them."""
    files = compiler.compile_files(snapshot_of(case), place_of(case), case.get("addresses", {}))
    shown = case.get("show", ["rds", "cds", "limits"])
    return {name: orjson.loads(content)["resources"] for name, content in files.items() if name.split("/")[0] in shown}


@pytest.mark.parametrize("source", CASES, ids=lambda path: path.name.removesuffix(".in.json"))
def test_golden(source: Path, request: pytest.FixtureRequest) -> None:
    got = json.dumps(compiled(json.loads(source.read_text())), indent=1, sort_keys=True) + "\n"

    golden = source.with_name(source.name.replace(".in.", ".out."))
    if request.config.getoption("--update-goldens"):
        golden.write_text(got)
    assert got == golden.read_text()


def test_no_golden_is_orphaned() -> None:
    outs = {path.name.removesuffix(".out.json") for path in GOLDENS.glob("*.out.json")}

    assert outs == {path.name.removesuffix(".in.json") for path in CASES}


@pytest.mark.envoy
@pytest.mark.parametrize("source", CASES, ids=lambda path: path.name.removesuffix(".in.json"))
def test_envoy_takes_it(source: Path, tmp_path: Path) -> None:
    case = json.loads(source.read_text())
    assert problems(snapshot_of(case)) == []
    authorities = tmp_path / "authorities.pem"
    AUTHORITY.cert_pem.write_to_path(authorities)
    place = replace(place_of(case), directory=tmp_path, ca_bundle=authorities)
    (tmp_path / "log").mkdir()

    snapshot = with_real_certificates(snapshot_of(case))
    assert validate(compiler.static_twin(snapshot, place, case.get("addresses", {})), tmp_path) == ""


@pytest.mark.envoy
def test_envoy_says_what_it_does_not_take(tmp_path: Path) -> None:
    (tmp_path / "log").mkdir()
    upstream = Upstream((Target("a", 80),))
    apis = tuple(Api(n, 1, f"shop/api-{n}/v1", upstream, host="orders.localhost") for n in (1, 2))

    complaint = validate(compiler.static_twin(Snapshot(1, apis), Place(tmp_path), {"a": ["127.0.0.1"]}), tmp_path)

    assert "orders.localhost" in complaint

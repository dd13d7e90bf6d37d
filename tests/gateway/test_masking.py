from dataclasses import replace
from pathlib import Path

import pytest

from portal.gateway import compile as compiler
from portal.gateway import verdict
from portal.gateway.ir import ClientCertificate, Credential, Place, Snapshot, Target, Upstream
from portal.gateway.masking import scrub, stretches, told
from portal.gateway.supervisor import Envoy
from tests.gateway.envoy import AUTHORITY
from tests.gateway.running import api

WITH_TOKEN = api(1, credential=Credential("x-token", 'hush-hush "quoted" 50%'))
OURS = AUTHORITY.issue_cert("portico.internal")
WITH_CERTIFICATE = api(
    2,
    upstream=Upstream(
        (Target("192.0.2.1", 443),),
        tls=True,
        ca_pem=AUTHORITY.cert_pem.bytes().decode(),
        client_certificate=ClientCertificate(
            "1", OURS.cert_chain_pems[0].bytes().decode(), OURS.private_key_pem.bytes().decode()
        ),
    ),
)
KEY_LINES = [line for line in OURS.private_key_pem.bytes().decode().splitlines() if "-----" not in line]


def test_every_way_to_quote_is_masked():
    hidden = stretches([WITH_TOKEN])

    for quoted in (
        'value: "hush-hush \\"quoted\\" 50%%"',
        '{"value":"hush-hush \\"quoted\\" 50%%"}',
        'hush-hush "quoted" 50%',
    ):
        assert not {"hush", "quoted"} & set(told(quoted, hidden).replace('"', " ").replace("-", " ").split())


def test_is_masked_before_it_is_shortened():
    text = "x" * 495 + "hush-hush"

    assert told(text, stretches([WITH_TOKEN])) == "x" * 495 + "…"


def test_what_has_no_secret_is_left_as_it_is():
    assert stretches([api(3)]) == []
    assert told("Envoy has something against it", stretches([WITH_TOKEN])) == "Envoy has something against it"


def test_a_snapshot_does_not_show_secrets_by_itself():
    shown = repr(Snapshot(1, (WITH_TOKEN, WITH_CERTIFICATE)))

    assert "hush" not in shown
    assert KEY_LINES[0] not in shown


def test_output_is_written_over_in_place(tmp_path):
    output = tmp_path / "envoy.out"
    output.write_text("before hush-hush and hush-hush\nafter\n")
    with output.open("ab") as envoys:
        scrub(output, ["hush-hush"])
        envoys.write(b"and on\n")

    assert output.read_text() == "before ********* and *********\nafter\nand on\n"
    scrub(tmp_path / "missing.out", ["hush-hush"])


@pytest.mark.envoy
@pytest.mark.parametrize(
    ("wrong", "secret"),
    [
        (replace(WITH_TOKEN, credential=Credential("x-token", "hush-hush\nnext")), ["hush-hush", "next"]),
        (replace(WITH_CERTIFICATE, upstream=replace(WITH_CERTIFICATE.upstream, connect_timeout_ms=0)), KEY_LINES),
    ],
    ids=["header", "key"],
)
def test_envoy_quotes_secrets_and_people_are_not_told(wrong, secret, tmp_path: Path):
    (tmp_path / "log").mkdir()
    twin = compiler.static_twin(Snapshot(1, (wrong,)), Place(tmp_path), {"192.0.2.1": ["192.0.2.1"]})

    complaint = verdict.validate(Envoy(Place(tmp_path))._binary, twin, tmp_path)

    assert complaint is not None
    assert any(part in complaint for part in secret), "Envoy has become discreet: masking may go"
    hidden = stretches([wrong])
    whole = complaint
    for start in range(0, len(whole), 400):
        assert not [part for part in secret if part in told(whole[start:], hidden)]
    assert list(tmp_path.glob("twin*")) == []

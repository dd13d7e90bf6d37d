"""Signatures of webhooks: as the specification has them, and as the README tells receivers to check them."""

import re
import time
from pathlib import Path
from typing import Any

import pytest

from portal.notify.signing import SigningSecret, headers, new_secret

README = (Path(__file__).parent.parent.parent / "README.md").read_text()
BODY = b'{"type": "key.expiring"}'


@pytest.fixture(scope="module")
def example() -> dict[str, Any]:
    """The receiver that the README shows, run as it stands there."""
    (code,) = re.findall(
        r"```python\n(.*?)```", README.split("## Notices and webhooks")[1].split("\n## ")[0], re.DOTALL
    )
    found: dict[str, Any] = {}
    exec(compile(code, "README.md", "exec"), found)
    return found


def test_the_example_of_the_specification_is_signed_as_it_says():
    # https://github.com/standard-webhooks/standard-webhooks, in the tests of its libraries
    secret = SigningSecret("whsec_MfKQ9r8GKYqr" + "TwjUPD8ILPZIo2LaLaSw")

    message = "msg_p5jXN8AQM9LW" + "M0D4loKWxJek"
    made = headers([secret], message, 1614265330, b'{"test": 2432232314}')

    assert (made["webhook-id"], made["webhook-timestamp"]) == (message, "1614265330")
    assert made["webhook-signature"].startswith("v1,g0hM9SsE+OTPJTGt/")
    assert made["webhook-signature"].endswith("/tmIKtSyZlE3uFJELVlNIOLJ1OE=")


def test_the_receiver_of_the_readme_takes_what_is_genuine(example):
    secret = new_secret()

    example["verify"](secret.value, headers([secret], "msg_1", int(time.time()), BODY), BODY)


def test_it_takes_either_secret_during_a_change(example):
    new, old = new_secret(), new_secret()
    sent = headers([new, old], "msg_1", int(time.time()), BODY)

    example["verify"](new.value, sent, BODY)
    example["verify"](old.value, sent, BODY)


@pytest.mark.parametrize(
    "change",
    [
        lambda sent: sent | {"webhook-id": "msg_2"},
        lambda sent: sent | {"webhook-timestamp": str(int(sent["webhook-timestamp"]) - 1)},
        lambda sent: sent | {"webhook-signature": "v1,AAAA"},
        lambda sent: sent | {"webhook-signature": ""},
    ],
)
def test_it_refuses_what_was_changed(example, change):
    secret = new_secret()
    sent = change(dict(headers([secret], "msg_1", int(time.time()), BODY)))

    with pytest.raises(example["NotGenuine"]):
        example["verify"](secret.value, sent, BODY)


def test_it_refuses_what_is_too_old(example):
    secret = new_secret()

    with pytest.raises(example["NotGenuine"], match="too old"):
        example["verify"](secret.value, headers([secret], "msg_1", int(time.time()) - 3600, BODY), BODY)


def test_it_refuses_another_body(example):
    secret = new_secret()

    with pytest.raises(example["NotGenuine"]):
        example["verify"](secret.value, headers([secret], "msg_1", int(time.time()), BODY), BODY + b" ")


def test_a_secret_hides_itself():
    secret = new_secret()

    assert secret.value not in f"{secret} {secret!r}"
    assert len(secret.key) == 32

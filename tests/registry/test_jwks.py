"""Key sets of issuers: what is taken, what is left out, what is refused as a whole."""

import json

import pytest

from portal.registry.jwks import MOST_BYTES, MOST_KEYS, NoKeySet, read_jwks
from tests import tokens

RSA, EC, ED = tokens.rsa_signer(), tokens.ec_signer(), tokens.ed_signer()


def refusal(text: str | bytes) -> str:
    with pytest.raises(NoKeySet) as refused:
        read_jwks(text)
    return str(refused.value)


def of(**key: object) -> str:
    return json.dumps({"keys": [key]})


def test_keys_are_told_by_id_and_algorithm():
    found = read_jwks(tokens.jwks(RSA, EC, ED))

    assert {(key.kid, key.algorithm) for key in found.keys} == {
        ("rsa-1", "RS256"),
        ("ec-1", "ES256"),
        ("ed-1", "EdDSA"),
    }
    assert found.left_out == ()


def test_nothing_but_what_verifies_is_written():
    strange = RSA.jwk | {"x5c": ["MII"], "x5t": "a", "issuer": "x", "name": "Ada"}

    (key,) = json.loads(read_jwks(json.dumps({"keys": [strange], "more": 1})).text)["keys"]

    assert key == {name: RSA.jwk[name] for name in ("kty", "kid", "alg", "n", "e")}


def test_order_and_doubles_say_nothing():
    assert read_jwks(tokens.jwks(RSA, EC)).text == read_jwks(tokens.jwks(EC, RSA, EC)).text


def test_what_was_written_reads_the_same():
    text = read_jwks(tokens.jwks(RSA, EC, ED)).text

    assert read_jwks(text).text == text


def test_a_key_may_have_neither_id_nor_algorithm():
    plain = {name: value for name, value in RSA.jwk.items() if name in {"kty", "n", "e"}}

    (key,) = read_jwks(json.dumps({"keys": [plain]})).keys

    assert (key.kid, key.algorithm) == ("", "RS256 and others")


@pytest.mark.parametrize(
    ("more", "why"),
    [
        (RSA.jwk | {"kid": "enc", "use": "enc"}, "Key 2 (enc) is not for signatures."),
        (RSA.jwk | {"kid": "wrap", "key_ops": ["wrapKey"]}, "Key 2 (wrap) is not for verifying."),
        (RSA.jwk | {"kid": "oaep", "alg": "RSA-OAEP"}, "Key 2 (oaep) is for RSA-OAEP"),
        ({"kty": "AKP", "kid": "new"}, "is of the kind 'AKP'"),
        (EC.jwk | {"kid": "k1", "crv": "secp256k1"}, "lies on the curve 'secp256k1'"),
        (EC.jwk | {"kid": "off", "y": EC.jwk["x"]}, "is no point of the curve P-256"),
        (EC.jwk | {"kid": "other", "alg": "ES512"}, "its curve is that of ES256"),
        (ED.jwk | {"kid": "x", "crv": "X25519"}, "it knows Ed25519"),
        (RSA.jwk | {"kid": "small", "n": tokens.b64((2**1023 + 1).to_bytes(128))}, "has 1024 bits"),
        (RSA.jwk | {"kid": "one", "e": "AQ"}, "numbers that no RSA key has"),
        (RSA.jwk | {"kid": "odd", "n": "??"}, "is not base64url"),
        (RSA.jwk | {"kid": "none", "n": None}, "lacks “n”"),
        (RSA.jwk | {"kid": 7}, "Key 2 has an id"),
    ],
)
def test_keys_of_no_use_are_left_out_and_named(more, why):
    found = read_jwks(tokens.jwks(EC, more=[more]))

    assert [key.kid for key in found.keys] == ["ec-1"]
    assert why in found.left_out[0]


@pytest.mark.parametrize(
    ("more", "why"),
    [
        ({"kty": "oct", "k": "c2VjcmV0", "kid": "shared"}, "Key 2 (shared) is a symmetric key"),
        (RSA.jwk | {"alg": "HS256"}, "is a symmetric key"),
        ({"kty": "RSA", "k": "x"}, "is a symmetric key"),
        (RSA.jwk | {"alg": "none"}, "has the algorithm “none”"),
        (RSA.jwk | {"d": "AQAB"}, "holds its private part"),
        (EC.jwk | {"d": "AQAB"}, "holds its private part"),
        ("text", "is no JSON object"),
    ],
)
def test_one_key_that_others_could_sign_with_spoils_the_set(more, why):
    assert why in refusal(tokens.jwks(EC, more=[more]))


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "This is not JSON"),
        (b"\xff\xfe", "This is not JSON"),
        ("-----BEGIN PUBLIC KEY-----", "This is not JSON"),
        ("[]", "no list “keys”"),
        ('{"kty": "RSA"}', "no list “keys”"),
        ('{"keys": {}}', "no list “keys”"),
        ('{"keys": []}', "it has no key for signatures"),
        (of(kty="RSA", use="enc", n="AQ", e="AQAB"), "Key 1 is not for signatures."),
        ("[" * 100_000, "may have 65,536 bytes"),
        ("[" * 60_000, "This is not JSON"),
        (json.dumps({"keys": [RSA.jwk] * (MOST_KEYS + 1)})[:MOST_BYTES], "may have 50 keys"),
    ],
)
def test_what_is_no_set_is_refused_in_a_sentence(text, why):
    if "50 keys" in why:
        text = json.dumps({"keys": [{"kty": "RSA"}] * (MOST_KEYS + 1)})

    assert why in refusal(text)

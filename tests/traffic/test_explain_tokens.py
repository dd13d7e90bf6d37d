"""Why calls with a token were refused, in sentences with what the API asks for."""

from dataclasses import replace

from portal.traffic.explain import Known, explain
from tests.traffic.test_explain import view

__all__ = ["view"]

KNOWN = Known(
    api="Orders v1",
    issuer="https://login.example/",
    audiences=("https://orders.example",),
    claim="azp",
    keys_problem="https://login.example/jwks does not answer.",
)


def test_what_the_api_asks_of_tokens_is_named(view):
    said = explain(replace(view, reason="token_invalid", status=401), KNOWN)

    assert "The API takes tokens of https://login.example/ for https://orders.example." in said
    assert "iss, aud and alg" in said


def test_the_claim_is_named_and_never_its_value(view):
    said = explain(replace(view, reason="token_unknown", status=403), KNOWN)

    assert "the claim azp" in said
    assert "Give a subscription that subject" in said


def test_a_late_one_is_told_how_much_clocks_may_differ(view):
    assert "60 seconds" in explain(replace(view, reason="token_expired", status=401), KNOWN)


def test_why_there_are_no_keys_is_told(view):
    assert "does not answer." in explain(replace(view, reason="token_keys_missing", status=503), KNOWN)

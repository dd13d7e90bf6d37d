from typing import Any

import pytest

from portal.openapi import KeyScheme
from tests.openapi.given import described, document, sentences

HEADER = {"type": "apiKey", "in": "header", "name": "X-Pets-Key"}
QUERY = {"type": "apiKey", "in": "query", "name": "api_key"}
BEARER = {"type": "http", "scheme": "Bearer"}
OAUTH = {"type": "oauth2", "flows": {"implicit": {"authorizationUrl": "https://id.example.com", "scopes": {}}}}


def key(schemes: Any, *security: Any) -> KeyScheme | None:
    return described(document(components={"securitySchemes": schemes}, security=list(security))).key


class TestKeyOf:
    @pytest.mark.parametrize(
        ("scheme", "expected"),
        [
            (HEADER, KeyScheme("header", "X-Pets-Key")),
            (QUERY, KeyScheme("query", "api_key")),
            (BEARER, KeyScheme("bearer", "Authorization")),
            (HEADER | {"name": "Authorization"}, KeyScheme("header", "Authorization")),
            (HEADER | {"name": "not a name"}, None),
            (QUERY | {"name": ""}, None),
            (HEADER | {"in": "cookie"}, None),
            ({"type": "http", "scheme": "basic"}, KeyScheme("basic", "Authorization")),
            ({"type": "mutualTLS"}, None),
            ({"type": "openIdConnect", "openIdConnectUrl": "https://id.example.com"}, None),
            (OAUTH, None),
            ({}, None),
            (None, None),
        ],
    )
    def test_each_scheme(self, scheme: Any, expected: KeyScheme | None) -> None:
        assert key({"pets": scheme}) == expected

    def test_no_scheme_is_no_key(self) -> None:
        assert described(document()).key is None
        assert described(document(components={"securitySchemes": {"o": OAUTH}}, security=[{}])).key is None

    @pytest.mark.parametrize("security", [[], [{}]])
    def test_a_document_may_say_that_nothing_is_asked_for(self, security) -> None:
        assert described(document(security=security)).key == KeyScheme("none", "")

    def test_a_key_is_preferred_to_user_name_and_password_unless_these_are_required(self) -> None:
        basic = {"type": "http", "scheme": "basic"}

        assert key({"b": basic, "h": HEADER}) == KeyScheme("header", "X-Pets-Key")
        assert key({"h": HEADER, "b": basic}, {"b": []}) == KeyScheme("basic", "Authorization")

    def test_the_first_that_can_be_used_is_taken(self) -> None:
        assert key({"o": OAUTH, "q": QUERY, "h": HEADER}) == KeyScheme("query", "api_key")

    def test_what_the_document_requires_comes_first(self) -> None:
        schemes = {"o": OAUTH, "q": QUERY, "h": HEADER}

        assert key(schemes, {"o": []}, {"h": []}) == KeyScheme("header", "X-Pets-Key")
        assert key(schemes, {"o": [], "missing": []}, {}, None) == KeyScheme("query", "api_key")

    def test_a_scheme_that_refers_to_another_is_followed(self) -> None:
        assert key({"a": {"$ref": "#/components/securitySchemes/h"}, "h": HEADER}) == KeyScheme("header", "X-Pets-Key")

    def test_the_warning_says_what_the_gateway_does_instead(self) -> None:
        said = sentences(described(document(components={"securitySchemes": {"login": OAUTH, "h": HEADER}})))

        assert said == {
            "/components/securitySchemes/login": "“login” asks for OAuth 2. Callers send a key in the header "
            "X-Pets-Key instead, until the API's document says, under how callers authenticate, which tokens (JWT) "
            "will do: issuer, audience and keys."
        }

    def test_what_the_gateway_never_checks_is_said_to_be_so(self) -> None:
        said = sentences(described(document(components={"securitySchemes": {"login": {"type": "mutualTLS"}}})))

        assert "a client certificate, which the gateway does not check" in said["/components/securitySchemes/login"]

    def test_a_bearer_token_in_the_form_of_a_jwt_is_a_key_and_may_become_a_token(self) -> None:
        schemes = {"t": BEARER | {"bearerFormat": "JWT"}}

        assert key(schemes) == KeyScheme("bearer", "Authorization")
        said = sentences(described(document(components={"securitySchemes": schemes})))
        assert said["/components/securitySchemes/t"].startswith("“t” asks for a token (JWT). Callers send a key as a")

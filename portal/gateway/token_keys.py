"""What APIs ask of tokens, as a node reads it: frozen in a release, but for the keys, which are fetched anew."""

from collections.abc import Sequence
from dataclasses import replace
from hashlib import sha256

from sqlalchemy import Connection, select

from portal.gateway import ir
from portal.gateway.check import Problem
from portal.registry.document import Document
from portal.registry.models import TokenKeys


def asked(document: Document) -> ir.Jwt | None:
    """Keys that were pasted stand in the release; the others are `given` later."""
    jwt = document.authentication.jwt
    if jwt is None:
        return None
    pasted = jwt.jwks or ""
    return ir.Jwt(
        issuer=jwt.issuer,
        audiences=jwt.audiences,
        claim=jwt.claim,
        source=jwt.jwks_url or sha256(pasted.encode()).hexdigest(),
        forward=jwt.forward,
        jwks=pasted,
    )


class Reader:
    """Remembers what it gave, so that an API that did not change is the same object again."""

    def __init__(self) -> None:
        self._before: dict[int, tuple[ir.Api, str, ir.Api]] = {}
        """By API: as its release has it, the keys of its tokens, and both together."""

    def given(self, connection: Connection, apis: Sequence[ir.Api | Problem]) -> list[ir.Api | Problem]:
        """The same APIs with the keys that were fetched last, where they name an address."""
        wanting = {api.id for api in apis if isinstance(api, ir.Api) and api.jwt is not None and not api.jwt.jwks}
        if not wanting:
            return list(apis)
        rows = connection.execute(select(TokenKeys.api_id, TokenKeys.url, TokenKeys.jwks))
        found = {(api_id, url): jwks for api_id, url, jwks in rows}
        before, self._before = self._before, {}
        given: list[ir.Api | Problem] = []
        for api in apis:
            if isinstance(api, Problem) or api.jwt is None or api.id not in wanting:
                given.append(api)
                continue
            jwks = found.get((api.id, api.jwt.source), "")
            known = before.get(api.id)
            if known is None or known[:2] != (api, jwks):
                known = api, jwks, replace(api, jwt=replace(api.jwt, jwks=jwks))
            self._before[api.id] = known
            given.append(known[2])
        return given

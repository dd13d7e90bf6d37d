"""The keys that an API's tokens (JWT) are verified with."""

from sqlalchemy.orm import Session

from portal import registry
from portal.accounts import Permission
from portal.accounts.tokens import Scope
from portal.errors import NotFound
from portal.registry.models import Api
from portal.rest.apis import ADDRESS
from portal.rest.route import tagged
from portal.rest.shapes import Instant, Told
from portal.web.guards import an_api

route = tagged("APIs")


class TokenKey(Told):
    kid: str
    """Empty for a key without an id."""
    algorithm: str


class TokenKeysAnswer(Told):
    issuer: str
    audiences: list[str]
    """One of which a token must name; none for any."""
    claim: str
    """The one that says who calls."""
    url: str | None
    """Null where the keys were pasted into the document."""
    keys: list[TokenKey]
    left_out: list[str]
    """Keys that the gateway cannot use, in sentences."""
    fetched_at: Instant | None
    tried_at: Instant | None
    """Null while the worker is asked to fetch them."""
    problem: str
    """Why the last attempt brought nothing; the keys of the last good one stay."""


@route("GET", f"{ADDRESS}/token-keys", Permission.SEE_APIS, an_api, scope=Scope.READ, answer=TokenKeysAnswer)
def show(session: Session, api: Api) -> TokenKeysAnswer:
    """What tokens are verified with: of the live release, or of the draft where that takes none. 404 for an API that
    takes no tokens."""
    state = registry.token_keys.state_of(session, api)
    if state is None:
        raise NotFound(f"{api.name} takes no tokens. Its document says how callers authenticate.")
    return TokenKeysAnswer(
        issuer=state.issuer,
        audiences=list(state.audiences),
        claim=state.claim,
        url=state.url or None,
        keys=[TokenKey(kid=key.kid, algorithm=key.algorithm) for key in state.keys],
        left_out=list(state.left_out),
        fetched_at=state.fetched_at,
        tried_at=state.tried_at,
        problem=state.problem,
    )


@route("POST", f"{ADDRESS}/token-keys/fetch", Permission.MANAGE_APIS, an_api, scope=Scope.APIS)
def fetch(session: Session, api: Api) -> None:
    """Have the worker fetch them now. It does so by itself every few minutes."""
    registry.token_keys.fetch_again(session, api)

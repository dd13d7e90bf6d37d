"""The keys that an API's tokens are verified with: a part of its page, and having them fetched. On its addresses."""

from flask import flash, redirect, render_template
from flask.typing import ResponseReturnValue

from portal import registry
from portal.accounts import Permission
from portal.db import db
from portal.errors import NotFound
from portal.registry.models import Api
from portal.web.apis import address, bp
from portal.web.guards import an_api, may, requires


@bp.get("/<team>/<slug>/<version>/token-keys")
@requires(Permission.SEE_APIS, an_api)
def token_keys(api: Api) -> ResponseReturnValue:
    tokens = registry.token_keys.state_of(db.session(), api)
    if tokens is None:
        raise NotFound(f"{api.name} takes no tokens. Its document says how callers authenticate.")
    return render_template(
        "apis/token_keys.html",
        api=api,
        tokens=tokens,
        may_manage=may(Permission.MANAGE_APIS, api.team),
        address=address,
    )


@bp.post("/<team>/<slug>/<version>/token-keys")
@requires(Permission.MANAGE_APIS, an_api)
def fetch_token_keys(api: Api) -> ResponseReturnValue:
    with db.begin() as session:
        is_asked = registry.token_keys.fetch_again(session, api)
    if is_asked:
        flash("The worker fetches the keys now. What comes of it shows below by itself.", "success")
    else:
        flash("No worker has run here yet, and it fetches the keys. Start it with `flask worker run`.", "danger")
    return redirect(address(api, "apis.token_keys"), 303)

"""What an API's targets ask for, opened: in the process of a node, and nowhere else. Pure.

Headers stand in the routes and client certificates in the clusters, as plain text in files that only the gateway's
user reads. Envoy could read them from files of their own (SDS), but opens an inotify instance for each, of which Linux
allows a user 128, and aborts at the next. (`clusters.py` says the same of EDS.)
"""

import base64
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from portal.gateway import ir
from portal.registry import document

MASK = "…"


@dataclass(frozen=True, slots=True)
class Secret:
    """A secret of the API's team. `texts` is None where none of this node's keys opens it."""

    kind: str
    edition: str
    texts: Mapping[str, str] | None = field(repr=False)


def given(api: ir.Api, credential: document.Credential, secret: Secret | None) -> ir.Api:
    """`api` with what its targets ask for; one that cannot be given it `lacks` it, and is answered with 503."""
    api = replace(api, secret=credential.secret)
    if secret is None or secret.kind != credential.kind:
        return replace(
            api,
            lacks=f"Its team has no secret {credential.secret} of the kind that the live release names. "
            "Calls are answered with 503. Store it, or publish a release that names another.",
        )
    if secret.texts is None:
        return replace(
            api,
            lacks=f"The secret {credential.secret} cannot be read with this node's encryption keys. Calls are answered "
            "with 503. Restore PORTAL_ENCRYPTION_KEYS, or replace the secret.",
        )
    match secret.kind:
        case "header":
            sent = ir.Credential(str(credential.header).lower(), secret.texts["value"])
        case "basic":
            pair = f"{secret.texts['user']}:{secret.texts['password']}".encode()
            sent = ir.Credential("authorization", f"Basic {base64.b64encode(pair).decode()}")
        case _:
            certificate = ir.ClientCertificate(secret.edition, secret.texts["chain_pem"], secret.texts["key_pem"])
            return replace(api, upstream=replace(api.upstream, client_certificate=certificate))
    return replace(api, credential=sent)


def veiled(api: ir.Api, credential: document.Credential, secret: Secret | None) -> ir.Api:
    """The same for people who look at what Envoy gets: everything but the secret itself."""
    if secret is None:
        return given(api, credential, None)
    return masked(given(api, credential, replace(secret, texts=dict.fromkeys(_ALL_TEXTS, MASK))))


def renewed(former: ir.Api, api: ir.Api) -> ir.Api:
    """A former release of `api`, with the value that its secret has now: that is live at once, whatever the release."""
    if former.secret is None or former.secret != api.secret:
        # What one of the two lacks must not be sent without.
        return replace(former, lacks=api.lacks or former.lacks)
    credential = certificate = None
    if former.credential is not None and api.credential is not None:
        credential = replace(former.credential, value=api.credential.value)
    if former.upstream.client_certificate is not None:
        certificate = api.upstream.client_certificate
    lacks = api.lacks or former.lacks or f"The secret {api.secret} has become one of another kind. Mend the release."
    return replace(
        former,
        credential=credential,
        upstream=replace(former.upstream, client_certificate=certificate),
        lacks=None if credential or certificate else lacks,
    )


def masked(api: ir.Api) -> ir.Api:
    """`api` without the secrets that `given` gave it: for people, and for what is kept."""
    credential, certificate = api.credential, api.upstream.client_certificate
    if credential is not None:
        api = replace(api, credential=replace(credential, value=MASK))
    if certificate is not None:
        certificate = replace(certificate, chain_pem=MASK, key_pem=MASK)
        api = replace(api, upstream=replace(api.upstream, client_certificate=certificate))
    return api


_ALL_TEXTS = ("value", "user", "password", "chain_pem", "key_pem")

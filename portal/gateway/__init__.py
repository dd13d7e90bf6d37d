"""The promise, kept: what is published, compiled for Envoy and running. These are the verbs that other rooms may use.

Nothing here starts or needs an Envoy; `node.run` does.
"""

from urllib.parse import urlsplit

from portal.errors import AddressRefused
from portal.gateway.compile import compile_bootstrap, compile_files
from portal.gateway.ir import Place, Snapshot
from portal.gateway.place import place_of, rules_of
from portal.gateway.preview import Preview, preview
from portal.gateway.read import read_snapshot
from portal.gateway.roster import Coverage, NodeProblem, NodeView, coverage, nodes
from portal.outbound import addresses
from portal.outbound.addresses import AddressRules, Lookup, NotResolved

__all__ = [
    "Coverage",
    "NodeProblem",
    "NodeView",
    "Preview",
    "coverage",
    "nodes",
    "place_of",
    "preview",
    "read_snapshot",
    "rules_of",
    "upstream_address_problem",
    "what_envoy_gets",
]


def what_envoy_gets(snapshot: Snapshot, place: Place) -> dict[str, bytes]:
    """File name -> content, for people to look at. Of the keys only how many: neither hashes nor ids.

    The addresses of names are found by each node and are not in it.
    """
    keys = (
        f"{len(snapshot.keys)} keys, {len(snapshot.subscriptions)} subscriptions, {len(snapshot.consumers)} consumers"
    )
    return {
        "bootstrap.json": compile_bootstrap(place),
        **compile_files(snapshot, place, {}),
        "data/keys.bin": keys.encode(),
    }


def upstream_address_problem(url: str, rules: AddressRules, *, lookup: Lookup = addresses.lookup) -> str | None:
    """Why calls cannot be sent to `url` now, in a sentence for a form; None when they can.

    Takes up to 3 s for a name. A node judges again, every 10 s: a name may come to mean another address.
    """
    parts = urlsplit(url)
    host = parts.hostname or ""
    port = parts.port or (443 if parts.scheme == "https" else 80)
    try:
        for address in addresses.resolve(host, seconds=3.0, lookup=lookup):
            rules.check(address, port)
    except NotResolved as error:
        return str(error)
    except AddressRefused as refused:
        return str(refused) if str(refused).startswith(host) else f"{host} leads to a forbidden address: {refused}"
    return None

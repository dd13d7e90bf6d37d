"""Secrets that the present keys cannot open, and those that end by themselves."""

from collections.abc import Iterator
from datetime import datetime, timedelta

from sqlalchemy import select
from sqlalchemy.orm import Session

from portal import jobs, vault
from portal.accounts import second_factor
from portal.config import Config
from portal.doctor.finding import Finding
from portal.registry.models import UpstreamSecret

_SOON = timedelta(days=14)


def findings(config: Config, session: Session, now: datetime) -> Iterator[Finding]:
    keys = vault.Vault.of(config)
    lost = [
        (sum(vault.unreadable(session, keys).values()), "of upstreams", "store them again"),
        (second_factor.unreadable(session, config), "of second factors", "`flask user reset --second-factor` them"),
        (jobs.unreadable(session, keys), "of waiting letters", "let people ask for them anew"),
    ]
    for count, whose, otherwise in lost:
        if count:
            yield Finding(
                "secrets",
                f"{count:,} secret{'s' * (count > 1)} {whose} cannot be opened with the keys of this installation.",
                f"Add the key that sealed them to the end of PORTAL_ENCRYPTION_KEYS, or of the file encryption_keys in "
                f"the data folder; or {otherwise}.",
            )
    ending = select(UpstreamSecret).where(UpstreamSecret.expires_at < now + _SOON).order_by(UpstreamSecret.expires_at)
    for secret in session.scalars(ending.limit(20)):
        assert secret.expires_at is not None
        ended = secret.expires_at <= now
        yield Finding(
            "certificate",
            f"The client certificate {secret.name} of {secret.team.name} {'expired' if ended else 'expires'} on "
            f"{secret.expires_at:%d %B %Y}{': its targets refuse calls' if ended else ''}.",
            "A publisher of the team replaces it; gateways use the new one at once.",
        )

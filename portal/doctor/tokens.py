"""Keys of issuers of tokens that the worker cannot fetch."""

from collections.abc import Iterator

from sqlalchemy.orm import Session

from portal import registry
from portal.doctor.finding import Finding


def findings(session: Session) -> Iterator[Finding]:
    for url, problem in registry.token_keys.failing(session):
        yield Finding(
            "gateway",
            f"The keys at {url}, which tokens of published APIs are verified with, cannot be fetched: {problem}",
            "The last good ones stay. Mend the address in the API's document, or paste the keys there.",
        )

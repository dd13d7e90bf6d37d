"""What the worker does about the keys of issuers, and what the doctor says of them."""

import pytest
from sqlalchemy import select

from portal import config_of, doctor, worker
from portal.db import utcnow
from portal.registry import token_keys
from portal.registry.jwks import read_jwks
from portal.registry.models import TokenKeys
from tests import factories, tokens
from tests.gateway.envoy import free_port
from tests.registry.test_tokens import JWT


@pytest.fixture(autouse=True)
def _context(app):
    with app.app_context():
        yield


@pytest.fixture
def url() -> str:
    """Where nobody answers."""
    return f"https://127.0.0.1:{free_port()}/jwks"


@pytest.fixture
def api(session, url):
    made = factories.api(session, live=True, authentication={"key": True, "jwt": JWT | {"jwks_url": url}})
    session.commit()
    return made


def rows(session) -> list[TokenKeys]:
    session.expire_all()
    return list(session.scalars(select(TokenKeys)))


def test_what_cannot_be_fetched_is_kept_as_a_sentence_and_the_last_good_set_stays(app, session, api, url):
    good = read_jwks(tokens.jwks(tokens.ec_signer()))

    assert worker.fetch_token_keys(config_of(app), {}) == ""
    (row,) = rows(session)
    assert (row.url, row.jwks, row.fetched_at) == (url, "", None)
    assert row.problem.endswith(".")
    assert "127.0.0.1" in row.problem

    token_keys.keep(session, url, good, now=utcnow())
    row.tried_at = None
    session.commit()
    worker.fetch_token_keys(config_of(app), {})
    (row,) = rows(session)
    assert row.jwks == good.text
    assert row.problem
    assert row.tried_at is not None


def test_the_job_is_the_workers_own_thread_s(app):
    assert worker.KINDS.keys() & worker.PERIODIC.keys() >= worker.TOKEN_KEYS
    assert not worker.TOKEN_KEYS & (worker.LONG | worker.MAIL)


def test_the_doctor_names_the_address_and_what_to_do(app, session, api, url):
    worker.fetch_token_keys(config_of(app), {})

    session.expire_all()
    told = [each for each in doctor.glance(config_of(app), session) if url in each.sentence]

    assert len(told) == 1
    assert "paste the keys" in told[0].remedy

"""Reports of leaked keys: anybody may, and nobody learns anything."""

import logging
import re

import pytest
from sqlalchemy import select

from portal import jobs
from portal.accounts.audit import AuditEntry
from portal.accounts.throttle import Throttle
from portal.db import utcnow
from portal.registry.keys import new_token
from portal.registry.models import Key
from tests import factories
from tests.letters import delivered


@pytest.fixture
def key(session, cast):
    cast.owner.confirmed_at = utcnow()
    consumer = factories.consumer(session, team=cast.team, slug="shop", name="Web shop")
    made = factories.key(session, consumer)
    session.commit()
    return made


def everything_stored(session) -> str:
    session.rollback()
    tables = (jobs.Job, AuditEntry, Throttle, Key)
    return "\n".join(str(row) for table in tables for row in session.execute(select(*table.__table__.columns)))


class TestPage:
    def test_a_stranger_reports_a_key_and_its_owner_hears_of_it(self, app, client, session, cast, key, caplog):
        row, token = key
        with caplog.at_level(logging.DEBUG):
            answer = client.post("/leaks", data={"key": f" {token.value} ", "found_at": "github.com/a/b"})
            mails = delivered(app)

        assert answer.status_code == 303
        assert "Thank you." in client.get(answer.location).text
        session.rollback()
        assert (row.state_at(utcnow()), row.leaked, row.found_at) == ("revoked", True, "github.com/a/b")
        to_owner = next(mail for mail in mails if mail["To"] == cast.owner.email)
        assert to_owner["Subject"] == "A key of Web shop was made public and is revoked"
        assert "github.com/a/b" in to_owner.get_content()
        said = caplog.text + everything_stored(session) + "".join(mail.as_string() for mail in mails)
        assert token.value[17:] not in said

    def test_an_unknown_key_is_answered_the_same_and_leaves_the_same(self, app, client, session, key):
        answers, left = [], []
        for token in (key[1], new_token()):
            answer = client.post("/leaks", data={"key": token.value})
            page = client.get(answer.location).text
            said = re.search(r"<main.*</main>", page, re.DOTALL)[0]
            answers.append((answer.status_code, answer.location, re.sub(r'value="[^"]*"', "", said)))
            session.rollback()
            (job,) = session.scalars(select(jobs.Job).where(jobs.Job.kind == "leak"))
            left.append((sorted(job.payload), len(job.payload["sha256"])))
            delivered(app)

        assert answers[0] == answers[1]
        assert left[0] == left[1]

    def test_what_is_no_key_is_refused_and_never_shown_again(self, client, key):
        value = key[1].value[:-1]

        answer = client.post("/leaks", data={"key": value, "found_at": f"seen at {key[1].value}"})

        assert answer.status_code == 422
        assert "This is no key of Portico" in answer.text
        assert value not in answer.text
        assert 'value="seen at pco_…"' in answer.text

    def test_an_endless_text_is_refused_and_never_shown_again(self, client):
        answer = client.post("/leaks", data={"key": "x" * 600})

        assert answer.status_code == 422
        assert "xxx" not in answer.text

    def test_is_slowed_down(self, client, session):
        statuses = [client.post("/leaks", data={"key": "no"}).status_code for _ in range(32)]

        assert statuses == [422] * 30 + [429] * 2
        session.rollback()
        assert session.scalars(select(jobs.Job).where(jobs.Job.kind == "leak")).all() == []

    def test_is_found_from_where_strangers_are(self, client):
        assert 'href="/leaks"' in client.get("/sign-in").text


class TestREST:
    def test_needs_no_token_and_answers_every_key_the_same(self, app, client, session, key):
        row, token = key
        answers = [
            client.post("/api/v1/leaks", json={"key": each.value, "found_at": "a log"}) for each in (token, new_token())
        ]
        delivered(app)

        assert [each.status_code for each in answers] == [202, 202]
        assert answers[0].json == answers[1].json
        session.rollback()
        assert (row.leaked, row.found_at) == (True, "a log")

    def test_never_quotes_what_was_sent(self, client, key, caplog):
        value = key[1].value
        with caplog.at_level(logging.DEBUG):
            wrong = [
                client.post("/api/v1/leaks", json={"key": value[:-1]}),
                client.post("/api/v1/leaks", json={"key": value * 20}),
                client.post("/api/v1/leaks", json={"key": [value]}),
                client.post("/api/v1/leaks", json=value),
                client.post("/api/v1/leaks", data=value, content_type="application/json"),
            ]

        assert [each.status_code for each in wrong] == [422, 422, 422, 422, 400]
        assert not any(value[4:30] in each.text for each in wrong)
        assert value[4:30] not in caplog.text

"""Revision 0022 on databases with data: subscriptions of before go on, have no subject, and may be given one."""

import pytest
from sqlalchemy import Engine, text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from portal import migrate
from portal.registry.models import Subscription, TokenKeys
from tests.test_migrations import BEFORE, BEFORE_0008, empty, upgrade_to

__all__ = ["empty"]

USE = (
    "INSERT INTO subscription (id, consumer_id, api_id, plan_id, state, starts_at)"
    " VALUES (:id, :consumer, :api, 1, :state, :at)"
)
"""As the release before makes one, which may still run."""


def test_subscriptions_of_before_have_none_and_one_at_a_time_may_have_it(empty: Engine) -> None:
    upgrade_to(empty, "0014")
    at = BEFORE["created_at"]
    with empty.begin() as connection:
        for statement in (*BEFORE_0008, "UPDATE api SET live_release_id = NULL"):
            connection.execute(text(statement), {"at": at, "yes": True, "no": False})
        before = connection.scalar(text("SELECT count(*) FROM subscription"))
    migrate.upgrade(empty)

    with Session(empty) as session:
        uses = session.query(Subscription).order_by(Subscription.id).all()
        assert len(uses) == before
        assert [each.subject for each in uses] == [None] * len(uses)
        api, consumer = uses[0].api_id, uses[0].consumer_id
        session.add(TokenKeys(api_id=api, url="https://login.example/jwks"))
        session.flush()
        kept = session.get_one(TokenKeys, (api, "https://login.example/jwks"))
        session.refresh(kept)
        assert (kept.jwks, kept.left_out, kept.problem) == ("", [], "")
        uses[0].subject = "alice"
        uses[0].state = "ended"
        session.flush()
        for number in (901, 902):
            values = {"id": number, "consumer": consumer, "api": api, "state": "ended" if number == 901 else "approved"}
            session.execute(text(USE), values | {"at": at})
        session.execute(text("UPDATE subscription SET subject = 'alice' WHERE id IN (901, 902)"))
        other = text(
            "INSERT INTO consumer (id, public_id, team_id, slug, name, description, created_at)"
            " SELECT 77, 'con_b', team_id, 'other', 'Other', '', :at FROM consumer WHERE id = :id"
        )
        session.execute(other, {"id": consumer, "at": at})
        session.execute(text(USE), {"id": 903, "consumer": 77, "api": api, "state": "approved", "at": at})
        with pytest.raises(IntegrityError):
            session.execute(text("UPDATE subscription SET subject = 'alice' WHERE id = 903"))

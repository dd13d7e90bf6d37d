"""Pages by key in the order of any column: every row once, forwards and backwards, whatever is empty or equal."""

from datetime import timedelta

import pytest
from sqlalchemy import create_engine
from sqlalchemy.orm import Session

from portal import schema
from portal.accounts import Person
from portal.db import engine_url, utcnow
from portal.gateway.models import Node
from portal.jobs import Job
from portal.web.keyset import Order, page

COLUMNS = {
    "text": (Job.kind, Job.id),
    "text, some empty": (Job.claimed_by, Job.id),
    "time, some empty": (Job.failed_at, Job.id),
    "number with equals": (Job.attempts, Job.id),
    "yes and no": (Person.active, Person.id),
    "the key itself": (Node.name, Node.name),
}


def fill(session: Session) -> None:
    now = utcnow()
    for n in range(23):
        session.add(
            Job(
                kind=f"kind {n % 4}",
                payload={},
                run_at=now,
                attempts=n % 3,
                failed_at=None if n % 3 == 0 else now - timedelta(hours=n % 5),
                claimed_by=None if n % 2 else f"w{n % 5}",
            )
        )
        session.add(Node(name=f"node {n * 7 % 23}", instance_id="i"))
        session.add(
            Person(
                email=f"p{n}@portico.example", name="P", password="!", fs_uniquifier=f"{n}-{'u' * 40}", active=n % 3 > 0
            )
        )
    session.commit()


def walked(session, order: Order, *, backwards: bool = False, **start) -> list[list]:
    """The rows of each page, from where it starts to the end."""
    pages, place = [], start
    while True:
        turned = page(session.query(order.id.class_), order, size=5, **place)
        pages.append([getattr(row, order.id.key) for row in turned.rows])
        following = turned.before if backwards else turned.after
        if following is None:
            return pages
        place = {"before" if backwards else "after": following}


def check(session: Session, column, number, descending: bool) -> None:
    order = Order(column, number, descending)
    forwards = walked(session, order)
    seen = [each for some in forwards for each in some]
    rows = {getattr(row, number.key): getattr(row, column.key) for row in session.query(number.class_)}
    assert sorted(map(str, seen)) == sorted(map(str, rows))
    filled = [(rows[each], each) for each in seen if rows[each] is not None]
    assert filled == sorted(filled, reverse=descending)
    assert all(rows[each] is None for each in seen[len(filled) :]), "empty ones come last"
    *_, (last, *_rest) = forwards
    back = walked(session, order, backwards=True, before=last)
    assert [each for some in reversed(back) for each in some] == seen[: seen.index(last)]


class TestPage:
    @pytest.mark.parametrize("descending", [False, True])
    @pytest.mark.parametrize("name", COLUMNS)
    def test_every_row_stands_on_one_page_in_order_both_ways(self, session, name, descending):
        fill(session)

        check(session, *COLUMNS[name], descending)

    def test_a_row_that_comes_meanwhile_hides_and_repeats_none(self, session):
        fill(session)
        order = Order(Job.kind, Job.id, False)
        first = page(session.query(Job), order, size=5)
        session.add(Job(kind="kind", payload={}, run_at=utcnow()))
        session.commit()

        second = page(session.query(Job), order, size=5, after=first.after)

        assert not {row.id for row in first.rows} & {row.id for row in second.rows}
        assert (first.rows[-1].kind, first.rows[-1].id) < (second.rows[0].kind, second.rows[0].id)

    def test_after_a_row_that_is_gone_it_begins_anew(self, session):
        fill(session)

        turned = page(session.query(Job), Order(Job.kind, Job.id, False), size=5, after=999)

        assert (turned.rows[0].kind, turned.before) == ("kind 0", None)


@pytest.mark.postgres
def test_postgresql_agrees(postgres_url):
    engine = create_engine(engine_url(postgres_url))
    schema.metadata.create_all(engine)
    with Session(engine) as session:
        fill(session)
        for descending in (False, True):
            for name in COLUMNS.keys() - {"the key itself", "text", "text, some empty"}:  # its collation is its own
                check(session, *COLUMNS[name], descending)
    engine.dispose()

"""The pages of the audit trail."""

import csv
import io
import re
from datetime import timedelta

import pytest
from sqlalchemy import event, insert, select

from portal import accounts, registry
from portal.accounts import Role
from portal.accounts.audit import Actor, AuditEntry, act_as
from portal.db import utcnow
from tests import factories
from tests.conftest import sign_in

A = "/settings/audit"


@pytest.fixture
def administrator(client, cast):
    return sign_in(client, cast.administrator)


@pytest.fixture
def shop(session, cast):
    act_as(session, Actor(cast.owner.id, "page", "192.0.2.7"))
    consumer = factories.consumer(session, team=cast.team, slug="shop", name="Web shop")
    factories.key(session, consumer)
    session.commit()
    return consumer


def rows(page: str) -> list[str]:
    """What each row of the list says, without its marks."""
    body = page.partition("<tbody>")[2].partition("</tbody>")[0]
    return [" ".join(re.sub(r"<[^>]+>", " ", row).split()) for row in body.split("</tr>")[:-1]]


def many(session, count: int, **values) -> None:
    now = utcnow()
    entry = {"by": "worker", "action": "deleted", "kind": "key", "label": "pco_x", "changes": {}}
    session.execute(
        insert(AuditEntry),
        [entry | {"at": now - timedelta(seconds=count - n), "label": f"n{n}"} | values for n in range(count)],
    )
    session.commit()


class TestList:
    def test_says_who_did_what_to_which_thing_and_from_where(self, administrator, shop, cast):
        newest, *_ = rows(administrator.get(f"{A}?kind=consumer").text)

        assert "Olga Owner 192.0.2.7 Created consumer cast/shop" in newest
        assert "name Web shop" in newest
        assert '<a href="/consumers/cast/shop">cast/shop</a>' in administrator.get(f"{A}?kind=consumer").text

    def test_an_openapi_document_is_called_by_its_name(self, administrator, session, cast):
        digest = factories.openapi_document(session)
        factories.api(session, team=cast.team, slug="pets", openapi=digest)
        session.commit()

        page = administrator.get(f"{A}?kind=api").text

        assert "draft › openapi" in page
        assert digest not in page
        assert "operation" in rows(page)[0].partition("openapi")[2]

    def test_what_is_gone_is_said_to_be_deleted_and_has_no_link(self, administrator, session, shop):
        registry.delete_consumer(session, shop)
        session.commit()
        page = administrator.get(f"{A}?kind=consumer").text

        assert ["deleted since" in row for row in rows(page)] == [False, True]
        assert "/consumers/cast/shop" not in page

    def test_people_are_named_as_they_are_called_now(self, administrator, session, cast):
        cast.owner.name = "Olga Other"
        accounts.change_role(session, next(m for m in cast.team.memberships if m.person == cast.publisher), Role.OWNER)
        session.commit()
        page = administrator.get(f"{A}?action=changed+role").text

        assert f"{cast.publisher.name} in cast" in rows(page)[0]
        assert "role publisher owner" in rows(page)[0]
        assert "person 1" not in page

    def test_a_person_without_a_row_is_a_deleted_one(self, administrator, session):
        many(session, 1, person_id=4711, by="page")

        assert "deleted person 4711" in rows(administrator.get(f"{A}?thing=n0").text)[0]

    @pytest.mark.parametrize(
        ("query", "count"),
        [
            ("person=worker", 3),
            ("person=nobody", 0),
            ("kind=key&action=deleted", 3),
            ("thing=n1", 1),
            ("address=192.0.2.9", 3),
            ("address=192.0.2.8", 0),
            ("person=worker&from=2099-01-01T00:00", 0),
            ("person=worker&from=2000-01-01T00:00&to=2099-01-01T00:00", 3),
        ],
    )
    def test_filters(self, administrator, session, query, count):
        many(session, 3, address="192.0.2.9")

        page = administrator.get(f"{A}?{query}").text
        assert len(rows(page)) == count
        assert ("No entry matches" in page) == (count == 0)

    def test_by_address_of_a_person(self, administrator, shop, cast):
        assert rows(administrator.get(f"{A}?person={cast.owner.email.upper()}&kind=key").text)
        assert rows(administrator.get(f"{A}?person={cast.stranger.email}&kind=key").text) == []

    @pytest.mark.parametrize("query", ["person=nobody@here", "from=soon", "from=2026-01-02T00:00&to=2026-01-01T00:00"])
    def test_what_cannot_be_understood_is_told(self, administrator, query):
        page = administrator.get(f"{A}?{query}").text

        assert "Nothing was searched" in page
        assert 'role="alert"' in page

    @pytest.mark.parametrize("query", ["before=x", "after=-1", "before=99999999999999999999"])
    def test_odd_queries_are_no_mistake_of_ours(self, administrator, query):
        assert administrator.get(f"{A}?{query}").status_code == 200

    def test_pages_hold_each_entry_once_forwards_and_back(self, administrator, session):
        many(session, 120)

        def follow(url: str, rel: str) -> list[str]:
            found = []
            while url:
                page = administrator.get(url).text
                found.append(re.findall(r">\s*(n\d+)\b", page))
                link = re.search(rf'rel="{rel}" href="([^"]+)"', page)
                last, url = url, link and link[1].replace("&amp;", "&")
            self.last = last
            return found

        forwards = follow(f"{A}?person=worker", "next")
        assert [each for page in forwards for each in page] == [f"n{n}" for n in reversed(range(120))]
        back = follow(self.last, "prev")
        assert back[::-1][-1] == forwards[-1]
        assert back[-1] == forwards[0]

    def test_a_long_trail_is_read_by_its_number_and_a_page_costs_few_statements(self, app, administrator, session):
        many(session, 5_000)
        statements = []
        event.listen(session.get_bind().__class__, "before_cursor_execute", lambda *args: statements.append(args[2]))

        assert len(rows(administrator.get(f"{A}?person=worker").text)) == 50
        ours = [each for each in statements if "FROM audit_entry" in each]
        assert len(ours) == 1
        assert "LIMIT" in ours[0]
        assert len(statements) < 15
        session.rollback()
        for where in ("", "WHERE person_id = 1", "WHERE team_id = 1", "WHERE kind = 'key'"):
            plan = session.connection().exec_driver_sql(
                f"EXPLAIN QUERY PLAN SELECT * FROM audit_entry {where} ORDER BY id DESC LIMIT 51"
            )
            assert "TEMP B-TREE" not in " ".join(str(row) for row in plan)

    def test_is_for_administrators(self, client, cast):
        assert sign_in(client, cast.owner).get(A).status_code == 403
        assert client.get(f"{A}.csv").status_code == 403
        assert "Audit trail" not in client.get("/settings").text


class TestExport:
    def test_holds_what_the_list_holds(self, administrator, shop, cast):
        answer = administrator.get(f"{A}.csv?kind=consumer")

        found = list(csv.DictReader(io.StringIO(answer.text)))
        assert answer.headers["Content-Disposition"].startswith('attachment; filename="portico-audit-')
        assert [(row["Person"], row["Action"], row["Thing"], row["Address"]) for row in found] == [
            ("Olga Owner", "created", "cast/shop", "192.0.2.7")
        ]

    def test_is_whole_beyond_one_batch(self, administrator, session):
        many(session, 2_100)

        found = list(csv.reader(io.StringIO(administrator.get(f"{A}.csv?person=worker").text)))
        assert [row[8] for row in found[1:]] == [f"n{n}" for n in reversed(range(2_100))]

    @pytest.mark.parametrize("name", ["=1+1", "+1", "-1", "@x", "\t=1"])
    def test_no_cell_is_a_formula(self, administrator, session, name):
        many(session, 1, label=name)

        (_, row) = csv.reader(io.StringIO(administrator.get(f"{A}.csv?person=worker").text))
        assert row[8] == f"'{name}"

    def test_says_what_it_does_not_understand(self, administrator):
        answer = administrator.get(f"{A}.csv?from=soon")

        assert answer.status_code == 422
        assert "soon is no time" in answer.text


class TestExportIsTold:
    """Whoever takes data away as a file stands in the trail, with what narrowed it, by name: values may be personal."""

    @pytest.mark.parametrize(
        ("address", "kind", "filters"),
        [
            (f"{A}.csv", "audit_entry", {}),
            (f"{A}.csv?person=olga%40example&from=2026-01-01", "audit_entry", None),
            (f"{A}.csv?kind=key&thing=pco", "audit_entry", {"filtered_by": [None, "kind, thing"]}),
            ("/admin/consumer/export.csv", "consumer", {}),
            (
                "/admin/person/export.csv?search=olga&flt_administrator_is=0&sort=1",
                "person",
                {"filtered_by": [None, "search, Administrator"]},
            ),
            ("/settings/data", "person", {}),
        ],
    )
    def test_with_who_from_where_and_which_filters(self, administrator, session, cast, address, kind, filters):
        answer = administrator.get(address)
        assert answer.text  # all of it is read, since it is made while it is sent

        found = session.scalars(select(AuditEntry).where(AuditEntry.action == "exported")).all()
        if filters is None:
            assert answer.status_code == 422
            assert found == []
        else:
            assert answer.status_code == 200
            (entry,) = found
            assert (entry.person_id, entry.by, entry.address) == (cast.administrator.id, "page", "127.0.0.1")
            assert (entry.kind, entry.changes) == (kind, filters)
            assert "Exported" in administrator.get(f"{A}?action=exported").text


class TestOfATeam:
    def test_owners_see_their_own_things_without_addresses(self, client, session, shop, cast):
        factories.consumer(session, team=factories.team(session), slug="foreign")
        session.commit()
        page = sign_in(client, cast.owner).get("/settings/teams/cast/audit").text

        assert any("Issued key" in row for row in rows(page))
        assert "foreign" not in page
        assert "192.0.2.7" not in page
        assert rows(client.get("/settings/teams/cast/audit?address=192.0.2.8").text) == rows(page)

    def test_others_do_not(self, client, shop, cast):
        assert sign_in(client, cast.publisher).get("/settings/teams/cast/audit").status_code == 403
        assert sign_in(client, cast.stranger).get("/settings/teams/cast/audit").status_code == 404

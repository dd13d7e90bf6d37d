import csv
import io
import re

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from portal.accounts import Person, Team
from portal.accounts.audit import AuditEntry
from portal.db import utcnow
from portal.gateway.models import Node
from portal.jobs import Job
from portal.registry.models import Category, Plan, QuotaUse, Revision
from portal.web.admin import WINDOWS
from tests import factories
from tests.conftest import sign_in
from tests.web import logged

NEVER = re.compile(r"password|sha256|secret|token|uniquifier|payload|draft$|document|\bline$|body|instance")


@pytest.fixture
def office(client, cast):
    """A browser of an administrator."""
    return sign_in(client, cast.administrator)


@pytest.fixture
def world(session, engine, cast, tmp_path):
    """A row in every table."""
    api = factories.api(
        session, team=cast.team, live=True, slug="orders", plans=[factories.plan(session, team=cast.team)]
    )
    consumer = factories.consumer(session, team=cast.team, slug="shop")
    factories.subscription(session, consumer, api)
    key, token = factories.key(session, consumer, label="nightly")
    session.add_all(
        [
            Node(name="node-1", instance_id="the-instance"),
            Category(slug="money", name="Money"),
            Job(kind="forget_calls", payload={"word": "the-payload"}, run_at=consumer.created_at),
        ]
    )
    session.commit()
    logged.store(engine, tmp_path, b"the-misread-line\n")
    return {"key": key, "token": token, "api": api}


def address(window, page: str = "") -> str:
    return f"/admin/{window.model.__tablename__.replace('_', '-')}/{page}"


def listed(page: str) -> list[str]:
    """The first cell of each row."""
    return [re.sub(r"<[^>]+>", "", cell) for cell in re.findall(r'<a class="row-link"[^>]*>(.*?)</a>', page)]


def entries_after(session: Session, last: int) -> list[tuple]:
    session.rollback()
    found = session.scalars(select(AuditEntry).where(AuditEntry.id > last).order_by(AuditEntry.id))
    return [(each.kind, each.action, each.by, sorted(each.changes)) for each in found]


def newest_entry(session: Session) -> int:
    session.rollback()
    return session.scalar(select(AuditEntry.id).order_by(AuditEntry.id.desc()).limit(1)) or 0


@pytest.mark.parametrize("window", WINDOWS, ids=lambda window: window.model.__tablename__)
class TestEveryTable:
    def test_names_no_column_that_must_not_be_seen(self, window):
        named = [*window.shown, *window.only_in_details, *window.find]

        assert [name for name in named if NEVER.search(name.rpartition(".")[2])] == []

    def test_list_details_and_export_show_its_row(self, window, office, world):
        page = office.get(address(window))
        exported = office.get(address(window, "export.csv"))

        assert page.status_code == exported.status_code == 200
        rows = list(csv.reader(io.StringIO(exported.text)))
        assert rows[0] == list(window.shown.values())
        assert len(rows) > 1
        links = re.findall(rf'href="({address(window, "details/")}[^"]+)"', page.text)
        itself = window.model is AuditEntry  # an export stands in the trail that it takes away
        assert len(links) == len(rows) - 1 - itself
        assert office.get(links[0]).status_code == 200

    def test_no_page_shows_a_secret(self, window, office, world, session):
        hidden = [world["token"].value, world["key"].sha256.hex(), "the-payload", "the-misread-line", "the-instance"]
        hidden += session.scalars(select(Person.fs_uniquifier)).all()
        page = office.get(address(window)).text
        pages = [page, office.get(address(window, "export.csv")).text]
        pages += [office.get(link).text for link in re.findall(rf'href="({address(window, "details/")}[^"]+)"', page)]

        assert [each for each in hidden for shown in pages if each in shown] == []

    def test_every_column_that_offers_to_sort_sorts(self, window, office, world):
        page = office.get(address(window)).text
        for link in re.findall(r'<th[^>]*><a href="([^"]+)"', page):
            assert office.get(link.replace("&amp;", "&")).status_code == 200

    def test_every_filter_and_the_search_answer(self, window, office, world):
        page = office.get(address(window)).text
        for name in re.findall(r'name="(flt_[^"]+|search)"', page):
            for value in ("1", "2026-01-01", "approved", "x", "'", "%"):
                assert office.get(address(window), query_string={name: value}).status_code == 200

    def test_a_query_that_makes_no_sense_does_no_harm(self, window, office, world):
        for query in (
            "after=-1",
            "before=99999999999",
            "after=x&before=1",
            "page=99999999999",
            "sort=99",
            "sort=-1&desc=1",
            "flt0_0=x",
            "page=x",
        ):
            assert office.get(f"{address(window)}?{query}").status_code == 200, query

    def test_a_row_that_is_not_there_is_not_found(self, window, office, world):
        for id in ("0", "-1", "99999999999999999999", "x", "1,2"):
            assert office.get(f"{address(window, 'details/')}?id={id}").status_code == 404, id

    def test_nothing_of_flask_admin_that_writes_is_there(self, window, office, world):
        own = {"new/"} if window.new_form else set()
        own |= {"delete/"} if window.deletes else set()
        for page in {"new/", "delete/", "action/", "ajax/update/", "export/csv/"} - own:
            assert office.post(address(window, page)).status_code == 404

    def test_it_wears_our_shell_without_anything_inline(self, window, office, world):
        page = office.get(address(window)).text

        assert 'class="shell"' in page
        assert "bootstrap" not in page
        assert not re.search(
            r"<script(?![^>]*(src|nonce)=)|\sstyle=|\son[a-z]+=|https?://(?!127|localhost|www\.w3)", page
        )


class TestLists:
    def test_search_finds_what_is_typed(self, office, cast):
        assert listed(office.get("/admin/person/?search=olga").text) == ["Olga Owner"]

    def test_filters_narrow_and_can_be_removed(self, office, cast):
        page = office.get("/admin/person/?flt_administrator_is=1&flt_since_is=").text

        assert listed(page) == ["Ada Administrator"]
        assert "Remove filter Administrator: Yes" in page

    def test_a_day_that_is_none_is_said_and_left_out(self, office, cast):
        page = office.get("/admin/person/?flt_since_is=tomorrow").text

        assert "Since: tomorrow cannot be looked for" in page
        assert "Olga Owner" in listed(page)

    def test_an_export_has_what_the_list_shows_not_just_its_page(self, office, session):
        for _ in range(60):
            factories.person(session)
        session.commit()

        assert len(listed(office.get("/admin/person/").text)) == 50
        assert len(office.get("/admin/person/export.csv").text.splitlines()) == 1 + 60 + 5
        assert len(office.get("/admin/person/export.csv?search=olga").text.splitlines()) == 2

    def test_pages_follow_each_other(self, office, session):
        for _ in range(60):
            factories.person(session)
        session.commit()
        first = office.get("/admin/person/?sort=0")
        following = re.search(r'rel="next" href="([^"]+)"', first.text)[1].replace("&amp;", "&")

        second = office.get(following)
        seen = listed(first.text) + listed(second.text)

        assert len(seen) == len(set(seen)) == 65
        back = re.search(r'rel="prev" href="([^"]+)"', second.text)[1].replace("&amp;", "&")
        assert listed(office.get(back).text) == listed(first.text)
        assert 'rel="prev"' not in office.get(back).text
        assert 'rel="next"' not in second.text

    def test_pages_keep_search_filters_and_order(self, office, session):
        for n in range(60):
            factories.person(session, name=f"Walk-in {n % 7}")
        session.commit()

        first = office.get("/admin/person/?search=walk&flt_administrator_is=0&sort=0&desc=1").text
        second = office.get(re.search(r'rel="next" href="([^"]+)"', first)[1].replace("&amp;", "&")).text

        assert listed(first) + listed(second) == sorted((f"Walk-in {n % 7}" for n in range(60)), reverse=True)

    def test_the_page_after_the_last_row_says_so(self, office, cast):
        page = office.get(f"/admin/person/?search=olga&after={cast.owner.id}").text

        assert "The list ends here" in page
        assert re.search(r'href="/admin/person/\?search=olga[^"]*">Show the first page', page)

    def test_a_name_is_no_formula(self, office, session, cast):
        cast.owner.name = "=1+1"
        session.commit()

        assert "'=1+1," in office.get("/admin/person/export.csv").text


class TestPerson:
    def edit(self, office, who, **typed):
        return office.post(f"/admin/person/edit/?id={who.id}", data=typed)

    def test_changes_go_through_the_verbs_and_into_the_trail(self, office, session, cast):
        last, before = newest_entry(session), cast.stranger.fs_uniquifier

        answer = self.edit(office, cast.stranger, name="Sam  Other", is_administrator="y")

        assert answer.status_code == 303
        session.rollback()
        assert (cast.stranger.name, cast.stranger.active, cast.stranger.is_administrator) == ("Sam Other", False, True)
        assert cast.stranger.fs_uniquifier != before, "their sessions end"
        entries = entries_after(session, last)
        assert {entry[:3] for entry in entries} == {
            ("person", "deactivated", "page"),
            ("person", "made administrator", "page"),
        }
        assert sorted(name for entry in entries for name in entry[3]) == ["active", "is_administrator", "name"]

    def test_the_last_administrator_stays_one(self, office, session, cast):
        answer = self.edit(office, cast.administrator, name="Ada Changed", active="y")

        assert answer.status_code == 409
        assert "is the only administrator" in answer.text
        assert 'value="Ada Changed"' in answer.text
        session.rollback()
        assert (cast.administrator.is_administrator, cast.administrator.name) == (True, "Ada Administrator")

    def test_who_gives_up_their_rights_is_shown_their_own_settings(self, office, session, cast):
        factories.person(session, is_administrator=True)
        session.commit()

        answer = self.edit(office, cast.administrator, name="Ada", active="y")

        assert (answer.status_code, answer.location) == (303, "/settings")

    def test_without_a_name_the_form_comes_back(self, office, cast):
        answer = self.edit(office, cast.stranger, name=" ", active="y")

        assert answer.status_code == 422
        assert "Give a name." in answer.text


class TestTeam:
    def test_the_right_to_publish_is_given_and_recorded(self, office, session):
        team = factories.team(session, may_publish=False)
        session.commit()
        last = newest_entry(session)

        answer = office.post(f"/admin/team/edit/?id={team.id}", data={"name": team.name, "may_publish": "y"})

        assert answer.status_code == 303
        assert entries_after(session, last) == [("team", "allowed to publish", "page", ["may_publish"])]
        assert session.get(Team, team.id).may_publish

    def test_a_personal_team_cannot_have_it(self, office, session, cast):
        personal = cast.owner.teams[0]

        answer = office.post(f"/admin/team/edit/?id={personal.id}", data={"name": "Olga", "may_publish": "y"})

        assert answer.status_code == 409
        assert "personal team" in answer.text


class TestPlan:
    def test_changed_limits_are_told_to_the_gateway(self, office, session):
        plan = factories.plan(session)
        session.commit()
        number = session.scalar(select(Revision.n))

        answer = office.post(f"/admin/plan/edit/?id={plan.id}", data={"name": plan.name, "per_second": "7"})

        assert answer.status_code == 303
        session.rollback()
        assert session.get(Plan, plan.id).per_second == 7
        assert session.scalar(select(Revision.n)) == number + 1

    def test_stricter_limits_are_asked_about_where_somebody_would_meet_them(self, office, session, cast):
        plan = factories.plan(session, team=cast.team)
        api = factories.api(session, team=cast.team, live=True, plans=[plan])
        busy = factories.subscription(session, factories.consumer(session, name="Busy shop"), api, plan)
        session.add(QuotaUse(subscription_id=busy.id, day=utcnow().date(), calls=500))
        session.commit()
        page, sent = f"/admin/plan/edit/?id={plan.id}", {"name": plan.name, "per_second": "10", "quota_day": "100"}

        asked = office.post(page, data=sent)

        assert asked.status_code == 422
        assert "Busy shop: of 1 subscription 1 would have been refused calls" in asked.text
        assert f'href="/plans/cast/{plan.slug}"' in asked.text
        session.rollback()
        assert session.get(Plan, plan.id).quota_day is None
        assert office.post(page, data=sent | {"agreed": "y"}).status_code == 303
        session.rollback()
        assert session.get(Plan, plan.id).quota_day == 100

    def test_limits_that_make_no_sense_are_refused_beside_their_field(self, office, session):
        plan = factories.plan(session)
        session.commit()

        answer = office.post(f"/admin/plan/edit/?id={plan.id}", data={"name": "P", "per_second_burst": "7"})

        assert answer.status_code == 422
        assert "A burst needs the limit" in answer.text


class TestWhatIsOnlyRead:
    @pytest.mark.parametrize("window", [each for each in WINDOWS if each.form is None], ids=lambda each: each.__name__)
    def test_there_is_no_form(self, window, office, world):
        assert office.get(address(window, "edit/?id=1")).status_code == 404
        assert "/edit/" not in office.get(address(window)).text

    def test_an_entry_of_the_trail_says_what_changed(self, office, session, cast):
        cast.team.may_publish = False
        session.commit()

        page = office.get(f"/admin/audit-entry/details/?id={newest_entry(session)}").text

        assert re.search(r"may_publish</span>: True → False", page)


class TestIndex:
    def test_it_lists_every_table_and_stands_under_settings(self, office):
        page = office.get("/admin/").text

        assert len(listed(page)) == len(WINDOWS)
        assert re.search(r'aria-current="page">Back office', page)

    def test_others_see_no_way_in(self, client, cast):
        assert "/admin" not in sign_in(client, cast.owner).get("/settings").text


class TestCategory:
    @pytest.fixture
    def money(self, session):
        category = Category(slug="money", name="Money", position=0)
        session.add(category)
        session.commit()
        return category

    def test_one_is_made_with_a_slug_from_its_name(self, office, session, money):
        last = newest_entry(session)

        answer = office.post("/admin/category/new/", data={"name": "Art & more", "description": "All", "position": ""})

        assert answer.status_code == 303
        session.rollback()
        made = session.scalars(select(Category).where(Category.slug == "art-more")).one()
        assert (made.name, made.description, made.position) == ("Art & more", "All", 1)
        assert [entry[:3] for entry in entries_after(session, last)] == [("category", "created", "page")]

    @pytest.mark.parametrize(
        ("typed", "status", "sentence"),
        [
            ({"name": ""}, 422, "Give it a name."),
            ({"name": "money", "slug": "other"}, 409, "There is a category money already."),
            ({"name": "Other", "slug": "money"}, 409, "Choose another slug."),
            ({"name": "Other", "position": "-3"}, 422, "Give a number from 0"),
            ({"name": "订单"}, 422, "No slug can be made from this name."),
        ],
    )
    def test_a_refused_one_keeps_what_was_typed(self, office, money, typed, status, sentence):
        answer = office.post("/admin/category/new/", data={"description": "Kept words"} | typed)

        assert answer.status_code == status
        assert sentence in answer.text
        assert "Kept words" in answer.text

    def test_it_is_renamed_and_moved(self, office, session, money):
        form = {"name": "Finance", "description": "", "position": "5", "slug": "other"}

        assert office.post(f"/admin/category/edit/?id={money.id}", data=form).status_code == 303

        session.rollback()
        assert (money.slug, money.name, money.position) == ("money", "Finance", 5)

    def test_its_apis_lose_it(self, office, session, cast, money):
        api = factories.api(session, team=cast.team, live=True)
        api.category = money
        session.commit()
        address = f"/admin/category/delete/?id={money.id}"
        assert "APIs that are in it stay published" in office.get(address).text

        assert office.post(address).status_code == 303

        session.rollback()
        assert session.scalars(select(Category)).all() == []
        assert api.category is None
        assert office.post(address).status_code == 404

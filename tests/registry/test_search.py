"""What is found, on both databases, and that the index follows what is live."""

import orjson
import pytest
from sqlalchemy import delete, func, select, text, update

from portal import accounts, openapi, registry
from portal.registry import descriptions, indexing, search
from portal.registry.folding import words_asked
from portal.registry.models import Api, CatalogueEntry, CatalogueOperation, Category
from tests import factories


def keep(session, paths):
    """The hash of a stored OpenAPI document with these operations: path -> method -> summary."""
    tree = {
        "openapi": "3.1.0",
        "info": {"title": "T", "version": "1"},
        "paths": {
            path: {method: {"summary": summary, "responses": {}} for method, summary in methods.items()}
            for path, methods in paths.items()
        },
    }
    data = orjson.dumps(tree)
    return descriptions.keep(session, data, openapi.read(data)).sha256


def found(session, q):
    """Names of the APIs in which `q` is found, the best place first."""
    session.flush()
    places = search.places_of(session, words_asked(q))
    names = dict(session.execute(select(Api.id, Api.name)).all())
    return [names[number] for number in sorted(places, key=lambda number: (places[number], names[number]))]


def live(session, **fields):
    return factories.api(session, live=True, **fields)


class TestWhatIsFound:
    def test_in_name_labels_text_and_operations_in_this_order(self, session):
        team = factories.team(session, name="Refund desk")
        live(session, name="Operations", openapi=keep(session, {"/refunds": {"get": "All of them"}}))
        live(session, name="Texts", description="About refunds.")
        live(session, name="Labels", tags=["refund"])
        live(session, name="Owned", team=team)
        live(session, name="Refunds")
        live(session, name="Refund")
        live(session, name="Nothing")

        assert found(session, "refund") == ["Refund", "Refunds", "Labels", "Owned", "Texts", "Operations"]

    def test_all_words_are_needed_each_of_them_as_a_beginning(self, session):
        live(session, name="Invoices", description="For merchants.", openapi=keep(session, {"/x": {"post": "Cancel"}}))
        live(session, name="Invoices alone")

        assert found(session, "merch invo canc post") == ["Invoices"]
        assert found(session, "nvoices") == []

    def test_drafts_are_not_found(self, session):
        factories.api(session, name="Hidden")

        assert found(session, "hidden") == []

    @pytest.mark.parametrize(
        ("name", "q"),
        [
            ("Großhandel", "GROSSH"),
            ("Ёлки", "елк"),
            ("Café", "cafe"),
            ("Cafe", "café"),
            ("订单管理", "单管"),
            ("订单管理", "理"),
            ("注文一覧を取得する", "一覧を"),
            ("한국어", "국어"),
            ("हिन्दी", "हिन्"),
            ("سلام دنیا", "سلام"),
        ],
    )
    def test_in_every_script(self, session, name, q):
        live(session, name=name)

        assert found(session, q) == [name]

    @pytest.mark.parametrize(
        "q",
        [
            "'",
            '"',
            "''; DROP TABLE api;--",
            "a AND",
            "NOT b",
            "NEAR(a b)",
            "name:x",
            "{name} : x",
            "a*",
            "*",
            "^a",
            "a:*",
            "!a & |",
            "%",
            "_",
            "\\",
            "x" * 10_000,
            "(" * 500,
            "\u0301",
            "a" + "\u0301" * 300,
            "\ufdfa",
            "\U0001f4a5",
        ],
    )
    def test_no_search_is_an_error(self, session, q):
        live(session, name="Plain", openapi=keep(session, {"/a": {"get": q[:100]}}))
        session.flush()

        places = search.places_of(session, words_asked(q))
        search.operations_found(session, list(session.scalars(select(CatalogueEntry.openapi))), words_asked(q))

        assert set(places.values()) <= set(range(5))


class TestFoundOperations:
    def test_those_with_most_of_the_words_in_the_documents_order(self, session):
        digest = keep(
            session,
            {
                "/refunds": {"get": "List refunds", "post": "Refund a payment"},
                "/refunds/{id}": {"get": "One refund", "delete": "Withdraw"},
                "/payments": {"get": "List payments"},
            },
        )
        live(session, openapi=digest)
        session.flush()

        told = search.operations_found(session, [digest], words_asked("refund payment"))
        assert [(each.method, each.path) for each in told[digest]] == [("POST", "/refunds")]
        told = search.operations_found(session, [digest], words_asked("refund"), most=2)
        assert [(each.method, each.path) for each in told[digest]] == [("GET", "/refunds"), ("POST", "/refunds")]

    def test_none_where_no_word_is_in_an_operation(self, session):
        digest = keep(session, {"/a": {"get": "A"}})
        live(session, openapi=digest)
        session.flush()

        assert search.operations_found(session, [digest], ["zebra"]) == {}


class TestItFollows:
    def test_a_release_replaces_what_was_found_before(self, session):
        api = live(session, name="Before")
        registry.save_draft(
            session, api, registry.read_document(api.draft | {"name": "After"}), by=None, expected=api.draft_number
        )
        assert found(session, "before") == ["After"], "what is live is found, not the draft"

        registry.publish(session, api, by=None, expected=api.draft_number)

        assert found(session, "before") == []
        assert found(session, "after") == ["After"]

    def test_what_is_unpublished_or_deleted_is_gone(self, session):
        first, second = live(session, name="First one"), live(session, name="Second one")
        assert found(session, "one") == ["First one", "Second one"]

        registry.unpublish(session, first)
        assert found(session, "one") == ["Second one"]
        registry.delete_api(session, second)
        session.commit()

        assert found(session, "one") == []
        assert session.scalar(select(func.count()).select_from(CatalogueEntry)) == 0
        if session.get_bind().dialect.name == "sqlite":
            assert session.scalar(text("SELECT count(*) FROM catalogue_word")) == 0

    def test_a_renamed_team(self, session):
        api = live(session, name="Orders")
        accounts.rename_team(api.team, "Night shift")

        assert found(session, "night") == ["Orders"]

    def test_a_team_of_many_apis_is_left_to_the_worker(self, session, monkeypatch):
        monkeypatch.setattr(indexing, "_MOST_INLINE", 1)
        first = live(session, name="Orders")
        live(session, name="Bills", team=first.team)
        accounts.rename_team(first.team, "Night shift")
        assert found(session, "night") == []

        assert indexing.mend(session) == 2
        assert found(session, "night") == ["Bills", "Orders"]

    def test_a_category_and_its_name(self, session):
        api = live(session, name="Orders")
        category = Category(slug="money", name="Money")
        session.add(category)
        api.category = category
        assert found(session, "money") == ["Orders"]

        category.name = "Finance"
        assert found(session, "money") == []
        assert found(session, "finance") == ["Orders"]
        api.category = None
        assert found(session, "finance") == []

    def test_a_rollback_takes_it_back(self, session):
        api = live(session, name="Orders")
        session.commit()
        registry.unpublish(session, api)
        session.flush()
        session.rollback()

        assert found(session, "orders") == ["Orders"]

    def test_operations_are_cut_into_words_once_a_document(self, session):
        digest = keep(session, {"/a": {"get": "A", "put": "B"}})
        for _ in range(2):
            live(session, openapi=digest)
        session.flush()

        assert session.scalar(select(func.count()).select_from(CatalogueOperation)) == 2


class TestMend:
    def test_what_is_missing_old_or_too_much_is_put_right(self, session):
        missing, old, gone, fine = (live(session, name=name) for name in ("Missing", "Old", "Gone", "Fine"))
        session.commit()
        session.execute(delete(CatalogueEntry).where(CatalogueEntry.api_id == missing.id))
        session.execute(update(CatalogueEntry).where(CatalogueEntry.api_id == old.id).values(made_by=0, title="?"))
        session.execute(update(Api.__table__).where(Api.__table__.c.id == gone.id).values(live_release_id=None))
        assert found(session, "missing") == []

        assert indexing.mend(session) == 3
        assert indexing.mend(session) == 0

        titles = dict(session.execute(select(CatalogueEntry.api_id, CatalogueEntry.title)).all())
        assert titles == {missing.id: "Missing", old.id: "Old", fine.id: "Fine"}
        assert found(session, "missing") == ["Missing"]

    def test_everything_is_made_anew_and_found_meanwhile(self, session):
        live(session, name="Orders", openapi=keep(session, {"/a": {"get": "Zebra"}}))
        session.commit()
        session.execute(update(CatalogueOperation).values(words=" giraffe "))
        indexing.outdate(session)
        assert found(session, "orders zebra") == ["Orders"]

        assert indexing.mend(session) == 1
        assert found(session, "orders zebra") == ["Orders"]
        assert session.scalars(select(CatalogueOperation.words)).one() == " get a zebra "

    def test_a_long_list_is_mended_in_turns(self, session):
        for _ in range(3):
            live(session)
        session.commit()
        indexing.outdate(session)

        assert [indexing.mend(session, most=2) for _ in range(3)] == [2, 1, 0]

"""Imports in the pages: a document is brought, looked at, becomes an API or brings one up to date."""

import io
import re
from typing import Any

import pytest
from sqlalchemy import func, select

from portal import config_of, registry, worker
from portal.jobs import Job
from portal.registry import descriptions, imports
from portal.registry.models import Api, Import, ImportState, OpenAPIDocument, Subscription
from tests import factories
from tests.conftest import sign_in
from tests.factories import PETS
from tests.outbound.test_fetch import Server

NEXT = PETS.replace(b"title: Pets", b"title: More pets").replace(
    b"post: {operationId: addPet, tags: [pets], responses: {'201': {description: It is there}}}",
    b"put: {operationId: changePets, responses: {'200': {description: Changed}}}",
)


@pytest.fixture
def publisher(client, cast):
    return sign_in(client, cast.publisher)


def brought(client: Any, at: str = "/apis/import", **fields: Any) -> Any:
    answer = client.post(at, data={"team": "cast"} | fields, content_type="multipart/form-data")
    answer.request.environ["wsgi.input"].close()  # of a large form, a file that the test client forgets
    return answer


def as_file(data: bytes, name: str = "pets.yaml") -> tuple[io.BytesIO, str]:
    return io.BytesIO(data), name


def only(session: Any) -> Import:
    session.rollback()
    return session.scalars(select(Import)).one()


class TestBringing:
    def test_file_paste_and_address_lead_to_a_preview(self, publisher, session):
        for fields in ({"file": as_file(PETS)}, {"text": PETS.decode()}):
            answer = brought(publisher, **fields)

            assert answer.status_code == 303
            page = publisher.get(answer.location).text
            assert 'value="Pets"' in page
            assert 'value="v1"' in page
            assert 'value="https://pets.example/v1"' in page
            assert "listPets" not in page
            assert "/pets" in page

    def test_a_title_as_long_as_a_book_is_cut(self, publisher):
        long = b"x" * 200_000
        data = PETS.replace(b"title: Pets", b"title: " + long)

        page = publisher.get(brought(publisher, file=as_file(data)).location).text

        assert "longer than 80 characters" in page
        assert len(page) < 100_000

    def test_what_is_typed_stays_when_it_is_refused(self, publisher, session):
        answer = brought(publisher, text="openapi: 3.1.0\ninfo: [")

        assert answer.status_code == 422
        assert "is not YAML" in answer.text
        assert "openapi: 3.1.0\ninfo: [</textarea>" in answer.text
        session.rollback()
        assert session.scalar(select(func.count()).select_from(Import)) == 0

    @pytest.mark.parametrize(
        ("data", "sentence"),
        [
            (b"<!doctype html><html><body>Pets</body></html>", "web page"),
            (b'{"openapi": "3.0.0", "info": {}', "is not JSON"),
            (b'{"openapi": "3.0.0", "info": {}}', "without paths"),
            (b"\x89PNG\r\n\x1a\n\0\0", "not"),
            (b"", "empty"),
            (b"PK\x03\x04", "zip"),
            (b"swagger: '1.2'\npaths: {}", "2.0, 3.0, 3.1 and 3.2"),
        ],
    )
    def test_what_is_no_document_is_told_beside_the_file(self, publisher, data, sentence):
        answer = brought(publisher, file=as_file(data, "pets.json"), address="")

        assert answer.status_code == 422
        (said,) = re.findall(r'id="file-error">.*?<span>(.*?)</span>', answer.text)
        assert sentence.lower() in said.lower()

    @pytest.mark.parametrize(
        ("fields", "sentence"),
        [
            ({}, "Choose a file, give an address, or paste the document."),
            ({"text": "a", "address": "b"}, "Bring one document at a time"),
            ({"address": "ftp://a.example/x"}, "does not begin with http"),
            ({"address": "http://169.254.169.254/latest"}, "never allowed"),
            ({"address": "http://127.0.0.1:8000/openapi.json"}, "where this installation itself listens"),
        ],
    )
    def test_sources_that_do_not_go_are_told(self, publisher, fields, sentence):
        answer = brought(publisher, **fields)

        assert answer.status_code == 422
        assert sentence in answer.text
        for value in fields.values():
            assert value in answer.text

    def test_a_file_that_is_too_large_is_told_and_the_rest_stays(self, publisher, app):
        object.__setattr__(config_of(app), "import_limit", 1)

        answer = brought(publisher, file=as_file(b"x" * 1_000_001), address="https://kept.example/openapi.json")
        assert answer.status_code == 422
        assert "https://kept.example/openapi.json" in answer.text

        answer = brought(publisher, file=as_file(b"x" * 1_000_001))
        assert answer.status_code == 422
        assert "It has more than 1 MB, which is the most here." in answer.text

    @pytest.mark.parametrize("at", ["/apis/import", "/apis/cast/pets/v1/import"])
    @pytest.mark.parametrize("place", ["file", "text"])
    def test_a_form_that_is_far_too_large_is_not_read_and_comes_back(self, publisher, app, cast, session, at, place):
        object.__setattr__(config_of(app), "import_limit", 1)
        factories.api(session, team=cast.team, slug="pets", version="v1")
        session.commit()
        sent = as_file(b"x" * 6_000_000) if place == "file" else "x" * 3_000_000

        answer = brought(publisher, at, **{place: sent})

        assert answer.status_code == 413
        (said,) = re.findall(rf'id="{place}-error">.*?<span>(.*?)</span>', answer.text)
        assert said.startswith("What you sent is far above 1 MB, which is the most here. It was not read")
        session.rollback()
        assert session.scalar(select(func.count()).select_from(Import)) == 0

    def test_a_form_that_is_far_too_large_lets_nobody_in(self, client, cast, app, session):
        object.__setattr__(config_of(app), "import_limit", 1)
        factories.api(session, team=cast.team, slug="pets", version="v1")
        session.commit()
        at = "/apis/cast/pets/v1/import"

        assert brought(client, at, text="x" * 3_000_000).status_code == 401
        assert brought(sign_in(client, cast.stranger), at, text="x" * 3_000_000).status_code == 404
        assert brought(sign_in(client, cast.developer), at, text="x" * 3_000_000).status_code == 403

    def test_a_file_in_another_form_is_refused(self, publisher):
        answer = publisher.post("/apis/new", data={"name": as_file(PETS)}, content_type="multipart/form-data")

        assert answer.status_code == 415

    def test_a_file_under_another_name_is_refused(self, publisher):
        assert brought(publisher, text=as_file(PETS)).status_code == 415

    def test_file_of_somebody_whose_session_ended_is_not_read(self, client, cast):
        assert brought(client, file=as_file(PETS)).status_code == 401

    def test_file_twice_is_read_once(self, publisher):
        answer = publisher.post(
            "/apis/import",
            data={"team": "cast", "file": [as_file(PETS), as_file(b"other")]},
            content_type="multipart/form-data",
        )

        assert answer.status_code == 303

    def test_teams_are_those_that_may_publish(self, client, cast):
        developer = sign_in(client, cast.developer)

        assert "may publish" in developer.get("/apis/import").text
        assert brought(developer, text=PETS.decode()).status_code == 403


class TestAddress:
    """What is fetched is read as if it were a file, and says where its relative servers are."""

    @pytest.fixture
    def server(self):
        made = Server()
        yield made
        made.server.shutdown()
        made.server.server_close()

    def test_relative_servers_start_where_it_came_from(self, publisher, server, session):
        server.answers["/docs/openapi.yaml"] = 200, {}, PETS.replace(b"https://pets.example/v1", b"/v1")

        answer = brought(publisher, address=server.url("/docs/openapi.yaml"))

        assert answer.status_code == 303
        assert f'value="{server.url("/v1")}"' in publisher.get(answer.location).text
        assert only(session).source_name == server.url("/docs/openapi.yaml")

    def test_redirect_is_told_and_the_next_import_begins_where_the_person_said(self, publisher, server, session):
        server.answers["/latest"] = 302, {"Location": "/docs/v7.yaml?signature=secret"}, b""
        server.answers["/docs/v7.yaml?signature=secret"] = (
            200,
            {},
            PETS.replace(b"https://pets.example/v1", b"../v1"),
        )

        at = brought(publisher, address=server.url("/latest")).location

        page = publisher.get(at).text
        assert f"{server.url('/latest')}, " in page
        assert f"This address led to {server.url('/docs/v7.yaml')}<" in page
        assert f'value="{server.url("/v1")}"' in page
        assert "secret" not in page
        publisher.post(at, data=TestNewAPI.FIELDS)
        assert f'value="{server.url("/latest")}"' in publisher.get("/apis/cast/pets/v1/import").text

    def test_next_import_begins_with_the_address_of_the_last(self, publisher, server, session):
        server.answers["/a"] = 200, {}, PETS
        at = brought(publisher, address=server.url("/a")).location
        publisher.post(at, data=TestNewAPI.FIELDS)

        assert f'value="{server.url("/a")}"' in publisher.get("/apis/cast/pets/v1/import").text
        # It gives way to a file, as nobody has typed it; another one does not.
        again = "/apis/cast/pets/v1/import"
        assert brought(publisher, again, address=server.url("/a"), file=as_file(NEXT)).status_code == 303
        assert session.scalars(select(Import.source).order_by(Import.id.desc())).first() == "file"
        assert brought(publisher, again, address=server.url("/b"), file=as_file(NEXT)).status_code == 422

    @pytest.mark.parametrize(
        ("kind", "body", "sentence"),
        [
            ("text/html; charset=utf-8", b" <!doctype html><title>Docs</title>", "answers with a web page"),
            ("image/png", b"\x89PNG", "answers with image/png"),
            ("application/json", b"", "is empty"),
            ("application/json", b"{", "is not JSON"),
        ],
    )
    def test_what_is_no_document_is_told_beside_the_address(self, publisher, server, kind, body, sentence):
        server.answers["/"] = 200, {"Content-Type": kind}, body

        answer = brought(publisher, address=server.url("/"))

        assert answer.status_code == 422
        (said,) = re.findall(r'id="address-error">.*?<span>(.*?)</span>', answer.text)
        assert sentence in said
        assert f'value="{server.url("/")}"' in answer.text

    def test_document_with_a_wrong_kind_is_read(self, publisher, server):
        server.answers["/"] = 200, {"Content-Type": "text/html"}, PETS

        assert brought(publisher, address=server.url("/")).status_code == 303

    def test_nothing_there_is_told(self, publisher, server):
        assert "answers with status 404" in brought(publisher, address=server.url("/gone")).text


class TestNewAPI:
    @pytest.fixture
    def preview(self, publisher, cast, session) -> str:
        found = factories.imported(session, team=cast.team)
        session.commit()
        return f"/imports/{found.id}"

    FIELDS: dict[str, str] = {
        "name": "Pets",
        "slug": "pets",
        "version": "v1",
        "target": "https://pets.example/v1",
        "path": "/pets",
        "key_place": "header",
        "key_name": "X-Pets",
        "tags": "pets, Animals",
    }

    def test_creates_a_draft_with_all_that_was_shown(self, publisher, preview, session):
        answer = publisher.post(preview, data=self.FIELDS)

        assert (answer.status_code, answer.location) == (303, "/apis/cast/pets/v1")
        session.rollback()
        api = session.scalars(select(Api)).one()
        document = registry.read_document(api.draft)
        assert (document.name, document.path, document.tags) == ("Pets", "/pets", ("pets", "Animals"))
        assert (document.key.place, document.key.name) == ("header", "X-Pets")
        assert descriptions.bytes_of(session, document.openapi or "") == PETS
        assert api.live_release is None
        assert only(session).state is ImportState.APPLIED
        page = publisher.get(answer.location).text
        assert "OpenAPI document" in page
        assert publisher.get(preview).text.count("This import was applied") == 1

    def test_create_and_publish_is_one_step(self, publisher, preview, session):
        publisher.post(preview, data=self.FIELDS | {"publish": "1"})

        session.rollback()
        release = session.scalars(select(Api)).one().live_release
        assert release is not None
        assert release.document["openapi"] == only(session).sha256

    def test_path_of_a_live_api_is_told_on_both_ways(self, publisher, preview, cast, session):
        factories.api(session, team=cast.team, live=True, name="Kennel", path="/pets/v1")
        session.commit()

        assert "/pets/v1 already belongs to Kennel (The Cast)" in publisher.get(preview).text
        answer = publisher.post(preview, data=self.FIELDS | {"publish": "1", "path": "/pets/v1"})
        assert answer.status_code == 409
        assert "/pets/v1 already belongs to Kennel (The Cast). Choose another one." in answer.text
        session.rollback()
        assert session.scalar(select(Api).where(Api.slug == "pets")) is None
        assert only(session).state is ImportState.READY

    def test_name_that_is_there_leads_to_the_import_into_it(self, publisher, preview, cast, session):
        factories.api(session, team=cast.team, slug="pets", version="v1", path="/x")
        session.commit()

        assert 'href="/apis/cast/pets/v1/import"' in publisher.get(preview).text
        answer = publisher.post(preview, data=self.FIELDS)
        assert answer.status_code == 409
        assert "already has an API pets v1" in answer.text

    def test_what_is_wrong_is_told_beside_each_field_and_stays(self, publisher, preview):
        wrong = {"name": "", "slug": "Not A Slug", "version": "V 1", "target": "", "path": "no/slash", "tags": "x" * 50}
        answer = publisher.post(preview, data=self.FIELDS | wrong)

        assert answer.status_code == 422
        assert "6 things need your attention" in answer.text
        for name in ("name", "slug", "version", "target", "path", "tags"):
            assert f'id="{name}-error"' in answer.text
        assert 'value="Not A Slug"' in answer.text

    def test_an_import_that_is_over_changes_nothing(self, publisher, preview, session):
        publisher.post(f"{preview}/discard")

        answer = publisher.post(preview, data=self.FIELDS)

        assert answer.status_code == 303
        session.rollback()
        assert session.scalar(select(func.count()).select_from(Api)) == 0
        assert "This import was discarded" in publisher.get(preview).text

    def test_names_of_any_letters(self, publisher, cast, session):
        found = factories.imported(session, team=cast.team, data=PETS.replace(b"title: Pets", "title: 宠物".encode()))
        session.commit()

        page = publisher.get(f"/imports/{found.id}").text
        assert 'value="宠物"' in page
        assert "No slug can be made from this name." in page
        answer = publisher.post(f"/imports/{found.id}", data=self.FIELDS | {"name": "宠物", "slug": ""})
        assert answer.status_code == 422
        assert 'id="slug-error"' in answer.text

    def test_document_without_a_server_asks_for_one(self, publisher, cast, session):
        found = factories.imported(session, team=cast.team, data=PETS.replace(b"https://pets.example/v1", b"/v1"))
        session.commit()

        page = publisher.get(f"/imports/{found.id}").text
        assert "The server “/v1” is relative" in page

    def test_operations_are_listed_and_searched(self, publisher, preview):
        assert "addPet" in publisher.get(f"{preview}/operations").text
        page = publisher.get(f"{preview}/operations?q=listp").text
        assert "listPets" in page
        assert "addPet" not in page


class TestMerging:
    @pytest.fixture
    def api(self, publisher, cast, session) -> Api:
        """Pets, as imported, published, subscribed to."""
        row = imports.create(
            session,
            factories.imported(session, team=cast.team),
            registry.read_document(
                {
                    "name": "Pets",
                    "description": "All about pets.",
                    "path": "/pets",
                    "upstream": {"targets": [{"url": "https://pets.example/v1"}]},
                    "key": {"place": "header", "name": "X-Pets"},
                    "tags": ["pets"],
                    "openapi": descriptions.digest_of(PETS),
                }
            ),
            slug="pets",
            version="v1",
            by=None,
        )
        session.flush()
        registry.publish(session, row, by=None, expected=1)
        consumer = factories.consumer(session, team=cast.team)
        factories.subscription(session, consumer, row)
        session.commit()
        return row

    def preview(self, publisher, data: bytes = NEXT) -> str:
        answer = brought(publisher, "/apis/cast/pets/v1/import", text=data.decode())
        assert answer.status_code == 303, answer.text
        return str(answer.location)

    def test_preview_says_what_changes_and_what_breaks(self, publisher, api):
        page = publisher.get(self.preview(publisher)).text

        assert "1 added, 0 changed, 1 removed" in page
        assert "1 breaks callers" in page
        assert "POST /pets is gone." in page
        assert "Name <span" in page
        assert "was changed by the document" in page

    def test_field_that_only_the_document_changed_follows_it(self, publisher, api, session):
        at = self.preview(publisher)

        answer = publisher.post(at, data={"number": "1", "take_name": "theirs"})

        assert answer.location == "/apis/cast/pets/v1"
        session.expire_all()
        assert api.draft["name"] == "More pets"
        assert api.draft["openapi"] == descriptions.digest_of(NEXT)
        assert api.draft_number == 2
        assert api.live_release.document["name"] == "Pets"
        assert session.scalar(select(func.count()).select_from(Subscription)) == 1

    def test_apply_and_publish(self, publisher, api, session):
        publisher.post(
            self.preview(publisher), data={"number": "1", "take_name": "mine", "publish": "1", "note": "New."}
        )

        session.expire_all()
        assert (api.live_release.number, api.live_release.note) == (2, "New.")
        assert api.live_release.document["name"] == "Pets"
        assert api.live_release.document["openapi"] == descriptions.digest_of(NEXT)

    def test_hand_made_name_is_a_conflict_that_keeps_mine(self, publisher, api, session):
        registry.save_draft(
            session, api, registry.read_document(api.draft | {"name": "Beasts"}), by=None, expected=api.draft_number
        )
        session.commit()
        page = publisher.get(self.preview(publisher)).text

        assert "was changed by hand and by the document" in page
        mine, theirs = re.findall(r'<input[^>]*name="take_name"[^>]*>', page)
        assert ("checked" in mine, "checked" in theirs) == (True, False)

    def test_draft_that_changed_since_the_preview_answers_409(self, publisher, api, session, cast):
        at = self.preview(publisher)
        registry.save_draft(
            session,
            api,
            registry.read_document(api.draft | {"description": "By hand."}),
            by=cast.owner,
            expected=api.draft_number,
        )
        session.commit()

        answer = publisher.post(at, data={"number": "1", "take_name": "theirs"})

        assert answer.status_code == 409
        assert "Olga Owner changed Pets since you opened this page. Nothing was applied." in answer.text
        assert 'name="number" type="hidden" value="2"' in answer.text
        session.expire_all()
        assert api.draft["openapi"] == descriptions.digest_of(PETS)
        assert publisher.post(at, data={"number": "2", "take_name": "theirs"}).status_code == 303

    def test_another_document_in_between_is_compared_again(self, publisher, app, api, session):
        first, second = self.preview(publisher), self.preview(publisher, PETS.replace(b"get:", b"head:"))
        publisher.post(first, data={"number": "1", "take_name": "theirs"})

        assert "Compare again" in publisher.get(second).text
        answer = publisher.post(second, data={"number": "2"})
        assert answer.status_code in {409, 422}
        assert publisher.post(f"{second}/again").status_code == 303
        assert "Waiting for the worker" in publisher.get(second).text
        with app.app_context():
            assert worker.turn(config_of(app), "test", {imports.JOB: worker.KINDS[imports.JOB]})
        page = publisher.get(second).text
        assert "PUT /pets is gone." in page.replace("<", " <")
        assert "Compare again" not in page

    def test_changes_are_listed_and_searched(self, publisher, api):
        at = self.preview(publisher)

        assert publisher.get(f"{at}/changes?kind=added").text.count('<code class="method">') == 1
        assert "No change fits" in publisher.get(f"{at}/changes?q=nowhere").text

    def test_editor_keeps_what_it_has_no_field_for(self, publisher, api, session):
        page = publisher.get("/apis/cast/pets/v1/document").text
        fields = dict(re.findall(r'<input[^>]*name="(\w+)"[^>]*value="([^"]*)"', page))
        fields |= {"key_place": "header", "access": "asked", "ways": "key"}
        del fields["cors_credentials"]  # a box that is not ticked

        answer = publisher.post("/apis/cast/pets/v1/document", data=fields | {"name": "Beasts", "tls_verify": "y"})

        assert answer.status_code == 303, answer.text
        session.expire_all()
        assert api.draft["name"] == "Beasts"
        assert (api.draft["openapi"], api.draft["tags"]) == (descriptions.digest_of(PETS), ["pets"])

    def test_operations_of_the_draft_are_listed(self, publisher, api):
        assert "addPet" in publisher.get("/apis/cast/pets/v1/operations").text

    def test_original_bytes_come_as_a_file(self, publisher, api):
        answer = publisher.get("/apis/cast/pets/v1/openapi")

        assert answer.data == PETS
        assert answer.mimetype == "text/plain"
        assert answer.headers["Content-Disposition"] == 'attachment; filename="pets-v1.openapi.yaml"'
        assert answer.headers["Content-Security-Policy"].startswith("sandbox")


class TestLarge:
    @pytest.fixture
    def waiting(self, publisher, session) -> str:
        """Too large to be read while somebody waits."""
        answer = brought(publisher, file=as_file(PETS + b"# and so on\n" * 100_000))
        assert answer.status_code == 303
        return str(answer.location)

    def work(self, app) -> None:
        with app.app_context():
            assert worker.turn(config_of(app), "test", {imports.JOB: worker.KINDS[imports.JOB]})

    def test_it_is_waited_for_and_then_shown(self, publisher, app, waiting, session):
        page = publisher.get(waiting).text
        assert "Waiting for the worker" in page
        assert '<meta http-equiv="refresh"' in page
        polled = publisher.get(f"{waiting}/progress", headers={"HX-Request": "true"})
        assert "Waiting for the worker" in polled.text
        assert "<h1" not in polled.text

        self.work(app)

        assert 'value="Pets"' in publisher.get(waiting).text
        assert publisher.get(f"{waiting}/progress", headers={"HX-Request": "true"}).status_code == 303
        assert session.scalar(select(func.count()).select_from(Job)) == 0

    def test_it_can_be_cancelled(self, publisher, app, waiting, session):
        assert publisher.post(f"{waiting}/cancel").status_code == 303

        self.work(app)

        assert "This import was cancelled" in publisher.get(waiting).text
        session.rollback()
        assert session.scalar(select(func.count()).select_from(OpenAPIDocument)) == 0
